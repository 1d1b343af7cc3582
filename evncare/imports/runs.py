"""The way of a run: received, checked, shown, confirmed, loaded, and if need be undone.

People move a run by `receive`, `confirm`, `cancel` and `ask_undo`, which only write it down. A worker moves it by
`work_waiting`: it claims a run, works on it and shows its pulse meanwhile. A worker may die at any moment: what it
had not finished is given back and done from the start, for only the last statement of a load switches its state, in
the transaction that changes the table.

`at_once` is all of that in one step, for the command line.
"""

import hashlib
import logging
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Q
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from evncare.imports import engine, estimate, guard, undoing
from evncare.imports.declarations import Export, declared_exports
from evncare.imports.errors import FileRefused
from evncare.imports.models import ImportRun, NotPossible, Overtaken
from evncare.imports.pulse import DEAD_AFTER, pulse

logger = logging.getLogger(__name__)

State = ImportRun.State
Clock = Callable[[], datetime]

# What was in the way of a run, as a database that restarts, may be gone a little later; but not for ever.
TRIES = 5
PAUSE = timedelta(seconds=10)
SAMPLE = 30
BLOCK = 1 << 20


class NeedsSecondPerson(Exception):
    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__(" ".join(reasons.values()))
        self.reasons = reasons


# What people do


def receive(
    export: Export,
    content: BinaryIO,
    name: str,
    *,
    by: AbstractBaseUser,
    now: datetime,
    is_snapshot: bool = False,
    snapshot_date: date | None = None,
    control_totals: dict[str, str] | None = None,
) -> ImportRun:
    """Keep a file and have it checked. A file on disk that is ours already, as an upload's, is moved and not copied."""
    stored = secrets.token_hex(16)
    run = ImportRun(
        kind=export.name, source=ImportRun.Source.ADMIN, created_at=now, created_by_id=by.pk,
        language=translation.get_language() or "", file_name=Path(name).name[:255], stored=stored,
        is_snapshot=is_snapshot,
        snapshot_date=(snapshot_date or timezone.localdate(now)) if is_snapshot else None,
        control_totals=control_totals or {},
    )  # fmt: skip
    run.sha256, run.file_size = _keep(content, run.path)
    run.rows_expected = estimate.rows_in(run.path)
    run.save()
    return run


def _keep(content: BinaryIO, path: Path) -> tuple[str, int]:
    """Have the content under ``path``, on disk for good, and return its hash and size."""
    digest, size = hashlib.sha256(), 0
    linked = False
    if temporary := getattr(content, "temporary_file_path", None):
        with suppress(OSError):  # another file system; else no copy is needed, and its other name goes by itself
            os.link(temporary(), path)
            linked = True
    with open(os.devnull if linked else path, "wb") as copy:
        while block := content.read(BLOCK):
            digest.update(block)
            copy.write(block)
            size += len(block)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return digest.hexdigest(), size


def confirm(run: ImportRun, *, by: AbstractBaseUser, now: datetime, again: bool = False) -> None:
    """Have it loaded as shown; raises NotPossible. ``again``: although the same file was loaded before."""
    if run.state not in (State.READY, State.SECOND_PERSON):
        raise NotPossible(_("This import is not waiting to be confirmed: it is %(state)s.") % _named_state(run))
    if run.state == State.SECOND_PERSON and run.created_by_id == by.pk:
        raise NotPossible(_("Another person than the one who uploaded the file has to confirm this import."))
    if not again and run.same_file_loaded():
        raise NotPossible(_("The same file has been loaded before. Tick that it is to be loaded again on purpose."))
    since = Q(loaded_at__gt=run.checked_at) | Q(undone_at__gt=run.checked_at)
    if ImportRun.objects.of_kind(run.kind).filter(since).exists():
        run.move(State.WAITING, rows_read=0, rows_expected=run.rows)
        raise NotPossible(_("The table has changed since this preview: the file is being checked anew."))
    run.move(State.CONFIRMED, confirmed_by_id=by.pk, confirmed_at=now, rows_read=0, rows_expected=run.rows)


def cancel(run: ImportRun) -> None:
    """Give it up, even while it is being checked or loaded; raises NotPossible once it is loaded."""
    if not run.may_be_cancelled:
        raise NotPossible(_("This import can't be cancelled any more: it is %(state)s.") % _named_state(run))
    run.move(State.CANCELLED)


