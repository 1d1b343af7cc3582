"""Every kind of file that arrives, and every kind that must not get in."""

import gzip
import random
import re
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from evncare.imports import files
from evncare.imports.errors import FileRefused
from tests.imports.tables import CUSTOMER, csv_file, gzip_file, text_of, xlsx_file

VIETNAMESE = {"MA": "1", "TEN": "Nguyễn Thị Ngọc Ánh, đường Trần Hưng Đạo"}


def read(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    with files.opened(path) as table:
        return table.header, list(table.rows)


def in_cp1258(text: str) -> bytes:
    """As Windows writes it: the tone, where no letter carries it, as a mark of its own behind the letter."""
    import unicodedata

    out = bytearray()
    for character in text:
        try:
            out += character.encode("cp1258")
        except UnicodeEncodeError:
            base, tone = unicodedata.normalize("NFD", character)[:-1], unicodedata.normalize("NFD", character)[-1]
            if tone < "\u0300" or tone in "\u0302\u0306\u031b":  # ệ = e + dot below + circumflex
                parts = unicodedata.normalize("NFD", character)
                marks = [m for m in parts[1:] if m in "\u0302\u0306\u031b"]
                tones = [m for m in parts[1:] if m not in "\u0302\u0306\u031b"]
                base, tone = parts[0] + "".join(marks), "".join(tones)
            out += unicodedata.normalize("NFC", base).encode("cp1258") + tone.encode("cp1258")
    return bytes(out)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_csv_is_read_in_every_encoding_and_with_every_delimiter(tmp_path: Path, encoding: str, delimiter: str) -> None:
    path = csv_file(tmp_path / "export.dat", [VIETNAMESE], encoding, delimiter)
    assert read(path) == (["MA", "TEN"], [(2, list(VIETNAMESE.values()))])


def test_windows_1258_is_read_with_its_accents_composed(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(in_cp1258(text_of([VIETNAMESE])))
    assert read(path)[1] == [(2, list(VIETNAMESE.values()))]


def test_windows_1258_is_recognised_when_the_first_accent_comes_late(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(b"MA,TEN\n" + b"1,An\n" * 400_000 + in_cp1258("2,Huế\n"))
    assert read(path)[1][-1] == (400_002, ["2", "Huế"])


def test_gzip_is_read_whatever_its_name(tmp_path: Path) -> None:
    assert read(gzip_file(tmp_path / "export.csv", [VIETNAMESE]))[1] == [(2, list(VIETNAMESE.values()))]


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text('\nMA,TEN\n1,"a\nb"\n\n2,c\n', newline="")
    assert read(path) == (["MA", "TEN"], [(3, ["1", "a\nb"]), (5, []), (6, ["2", "c"])])


def test_a_first_line_that_names_the_delimiter_is_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text('sep=;\nMA;"TEN, HO"\n1;a\n')
    assert read(path) == (["MA", "TEN, HO"], [(3, ["1", "a"])])


def test_a_workbook_is_read_as_its_csv_would_be(tmp_path: Path) -> None:
    row = {
        "code": "0012", "number": 12, "half": 12.5, "third": 0.1 + 0.2, "long": 12345678901234567890,
        "day": date(2016, 10, 1), "moment": datetime.fromisoformat("2016-10-01T09:30"), "shown": 7, "empty": None,
        "name": "Đạt",
    }  # fmt: skip
    header, rows = read(xlsx_file(tmp_path / "export.bin", [row], {"shown": "0000"}))
    assert header == list(row)
    assert rows == [
        (
            2,
            [
                "0012",
                "12",
                "12.5",
                "0.3",
                "1.23456789012346E+19",
                "2016-10-01",
                "2016-10-01 09:30:00",
                "0007",
                "",
                "Đạt",
            ],
        )
    ]


def test_rows_of_a_workbook_have_the_numbers_that_the_spreadsheet_shows(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    assert sheet is not None
    for cell, value in {"B3": "MA", "C3": "SO", "B4": "a", "C4": 5, "B7": "b", "C7": 6}.items():
        sheet[cell] = value
    sheet["C7"].number_format = "000"
    workbook.save(tmp_path / "export.xlsx")
    header, rows = read(tmp_path / "export.xlsx")
    assert header == ["", "MA", "SO"]
    assert rows == [(4, ["", "a", "5"]), (7, ["", "b", "006"])]


SHEET = (
    '<x:worksheet xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><x:sheetData>'
    '<x:row r="1"><x:c t="s"><x:v>0</x:v></x:c><x:c t="s"><x:v>1</x:v></x:c></x:row><x:row r="2"/>'
    '<x:row r="3"><!-- <x:c r="A3"><x:v>0</x:v></x:c> --><x:c r="B3" t="inlineStr"><x:is><x:r><x:t>a &amp; </x:t></x:r>'
    '<x:r><x:t>b</x:t></x:r><x:rPh><x:t>no</x:t></x:rPh></x:is></x:c><x:c t="b"><x:v>1</x:v></x:c></x:row>'
    "</x:sheetData></x:worksheet>"
)
STRINGS = (
    '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>M&#195;</t></si>'
    '<si><r><t>TE</t></r><r><rPr><b/></rPr><t xml:space="preserve">N _x0041_</t></r></si></sst>'
)
STRINGS_LINK = (
    '<Relationship Id="strings" Target="sharedStrings.xml" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"/></Relationships>'
)


def with_parts(path: Path, parts: dict[str, Callable[[str], str]]) -> Path:
    """A workbook whose parts are changed by these functions."""
    xlsx_file(path, [VIETNAMESE])
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name in {**texts, **parts}:
            archive.writestr(name, parts.get(name, str)(texts.get(name, "")))
    return path


def test_a_sheet_is_understood_however_its_xml_is_written(tmp_path: Path) -> None:
    path = with_parts(
        tmp_path / "export.xlsx",
        {
            "xl/worksheets/sheet1.xml": lambda _text: SHEET,
            "xl/sharedStrings.xml": lambda _text: STRINGS,
            "xl/_rels/workbook.xml.rels": lambda text: re.sub("<[^<]*sharedStrings[^>]*>", "", text).replace(
                "</Relationships>", STRINGS_LINK
            ),
        },
    )
    assert read(path) == (["MÃ", "TEN A"], [(3, ["", "a & b", "TRUE"])])


def test_days_of_a_workbook_from_an_old_mac_are_the_same_days(tmp_path: Path) -> None:
    xlsx_file(tmp_path / "a.xlsx", [{"day": date(2016, 10, 1)}])
    workbook = openpyxl.load_workbook(tmp_path / "a.xlsx")
    workbook.epoch = CALENDAR_MAC_1904
    assert workbook.active is not None
    workbook.active["A2"] = date(2016, 10, 1)
    workbook.save(tmp_path / "b.xlsx")
    assert read(tmp_path / "b.xlsx") == read(tmp_path / "a.xlsx") == (["day"], [(2, ["2016-10-01"])])


def test_a_workbook_that_names_an_entity_is_refused(tmp_path: Path) -> None:
    sheet = '<!DOCTYPE x [<!ENTITY a "aaaa">]>' + SHEET.replace("a &amp; ", "&a;")
    path = with_parts(tmp_path / "export.xlsx", {"xl/worksheets/sheet1.xml": lambda _text: sheet})
    with pytest.raises(FileRefused, match="damaged"):
        read(path)


def test_a_long_workbook_streams_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "export.xlsx"
    workbook = openpyxl.Workbook(write_only=True)
    sheet = workbook.create_sheet()
    sheet.append(["MA", "TEN"])
    for number in range(40_000):
        sheet.append([f"HD{number}", "Nguyễn Văn An"])
    workbook.save(path)
    tracemalloc.start()
    try:
        with files.opened(path) as table:
            assert sum(1 for _ in table.rows) == 40_000
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def formula(path: Path) -> None:
    xlsx_file(path, [CUSTOMER, CUSTOMER | {"TEN_KHANG": "=1+1"}])


def macros(path: Path) -> None:
    xlsx_file(path, [CUSTOMER])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/vbaProject.bin", b"macro")


def workbook_cut_off(path: Path) -> None:
    xlsx_file(path, [CUSTOMER] * 100)
    path.write_bytes(path.read_bytes()[:-200])


def workbook_damaged(path: Path) -> None:
    xlsx_file(path, [CUSTOMER] * 100)
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("xl/worksheets/sheet1.xml").header_offset + 200
    damaged = bytearray(path.read_bytes())
    damaged[place : place + 8] = b"\xff" * 8
    path.write_bytes(damaged)


def plain_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("export.csv", "MA\n1\n")


def zip_bomb(path: Path) -> None:
    xlsx_file(path, [CUSTOMER])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/bomb.xml", "w") as part:
        for _ in range(200):
            part.write(bytes(1 << 20))


def gzip_bomb(path: Path) -> None:
    with gzip.open(path, "wb") as file:
        for _ in range(200):
            file.write(b"1\n" * (1 << 19))


def gzip_cut_off(path: Path) -> None:
    noise = random.Random(1).randbytes(50_000).hex()
    path.write_bytes(gzip.compress(f"MA\n{noise}\n".encode())[:-5000])


def content(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (content(b""), "is empty"),
        (content(b" \n\n"), "is empty"),
        (content(b"MA,TEN\n1,a\n2,b\0c\n"), "Line 3 holds a NUL"),
        (content("MA\n1\nHuế\n".encode() + b"a\xffb\n"), "Line 4 is damaged"),
        (content(b"MA\n\x8a\x8d\n"), "no text in UTF-8"),
        (content(b"MA\n1\n" + b"x" * (3 << 20)), "longer than a megabyte"),
        (content(b'MA\n1\n"2\n' + b"3\n" * 100_000), "Line 3 can't be read"),
        (content(b"\xd0\xcf\x11\xe0" + bytes(512)), "old format"),
        (content(b"%PDF-1.7"), "PDF"),
        (content(b"PK\x03\x04 and no more"), "damaged"),
        (content(b"\x1f\x8b\x08\x00 and no more"), "damaged"),
        (gzip_cut_off, "damaged or was cut off"),
        (gzip_bomb, "far more than an export"),
        (workbook_cut_off, "damaged or was cut off"),
        (workbook_damaged, "damaged or was cut off"),
        (plain_archive, "no XLSX workbook"),
        (zip_bomb, "far more than an export"),
        (macros, "macros"),
        (formula, "Cell B3 is a formula"),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(tmp_path: Path, make: Callable[[Path], None], reason: str) -> None:
    path = tmp_path / "export"
    make(path)
    with pytest.raises(FileRefused, match=reason):
        read(path)


def test_a_line_without_end_is_refused_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    with path.open("wb") as file:
        file.truncate(2 << 30)  # sparse: a line of two gigabytes
        file.write(b"MA" + b"x" * (1 << 22))
    tracemalloc.start()
    try:
        with pytest.raises(FileRefused):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_a_long_csv_streams_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(b"MA,TEN\n" + b"1,Nguyen Van An\n" * 500_000)
    tracemalloc.start()
    try:
        with files.opened(path) as table:
            assert sum(1 for _ in table.rows) == 500_000
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
