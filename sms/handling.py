"""What staff do about a message: have it answered anew, send its reply anew, or settle it by phone.

What is answered or sent anew is a message of its own that follows the first, free of charge, so that each message
still gets at most one reply. A message has one follower at most: the last of a chain is the one to handle. All is
decided with the message and its reply locked, and recorded with who did it and why.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from sms import moves, rules
from sms.models import Handling, InboundMessage, OutboundMessage

LONGEST_REASON = 200
Kind = Handling.Kind
State = InboundMessage.State
ReplyState = OutboundMessage.State
ON_ITS_WAY = (ReplyState.WAITING, ReplyState.SENDING)
MAY_HAVE_ARRIVED = (ReplyState.UNKNOWN, ReplyState.SENT, ReplyState.DELIVERED)
# What a reply that is sent anew has in common with the first.
COPIED = ("outcome", "refusal", "keyword", "customer_code", "ky", "month", "year")


class NotPossible(Exception):
    """This can't be done about the message as it stands; the text says why and what to do instead."""


@dataclass(frozen=True)
class Choice:
    """One thing that staff may do about a message, or why not: ``why_not`` is empty if it may be done.

    ``to_confirm``: only if the customer says that nothing arrived.
    """

    kind: Kind
    why_not: str = ""
    to_confirm: bool = False


def possible(message: InboundMessage, user: Any, *, now: datetime) -> list[Choice]:
    """What this person may do about the message as it stands, and why not the rest; nothing without the right to."""
    if not user.has_perm("sms.handle_inboundmessage"):
        return []
    case = _Case(message, getattr(message, "reply", None), now)
    may_resend = user.has_perm("sms.resend_outboundmessage")
    return [
        Choice(Kind.ANSWERED_AGAIN, case.against_answering(message.text, is_binary=message.is_binary)),
        Choice(Kind.CORRECTED, case.against_answering("", is_binary=False)),
        Choice(Kind.SENT_AGAIN, case.against_sending(may_resend), to_confirm=case.may_have_arrived),
        Choice(Kind.SETTLED, case.against_settling()),
    ]


def answer_again(message: InboundMessage, *, by: str, reason: str, now: datetime) -> InboundMessage:
    """Have the same text answered anew and return the message that now waits for its answer.

    That is a follower; or the message itself, if it was set aside. Ring for the answering. Raises NotPossible.
    """
    with _handled(message, Kind.ANSWERED_AGAIN, by, reason, now) as case:
        _refuse(case.against_answering(case.message.text, is_binary=case.message.is_binary))
        if case.message.state != State.SET_ASIDE:
            return case.follower(text=case.message.text, is_binary=case.message.is_binary)
        row = InboundMessage.objects.filter(pk=case.message.pk)
        moves.move(row, State.WAITING, at=now, cause="given back by staff", attempts=0, settled_at=None)
        return row.get()


def correct_and_answer(message: InboundMessage, text: str, *, by: str, reason: str, now: datetime) -> InboundMessage:
    """Have the text that the customer meant answered, and return the follower that waits for its answer.

    Ring for the answering. Raises NotPossible.
    """
    with _handled(message, Kind.CORRECTED, by, reason, now) as case:
        if not text.strip():
            raise NotPossible(_("Write what the customer meant."))
        _refuse(case.against_answering(text, is_binary=False))
        return case.follower(text=text.strip())


def send_again(
    message: InboundMessage,
    *,
    by: str,
    reason: str,
    confirmed_not_received: bool = False,
    may_resend_unknown: bool = False,
    now: datetime,
) -> InboundMessage:
    """Send the words of the message's reply anew and return the follower whose reply waits to be sent.

    What may have arrived is sent only by somebody who ``may_resend_unknown``, the right to send such replies again,
    once the customer was asked: ``confirmed_not_received``. Ring for the delivery. Raises NotPossible.
    """
    with _handled(message, Kind.SENT_AGAIN, by, reason, now) as case:
        _refuse(case.against_sending(may_resend_unknown))
        if case.may_have_arrived and not confirmed_not_received:
            raise NotPossible(_("Its reply may have arrived: ask the customer, and confirm that nothing did."))
        concluded = {name: getattr(case.message, name) for name in COPIED}
        follower = case.follower(text=case.message.text, state=State.ANSWERED, concluded_at=now, **concluded)
        moves.record(
            InboundMessage, [(follower.pk, State.WAITING)], State.ANSWERED, at=now, cause="sent again by staff"
        )
        assert case.reply, "what has no reply is not sent again"
        OutboundMessage.objects.create(
            inbound=follower,
            carrier=follower.carrier,
            recipient=follower.sender,
            short_code=follower.short_code,
            wording=case.reply.wording,
            text=case.reply.text,
            encoding=case.reply.encoding,
            segments=case.reply.segments,
            charge=False,
            created_at=now,
            send_after=now,
        )
        return follower


