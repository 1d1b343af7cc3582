"""How each carrier does, for the start page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db.models import Count, Max, Min
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from evncare.admin import grouped
from evncare.desk.start import counts, messages
from evncare.desk.start.messages import Reply
from sms.admin.control import health
from sms.models import CarrierState, InboundMessage

RATE_OVER = timedelta(minutes=15)


@dataclass(frozen=True)
class Carrier:
    """How a carrier does: ``rate`` is messages a minute."""

    name: str
    state: SafeString
    rate: str
    last_message: str
    last_reply: str


def rows(counted: counts.Counts, replies: Sequence[Reply], now: datetime) -> list[Carrier]:
    """How each configured carrier does. The rate is of the past quarter of an hour, or less of a busier one."""
    states = CarrierState.objects.in_bulk()
    received = InboundMessage.objects.order_by()
    latest = received.filter(received_at__gte=now - RATE_OVER).order_by("-received_at").values("pk")[: messages.LATEST]
    groups = received.filter(pk__in=latest).values_list("carrier")
    came = {
        carrier: (count, first, last)
        for carrier, count, first, last in groups.annotate(Count("pk"), Min("received_at"), Max("received_at"))
    }
    busy = sum(count for count, _first, _last in came.values()) == messages.LATEST
    over = now - min(first for _count, first, _last in came.values()) if busy else RATE_OVER
    minutes = max(over, timedelta(seconds=1)).total_seconds() / 60
    sent: dict[str, datetime] = {}
    for reply in replies:
        if reply.sent_at:
            sent[reply.carrier] = max(reply.sent_at, sent.get(reply.carrier, reply.sent_at))
    return [
        Carrier(
            name,
            health(states.get(name), now),
            _rate(came[name][0] / minutes if name in came else 0),
            _moment(came[name][2]) if name in came else _day(counted.last_days.get(name)),
            _moment(sent[name]) if name in sent else _("none lately"),
        )
        for name in settings.SMS_CARRIERS
    ]


def _rate(messages_a_minute: float) -> str:
    """In tenths where that matters."""
    return grouped(Decimal(str(round(messages_a_minute, 1 if messages_a_minute < 10 else None))))


def _moment(at: datetime) -> str:
    return date_format(timezone.localtime(at), "H:i:s")


def _day(day: date | None) -> str:
    return date_format(day, "SHORT_DATE_FORMAT") if day else _("none in the past 30 days")
