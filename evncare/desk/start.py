"""The start page: how the service does, at a glance. Each part is for those who may open the pages that it links to.

Messages are told from their hourly counts, and otherwise by a few looks into an index that stop at a limit: the page
takes the same time whatever the day was like.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db.models import Count, Max, Min, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from evncare.admin import grouped, tag
from evncare.desk import counts, navigation
from evncare.desk.metrics import oldest_unanswered_seconds
from evncare.desk.views import LONGEST_WAIT_SECONDS
from evncare.imports import pages
from evncare.imports.declarations import Export, declared_exports
from evncare.imports.models import ImportRun
from evncare.imports.pulse import DEAD_AFTER
from sms import statistics
from sms.admin.control import health
from sms.models import CarrierState, InboundMessage, OutboundMessage

MOST_COUNTED = 10_000
LATEST = 1000
RATE_OVER = timedelta(minutes=15)
MOST_RUNS, RUNS_SHOWN = 100, 10
WORKER_MISSED_AFTER = timedelta(minutes=5)


def page(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the start page shows, on top of the admin's own context."""
    now = timezone.now()
    user: AbstractUser = request.user  # type: ignore[assignment]  # nobody else comes into the admin
    of_messages, of_carriers = user.has_perm("sms.view_inboundmessage"), user.has_perm("sms.view_carrierstate")
    parts: dict[str, Any] = {}
    if of_messages or of_carriers:
        counted_at = statistics.refresh_if_stale(now=now)
        counted, replies = counts.counts(now), latest_replies(now)
        if of_messages:
            parts |= messages(counted, replies) | {"counted_at": counted_at, "concerns": concerns(user, now)}
        if of_carriers:
            parts["carriers"] = carriers(counted, replies, now)
    if user.has_perm("imports.view_importrun"):
        parts |= imports(user, now)
    has_pages = any(section["items"] for section in navigation.sections(request))
    parts |= {"now": now, "shortcuts": shortcuts(user), "has_parts": bool(parts), "has_pages": has_pages}
    return context | {"start": parts}


def shortcuts(user: AbstractUser) -> list[tuple[str, str]]:
    """The titles and addresses of what agents open most."""
    log, outages = _list_of(InboundMessage), reverse("admin:outages_outage_changelist")
    known = (
        ("sms.try_inboundmessage", _("Try a message"), reverse("admin:sms_try")),
        ("sms.view_inboundmessage", _("Messages of today"), f"{log}?day=today"),
        ("outages.view_outage", _("Outages running now"), f"{outages}?stage=running"),
    )
    return [(title, address) for right, title, address in known if user.has_perm(right)]


def _list_of(model: type[InboundMessage] | type[OutboundMessage]) -> str:
    return reverse(f"admin:sms_{model._meta.model_name}_changelist")


# Messages


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


