"""The life of a message, step by step, as its page tells it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext

from sms.models import InboundMessage, OutboundMessage
from sms.syntaxes import SYNTAXES


@dataclass(frozen=True)
class Step:
    """One thing that happened to a message, or is still to happen when ``at`` is None."""

    title: str
    at: datetime | None = None
    text: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    failure: str = ""


def life(message: InboundMessage) -> list[Step]:
    """What happened to a message and its reply, in order, with times and reasons."""
    steps = [
        Step(
            gettext("received from %(carrier)s") % {"carrier": message.carrier},
            message.received_at,
            message.text,
            {
                gettext("carrier's id"): message.message_id,
                gettext("network operator"): message.operator,
                gettext("sent at"): message.sent_at,
                gettext("short code"): message.short_code,
                gettext("binary"): gettext("yes") if message.is_binary else "",
            },
        ),
        _conclusion(message),
    ]
    if reply := reply_to(message):
        steps += [_worded(reply), *_sending(reply)]
    return steps


def _conclusion(message: InboundMessage) -> Step:
    if message.state == InboundMessage.State.REFUSED:
        return Step(
            gettext("refused by rule, no reply"),
            message.concluded_at,
            facts={
                gettext("refused because"): message.get_refusal_display(),
                gettext("repeats"): message.repeats and message.repeats.message_id,
            },
        )
    if message.state != InboundMessage.State.ANSWERED:
        return Step(
            message.get_state_display(),
            facts={gettext("failed attempts"): message.attempts},
            failure=message.failure,
        )
    syntax = SYNTAXES.get(message.keyword)
    return Step(
        gettext("understood") if syntax else gettext("not understood"),
        message.concluded_at,
        facts={
            gettext("question"): f"{syntax.keyword} – {syntax.title}" if syntax else "",
            gettext("customer code"): message.customer_code,
            gettext("kỳ/month/year"): understood_period(message),
            gettext("outcome"): message.get_outcome_display(),
            gettext("refused because"): message.get_refusal_display(),
        },
    )


def _worded(reply: OutboundMessage) -> Step:
    return Step(
        gettext("reply worded"),
        reply.created_at,
        reply.text,
        {
            gettext("wording"): reply.wording,
            gettext("encoding"): reply.encoding,
            gettext("segments"): reply.segments,
            gettext("charged"): gettext("yes") if reply.charge else gettext("no"),
            gettext("reference"): reply.reference,
        },
    )


def _sending(reply: OutboundMessage) -> Iterator[Step]:
    """Each recorded move of the reply, then what it waits for."""
    states = dict(OutboundMessage.State.choices)
    for move in reply.moves.all():
        yield Step(str(states.get(move.after, move.after)), move.at, facts={gettext("cause"): move.cause})
    if reply.state == OutboundMessage.State.WAITING:
        facts = {gettext("not to be sent before"): reply.send_after, gettext("attempts"): reply.attempts}
        yield Step(reply.get_state_display(), facts=facts, failure=reply.failure)


def reply_to(message: InboundMessage) -> OutboundMessage | None:
    return getattr(message, "reply", None)


def understood(message: InboundMessage) -> str:
    """The question as we understood it: LGD PP05000974006 1/10/2016."""
    return " ".join(filter(None, (message.keyword, message.customer_code, understood_period(message))))


def understood_period(message: InboundMessage) -> str:
    """1/10/2016, or 10/2016 where no kỳ was named."""
    return "/".join(str(part) for part in (message.ky, message.month, message.year) if part)
