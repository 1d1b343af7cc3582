"""The declared columns of the billing system's exports, and that they say what domain and models say."""

from pathlib import Path

import pytest
from django.db.models import NOT_PROVIDED

from billing.exports import EXPORTS
from billing.models import Customer, Invoice, MeterReading, ReadingSchedule
from evncare.imports.declarations import Export
from tests import factories
from tests.imports.tables import CUSTOMER, INVOICE, READING, csv_file, load

COLUMNS = {
    "customers": "MA_KHANG TEN_KHANG DIA_CHI DTHOAI EMAIL MA_DVIQLY MA_SOGCS MA_TRAM",
    "schedules": "MA_DVIQLY MA_SOGCS KY THANG NAM NGAY_GHI",
    "readings": "MA_KHANG KY THANG NAM SO_CTO BCS LOAI_CHISO HS_NHAN CHISO_CU CHISO_MOI SAN_LUONG NGAY_CKY",
    "invoices": (
        "ID_HDON MA_KHANG KY THANG NAM LOAI_HDON DIEN_TTHU SO_TIEN TIEN_GTGT TONG_TIEN NGAY_PHANH "
        "ID_HDON_GOC LOAI_DCHINH"
    ),
    "debts": "ID_HDON MA_KHANG KY THANG NAM LOAI_HDON TIEN_NO THUE_NO HAN_TTOAN",
}
by_kind = pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)


@by_kind
def test_the_columns_are_the_billing_systems(export: Export) -> None:
    assert " ".join(column.name for column in export.columns) == COLUMNS[export.name]


@by_kind
def test_every_field_that_needs_a_value_gets_one(export: Export) -> None:
    needed = {
        field.name
        for field in export.model._meta.concrete_fields
        if not field.null and field.default is NOT_PROVIDED and field.name != "id"
    }
    assert needed <= set(export.fields)


@by_kind
def test_the_key_is_unique_in_the_database(export: Export) -> None:
    unique = [set(constraint.fields) for constraint in export.model._meta.total_unique_constraints]
    assert set(export.key) in [*unique, {export.model._meta.pk.name}]


@pytest.mark.django_db
def test_a_customer_is_searchable_after_a_load(tmp_path: Path) -> None:
    load("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]))
    loaded = Customer.objects.get()
    assert (loaded.phones, loaded.search_text) == ("84905123456", "nguyen van an 78a duy tan da nang")
    loaded.save()
    assert Customer.objects.get().search_text == loaded.search_text


@pytest.mark.django_db
def test_a_schedule_is_one_a_book_and_period(tmp_path: Path) -> None:
    row = {"MA_DVIQLY": "PP0500", "MA_SOGCS": "0012", "KY": "1", "THANG": "10", "NAM": "2016", "NGAY_GHI": "10/6/2016"}
    assert load("schedules", csv_file(tmp_path / "a.csv", [row, row | {"KY": "2"}])).new == 2
    assert load("schedules", csv_file(tmp_path / "a.csv", [row | {"NGAY_GHI": "11/6/2016"}])).changed == 1
    assert [str(day) for day in ReadingSchedule.objects.order_by("ky").values_list("reading_date", flat=True)] == [
        "2016-06-11",
        "2016-06-10",
    ]


@pytest.mark.django_db
def test_registers_and_swapped_meters_of_one_period_stand_side_by_side(tmp_path: Path) -> None:
    factories.customer()
    rows = [READING | {"BCS": register} for register in ("BT", "CD", "TD", "VC")] + [READING | {"SO_CTO": "0013"}]
    assert load("readings", csv_file(tmp_path / "a.csv", rows)).new == 5
    assert load("readings", csv_file(tmp_path / "a.csv", rows)).unchanged == 5
    assert MeterReading.objects.filter(meter="0012", register="TD").get().reading_kind == "DDK"


@pytest.mark.django_db
def test_an_adjustment_carries_its_own_period_and_deltas(tmp_path: Path) -> None:
    factories.customer()
    refund = INVOICE | {"ID_HDON": "2", "THANG": "11", "SO_TIEN": "-45505", "ID_HDON_GOC": "1001", "LOAI_DCHINH": "th"}
    load("invoices", csv_file(tmp_path / "a.csv", [refund, INVOICE]))
    adjustment = Invoice.objects.get(original__bill_id="1001")
    assert (adjustment.month, adjustment.amount, adjustment.adjustment) == (11, -45505, Invoice.Adjustment.REFUND)
