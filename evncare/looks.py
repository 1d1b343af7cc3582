"""Who looked at whose data: the pages say so here, whoever keeps the records listens.

    looked.send(sender=..., request=request, kind="MESSAGE", subject="4711")

A page sends before it renders: what can't be recorded isn't shown, since an error of the listener is the sender's too.
Needed, because apps below the desk show personal data and must not know the desk, which keeps the records.
"""

from django.dispatch import Signal

# With: request; kind, one of desk.models.AccessRecord.Kind; subject, whose data or what (at most 40 characters).
# Optional: detail, in words (a string); rows, how many (an integer).
looked = Signal()
