"""The life of a message, step by step, as its page tells it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from evncare.admin import day_and_time
from evncare.imports.declarations import declared_exports
from evncare.imports.models import ImportRun
from evncare.phones import masked
from sms.models import Handling, InboundMessage, Move, OutboundMessage, Outcome
from sms.syntaxes import SYNTAXES

State = InboundMessage.State
ReplyState = OutboundMessage.State

# What we note as the cause of a move, told in the language of whoever reads it. All else is a carrier's own words.
CAUSES = {
    r"claimed for (\S+)": _("claimed for %s"),
    r"(\S+) took it": _("%s took it"),
    r"reported (?:accepted|delivered|failed|expired) ?(.*)": _("reported by the carrier %s"),
    r"too old to be sent": _("too old to be sent"),
    r"the process that was sending it ended": _("the process that was sending it ended"),
    r"given back by staff": _("given back by staff"),
    r"(\w+) in \d+ attempts": _("an error in our program at every attempt: %s"),
    r"erased": _("personal data erased"),
}


@dataclass(frozen=True)
class Step:
    """One thing that happened to a message, or is still to happen when ``at`` is None.

    ``kind`` is the state that it led to, or "staff", for its colour; ``since`` the time that passed since the step
    before, in words, if any did.
    """

    title: str
    at: datetime | None = None
    kind: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    failure: str = ""
    since: str = ""


def life(message: InboundMessage, *, hides_phone: bool = False) -> list[Step]:
    """What happened to a message and its reply, in order, with times and reasons.

    A carrier may quote the phone in its own words: ``hides_phone`` masks it there.
    """
    steps = [_received(message), *_ours(message)]
    if reply := reply_to(message):
        steps += [_worded(reply), *_sending(reply)]
    steps += [_handled(handling) for handling in message.handlings.all()]
    # Steps that share a moment stay in the order in which they must have happened.
    told = sorted((step for step in steps if step.at), key=lambda step: step.at)  # type: ignore[arg-type,return-value]
    steps = [*_timed(told), *(step for step in steps if not step.at)]
    return [_masked(step, message.sender) for step in steps] if hides_phone and message.sender else steps


def _received(message: InboundMessage) -> Step:
    if message.follows:
        handling = message.follows.handlings.last()
        return Step(
            gettext("asked anew by staff"),
            message.received_at,
            kind="staff",
            facts={
                gettext("what was done"): handling and handling.get_kind_display(),
                gettext("by"): handling and handling.by,
                gettext("reason"): handling and handling.reason,
                gettext("our id"): message.message_id,
            },
        )
    return Step(
        gettext("received from %(carrier)s") % {"carrier": message.carrier},
        message.received_at,
        facts={
            gettext("carrier's id"): message.message_id,
            gettext("network operator"): message.operator,
            gettext("sent at"): message.sent_at,
            gettext("short code"): message.short_code,
            gettext("binary"): gettext("yes") if message.is_binary else "",
        },
    )


def _ours(message: InboundMessage) -> Iterator[Step]:
    """What came of it with us: each time that it was set aside and given back, and how it was concluded."""
    for move in message.moves.all():
        if move.after == State.SET_ASIDE:
            told = {gettext("cause"): cause(move)}
            yield Step(str(State.SET_ASIDE.label), move.at, move.after, told, failure=message.failure)
        elif move.after == State.WAITING:
            yield Step(gettext("given back to be answered"), move.at, move.after)
    if message.state == State.WAITING:
        facts: dict[str, Any] = {gettext("failed attempts"): message.attempts}
        yield Step(message.get_state_display(), None, message.state, facts, message.failure if message.attempts else "")
    elif message.state in (State.ANSWERED, State.REFUSED):
        yield _conclusion(message)
        yield from _looked_up(message)


def _conclusion(message: InboundMessage) -> Step:
    if message.state == State.REFUSED:
        return Step(
            gettext("refused by rule, no reply"),
            message.concluded_at,
            kind=message.state,
            facts={
                gettext("refused because"): message.get_refusal_display(),
                gettext("repeats"): message.repeats_id and _page_of(message.repeats_id),
            },
        )
    syntax = SYNTAXES.get(message.keyword)
    return Step(
        gettext("understood") if syntax else gettext("not understood"),
        message.concluded_at,
        kind=message.outcome,
        facts={
            gettext("question"): f"{syntax.keyword} – {syntax.title}" if syntax else "",
            gettext("customer code"): message.customer_code,
            gettext("kỳ/month/year"): understood_period(message),
            gettext("outcome"): message.get_outcome_display(),
            gettext("refused because"): message.get_refusal_display(),
        },
    )


def _looked_up(message: InboundMessage) -> Iterator[Step]:
    """In which data the answer was looked up, and from which import they were then."""
    syntax = SYNTAXES.get(message.keyword)
    sent_anew = message.follows_id and message.concluded_at == message.received_at
    if not syntax or not syntax.source or message.outcome not in (Outcome.ANSWERED, Outcome.NO_DATA) or sent_anew:
        return
    runs = ImportRun.objects.of_kind(syntax.source).loaded().filter(loaded_at__lte=message.concluded_at)
    run = runs.defer("sample").first()
    yield Step(
        gettext("looked up"),
        message.concluded_at,
        facts={
            gettext("in"): declared_exports()[syntax.source].model._meta.verbose_name_plural,
            gettext("as loaded"): _loaded(run) if run else "",
        },
    )


def _loaded(run: ImportRun) -> str:
    assert run.loaded_at, "only what is loaded was asked for"
    return f"{run.file_name}, {day_and_time(run.loaded_at)}"


def _worded(reply: OutboundMessage) -> Step:
    wordings = reverse("admin:sms_wordingversion_changelist")
    return Step(
        gettext("reply worded"),
        reply.created_at,
        facts={
            gettext("wording"): format_html('<a href="{}">{}</a>', wordings, reply.wording),
            gettext("encoding"): reply.encoding,
            gettext("reference"): reply.reference,
        },
    )


def _sending(reply: OutboundMessage) -> Iterator[Step]:
    """Each recorded move of the reply, then what it waits for."""
    states = dict(ReplyState.choices)
    attempt = 0
    for move in reply.moves.all():
        attempt += move.after == ReplyState.SENDING
        facts = {
            gettext("cause"): cause(move),
            gettext("attempt"): attempt if move.after == ReplyState.SENDING and attempt > 1 else "",
            gettext("carrier's id"): reply.carrier_message_id if move.after == ReplyState.SENT else "",
        }
        yield Step(str(states.get(move.after, move.after)), move.at, move.after, facts)
    if reply.state == ReplyState.WAITING:
        facts = {gettext("not to be sent before"): reply.send_after, gettext("attempts"): reply.attempts}
        yield Step(reply.get_state_display(), None, reply.state, facts, reply.failure)


def _handled(handling: Handling) -> Step:
    return Step(
        handling.get_kind_display(),
        handling.at,
        kind="staff",
        facts={gettext("by"): handling.by, gettext("reason"): handling.reason},
    )


def _timed(steps: list[Step]) -> Iterator[Step]:
    """The steps with the time that each took since the one before."""
    before = None
    for step in steps:
        yield replace(step, since=lapse(step.at - before)) if before and step.at and step.at > before else step
        before = step.at


def _masked(step: Step, phone: str) -> Step:
    national = phone[-9:]

    def hide(value: Any) -> Any:
        return value.replace(national, masked(national)) if isinstance(value, str) and national in value else value

    facts = {name: hide(value) for name, value in step.facts.items()}
    return replace(step, facts=facts, failure=hide(step.failure))


def lapse(time: timedelta) -> str:
    """A time gone by, in words: + 0.4 s, + 3 min, + 2 h, + 5 days."""
    seconds = time.total_seconds()
    if seconds < 60:
        return gettext("+ %(number)s s") % {"number": number_format(round(seconds, 1))}
    if seconds < 3600:
        return gettext("+ %(number)s min") % {"number": int(seconds // 60)}
    if seconds < 48 * 3600:
        return gettext("+ %(number)s h") % {"number": int(seconds // 3600)}
    return gettext("+ %(number)s days") % {"number": time.days}


def cause(move: Move) -> str:
    for pattern, told in CAUSES.items():
        if match := re.fullmatch(pattern, move.cause):
            return (str(told) % match.groups()).strip() if match.groups() else str(told)
    return move.cause


def _page_of(pk: int) -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse("admin:sms_inboundmessage_change", args=[pk]), pk)


def reply_to(message: InboundMessage) -> OutboundMessage | None:
    return getattr(message, "reply", None)


def understood(message: InboundMessage) -> str:
    """The question as we understood it: LGD PP05000974006 1/10/2016."""
    return " ".join(filter(None, (message.keyword, message.customer_code, understood_period(message))))


def understood_period(message: InboundMessage) -> str:
    """1/10/2016, or 10/2016 where no kỳ was named."""
    return "/".join(str(part) for part in (message.ky, message.month, message.year) if part)
