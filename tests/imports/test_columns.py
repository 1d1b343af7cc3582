"""What each type of column reads, refuses and writes."""

from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.exports import CUSTOMERS, INVOICES, READINGS
from evncare.imports.columns import Column, ColumnError, guarded
from evncare.imports.declarations import declared_exports
from outages.exports import OUTAGES

CODE = INVOICES.column_of("bill_id")
CUSTOMER = CUSTOMERS.column_of("code")
NAME = CUSTOMERS.column_of("name")
PHONES = CUSTOMERS.column_of("phones")
KY = INVOICES.column_of("ky")
YEAR = INVOICES.column_of("year")
MONEY = INVOICES.column_of("amount")
NUMBER = READINGS.column_of("new_reading")
DATE = INVOICES.column_of("issue_date")
MOMENT = OUTAGES.column_of("start_at")
STATUS = OUTAGES.column_of("status")
KIND = INVOICES.column_of("kind")
ORIGINAL = INVOICES.column_of("original")


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        (CODE, "000123", "000123"),
        (CODE, " hd-12/a_3.4 ", "HD-12/A_3.4"),
        (CODE, "974006.0", "974006"),
        (CODE, "1E5", "1E5"),
        (ORIGINAL, "", None),
        (CUSTOMER, "pp05000974006", "PP05000974006"),
        (CUSTOMER, "PC05II0730790", "PC05II0730790"),
        (NAME, "Nguyễn  Văn\nAn ", "Nguyễn Văn An"),
        (NAME, "Nguye\u0302\u0303n", "Nguyễn"),
        (NAME, "'=1+1", "=1+1"),
        (NAME, "'Hoa Mai'", "'Hoa Mai'"),
        (KY, "1", 1),
        (KY, "09", 9),
        (KY, "3.0", 3),
        (YEAR, "2016", 2016),
        (MONEY, "500550", 500550),
        (MONEY, "-500550", -500550),
        (MONEY, "'-500550", -500550),
        (MONEY, "500550.00", 500550),
        (MONEY, "500550,0", 500550),
        (MONEY, "1.234.567", 1234567),
        (MONEY, "1,234,567", 1234567),
        (MONEY, "500.550,00", 500550),
        (MONEY, "500,550.00", 500550),
        (MONEY, "500 550", 500550),
        (MONEY, "0.000", 0),
        (NUMBER, "10004", Decimal(10004)),
        (NUMBER, "10004.125", Decimal("10004.125")),
        (NUMBER, "1.234", Decimal("1.234")),
        (NUMBER, "10004,5", Decimal("10004.5")),
        (NUMBER, "0,125", Decimal("0.125")),
        (NUMBER, "1.234,5", Decimal("1234.5")),
        (NUMBER, "1,234.5", Decimal("1234.5")),
        (NUMBER, "10004.5000", Decimal("10004.5")),
        (DATE, "", None),
        (DATE, "10/6/2016", date(2016, 6, 10)),
        (DATE, "10-06-2016", date(2016, 6, 10)),
        (DATE, "2016-06-10", date(2016, 6, 10)),
        (DATE, "20160610", date(2016, 6, 10)),
        (DATE, "2016-06-10 00:00:00", date(2016, 6, 10)),
        (DATE, "10/06/2016 14:05", date(2016, 6, 10)),
        (DATE, "42531", date(2016, 6, 10)),
        (MOMENT, "01/10/2016 9:30", datetime(2016, 10, 1, 2, 30, tzinfo=UTC)),
        (MOMENT, "01/10/2016", datetime(2016, 9, 30, 17, 0, tzinfo=UTC)),
        (MOMENT, "2016-10-01T09:30:00", datetime(2016, 10, 1, 2, 30, tzinfo=UTC)),
        (MOMENT, "2016-10-01T09:30:00+07:00", datetime(2016, 10, 1, 2, 30, tzinfo=UTC)),
        (MOMENT, "2016-10-01T02:30:00Z", datetime(2016, 10, 1, 2, 30, tzinfo=UTC)),
        (MOMENT, "42644.395833333336", datetime(2016, 10, 1, 2, 30, tzinfo=UTC)),
        (STATUS, "duyet", "APPROVED"),
        (STATUS, "Đã duyệt", "APPROVED"),
        (STATUS, "CHO_DUYET", "PENDING"),
        (STATUS, "Huỷ", "CANCELLED"),
        (STATUS, "hủy", "CANCELLED"),
        (STATUS, "pending", "PENDING"),
        (KIND, "vc", "VC"),
        (PHONES, "", ""),
        (PHONES, "0905123456", "84905123456"),
        (PHONES, "905123456", "84905123456"),
        (PHONES, "+84 905 123 456", "84905123456"),
        (PHONES, "0905.123.456; 0914 123 456", "84905123456 84914123456"),
        (PHONES, "0905123456,0905123456", "84905123456"),
        (PHONES, "01205123456 / 0236 3221 222", "84705123456 842363221222"),
        (PHONES, "84905123456 84914123456", "84905123456 84914123456"),
    ],
)
def test_a_column_reads(column: Column, cell: str, value: Any) -> None:
    assert column.read(cell) == value


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        (CODE, "", "is empty"),
        (CODE, "1.23456789012346E+15", "was rounded"),
        (CODE, "1,2E+15", "was rounded"),
        (CODE, "12 34", "is not a code"),
        (CODE, "=1+1", "is not a code"),
        (CODE, "9" * 21, "longer than 20"),
        (CUSTOMER, "PP0500097400", "is not a customer code"),
        (CUSTOMER, "PP050009740066", "is not a customer code"),
        (CUSTOMER, "PPO5000974006", "is not a customer code"),
        (CUSTOMER, "PA05000974006", "beginning with PP, PQ, PC"),
        (NAME, " \u00a0", "is empty"),
        (NAME, "a\x07b", "control character"),
        (NAME, "a" * 201, "longer than 200"),
        (KY, "0", "between 1 and 9"),
        (KY, "10", "between 1 and 9"),
        (KY, "1.5", "whole number"),
        (KY, "một", "whole number"),
        (YEAR, "1999", "between 2000 and 2099"),
        (MONEY, "", "is empty"),
        (MONEY, "500.550", "thousands or decimals"),
        (MONEY, "500,550", "thousands or decimals"),
        (MONEY, "500550.5", "VND has none"),
        (MONEY, "1.234.56", "whole VND"),
        (MONEY, "1.234,567.00", "whole VND"),
        (MONEY, "5e5", "whole VND"),
        (MONEY, "#REF!", "whole VND"),
        (MONEY, "9" * 16, "whole VND"),
        (NUMBER, "1,234", "thousands or decimals"),
        (NUMBER, "1.2345", "more than 3 decimals"),
        (NUMBER, "1" * 13, "more than 12 digits"),
        (NUMBER, "NaN", "is not a number"),
        (NUMBER, "1e3", "is not a number"),
        (DATE, "31/02/2016", "calendar"),
        (DATE, "2016-13-01", "calendar"),
        (DATE, "10/06/16", "is not a date"),
        (DATE, "10/06/0216", "years 2000 to 2099"),
        (DATE, "hôm nay", "is not a date"),
        (MOMENT, "01/10/2016 25:00", "calendar"),
        (MOMENT, "10/01/2016 9:30 AM", "is not a date"),
        (STATUS, "có lẽ", "is none of: duyệt, chờ duyệt, huỷ"),
        (KIND, "KT", "is none of: TD, VC"),
        (PHONES, "không có", "is not a phone number"),
        (PHONES, "0905123456; 12", "12 is not a phone number"),
        (PHONES, ";", "is not a phone number"),
        (PHONES, "; ".join(f"09051234{n}" for n in range(10, 20)), "longer than 100"),
    ],
)
def test_a_column_refuses(column: Column, cell: str, reason: str) -> None:
    with pytest.raises(ColumnError, match=reason):
        column.read(cell)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+84", "+84"),
        ("-5", "-5"),
        ("-x", "'-x"),
        ("An", "An"),
    ],
)
def test_no_exported_text_is_a_formula(text: str, written: str) -> None:
    assert guarded(text) == written


