"""The pages of an import: upload, then one page for the run that shows whatever its state calls for.

Each view makes one call into `runs` and rings the bell. They are mounted below the admin by `admin`.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import compress
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from evncare.admin import day_and_time, grouped, only_opened, sees_phones
from evncare.imports import guard, runs, tasks
from evncare.imports.columns import Column, Phones
from evncare.imports.declarations import Export
from evncare.imports.forms import UploadForm, dropped_files
from evncare.imports.models import ImportRun, NotPossible

State = ImportRun.State

SECONDS_UNTIL_A_WORKER_IS_MISSED = 20


# Who may do what


def may_import(user: Any, export: Export) -> bool:
    """Who may add and change rows may upload a file of them."""
    meta = export.model._meta
    return all(user.has_perm(f"{meta.app_label}.{action}_{meta.model_name}") for action in ("add", "change"))


def may_decide(user: Any, run: ImportRun) -> bool:
    """Who may confirm, cancel and undo."""
    return user.has_perm("imports.confirm_importrun") and may_import(user, run.export)


def may_see_rows(user: Any, run: ImportRun) -> bool:
    meta = run.export.model._meta
    return bool(user.has_perm(f"{meta.app_label}.view_{meta.model_name}"))


def seen_columns(user: Any, export: Export) -> list[Column]:
    """The columns whose values this person may see: phone numbers only with the right to see these."""
    return [column for column in export.columns if sees_phones(user) or not isinstance(column, Phones)]


def may_take_rejects(user: Any, run: ImportRun) -> bool:
    """Rejects hold whole rows of the file: they are for those who may see every column, or who brought the file."""
    sees_all = len(seen_columns(user, run.export)) == len(run.export.columns)
    return may_see_rows(user, run) and (sees_all or run.created_by_id == user.pk)


# Upload


def upload(request: HttpRequest, export: Export) -> HttpResponse:
    if not may_import(request.user, export):
        raise PermissionDenied
    form = UploadForm(export, request.POST, request.FILES) if request.method == "POST" else UploadForm(export)
    if form.is_valid():
        with form.opened() as (content, name):
            run = runs.receive(
                export,
                content,
                name,
                by=_person(request),
                now=timezone.now(),
                is_snapshot=form.cleaned_data.get("is_snapshot", False),
                snapshot_date=form.cleaned_data.get("snapshot_date"),
                control_totals=form.control_totals(),
            )
        transaction.on_commit(tasks.ring)
        return redirect("admin:imports_importrun_change", run.pk)
    last = ImportRun.objects.of_kind(export.name).loaded().first()
    context = admin.site.each_context(request) | {
        "title": _("Import %(kind)s") % {"kind": export.model._meta.verbose_name_plural},
        "opts": export.model._meta,
        "crumb": _("Import"),
        "export": export,
        "form": form,
        "last": last,
        "drop_folder": settings.IMPORT_DROP_DIR,
        "dropped": dropped_files(),
    }
    return TemplateResponse(request, "admin/imports/upload.html", context)


# The run


def seen_run(request: HttpRequest, pk: int) -> ImportRun:
    """The run, for those who may see it: whoever began it, and who may view all."""
    run = get_object_or_404(ImportRun.objects.select_related("created_by", "confirmed_by", "undone_by"), pk=pk)
    if not (request.user.has_perm("imports.view_importrun") or run.created_by_id == request.user.pk):
        raise PermissionDenied
    return run


def show(request: HttpRequest, pk: int) -> HttpResponse:
    run = seen_run(request, pk)
    decides = may_decide(request.user, run)
    own = run.created_by_id == request.user.pk
    asks = run.state in (State.READY, State.SECOND_PERSON)
    shown = may_see_rows(request.user, run)
    context = admin.site.each_context(request) | {
        "title": f"{kind_name(run.export)}: {run.file_name}",
        "opts": ImportRun._meta,
        "crumb": run.file_name,
        "run": run,
        "steps": steps(run),
        "progress": progress_of(run, timezone.now()),
        "counts": counts(run) if run.checked_at or run.loaded_at else [],
        "facts": facts(run),
        "totals": [
            {"name": name, "expected": grouped(expected), "found": grouped(found), "holds": expected == found}
            for name, expected, found in guard.totals(run.control_totals, run.rows, run.sums)
            if run.checked_at
        ],
        "columns": [column.name for column in seen_columns(request.user, run.export)],
        "sample": seen_sample(request.user, run) if shown and not run.is_waiting_or_at_work else {},
        "has_rejects": may_take_rejects(request.user, run) and _has_rejects(run),
        "same_file": run.same_file_loaded() if asks else None,
        "may_confirm": asks and decides and not (own and run.state == State.SECOND_PERSON),
        "waits_for_another": run.state == State.SECOND_PERSON and own,
        "may_cancel": run.may_be_cancelled and (own or decides),
        "may_undo": decides and run.may_be_undone(timezone.now()),
        "may_repeat": may_import(request.user, run.export),
        "upload_url": upload_url_name(run.export),
    }
    return TemplateResponse(request, "admin/imports/run.html", context)


def seen_sample(user: Any, run: ImportRun) -> dict[str, Any]:
    """The run's first changes and rejects, without the columns that this person may not see."""
    seen = {column.name for column in seen_columns(user, run.export)}
    shown = [column.name in seen for column in run.export.columns]
    hidden = {column.name for column in run.export.columns} - seen
    return {
        "changes": [
            change | {"cells": list(compress(change["cells"], shown))} for change in run.sample.get("changes", ())
        ],
        "rejects": [
            [line, column, *(("•••", "•••") if column in hidden else told)]
            for line, column, *told in run.sample.get("rejects", ())
        ],
    }


