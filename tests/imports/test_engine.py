"""Loading: what is taken, what is rejected and why, and that nothing is ever half-written."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.models import Customer, Debt, Invoice, MeterReading
from evncare.imports.errors import FileRefused
from tests import factories
from tests.imports.tables import (
    CUSTOMER,
    DEBT,
    INVOICE,
    OUTAGE,
    READING,
    counts,
    csv_file,
    export_rows,
    gzip_file,
    load,
    moment,
    read_csv,
    stored,
    xlsx_file,
)  # fmt: skip

pytestmark = pytest.mark.django_db

SECOND = "PP05000974007"
OTHER_UNIT = "PC05II0730790"


@pytest.fixture
def customer() -> Customer:
    return factories.customer()


def rejected(path: Path) -> list[tuple[int, str, str]]:
    return [(int(row["LINE"]), row["COLUMN"], row["REASON"]) for row in read_csv(path)]


def test_new_changed_and_unchanged_rows_are_told_apart(tmp_path: Path, customer: Customer) -> None:
    rows = [INVOICE | {"ID_HDON": str(number)} for number in range(1, 6)]
    assert counts(load("invoices", csv_file(tmp_path / "a.csv", rows))) == (5, 0, 0, 0, 0)
    rows[1] |= {"SO_TIEN": "1"}
    rows[2] |= {"NGAY_PHANH": ""}
    rows.append(INVOICE | {"ID_HDON": "6"})
    assert counts(load("invoices", csv_file(tmp_path / "a.csv", rows))) == (1, 2, 3, 0, 0)
    assert Invoice.objects.get(pk="2").amount == 1
    assert Invoice.objects.get(pk="3").issue_date is None
    assert counts(load("invoices", csv_file(tmp_path / "a.csv", rows))) == (0, 0, 6, 0, 0)


def test_a_null_and_a_value_differ_both_ways(tmp_path: Path, customer: Customer) -> None:
    path = tmp_path / "a.csv"
    load("invoices", csv_file(path, [INVOICE | {"NGAY_PHANH": ""}]))
    assert counts(load("invoices", csv_file(path, [INVOICE]))) == (0, 1, 0, 0, 0)
    assert counts(load("invoices", csv_file(path, [INVOICE | {"NGAY_PHANH": ""}]))) == (0, 1, 0, 0, 0)


def test_a_dry_run_counts_the_same_and_changes_nothing(tmp_path: Path, customer: Customer) -> None:
    path = csv_file(tmp_path / "a.csv", [INVOICE, INVOICE | {"ID_HDON": "2", "KY": "0"}])
    assert counts(load("invoices", path, dry_run=True)) == (1, 0, 0, 0, 1)
    assert not Invoice.objects.exists()
    assert counts(load("invoices", path)) == (1, 0, 0, 0, 1)


def test_headers_come_in_any_order_and_case_and_under_their_alias(tmp_path: Path, customer: Customer) -> None:
    names = {"SO_CTO": "ma cto", "HS_NHAN": "hsn", "CHISO_CU": "Cs_Cu", "SAN_LUONG": " DIEN_TTHU "}
    row = {names.get(name, name.lower()): value for name, value in reversed(READING.items())} | {"GHI_CHU": "x", "": ""}
    outcome = load("readings", csv_file(tmp_path / "a.csv", [row]))
    assert counts(outcome) == (1, 0, 0, 0, 0)
    assert outcome.notes == ["Columns not used: GHI_CHU."]
    assert MeterReading.objects.get().meter == "0012"


def test_an_optional_column_that_is_missing_leaves_what_is_stored(tmp_path: Path) -> None:
    factories.customer(email="an@example.vn")
    row = {name: value for name, value in CUSTOMER.items() if name != "EMAIL"} | {"TEN_KHANG": "Nguyễn Văn Bình"}
    assert counts(load("customers", csv_file(tmp_path / "a.csv", [row]))) == (0, 1, 0, 0, 0)
    found = Customer.objects.get()
    assert (found.name, found.email) == ("Nguyễn Văn Bình", "an@example.vn")
    assert found.search_text.startswith("nguyen van binh")


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        ("debts", INVOICE, "no file of debts: the columns TIEN_NO, THUE_NO are missing. It looks like invoices."),
        ("invoices", {"ID_HDON": "1", "MA_KHANG": "2"}, "the columns KY, THANG, NAM, LOAI_HDON"),
        ("readings", READING | {"HSN": "1"}, "HS_NHAN stands there twice"),
        ("customers", {"sai": "1"}, "the columns MA_KHANG"),
    ],
)
def test_a_file_of_the_wrong_kind_is_refused(tmp_path: Path, kind: str, row: dict[str, Any], message: str) -> None:
    with pytest.raises(FileRefused, match=message):
        load(kind, csv_file(tmp_path / "a.csv", [row]))


def test_every_rejected_row_is_reported_once_with_line_column_value_and_reason(
    tmp_path: Path, customer: Customer
) -> None:
    rows = [
        INVOICE,
        INVOICE | {"ID_HDON": "2", "SO_TIEN": "500.550"},
        INVOICE | {"ID_HDON": "3", "MA_KHANG": SECOND},
        INVOICE | {"SO_TIEN": "7"},
        INVOICE | {"ID_HDON": "5", "KY": "0", "THANG": "13"},
        INVOICE | {"ID_HDON": "6", "ID_HDON_GOC": "1001"},
        INVOICE | {"ID_HDON": "7", "ID_HDON_GOC": "9", "LOAI_DCHINH": "TT"},
        INVOICE | {"ID_HDON": "8", "ID_HDON_GOC": "8", "LOAI_DCHINH": "TT"},
        INVOICE | {"ID_HDON": "9", "MA_KHANG": ""},
    ]
    path = csv_file(tmp_path / "a.csv", rows)
    with path.open("a") as file:
        file.write("10,PP05000974006,1\r\n")
        file.write(",".join(INVOICE.values()).replace("1001", "11") + ",,more\r\n")
    outcome = load("invoices", path, rejects=tmp_path / "rejects.csv", sample=20)
    assert counts(outcome) == (1, 0, 0, 0, 10)
    assert rejected(tmp_path / "rejects.csv") == [
        (3, "SO_TIEN", "could mean thousands or decimals: write it without separators"),
        (4, "MA_KHANG", "is not known"),
        (5, "ID_HDON", "repeats the row of line 2"),
        (6, "KY, THANG", "KY is not between 1 and 9; THANG is not between 1 and 12"),
        (7, "ID_HDON_GOC", "an adjustment needs both ID_HDON_GOC and LOAI_DCHINH, another bill neither"),
        (8, "ID_HDON_GOC", "is neither stored nor among the rows taken from this file"),
        (9, "ID_HDON_GOC", "a bill can't adjust itself"),
        (10, "MA_KHANG", "is empty"),
        (11, "THANG", "the row ends before this column: it has 3 cells, the header 13"),
        (12, "", "the row has more cells than the header: 15 instead of 13"),
    ]
    values = [reject.value for reject, _cells in outcome.rejects]
    assert values == ["500.550", SECOND, "1001", "0, 13", "1001", "9", "8", "", "", ""]
    assert outcome.rejects[1][1]["ID_HDON"] == "3"


def test_mended_rejects_load_fully(tmp_path: Path, customer: Customer) -> None:
    bad = CUSTOMER | {"MA_KHANG": SECOND, "TEN_KHANG": "=HYPERLINK(1)", "DTHOAI": "12"}
    load("customers", csv_file(tmp_path / "a.csv", [CUSTOMER, bad], "utf-16", ";"), rejects=tmp_path / "rejects.csv")
    (row,) = read_csv(tmp_path / "rejects.csv")
    assert row["TEN_KHANG"] == "'=HYPERLINK(1)"
    mended = csv_file(tmp_path / "mended.csv", [row | {"DTHOAI": "0905 123 456"}])
    outcome = load("customers", mended)
    assert counts(outcome) == (1, 0, 0, 0, 0)
    assert outcome.notes == []
    assert Customer.objects.get(pk=SECOND).name == "=HYPERLINK(1)"


def test_rejects_of_rejects_name_their_new_lines(tmp_path: Path, customer: Customer) -> None:
    bad = [INVOICE | {"ID_HDON": str(number), "KY": "0"} for number in range(3)]
    load("invoices", csv_file(tmp_path / "a.csv", [INVOICE, *bad]), rejects=tmp_path / "r1.csv")
    load("invoices", tmp_path / "r1.csv", rejects=tmp_path / "r2.csv")
    (first, *_), again = read_csv(tmp_path / "r1.csv"), read_csv(tmp_path / "r2.csv")
    assert list(first) == list(again[0])
    assert [row["LINE"] for row in again] == ["2", "3", "4"]


def test_an_adjustment_and_its_bill_may_stand_in_any_order(tmp_path: Path, customer: Customer) -> None:
    rows = [
        INVOICE | {"ID_HDON": "3", "ID_HDON_GOC": "2", "LOAI_DCHINH": "LL"},
        INVOICE | {"ID_HDON": "2", "ID_HDON_GOC": "1", "LOAI_DCHINH": "HB"},
        INVOICE | {"ID_HDON": "1"},
    ]
    assert counts(load("invoices", csv_file(tmp_path / "a.csv", rows))) == (3, 0, 0, 0, 0)


def test_a_rejected_bill_takes_the_chain_of_its_adjustments_along(tmp_path: Path, customer: Customer) -> None:
    rows = [
        INVOICE | {"ID_HDON": "3", "ID_HDON_GOC": "2", "LOAI_DCHINH": "LL"},
        INVOICE | {"ID_HDON": "2", "ID_HDON_GOC": "1", "LOAI_DCHINH": "HB"},
        INVOICE | {"ID_HDON": "1", "MA_KHANG": SECOND},
        INVOICE | {"ID_HDON": "4"},
    ]
    assert counts(load("invoices", csv_file(tmp_path / "a.csv", rows))) == (1, 0, 0, 0, 3)


def test_a_first_row_that_is_rejected_makes_way_for_its_repetition(tmp_path: Path, customer: Customer) -> None:
    rows = [INVOICE | {"MA_KHANG": SECOND}, INVOICE, INVOICE]
    outcome = load("invoices", csv_file(tmp_path / "a.csv", rows), rejects=tmp_path / "rejects.csv")
    assert counts(outcome) == (1, 0, 0, 0, 2)
    assert [line for line, *_ in rejected(tmp_path / "rejects.csv")] == [2, 4]


def test_a_doubtful_reading_is_taken_and_counted(tmp_path: Path, customer: Customer) -> None:
    rows = [READING, READING | {"SO_CTO": "2", "SAN_LUONG": "400"}, READING | {"SO_CTO": "3", "HS_NHAN": "10"}]
    outcome = load("readings", csv_file(tmp_path / "a.csv", rows))
    assert counts(outcome) == (3, 0, 0, 0, 0)
    assert outcome.notes == ["In 2 rows SAN_LUONG differs from the readings' difference times the multiplier."]


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "a.csv", [CUSTOMER])
    path.write_bytes(path.read_bytes() + b"\r\n,,,,,,,\r\n")
    assert load("customers", path).rows == 1


def test_a_file_without_rows_takes_nothing_and_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(",".join(CUSTOMER) + "\n")
    assert counts(load("customers", path, rejects=tmp_path / "rejects.csv")) == (0, 0, 0, 0, 0)
    assert read_csv(tmp_path / "rejects.csv") == []


@pytest.mark.django_db(transaction=True)
def test_what_the_database_refuses_leaves_everything_as_it_was(tmp_path: Path, customer: Customer) -> None:
    load("invoices", csv_file(tmp_path / "a.csv", [INVOICE]))
    rows = [INVOICE | {"TONG_TIEN": "1"}, INVOICE | {"ID_HDON": "2"}]
    (tmp_path / "rejects.csv").write_text("kept")
    with connection.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX one_amount ON billing_invoice (amount)")  # what only the database knows
        try:
            with pytest.raises(FileRefused, match="database"):
                load("invoices", csv_file(tmp_path / "a.csv", rows), rejects=tmp_path / "rejects.csv")
        finally:
            cursor.execute("DROP INDEX one_amount")
    assert Invoice.objects.get().total == 500550
    assert (tmp_path / "rejects.csv").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "rejects.csv"]


@pytest.mark.django_db(transaction=True)
def test_others_may_write_while_a_file_is_read(tmp_path: Path, customer: Customer) -> None:
    def rename_elsewhere(_rows: int) -> None:
        def rename() -> int:
            try:
                return Customer.objects.filter(pk=customer.pk).update(name="Mới")
            finally:
                connection.close()

        with ThreadPoolExecutor(1) as other:
            assert other.submit(rename).result(timeout=10) == 1

    rows = [CUSTOMER | {"MA_KHANG": f"PP0500{number:07}"} for number in range(6000)]
    outcome = load("customers", csv_file(tmp_path / "a.csv", rows), progress=rename_elsewhere)
    assert counts(outcome) == (6000, 0, 0, 0, 0)
    assert Customer.objects.get(pk=customer.pk).name == "Mới"


def test_a_file_that_turns_out_bad_in_the_middle_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "a.csv", [CUSTOMER | {"MA_KHANG": f"PP0500{n:07}"} for n in range(6000)])
    path.write_bytes(path.read_bytes() + b'"never closed\r\n' + b"x,\r\n" * 60_000)
    with pytest.raises(FileRefused, match="Line 6002"):
        load("customers", path)
    assert not Customer.objects.exists()
    load("customers", csv_file(path, [CUSTOMER]))
    assert Customer.objects.count() == 1


def test_the_rejects_never_overwrite_the_file_itself(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "a.csv", [CUSTOMER])
    with pytest.raises(FileRefused, match="overwrite"):
        load("customers", path, rejects=path)


def test_progress_and_samples_are_told(tmp_path: Path, customer: Customer) -> None:
    rows = [CUSTOMER | {"TEN_KHANG": "Mới"}, CUSTOMER | {"MA_KHANG": SECOND}, CUSTOMER | {"MA_KHANG": "x"}]
    seen: list[int] = []
    outcome = load("customers", csv_file(tmp_path / "a.csv", rows), dry_run=True, sample=5, progress=seen.append)
    assert seen == [3]
    assert [(change.line, change.cells["MA_KHANG"], change.before) for change in outcome.changes] == [
        (2, customer.code, customer),
        (3, SECOND, None),
    ]


# Snapshots.


@pytest.fixture
def debts(tmp_path: Path) -> list[dict[str, str]]:
    factories.customer()
    factories.customer(SECOND)
    factories.customer(OTHER_UNIT, unit="PC05II")
    owners = {"1": factories.CODE, "2": factories.CODE, "3": SECOND, "4": OTHER_UNIT}
    rows = [DEBT | {"ID_HDON": bill, "MA_KHANG": owner} for bill, owner in owners.items()]
    load("debts", csv_file(tmp_path / "debts.csv", rows))
    return rows


def open_debts() -> set[str]:
    return set(Debt.objects.filter(settled_at=None).values_list("pk", flat=True))


def test_what_a_snapshot_leaves_out_is_settled_in_the_units_that_it_covers(
    tmp_path: Path, debts: list[dict[str, str]]
) -> None:
    now = moment("2016-11-01T08:00:00+07:00")
    outcome = load("debts", csv_file(tmp_path / "a.csv", debts[:1]), now=now)
    assert counts(outcome) == (0, 0, 1, 2, 0)
    assert open_debts() == {"1", "4"}
    assert Debt.objects.get(pk="3").settled_at == now


def test_a_settled_debt_that_is_listed_again_is_owed_again(tmp_path: Path, debts: list[dict[str, str]]) -> None:
    load("debts", csv_file(tmp_path / "a.csv", debts[:1]))
    assert counts(load("debts", csv_file(tmp_path / "a.csv", debts[:2]))) == (0, 1, 1, 0, 0)
    assert open_debts() == {"1", "2", "4"}


def test_a_dry_run_of_a_snapshot_settles_nothing(tmp_path: Path, debts: list[dict[str, str]]) -> None:
    assert load("debts", csv_file(tmp_path / "a.csv", debts[:1]), dry_run=True).removed == 2
    assert len(open_debts()) == 4


def test_without_snapshot_nothing_is_settled(tmp_path: Path, debts: list[dict[str, str]]) -> None:
    assert load("debts", csv_file(tmp_path / "a.csv", debts[:1]), snapshot=False).removed == 0
    assert len(open_debts()) == 4


def test_a_rejected_row_of_a_snapshot_is_still_listed(tmp_path: Path, debts: list[dict[str, str]]) -> None:
    rows = [debts[0], debts[1] | {"TIEN_NO": "?"}]
    assert counts(load("debts", csv_file(tmp_path / "a.csv", rows))) == (0, 0, 1, 1, 1)
    assert open_debts() == {"1", "2", "4"}


def test_nothing_is_settled_when_a_rejected_row_does_not_tell_its_bill(
    tmp_path: Path, debts: list[dict[str, str]]
) -> None:
    rows = [debts[0], debts[1] | {"ID_HDON": "1E+15"}]
    outcome = load("debts", csv_file(tmp_path / "a.csv", rows))
    assert counts(outcome) == (0, 0, 1, 0, 1)
    assert "Nothing was settled" in outcome.notes[0]
    assert len(open_debts()) == 4


def test_an_empty_snapshot_is_refused(tmp_path: Path, debts: list[dict[str, str]]) -> None:
    path = tmp_path / "a.csv"
    path.write_text(",".join(DEBT) + "\n")
    with pytest.raises(FileRefused, match="no rows"):
        load("debts", path)
    assert load("debts", path, snapshot=False).rows == 0
    assert len(open_debts()) == 4


def test_only_debts_are_a_snapshot(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="no snapshot"):
        load("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), snapshot=True)


# Round trips and damage.


@pytest.mark.parametrize("write", [csv_file, gzip_file, xlsx_file])
def test_what_is_exported_loads_as_unchanged(tmp_path: Path, write: Any) -> None:
    factories.customer(name="=Nguyễn @ Văn", phones="84905123456 84914123456")
    samples = {"invoices": INVOICE, "debts": DEBT, "readings": READING, "outages": OUTAGE}
    for kind, row in samples.items():
        load(kind, csv_file(tmp_path / "a.csv", [row]))
    for kind in ("customers", *samples):
        before = stored(kind)
        assert counts(load(kind, write(tmp_path / "b", export_rows(kind)))) == (0, 0, 1, 0, 0)
        assert stored(kind) == before


DAMAGE = {
    "MA_KHANG": ["", "PP0500097400", SECOND, "PA05000974006"],
    "KY": ["0", "10", "x", ""],
    "THANG": ["13", "-1"],
    "NAM": ["1916", "16"],
    "LOAI_HDON": ["", "ZZ"],
    "DIEN_TTHU": ["1,234", "abc"],
    "SO_TIEN": ["500.550", "1.5", "=A1"],
    "NGAY_PHANH": ["31/02/2016", "05/10/16"],
    "ID_HDON_GOC": ["404"],
    "LOAI_DCHINH": ["TT", "??"],
    "ID_HDON": ["", "1E+12", "a b"],
}


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), share=st.floats(0, 1), size=st.integers(1, 60))
def test_each_damaged_row_is_reported_once_and_all_others_are_loaded(
    tmp_path: Path, seed: int, share: float, size: int
) -> None:
    Invoice.objects.all().delete()
    Customer.objects.all().delete()
    factories.customer()
    chance = random.Random(seed)
    good = [INVOICE | {"ID_HDON": str(1000 + number)} for number in range(size)]
    rows, damaged = [], {}
    for line, row in enumerate(good, 2):
        if chance.random() < share:
            column = chance.choice([*DAMAGE])
            row = row | {column: chance.choice(DAMAGE[column])}
            if column == "ID_HDON_GOC":
                row["LOAI_DCHINH"] = "TT"
            damaged[line] = "ID_HDON_GOC" if row["LOAI_DCHINH"] == "TT" else column
        rows.append(row)
    path, rejects = csv_file(tmp_path / "a.csv", rows), tmp_path / "rejects.csv"
    outcome = load("invoices", path, rejects=rejects)
    assert {line: column for line, column, _reason in rejected(rejects)} == damaged
    assert len(rejected(rejects)) == outcome.rejected == len(damaged)
    assert counts(outcome) == (size - len(damaged), 0, 0, 0, len(damaged))

    mended = [good[int(row["LINE"]) - 2] for row in read_csv(rejects)]
    if mended:
        assert counts(load("invoices", csv_file(tmp_path / "b.csv", mended))) == (len(mended), 0, 0, 0, 0)
    assert counts(load("invoices", csv_file(tmp_path / "c.csv", good))) == (0, 0, size, 0, 0)


def test_the_mended_rejects_of_a_long_damaged_file_load_fully(tmp_path: Path, customer: Customer) -> None:
    chance = random.Random(5)
    good = [INVOICE | {"ID_HDON": str(10_000 + number)} for number in range(2_500)]
    columns = [name for name in DAMAGE if name != "ID_HDON_GOC"]
    damaged = {place: chance.choice(columns) for place in chance.sample(range(len(good)), len(good) // 20)}
    rows = [
        row | ({damaged[n]: chance.choice(DAMAGE[damaged[n]])} if n in damaged else {}) for n, row in enumerate(good)
    ]
    path, rejects = csv_file(tmp_path / "a.csv", rows, "utf-16", "\t"), tmp_path / "rejects.csv"
    outcome = load("invoices", path, rejects=rejects)
    assert counts(outcome) == (len(good) - len(damaged), 0, 0, 0, len(damaged))

    mended = read_csv(rejects)
    found = {int(row["LINE"]) - 2: row["COLUMN"] for row in mended}
    # What makes an adjustment of a bill that names no other is told of the first of the two columns.
    assert found == {n: "ID_HDON_GOC" if (rows[n]["LOAI_DCHINH"] == "TT") else name for n, name in damaged.items()}
    assert [row["LINE"] for row in mended] == sorted((row["LINE"] for row in mended), key=int)
    for row in mended:
        name = damaged[int(row["LINE"]) - 2]
        assert row[name] == rows[int(row["LINE"]) - 2][name].replace("=A1", "'=A1")
        row[name] = INVOICE[name] if name != "ID_HDON" else str(10_000 + int(row["LINE"]) - 2)
    assert counts(load("invoices", csv_file(tmp_path / "b.csv", mended))) == (len(damaged), 0, 0, 0, 0)
    assert counts(load("invoices", csv_file(tmp_path / "c.csv", good))) == (0, 0, len(good), 0, 0)
