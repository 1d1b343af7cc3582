"""Reading the first worksheet of an XLSX workbook as rows of text.

calamine reads values fast but hides how they are shown and whether they are computed, so the sheet is looked through
once before: formulas are refused, for their last result may be missing or stale, and numbers shown with leading zeros
keep them.
"""

import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import python_calamine
from django.utils.translation import gettext as _

from evncare.imports.errors import FileRefused

MAGIC = b"PK\x03\x04"

BLOCK = 1 << 20
OVERLAP = 1 << 10
# The largest possible sheet of an export unpacks to less; a bomb unpacks to a thousand times its size.
MOST_BYTES = 4 << 30
MOST_TIMES = 200
FREE_BYTES = 100 << 20
LONGEST_NUMBER = 10**15  # beyond it a spreadsheet has rounded

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATED = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_FORMULA = re.compile(rb'<(?:\w+:)?c\b[^>]*?\br="([A-Z]+\d+)"[^>]*>\s*<(?:\w+:)?f\b')
_STYLED_CELL = re.compile(rb'<(?:\w+:)?c\b[^>]*?\br="([A-Z]+)\d+"[^>]*?\bs="(\d+)"')


def rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of the first worksheet with their numbers; raises FileRefused."""
    widths = _shown_widths(path)
    try:
        with python_calamine.load_workbook(path) as workbook:
            sheet = workbook.get_sheet_by_index(0)
            offset = sheet.start[1] if sheet.start else 0
            padded = {column - offset: width for column, width in widths.items()}
            for line, cells in enumerate(sheet.iter_rows(), 1):
                texts = [cell if type(cell) is str else _text(cell) for cell in cells]
                for column, width in padded.items():
                    if texts[column].isdecimal():
                        texts[column] = texts[column].zfill(width)
                yield line, texts
    except python_calamine.CalamineError as error:
        raise _damaged() from error


def _damaged() -> FileRefused:
    return FileRefused(_("The workbook is damaged or was cut off: save it again."))


def _shown_widths(path: Path) -> dict[int, int]:
    """Columns whose numbers are shown with leading zeros, and to how many digits; looks the workbook through."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = {part.filename: part for part in archive.infolist()}
            if "xl/workbook.xml" not in parts:
                raise FileRefused(_("This is a ZIP archive but no XLSX workbook: unpack it and load the file inside."))
            if "xl/vbaProject.bin" in parts:
                raise FileRefused(_("The workbook holds macros: save it as .xlsx without them."))
            size = sum(part.file_size for part in parts.values())
            if size > min(MOST_BYTES, max(FREE_BYTES, MOST_TIMES * path.stat().st_size)):
                raise FileRefused(_("The workbook unpacks to far more than an export holds."))
            widths = _zero_styles(archive) if "xl/styles.xml" in parts else {}
            shown: dict[int, int] = {}
            for text in _blocks(archive, _first_sheet(archive)):
                if formula := _FORMULA.search(text):
                    raise FileRefused(
                        _("Cell %(cell)s is a formula: paste the values and save again.")
                        % {"cell": formula[1].decode()}
                    )
                if widths:
                    for column, style in _STYLED_CELL.findall(text):
                        if style in widths:
                            shown[_column_number(column)] = widths[style]
            return shown
    except (zipfile.BadZipFile, ElementTree.ParseError, KeyError, OSError, NotImplementedError, RuntimeError) as error:
        raise _damaged() from error


def _blocks(archive: zipfile.ZipFile, part: str) -> Iterator[bytes]:
    """The part's bytes in blocks that overlap a little; reading to the end also checks its checksum."""
    with archive.open(part) as file:
        tail = b""
        while block := file.read(BLOCK):
            yield tail + block
            tail = block[-OVERLAP:]


def _first_sheet(archive: zipfile.ZipFile) -> str:
    sheet = ElementTree.fromstring(archive.read("xl/workbook.xml")).find(f"{_MAIN}sheets/{_MAIN}sheet")  # noqa: S314
    if sheet is None:
        raise FileRefused(_("The workbook has no worksheet."))
    links = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
    target = next(link.attrib["Target"] for link in links if link.attrib["Id"] == sheet.attrib[_RELATED])
    return target.removeprefix("/") if target.startswith("/") else f"xl/{target}"


def _zero_styles(archive: zipfile.ZipFile) -> dict[bytes, int]:
    """Cell styles that show a number as digits with leading zeros, and how many digits."""
    styles = ElementTree.fromstring(archive.read("xl/styles.xml"))  # noqa: S314
    formats = {
        entry.attrib["numFmtId"]: len(entry.attrib["formatCode"])
        for entry in styles.iterfind(f"{_MAIN}numFmts/{_MAIN}numFmt")
        if set(entry.attrib["formatCode"]) == {"0"} and len(entry.attrib["formatCode"]) > 1
    }
    return {
        b"%d" % number: formats[style.attrib["numFmtId"]]
        for number, style in enumerate(styles.iterfind(f"{_MAIN}cellXfs/{_MAIN}xf"))
        if style.attrib.get("numFmtId") in formats
    }


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def _text(cell: str | float | bool | date | time | timedelta) -> str:
    """What a CSV would hold for this cell."""
    match cell:
        case bool():
            return "TRUE" if cell else "FALSE"
        case int() | float():
            if abs(cell) >= LONGEST_NUMBER:
                return f"{cell:.14E}"
            if cell == int(cell):
                return str(int(cell))
            return f"{Decimal(f'{cell:.15g}'):f}"
        case datetime():
            moment = (cell + timedelta(microseconds=500_000)).replace(microsecond=0)
            return str(moment.date() if moment.time() == time() else moment)
        case _:
            return str(cell)
