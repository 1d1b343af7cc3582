"""Judging and merging the staged rows by whole sets, in statements that every supported database understands.

``s`` is a staged row, ``t`` a row of the table that it goes to, ``c`` a planned change of it. Names come from models
and are quoted; values are always parameters.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, models
from django.utils.translation import gettext as _

from evncare.imports import undoing
from evncare.imports.declarations import Export, Snapshot
from evncare.imports.rows import Layout
from evncare.imports.staging import CHANGES, REJECTS, ROWS, analyze, column_name, distinct_from, table_name


class Merge:
    """The statements of one load, within one transaction: `plan` and `judge`, then what changes the table."""

    def __init__(self, export: Export, layout: Layout) -> None:
        self.export = export
        self._table = table_name(export.model)
        self._pk = column_name(export.model._meta.pk)
        self._keys = [self._column(name) for name in export.key]
        self._same = " AND ".join(f"t.{key} = s.{key}" for key in self._keys)
        told = {
            column.field for column, place in zip(export.columns, layout.positions, strict=True) if place is not None
        } | {derived.field for derived in export.derived}
        self._written = [self._column(name) for name in export.fields]
        self._compared = [export.model_field(name) for name in export.fields if name in told and name not in export.key]
        self._updated = [column_name(field) for field in self._compared]
        self._differs = " OR ".join(f"t.{column} {distinct_from()} s.{column}" for column in self._updated)

    def _column(self, name: str) -> str:
        return column_name(self.export.model_field(name))

    def plan(self) -> None:
        """Write down which rows are new or changed.

        The one comparison with the table: however large that is, what follows only looks at what was found.
        """
        (self._staged,) = self._row(f"SELECT count(*) FROM {ROWS}")  # noqa: S608
        found = self._execute(
            f"INSERT INTO {CHANGES} SELECT s.line, t.{self._pk} FROM {ROWS} AS s "  # noqa: S608
            f"LEFT JOIN {self._table} AS t ON {self._same} WHERE t.{self._pk} IS NULL OR {self._differs}"
        )
        analyze(CHANGES)
        # Rows that stand in the table as they are have been judged before.
        self._to_judge = f"{ROWS} AS s" + ("" if found == self._staged else f" JOIN {CHANGES} AS c ON c.line = s.line")

    def counts(self) -> tuple[int, int, int]:
        """How many of the rows that are taken are new, changed and unchanged."""
        changes, changed = self._row(f"SELECT count(line), count(pk) FROM {CHANGES}")  # noqa: S608
        return changes - changed, changed, self._staged - changes

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
            f"%s, CAST(s.{column} AS text), %s", f"FROM {self._to_judge} WHERE {condition}",
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
        found = self._execute(f"INSERT INTO {REJECTS} SELECT s.line, {report}, {key} {rows}", parameters)
        if found:
            rejected = f"line IN (SELECT line FROM {REJECTS})"  # noqa: S608
            self._execute(f"DELETE FROM {CHANGES} WHERE {rejected}")  # noqa: S608
            self._staged -= self._execute(f"DELETE FROM {ROWS} WHERE {rejected}")  # noqa: S608
        return found

    def sums(self) -> dict[str, int | Decimal]:
        """The sums over the staged rows of the columns that the billing system sums, by the columns' names."""
        columns = [column for column in self.export.columns if column.summed]
        if not columns:
            return {}
        values = ", ".join(f"coalesce(sum({self._column(column.field)}), 0)" for column in columns)
        sums = self._row(f"SELECT {values} FROM {ROWS}")  # noqa: S608
        return {
            column.name: self._total(self.export.model_field(column.field), value)
            for column, value in zip(columns, sums, strict=True)
        }

    @staticmethod
    def _total(field: "models.Field[Any, Any]", value: Any) -> int | Decimal:
        if isinstance(field, models.DecimalField):  # SQLite adds them up in floating point
            return round(Decimal(str(value)), field.decimal_places)
        return int(value)

    def changes(self, limit: int) -> list[tuple[int, Any]]:
        """The first lines that are new or changed, each with the primary key of the row it changes, or None."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT line, pk FROM {CHANGES} WHERE line IS NOT NULL ORDER BY line LIMIT %s",  # noqa: S608
                [limit],
            )
            return list(cursor.fetchall())

    # What a snapshot no longer lists

    def unreadable_keys(self) -> int:
        """How many rejected rows don't even tell which row they are."""
        (count,) = self._row(f'SELECT count(*) FROM {REJECTS} WHERE "key" IS NULL')  # noqa: S608
        return int(count)

    def covered(self, snapshot: Snapshot) -> list[str]:
        """The parts that the file covers: those of the rows that it lists."""
        owner, owner_key, part, link = self._owner(snapshot)
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT DISTINCT c.{part} FROM {ROWS} AS s JOIN {owner} AS c ON c.{owner_key} = s.{link}"  # noqa: S608
            )
            return sorted(part for (part,) in cursor.fetchall())

    def plan_settling(self, snapshot: Snapshot, parts: Sequence[str]) -> tuple[int, int]:
        """Write down which open rows of these parts are not listed any more; returns how many are open, and those."""
        owner, owner_key, part, link = self._owner(snapshot)
        if not parts:
            return 0, 0
        holders = ", ".join(["%s"] * len(parts))
        is_open = (
            f"t.{self._column(snapshot.settled_at)} IS NULL "  # noqa: S608
            f"AND t.{link} IN (SELECT c.{owner_key} FROM {owner} AS c WHERE c.{part} IN ({holders}))"
        )
        key = self._keys[0]
        (before,) = self._row(f"SELECT count(*) FROM {self._table} AS t WHERE {is_open}", parts)  # noqa: S608
        vanished = self._execute(
            f"INSERT INTO {CHANGES} SELECT NULL, t.{self._pk} FROM {self._table} AS t WHERE {is_open} "  # noqa: S608
            f"AND NOT EXISTS (SELECT 1 FROM {ROWS} AS s WHERE s.{key} = t.{key}) "
            # A row that was rejected is still listed.
            f'AND NOT EXISTS (SELECT 1 FROM {REJECTS} AS r WHERE r."key" = t.{key})',
            parts,
        )
        return before, vanished

    def _owner(self, snapshot: Snapshot) -> tuple[str, str, str, str]:
        link = self.export.model_field(snapshot.link)
        assert isinstance(link, models.ForeignKey)
        owner = link.target_field.model
        part = column_name(owner._meta.get_field(snapshot.part))
        return table_name(owner), column_name(link.target_field), part, column_name(link)

    # What changes the table

    def update(self, run: int | None) -> None:
        """Change the rows that were found to differ."""
        if run is not None:
            undoing.remember(self.export.model, run, self._compared, of="c.line IS NOT NULL")
        values = ", ".join(f"{column} = s.{column}" for column in self._updated)
        stamp, parameters = undoing.stamp(run)
        self._execute(
            f"UPDATE {self._table} AS t SET {values}, {stamp} "  # noqa: S608
            f"FROM {CHANGES} AS c JOIN {ROWS} AS s ON s.line = c.line WHERE t.{self._pk} = c.pk",
            parameters,
        )

    def insert(self, run: int | None, *, all_rows: bool) -> None:
        """Add the rows that were not found; ``all_rows`` if that is every one."""
        columns = ", ".join(self._written)
        values = ", ".join(f"s.{column}" for column in self._written)
        some = "" if all_rows else f"JOIN {CHANGES} AS c ON c.line = s.line WHERE c.pk IS NULL"
        self._execute(
            f"INSERT INTO {self._table} ({columns}, run) SELECT {values}, %s FROM {ROWS} AS s {some}",  # noqa: S608
            [run],
        )

    def settle(self, snapshot: Snapshot, now: datetime, run: int | None) -> None:
        """Mark the rows as settled that were found to have vanished."""
        settled_at = self.export.model_field(snapshot.settled_at)
        if run is not None:
            undoing.remember(self.export.model, run, [settled_at], of="c.line IS NULL")
        stamp, parameters = undoing.stamp(run)
        self._execute(
            f"UPDATE {self._table} AS t SET {column_name(settled_at)} = %s, {stamp} "  # noqa: S608
            f"FROM {CHANGES} AS c WHERE c.line IS NULL AND t.{self._pk} = c.pk",
            [settled_at.get_db_prep_save(now, connection), *parameters],
        )

    @staticmethod
    def _row(statement: str, parameters: Sequence[Any] = ()) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchone()

    @staticmethod
    def _execute(statement: str, parameters: Sequence[Any] = ()) -> int:
        """Run it and return the number of rows concerned."""
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return int(cursor.rowcount)
