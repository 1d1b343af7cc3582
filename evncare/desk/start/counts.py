"""The hourly counts of messages in the shapes that the start page shows: figures, today by question, and charts."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from evncare.admin import grouped
from evncare.desk.charts import BarChart, Series, bars
from sms import statistics
from sms.models import InboundMessage, Outcome
from sms.statistics import HOUR, OPEN
from sms.syntaxes import SYNTAXES

DAYS = 30
# What becomes of a message, in the order shown. The colours can be told apart on light and dark ground, also by those
# who see few of them.
COLOURS: dict[str, str] = {
    Outcome.ANSWERED: "#3b78e7",
    Outcome.NO_DATA: "#56b4e9",
    Outcome.UNKNOWN_CUSTOMER: "#e69f00",
    Outcome.BAD_SYNTAX: "#cc79a7",
    Outcome.REFUSED: "#8a94a6",
    InboundMessage.State.WAITING: "#d9c22e",
    InboundMessage.State.SET_ASIDE: "#d55e00",
}


@dataclass(frozen=True)
class Figure:
    """One number at a glance, and what to measure it by."""

    title: str
    value: str
    note: str


@dataclass(frozen=True)
class Row:
    """One line of a table: its title, where that leads, and its cells."""

    title: str
    cells: list[str]
    address: str = ""


@dataclass(frozen=True)
class Table:
    columns: list[str]
    rows: list[Row]


@dataclass(frozen=True)
class Chart:
    """A chart, and the same figures as a table, the latest first."""

    title: str
    heading: str
    bars: BarChart
    table: Table


@dataclass(frozen=True)
class Counts:
    """What came in today so far and yesterday until the same hour, each by question and result, and the charts.

    ``last_days`` are the latest days of the past 30 on which each carrier brought a message.
    """

    today: Counter[tuple[str, str]]
    yesterday: Counter[tuple[str, str]]
    until: str
    charts: tuple[Chart, Chart]
    last_days: dict[str, date]


def counts(now: datetime) -> Counts:
    """All that the hourly counts tell as of now, in two queries."""
    hour = timezone.localtime(now).replace(minute=0, second=0, microsecond=0)
    midnight = hour.replace(hour=0)
    hourly = statistics.tally("hour", "keyword", "result", since=midnight - timedelta(days=1))
    first_day = midnight.date() - timedelta(days=DAYS - 1)
    daily = statistics.tally("day", "carrier", "result", since=_start_of(first_day))
    today: Counter[tuple[str, str]] = Counter()
    yesterday: Counter[tuple[str, str]] = Counter()
    by_hour: Counter[tuple[Any, str]] = Counter()
    by_day: Counter[tuple[Any, str]] = Counter()
    last_days: dict[str, date] = {}
    for (of, keyword, result), messages in hourly.items():
        by_hour[of, result] += messages
        if of >= midnight:
            today[keyword, result] += messages
        elif of <= hour - timedelta(days=1):
            yesterday[keyword, result] += messages
    for (day, carrier, result), messages in daily.items():
        by_day[day, result] += messages
        last_days[carrier] = max(day, last_days.get(carrier, day))
    hours = {hour - HOUR * ago: f"{hour - HOUR * ago:%H:%M}" for ago in reversed(range(24))}
    days = {day: date_format(day, "d/m") for day in (first_day + timedelta(days=n) for n in range(DAYS))}
    charts = (
        _chart(_("Past 24 hours"), _("Hour"), hours, by_hour),
        _chart(_("Past 30 days"), _("Day"), days, by_day),
    )
    return Counts(today, yesterday, f"{hour.hour + 1}:00", charts, last_days)


def _start_of(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


# Today


def received(counts: Counts) -> Figure:
    before = {"time": counts.until, "count": grouped(counts.yesterday.total())}
    return Figure(
        _("Messages today"),
        grouped(counts.today.total()),
        _("yesterday until %(time)s: %(count)s") % before,
    )


def share_answered(counts: Counts) -> Figure:
    before = {"time": counts.until, "count": _share(counts.yesterday)}
    return Figure(_("Share answered"), _share(counts.today), _("yesterday until %(time)s: %(count)s") % before)


def _share(messages: Mapping[tuple[str, str], int]) -> str:
    """How many of 100 messages that came to a result got what they asked for."""
    concluded = sum(number for (_keyword, result), number in messages.items() if result not in OPEN)
    if not concluded:
        return "–"
    answered = sum(number for (_keyword, result), number in messages.items() if result == Outcome.ANSWERED)
    return f"{grouped(round(100 * answered / concluded))} %"


def by_question(counts: Counts, log: str) -> Table:
    """Today's messages, a line a question, each leading into the log at the address ``log``."""
    today = counts.today
    keywords = [*SYNTAXES, *sorted({keyword for keyword, _result in today} - {*SYNTAXES, ""}), ""]
    rows = []
    for keyword in keywords:
        of_keyword = [today[keyword, outcome] for outcome in Outcome.values]
        title = f"{keyword} – {SYNTAXES[keyword].title}" if keyword in SYNTAXES else keyword or _("Not understood")
        address = f"{log}?day=today&keyword={keyword or 'none'}"
        rows.append(Row(title, _cells([sum(of_keyword), *of_keyword]), address))
    outcomes = [sum(number for (_k, result), number in today.items() if result == outcome) for outcome in Outcome]
    if open_ones := today.total() - sum(outcomes):
        rows.append(Row(_("Without a result yet"), [grouped(open_ones), *("" for _outcome in outcomes)]))
    rows.append(Row(_("All"), _cells([today.total(), *outcomes]), f"{log}?day=today"))
    return Table([_("Messages"), *(capfirst(str(label)) for label in Outcome.labels)], rows)


def _cells(numbers: Iterable[int]) -> list[str]:
    return [grouped(number) if number else "–" for number in numbers]


# Charts


def _chart(title: str, heading: str, spans: Mapping[Any, str], numbers: Mapping[tuple[Any, str], int]) -> Chart:
    """``spans`` are the hours or days in order, with their names; ``numbers`` the messages by span and result."""
    occur = {result for (span, result), number in numbers.items() if number and span in spans}
    shown = [(result, label) for result, label in _labels().items() if result in occur]
    columns = [[numbers.get((span, result), 0) for span in spans] for result, _label in shown]
    series = [Series(label, COLOURS[result], column) for (result, label), column in zip(shown, columns, strict=True)]
    lines = zip(spans.values(), *columns, strict=True)
    rows = [Row(name, _cells([sum(figures), *figures])) for name, *figures in lines]
    table = Table([_("Messages"), *(label for _result, label in shown)], rows[::-1])
    return Chart(title, heading, bars([*spans.values()], series, stacked=True), table)


def _labels() -> dict[str, str]:
    """Each result that a message can have, in words."""
    labels = dict(Outcome.choices) | dict(InboundMessage.State.choices)
    return {result: capfirst(str(labels[result])) for result in COLOURS}
