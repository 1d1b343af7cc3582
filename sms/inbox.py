"""The inbox: store what a carrier hands over, then answer what waits, a batch at a time.

The table is the queue. A batch is one transaction: its replies exist exactly if its messages are concluded,
so a process killed anywhere leaves its batch waiting, as if it had never been taken.
"""

import logging
import re
import traceback
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from django.db import Error, IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Field

from sms import gsm7, syntaxes
from sms.gateways.base import Receipt, Received
from sms.models import InboundMessage, OutboundMessage, Outcome, Refusal
from sms.parser import Question, parse

logger = logging.getLogger(__name__)

BATCH_SIZE = 100
MOST_ATTEMPTS = 3
State = InboundMessage.State


class NotStored(Exception):
    """The database did not take the message: the carrier has to keep it and come again."""


def receive(carrier: str, message: Received, *, now: datetime) -> Receipt:
    """Commit one message and return our id of it; a repeat of the carrier's id returns the first one's.

    Raises NotStored when the database is away.
    """
    try:
        try:
            with transaction.atomic():
                row = InboundMessage.objects.create(
                    carrier=carrier,
                    message_id=message.message_id,
                    sender=message.sender,
                    short_code=message.short_code,
                    text=message.text,
                    is_binary=message.is_binary,
                    operator=message.operator,
                    sent_at=message.sent_at,
                    payload=message.payload,
                    received_at=now,
                )
        except IntegrityError:
            first = InboundMessage.objects.only("pk").get(carrier=carrier, message_id=message.message_id)
            return Receipt(first.pk, duplicate=True)
    except Error as error:
        raise NotStored from error
    return Receipt(row.pk, duplicate=False)


def refusal(sender: str, *, is_binary: bool = False) -> Refusal | None:
    """The rule by which a message gets no reply, if there is one."""
    if is_binary:
        return Refusal.BINARY
    if not re.fullmatch(r"\d{7,15}", sender):
        return Refusal.UNANSWERABLE_SENDER  # an alphanumeric name or a short code: a machine, and perhaps a loop
    return None


def answer_waiting(*, now: datetime) -> int:
    """Conclude one batch of waiting messages, oldest first, and return how many it took; 0 means none waits.

    Several processes may do so at once. If the batch fails, each of its messages is tried alone, and one that
    keeps failing is set aside with its traceback. Raises OperationalError while the database is away.
    """
    taken: list[int] = []
    try:
        with transaction.atomic():
            messages = list(
                InboundMessage.objects.filter(state=State.WAITING)
                .order_by("pk")
                .select_for_update(skip_locked=True)[:BATCH_SIZE]
            )
            taken = [message.pk for message in messages]
            _conclude(messages, now)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("answering %s messages together failed; each is tried alone", len(taken))
        for pk in taken:
            _answer_alone(pk, now)
    return len(taken)


def _answer_alone(pk: int, now: datetime) -> None:
    waiting = InboundMessage.objects.filter(pk=pk, state=State.WAITING)
    try:
        with transaction.atomic():
            _conclude(list(waiting.select_for_update(skip_locked=True)), now)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        # Frames and the error's type only: its text may quote what the customer wrote.
        failure = "".join([*traceback.format_tb(error.__traceback__), type(error).__name__])
        waiting.update(attempts=F("attempts") + 1, failure=failure)
        if waiting.filter(attempts__gte=MOST_ATTEMPTS).update(state=State.SET_ASIDE):
            logger.error("message %s is set aside after %s attempts", pk, MOST_ATTEMPTS)


def _conclude(messages: Sequence[InboundMessage], now: datetime) -> None:
    """Answer or refuse these messages, which the caller's transaction holds."""
    grammar = syntaxes.grammar()
    refusals = {message.pk: refusal(message.sender, is_binary=message.is_binary) for message in messages}
    answerable = [message for message in messages if refusals[message.pk] is None]
    questions = [parse(message.text, grammar) for message in answerable]
    answers = syntaxes.answer(questions, now)
    conclusions = [_answered(*row, now) for row in zip(answerable, questions, answers, strict=True)]
    conclusions += [_refused(message, rule, now) for message in messages if (rule := refusals[message.pk])]
    _update(conclusions)
    OutboundMessage.objects.bulk_create(
        _reply(message, answer, now) for message, answer in zip(answerable, answers, strict=True)
    )


def _answered(message: InboundMessage, question: Question, answer: syntaxes.Answer, now: datetime) -> InboundMessage:
    message.state = State.ANSWERED
    message.outcome = answer.outcome
    message.keyword = question.keyword or ""
    message.customer_code = question.customer or ""
    if answer.period:
        message.ky, message.month, message.year = answer.period.ky, answer.period.month, answer.period.year
    message.concluded_at = now
    return message


def _refused(message: InboundMessage, rule: Refusal, now: datetime) -> InboundMessage:
    message.state = State.REFUSED
    message.outcome = Outcome.REFUSED
    message.refusal = rule
    message.concluded_at = now
    return message


def _reply(message: InboundMessage, answer: syntaxes.Answer, now: datetime) -> OutboundMessage:
    size = gsm7.measure(answer.text)
    return OutboundMessage(
        inbound=message,
        carrier=message.carrier,
        recipient=message.sender,
        short_code=message.short_code,
        wording=answer.wording,
        text=answer.text,
        encoding=size.encoding,
        segments=size.segments,
        charge=answer.charge,
        created_at=now,
        send_after=now,
    )


CONCLUSION = ("state", "outcome", "refusal", "keyword", "customer_code", "ky", "month", "year", "concluded_at")


def _update(messages: Sequence[InboundMessage]) -> None:
    """Write the conclusions: one statement for all rows, where bulk_update would nest a CASE for every column."""
    fields = [cast("Field[Any, Any]", InboundMessage._meta.get_field(name)) for name in CONCLUSION]
    assignments = ", ".join(f"{field.name} = %s" for field in fields)
    statement = f"UPDATE sms_inboundmessage SET {assignments} WHERE id = %s AND state = %s"  # noqa: S608  (our names)
    rows = [
        [*(field.get_db_prep_save(getattr(message, field.name), connection) for field in fields), message.pk, "WAITING"]
        for message in messages
    ]
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)
