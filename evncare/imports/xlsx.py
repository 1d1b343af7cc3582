"""Reading the first worksheet of an XLSX workbook as rows of text, in constant memory.

Readers for all of XLSX are slow (openpyxl) or keep the sheet in memory (calamine, some 0.8 KB a row), and show neither
formulas nor the zeros with which a number is shown. So the sheet's XML is taken row by row: by one pattern where a row
is as spreadsheets and their libraries write it, else by an XML parser. Formulas are refused, for their last result may
be missing or stale.
"""

import html
import mmap
import re
import zipfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from xml.etree import ElementTree

from django.utils.translation import gettext as _

from evncare.imports.columns import Memory
from evncare.imports.errors import FileRefused

MAGIC = b"PK\x03\x04"

BLOCK = 1 << 18
LONGEST_ROW = 16 << 20
MOST_COLUMNS = 16_384
# The largest possible sheet of an export unpacks to less; a bomb unpacks to a thousand times its size.
MOST_BYTES = 4 << 30
MOST_TIMES = 200
FREE_BYTES = 100 << 20
MOST_DIGITS = 15  # beyond them a spreadsheet has rounded

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATED = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_RELATIONSHIP = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"

# A cell, or a shared string, as it is nearly always written.
_CELL = re.compile(
    r'<c r="([A-Z]{1,3})\d+"([^<>]*?)(?:/>|>(?:<v>([^<]*)</v>|<is><t(?: xml:space="preserve")?>([^<]*)</t></is>)?</c>)'
)
_STRING = re.compile(r'\s*<si><t(?: xml:space="preserve")?>([^<]*)</t></si>')
_ROW_NUMBER = re.compile(r'<(?:\w+:)?row\b[^>]*?\sr="(\d+)"')
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")

# Number formats that show a day or a time: the built-in ones, and those with such letters outside quotes.
_DATE_FORMATS = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}
_UNQUOTED = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
_DATE_LETTER = re.compile("[dmyhs]", re.IGNORECASE)


def rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of the first worksheet with their numbers, all as wide as the widest so far; raises FileRefused."""
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_unsafe(archive, path.stat().st_size)
            book = ElementTree.fromstring(archive.read("xl/workbook.xml"))  # noqa: S314 - expat limits what it expands
            links = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
            sheet = book.find(f"{_MAIN}sheets/{_MAIN}sheet")
            if sheet is None:
                raise FileRefused(_("The workbook has no worksheet."))
            with _shared_strings(archive, links) as strings:
                meanings = _Meanings(archive, book, strings)
                yield from _sheet_rows(archive, _part(links, Id=sheet.attrib[_RELATED]), meanings)
    except (
        zipfile.BadZipFile, ElementTree.ParseError, KeyError, IndexError, ValueError, OSError, OverflowError,
        NotImplementedError, RuntimeError,
    ) as error:  # fmt: skip
        raise FileRefused(_("The workbook is damaged or was cut off: save it again.")) from error


def _refuse_unsafe(archive: zipfile.ZipFile, packed_size: int) -> None:
    parts = {part.filename: part for part in archive.infolist()}
    if "xl/workbook.xml" not in parts:
        raise FileRefused(_("This is a ZIP archive but no XLSX workbook: unpack it and load the file inside."))
    if "xl/vbaProject.bin" in parts:
        raise FileRefused(_("The workbook holds macros: save it as .xlsx without them."))
    size = sum(part.file_size for part in parts.values())
    if size > min(MOST_BYTES, max(FREE_BYTES, MOST_TIMES * packed_size)):
        raise FileRefused(_("The workbook unpacks to far more than an export holds."))


def _part(links: ElementTree.Element, **wanted: str) -> str:
    """The name of the part that a relationship of the workbook leads to."""
    target = next(
        (link.attrib["Target"] for link in links if wanted.items() <= link.attrib.items()),
        "",
    )
    return target.removeprefix("/") if target.startswith("/") else f"xl/{target}"


def _elements(file: IO[bytes], root: str, name: str) -> Iterator[tuple[str, Callable[[], ElementTree.Element]]]:
    """Each element of this name below the root element: its XML, and a function that parses it."""
    rest = file.read(BLOCK)
    opened = re.search(rb"<(\w+:)?%s\b[^>]*>" % root.encode(), rest)
    if not opened:
        raise ValueError(root)
    prefix, opening = (opened[1] or b"").decode(), opened[0].decode()
    begin, end = f"<{prefix}{name}", f"</{prefix}{name}>".encode()
    rest = rest[opened.end() :]

    def parsed(element: str) -> Callable[[], ElementTree.Element]:
        return lambda: ElementTree.fromstring(f"{opening}{element}</{prefix}{root}>")[0]  # noqa: S314

    while True:
        *pieces, rest = rest.split(end)
        for piece in pieces:
            text = piece.decode()
            element = text[text.rindex(begin) :] + end.decode()
            yield element, parsed(element)
        if len(rest) > LONGEST_ROW:
            raise FileRefused(_("A row of the workbook is longer than 16 megabytes."))
        if not (block := file.read(BLOCK)):
            break
        rest += block
    if f"</{prefix}{root}>".encode() not in rest:
        raise ValueError(rest[-100:])


def _sheet_rows(archive: zipfile.ZipFile, part: str, meanings: "_Meanings") -> Iterator[tuple[int, list[str]]]:
    number = width = 0
    places = Memory(_column_number)
    with archive.open(part) as file:
        for row, parsed in _elements(file, "worksheet", "row"):
            numbered = _ROW_NUMBER.match(row)
            number = int(numbered[1]) if numbered else number + 1
            cells = [""] * width
            found = _CELL.findall(row)
            # A cell that the pattern misses, one whose tag has a prefix, or one in a comment.
            if len(found) != row.count("<c") or ":c" in row or "<!" in row:
                found = list(_parsed_cells(parsed(), number))
            for letters, attributes, value, inline in found:
                if meaning := meanings[attributes]:
                    text = meaning(value)
                else:
                    text = value or inline
                    if "&" in text or "_x" in text:
                        text = _unescaped(text)
                place = places[letters]
                if place >= width:
                    width = place + 1
                    cells += [""] * (width - len(cells))
                cells[place] = text
            yield number, cells


def _parsed_cells(row: ElementTree.Element, number: int) -> Iterator[tuple[str, str, str, str]]:
    """The cells of a row that is written in another way than usual, as `_CELL` finds those of others."""
    column = 0
    for cell in row.iterfind(f"{_MAIN}c"):
        letters = cell.get("r", "").rstrip("0123456789")
        column = _column_number(letters) + 1 if letters else column + 1
        if cell.find(f"{_MAIN}f") is not None:
            raise FileRefused(
                _("Cell %(cell)s is a formula: paste the values and save again.")
                % {"cell": cell.get("r", f"{_column_letters(column)}{number}")}
            )
        attributes = "".join(f' {name}="{cell.attrib[name]}"' for name in ("s", "t") if name in cell.attrib)
        value = html.escape(cell.findtext(f"{_MAIN}v", ""))
        inline = html.escape(_text_of(cell.find(f"{_MAIN}is")))
        yield _column_letters(column), attributes, value, inline


def _text_of(element: ElementTree.Element | None) -> str:
    """The text of a string, plain or in parts with fonts of their own; not the pronunciation beside it."""
    if element is None:
        return ""
    runs = [*element.iterfind(f"{_MAIN}t"), *element.iterfind(f"{_MAIN}r/{_MAIN}t")]
    return "".join(run.text or "" for run in runs)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), html.unescape(text))


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    if not 1 <= number <= MOST_COLUMNS:
        raise ValueError(letters)
    return number - 1


def _column_letters(number: int) -> str:
    letters = ""
    while number:
        number, letter = divmod(number - 1, 26)
        letters = chr(65 + letter) + letters
    return letters


@contextmanager
def _shared_strings(archive: zipfile.ZipFile, links: ElementTree.Element) -> Iterator[Callable[[str], str]]:
    """The function that tells a shared string by its number. They may be millions, so they wait in a file."""
    part = _part(links, Type=f"{_RELATIONSHIP}/sharedStrings")
    ends = array("Q", [0])
    with TemporaryFile() as kept:
        if part in archive.namelist():
            with archive.open(part) as file:
                for element, parsed in _elements(file, "sst", "si"):
                    match = _STRING.fullmatch(element)
                    text = _unescaped(match[1]) if match else _unescaped(html.escape(_text_of(parsed())))
                    ends.append(ends[-1] + kept.write(text.encode()))
            kept.flush()
        if not ends[-1]:
            yield lambda number: "" if 0 <= int(number) < len(ends) - 1 else _missing(number)
            return
        with mmap.mmap(kept.fileno(), 0, access=mmap.ACCESS_READ) as texts:

            def string(number: str) -> str:
                place = int(number)
                return texts[ends[place] : ends[place + 1]].decode()

            yield string


def _missing(number: str) -> str:
    raise IndexError(number)


class _Meanings(dict[str, Callable[[str], str] | None]):
    """What makes the text of a cell's value, by the cell's attributes; None where the value is the text."""

    def __init__(self, archive: zipfile.ZipFile, book: ElementTree.Element, strings: Callable[[str], str]) -> None:
        properties = book.find(f"{_MAIN}workbookPr")
        old_mac = properties is not None and properties.get("date1904") in ("1", "true")
        self._day_zero = datetime(1904, 1, 1) if old_mac else datetime(1899, 12, 30)  # noqa: DTZ001
        self._strings = strings
        self._styles = _styles(archive)

    def __missing__(self, attributes: str) -> Callable[[str], str] | None:
        named = dict(re.findall(r'(\w+)="([^"]*)"', attributes))
        self[attributes] = self._meaning(named.get("t", "n"), self._styles.get(named.get("s", "0")))
        return self[attributes]

    def _meaning(self, kind: str, style: Any) -> Callable[[str], str] | None:
        match kind, style:
            case "s", _style:
                return self._strings
            case "b", _style:
                return {"0": "FALSE", "1": "TRUE"}.__getitem__
            case "n", "date":
                return self._date
            case "n", int():
                return lambda value: value.zfill(style) if value.isdecimal() else _number(value)
            case "n", _style:
                return _number
        return None

    def _date(self, value: str) -> str:
        if not value:
            return ""
        moment = self._day_zero + timedelta(seconds=round(float(value) * 86400))
        return str(moment.date() if moment.time() == time() else moment)


def _styles(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Of cell styles by their number: "date", or the number of digits if it shows leading zeros."""
    if "xl/styles.xml" not in archive.namelist():
        return {}
    styles = ElementTree.fromstring(archive.read("xl/styles.xml"))  # noqa: S314
    meanings: dict[str, Any] = {str(number): "date" for number in _DATE_FORMATS}
    for entry in styles.iterfind(f"{_MAIN}numFmts/{_MAIN}numFmt"):
        code = entry.attrib["formatCode"]
        if set(code) == {"0"} and len(code) > 1:
            meanings[entry.attrib["numFmtId"]] = len(code)
        elif _DATE_LETTER.search(_UNQUOTED.sub("", code)) and code != "General":
            meanings[entry.attrib["numFmtId"]] = "date"
    return {
        str(number): meanings[style.attrib["numFmtId"]]
        for number, style in enumerate(styles.iterfind(f"{_MAIN}cellXfs/{_MAIN}xf"))
        if style.attrib.get("numFmtId") in meanings
    }


def _number(value: str) -> str:
    """What a CSV would hold for this number."""
    if len(value) <= MOST_DIGITS and value.isdecimal():
        return value
    if not value:
        return ""
    number = float(value)
    if abs(number) >= 10**MOST_DIGITS:
        return f"{number:.14E}"
    return str(int(number)) if number == int(number) else f"{Decimal(f'{number:.15g}'):f}"
