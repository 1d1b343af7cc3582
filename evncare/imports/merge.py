"""Judging and merging the staged rows by whole sets, in statements that every supported database understands.

``s`` is a staged row, ``t`` a row of the table that it goes to. Names come from models and are quoted; values are
always parameters.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection, models
from django.utils.translation import gettext as _

from evncare.imports.declarations import Export, Snapshot
from evncare.imports.rows import Layout
from evncare.imports.staging import REJECTS, ROWS, column_name, distinct_from, table_name


class Merge:
    """The statements of one load. Call `judge` first, all within one transaction."""

    def __init__(self, export: Export, layout: Layout) -> None:
        self.export = export
        self._table = table_name(export.model)
        self._keys = [self._column(name) for name in export.key]
        self._same = " AND ".join(f"t.{key} = s.{key}" for key in self._keys)
        told = {
            column.field for column, place in zip(export.columns, layout.positions, strict=True) if place is not None
        } | {derived.field for derived in export.derived}
        self._written = [self._column(name) for name in export.fields]
        self._updated = [self._column(name) for name in export.fields if name in told and name not in export.key]
        self._differs = " OR ".join(f"t.{column} {distinct_from()} s.{column}" for column in self._updated)

    def _column(self, name: str) -> str:
        return column_name(self.export.model_field(name))

    def judge(self) -> None:
        """Move the rows to the rejects that can't be taken for what else there is, or is not."""
        inner = []
        for name in self.export.fields:
            field = self.export.model_field(name)
            if isinstance(field, models.ForeignKey):
                if field.related_model is self.export.model:
                    inner.append(field)
                else:
                    self._reject_unknown(field)
        for field in inner:
            # A row that goes may have been what another one leads to.
            while self._reject_unknown(field):
                pass
        self._reject_repeated()

    def _reject_unknown(self, field: "models.ForeignKey[Any, Any]") -> int:
        column = column_name(field)
        target = column_name(field.target_field)
        known = f"SELECT 1 FROM {table_name(field.target_field.model)} AS t WHERE t.{target} = s.{column}"  # noqa: S608
        condition = f"s.{column} IS NOT NULL AND NOT EXISTS ({known})"
        reason = _("is not known")
        if field.related_model is self.export.model:
            condition += f" AND NOT EXISTS (SELECT 1 FROM {ROWS} AS o WHERE o.{target} = s.{column})"  # noqa: S608
            reason = _("is neither stored nor among the rows taken from this file")
        return self._reject(
            f"%s, CAST(s.{column} AS text), %s", f"FROM {ROWS} AS s WHERE {condition}",
            [self.export.column_of(field.name).name, reason],
        )  # fmt: skip

    def _reject_repeated(self) -> None:
        keys = ", ".join(self._keys)
        first = f"SELECT {keys}, min(line) AS line FROM {ROWS} GROUP BY {keys} HAVING count(*) > 1"  # noqa: S608
        same = " AND ".join(f"f.{key} = s.{key}" for key in self._keys)
        value = " || ' ' || ".join(f"CAST(s.{key} AS text)" for key in self._keys)
        names = [column.name for column in self.export.columns if column.field in self.export.key]
        self._reject(
            f"%s, {value}, %s || CAST(f.line AS text)",
            f"FROM {ROWS} AS s JOIN ({first}) AS f ON {same} WHERE s.line > f.line",
            [", ".join(names), _("repeats the row of line") + " "],
        )

    def _reject(self, report: str, rows: str, parameters: Sequence[str]) -> int:
        key = f"CAST(s.{self._keys[0]} AS text)" if len(self._keys) == 1 else "NULL"
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {REJECTS} SELECT s.line, {report}, {key} {rows}", parameters)
            found = cursor.rowcount
            if found:
                cursor.execute(f"DELETE FROM {ROWS} WHERE line IN (SELECT line FROM {REJECTS})")  # noqa: S608
        return int(found)

    def compare(self) -> tuple[int, int, int]:
        """How many staged rows are new, changed and unchanged."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*), count(t.{self._keys[0]}), "  # noqa: S608
                f"count(CASE WHEN t.{self._keys[0]} IS NOT NULL AND ({self._differs}) THEN 1 END) "
                f"FROM {ROWS} AS s LEFT JOIN {self._table} AS t ON {self._same}"
            )
            staged, found, changed = cursor.fetchone()
        return staged - found, changed, found - changed

    def update(self) -> None:
        values = ", ".join(f"{column} = s.{column}" for column in self._updated)
        self._execute(
            f"UPDATE {self._table} AS t SET {values} FROM {ROWS} AS s WHERE {self._same} AND ({self._differs})"  # noqa: S608
        )

    def insert(self) -> None:
        columns = ", ".join(self._written)
        values = ", ".join(f"s.{column}" for column in self._written)
        self._execute(
            f"INSERT INTO {self._table} ({columns}) SELECT {values} FROM {ROWS} AS s "  # noqa: S608
            f"WHERE NOT EXISTS (SELECT 1 FROM {self._table} AS t WHERE {self._same})"
        )

    def unreadable_keys(self) -> int:
        """How many rejected rows don't even tell which row they are."""
        return self._count(f'FROM {REJECTS} WHERE "key" IS NULL')

    def vanished(self, snapshot: Snapshot) -> int:
        """How many open rows of the parts that the file covers are not listed any more."""
        return self._count(f"FROM {self._table} AS t WHERE {self._not_listed(snapshot)}")

    def settle(self, snapshot: Snapshot, now: datetime) -> None:
        settled_at = self.export.model_field(snapshot.settled_at)
        value = settled_at.get_db_prep_save(now, connection)
        self._execute(
            f"UPDATE {self._table} AS t SET {column_name(settled_at)} = %s WHERE {self._not_listed(snapshot)}",  # noqa: S608
            [value],
        )

    def _not_listed(self, snapshot: Snapshot) -> str:
        link = self.export.model_field(snapshot.link)
        assert isinstance(link, models.ForeignKey)
        owner, owner_key = table_name(link.target_field.model), column_name(link.target_field)
        part = column_name(link.target_field.model._meta.get_field(snapshot.part))
        link_column, key = column_name(link), self._keys[0]
        covered = f"SELECT DISTINCT c.{part} FROM {ROWS} AS s JOIN {owner} AS c ON c.{owner_key} = s.{link_column}"  # noqa: S608
        owners = f"SELECT c.{owner_key} FROM {owner} AS c WHERE c.{part} IN ({covered})"  # noqa: S608
        return (
            f"t.{self._column(snapshot.settled_at)} IS NULL "  # noqa: S608
            f"AND t.{link_column} IN ({owners}) "
            f"AND NOT EXISTS (SELECT 1 FROM {ROWS} AS s WHERE s.{key} = t.{key}) "
            # A row that was rejected is still listed.
            f'AND NOT EXISTS (SELECT 1 FROM {REJECTS} AS r WHERE r."key" = t.{key})'
        )

    def changes(self, limit: int) -> list[tuple[int, Any]]:
        """The first lines that are new or changed, each with the primary key of the row it changes, or None."""
        pk = column_name(self.export.model._meta.pk)
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT s.line, t.{pk} FROM {ROWS} AS s LEFT JOIN {self._table} AS t ON {self._same} "  # noqa: S608
                f"WHERE t.{pk} IS NULL OR {self._differs} ORDER BY s.line LIMIT %s",
                [limit],
            )
            return list(cursor.fetchall())

    def _count(self, rows: str) -> int:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) {rows}")
            return int(cursor.fetchone()[0])

    def _execute(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