def progress(request: HttpRequest, pk: int) -> JsonResponse:
    """What the page asks for every second."""
    return JsonResponse(progress_of(seen_run(request, pk), timezone.now()))


def rejects(request: HttpRequest, pk: int) -> FileResponse:
    """The rejected rows as a file, ready to mend and load again."""
    run = seen_run(request, pk)
    if not may_take_rejects(request.user, run):
        raise PermissionDenied
    if not _has_rejects(run):
        raise Http404
    name = f"{run.file_name.split('.')[0]}-rejects.csv"
    return FileResponse(run.rejects_path.open("rb"), as_attachment=True, filename=name, content_type="text/csv")


def _has_rejects(run: ImportRun) -> bool:
    return bool(run.rejected and run.stored and run.rejects_path.is_file())


def decide(request: HttpRequest, pk: int, decision: str) -> HttpResponse:
    """Confirm, cancel or undo."""
    run = seen_run(request, pk)
    own_to_cancel = decision == "cancel" and run.created_by_id == request.user.pk
    if not (own_to_cancel or may_decide(request.user, run)):
        raise PermissionDenied
    if only_opened(request):
        return redirect("admin:imports_importrun_change", run.pk)
    person = _person(request)
    do: dict[str, Callable[[ImportRun], None]] = {
        "confirm": partial(runs.confirm, by=person, now=timezone.now(), again="again" in request.POST),
        "cancel": runs.cancel,
        "undo": partial(runs.ask_undo, by=person, now=timezone.now()),
    }
    try:
        do[decision](run)
    except NotPossible as error:
        messages.error(request, str(error))
    transaction.on_commit(tasks.ring)
    return redirect("admin:imports_importrun_change", run.pk)


def _person(request: HttpRequest) -> Any:
    return request.user


# What the page tells


def kind_name(export: Export) -> str:
    name = str(export.model._meta.verbose_name_plural)
    return name[:1].upper() + name[1:]


def upload_url_name(export: Export) -> str:
    return f"admin:{export.model._meta.app_label}_{export.model._meta.model_name}_import"


def steps(run: ImportRun) -> list[dict[str, Any]]:
    """The way of a run, and where this one stands on it: each step is done, current, failed or still to come."""
    names = (_("File received"), _("Check"), _("Preview"), _("Load"), _("Loaded"))
    place = {
        State.WAITING: 1, State.CHECKING: 1, State.READY: 2, State.SECOND_PERSON: 2, State.CONFIRMED: 3,
        State.LOADING: 3, State.DONE: 4, State.UNDO_WAITING: 4, State.UNDOING: 4, State.UNDONE: 4,
    }.get(State(run.state))  # fmt: skip
    failed = place is None
    if place is None:
        place = 1 if not run.checked_at else 3 if run.confirmed_at else 2
    if run.state == State.UNDONE:
        names = (*names[:4], _("Undone"))
    return [
        {
            "name": name,
            "status": "done" if number < place or run.state in (State.DONE, State.UNDONE)
            else ("failed" if failed else "current") if number == place
            else "coming",
        }
        for number, name in enumerate(names)
    ]  # fmt: skip


