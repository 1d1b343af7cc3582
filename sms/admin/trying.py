"""Try a message: what a customer would be answered, on a picture of their phone. Nothing is stored or sent.

The conversation so far travels in the page itself, signed, since nothing of it is kept here.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core import signing
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from evncare import phones
from evncare.admin import YEARS, tag
from evncare.looks import looked
from evncare.periods import Period
from sms.admin.prices import price
from sms.models import InboundMessage
from sms.parser import Problem
from sms.preview import Preview, preview
from sms.syntaxes import SYNTAXES

LONGEST_TEXT = 2000
MOST_EXCHANGES = 10
EXAMPLE_CUSTOMER, EXAMPLE_PERIOD = "PP05000974006", Period(ky=1, month=10, year=2016)  # those of the announcement
ANNOUNCED = "2016-10-05T08:00"  # when they, and the demo's data, are news
SALT = "sms.admin.trying"

PROBLEMS = {
    Problem.NO_KEYWORD: _("No keyword, or several: the list of syntaxes is sent."),
    Problem.NO_CODE: _("No customer code."),
    Problem.BAD_CODE: _("The customer code can't be read; none is ever guessed."),
    Problem.FOREIGN_CODE: _("The customer code is another corporation's."),
    Problem.SEVERAL_CODES: _("More than one customer code."),
    Problem.NO_PERIOD: _("No period."),
    Problem.BAD_PERIOD: _("The period can't be read, or there is none like it."),
}


@dataclass(frozen=True)
class Exchange:
    """A message and its reply; None if it got none."""

    text: str
    reply: str | None


class TryForm(forms.Form):
    text = forms.CharField(label=_("message"), required=False, strip=False)
    sender = forms.CharField(label=_("sent by"), required=False, max_length=32)
    at = forms.CharField(label=_("as of"), required=False, max_length=32)

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"].replace("\r\n", "\n")
        if len(text) > LONGEST_TEXT:
            raise ValidationError(
                _("The message has %(length)s characters; at most %(limit)s are taken.")
                % {"length": len(text), "limit": LONGEST_TEXT}
            )
        return text

    def clean_sender(self) -> str | None:
        typed: str = self.cleaned_data["sender"]
        return phones.canonical(typed) or typed or None

    def clean_at(self) -> datetime:
        typed: str = self.cleaned_data["at"]
        if not typed:
            return timezone.now()
        try:
            at = parse_datetime(typed)
        except ValueError:
            at = None
        if at is None or at.year not in YEARS:
            raise ValidationError(_("Give a date and time from 2000 to 2099, as in 2016-10-05T08:00."))
        return timezone.make_aware(at) if timezone.is_naive(at) else at


def try_message(request: HttpRequest) -> HttpResponse:
    """The page; ``text``, ``at`` and ``from`` in the address try a message at once."""
    if not request.user.has_perm("sms.try_inboundmessage"):
        raise PermissionDenied
    given = request.POST if request.method == "POST" else request.GET
    form = TryForm(typed_in(given))
    conversation = [] if "new" in given else conversation_in(given.get("conversation", ""))
    shown = None
    if form.is_valid() and is_sent(given):
        [shown] = preview([form.cleaned_data["text"]], form.cleaned_data["sender"], form.cleaned_data["at"])
        if shown.customer:
            looked.send(sender=InboundMessage, request=request, kind="TRIAL", subject=shown.customer)
    last = [Exchange(shown.text, shown.answer.text if shown.answer else None)] if shown else []
    context = admin.site.each_context(request) | {
        "title": _("Try a message"),
        "form": form,
        "longest": LONGEST_TEXT,
        "short_code": settings.SMS_SHORT_CODE,
        "conversation": conversation,
        "kept": signing.dumps([asdict(e) for e in (conversation + last)[-MOST_EXCHANGES:]], salt=SALT, compress=True),
        "shown": shown,
        "read_as": read_as(shown) if shown else "",
        "facts": understood(shown) if shown else [],
        "price": price(charged=bool(shown and shown.answer and shown.answer.charge)),
        "link": link(form.data),
        "examples": examples(shown, form.cleaned_data.get("at") or timezone.now()),
        "today": f"{timezone.localdate()}T08:00",
        "announced": ANNOUNCED,
    }
    return TemplateResponse(request, "admin/sms/try.html", context)


def is_sent(given: QueryDict) -> bool:
    """Whether a message is to be answered, be it an empty one; the other buttons only set the page up."""
    return ("text" in given or "example" in given) and not {"as_of", "new"} & given.keys()


def typed_in(given: QueryDict) -> dict[str, str]:
    """What was typed, or chosen by a button."""
    return {
        "text": given.get("example", given.get("text", "")),
        "sender": given.get("from", ""),
        "at": given.get("as_of", given.get("at", "")),
    }


def conversation_in(kept: str) -> list[Exchange]:
    """The exchanges that the page carried; none if it isn't as we sent it."""
    try:
        return [Exchange(**exchange) for exchange in signing.loads(kept, salt=SALT)]
    except signing.BadSignature:
        return []


def link(typed: Mapping[str, str]) -> str:
    """The address that tries the same again."""
    query = {"text": typed["text"], "at": typed["at"], "from": typed["sender"]}
    return f"{reverse('admin:sms_try')}?{urlencode({name: value for name, value in query.items() if value})}"


def examples(shown: Preview | None, at: datetime) -> list[tuple[str | Promise, str]]:
    """Each question's title and a command: of the customer and period just asked about, or of the announcement's."""
    customer, period = EXAMPLE_CUSTOMER, EXAMPLE_PERIOD
    if shown and shown.customer and (shown.period or shown.customer != customer):
        customer, period = shown.customer, shown.period or Period.before(timezone.localdate(at))
    return [(syntax.title, syntax.command(customer, period)) for syntax in SYNTAXES.values()]


def read_as(shown: Preview) -> str:
    """The command that was understood, where something else was typed."""
    return "" if shown.command in (None, shown.text.strip()) else str(shown.command)


def understood(shown: Preview) -> list[tuple[Any, Any]]:
    """What was made of the message, as labels and values."""
    question, period = shown.question, shown.period
    facts: list[tuple[Any, Any]] = [(_("outcome"), tag(shown.outcome, shown.outcome.label))]
    if question.keyword:
        facts.append((_("question"), f"{question.keyword}: {SYNTAXES[question.keyword].title}"))
    if question.customer:
        facts.append((_("customer code"), question.customer))
    if period:
        ky = period.ky or gettext("no kỳ")
        facts.append((_("period"), f"{ky}/{period.month}/{period.year}"))
    if question.problem:
        facts.append((_("problem"), PROBLEMS[question.problem]))
    if shown.refusal:
        facts.append((_("rule"), shown.refusal.label))
    if shown.answer:
        facts.append((_("wording"), shown.answer.wording))
    return facts
