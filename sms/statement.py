"""A carrier's monthly statement of charged messages as a file: whatever its columns are called, line by line.

docs/reconciliation.md tells carriers what is read.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Decimal
from itertools import chain, islice
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext

from evncare.imports import files
from evncare.imports.errors import FileRefused
from evncare.imports.rows import Row
from evncare.text import fold

HEADER_WITHIN_ROWS = 20
ID_LENGTH = 128

# What carriers call their columns, after `_key`.
COLUMNS = {
    "reference": ("reference", "ref", "our_reference", "partner_reference", "ma_tham_chieu"),
    "message_id": (
        "message_id", "messageid", "msg_id", "msgid", "mo_id", "moid", "request_id", "id", "ma_tin_nhan", "ma_tin",
        "ma_mo",
    ),
    "reply_id": ("reply_id", "mt_id", "mtid", "carrier_message_id", "ma_mt"),
    "segments": ("segments", "segment", "parts", "message_count", "so_tin", "so_ban_tin", "so_phan", "so_luong_tin"),
    "amount": ("amount", "amount_vnd", "price", "fee", "cost", "charge_vnd", "so_tien", "thanh_tien", "cuoc", "gia"),
    "charged": ("charged", "charge", "is_charged", "billed", "tinh_cuoc", "tinh_phi", "co_tinh_cuoc"),
}  # fmt: skip
IDS = ("reference", "message_id", "reply_id")
YES = {"1", "y", "yes", "true", "t", "x", "c", "co"}
NO = {"0", "n", "no", "false", "f", "k", "khong"}
TOTALS = {"tong", "tong_cong", "cong", "total", "sum", "grand_total"}

# Its number, three ids, segments, VND, and what is wrong with it.
Line = tuple[int, str, str, str, int | None, int, str]


class StatementRefused(Exception):
    """The file can't be used as a statement; the text says why and what to do."""


@contextmanager
def opened(path: Path) -> Iterator[Iterator[Line]]:
    """The lines of a statement: CSV, gzip of it, or XLSX. Raises StatementRefused, here or in the midst of reading."""
    try:
        with files.opened(path) as table:
            yield _lines(table)
    except FileRefused as error:
        raise StatementRefused(str(error)) from error


class _Unreadable(Exception):
    """A cell that can't be read; the text is the reason's name."""


def _lines(table: files.Table) -> Iterator[Line]:
    places, rows = _header(table)

    def cell(cells: Sequence[str], name: str) -> str:
        place = places.get(name)
        return cells[place].strip() if place is not None and place < len(cells) else ""

    named = [name for name in IDS if name in places]
    for line, cells in rows:
        ids = [cell(cells, name) for name in IDS]
        texts = [text for text in cells if text.strip()]
        if not texts or (_key(texts[0]) in TOTALS and _key(next(filter(None, ids), "tong")) in TOTALS):
            continue
        if len(named) == 1:
            # One column of ids: whose they are, the log will tell.
            ids = [ids[IDS.index(named[0])]] * 3
        segments, vnd, problem = None, 0, ""
        try:
            vnd = _vnd(cell(cells, "amount"), cell(cells, "charged"))
            segments = _segments(cell(cells, "segments"))
            ids = [_identifier(text) for text in ids]
            if not any(ids):
                raise _Unreadable("no_id")
        except _Unreadable as error:
            problem = str(error)
            ids = [text[:ID_LENGTH] for text in ids]
        yield line, ids[0], ids[1], ids[2], segments, vnd, problem


def _header(table: files.Table) -> tuple[dict[str, int], Iterable[Row]]:
    """Where each column stands, and the rows below; a statement may have some lines of title above its header."""
    rows = iter(table.rows)
    for cells in chain([table.header], (cells for _line, cells in islice(rows, HEADER_WITHIN_ROWS))):
        keys = [_key(text) for text in cells]
        places = {
            name: keys.index(alias)
            for name, aliases in COLUMNS.items()
            if (alias := next((alias for alias in aliases if alias in keys), None)) is not None
        }
        if any(name in places for name in IDS):
            return places, rows
    raise StatementRefused(
        gettext(
            "No column of ids in the first rows: a column message_id or reference is needed (docs/reconciliation.md)."
        )
    )


def _key(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", fold(text)).strip("_")


def _identifier(text: str) -> str:
    if len(text) > ID_LENGTH:
        raise _Unreadable("long_id")
    if re.fullmatch(r"\d(?:[.,]\d+)?E\+\d+", text):
        raise _Unreadable("rounded_id")  # by a spreadsheet that took it for a number
    return text


def _segments(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"\d{1,3}(?:[.,]0+)?", text, re.ASCII):
        raise _Unreadable("bad_segments")
    return int(re.split("[.,]", text)[0])


def _vnd(amount: str, charged: str) -> int:
    """What a line charges: nothing if it says so, else its amount, else the price."""
    if charged and _key(charged) in NO:
        return 0
    if amount:
        return _amount(amount)
    return int(settings.SMS_PRICE_VND) if not charged or _key(charged) in YES else _amount(charged)


def _amount(text: str) -> int:
    """Whole VND: 1000, 1.000, 1,000.00, 1 000 đ. Three digits behind a separator are thousands: VND has no decimals."""
    bare = re.sub(r"(?i)\s*(?:vnd|vnđ|đồng|dong|đ|d|₫)\.?$", "", text.strip())
    if match := re.fullmatch(r"([+-]?\d{1,3})((?:[.,' \u00a0\u202f]\d{3})+)(?:[.,]\d{1,2})?", bare, re.ASCII):
        whole = match[1] + re.sub(r"\D", "", match[2])
    elif re.fullmatch(r"[+-]?\d{1,15}(?:[.,]\d+)?", bare, re.ASCII):
        whole = bare.replace(",", ".")
    else:
        raise _Unreadable("bad_amount")
    vnd = int(Decimal(whole).quantize(Decimal(1), ROUND_HALF_UP))
    if abs(vnd) >= 10**15:
        raise _Unreadable("bad_amount")
    return vnd
