"""Fills a PostgreSQL with a corporation's worth of made-up customers, bills and messages, to measure the desk on.

Everything follows from the sizes and the seed. The data ends at UNTIL, so whoever measures travels there. All of it is
one transaction: an interrupted run leaves what was there, and a finished one notes its sizes beside the customers.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from billing.models import Customer, Debt, Invoice, MeterReading, ReadingSchedule
from evncare.imports.models import ImportRun
from outages.models import Outage
from sms.models import CarrierState, CountingState, HourlyCount, InboundMessage, Move, OutboundMessage
from tests.bench.population import accounts, traffic
from tests.bench.population.filling import copy, emptied

UNTIL = datetime(2026, 11, 20, 10, 30, tzinfo=traffic.VIETNAM)  # a Friday
MONTHS_READ = 3
MODELS = (
    Customer, ReadingSchedule, MeterReading, Invoice, Debt, Outage, InboundMessage, OutboundMessage, Move, HourlyCount,
    CountingState, CarrierState, ImportRun,
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    customers: int = 1_000_000
    bills_per_customer: int = 12
    messages: int = 5_000_000
    days: int = 400
    seed: int = 8088


def is_filled(size: Size) -> bool:
    """Whether the database holds exactly this population."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT obj_description(%s::regclass)", [Customer._meta.db_table])
        return bool(cursor.fetchone()[0] == _in_words(size))


def populate(size: Size, tell: Callable[[str], Any] = print) -> None:
    """Replace what the tables hold by the population. Says how far it is."""
    people = accounts.People()
    billed = accounts.months_before(UNTIL.date(), size.bills_per_customer)
    scheduled = [*billed, *accounts.months_before((UNTIL + timedelta(days=61)).date(), 2)]
    started = lap = time.monotonic()

    def done(what: str) -> None:
        nonlocal lap
        now = time.monotonic()
        tell(f"{now - started:6.0f} s  {what} ({now - lap:.0f} s)")
        lap = now

    with emptied(MODELS):
        done("emptied")
        for model, columns, lines in (
            (Customer, accounts.CUSTOMERS, accounts.customers(size.customers, size.seed, people)),
            (Invoice, accounts.INVOICES, accounts.invoices(people, billed)),
            (MeterReading, accounts.READINGS, accounts.readings(people, billed[-MONTHS_READ:])),
            (Debt, accounts.DEBTS, accounts.debts(people, billed[-6:])),
            (ReadingSchedule, accounts.SCHEDULES, accounts.schedules(people, scheduled)),
            (Outage, accounts.OUTAGES, accounts.outages(people, size.seed, UNTIL)),
        ):
            done(f"{copy(model, columns, lines):,} {model._meta.verbose_name_plural}")
        copied = 0
        for number, day in enumerate(traffic.days(size.messages, size.days, size.seed, people, UNTIL), 1):
            copied += copy(InboundMessage, traffic.INBOUND, day.inbound)
            copied += copy(OutboundMessage, traffic.OUTBOUND, day.outbound)
            copied += copy(Move, traffic.MOVES, day.moves)
            if number % 50 == 0:
                done(f"{copied:,} messages, replies and moves")
        _remember_runs(size)
        _count_hours()
        CarrierState.objects.bulk_create(CarrierState(carrier=name, refilled_at=UNTIL) for name in traffic.OPERATORS)
        done("runs, counts and carriers")
        _note(size)
    done("indexed")


def _in_words(size: Size) -> str:
    return json.dumps(asdict(size))


def _note(size: Size) -> None:
    """Write on the table of customers what all the tables hold."""
    with connection.cursor() as cursor:
        cursor.execute(f"COMMENT ON TABLE {Customer._meta.db_table} IS '{_in_words(size)}'")


def _remember_runs(size: Size) -> None:
    """That each kind was loaded last night."""
    loaded = UNTIL - timedelta(hours=6)
    times = {"created_at": loaded, "checked_at": loaded, "confirmed_at": loaded, "loaded_at": loaded, "seconds": 95.0}
    ImportRun.objects.bulk_create(
        ImportRun(
            kind=kind, source="COMMAND_LINE", state="DONE", file_name=f"{kind}.csv", file_size=size.customers * 100,
            sha256=f"{number:064}", rows=size.customers, unchanged=size.customers, **times,
        )
        for number, kind in enumerate(("customers", "schedules", "readings", "invoices", "debts", "outages"), 1)
    )  # fmt: skip


def _count_hours() -> None:
    """What statistics.refresh would come to hour by hour, at once."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO sms_hourlycount (hour, carrier, keyword, result, messages) "
            "SELECT date_trunc('hour', received_at), carrier, keyword, coalesce(nullif(outcome, ''), state), count(*) "
            "FROM sms_inboundmessage GROUP BY 1, 2, 3, 4"
        )
    CountingState.objects.create(until=UNTIL.replace(minute=0) - timedelta(hours=1), counted_at=UNTIL)
