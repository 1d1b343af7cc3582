"""What is known of one customer, as their page tells it. What SMS tells too comes from the queries that answer SMS."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from billing import queries as billing
from evncare.desk.charts import BarChart, Series, bars
from evncare.imports import pages
from evncare.imports.declarations import declared_exports
from evncare.imports.models import ImportRun
from evncare.periods import Period
from outages import queries as outages
from outages.models import Outage
from sms.models import InboundMessage

MONTHS = 24
MOST_MESSAGES = 50


def facts_for(user: Any, account: billing.Account, now: datetime) -> dict[str, Any]:
    """The parts of the page that this person may see, by name: see PARTS."""
    return {part.name: part.find(account, now) for part in PARTS if user.has_perm(part.right)}


# Parts. Each finds the facts of an account as of a moment, with a fixed number of queries.


@dataclass(frozen=True)
class Debts:
    """What is owed, the latest period first. ``since`` is the oldest period; ``due_date`` the first that is known."""

    periods: list[billing.Owed]
    total: int
    since: Period | None
    due_date: date | None
    is_overdue: bool


def debts(account: billing.Account, now: datetime) -> Debts:
    owed = billing.unpaid([account.code]).get(account.code, [])
    due_date = min((o.due_date for o in owed if o.due_date), default=None)
    return Debts(
        periods=owed,
        total=sum(o.total for o in owed),
        since=owed[-1].period if owed else None,
        due_date=due_date,
        is_overdue=due_date is not None and due_date < timezone.localdate(now),
    )


@dataclass(frozen=True)
class NextReading:
    """When the meters are read next; while only past dates are known the last of these, which is not ``is_coming``."""

    period: Period
    reading_date: date
    is_coming: bool


def next_reading(account: billing.Account, now: datetime) -> NextReading | None:
    today = timezone.localdate(now)
    periods = billing.scheduled_periods([account]).get(account, [])
    months = dict.fromkeys(billing.AccountMonth(account, p.year, p.month) for p in periods)
    found = billing.reading_dates(list(months)[:MONTHS])
    dates = sorted(_facts(found), key=lambda s: (s.reading_date, s.period.sort_key))
    for scheduled in dates:
        if scheduled.reading_date >= today:
            return NextReading(scheduled.period, scheduled.reading_date, is_coming=True)
    return NextReading(dates[-1].period, dates[-1].reading_date, is_coming=False) if dates else None


@dataclass(frozen=True)
class Interruption:
    """One interruption that runs, or is to come within outages.HORIZON."""

    start_at: datetime
    end_at: datetime | None
    kind: str
    reason: str
    is_running: bool


def interruptions(account: billing.Account, now: datetime) -> list[Interruption]:
    reach = outages.Reach(account.code, account.station)
    kinds = dict(Outage.Kind.choices)
    return [
        Interruption(i.start_at, i.end_at, str(kinds.get(i.kind, i.kind)), i.reason, i.is_running(now))
        for i in outages.interruptions([reach], now).get(reach, [])
    ]


def bills(account: billing.Account, now: datetime) -> list[billing.Bill]:
    """The latest first."""
    return _of_two_years(billing.bills, billing.billed_periods, account, now)


def readings(account: billing.Account, now: datetime) -> list[billing.RegisterReading]:
    """The latest period first; within it by meter and register."""
    return _of_two_years(billing.readings, billing.read_periods, account, now)


def messages(account: billing.Account, now: datetime) -> list[InboundMessage]:
    """What was asked about this account, and what its phones asked about any, with the replies; the latest first."""
    theirs = Q(customer_code=account.code)
    if account.phones:
        theirs |= Q(sender__in=account.phones)
    rows = InboundMessage.objects.filter(theirs).select_related("reply").defer("payload")
    return list(rows.order_by("-received_at", "-pk")[:MOST_MESSAGES])


@dataclass(frozen=True)
class Part:
    """A part of the page: who has the ``right`` sees what ``find`` finds of an account as of a moment."""

    name: str
    right: str
    find: Callable[[billing.Account, datetime], Any]


PARTS = (
    Part("debts", "billing.view_debt", debts),
    Part("next_reading", "billing.view_readingschedule", next_reading),
    Part("interruptions", "outages.view_outage", interruptions),
    Part("bills", "billing.view_invoice", bills),
    Part("readings", "billing.view_meterreading", readings),
    Part("messages", "sms.view_inboundmessage", messages),
)


def _of_two_years(
    find: Callable[[Collection[billing.AccountMonth]], Mapping[billing.AccountMonth, Sequence[Any]]],
    periods: Callable[[Collection[billing.Account]], Mapping[billing.Account, Sequence[Period]]],
    account: billing.Account,
    now: datetime,
) -> list[Any]:
    """The facts of 24 months back from today, or where these are empty, back from the newest month that has any.

    The latest period comes first. Looking back from today is tried first, as it is far cheaper than to ask for all
    periods.
    """
    today = timezone.localdate(now)
    found = find(months_back(account, today.year, today.month))
    if not found and (known := periods([account]).get(account)):
        found = find(months_back(account, known[0].year, known[0].month))
    # Stable: the facts of one period stay in their order.
    return sorted(_facts(found), key=lambda fact: fact.period.sort_key, reverse=True)


def months_back(account: billing.Account, year: int, month: int) -> list[billing.AccountMonth]:
    """This month and those before it, 24 in all."""
    last = year * 12 + month - 1
    return [billing.AccountMonth(account, m // 12, m % 12 + 1) for m in range(last, last - MONTHS, -1)]


def _facts(found: Mapping[billing.AccountMonth, Iterable[Any]]) -> list[Any]:
    return [fact for facts in found.values() for fact in facts]


# How fresh all this is


@dataclass(frozen=True)
class Load:
    """A kind of data, and the run that loaded it last, if any did."""

    title: str
    run: ImportRun | None
    by: str
    may_import: bool
    upload_url_name: str


def loads(user: Any) -> list[Load]:
    """Every kind of data, with its last load."""
    kinds = declared_exports()
    is_latest = Q(pk__in=())
    for kind in kinds:
        is_latest |= Q(pk=Subquery(ImportRun.objects.of_kind(kind).loaded().values("pk")[:1]))
    unneeded = ("sample", "sums", "covered", "notes", "reasons", "control_totals")
    rows = ImportRun.objects.filter(is_latest).select_related("created_by").defer(*unneeded)
    runs = {run.kind: run for run in rows}
    return [
        Load(
            title=pages.kind_name(export),
            run=(run := runs.get(kind)),
            by=str(run.created_by or run.get_source_display()) if run else "",
            may_import=pages.may_import(user, export),
            upload_url_name=pages.upload_url_name(export),
        )
        for kind, export in kinds.items()
    ]


# Charts

COLOURS = {
    "KT": "#2563eb", "BT": "#2563eb", "CD": "#d97706", "TD": "#16a34a", "SG": "#6b7280", "VC": "#9333ea",
}  # fmt: skip
OTHER_COLOUR = "#db2777"
REACTIVE = "VC"


def bills_chart(shown: Sequence[billing.Bill]) -> BarChart:
    """Bars of what each period cost, the earliest first; reactive energy beside it where there is any."""
    in_time = shown[::-1]
    series = [Series(_("Bill (VND)"), COLOURS["KT"], [bill.total for bill in in_time])]
    if any(bill.reactive for bill in shown):
        series.append(Series(_("Reactive energy (VND)"), COLOURS[REACTIVE], [bill.reactive for bill in in_time]))
    return bars([str(bill.period) for bill in in_time], series)


def consumption_chart(shown: Sequence[billing.RegisterReading]) -> BarChart:
    """Bars of what each register counted in each period, the earliest first; the registers of several meters added."""
    counted: dict[str, dict[Period, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for reading in shown:
        counted[reading.register][reading.period] += reading.consumption
    periods = sorted({reading.period for reading in shown}, key=lambda period: period.sort_key)
    series = [
        Series(
            f"{register} ({'kvarh' if register == REACTIVE else 'kWh'})",
            COLOURS.get(register, OTHER_COLOUR),
            [float(counted[register][period]) if period in counted[register] else None for period in periods],
        )
        for register in sorted(counted, key=lambda register: (billing.REGISTER_ORDER.get(register, 99), register))
    ]
    return bars([str(period) for period in periods], series)