def progress_of(run: ImportRun, now: datetime) -> dict[str, Any]:
    """How far the work is: ``share`` of 0 to 1, None if it can't be told; the texts are for people."""
    told: dict[str, Any] = {"state": run.state, "live": run.is_waiting_or_at_work, "share": None}
    told |= {"title": _titles().get(run.state, ""), "rows": "", "pace": "", "left": ""}
    if run.state in ImportRun.WORK:
        waited = (now - (run.confirmed_at or run.created_at)).total_seconds()
        if run.failure:
            told["rows"] = _("It will be tried again in a moment: %(failure)s") % {"failure": run.failure}
        elif ImportRun.objects.at_work().exists():
            told["rows"] = _("Another import is at work; this one follows by itself.")
        elif waited > SECONDS_UNTIL_A_WORKER_IS_MISSED:
            told["rows"] = _("No worker has taken it yet. If this stays so, ask the operator whether one is running.")
    elif told["live"] and run.work_started_at and run.rows_read:
        told |= _reading(run, (now - run.work_started_at).total_seconds())
    return told


def _reading(run: ImportRun, seconds: float) -> dict[str, Any]:
    # An estimate is rarely wrong by more than this; then the rows are read and the tables are compared.
    if run.rows_expected and run.rows_read >= 0.97 * run.rows_expected:
        rows = _("%(rows)s rows read; now comparing with what is stored.") % {"rows": grouped(run.rows_read)}
        return {"rows": rows}
    pace = run.rows_read / max(seconds, 1)
    told: dict[str, Any] = {"pace": _("%(rows)s rows a second") % {"rows": grouped(round(pace))}}
    if not run.rows_expected:
        return told | {"rows": _("%(rows)s rows read") % {"rows": grouped(run.rows_read)}}
    expected = grouped(run.rows_expected)
    text = _("%(rows)s of %(expected)s rows") if run.checked_at else _("%(rows)s of about %(expected)s rows")
    left = round((run.rows_expected - run.rows_read) / pace)
    return told | {
        "share": run.rows_read / run.rows_expected,
        "rows": text % {"rows": grouped(run.rows_read), "expected": expected},
        "left": time_left(left),
    }


def time_left(seconds: int) -> str:
    if seconds < 60:
        return ngettext("about %(count)s second left", "about %(count)s seconds left", seconds) % {"count": seconds}
    minutes = round(seconds / 60)
    return ngettext("about %(count)s minute left", "about %(count)s minutes left", minutes) % {"count": minutes}


def _titles() -> dict[str, str]:
    return {
        State.WAITING: _("Waiting for its turn to be checked"),
        State.CHECKING: _("Checking every row. Nothing is changed yet."),
        State.CONFIRMED: _("Waiting for its turn to be loaded"),
        State.LOADING: _("Loading. Until it is finished, everybody sees the data as before."),
        State.UNDO_WAITING: _("Waiting for its turn to be undone"),
        State.UNDOING: _("Undoing. Until it is finished, everybody sees the data as before."),
    }


def counts(run: ImportRun) -> list[dict[str, Any]]:
    named = [
        ("rows", _("rows"), run.rows),
        ("new", _("new"), run.new),
        ("changed", _("changed"), run.changed),
        ("unchanged", _("unchanged"), run.unchanged),
        ("removed", _("settled"), run.removed),
        ("rejected", _("rejected"), run.rejected),
    ]
    return [
        {"name": name, "label": label, "count": grouped(count), "is_zero": not count}
        for name, label, count in named
        if name != "removed" or run.is_snapshot
    ]


def facts(run: ImportRun) -> list[tuple[str, Any]]:
    """Who did what and when, as far as it has happened."""
    told = [
        (_("begun"), _by(run.created_at, run.created_by or run.get_source_display())),
        (_("checked"), run.checked_at and _by(run.checked_at)),
        (_("confirmed"), run.confirmed_at and _by(run.confirmed_at, run.confirmed_by)),
        (_("loaded"), run.loaded_at and _by(run.loaded_at)),
        (_("duration"), run.seconds is not None and _("%(seconds)s s") % {"seconds": grouped_seconds(run.seconds)}),
        (_("undone"), run.undone_at and _by(run.undone_at, run.undone_by or _("command line"))),
        (_("snapshot of"), run.snapshot_date and _day(run.snapshot_date)),
        (_("file"), run.file_name),
        (_("size"), _size(run.file_size)),
        ("SHA-256", run.sha256),
    ]
    return [(label, value) for label, value in told if value]


def grouped_seconds(seconds: float) -> str:
    return grouped(Decimal(str(round(seconds, 1))))


def _by(at: datetime, who: Any = None) -> str:
    moment = day_and_time(at)
    return f"{moment}, {who}" if who else moment


def _day(day: Any) -> str:
    return date_format(day, "SHORT_DATE_FORMAT")


def _size(size: int) -> str:
    return filesizeformat(size)
