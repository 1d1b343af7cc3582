"""Taking a load back, exactly: what it inserted goes, what it changed or settled becomes what it was.

Every row names the run that wrote it last (`tables.Imported`), so nothing is kept for inserted rows; what a row was
before a run changed it is kept as a `BeforeImage`. Undoing an insert is the one deletion that there is in these tables.

``t`` is a row of the table, ``i`` a before-image, ``c`` a planned change.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, models
from django.utils.translation import gettext as _

from evncare.imports.declarations import Export
from evncare.imports.staging import CHANGES, column_name, distinct_from, judging, table_name
from evncare.imports.tables import BeforeImage


class UndoRefused(Exception):
    """Why a run can't be taken back; nothing has changed."""


@dataclass(frozen=True)
class Undone:
    """How many rows were removed that the run had inserted, and restored that it had changed or settled."""

    removed: int
    restored: int


def stamp(run: int | None) -> tuple[str, list[int]]:
    """The assignment, with its parameters, that tells who changed a row."""
    return ("run = -abs(t.run)", []) if run is None else ("run = %s", [run])


def remember(model: type[models.Model], run: int, fields: Sequence["models.Field[Any, Any]"], *, of: str) -> None:
    """Keep these fields of the rows that planned changes name; ``of`` is a condition on the changes."""
    make = "jsonb_build_object" if connection.vendor == "postgresql" else "json_object"
    pairs = ", ".join(f"'{field.column}', t.{column_name(field)}" for field in fields)
    pk = column_name(model._meta.pk)
    _execute(
        f'INSERT INTO {table_name(BeforeImage)} ("table", run, "key", earlier_run, "row") '  # noqa: S608
        f"SELECT %s, %s, CAST(t.{pk} AS text), t.run, {make}({pairs}) "
        f"FROM {CHANGES} AS c JOIN {table_name(model)} AS t ON t.{pk} = c.pk WHERE {of}",
        [model._meta.db_table, run],
    )


def undo(export: Export, run: int, *, within: Callable[[Undone], None] | None = None) -> Undone:
    """Take back what this run did to the table; raises UndoRefused, and then nothing has changed.

    ``within`` is called just before the commit; what it raises rolls all back.
    """
    table, images = table_name(export.model), table_name(BeforeImage)
    own = [export.model._meta.db_table, run]
    with judging(export.model):
        _refuse_touched(export, run)
        restored = _execute(
            f"UPDATE {table} AS t SET {_restored(export)} FROM {images} AS i "  # noqa: S608
            f'WHERE i."table" = %s AND i.run = %s AND {_image_of(export.model)}',
            own,
        )
        _refuse_referenced(export, run)
        # What still bears its number, it inserted.
        removed = _execute(f"DELETE FROM {table} WHERE run = %s", [run])  # noqa: S608
        _execute(f'DELETE FROM {images} WHERE "table" = %s AND run = %s', own)  # noqa: S608
        undone = Undone(removed, restored)
        if within:
            within(undone)
    return undone


def forget(export: Export, *, before: int) -> int:
    """Let go of what is kept for undoing the runs before this one; returns how many rows that were."""
    return BeforeImage.objects.filter(table=export.model._meta.db_table, run__lt=before).delete()[0]


def _refuse_touched(export: Export, run: int) -> None:
    table, images = table_name(export.model), table_name(BeforeImage)
    later = _column(
        f'SELECT DISTINCT run FROM {images} WHERE "table" = %s AND run <> %s AND earlier_run IN (%s, %s)',  # noqa: S608
        [export.model._meta.db_table, run, run, -run],
    )
    if later:
        names = ", ".join(str(number) for number in sorted(later))
        raise UndoRefused(_("Run %(later)s has changed rows of it since: undo that one first.") % {"later": names})
    (edited,) = _column(
        f"SELECT count(*) FROM {table} WHERE run = %s",  # noqa: S608
        [-run],
    )
    if edited:
        raise UndoRefused(
            _("%(count)s of its rows have been edited since: undoing would lose that.") % {"count": edited}
        )


def _refuse_referenced(export: Export, run: int) -> None:
    for relation in export.model._meta.related_objects:
        link = relation.field
        assert isinstance(link, models.ForeignKey)
        goes_too = f"AND o.run {distinct_from()} t.run" if link.model is export.model else ""
        (count,) = _column(
            f"SELECT count(*) FROM {table_name(link.model)} AS o JOIN {table_name(export.model)} AS t "  # noqa: S608
            f"ON t.{column_name(link.target_field)} = o.{column_name(link)} WHERE t.run = %s {goes_too}",
            [run],
        )
        if count:
            raise UndoRefused(
                _("%(count)s %(rows)s loaded since belong to rows that it added: undo those first.")
                % {"count": count, "rows": link.model._meta.verbose_name_plural}
            )


def _restored(export: Export) -> str:
    """The assignments that make a row what its image says, as far as that says anything."""
    names = dict.fromkeys((*export.fields, *([export.snapshot.settled_at] if export.snapshot else [])))
    fields = [export.model_field(name) for name in names]
    assignments = [
        f"{column_name(field)} = CASE WHEN {_kept(field)} IS NULL THEN t.{column_name(field)} ELSE {_value(field)} END"
        for field in fields
        if not field.primary_key
    ]
    return ", ".join([*assignments, "run = i.earlier_run"])


def _kept(field: "models.Field[Any, Any]") -> str:
    """The field in an image, null only where it wasn't kept."""
    if connection.vendor == "postgresql":
        return f"i.\"row\" -> '{field.column}'"
    return f"json_type(i.\"row\", '$.{field.column}')"


def _value(field: "models.Field[Any, Any]") -> str:
    if connection.vendor == "postgresql":
        return f"CAST(i.\"row\" ->> '{field.column}' AS {field.db_type(connection)})"
    return f"json_extract(i.\"row\", '$.{field.column}')"


def _image_of(model: type[models.Model]) -> str:
    """Whether ``i`` is an image of ``t``; cast this way round, the index of the table serves."""
    assert model._meta.pk
    return f't.{column_name(model._meta.pk)} = CAST(i."key" AS {model._meta.pk.db_type(connection)})'


def _column(statement: str, parameters: Sequence[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return [value for (value,) in cursor.fetchall()]


def _execute(statement: str, parameters: Sequence[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)
