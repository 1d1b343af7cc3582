"""The export of supply interruptions."""

from pathlib import Path

import pytest

from outages.exports import OUTAGES
from outages.models import Outage
from tests.imports.tables import OUTAGE, csv_file, load, moment, read_csv

pytestmark = pytest.mark.django_db


def test_the_columns_are_the_billing_systems() -> None:
    names = [column.name for column in OUTAGES.columns]
    assert names == ["MA_LICH", "MA_TRAM", "MA_KHANG", "TU_NGAY", "DEN_NGAY", "LOAI", "LY_DO", "TRANG_THAI"]


def test_an_outage_is_one_row_for_each_station_or_customer(tmp_path: Path) -> None:
    rows = [OUTAGE, OUTAGE | {"MA_TRAM": "T002"}, OUTAGE | {"MA_TRAM": "", "MA_KHANG": "PP05000974006"}]
    assert load("outages", csv_file(tmp_path / "a.csv", rows)).new == 3
    assert load("outages", csv_file(tmp_path / "a.csv", rows)).unchanged == 3
    outage = Outage.objects.get(station="T001")
    assert (outage.kind, outage.status) == (Outage.Kind.PLANNED, Outage.Status.APPROVED)
    assert outage.start_at == moment("2016-10-01T09:30+07:00")
    assert outage.end_at == moment("2016-10-20T15:00+07:00")


def test_an_approval_or_a_cancellation_changes_the_row(tmp_path: Path) -> None:
    load("outages", csv_file(tmp_path / "a.csv", [OUTAGE | {"TRANG_THAI": "cho duyet"}]))
    assert Outage.objects.get().status == Outage.Status.PENDING
    assert load("outages", csv_file(tmp_path / "a.csv", [OUTAGE | {"TRANG_THAI": "HUY"}])).changed == 1
    assert Outage.objects.get().status == Outage.Status.CANCELLED


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"DEN_NGAY": "01/10/2016 9:30"}, "DEN_NGAY"),
        ({"MA_TRAM": ""}, "MA_TRAM"),
        ({"MA_KHANG": "PP1"}, "MA_KHANG"),
        ({"LOAI": "X"}, "LOAI"),
        ({"TRANG_THAI": ""}, "TRANG_THAI"),
    ],
)
def test_an_impossible_outage_is_rejected(tmp_path: Path, change: dict[str, str], column: str) -> None:
    path = csv_file(tmp_path / "a.csv", [OUTAGE | change])
    assert load("outages", path, rejects=tmp_path / "rejects.csv").rejected == 1
    assert read_csv(tmp_path / "rejects.csv")[0]["COLUMN"] == column


def test_an_outage_without_end_is_taken(tmp_path: Path) -> None:
    load("outages", csv_file(tmp_path / "a.csv", [OUTAGE | {"DEN_NGAY": ""}]))
    assert Outage.objects.get().end_at is None
