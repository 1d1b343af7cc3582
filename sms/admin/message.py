"""One message's page: who asked what, what they were told, the message's whole life, and what staff may do about it."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from evncare.admin import only_opened, sees_phones
from evncare.looks import looked
from evncare.phones import masked
from sms import handling, tasks
from sms.admin.life import life, reply_to
from sms.admin.prices import price
from sms.handling import Kind, NotPossible
from sms.models import InboundMessage, Outcome
from sms.syntaxes import SYNTAXES

# What staff read on the button, before they press it, and after.
TITLES = {
    Kind.ANSWERED_AGAIN: gettext_lazy("Answer again"),
    Kind.CORRECTED: gettext_lazy("Correct and answer"),
    Kind.SENT_AGAIN: gettext_lazy("Send again"),
    Kind.SETTLED: gettext_lazy("Settle by phone"),
}
HINTS = {
    Kind.ANSWERED_AGAIN: gettext_lazy("The same text is answered from what we know now. The customer pays nothing."),
    Kind.CORRECTED: gettext_lazy("Write what the customer meant: that is answered. The customer pays nothing."),
    Kind.SENT_AGAIN: gettext_lazy("The same reply is sent once more, word for word. The customer pays nothing."),
    Kind.SETTLED: gettext_lazy("The customer was told on the phone. Nothing is sent."),
}
DONE = {
    Kind.ANSWERED_AGAIN: gettext_lazy("It is being answered. Load this page again to see the reply."),
    Kind.CORRECTED: gettext_lazy("What the customer meant is being answered. Load this page again to see the reply."),
    Kind.SENT_AGAIN: gettext_lazy("The reply is being sent again. Load this page again to see what becomes of it."),
    Kind.SETTLED: gettext_lazy("Noted as settled by phone."),
}
# What nobody has dealt with yet, as ``?attention=`` of the log says.
ATTENTION = {
    "set_aside": InboundMessage.State.SET_ASIDE.label,
    "failed": gettext_lazy("reply failed"),
    "expired": gettext_lazy("reply expired"),
    "unknown": gettext_lazy("reply may have been sent"),
}
BELLS = {
    Kind.ANSWERED_AGAIN: tasks.ring_answering,
    Kind.CORRECTED: tasks.ring_answering,
    Kind.SENT_AGAIN: tasks.ring_delivering,
}


class HandlingForm(forms.Form):
    """What staff write when they do something about a message; the text and the tick count where they are asked for."""

    text = forms.CharField(label=gettext_lazy("What the customer meant"), max_length=500, required=False)
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=handling.LONGEST_REASON)
    not_received = forms.BooleanField(label=gettext_lazy("I asked the customer: nothing has arrived."), required=False)


def show(request: HttpRequest, pk: int) -> HttpResponse:
    if request.method not in ("GET", "HEAD"):
        raise PermissionDenied
    return _page(request, _seen(request, pk))


def handle(request: HttpRequest, pk: int) -> HttpResponse:
    """Do what the form says about the message, then on to what came of it; or back to what was typed, and why not."""
    message = _seen(request, pk)
    if not request.user.has_perm("sms.handle_inboundmessage"):
        raise PermissionDenied
    if only_opened(request):
        return redirect("admin:sms_inboundmessage_change", pk)
    try:
        kind = Kind(request.POST.get("kind", ""))
    except ValueError as error:
        raise Http404 from error
    form = HandlingForm(request.POST, auto_id=_ids(kind))
    form.fields["text"].required = kind == Kind.CORRECTED
    if form.is_valid():
        try:
            result = _do(kind, message, form.cleaned_data, request.user)
        except NotPossible as error:
            form.add_error(None, str(error))
        else:
            if kind in BELLS:
                transaction.on_commit(BELLS[kind])
            messages.success(request, DONE[kind])
            return redirect("admin:sms_inboundmessage_change", result.pk)
    return _page(request, _seen(request, pk), kind, form)


def _do(kind: Kind, message: InboundMessage, given: dict[str, Any], user: Any) -> InboundMessage:
    who = {"by": user.get_username(), "reason": given["reason"], "now": timezone.now()}
    if kind == Kind.ANSWERED_AGAIN:
        return handling.answer_again(message, **who)
    if kind == Kind.CORRECTED:
        return handling.correct_and_answer(message, given["text"], **who)
    if kind == Kind.SETTLED:
        return handling.settle(message, **who)
    return handling.send_again(
        message,
        confirmed_not_received=given["not_received"],
        may_resend_unknown=user.has_perm("sms.resend_outboundmessage"),
        **who,
    )


def _seen(request: HttpRequest, pk: int) -> InboundMessage:
    if not request.user.has_perm("sms.view_inboundmessage"):
        raise PermissionDenied
    rows = InboundMessage.objects.select_related("reply", "follows").defer("payload", "follows__payload")
    return get_object_or_404(rows.prefetch_related("moves", "handlings", "reply__moves"), pk=pk)


def _page(
    request: HttpRequest, message: InboundMessage, tried: Kind | None = None, form: HandlingForm | None = None
) -> HttpResponse:
    """The page. ``tried`` is what could not be done, ``form`` what was typed for it."""
    looked.send(sender=InboundMessage, request=request, kind="MESSAGE", subject=str(message.pk))
    full = sees_phones(request.user)
    sender = message.sender if full else masked(message.sender)
    reply = reply_to(message)
    follower = InboundMessage.objects.filter(follows=message.pk).only("pk").first()
    choices = handling.possible(message, request.user, now=timezone.now())
    reasons = {choice.why_not for choice in choices}
    context = admin.site.each_context(request) | {
        "title": _("Message from %(sender)s") % {"sender": sender} if sender else _("Message"),
        "opts": InboundMessage._meta,
        "original": message,
        "message": message,
        "reply": reply,
        "sender": sender,
        "others": f"{reverse('admin:sms_inboundmessage_changelist')}?q={sender}" if full and sender else "",
        "customer_page": _customer_page(request, message),
        "question": SYNTAXES.get(message.keyword),
        "price": price(charged=bool(reply and reply.charge)),
        "steps": life(message, hides_phone=not full),
        "follower": follower,
        "needs_attention": follower is None and _needs_attention(message),
        "choices": [
            {
                "kind": choice.kind,
                "title": TITLES[choice.kind],
                "hint": HINTS[choice.kind],
                "why_not": choice.why_not,
                "to_confirm": choice.to_confirm,
                "is_correction": choice.kind == Kind.CORRECTED,
                "form": (choice.kind == tried and form) or _blank(choice.kind, message),
                "tried": choice.kind == tried,
            }
            for choice in choices
        ],
        # What is against everything is said once.
        "nothing_possible": reasons.pop() if len(reasons) == 1 and not tried else "",
    }
    return TemplateResponse(request, "admin/sms/message.html", context, status=409 if tried else 200)


def _blank(kind: Kind, message: InboundMessage) -> HandlingForm:
    return HandlingForm(auto_id=_ids(kind), initial={"text": message.text})


def _ids(kind: Kind) -> str:
    return f"{kind.lower()}-%s"


def _customer_page(request: HttpRequest, message: InboundMessage) -> str:
    known = message.customer_code and message.outcome != Outcome.UNKNOWN_CUSTOMER
    if known and request.user.has_perm("billing.view_customer"):
        return reverse("admin:billing_customer_change", args=[message.customer_code])
    return ""


def _needs_attention(message: InboundMessage) -> str:
    """What about it nobody has dealt with yet, in words; else empty."""
    row = reply_to(message) or message
    return "" if row.settled_at else str(ATTENTION.get(row.state.lower(), ""))