def settle(message: InboundMessage, *, by: str, reason: str, now: datetime) -> InboundMessage:
    """Note that the matter was settled by phone, and return the message. Raises NotPossible."""
    with _handled(message, Kind.SETTLED, by, reason, now) as case:
        _refuse(case.against_settling())
        case.settle()
        return case.message


@dataclass(frozen=True)
class _Case:
    """A message with its reply, and what is against doing more about them: a sentence, empty if nothing is."""

    message: InboundMessage
    reply: OutboundMessage | None
    now: datetime

    @cached_property
    def is_followed(self) -> bool:
        return InboundMessage.objects.filter(follows=self.message.pk).exists()

    @property
    def may_have_arrived(self) -> bool:
        return self.reply is not None and self.reply.state in MAY_HAVE_ARRIVED

    def against_answering(self, text: str, *, is_binary: bool) -> str:
        is_open = self.reply is not None and self.reply.state == ReplyState.UNKNOWN and not self.reply.settled_at
        return (
            self._against_anything()
            or self._against_writing()
            or (_("Its reply may have arrived: send that again, or settle it by phone, first.") if is_open else "")
            or self._against_sender(text, is_binary)
        )

    def against_sending(self, may_resend: bool) -> str:
        if self.reply is None:
            return self._against_anything() or _("It has no reply that could be sent again.")
        not_theirs = _("Its reply may have arrived: sending it again is for a shift supervisor.")
        return (
            self._against_anything()
            or self._against_writing()
            or ("" if may_resend or not self.may_have_arrived else not_theirs)
            or self._against_sender("", is_binary=False)
        )

    def against_settling(self) -> str:
        return self._against_anything() or (_("It is settled already.") if self.message.settled_at else "")

    def _against_anything(self) -> str:
        if self.is_followed:
            return _("It was answered or sent anew already: see the message that follows it.")
        if self.message.state == State.WAITING:
            return _("It is waiting for its answer: look again in a moment.")
        if self.reply is not None and self.reply.state in ON_ITS_WAY:
            return _("Its reply is on its way: wait for what becomes of it.")
        return ""

    def _against_writing(self) -> str:
        return _("Its number and text were erased: nobody can be answered.") if self.message.erased_at else ""

    def _against_sender(self, text: str, is_binary: bool) -> str:
        refusal = rules.lasting_refusal(self.message.sender, text, is_binary=is_binary, now=self.now)
        return _("A rule is against it: %(rule)s.") % {"rule": refusal.label} if refusal else ""

    def settle(self) -> None:
        """Note that nothing is left to be done about the message and its reply."""
        InboundMessage.objects.filter(pk=self.message.pk).update(settled_at=self.now)
        OutboundMessage.objects.filter(inbound=self.message.pk).update(settled_at=self.now)

    def follower(self, **fields: Any) -> InboundMessage:
        """Settle the message by one that follows it; it waits for its answer unless the fields say else."""
        self.settle()
        return InboundMessage.objects.create(
            follows=self.message,
            carrier=self.message.carrier,
            message_id=f"desk-{uuid.uuid4().hex}",
            sender=self.message.sender,
            short_code=self.message.short_code,
            operator=self.message.operator,
            received_at=self.now,
            payload=b"",
            **fields,
        )


@contextmanager
def _handled(message: InboundMessage, kind: Kind, by: str, reason: str, now: datetime) -> Iterator[_Case]:
    """One transaction that holds the message and its reply, and records what is done in it."""
    if not reason.strip():
        raise NotPossible(_("Write why: the reason is kept with the message."))
    with transaction.atomic():
        locked = InboundMessage.objects.select_for_update().get(pk=message.pk)
        yield _Case(locked, OutboundMessage.objects.select_for_update().filter(inbound=locked).first(), now)
        Handling.objects.create(message=locked, kind=kind, by=by, reason=reason.strip()[:LONGEST_REASON], at=now)


def _refuse(why_not: str) -> None:
    if why_not:
        raise NotPossible(why_not)
