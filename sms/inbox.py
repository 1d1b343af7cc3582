"""The inbox: store what a carrier hands over, then answer what waits, a batch at a time.

The table is the queue. A batch is one transaction: its replies exist exactly if its messages are concluded,
so a process killed anywhere leaves its batch waiting, as if it had never been taken.
"""

import logging
import traceback
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from django.db import Error, IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Field

from sms import gsm7, moves, rules, syntaxes, versions
from sms.gateways.base import Receipt, Received
from sms.models import InboundMessage, OutboundMessage, Outcome
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
    except Exception as error:
        # Neither the error's text nor its locals: they may quote what a customer wrote.
        logger.error(
            "answering %s messages together failed with %s; each is tried alone", len(taken), type(error).__name__
        )
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
        waiting.update(attempts=F("attempts") + 1, failure=frames(error))
        spent = waiting.filter(attempts__gte=MOST_ATTEMPTS)
        if moves.move(spent, State.SET_ASIDE, at=now, cause=f"{type(error).__name__} in {MOST_ATTEMPTS} attempts"):
            logger.error("message %s is set aside: %s in %s attempts", pk, type(error).__name__, MOST_ATTEMPTS)


def frames(error: BaseException) -> str:
    """A traceback without the error's text, which may quote what a customer wrote."""
    return "".join([*traceback.format_tb(error.__traceback__), type(error).__name__])


def _conclude(messages: Sequence[InboundMessage], now: datetime) -> None:
    """Answer or refuse these messages, which the caller's transaction holds."""
    if not messages:
        return
    questions = [parse(message.text, syntaxes.grammar()) for message in messages]
    with versions.in_force():
        rulings = rules.judge(messages, questions, now)
        open_ones = [(m, q) for m, q in zip(messages, questions, strict=True) if m.pk not in rulings]
        answers = syntaxes.answer(
            [question for _, question in open_ones], now, [message.sender for message, _ in open_ones]
        )
        replies = {message.pk: answer for (message, _), answer in zip(open_ones, answers, strict=True)}
        replies |= {pk: syntaxes.notice(ruling.refusal) for pk, ruling in rulings.items() if ruling.told}
    for message, question in zip(messages, questions, strict=True):
        _note(message, question, replies.get(message.pk), rulings.get(message.pk), now)
    _update(messages)
    for state in (State.ANSWERED, State.REFUSED):
        moved = [(message.pk, State.WAITING) for message in messages if message.state == state]
        moves.record(InboundMessage, moved, state, at=now, cause="answering")
    OutboundMessage.objects.bulk_create(
        _reply(message, replies[message.pk], now) for message in messages if message.pk in replies
    )


def _note(
    message: InboundMessage,
    question: Question,
    answer: syntaxes.Answer | None,
    ruling: rules.Ruling | None,
    now: datetime,
) -> None:
    """Write on the message what was understood and what became of it."""
    message.state = State.ANSWERED if answer else State.REFUSED
    message.outcome = answer.outcome if answer else Outcome.REFUSED
    reason = ruling or answer
    assert reason, "a message that no rule is against has an answer"
    message.refusal = reason.refusal or ""
    message.repeats_id = ruling.repeats if ruling else None
    message.keyword = question.keyword or ""
    message.customer_code = question.customer or ""
    period = (answer.period if answer else None) or question.period
    if period:
        message.ky, message.month, message.year = period.ky, period.month, period.year
    message.concluded_at = now


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
        charge=answer.charge and message.follows_id is None,  # the customer paid for the first
        created_at=now,
        send_after=now,
    )


CONCLUSION = (
    "state", "outcome", "refusal", "repeats", "keyword", "customer_code", "ky", "month", "year", "concluded_at",
)  # fmt: skip


def _update(messages: Sequence[InboundMessage]) -> None:
    """Write the conclusions: one statement for all rows, where bulk_update would nest a CASE for every column."""
    fields = [cast("Field[Any, Any]", InboundMessage._meta.get_field(name)) for name in CONCLUSION]
    assignments = ", ".join(f"{field.column} = %s" for field in fields)
    statement = f"UPDATE sms_inboundmessage SET {assignments} WHERE id = %s AND state = %s"  # noqa: S608  (our names)
    rows = [
        [
            *(field.get_db_prep_save(getattr(message, field.attname), connection) for field in fields),
            message.pk,
            "WAITING",
        ]
        for message in messages
    ]
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)
