"""Undoing a load: the table is exactly as before, or nothing happens and the reason is told."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.models import Customer, Debt, Invoice, MeterReading
from evncare.imports import engine
from evncare.imports.declarations import declared_exports
from evncare.imports.tables import BeforeImage
from outages.models import Outage
from tests import factories
from tests.imports.tables import (
    CUSTOMER,
    DEBT,
    INVOICE,
    OUTAGE,
    READING,
    counts,
    csv_file,
    load,
    moment,
    stored,
)  # fmt: skip

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer() -> Customer:
    return factories.customer()


def undo(kind: str, run: int, **options: Any) -> tuple[int, int]:
    """How many rows were removed and restored."""
    undone = engine.undo(declared_exports()[kind], run, **options)
    return undone.removed, undone.restored


def everything(kind: str) -> list[dict[str, Any]]:
    """Every column of the kind's table, but for its counting key."""
    rows = declared_exports()[kind].model.objects.order_by(*declared_exports()[kind].key).values()
    return [{name: value for name, value in row.items() if name != "id"} for row in rows]


def invoices(tmp_path: Path, **totals: int) -> Path:
    rows = [INVOICE | {"ID_HDON": name.upper(), "TONG_TIEN": total} for name, total in totals.items()]
    return csv_file(tmp_path / "invoices.csv", rows)


def test_what_was_inserted_goes_and_what_was_changed_is_as_before(tmp_path: Path, customer: Customer) -> None:
    load("invoices", invoices(tmp_path, a=1, b=2), run=1)
    before = everything("invoices")
    assert counts(load("invoices", invoices(tmp_path, a=1, b=3, c=4), run=2)) == (1, 1, 1, 0, 0)
    assert undo("invoices", 2) == (1, 1)
    assert everything("invoices") == before
    assert undo("invoices", 1) == (2, 0)
    assert not Invoice.objects.exists()
    assert not BeforeImage.objects.exists()


@pytest.mark.parametrize(
    ("kind", "row", "change"),
    [
        ("customers", CUSTOMER, {"TEN_KHANG": 'Trần "Bình" \\ O\'Hara', "DTHOAI": "", "MA_TRAM": ""}),
        ("readings", READING, {"CHISO_MOI": "10004.125", "NGAY_CKY": "05/10/2016", "HS_NHAN": "999999999.999"}),
        ("invoices", INVOICE, {"NGAY_PHANH": "", "DIEN_TTHU": "123456789012.345", "SO_TIEN": "-999999999999999"}),
        ("debts", DEBT, {"HAN_TTOAN": "", "TIEN_NO": "1"}),
        ("outages", OUTAGE, {"DEN_NGAY": "", "TU_NGAY": "01/10/2016 09:30:59"}),
    ],
)
def test_every_type_of_value_comes_back_exactly(
    tmp_path: Path, kind: str, row: dict[str, str], change: dict[str, str]
) -> None:
    if kind != "customers":
        factories.customer()
    for first, second in ((row, row | change), (row | change, row)):
        load(kind, csv_file(tmp_path / "a.csv", [first]), run=1)
        before = everything(kind)
        assert counts(load(kind, csv_file(tmp_path / "a.csv", [second]), run=2)) == (0, 1, 0, 0, 0)
        assert everything(kind) != before
        assert undo(kind, 2) == (0, 1)
        assert everything(kind) == before
        assert undo(kind, 1) == (1, 0)


def test_what_a_snapshot_settled_is_owed_again(tmp_path: Path, customer: Customer) -> None:
    rows = [DEBT | {"ID_HDON": str(number)} for number in range(4)]
    load("debts", csv_file(tmp_path / "a.csv", rows), run=1)
    before = everything("debts")
    outcome = load("debts", csv_file(tmp_path / "a.csv", [rows[0], rows[1] | {"TIEN_NO": "7"}]), run=2)
    assert counts(outcome) == (0, 1, 1, 2, 0)
    assert undo("debts", 2) == (0, 3)
    assert everything("debts") == before


def test_what_a_snapshot_reopened_is_settled_again_at_the_same_moment(tmp_path: Path, customer: Customer) -> None:
    now = moment("2016-11-01T08:00:00.123456+07:00")
    rows = [DEBT | {"ID_HDON": str(number)} for number in range(2)]
    load("debts", csv_file(tmp_path / "a.csv", rows), run=1)
    load("debts", csv_file(tmp_path / "a.csv", rows[:1]), run=2, now=now)
    load("debts", csv_file(tmp_path / "a.csv", rows), run=3)
    assert undo("debts", 3) == (0, 1)
    assert Debt.objects.get(pk="1").settled_at == now


def test_a_run_whose_rows_a_later_one_changed_is_not_undone(tmp_path: Path, customer: Customer) -> None:
    load("invoices", invoices(tmp_path, a=1, b=2), run=1)
    load("invoices", invoices(tmp_path, b=3), run=2)
    before = everything("invoices")
    with pytest.raises(engine.UndoRefused, match="Run 2 has changed rows of it since"):
        undo("invoices", 1)
    assert everything("invoices") == before
    undo("invoices", 2)
    assert undo("invoices", 1) == (2, 0)