def ask_undo(run: ImportRun, *, by: AbstractBaseUser | None, now: datetime) -> None:
    """Have a load taken back; raises NotPossible."""
    if run.state != State.DONE:
        raise NotPossible(_("Only what is loaded can be undone: this import is %(state)s.") % _named_state(run))
    if not run.is_last_of_its_kind():
        raise NotPossible(_("Only the last import of a kind can be undone."))
    if not run.may_be_undone(now):
        raise NotPossible(
            _("It was loaded more than %(days)s days ago: what stood there before is no longer kept.")
            % {"days": settings.IMPORT_FILES_KEPT_DAYS}
        )
    run.move(State.UNDO_WAITING, undone_by_id=by.pk if by else None, failure="", attempts=0, rows_read=0)


def _named_state(run: ImportRun) -> dict[str, Any]:
    return {"state": run.get_state_display()}


# What a worker does


def work_waiting(*, clock: Clock = timezone.now) -> bool:
    """Do the next step of the run that has waited longest; false if there is nothing that may be worked on now."""
    give_back_dead(now=clock())
    run = _claim(clock())
    if run is None:
        return False
    with translation.override(run.language or settings.LANGUAGE_CODE), pulse(run, clock) as progress:
        try:
            _work_on(run, progress, clock)
        except Overtaken:
            logger.info("import run %s was cancelled or taken over", run.pk)
    return True


def _work_on(run: ImportRun, progress: Callable[[int], None], clock: Clock) -> None:
    step = {State.CHECKING: _check, State.LOADING: _load, State.UNDOING: undo}[State(run.state)]
    try:
        step(run, progress, clock)
    except Overtaken:
        raise
    except FileRefused as refused:
        if isinstance(refused.__cause__, OperationalError | InterfaceError):
            _give_back(run, str(refused))
        else:
            run.move(State.FAILED, failure=str(refused))
    except Exception as error:
        logger.exception("import run %s was held up", run.pk)
        _give_back(run, f"{type(error).__name__}: {error}")


def give_back_dead(*, now: datetime) -> None:
    """Let runs wait again whose worker shows no sign of life. A command that died isn't coming back for its file."""
    for run in ImportRun.objects.at_work().filter(heartbeat_at__lt=now - DEAD_AFTER):
        with suppress(Overtaken):
            if run.source == ImportRun.Source.ADMIN or run.state == State.UNDOING:
                _give_back(run, _("The worker ended before it was finished; nothing was changed."))
            else:
                run.move(State.FAILED, failure=_("The command ended before it was finished; nothing was changed."))


def _give_back(run: ImportRun, failure: str) -> None:
    """Something else than the file was in the way: let it wait for another try, if there were not enough of them."""
    if not still_ours(run):
        return
    if run.attempts < TRIES:
        run.move(next(waiting for waiting, work in ImportRun.WORK.items() if work == run.state), failure=failure)
    else:
        run.move(State.DONE if run.state == State.UNDOING else State.FAILED, failure=failure)


def _claim(now: datetime) -> ImportRun | None:
    """The oldest run that waits, made ours; None while another is at work, or if none waits.

    One at a time: a worker has more processes than one, so one is always free for messages. Two workers that ask in
    the same instant may get one each, though never two of one kind: that the database itself keeps.
    """
    if ImportRun.objects.at_work().filter(source=ImportRun.Source.ADMIN).exists():
        return None
    fresh = Q(attempts=0) | Q(heartbeat_at__lt=now - PAUSE)
    for run in ImportRun.objects.filter(fresh, state__in=ImportRun.WORK).order_by("id"):
        try:
            with transaction.atomic():
                run.move(ImportRun.WORK[State(run.state)], claim=secrets.token_hex(16), attempts=F("attempts") + 1,
                    heartbeat_at=now, work_started_at=now, rows_read=0,
                )  # fmt: skip
        except (IntegrityError, Overtaken):  # its kind is being loaded by a command, or another worker was quicker
            continue
        run.refresh_from_db()
        return run
    return None


def _check(run: ImportRun, progress: Callable[[int], None], clock: Clock) -> None:
    outcome = engine.load(
        run.export, run.path, dry_run=True, snapshot=_settles(run), rejects=run.rejects_path, sample=SAMPLE,
        progress=progress, now=clock(),
    )  # fmt: skip
    found = _facts(outcome) | {"checked_at": clock(), "sample": _sample(run.export, outcome), "attempts": 0}
    if not outcome.taken:
        failure = _("Every row is rejected.") if outcome.rows else _("The file has no rows.")
        run.move(State.FAILED, **found | {"failure": failure})
        return
    reasons = guard.reasons(run, outcome)
    run.move(State.SECOND_PERSON if reasons else State.READY, reasons=reasons, **found)


