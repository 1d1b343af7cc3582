"""The two temporary tables of a load: the rows read so far, and the lines that are rejected.

Here, and only here, the databases differ: PostgreSQL takes rows by COPY, SQLite by a prepared INSERT, and each has its
own way not to hold up others meanwhile.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from django.db import DatabaseError, connection, models, transaction

from evncare.imports.declarations import Export
from evncare.imports.rows import Reject

ROWS = "import_rows"
REJECTS = "import_rejects"


def table_name(model: type[models.Model]) -> str:
    """The model's table, quoted."""
    return connection.ops.quote_name(model._meta.db_table)


def column_name(field: Any) -> str:
    """The column of a model field, quoted."""
    return connection.ops.quote_name(field.column)


class Stage:
    """The temporary tables of one load. Use as a context manager; they are gone afterwards."""

    def __init__(self, export: Export) -> None:
        self.export = export
        self.fields = tuple(export.model_field(name) for name in export.fields)

    def __enter__(self) -> "Stage":
        columns = ", ".join(column_name(field) for field in self.fields)
        table = table_name(self.export.model)
        with connection.cursor() as cursor:
            # Types and collations exactly as in the table that the rows go to, so that comparisons mean the same.
            cursor.execute(
                f"CREATE TEMPORARY TABLE {ROWS} AS SELECT CAST(0 AS bigint) AS line, {columns} FROM {table} WHERE 1 = 0"  # noqa: S608
            )
            cursor.execute(
                f"CREATE TEMPORARY TABLE {REJECTS} "
                '(line bigint NOT NULL, "column" text NOT NULL, value text NOT NULL, reason text NOT NULL, "key" text)'
            )
        return self

    def __exit__(self, *_error: object) -> None:
        with suppress(DatabaseError), connection.cursor() as cursor:  # a lost connection took them along
            cursor.execute(f"DROP TABLE IF EXISTS {ROWS}")
            cursor.execute(f"DROP TABLE IF EXISTS {REJECTS}")

    @contextmanager
    def filling(self) -> Iterator[Callable[[Sequence[tuple[Any, ...]], Sequence[Reject]], None]]:
        """Yields the function that adds rows (line, value of each field...) and rejects."""
        if connection.vendor == "postgresql":
            with transaction.atomic():
                yield self._copy
                with connection.cursor() as cursor:
                    cursor.execute(f"ANALYZE {ROWS}")
        else:
            with self._unlocking_transaction():
                yield self._insert
                with connection.cursor() as cursor:  # it looks rows up one by one, and only by an index
                    keys = ", ".join(column_name(self.export.model_field(name)) for name in self.export.key)
                    cursor.execute(f"CREATE INDEX {ROWS}_by_key ON {ROWS} ({keys})")

    @contextmanager
    def _unlocking_transaction(self) -> Iterator[None]:
        """A transaction on SQLite that locks nothing, as Django's would for as long as the file is read.

        It begins deferred and writes only temporary tables, so it never needs the lock.
        """
        if connection.in_atomic_block:
            yield
            return
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    def _copy(self, rows: Sequence[tuple[Any, ...]], rejects: Sequence[Reject]) -> None:
        with connection.cursor() as cursor:
            for table, records in ((ROWS, rows), (REJECTS, rejects)):
                if records:
                    with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                        for record in records:
                            copy.write_row(record)

    def _insert(self, rows: Sequence[tuple[Any, ...]], rejects: Sequence[Reject]) -> None:
        adapted = [
            partial(field.get_db_prep_save, connection=connection)
            if isinstance(field, models.DateField | models.DecimalField)
            else None
            for field in self.fields
        ]
        if rows and any(adapted):
            columns = list(zip(*rows, strict=True))
            for number, adapt in enumerate(adapted, 1):
                if adapt:
                    columns[number] = tuple(map(adapt, columns[number]))
            rows = list(zip(*columns, strict=True))
        with connection.cursor() as cursor:
            if rows:
                holders = ", ".join(["%s"] * len(rows[0]))
                cursor.executemany(f"INSERT INTO {ROWS} VALUES ({holders})", rows)  # noqa: S608
            if rejects:
                cursor.executemany(f"INSERT INTO {REJECTS} VALUES (%s, %s, %s, %s, %s)", rejects)  # noqa: S608


def exclusively(model: type[models.Model]) -> None:
    """Keep other writers, not readers, out of the model's table until the transaction ends."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table_name(model)} IN SHARE ROW EXCLUSIVE MODE")


def distinct_from() -> str:
    """The comparison that also tells null from a value."""
    return "IS DISTINCT FROM" if connection.vendor == "postgresql" else "IS NOT"


def rejects_in_order(size: int = 5000) -> Iterator[Reject]:
    """Every reject once, by line, a bounded number in memory at a time."""
    last = -1
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f'SELECT line, "column", value, reason, "key" FROM {REJECTS} WHERE line > %s ORDER BY line LIMIT %s',  # noqa: S608
                [last, size],
            )
            page = [Reject(*record) for record in cursor.fetchall()]
        yield from page
        if len(page) < size:
            return
        last = page[-1].line


def rejected_lines() -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {REJECTS}")  # noqa: S608
        return int(cursor.fetchone()[0])
