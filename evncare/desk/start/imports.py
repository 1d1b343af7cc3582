"""The start page's imports: what is stuck, what waits, and how old each kind of data is."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db.models import Max, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from evncare.admin import day_and_time, tag
from evncare.imports import pages
from evncare.imports.declarations import Export, declared_exports
from evncare.imports.models import ImportRun
from evncare.imports.pulse import DEAD_AFTER

MOST_RUNS, RUNS_SHOWN = 100, 10
WORKER_MISSED_AFTER = timedelta(minutes=5)
LEVELS = ("bad", "info", "warn")  # what is stuck or failed, what goes on by itself, what waits for somebody


@dataclass(frozen=True)
class Run:
    """An import that somebody should know of: ``share`` of 0 to 1 is how far it is, None if it can't be told."""

    title: str
    address: str
    level: str
    state: SafeString
    note: str
    share: float | None


@dataclass(frozen=True)
class Kind:
    """One kind of data: where to import it or to see its imports, and how fresh it is."""

    title: str
    address: str
    loaded: str
    freshness: SafeString


def facts(user: AbstractUser, now: datetime) -> dict[str, Any]:
    """The imports that are under way, wait for somebody, or failed today, and how old each kind of data is."""
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    states = ImportRun.State
    unfinished = (*ImportRun.WORK, *ImportRun.WORK.values(), states.READY, states.SECOND_PERSON)
    failed = Q(state=states.FAILED) & (Q(created_at__gte=midnight) | Q(work_started_at__gte=midnight))
    rows = list(ImportRun.objects.filter(Q(state__in=unfinished) | failed).defer("sample", "covered")[:MOST_RUNS])
    loaded = dict(ImportRun.objects.loaded().order_by().values_list("kind").annotate(Max("loaded_at")))
    busy = any(run.state in ImportRun.WORK.values() for run in rows)
    return {
        "runs": sorted((_run(run, busy, now) for run in rows), key=lambda run: LEVELS.index(run.level))[:RUNS_SHOWN],
        "has_more_runs": len(rows) > RUNS_SHOWN,
        "kinds": [_kind(export, loaded.get(name), user, now) for name, export in declared_exports().items()],
        "nothing_imported": not loaded,
    }


def _run(run: ImportRun, busy: bool, now: datetime) -> Run:
    title = f"{pages.kind_name(run.export)}: {run.file_name}"
    address = reverse("admin:imports_importrun_change", args=[run.pk])
    problem = _problem(run, busy, now)
    level = "bad" if problem else "info" if run.is_waiting_or_at_work else "warn"
    share = None
    if run.state in ImportRun.WORK.values() and run.rows_expected:
        share = min(run.rows_read / run.rows_expected, 1.0)
    return Run(title, address, level, tag(level, run.get_state_display()), problem or run.failure, share)


def _problem(run: ImportRun, busy: bool, now: datetime) -> str:
    """Why the run doesn't go on by itself as it should; else empty."""
    if run.state == ImportRun.State.FAILED:
        return run.failure
    if run.state in ImportRun.WORK.values():
        silent = run.heartbeat_at is not None and now - run.heartbeat_at > 2 * DEAD_AFTER
        return _("It shows no sign of life: does a worker run?") if silent else ""
    if run.state in (ImportRun.State.WAITING, ImportRun.State.CONFIRMED) and not busy:
        moments = (run.created_at, run.checked_at, run.confirmed_at, run.heartbeat_at)
        if now - max(filter(None, moments)) > WORKER_MISSED_AFTER:
            return _("No worker has taken it yet: does one run?")
    return ""


def _kind(export: Export, loaded_at: datetime | None, user: AbstractUser, now: datetime) -> Kind:
    if pages.may_import(user, export):
        address = reverse(pages.upload_url_name(export))
    else:
        address = f"{reverse('admin:imports_importrun_changelist')}?kind={export.name}"
    if loaded_at is None:
        freshness = tag("warn", _("never loaded"))
    elif export.due_after and now - loaded_at > export.due_after:
        freshness = tag("warn", _("load is due"))
    else:
        freshness = tag("good", _("up to date"))
    loaded = day_and_time(loaded_at) if loaded_at else "–"
    return Kind(pages.kind_name(export), address, loaded, freshness)
