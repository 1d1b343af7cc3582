"""The runs: every file that was to be loaded, by whom, what it would do and what it did. This table is also the queue.

A state is one upper-case word; MOVES lists every move that exists. Rows are kept: nothing here deletes.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q, QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from evncare.fields import CodeField
from evncare.imports.declarations import Export, declared_exports
from evncare.imports.tables import BeforeImage

__all__ = ["BeforeImage", "ImportRun", "NotPossible", "Overtaken"]


class NotPossible(Exception):
    """What was asked for can't be done with this run now; the message says why."""


class Overtaken(NotPossible):
    """The run went on without us: it was cancelled, or given to another worker."""

    def __init__(self) -> None:
        super().__init__(gettext("This import has gone on meanwhile."))


class RunQuerySet(QuerySet["ImportRun"]):
    def of_kind(self, kind: str) -> "RunQuerySet":
        return self.filter(kind=kind)

    def loaded(self) -> "RunQuerySet":
        """What counts today, the latest first: loaded and not taken back."""
        return self.filter(state__in=ImportRun.LOADED).order_by("-loaded_at", "-id")

    def at_work(self) -> "RunQuerySet":
        return self.filter(state__in=ImportRun.WORK.values())


class ImportRun(models.Model):
    """One file on its way into a table: checked, shown, confirmed, loaded, perhaps taken back."""

    class State(models.TextChoices):
        WAITING = "WAITING", _("waiting to be checked")
        CHECKING = "CHECKING", _("being checked")
        READY = "READY", _("to be confirmed")
        SECOND_PERSON = "SECOND_PERSON", _("needs a second person")
        CONFIRMED = "CONFIRMED", _("waiting to be loaded")
        LOADING = "LOADING", _("being loaded")
        DONE = "DONE", _("loaded")
        UNDO_WAITING = "UNDO_WAITING", _("waiting to be undone")
        UNDOING = "UNDOING", _("being undone")
        UNDONE = "UNDONE", _("undone")
        FAILED = "FAILED", _("not taken")
        CANCELLED = "CANCELLED", _("cancelled")

    # A run at work waits again when something else than the file was in the way. It is to be checked anew, from
    # READY, SECOND_PERSON or LOADING, when the table has changed since the preview.
    MOVES = {
        State.WAITING: {State.CHECKING, State.CANCELLED},
        State.CHECKING: {State.WAITING, State.READY, State.SECOND_PERSON, State.FAILED, State.CANCELLED},
        State.READY: {State.WAITING, State.CONFIRMED, State.CANCELLED},
        State.SECOND_PERSON: {State.WAITING, State.CONFIRMED, State.CANCELLED},
        State.CONFIRMED: {State.LOADING, State.CANCELLED},
        State.LOADING: {State.CONFIRMED, State.WAITING, State.DONE, State.FAILED, State.CANCELLED},
        State.DONE: {State.UNDO_WAITING},
        State.UNDO_WAITING: {State.UNDOING},
        State.UNDOING: {State.UNDO_WAITING, State.UNDONE, State.DONE},
        State.UNDONE: set(),
        State.FAILED: set(),
        State.CANCELLED: set(),
    }
    # What a worker does with a run that waits.
    WORK = {
        State.WAITING: State.CHECKING,
        State.CONFIRMED: State.LOADING,
        State.UNDO_WAITING: State.UNDOING,
    }
    # Until it is undone, what was loaded is loaded.
    LOADED = (State.DONE, State.UNDO_WAITING, State.UNDOING)

    class Source(models.TextChoices):
        ADMIN = "ADMIN", _("admin")
        COMMAND_LINE = "COMMAND_LINE", _("command line")

    kind = CodeField(_("kind"), max_length=16)
    source = models.CharField(_("source"), max_length=12, choices=Source)
    created_at = models.DateTimeField(_("begun at"))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, verbose_name=_("begun by"), null=True, related_name="+"
    )
    language = CodeField(max_length=8, blank=True)  # of who began it: reasons are worded once

    # The file. ``stored`` is its unguessable name under IMPORTS_DIR; empty when it isn't kept, or not any more.
    file_name = models.CharField(_("file"), max_length=255)
    file_size = models.BigIntegerField(_("size"))
    sha256 = CodeField(_("SHA-256"), max_length=64)
    stored = CodeField(max_length=32, blank=True)

    is_snapshot = models.BooleanField(
        _("snapshot"), default=False, help_text=_("What the file no longer lists is settled.")
    )
    snapshot_date = models.DateField(_("snapshot of"), null=True, blank=True)
    # As the billing system prints them: "rows", and sums by column, as decimal numbers in text.
    control_totals = models.JSONField(_("control totals"), default=dict, blank=True)

    state = models.CharField(_("state"), max_length=13, choices=State, default=State.WAITING)
    failure = models.TextField(_("failure"), blank=True)
    # Why a second person has to look, by guard: {"settles": "It settles ..."}.
    reasons = models.JSONField(_("reasons"), default=dict, blank=True)

    # The work of the moment.
    claim = CodeField(max_length=32, blank=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    work_started_at = models.DateTimeField(_("work started at"), null=True, blank=True)
    heartbeat_at = models.DateTimeField(_("last sign of life"), null=True, blank=True)
    rows_read = models.BigIntegerField(_("rows read"), default=0)
    rows_expected = models.BigIntegerField(_("rows expected"), default=0)

    # What it would do once checked, what it did once loaded.
    rows = models.BigIntegerField(_("rows"), default=0)
    new = models.BigIntegerField(_("new"), default=0)
    changed = models.BigIntegerField(_("changed"), default=0)
    unchanged = models.BigIntegerField(_("unchanged"), default=0)
    removed = models.BigIntegerField(_("settled"), default=0)
    rejected = models.BigIntegerField(_("rejected"), default=0)
    sums = models.JSONField(default=dict, blank=True)
    covered = models.JSONField(default=list, blank=True)  # the parts that a snapshot covers
    notes = models.JSONField(_("warnings"), default=list, blank=True)
    # {"changes": [{"line", "cells": [[before, after]...], "is_new"}], "rejects": [[line, column, value, reason]...]}
    sample = models.JSONField(default=dict, blank=True)

    checked_at = models.DateTimeField(_("checked at"), null=True, blank=True)
    confirmed_at = models.DateTimeField(_("confirmed at"), null=True, blank=True)
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        verbose_name=_("confirmed by"),
        null=True,
        blank=True,
        related_name="+",
    )
    loaded_at = models.DateTimeField(_("loaded at"), null=True, blank=True)
    seconds = models.FloatField(_("seconds"), null=True, blank=True)
    undone_at = models.DateTimeField(_("undone at"), null=True, blank=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, verbose_name=_("undone by"), null=True, blank=True, related_name="+"
    )

    objects = RunQuerySet.as_manager()

    class Meta:
        verbose_name = _("import run")
        verbose_name_plural = _("import runs")
        ordering = ("-id",)
        default_permissions = ("view",)
        permissions = (
            ("confirm_importrun", _("Can confirm, cancel and undo imports")),
            ("export_importrun", _("Can export tables")),
        )
        indexes = (
            # runs.work_waiting: the queue, oldest first.
            models.Index(
                fields=("id",),
                name="runs_to_work_on",
                condition=Q(state__in=("WAITING", "CONFIRMED", "UNDO_WAITING", "CHECKING", "LOADING", "UNDOING")),
            ),
            # How fresh each kind is, and which run is its last.
            models.Index(fields=("kind", "loaded_at"), name="runs_loaded", condition=Q(loaded_at__isnull=False)),
            # Whether this file was loaded before.
            models.Index(fields=("sha256",), name="runs_by_file"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("kind",),
                condition=Q(state__in=("CHECKING", "LOADING", "UNDOING")),
                name="one_run_of_a_kind_at_work",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("CHECKING", "LOADING", "UNDOING"))
                | (~Q(claim="") & Q(heartbeat_at__isnull=False, work_started_at__isnull=False)),
                name="run_at_work_is_claimed",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("DONE", "UNDO_WAITING", "UNDOING", "UNDONE")) | Q(loaded_at__isnull=False),
                name="loaded_run_has_its_time",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.file_name}"

    def move(self, state: str, **changes: Any) -> None:
        """To another state, if the run is still as we know it; else raises Overtaken. No state changes otherwise."""
        assert state in self.MOVES[self.State(self.state)], f"{self.state} to {state}"
        if not ImportRun.objects.filter(pk=self.pk, state=self.state, claim=self.claim).update(state=state, **changes):
            raise Overtaken
        for name, value in {"state": state, **changes}.items():
            setattr(self, name, value)

    @property
    def export(self) -> Export:
        return declared_exports()[self.kind]

    @property
    def is_waiting_or_at_work(self) -> bool:
        return self.state in self.WORK or self.state in self.WORK.values()

    @property
    def may_be_cancelled(self) -> bool:
        return self.State.CANCELLED in self.MOVES[self.State(self.state)] and self.source == self.Source.ADMIN

    @property
    def path(self) -> Path:
        """Where the file is kept. Its name tells nothing; nobody can guess it."""
        return Path(settings.IMPORTS_DIR, self.stored)

    @property
    def rejects_path(self) -> Path:
        return Path(settings.IMPORTS_DIR, f"{self.stored}.rejects.csv")

    def same_file_loaded(self) -> "ImportRun | None":
        """The latest other run that loaded exactly this file."""
        return ImportRun.objects.of_kind(self.kind).loaded().filter(sha256=self.sha256).exclude(pk=self.pk).first()

    def is_last_of_its_kind(self) -> bool:
        last = ImportRun.objects.of_kind(self.kind).loaded().first()
        return last is not None and last.pk == self.pk

    def may_be_undone(self, now: datetime) -> bool:
        """While what stood in the table before is kept, and no later run of the kind stands on this one."""
        kept = timedelta(days=settings.IMPORT_FILES_KEPT_DAYS)
        return (
            self.state == self.State.DONE
            and self.loaded_at is not None
            and now - self.loaded_at < kept
            and self.is_last_of_its_kind()
        )
