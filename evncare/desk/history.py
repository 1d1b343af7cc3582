"""What was done to an account of staff, in the history that the admin shows of it."""

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User


def note(user: User, by: User, what: str) -> None:
    LogEntry.objects.log_actions(by.pk, User.objects.filter(pk=user.pk), CHANGE, what, single_object=True)
