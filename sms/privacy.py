"""Personal data in the message log: erased by age, exported and erased on request, each with a record of it.

An erased message keeps what can be counted (state, outcome, keyword, period, carrier, times, segments, charge) and
the carrier's id, by which a repeat of it is still a duplicate. It loses number, text, payload and customer code, and
the carrier's words about it, which may quote them. docs/decisions/personal-data.md says why.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from evncare import phones
from sms.models import BlockedSender, Handling, InboundMessage, Move, OutboundMessage, PrivacyAction

BATCH_SIZE = 1000
ERASED = "erased"
Kind = PrivacyAction.Kind


class RequestRefused(Exception):
    """The request can't be carried out as it stands; the text says why, without the number."""


@dataclass(frozen=True)
class Subject:
    """Whose data: one customer's, by code, or one phone's, by its canonical number."""

    customer: str = ""
    phone: str = ""

    @property
    def hash(self) -> str:
        """What stands for the subject in records: comparable by us, meaningless without SECRET_KEY."""
        return salted_hmac("sms.privacy", f"{self.customer}/{self.phone}", algorithm="sha256").hexdigest()

    def is_named_in(self, text: str) -> bool:
        if self.customer:
            return self.customer in text.upper()
        return self.phone[-9:] in re.sub(r"\D", "", text)


@dataclass(frozen=True)
class Erased:
    """How many messages were erased, and how many are still being answered and have to be erased later."""

    rows: int
    in_progress: int


def subject(*, customer: str | None = None, phone: str | None = None) -> Subject:
    """The subject that a person names; raises RequestRefused."""
    if (customer is None) == (phone is None):
        raise RequestRefused(_("name either a customer or a phone"))
    if customer is not None:
        code = customer.strip().upper()
        if not re.fullmatch(r"[A-Z0-9]{6,13}", code):
            raise RequestRefused(_("this is not a customer code"))
        return Subject(customer=code)
    number = phones.canonical(phone or "")
    if number is None:
        raise RequestRefused(_("this is not a phone number"))
    return Subject(phone=number)


def export(whose: Subject, *, reason: str, by: str, now: datetime) -> tuple[int, Iterator[dict[str, Any]]]:
    """All that the log holds of the subject: how many messages, and each as plain values. It is recorded first."""
    ids = _ids(_messages_of(whose))
    _record(Kind.EXPORT, whose, reason, by, now, len(ids))
    return len(ids), _described(ids)


def erase(whose: Subject, *, reason: str, by: str, now: datetime) -> Erased:
    """Erase all that the log holds of the subject, less what is being answered at this moment."""
    record = _record(Kind.ERASE, whose, reason, by, now, 0)
    for ids in _batches(_ids(_settled(_messages_of(whose)))):
        with transaction.atomic():
            rows = _erase(_settled(InboundMessage.objects.filter(pk__in=ids).order_by("pk")), now)
            PrivacyAction.objects.filter(pk=record.pk).update(rows=F("rows") + rows)
    if whose.phone:
        # A block in force protects others; whoever lifts it removes the number too.
        BlockedSender.objects.filter(sender=whose.phone, until__lte=now).delete()
    record.refresh_from_db()
    return Erased(record.rows, _messages_of(whose).count())


def forget_old(*, now: datetime) -> int:
    """Erase one batch of the messages past their age, oldest first, and return how many; 0 means none is left."""
    before = now - timedelta(days=settings.SMS_RETENTION_DAYS)
    BlockedSender.objects.filter(until__lt=before).delete()
    with transaction.atomic():
        old = InboundMessage.objects.filter(erased_at__isnull=True, received_at__lt=before).order_by("received_at")
        rows = _erase(old[:BATCH_SIZE], now)
        if rows:
            _count_retention(rows, now)
    return rows


def _count_retention(rows: int, now: datetime) -> None:
    """Add to the day's record: a day has one, however many batches it takes."""
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    todays = PrivacyAction.objects.filter(kind=Kind.RETENTION, at__gte=midnight).values_list("pk", flat=True)[:1]
    if not PrivacyAction.objects.filter(pk__in=list(todays)).update(rows=F("rows") + rows, at=now):
        reason = f"received more than {settings.SMS_RETENTION_DAYS} days ago"
        PrivacyAction.objects.create(kind=Kind.RETENTION, reason=reason, by="SMS_RETENTION_DAYS", at=now, rows=rows)


