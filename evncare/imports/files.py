"""Reading an export's file as rows of text, whatever it is: CSV in any usual encoding, gzip of CSV, or XLSX.

What a file is, its content tells, not its name. A CSV streams in constant memory. Files that are damaged or built to
do damage are refused before the first row is handed out.
"""

import codecs
import csv
import gzip
import io
import unicodedata
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from django.utils.translation import gettext as _

from evncare.imports import xlsx
from evncare.imports.errors import FileRefused
from evncare.imports.rows import Row

# Rows, each with the line that it begins on. They are handed on by the block, for a million calls take a second.
Block = list[Row]

BLOCK = 1 << 20
BLOCK_ROWS = 1000
LONGEST_LINE = 1 << 20
# A gzip that unpacks to more than this, or to this many times its size, is no export.
MOST_BYTES = 20 << 30
MOST_TIMES = 200
FREE_BYTES = 100 << 20

_OLD_OFFICE = b"\xd0\xcf\x11\xe0"
_OTHER_ARCHIVES = {b"7z\xbc\xaf": "7-Zip", b"Rar!": "RAR", b"%PDF": "PDF"}


@dataclass(frozen=True)
class Table:
    """A file's header and its rows, each with the line that it begins on (in a spreadsheet, its row)."""

    header: list[str]
    blocks: Iterator[Block]

    @property
    def rows(self) -> Iterator[Row]:
        return chain.from_iterable(self.blocks)


@contextmanager
def opened(path: Path) -> Iterator[Table]:
    """The table in the file; raises FileRefused, also later while the rows are read."""
    with path.open("rb") as file, closing(_blocks(path, file)) as blocks:
        for block in blocks:
            for place, (_line, cells) in enumerate(block):
                if any(cell.strip() for cell in cells):
                    yield Table([cell.strip() for cell in cells], chain([block[place + 1 :]], blocks))
                    return
    raise FileRefused(_("The file is empty."))


def _blocks(path: Path, file: BinaryIO) -> Generator[Block, None, None]:
    start = file.read(4)
    file.seek(0)
    if start == xlsx.MAGIC:
        yield from _in_blocks(xlsx.rows(path))
    elif start[:2] == b"\x1f\x8b":
        try:
            with gzip.open(file) as unpacked:
                yield from _csv_blocks(unpacked, path.stat().st_size)  # type: ignore[arg-type]
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FileRefused(_("The compressed file is damaged or was cut off: fetch it again.")) from error
    elif start == _OLD_OFFICE:
        raise FileRefused(_("This is a workbook in the old format or with a password: save it as .xlsx, without one."))
    elif start in _OTHER_ARCHIVES:
        raise FileRefused(
            _("This is a %(format)s file: CSV, XLSX or gzip is needed.") % {"format": _OTHER_ARCHIVES[start]}
        )
    else:
        yield from _csv_blocks(file, None)


def _in_blocks(rows: Iterator[Row]) -> Iterator[Block]:
    while block := list(islice(rows, BLOCK_ROWS)):
        yield block


def _csv_blocks(file: BinaryIO, packed_size: int | None) -> Generator[Block, None, None]:
    encoding = _encoding(file, packed_size)
    file.seek(0)
    text = io.TextIOWrapper(file, encoding, newline="")
    try:
        yield from _parsed(text, encoding)
    finally:
        text.detach()  # the file is closed by who opened it


def _parsed(lines: Iterator[str], encoding: str) -> Iterator[Block]:
    if encoding == "cp1258":  # it writes some accents as marks of their own
        lines = (unicodedata.normalize("NFC", line) for line in lines)
    blank: list[str] = []
    first = ""
    for first in lines:
        if first.strip():
            break
        blank.append(first)
    skipped = 0
    if first[:4].lower() == "sep=":  # Excel's own way to name the delimiter
        delimiter, skipped = first[4], len(blank) + 1
    else:
        delimiter = max(",;\t", key=first.count)
        lines = chain(blank, [first], lines)
    reader = csv.reader(lines, delimiter=delimiter)
    line = skipped + 1
    block: Block = []
    try:
        for cells in reader:
            block.append((line, cells))
            line = skipped + reader.line_num + 1
            if len(block) == BLOCK_ROWS:
                yield block
                block = []
        yield block
    except csv.Error as error:
        raise FileRefused(
            _("Line %(line)s can't be read; a quotation mark may be opened there and never closed. (%(error)s)")
            % {"line": line, "error": error}
        ) from error


def _encoding(file: BinaryIO, packed_size: int | None) -> str:
    """The encoding of the whole file, which is read once for it, so that no surprise waits behind the first rows."""
    start = file.read(BLOCK)
    candidates = ["utf-8", "cp1258"]
    if start.startswith(codecs.BOM_UTF8):
        candidates = ["utf-8-sig"]
    elif start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        candidates = ["utf-16"]
    elif start[1:200:2].count(0) > len(start[:200]) // 4:
        candidates = ["utf-16-le"]
    elif start[0:200:2].count(0) > len(start[:200]) // 4:
        candidates = ["utf-16-be"]
    for encoding in candidates:
        file.seek(0)
        if _holds(file, encoding, packed_size):
            return encoding
    raise FileRefused(_("The file is no text in UTF-8, UTF-16 or Windows-1258."))


def _holds(file: BinaryIO, encoding: str, packed_size: int | None) -> bool:
    """Whether the whole file is text in this encoding; refuses what is no export in any encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    size = lines = unfinished = accented = 0
    while block := file.read(BLOCK):
        size += len(block)
        if packed_size is not None and size > min(MOST_BYTES, max(FREE_BYTES, MOST_TIMES * packed_size)):
            raise FileRefused(_("The compressed file unpacks to far more than an export holds."))
        try:
            text = decoder.decode(block)
        except UnicodeDecodeError as error:
            accented += len(block[: error.start].decode(encoding, "ignore").encode("ascii", "ignore")) < error.start
            if encoding == "cp1258" or not accented:
                return False
            line = lines + block.count(b"\n", 0, error.start) + 1
            raise FileRefused(_("Line %(line)s is damaged: it is not valid UTF-8.") % {"line": line}) from error
        if "\0" in text:
            line = lines + text.count("\n", 0, text.index("\0")) + 1
            raise FileRefused(_("Line %(line)s holds a NUL byte: the file is damaged or no text.") % {"line": line})
        end = "\n" if "\n" in text else "\r"
        before, found, _rest = text.partition(end)
        longest = unfinished + len(before)
        unfinished = len(text) - text.rfind(end) - 1 if found else longest
        if max(longest, unfinished) > LONGEST_LINE:
            raise FileRefused(_("Line %(line)s is longer than a megabyte.") % {"line": lines + 1})
        lines += text.count(end)
        accented += not text.isascii()
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