def messages(counted: counts.Counts, replies: Sequence[Reply]) -> dict[str, Any]:
    """The figures of today, its messages by question, and the charts; none of these if no message came for a month."""
    if not counted.last_days:
        return {"no_messages": True}
    return {
        "figures": [counts.received(counted), counts.share_answered(counted), time_to_answer(replies)],
        "by_question": counts.by_question(counted, _list_of(InboundMessage)),
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
    log, states = _list_of(InboundMessage), OutboundMessage.State
    waited = oldest_unanswered_seconds(now)
    found = [
        _concern(
            _("Messages waiting for their answer"),
            received.filter(state=InboundMessage.State.WAITING),
            f"{log}?attention=waiting",
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
        address = f"{_list_of(OutboundMessage)}?state__exact={states.WAITING}"
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


# Carriers


@dataclass(frozen=True)
class Carrier:
    """How a carrier does: ``rate`` is messages a minute."""

    name: str
    state: SafeString
    rate: str
    last_message: str
    last_reply: str


def carriers(counted: counts.Counts, replies: Sequence[Reply], now: datetime) -> list[Carrier]:
    """How each configured carrier does. The rate is of the past quarter of an hour, or less of a busier one."""
    states = CarrierState.objects.in_bulk()
    received = InboundMessage.objects.order_by()
    latest = received.filter(received_at__gte=now - RATE_OVER).order_by("-received_at").values("pk")[:LATEST]
    groups = received.filter(pk__in=latest).values_list("carrier")
    came = {
        carrier: (count, first, last)
        for carrier, count, first, last in groups.annotate(Count("pk"), Min("received_at"), Max("received_at"))
    }
    busy = sum(count for count, _first, _last in came.values()) == LATEST
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


# Imports


LEVELS = ("bad", "info", "warn")  # what is stuck or failed, what goes on by itself, what waits for somebody


@dataclass(frozen=True)
class Run:
    """An import that somebody should know of: ``share`` of 0 to 1 is how far it is, None if it can't be told."""

    title: str
    address: str
    level: str
    state: SafeString
    note: str
    share: float | None


@dataclass(frozen=True)
class Kind:
    """One kind of data: where to import it or to see its imports, and how fresh it is."""

    title: str
    address: str
    loaded: str
    freshness: SafeString


def imports(user: AbstractUser, now: datetime) -> dict[str, Any]:
    """The imports that are under way, wait for somebody, or failed today, and how old each kind of data is."""
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    states = ImportRun.State
    unfinished = (*ImportRun.WORK, *ImportRun.WORK.values(), states.READY, states.SECOND_PERSON)
    failed = Q(state=states.FAILED) & (Q(created_at__gte=midnight) | Q(work_started_at__gte=midnight))
    rows = list(ImportRun.objects.filter(Q(state__in=unfinished) | failed).defer("sample", "covered")[:MOST_RUNS])
    loaded = dict(ImportRun.objects.loaded().order_by().values_list("kind").annotate(Max("loaded_at")))
    busy = any(run.state in ImportRun.WORK.values() for run in rows)
    return {
        "runs": sorted((_run(run, busy, now) for run in rows), key=lambda run: LEVELS.index(run.level))[:RUNS_SHOWN],
        "has_more_runs": len(rows) > RUNS_SHOWN,
        "kinds": [_kind(export, loaded.get(name), user, now) for name, export in declared_exports().items()],
        "nothing_imported": not loaded,
    }


def _run(run: ImportRun, busy: bool, now: datetime) -> Run:
    title = f"{pages.kind_name(run.export)}: {run.file_name}"
    address = reverse("admin:imports_importrun_change", args=[run.pk])
    problem = _problem(run, busy, now)
    level = "bad" if problem else "info" if run.is_waiting_or_at_work else "warn"
    share = None
    if run.state in ImportRun.WORK.values() and run.rows_expected:
        share = min(run.rows_read / run.rows_expected, 1.0)
    return Run(title, address, level, tag(level, run.get_state_display()), problem or run.failure, share)


def _problem(run: ImportRun, busy: bool, now: datetime) -> str:
    """Why the run doesn't go on by itself as it should; else empty."""
    if run.state == ImportRun.State.FAILED:
        return run.failure
    if run.state in ImportRun.WORK.values():
        silent = run.heartbeat_at is not None and now - run.heartbeat_at > 2 * DEAD_AFTER
        return _("It shows no sign of life: does a worker run?") if silent else ""
    if run.state in (ImportRun.State.WAITING, ImportRun.State.CONFIRMED) and not busy:
        moments = (run.created_at, run.checked_at, run.confirmed_at, run.heartbeat_at)
        if now - max(filter(None, moments)) > WORKER_MISSED_AFTER:
            return _("No worker has taken it yet: does one run?")
    return ""


def _kind(export: Export, loaded_at: datetime | None, user: AbstractUser, now: datetime) -> Kind:
    if pages.may_import(user, export):
        address = reverse(pages.upload_url_name(export))
    else:
        address = f"{reverse('admin:imports_importrun_changelist')}?kind={export.name}"
    if loaded_at is None:
        freshness = tag("warn", _("never loaded"))
    elif export.due_after and now - loaded_at > export.due_after:
        freshness = tag("warn", _("load is due"))
    else:
        freshness = tag("good", _("up to date"))
    loaded = date_format(timezone.localtime(loaded_at), "SHORT_DATETIME_FORMAT") if loaded_at else "–"
    return Kind(pages.kind_name(export), address, loaded, freshness)