def _erase(messages: QuerySet[InboundMessage], now: datetime) -> int:
    """Erase these messages and their replies in the caller's transaction; return how many."""
    ids = _ids(messages.select_for_update(of=("self",)))
    InboundMessage.objects.filter(pk__in=ids).update(sender="", text="", payload=b"", customer_code="", erased_at=now)
    OutboundMessage.objects.filter(inbound__in=ids).update(recipient="", text="", failure="")
    # What staff wrote may name the customer; a reason has to remain.
    Handling.objects.filter(message__in=ids).update(reason="…")
    # A carrier's answer, which is a cause, may quote the number.
    Move.objects.filter(inbound__in=ids).update(cause=ERASED)
    Move.objects.filter(outbound__in=OutboundMessage.objects.filter(inbound__in=ids)).update(cause=ERASED)
    return len(ids)


def _messages_of(whose: Subject) -> QuerySet[InboundMessage]:
    messages = InboundMessage.objects.order_by("pk")
    if whose.phone:
        return messages.filter(sender=whose.phone)
    # Also where the code stands in a text that was not understood: no index knows that, so this reads the whole log.
    return messages.filter(Q(customer_code=whose.customer) | Q(text__icontains=whose.customer))


def _settled(messages: QuerySet[InboundMessage]) -> QuerySet[InboundMessage]:
    """Those of the messages that nothing will be done about without their number any more."""
    working = OutboundMessage.objects.filter(state__in=("WAITING", "SENDING")).values("inbound_id")
    return messages.exclude(state=InboundMessage.State.WAITING).exclude(pk__in=working)


def _record(kind: Kind, whose: Subject, reason: str, by: str, now: datetime, rows: int) -> PrivacyAction:
    if not reason.strip() or not by.strip():
        raise RequestRefused(_("a reason and a name are needed"))
    if whose.is_named_in(reason):
        raise RequestRefused(_("the reason names the customer or phone, which its record must not hold"))
    return PrivacyAction.objects.create(
        kind=kind, subject=whose.hash, reason=reason.strip()[:200], by=by.strip()[:150], at=now, rows=rows
    )


def _ids(messages: QuerySet[InboundMessage]) -> list[int]:
    return list(messages.values_list("pk", flat=True))


def _batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), BATCH_SIZE):
        yield ids[start : start + BATCH_SIZE]


MESSAGE_FIELDS = (
    "id", "carrier", "message_id", "sender", "short_code", "text", "operator", "sent_at", "received_at", "state",
    "keyword", "customer_code", "ky", "month", "year", "outcome", "refusal", "concluded_at", "follows_id", "settled_at",
)  # fmt: skip
REPLY_FIELDS = (
    "reference", "carrier", "recipient", "text", "segments", "charge", "created_at", "state", "sent_at", "reported_at",
    "carrier_message_id", "failure",
)  # fmt: skip


def _described(ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    for batch in _batches(ids):
        messages = (
            InboundMessage.objects.filter(pk__in=batch)
            .order_by("pk")
            .prefetch_related("moves", "handlings", "reply__moves")
        )
        for message in messages:
            reply = getattr(message, "reply", None)
            yield {
                **_plain(message, MESSAGE_FIELDS),
                "payload": bytes(message.payload).decode("utf-8", "backslashreplace"),
                "moves": _moves(message),
                "handlings": [_plain(handling, ("kind", "at", "reason")) for handling in message.handlings.all()],
                "reply": {**_plain(reply, REPLY_FIELDS), "moves": _moves(reply)} if reply else None,
            }


def _moves(row: InboundMessage | OutboundMessage) -> list[dict[str, Any]]:
    return [_plain(move, ("before", "after", "at", "cause")) for move in row.moves.all()]


def _plain(row: Any, fields: Sequence[str]) -> dict[str, Any]:
    values = ((name, getattr(row, name)) for name in fields)
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values}
