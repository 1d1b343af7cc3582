"""From a file's rows of text to rows of values: recognising the header, then reading chunk by chunk.

A chunk is read column by column, for that is several times faster than row by row; only where a cell can't be read
is the column gone through cell by cell.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from evncare.imports.columns import Column, ColumnError
from evncare.imports.declarations import Export, declared_exports
from evncare.imports.errors import FileRefused
from evncare.text import fold

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
    """What became of some rows: the good ones as (line, value of each of the export's fields...)."""

    good: list[tuple[Any, ...]]
    rejects: list[Reject]
    warnings: Counter[str] = field(default_factory=Counter)


class Reader:
    """Reads rows of one file by one layout."""

    def __init__(self, export: Export, layout: Layout) -> None:
        self.export = export
        self.layout = layout
        self._reads: list[Callable[[str], Any]] = [
            lru_cache(8192)(column.read) if column.repeats else column.read for column in export.columns
        ]

    def read(self, rows: Sequence[tuple[int, list[str]]]) -> Chunk:
        """Read a chunk of rows, which are as wide as the header or get rejected."""
        rejects = []
        lines: list[int] = []
        table: list[list[str]] = []
        for line, cells in rows:
            if reject := self._misshapen(line, cells):
                rejects.append(reject)
            else:
                lines.append(line)
                table.append(cells)

        values: dict[str, list[Any]] = {}
        problems: dict[int, list[tuple[Column, str, str]]] = defaultdict(list)
        for column, position, read in zip(self.export.columns, self.layout.positions, self._reads, strict=True):
            if position is None:
                values[column.field] = [column.default] * len(table)
                continue
            cells = [row[position] for row in table]
            try:
                values[column.field] = list(map(read, cells))
            except ColumnError:
                values[column.field] = self._read_each(column, read, cells, problems)
        warnings = self._check(values, table, problems)
        for derived in self.export.derived:
            inputs = [values[name] for name in derived.fields]
            values[derived.field] = (
                [
                    None if row in problems else derived.value(*given)
                    for row, given in enumerate(zip(*inputs, strict=True))
                ]
                if inputs
                else [derived.value()] * len(table)
            )
        good = list(zip(lines, *(values[name] for name in self.export.fields), strict=True))
        if problems:
            rejects += [self._reject(lines[row], row, found, values) for row, found in problems.items()]
            good = [row for number, row in enumerate(good) if number not in problems]
        return Chunk(good, rejects, warnings)

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

    @staticmethod
    def _read_each(
        column: Column,
        read: Callable[[str], Any],
        cells: list[str],
        problems: dict[int, list[tuple[Column, str, str]]],
    ) -> list[Any]:
        values = []
        for row, cell in enumerate(cells):
            try:
                values.append(read(cell))
            except ColumnError as error:
                values.append(None)
                problems[row].append((column, cell, str(error)))
        return values

    def _check(
        self,
        values: dict[str, list[Any]],
        table: list[list[str]],
        problems: dict[int, list[tuple[Column, str, str]]],
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
                    problems[row].append((column, "" if position is None else table[row][position], reason))
        return warnings

    def _reject(
        self, line: int, row: int, found: list[tuple[Column, str, str]], values: dict[str, list[Any]]
    ) -> Reject:
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