def _load(run: ImportRun, progress: Callable[[int], None], clock: Clock) -> None:
    def before_commit(outcome: engine.Outcome) -> None:
        reasons = guard.reasons(run, outcome)
        if not reasons.keys() <= run.reasons.keys():
            raise NeedsSecondPerson(reasons)
        finish(run, outcome, reasons, clock())

    try:
        engine.load(
            run.export, run.path, snapshot=_settles(run), rejects=run.rejects_path, progress=progress, now=clock(),
            run=run.pk, within=before_commit,
        )  # fmt: skip
    except NeedsSecondPerson:  # the table has changed since the preview, and nobody has seen this
        run.move(State.WAITING, attempts=0, rows_read=0)


def undo(run: ImportRun, progress: Callable[[int], None], clock: Clock) -> None:
    def before_commit(*_undone: Any) -> None:
        run.move(State.UNDONE, undone_at=clock(), attempts=0)

    try:
        engine.undo(run.export, run.pk, within=before_commit)
    except engine.UndoRefused as refused:
        run.move(State.DONE, failure=str(refused), undone_by_id=None, attempts=0)


def finish(run: ImportRun, outcome: engine.Outcome, reasons: dict[str, str], now: datetime) -> None:
    """The switch to DONE, in the transaction of the merge."""
    assert run.work_started_at
    seconds = round((now - run.work_started_at).total_seconds(), 3)
    run.move(State.DONE, loaded_at=now, seconds=seconds, attempts=0, reasons=reasons, **_facts(outcome))


def _settles(run: ImportRun) -> bool | None:
    return run.is_snapshot if run.export.snapshot else None


def _facts(outcome: engine.Outcome) -> dict[str, Any]:
    counts = ("rows", "new", "changed", "unchanged", "removed", "rejected")
    return {name: getattr(outcome, name) for name in counts} | {
        "rows_read": outcome.rows,
        "notes": list(outcome.notes),
        "sums": {name: str(value) for name, value in outcome.sums.items()},
        "covered": list(outcome.covered),
        "failure": "",
    }


def _sample(export: Export, outcome: engine.Outcome) -> dict[str, Any]:
    """The first changes and rejects as plain texts, as they are shown."""

    def cells(change: engine.Change) -> Iterator[list[str | None]]:
        for column in export.columns:
            before = None
            if change.before is not None:
                before = column.write(getattr(change.before, export.model_field(column.field).attname))
            cell = change.cells.get(column.name)
            # What the file has no column for stays as it is.
            yield [before, before if cell is None else column.write(column.read(cell))]

    return {
        "changes": [
            {"line": change.line, "is_new": change.before is None, "cells": list(cells(change))}
            for change in outcome.changes
        ],
        "rejects": [[reject.line, reject.column, reject.value, reject.reason] for reject, _cells in outcome.rejects],
    }


def forget_old(*, now: datetime) -> None:
    """Let go of what old runs need no longer, for it holds personal data: files, rejects, samples, rows as they were.

    The runs and their counts stay.
    """
    limit = now - timedelta(days=settings.IMPORT_FILES_KEPT_DAYS)
    ended = (State.DONE, State.UNDONE, State.FAILED, State.CANCELLED)
    for run in ImportRun.objects.filter(state__in=ended, created_at__lt=limit).exclude(stored="", sample={}):
        if run.stored:
            run.path.unlink(missing_ok=True)
            run.rejects_path.unlink(missing_ok=True)
        ImportRun.objects.filter(pk=run.pk, state__in=ended).update(stored="", sample={})
    # A day later than they can be undone, so that no undo finds half of what it needs.
    limit -= timedelta(days=1)
    for kind in (
        ImportRun.objects.loaded().filter(loaded_at__lt=limit).order_by().values_list("kind", flat=True).distinct()
    ):
        newer = ImportRun.objects.filter(kind=kind, loaded_at__gte=limit).order_by("pk").first()
        last = ImportRun.objects.latest("pk")
        undoing.forget(declared_exports()[kind], before=newer.pk if newer else last.pk + 1)


def still_ours(run: ImportRun) -> bool:
    """Look at the run again after an error: whether a commit that failed here took place there, only the row knows."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
    claim = run.claim
    run.refresh_from_db()
    return run.claim == claim and run.state in ImportRun.WORK.values()
