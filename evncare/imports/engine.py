"""Loading one export: read, check and stage the file's rows, judge them together, then merge them in one transaction.

Readers of the table see the state before or the state after, never anything between. Memory stays flat: rows and
rejects are kept in temporary tables of the database.
"""

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import monotonic
from typing import Any

from django.db import DatabaseError, models
from django.utils import timezone
from django.utils.translation import gettext as _

from evncare.imports import files
from evncare.imports.columns import guarded
from evncare.imports.declarations import Export, Snapshot
from evncare.imports.errors import FileRefused
from evncare.imports.merge import Merge
from evncare.imports.rows import REPORT_COLUMNS, Layout, Reader, Reject, recognise
from evncare.imports.staging import Stage, judging, rejected_lines, rejects_in_order
from evncare.imports.undoing import Undone, UndoRefused, forget, undo

__all__ = ["Change", "Outcome", "UndoRefused", "Undone", "forget", "load", "undo"]


BLOCKS_A_REPORT = 10


@dataclass(frozen=True)
class Change:
    """A row that is new (``before`` is None) or changes ``before``; ``cells`` are the file's, by column name."""

    line: int
    cells: dict[str, str]
    before: models.Model | None


@dataclass
class Outcome:
    """What a load did, or in a dry run would do. rows = new + changed + unchanged + rejected.

    ``sums`` are those of the rows that are taken, by column. A snapshot covers the parts ``covered``, in which
    ``open_before`` rows were open.
    """

    kind: str
    rows: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    rejected: int = 0
    seconds: float = 0.0
    sums: dict[str, int | Decimal] = field(default_factory=dict)
    covered: list[str] = field(default_factory=list)
    open_before: int = 0
    notes: list[str] = field(default_factory=list)
    # The first few of each, as many as were asked for.
    changes: list[Change] = field(default_factory=list)
    rejects: list[tuple[Reject, dict[str, str]]] = field(default_factory=list)

    @property
    def taken(self) -> int:
        return self.rows - self.rejected

    def counts(self) -> dict[str, Any]:
        names = ("kind", "rows", "new", "changed", "unchanged", "removed", "rejected", "seconds")
        return {name: getattr(self, name) for name in names}


def load(
    export: Export,
    path: Path,
    *,
    dry_run: bool = False,
    snapshot: bool | None = None,
    rejects: Path | None = None,
    sample: int = 0,
    progress: Callable[[int], None] = lambda rows: None,
    now: datetime | None = None,
    run: int | None = None,
    within: Callable[[Outcome], None] | None = None,
) -> Outcome:
    """Load a file of this kind; raises FileRefused, and then nothing has changed.

    ``snapshot`` says whether what the file no longer lists is settled (by default if the export is a snapshot).
    ``rejects`` is where the rejected rows are written, in the file's own columns. ``progress`` is told the number of
    rows read so far; the connection is free for its use, and no transaction is open. ``now`` is the moment at which
    rows are settled. Whatever is written bears the number ``run``, by which `undo` can take it back. ``within`` is
    called just before the commit, for what is to be true at the same instant; what it raises rolls all back.
    """
    started = monotonic()
    if snapshot and not export.snapshot:
        raise FileRefused(_("%(kind)s are no snapshot: what a file leaves out says nothing.") % {"kind": export.name})
    settles = export.snapshot if snapshot is not False else None
    if rejects and rejects.exists() and path.samefile(rejects):
        raise FileRefused(_("The rejects would overwrite the file that is being loaded: name another one."))

    outcome = Outcome(export.name)
    with files.opened(path) as table:
        layout = recognise(export, table.header)
        if layout.unknown:
            outcome.notes.append(_("Columns not used: %(names)s.") % {"names": ", ".join(layout.unknown)})
        try:
            with Stage(export) as stage:
                _fill(stage, Reader(export, layout), table.blocks, outcome, progress)
                if settles and not outcome.rows:
                    raise FileRefused(_("The file has no rows: as a snapshot it would say that nothing is owed."))
                merge = Merge(export, layout)
                # The rejects file appears when the rows that it doesn't hold have been committed, and not before.
                with (
                    _replacing(rejects) if rejects else nullcontext() as file,
                    judging(export.model, to_write=not dry_run),
                ):
                    _plan(merge, outcome, settles)
                    if file:
                        _write_rejects(file, path, layout)
                    if sample:
                        _take_samples(merge, path, outcome, sample)
                    if not dry_run:
                        _apply(merge, outcome, settles, now or timezone.now(), run)
                    if within:
                        within(outcome)
        except DatabaseError as error:
            raise FileRefused(_("The database doesn't take it: %(error)s") % {"error": error}) from error
    outcome.seconds = round(monotonic() - started, 3)
    return outcome


