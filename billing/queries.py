"""The read door of billing: what an SMS, or a page, tells of an account. Everyone reads the same facts here.

Every function answers for a whole batch of accounts at once, with a fixed number of queries.
Money is whole VND; readings and consumption are exact decimals (kWh, or kvarh for register VC).
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Max, Min, Model, Q, QuerySet, Value
from django.db.models.functions import Concat

from billing.models import Customer, Debt, InPeriod, Invoice, MeterReading, ReadingSchedule
from evncare.periods import Period
from evncare.search import begins
from evncare.text import words


@dataclass(frozen=True)
class Account:
    """A customer as other facts hang on it. ``phones`` are canonical numbers."""

    code: str
    unit: str
    book: str
    station: str
    phones: tuple[str, ...]


@dataclass(frozen=True)
class AccountMonth:
    """An account in a month: what a question about a period is looked up by, whichever kỳ it names."""

    account: Account
    year: int
    month: int


@dataclass(frozen=True)
class ScheduledReading:
    period: Period
    reading_date: date


@dataclass(frozen=True)
class RegisterReading:
    period: Period
    meter: str
    register: str
    multiplier: Decimal
    old: Decimal
    new: Decimal
    consumption: Decimal


@dataclass(frozen=True)
class Bill:
    """What a period costs, net of every adjustment of its bills. ``reactive`` is billed separately."""

    period: Period
    total: int
    reactive: int


@dataclass(frozen=True)
class Owed:
    """What is unpaid of a period's bills, without and as tax. ``due_date`` is the first that is known of them."""

    period: Period
    amount: int
    tax: int
    due_date: date | None = None

    @property
    def total(self) -> int:
        return self.amount + self.tax


@dataclass(frozen=True)
class Listed:
    """A customer as a search lists them, by ``meter`` if they were found by one."""

    code: str
    name: str
    address: str
    phones: tuple[str, ...]
    unit: str
    meter: str = ""


EVERY_KY = range(1, 10)
EVERY_MONTH = range(1, 13)
# Single-rate, the three times of use, their sum, reactive; anything newer comes last.
REGISTER_ORDER = {register: place for place, register in enumerate(("KT", "BT", "CD", "TD", "SG", "VC"))}


def accounts(codes: Collection[str]) -> dict[str, Account]:
    """The accounts among ``codes`` that exist, by code."""
    rows = Customer.objects.filter(code__in=set(codes)).values_list("code", "unit", "book", "station", "phones")
    return {
        code: Account(code, unit, book, station, tuple(phones.split())) for code, unit, book, station, phones in rows
    }


def reading_dates(asked: Collection[AccountMonth]) -> dict[AccountMonth, list[ScheduledReading]]:
    """When the meters of these accounts' books are read in these months, by kỳ."""
    by_book: dict[tuple[int, int, str, str], list[AccountMonth]] = defaultdict(list)
    condition = Q(pk__in=())
    for ask in set(asked):
        by_book[ask.year, ask.month, ask.account.unit, ask.account.book].append(ask)
    for year, month, unit, book in by_book:
        condition |= Q(year=year, month=month, ky__in=EVERY_KY, unit=unit, book=book)
    found: dict[AccountMonth, list[ScheduledReading]] = defaultdict(list)
    for row in ReadingSchedule.objects.filter(condition).order_by("ky"):
        for ask in by_book[row.year, row.month, row.unit, row.book]:
            found[ask].append(ScheduledReading(row.period, row.reading_date))
    return found


def readings(asked: Collection[AccountMonth]) -> dict[AccountMonth, list[RegisterReading]]:
    """Every register of every meter of these accounts in these months, by kỳ, meter and register."""
    found: dict[AccountMonth, list[RegisterReading]] = defaultdict(list)
    asks = _by_code_and_month(asked)
    for row in MeterReading.objects.filter(_of_accounts(asked)):
        found[asks[row.customer_id, row.year, row.month]].append(
            RegisterReading(
                row.period, row.meter, row.register, row.multiplier, row.old_reading, row.new_reading, row.consumption
            )
        )
    for rows in found.values():
        rows.sort(key=lambda r: (r.period.sort_key, r.meter, REGISTER_ORDER.get(r.register, 99), r.register, r.old))
    return found


