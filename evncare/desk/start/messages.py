"""The start page's figures of messages: today, the time to answer, and what may need somebody."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from evncare.admin import grouped
from evncare.desk.metrics import oldest_unanswered_seconds
from evncare.desk.start import counts
from evncare.desk.views import LONGEST_WAIT_SECONDS
from evncare.imports import pages
from sms.models import InboundMessage, OutboundMessage

MOST_COUNTED = 10_000
LATEST = 1000


def list_of(model: type[InboundMessage] | type[OutboundMessage]) -> str:
    return reverse(f"admin:sms_{model._meta.model_name}_changelist")


@dataclass(frozen=True)
class Reply:
    """One of the latest replies: when its carrier took it, and after how many seconds; None if it has not yet."""

    carrier: str
    sent_at: datetime | None
    seconds: float


def latest_replies(now: datetime) -> list[Reply]:
    """The latest replies of today, so few at most that it is quick on the busiest day."""
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    # First which, then their messages: PostgreSQL would join more of them than are wanted.
    latest = OutboundMessage.objects.filter(created_at__gte=midnight).order_by("-created_at").values("pk")[:LATEST]
    rows = OutboundMessage.objects.filter(pk__in=latest).order_by()
    return [
        Reply(carrier, sent_at, (sent_at - received_at).total_seconds() if sent_at else math.inf)
        for carrier, sent_at, received_at in rows.values_list("carrier", "sent_at", "inbound__received_at")
    ]


def facts(counted: counts.Counts, replies: Sequence[Reply]) -> dict[str, Any]:
    """The figures of today, its messages by question, and the charts; none of these if no message came for a month."""
    if not counted.last_days:
        return {"no_messages": True}
    return {
        "figures": [counts.received(counted), counts.share_answered(counted), time_to_answer(replies)],
        "by_question": counts.by_question(counted, list_of(InboundMessage)),
        "charts": counted.charts,
    }


def time_to_answer(replies: Sequence[Reply]) -> counts.Figure:
    """Within which time half of the latest replies were with the carrier, and within which nearly all of them."""
    times = sorted(reply.seconds for reply in replies if reply.sent_at)
    title = _("Time to answer")
    if not times:
        note = _("none of the latest was sent") if replies else _("no reply was sent today")
        return counts.Figure(title, "–", note)
    note = _("median; 95 %% within %(time)s, of the latest %(count)s sent") % {
        "time": duration(_percentile(times, 95)),
        "count": grouped(len(times)),
    }
    return counts.Figure(title, duration(_percentile(times, 50)), note)


def _percentile(values: Sequence[float], percent: int) -> float:
    """The smallest of the sorted values that so many per cent of them don't exceed."""
    return values[math.ceil(len(values) * percent / 100) - 1]


def duration(seconds: float) -> str:
    """A length of time in its largest unit."""
    if seconds < 10:
        return _("%(count)s s") % {"count": pages.grouped_seconds(max(seconds, 0))}
    if seconds < 120:
        return _("%(count)s s") % {"count": round(seconds)}
    if seconds < 2 * 3600:
        return _("%(count)s min") % {"count": round(seconds / 60)}
    if seconds < 48 * 3600:
        return _("%(count)s h") % {"count": round(seconds / 3600)}
    return _("%(count)s days") % {"count": round(seconds / 86400)}


@dataclass(frozen=True)
class Concern:
    """Messages that may need somebody: how many, with ``level`` as the colour of the number, and where they are."""

    title: str
    count: str
    level: str
    address: str
    note: str = ""


def concerns(user: AbstractUser, now: datetime) -> list[Concern]:
    """What waits and what failed, as far as nobody has settled it."""
    received, replies = InboundMessage.objects.all(), OutboundMessage.objects.all()
    log, states = list_of(InboundMessage), OutboundMessage.State
    waited = oldest_unanswered_seconds(now)
    found = [
        _concern(
            _("Messages waiting for their answer"),
            received.filter(state=InboundMessage.State.WAITING),
            f"{log}?state__exact={InboundMessage.State.WAITING}",
            "bad" if waited > LONGEST_WAIT_SECONDS else "info",
            _("the oldest for %(time)s") % {"time": duration(waited)} if waited else "",
        ),
        _concern(
            _("Messages set aside after failing"),
            received.filter(state=InboundMessage.State.SET_ASIDE, settled_at__isnull=True),
            f"{log}?attention=set_aside",
        ),
    ]
    if user.has_perm("sms.view_outboundmessage"):
        waiting = replies.filter(state=states.WAITING)
        address = f"{list_of(OutboundMessage)}?state__exact={states.WAITING}"
        found.append(_concern(_("Replies waiting to be sent"), waiting, address, "info"))
    for title, state in (
        (_("Replies that may have been sent"), states.UNKNOWN),
        (_("Replies that failed"), states.FAILED),
        (_("Replies that expired"), states.EXPIRED),
    ):
        unsettled = replies.filter(state=state, settled_at__isnull=True)
        found.append(_concern(title, unsettled, f"{log}?attention={state.lower()}"))
    return found


def _concern(title: str, rows: QuerySet[Any], address: str, level: str = "bad", note: str = "") -> Concern:
    count = rows.order_by()[: MOST_COUNTED + 1].count()
    told = _("more than %(count)s") % {"count": grouped(MOST_COUNTED)} if count > MOST_COUNTED else grouped(count)
    return Concern(title, told, level if count else "", address, note)
