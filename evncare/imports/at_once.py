"""A run in one step, for the command line: begun by nobody, loaded and ended within one call, or undone."""

import hashlib
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path

from django.db import Error, IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from evncare.imports import engine, guard, runs
from evncare.imports.declarations import Export
from evncare.imports.models import ImportRun, NotPossible, Overtaken
from evncare.imports.pulse import pulse

State = ImportRun.State


def load(
    export: Export,
    path: Path,
    *,
    snapshot: bool | None = None,
    snapshot_date: date | None = None,
    confirmed: bool = False,
    rejects: Path | None = None,
    sample: int = 0,
    progress: Callable[[int], None] = lambda rows: None,
    clock: runs.Clock = timezone.now,
) -> engine.Outcome:
    """Load a file as a run of nobody's; raises FileRefused, and NeedsSecondPerson unless ``confirmed``."""
    runs.give_back_dead(now=clock())
    run = _begun(export, path, snapshot, snapshot_date, clock())

    def before_commit(outcome: engine.Outcome) -> None:
        reasons = guard.reasons(run, outcome)
        if reasons and not confirmed:
            raise runs.NeedsSecondPerson(reasons)
        runs.finish(run, outcome, reasons, clock())

    with pulse(run, clock) as beat:

        def both(rows: int) -> None:
            beat(rows)
            progress(rows)

        try:
            return engine.load(
                export, path, snapshot=snapshot, rejects=rejects, sample=sample, progress=both, now=clock(),
                run=run.pk, within=before_commit,
            )  # fmt: skip
        except BaseException as error:
            with suppress(Error, Overtaken):
                if runs.still_ours(run):
                    run.move(State.FAILED, failure=str(error) or type(error).__name__)
            raise


def check(
    export: Export, path: Path, *, snapshot: bool | None = None, snapshot_date: date | None = None,
    rejects: Path | None = None, sample: int = 0, progress: Callable[[int], None] = lambda rows: None,
    clock: runs.Clock = timezone.now,
) -> engine.Outcome:  # fmt: skip
    """What `load` would do, the guard's reasons among its notes; leaves no run behind."""
    outcome = engine.load(
        export, path, dry_run=True, snapshot=snapshot, rejects=rejects, sample=sample, progress=progress, now=clock()
    )
    run = _command_run(export, path, snapshot, snapshot_date, clock())
    outcome.notes += guard.reasons(run, outcome).values()
    return outcome


def undo(export: Export, *, clock: runs.Clock = timezone.now) -> ImportRun:
    """Take back the last load of this kind; raises NotPossible."""
    runs.give_back_dead(now=clock())
    run = ImportRun.objects.of_kind(export.name).loaded().first()
    if run is None:
        raise NotPossible(_("Nothing of this kind is loaded."))
    now = clock()
    try:
        with transaction.atomic():
            runs.ask_undo(run, by=None, now=now)
            run.move(State.UNDOING, claim=secrets.token_hex(16), heartbeat_at=now, work_started_at=now)
    except IntegrityError as error:
        raise _going_on() from error
    with pulse(run, clock) as progress:
        runs.undo(run, progress, clock)
    if run.state != State.UNDONE:
        raise NotPossible(run.failure)
    return run


def _command_run(
    export: Export, path: Path, snapshot: bool | None, snapshot_date: date | None, now: datetime
) -> ImportRun:
    is_snapshot = bool(export.snapshot) and snapshot is not False
    return ImportRun(
        kind=export.name, source=ImportRun.Source.COMMAND_LINE, created_at=now, file_name=path.name[:255],
        is_snapshot=is_snapshot,
        snapshot_date=(snapshot_date or timezone.localdate(now)) if is_snapshot else None,
    )  # fmt: skip


def _begun(export: Export, path: Path, snapshot: bool | None, snapshot_date: date | None, now: datetime) -> ImportRun:
    run = _command_run(export, path, snapshot, snapshot_date, now)
    with path.open("rb") as file:
        run.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        run.file_size = file.tell()
    run.state, run.claim = State.LOADING, secrets.token_hex(16)
    run.heartbeat_at = run.work_started_at = now
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError as error:
        raise _going_on() from error
    return run


def _going_on() -> NotPossible:
    return NotPossible(_("Another import of this kind is going on: try again when it has ended."))
