"""The temporary tables of a load: the rows read so far, the lines that are rejected, and what will change.

Here, and only here, the databases differ: PostgreSQL takes rows by COPY, SQLite by a prepared INSERT, and each has its
own way not to hold up others meanwhile.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

from django.db import DatabaseError, connection, models, transaction

from evncare.imports.columns import Memory
from evncare.imports.declarations import Export
from evncare.imports.rows import Chunk, Reject

ROWS = "import_rows"
REJECTS = "import_rejects"
# What the load does to the table, a row each: `line` alone is inserted, `line` and `pk` changed, `pk` alone settled.
CHANGES = "import_changes"

# PostgreSQL sorts and hashes in this much memory before it turns to files; its default suits page-sized queries.
WORK_MEMORY = "64MB"


def table_name(model: type[models.Model]) -> str:
    """The model's table, quoted."""
    return connection.ops.quote_name(model._meta.db_table)


def column_name(field: Any) -> str:
    """The column of a model field, quoted."""
    return connection.ops.quote_name(field.column)


def column_type(field: Any) -> str:
    """The type and collation of a model field's column."""
    parameters = field.db_parameters(connection)
    collation = parameters.get("collation")
    return f'{parameters["type"]} COLLATE "{collation}"' if collation else str(parameters["type"])


class Stage:
    """The temporary tables of one load. Use as a context manager; they are gone afterwards."""

    def __init__(self, export: Export) -> None:
        self.export = export
        self.fields = tuple(export.model_field(name) for name in export.fields)
        # PostgreSQL's: the COPY under way, if any, and the rejects that have to wait for its end.
        self._sending = ExitStack()
        self._copying: Any = None
        self._rejects: list[Reject] = []
        repeating = {column.field for column in export.columns if column.repeats}
        self._texts = [
            partial(map, Memory(_copy_text).__getitem__) if name in repeating else _copy_texts for name in export.fields
        ]

    def __enter__(self) -> "Stage":
        # Types and collations exactly as in the table that the rows go to, so that comparisons mean the same.
        columns = ", ".join(f"{column_name(field)} {column_type(field)}" for field in self.fields)
        # SQLite keeps its rows by such a key anyway; PostgreSQL would have to make an index.
        line = "bigint" if connection.vendor == "postgresql" else "integer PRIMARY KEY"
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE TEMPORARY TABLE {ROWS} (line {line}, {columns})")
            cursor.execute(
                f"CREATE TEMPORARY TABLE {REJECTS} "
                f'(line {line}, "column" text NOT NULL, value text NOT NULL, reason text NOT NULL, "key" text)'
            )
            cursor.execute(
                f"CREATE TEMPORARY TABLE {CHANGES} (line bigint, pk {column_type(self.export.model._meta.pk)})"
            )
        return self

    def __exit__(self, *_error: object) -> None:
        with suppress(DatabaseError):  # who is leaving knows it already
            self.settle()
        with suppress(DatabaseError), connection.cursor() as cursor:  # a lost connection took them along
            for table in (ROWS, REJECTS, CHANGES):
                cursor.execute(f"DROP TABLE IF EXISTS {table}")

    def add(self, chunk: Chunk) -> None:
        """Add rows and rejects. PostgreSQL may go on taking them in after this returns: see `settle`."""
        if connection.vendor == "postgresql":
            self._copy(chunk)
        else:
            self._insert(chunk)

    def settle(self) -> None:
        """Wait until the database has taken what was added. The connection is free then, and no transaction open."""
        with connection.wrap_database_errors:
            self._sending.close()
            self._copying = None
            if self._rejects:
                with connection.cursor() as cursor, cursor.copy(f"COPY {REJECTS} FROM STDIN") as copy:
                    while self._rejects:
                        copy.write_row(self._rejects.pop())

    def complete(self) -> None:
        """Make the rows ready for being joined."""
        self.settle()
        keys = [column_name(self.export.model_field(name)) for name in self.export.key]
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                links = [column_name(field) for field in self.fields if field.remote_field]
                joined = dict.fromkeys(["line", *keys, *links])
                cursor.execute(f"ANALYZE {ROWS} ({', '.join(joined)})")
            else:  # it looks rows up one by one, and only by an index
                cursor.execute(f"CREATE INDEX {ROWS}_by_key ON {ROWS} ({', '.join(keys)})")

    def _copy(self, chunk: Chunk) -> None:
        """Send the rows and don't wait: they are parsed while the next ones are read from the file."""
        self._rejects += chunk.rejects
        if chunk.lines:
            texts = [
                map(str, chunk.lines),
                *(text(column) for text, column in zip(self._texts, chunk.columns, strict=True)),
            ]
            with connection.wrap_database_errors:
                if self._copying is None:
                    cursor = self._sending.enter_context(connection.cursor())
                    self._copying = self._sending.enter_context(cursor.copy(f"COPY {ROWS} FROM STDIN"))
                self._copying.write("\n".join(map("\t".join, zip(*texts, strict=True))) + "\n")

    def _insert(self, chunk: Chunk) -> None:
        columns = map(self._adapted, self.fields, chunk.columns)
        with _unlocking_transaction(), connection.cursor() as cursor:
            if chunk.lines:
                holders = ", ".join(["%s"] * (len(self.fields) + 1))
                rows = list(zip(chunk.lines, *columns, strict=True))
                cursor.executemany(f"INSERT INTO {ROWS} VALUES ({holders})", rows)  # noqa: S608
            if chunk.rejects:
                cursor.executemany(f"INSERT INTO {REJECTS} VALUES (%s, %s, %s, %s, %s)", chunk.rejects)  # noqa: S608

    @staticmethod
    def _adapted(field: Any, column: Sequence[Any]) -> Iterable[Any]:
        """The values as SQLite keeps them."""
        if isinstance(field, models.DecimalField):
            return (None if value is None else str(value) for value in column)
        if isinstance(field, models.DateField):
            return map(Memory(partial(field.get_db_prep_save, connection=connection)).__getitem__, column)
        return column


def _copy_texts(column: Sequence[Any]) -> Iterable[str]:
    """The values of one field as COPY's text format has them."""
    try:
        text = "".join(column)
    except TypeError:  # not only texts
        return map(_copy_text, column)
    return map(_escaped, column) if any(sign in text for sign in "\\\n\r\t") else column


def _copy_text(value: Any) -> str:
    return r"\N" if value is None else _escaped(str(value))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r").replace("\t", r"\t")


@contextmanager
def _unlocking_transaction() -> Iterator[None]:
    """A transaction on SQLite that locks nothing, as Django's would.

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


@contextmanager
def judging(model: type[models.Model], *, to_write: bool = True) -> Iterator[None]:
    """A transaction fit for large joins; who means to write keeps other writers, not readers, out of the table."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                if to_write:
                    cursor.execute(f"LOCK TABLE {table_name(model)} IN SHARE ROW EXCLUSIVE MODE")
                cursor.execute(f"SET LOCAL work_mem = '{WORK_MEMORY}'")
                # As it is on solid-state disks: a few changed rows are looked up, not found by reading all there are.
                cursor.execute("SET LOCAL random_page_cost = 1.1")
        yield


def analyze(table: str) -> None:
    """Have the database look at a temporary table, which it does by itself only for others."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {table}")


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