def _fill(
    stage: Stage,
    reader: Reader,
    blocks: Iterator[files.Block],
    outcome: Outcome,
    progress: Callable[[int], None],
) -> None:
    warnings: Counter[str] = Counter()
    for number, block in enumerate(blocks, 1):
        rows = [row for row in block if any(row[1])]
        chunk = reader.read(rows)
        warnings += chunk.warnings
        outcome.rows += len(rows)
        stage.add(chunk)
        if number % BLOCKS_A_REPORT == 0:
            stage.settle()
            progress(outcome.rows)
    stage.complete()
    progress(outcome.rows)
    outcome.notes += [
        _("In %(count)s rows %(warning)s.") % {"count": count, "warning": warning}
        for warning, count in warnings.items()
    ]


def _plan(merge: Merge, outcome: Outcome, settles: Snapshot | None) -> None:
    merge.plan()
    merge.judge()
    outcome.rejected = rejected_lines()
    outcome.sums = merge.sums()
    outcome.new, outcome.changed, outcome.unchanged = merge.counts()
    if settles:
        outcome.covered = merge.covered(settles)
        if merge.unreadable_keys():
            outcome.notes.append(
                _("Nothing was settled: some rejected rows don't tell which ones they are. Mend them and load again.")
            )
        else:
            outcome.open_before, outcome.removed = merge.plan_settling(settles, outcome.covered)


def _apply(merge: Merge, outcome: Outcome, settles: Snapshot | None, now: datetime, run: int | None) -> None:
    if outcome.changed:
        merge.update(run)
    if outcome.new:
        merge.insert(run, all_rows=outcome.new == outcome.taken)
    if settles and outcome.removed:
        merge.settle(settles, now, run)


@contextmanager
def _replacing(path: Path) -> Iterator[Any]:
    """A text file that takes the place of ``path`` if the block ends well."""
    # With a BOM, by which spreadsheets know UTF-8.
    with NamedTemporaryFile(
        "w", encoding="utf-8-sig", newline="", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        try:
            yield file
            file.flush()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def _write_rejects(file: Any, path: Path, layout: Layout) -> None:
    own = [place for place, name in enumerate(layout.header) if name.upper() not in REPORT_COLUMNS]
    writer = csv.writer(file)
    writer.writerow([*REPORT_COLUMNS, *(layout.header[place] for place in own)])
    for reject, cells in _with_cells(path, rejects_in_order()):
        cells += [""] * (layout.width - len(cells))
        row = (guarded(cells[place]) for place in own)
        writer.writerow([reject.line, reject.column, reject.reason, *row, *map(guarded, cells[layout.width :])])


def _with_cells(path: Path, rejects: Iterable[Reject]) -> Iterator[tuple[Reject, list[str]]]:
    """Each reject with its cells, which the file still has: reading it again costs less than keeping them."""
    reject = next(waiting := iter(rejects), None)
    if reject is None:
        return
    with files.opened(path) as table:
        for line, cells in table.rows:
            if line == reject.line:
                yield reject, cells
                if (reject := next(waiting, None)) is None:
                    return


def _take_samples(merge: Merge, path: Path, outcome: Outcome, limit: int) -> None:
    names = [column.name for column in merge.export.columns]
    with files.opened(path) as table:
        places = recognise(merge.export, table.header).positions

    def by_name(cells: list[str]) -> dict[str, str]:
        return {
            name: cells[place] if place < len(cells) else ""
            for name, place in zip(names, places, strict=True)
            if place is not None
        }

    rejects = islice(rejects_in_order(limit), limit)
    outcome.rejects = [(reject, by_name(cells)) for reject, cells in _with_cells(path, rejects)]
    changes = dict(merge.changes(limit))
    stored = merge.export.model._default_manager.in_bulk([pk for pk in changes.values() if pk is not None])
    lines = (Reject(line, "", "", "") for line in changes)
    outcome.changes = [
        Change(line.line, by_name(cells), stored.get(changes[line.line])) for line, cells in _with_cells(path, lines)
    ]