def round_trips(column: Column, value: Any) -> bool:
    return bool(column.read(column.write(value)) == value)


printable = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp", "Cf", "Co", "Cn"))
names = st.lists(st.text(printable, min_size=1, max_size=20), min_size=1, max_size=4).map(" ".join)


@given(names)
def test_text_reads_back_as_it_was_written(text: str) -> None:
    value = NAME.read(guarded(text))
    assert round_trips(NAME, value)


@given(st.text("0123456789ABCDEFXYZ", min_size=1, max_size=20))
def test_codes_read_back_as_they_were_written(code: str) -> None:
    assert round_trips(CODE, code)


@given(st.integers(-(10**15) + 1, 10**15 - 1))
def test_money_reads_back_as_it_was_written(amount: int) -> None:
    assert round_trips(MONEY, amount)


@given(st.decimals(Decimal("-999999999999.999"), Decimal("999999999999.999"), places=3))
def test_numbers_read_back_as_they_were_written(number: Decimal) -> None:
    assert round_trips(NUMBER, number)


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_dates_read_back_as_they_were_written(day: date) -> None:
    assert round_trips(DATE, day)


@given(st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001
def test_moments_read_back_to_the_second(moment: datetime) -> None:
    assert round_trips(MOMENT, moment.replace(microsecond=0))


@given(st.lists(st.from_regex(r"84(3|5|7|8|9)[0-9]{8}", fullmatch=True), max_size=8, unique=True).map(" ".join))
def test_phones_read_back_as_they_were_written(phones: str) -> None:
    assert round_trips(PHONES, phones)


@given(st.text(max_size=60))
def test_no_text_makes_a_column_fail_otherwise_than_by_its_own_error(cell: str) -> None:
    for column in (CODE, CUSTOMER, NAME, PHONES, KY, MONEY, NUMBER, DATE, MOMENT, STATUS):
        with suppress(ColumnError):
            column.read(cell)


EVERY_COLUMN = [column for export in declared_exports().values() for column in export.columns]
CELLS = (
    "", " ", "0", "007", "-5", "+5", "386", "386.50", "1234567890123456", "500.550", "1E+12", "12.0", "a.0",
    "HD-12/A_3", "hd1", "PP05000974006", "PA05000974006", "pp05000974006", "0905123456", "84905123456", "Nguyễn Văn An",
    "Nguye\u0302\u0303n", "a  b", " a", "a\nb", "'=1+1", "=1+1", "\u212bngstr\u00f6m", "1" * 31, "x" * 301,
    "31/12/2016", "TD", "duyệt",
)  # fmt: skip
NUMBERS = st.from_regex(r"\A-?[0-9]{1,17}(\.[0-9]{1,4})?\Z")


def read_alone(column: Column, cell: str) -> tuple[Any, str | None]:
    """The value, and why there is none."""
    try:
        return column.read(cell), None
    except ColumnError as error:
        return None, str(error)


def read_together(column: Column, cells: list[str]) -> list[tuple[Any, str | None]]:
    values, problems = column.reader()(cells)
    return [(value, problems.get(place)) for place, value in enumerate(values)]


@pytest.mark.parametrize("column", EVERY_COLUMN, ids=lambda column: column.name)
@given(cells=st.lists(st.sampled_from(CELLS) | st.text(max_size=20) | NUMBERS))
def test_many_cells_are_read_as_each_alone(column: Column, cells: list[str]) -> None:
    assert read_together(column, cells) == [read_alone(column, cell) for cell in cells]


@pytest.mark.parametrize("column", EVERY_COLUMN, ids=lambda column: column.name)
def test_plain_cells_are_read_as_each_alone(column: Column) -> None:
    for cell in CELLS:  # a list of one kind of cell only, so that no other keeps it from being read at once
        assert read_together(column, [cell, cell]) == [read_alone(column, cell)] * 2


def test_a_number_that_stays_text_is_the_same_number() -> None:
    values, _problems = MONEY.reader(typed=False)(["007", "-5", "500550.00"])
    assert [int(value) for value in values] == [7, -5, 500550]
