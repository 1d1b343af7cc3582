"""Real export files for tests, and loading them."""

import csv
import gzip
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl

from evncare.imports import engine
from evncare.imports.declarations import declared_exports

INVOICE = {
    "ID_HDON": "1001", "MA_KHANG": "PP05000974006", "KY": "1", "THANG": "10", "NAM": "2016", "LOAI_HDON": "TD",
    "DIEN_TTHU": "386", "SO_TIEN": "455045", "TIEN_GTGT": "45505", "TONG_TIEN": "500550", "NGAY_PHANH": "05/10/2016",
    "ID_HDON_GOC": "", "LOAI_DCHINH": "",
}  # fmt: skip
CUSTOMER = {
    "MA_KHANG": "PP05000974006", "TEN_KHANG": "Nguyễn Văn An", "DIA_CHI": "78A Duy Tân, Đà Nẵng",
    "DTHOAI": "0905123456", "EMAIL": "", "MA_DVIQLY": "PP0500", "MA_SOGCS": "S01", "MA_TRAM": "T001",
}  # fmt: skip
DEBT = {
    "ID_HDON": "1001", "MA_KHANG": "PP05000974006", "KY": "1", "THANG": "10", "NAM": "2016", "LOAI_HDON": "TD",
    "TIEN_NO": "650000", "THUE_NO": "65000", "HAN_TTOAN": "31/10/2016",
}  # fmt: skip
READING = {
    "MA_KHANG": "PP05000974006", "KY": "1", "THANG": "10", "NAM": "2016", "SO_CTO": "0012", "BCS": "KT",
    "LOAI_CHISO": "DDK", "HS_NHAN": "1", "CHISO_CU": "9618", "CHISO_MOI": "10004", "SAN_LUONG": "386", "NGAY_CKY": "",
}  # fmt: skip
OUTAGE = {
    "MA_LICH": "L1", "MA_TRAM": "T001", "MA_KHANG": "", "TU_NGAY": "01/10/2016 9:30", "DEN_NGAY": "20/10/2016 15:00",
    "LOAI": "KH", "LY_DO": "Bảo trì", "TRANG_THAI": "Đã duyệt",
}  # fmt: skip


def text_of(rows: list[dict[str, Any]], delimiter: str = ",") -> str:
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    return "".join(delimiter.join(f'"{cell}"' for cell in line) + "\r\n" for line in lines)


def csv_file(path: Path, rows: list[dict[str, Any]], encoding: str = "utf-8", delimiter: str = ",") -> Path:
    path.write_bytes(text_of(rows, delimiter).encode(encoding))
    return path


def gzip_file(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_bytes(gzip.compress(text_of(rows).encode()))
    return path


def xlsx_file(path: Path, rows: list[dict[str, Any]], number_formats: dict[str, str] | None = None) -> Path:
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    assert sheet is not None
    sheet.append(list(rows[0]))
    for row in rows:
        sheet.append(list(row.values()))
    for name, number_format in (number_formats or {}).items():
        column = list(rows[0]).index(name) + 1
        for line in range(2, len(rows) + 2):
            sheet.cell(line, column).number_format = number_format
    workbook.save(path)
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def load(kind: str, path: Path, **options: Any) -> engine.Outcome:
    return engine.load(declared_exports()[kind], path, **options)


def counts(outcome: engine.Outcome) -> tuple[int, int, int, int, int]:
    return outcome.new, outcome.changed, outcome.unchanged, outcome.removed, outcome.rejected


def stored(kind: str) -> list[dict[str, Any]]:
    """Every row of the kind's table by its fields, in the order of its key."""
    export = declared_exports()[kind]
    names = [export.model_field(name).attname for name in export.fields]
    return list(export.model.objects.order_by(*export.key).values(*names))


def export_rows(kind: str) -> list[dict[str, str]]:
    """What an export of the whole table would write."""
    export = declared_exports()[kind]
    return [
        {column.name: column.write(getattr(row, export.model_field(column.field).attname)) for column in export.columns}
        for row in export.model.objects.order_by(*export.key)
    ]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
