"""Fills tables of PostgreSQL as fast as it takes rows: by COPY, while indexes and foreign keys are away."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any

from django.core.management.color import no_style
from django.db import connection, transaction
from django.db.models import Model

LINES_AT_ONCE = 10_000


@contextmanager
def emptied(models: Sequence[type[Model]]) -> Iterator[None]:
    """One transaction in which the tables, and all that refer to them, are empty and bare; indexed again at its end."""
    tables = [model._meta.db_table for model in models]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL maintenance_work_mem = '1GB'")
        cursor.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE")
        undo = [*_without_foreign_keys(cursor, tables), *_without_indexes(cursor, tables)]
        yield
        for statement in reversed(undo):
            cursor.execute(statement)
        for statement in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(statement)
        cursor.execute(f"ANALYZE {', '.join(tables)}")


def _without_foreign_keys(cursor: Any, tables: list[str]) -> list[str]:
    """Drop the foreign keys from and to the tables; returns the statements that make them again."""
    cursor.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'f' AND (conrelid = ANY(%s::regclass[]) OR confrelid = ANY(%s::regclass[])) ORDER BY conname",
        [tables, tables],
    )
    return list(_dropped_constraints(cursor, cursor.fetchall()))


def _without_indexes(cursor: Any, tables: list[str]) -> list[str]:
    """Drop the indexes of the tables, those of keys included; returns the statements that make them again.

    Checks stay: that every row meets them is what they are for.
    """
    cursor.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
        "WHERE indrelid = ANY(%s::regclass[]) "
        "AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u')) ORDER BY 1",
        [tables],
    )
    undo = []
    for name, definition in cursor.fetchall():
        cursor.execute(f"DROP INDEX {name}")
        undo.append(definition)
    cursor.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype IN ('p', 'u') AND conrelid = ANY(%s::regclass[]) ORDER BY conname",
        [tables],
    )
    return [*undo, *_dropped_constraints(cursor, cursor.fetchall())]


def _dropped_constraints(cursor: Any, constraints: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    for table, name, definition in constraints:
        cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
        yield f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}'


def copy(model: type[Model], columns: str, lines: Iterable[str]) -> int:
    """Add rows, given as lines of COPY's text format without their ends; returns how many.

    Columns that are not named get their field's default.
    """
    named = columns.split()
    others = [f for f in model._meta.local_concrete_fields if f.column not in named and not f.primary_key]
    end = "".join(f"\t{text(field.get_default())}" for field in others) + "\n"
    all_columns = ", ".join([*named, *(field.column for field in others)])
    rows, lines = 0, iter(lines)
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {model._meta.db_table} ({all_columns}) FROM STDIN (FREEZE)") as copying,
    ):
        while block := list(islice(lines, LINES_AT_ONCE)):
            copying.write(end.join([*block, ""]))
            rows += len(block)
    return rows


def text(value: Any) -> str:
    """A value as COPY's text format has it."""
    if value is None:
        return r"\N"
    if isinstance(value, bytes):
        return rf"\\x{value.hex()}"
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value).replace("\\", r"\\").replace("\n", r"\n").replace("\t", r"\t")
