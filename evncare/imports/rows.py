"""From a file's rows of text to rows of values: recognising the header, then reading chunk by chunk.

A chunk is read column by column, for that is many times faster than row by row: see `Column.reader`.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from evncare.imports.columns import Column
from evncare.imports.declarations import Export, declared_exports
from evncare.imports.errors import FileRefused
from evncare.text import fold

# A row of a file: the line that it begins on, its cells.
Row = tuple[int, list[str]]

LONGEST_VALUE = 200  # as much of a refused cell as is repeated in a report


class Reject(NamedTuple):
    """A row that isn't taken: where, which cell, and why. ``key`` names the row if that much of it could be read."""

    line: int
    column: str
    value: str
    reason: str
    key: str | None = None


@dataclass(frozen=True)
class Layout:
    """Where the columns of an export stand in one file; None for an optional one that is missing."""

    header: tuple[str, ...]
    positions: tuple[int | None, ...]
    unknown: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.header)


# Columns of our own rejects files, which come back mended.
REPORT_COLUMNS = ("LINE", "COLUMN", "REASON")


def _spelling(name: str) -> str:
    return "_".join(fold(name).split())


def recognise(export: Export, header: Sequence[str]) -> Layout:
    """Find the export's columns in a header; raises FileRefused naming what is missing and what it looks like."""
    while header and not header[-1]:
        header = header[:-1]
    places: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(header):
        places[_spelling(name)].append(place)

    positions: list[int | None] = []
    missing: list[str] = []
    for column in export.columns:
        found = [place for name in (column.name, *column.aliases) for place in places.pop(_spelling(name), ())]
        if len(found) > 1:
            raise FileRefused(_("The column %(name)s stands there twice.") % {"name": column.name})
        if not found and not column.optional:
            missing.append(column.name)
        positions.append(found[0] if found else None)
    if missing:
        text = _("This is no file of %(kind)s: the columns %(missing)s are missing.") % {
            "kind": export.name,
            "missing": ", ".join(missing),
        }
        if alike := _kinds_with(header):
            text += " " + _("It looks like %(kinds)s.") % {"kinds": ", ".join(alike)}
        raise FileRefused(text)
    ours = {_spelling(name) for name in REPORT_COLUMNS}
    unknown = [header[place] for name, found in places.items() if name and name not in ours for place in found]
    return Layout(tuple(header), tuple(positions), tuple(unknown))


def _kinds_with(header: Sequence[str]) -> list[str]:
    names = {_spelling(name) for name in header}
    return [
        export.name
        for export in declared_exports().values()
        if all(
            column.optional or names & {_spelling(name) for name in (column.name, *column.aliases)}
            for column in export.columns
        )
    ]


@dataclass
class Chunk:
    """What became of some rows: of the good ones their lines and, for each of the export's fields, all values.

    A number may be there as the text that a database takes for it.
    """

    lines: Sequence[int]
    columns: list[Sequence[Any]]
    rejects: list[Reject]
    warnings: Counter[str]


# What is wrong with a row: which column, its cell, the reason.
Problem = tuple[Column, str, str]


class Reader:
    """Reads rows of one file by one layout."""

    def __init__(self, export: Export, layout: Layout) -> None:
        self.export = export
        self.layout = layout
        looked_at = {name for check in export.checks for name in check.fields}
        looked_at |= {name for derived in export.derived for name in derived.fields}
        self._readers = [column.reader(typed=column.field in looked_at) for column in export.columns]

    def read(self, rows: Sequence[Row]) -> Chunk:
        """Read a chunk of rows, which are as wide as the header or get rejected."""
        rejects: list[Reject] = []
        if {len(cells) for _line, cells in rows} != {self.layout.width}:
            misshapen = [self._misshapen(line, cells) for line, cells in rows]
            rejects = [reject for reject in misshapen if reject]
            rows = [row for row, reject in zip(rows, misshapen, strict=True) if reject is None]
        lines = tuple(line for line, _cells in rows)
        # Rows may go on with empty cells.
        cells = list(zip(*(cells for _line, cells in rows), strict=False)) if rows else [()] * self.layout.width

        values: dict[str, Sequence[Any]] = {}
        problems: dict[int, list[Problem]] = defaultdict(list)
        for column, position, read in zip(self.export.columns, self.layout.positions, self._readers, strict=True):
            if position is None:
                values[column.field] = [column.default] * len(lines)
                continue
            values[column.field], found = read(cells[position])
            for row, reason in found.items():
                problems[row].append((column, cells[position][row], reason))
        warnings = self._check(values, cells, problems)
        if problems:
            rejects += [self._reject(lines[row], row, found, values) for row, found in problems.items()]
            good = [row not in problems for row in range(len(lines))]
            lines = tuple(compress(lines, good))
            values = {name: list(compress(column, good)) for name, column in values.items()}
        for derived in self.export.derived:
            inputs = [values[name] for name in derived.fields]
            values[derived.field] = list(map(derived.value, *inputs)) if inputs else [derived.value()] * len(lines)
        return Chunk(lines, [values[name] for name in self.export.fields], rejects, warnings)

    def _misshapen(self, line: int, cells: list[str]) -> Reject | None:
        width = self.layout.width
        if len(cells) < width:
            reason = _("the row ends before this column: it has %(cells)s cells, the header %(width)s")
            column = self.layout.header[len(cells)]
        elif len(cells) > width and any(cell.strip() for cell in cells[width:]):
            reason = _("the row has more cells than the header: %(cells)s instead of %(width)s")
            column = ""
        else:
            return None
        return Reject(line, column, "", reason % {"cells": len(cells), "width": width})

    def _check(
        self,
        values: dict[str, Sequence[Any]],
        cells: Sequence[Sequence[str]],
        problems: dict[int, list[Problem]],
    ) -> Counter[str]:
        warnings: Counter[str] = Counter()
        unread = frozenset(problems)
        for check in self.export.checks:
            column = self.export.column_of(check.fields[0])
            position = self.layout.positions[self.export.columns.index(column)]
            for row, given in enumerate(zip(*(values[name] for name in check.fields), strict=True)):
                if row in unread or (reason := check.problem(*given)) is None:
                    continue
                if check.warning:
                    warnings[f"{column.name} {reason}"] += 1
                else:
                    problems[row].append((column, "" if position is None else cells[position][row], reason))
        return warnings

    def _reject(self, line: int, row: int, found: list[Problem], values: dict[str, Sequence[Any]]) -> Reject:
        """One report for the row, with everything that is wrong with it."""
        key = values[self.export.key[0]][row] if len(self.export.key) == 1 else None
        if len(found) == 1:
            ((column, cell, reason),) = found
            return Reject(line, column.name, cell[:LONGEST_VALUE], reason, key)
        return Reject(
            line,
            ", ".join(dict.fromkeys(column.name for column, _cell, _reason in found)),
            ", ".join(cell for _column, cell, _reason in found)[:LONGEST_VALUE],
            "; ".join(f"{column.name} {reason}" for column, _cell, reason in found),
            key,
        )