def test_a_row_that_a_later_run_found_unchanged_is_nobody_elses(tmp_path: Path, customer: Customer) -> None:
    load("invoices", invoices(tmp_path, a=1), run=1)
    load("invoices", invoices(tmp_path, a=1, b=1), run=2)
    assert undo("invoices", 1) == (1, 0)
    assert Invoice.objects.get().pk == "B"


@pytest.mark.parametrize("run", [1, 2])
def test_a_row_edited_by_hand_is_not_undone(tmp_path: Path, customer: Customer, run: int) -> None:
    for number in range(1, run + 1):
        load("invoices", invoices(tmp_path, a=number), run=number)
    Invoice.objects.get().save()
    with pytest.raises(engine.UndoRefused, match="1 of its rows have been edited since"):
        undo("invoices", run)


def test_a_row_loaded_again_without_a_run_is_not_undone(tmp_path: Path, customer: Customer) -> None:
    load("invoices", invoices(tmp_path, a=1), run=1)
    load("invoices", invoices(tmp_path, a=2))
    with pytest.raises(engine.UndoRefused, match="edited"):
        undo("invoices", 1)


def test_customers_who_have_bills_since_are_not_undone(tmp_path: Path) -> None:
    load("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), run=1)
    load("invoices", invoices(tmp_path, a=1), run=2)
    with pytest.raises(engine.UndoRefused, match="1 invoices loaded since belong to rows that it added"):
        undo("customers", 1)
    undo("invoices", 2)
    assert undo("customers", 1) == (1, 0)


def test_bills_and_their_adjustments_go_together_but_not_apart(tmp_path: Path, customer: Customer) -> None:
    adjustment = INVOICE | {"ID_HDON": "X", "ID_HDON_GOC": "A", "LOAI_DCHINH": "TT"}
    load("invoices", csv_file(tmp_path / "a.csv", [adjustment, INVOICE | {"ID_HDON": "A"}]), run=1)
    load("invoices", csv_file(tmp_path / "a.csv", [adjustment | {"ID_HDON": "Y"}]), run=2)
    with pytest.raises(engine.UndoRefused, match="1 invoices loaded since"):
        undo("invoices", 1)
    undo("invoices", 2)
    assert undo("invoices", 1) == (2, 0)


def test_undoing_is_one_with_what_is_done_within_it(tmp_path: Path, customer: Customer) -> None:
    load("invoices", invoices(tmp_path, a=1), run=1)

    def fail(undone: engine.Undone) -> None:
        assert undone == engine.Undone(removed=1, restored=0)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        undo("invoices", 1, within=fail)
    assert Invoice.objects.count() == 1


def test_loading_is_one_with_what_is_done_within_it(tmp_path: Path, customer: Customer) -> None:
    def fail(outcome: engine.Outcome) -> None:
        assert (outcome.new, outcome.sums["TONG_TIEN"]) == (2, 3)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        load("invoices", invoices(tmp_path, a=1, b=2), run=1, within=fail)
    assert not Invoice.objects.exists()


def test_a_dry_run_does_nothing_that_would_have_to_be_undone(tmp_path: Path, customer: Customer) -> None:
    load("invoices", invoices(tmp_path, a=1), run=1)
    load("invoices", invoices(tmp_path, a=2), run=2, dry_run=True)
    assert not BeforeImage.objects.exists()
    assert Invoice.objects.get().run == 1


def test_sums_and_open_rows_are_told_for_the_guard(tmp_path: Path, customer: Customer) -> None:
    rows = [DEBT | {"ID_HDON": str(number), "TIEN_NO": str(number)} for number in range(1, 5)]
    outcome = load("debts", csv_file(tmp_path / "a.csv", [*rows, DEBT | {"MA_KHANG": "PP05000974999"}]))
    assert outcome.sums == {"TIEN_NO": 10, "THUE_NO": 260000}
    assert (outcome.covered, outcome.open_before, outcome.removed) == (["PP0500"], 0, 0)
    outcome = load("debts", csv_file(tmp_path / "a.csv", rows[:1]), dry_run=True)
    assert (outcome.covered, outcome.open_before, outcome.removed) == (["PP0500"], 4, 3)
    assert str(load("readings", csv_file(tmp_path / "a.csv", [READING])).sums["SAN_LUONG"]) == "386.000"


def test_images_that_nobody_can_use_any_more_are_let_go(tmp_path: Path, customer: Customer) -> None:
    for number in range(1, 4):
        load("invoices", invoices(tmp_path, a=number), run=number)
    assert engine.forget(declared_exports()["invoices"], before=3) == 1
    assert undo("invoices", 3) == (0, 1)


RUNS = st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 3), min_size=1), min_size=1, max_size=5)


@settings(max_examples=40)
@given(runs=RUNS)
def test_runs_undone_last_first_lead_back_through_every_state(tmp_path: Path, runs: list[dict[str, int]]) -> None:
    for model in (BeforeImage, Debt, Invoice, MeterReading, Outage, Customer):
        model.objects.all().delete()
    factories.customer()
    states = []
    for number, bills in enumerate(runs, 1):
        states.append(everything("debts"))
        rows = [DEBT | {"ID_HDON": name.upper(), "TIEN_NO": str(amount)} for name, amount in bills.items()]
        load("debts", csv_file(tmp_path / "a.csv", rows), run=number)
    for number in range(len(runs), 0, -1):
        undo("debts", number)
        assert everything("debts") == states[number - 1]
    assert stored("debts") == []
    assert not BeforeImage.objects.exists()