def bills(asked: Collection[AccountMonth]) -> dict[AccountMonth, list[Bill]]:
    """What these accounts were billed for these months, one net bill a kỳ.

    Adjustments are followed from their bill (and from one another), not by the period that they carry.
    """
    asks = _by_code_and_month(asked)
    roots = list(Invoice.objects.filter(_of_accounts(asked), original__isnull=True))
    net = {root.bill_id: root.total for root in roots}
    root_of = {bill_id: bill_id for bill_id in net}
    while root_of:
        adjustments = Invoice.objects.filter(original__in=root_of).values_list(
            "bill_id", "original_id", "adjustment", "total"
        )
        deeper = {}
        for bill_id, original_id, adjustment, total in adjustments:
            deeper[bill_id] = root_of[original_id]
            net[root_of[original_id]] += _signed(adjustment, total)
        root_of = deeper
    sums: dict[tuple[AccountMonth, Period], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for root in roots:
        sums[asks[root.customer_id, root.year, root.month], root.period][root.kind] += net[root.bill_id]
    found: dict[AccountMonth, list[Bill]] = defaultdict(list)
    for (ask, period), by_kind in sorted(sums.items(), key=lambda item: item[0][1].sort_key):
        if Invoice.Kind.ENERGY in by_kind:
            found[ask].append(Bill(period, by_kind[Invoice.Kind.ENERGY], by_kind[Invoice.Kind.REACTIVE]))
    return found


def unpaid(codes: Collection[str]) -> dict[str, list[Owed]]:
    """What these accounts owe, one sum a period, the latest period first."""
    debts: dict[tuple[str, Period], list[Debt]] = defaultdict(list)
    for debt in Debt.objects.filter(customer__in=set(codes), settled_at__isnull=True):
        debts[debt.customer_id, debt.period].append(debt)
    found: dict[str, list[Owed]] = defaultdict(list)
    for (code, period), rows in sorted(debts.items(), key=lambda item: item[0][1].sort_key, reverse=True):
        amount, tax = sum(row.amount for row in rows), sum(row.tax for row in rows)
        if amount + tax:
            due_date = min((row.due_date for row in rows if row.due_date), default=None)
            found[code].append(Owed(period, amount, tax, due_date))
    return found


def scheduled_periods(known: Collection[Account]) -> dict[Account, list[Period]]:
    """The periods for which these accounts' books have a reading date, the latest first."""
    books: dict[tuple[str, str], list[Account]] = defaultdict(list)
    condition = Q(pk__in=())
    for account in set(known):
        books[account.unit, account.book].append(account)
    for unit, book in books:
        condition |= Q(unit=unit, book=book)
    rows = ReadingSchedule.objects.filter(condition, **every_period(ReadingSchedule))
    return _latest_first((account, row.period) for row in rows for account in books[row.unit, row.book])


def read_periods(known: Collection[Account]) -> dict[Account, list[Period]]:
    """The periods for which these accounts have readings, the latest first."""
    return _periods(MeterReading, known)


def billed_periods(known: Collection[Account]) -> dict[Account, list[Period]]:
    """The periods for which these accounts have an energy bill, the latest first."""
    return _periods(Invoice, known, original__isnull=True, kind=Invoice.Kind.ENERGY)


# Searches. Each takes about as long at any size of the tables, whatever is typed.

# A meter has up to five registers a period. So many rows tell the meters of enough customers, or all periods of one.
READINGS_PER_CUSTOMER = 12


def customers_coded(start: str, limit: int) -> list[Listed]:
    """The first customers whose code begins with ``start``."""
    return _listed(Customer.objects.filter(begins("code", start)).order_by("code")[:limit])


def customers_called(start: str, limit: int) -> list[Listed]:
    """Customers with a phone that begins with ``start``, in canonical form (``evncare.phones.beginning``).

    First come, in order, those whose first phone does: they stand together in an index, however many they are. Only if
    they are few, others are looked up by their further phones.
    """
    # Sorted by an expression, so that PostgreSQL finds all of them by the index. For the first few it would rather
    # read the table, as it takes any beginning of a number for common.
    others = Customer.objects.filter(phones__words=start).order_by(Concat("phones", Value("")))
    begun = Customer.objects.filter(begins("phones", start)).order_by("phones")
    return _begun_or_others(begun, others, limit, lambda customer: customer.phones)


def customers_named(text: str, limit: int) -> list[Listed]:
    """Customers by words of name and address, in any order, accented or not, each perhaps only begun.

    First come, in order, those whose name begins with the text. They stand together in an index, so a surname that a
    third of all have costs no more than a rare one. Only if they are few, others are looked up by their words.
    """
    others = Customer.objects.filter(search_text__words=text).order_by()
    begun = Customer.objects.filter(begins("search_text", words(text))).order_by("search_text")
    return _begun_or_others(begun, others, limit, lambda customer: words(f"{customer.name} {customer.address}"))


def _begun_or_others(
    begun: QuerySet[Customer], others: QuerySet[Customer], limit: int, order: Callable[[Listed], Any]
) -> list[Listed]:
    """The first ``limit`` of ``begun``, and if there are fewer, then in ``order`` those of ``others`` that are new."""
    found = _listed(begun[:limit])
    if len(found) < limit:
        known = {customer.code for customer in found}
        found += sorted((customer for customer in _listed(others[:limit]) if customer.code not in known), key=order)
    return found[:limit]


def customers_of_meter(start: str, limit: int) -> list[Listed]:
    """Customers with a reading of a meter whose number begins with ``start``, those read most lately first."""
    rows = (
        MeterReading.objects.filter(begins("meter", start), **every_period(MeterReading))
        .order_by("-year", "-month", "-ky", "-meter")
        .values_list("customer_id", "meter")[: limit * READINGS_PER_CUSTOMER]
    )
    meters: dict[str, str] = {}
    for code, meter in rows:
        meters.setdefault(code, meter)
    by_code = {customer.code: customer for customer in _listed(Customer.objects.filter(code__in=list(meters)[:limit]))}
    return [replace(by_code[code], meter=meter) for code, meter in meters.items() if code in by_code]


def _listed(customers: QuerySet[Customer]) -> list[Listed]:
    rows = customers.values_list("code", "name", "address", "phones", "unit")
    return [Listed(code, name, address, tuple(phones.split()), unit) for code, name, address, phones, unit in rows]


def _signed(adjustment: str, total: int) -> int:
    """An adjustment's effect on its bill. Exports write refunds with or without a minus sign: the kind decides."""
    if adjustment in (Invoice.Adjustment.REFUND, Invoice.Adjustment.CANCELLATION):
        return -abs(total)
    return abs(total)


def _by_code_and_month(asked: Iterable[AccountMonth]) -> dict[tuple[str, int, int], AccountMonth]:
    return {(ask.account.code, ask.year, ask.month): ask for ask in asked}


def _of_accounts(asked: Iterable[AccountMonth]) -> Q:
    """The rows of these accounts in their months. Naming every kỳ lets the index be used to its last column."""
    codes: dict[tuple[int, int], set[str]] = defaultdict(set)
    for ask in asked:
        codes[ask.year, ask.month].add(ask.account.code)
    condition = Q(pk__in=())
    for (year, month), of_month in codes.items():
        condition |= Q(year=year, month=month, ky__in=EVERY_KY, customer__in=of_month)
    return condition


def every_period(model: type[InPeriod]) -> dict[str, Any]:
    """A condition that is always true and walks the index by period instead of reading the whole table."""
    years: Mapping[str, int | None] = _rows(model).aggregate(first=Min("year"), last=Max("year"))
    if years["first"] is None or years["last"] is None:
        return {"year__in": ()}
    return {
        "year__in": range(years["first"], years["last"] + 1),
        "month__in": EVERY_MONTH,
        "ky__in": EVERY_KY,
    }


def _periods(model: type[InPeriod], known: Collection[Account], **condition: Any) -> dict[Account, list[Period]]:
    by_code = {account.code: account for account in known}
    rows = (
        _rows(model)
        .filter(customer__in=by_code, **every_period(model), **condition)
        .values_list("customer_id", "ky", "month", "year")
        .distinct()
    )
    return _latest_first((by_code[code], Period(ky=ky, month=month, year=year)) for code, ky, month, year in rows)


def _rows(model: type[Model]) -> Any:
    return model._default_manager


def _latest_first(pairs: Iterable[tuple[Account, Period]]) -> dict[Account, list[Period]]:
    found: dict[Account, list[Period]] = defaultdict(list)
    for account, period in pairs:
        found[account].append(period)
    for periods in found.values():
        periods.sort(key=lambda period: period.sort_key, reverse=True)
    return found
