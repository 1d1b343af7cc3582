"""Finding rows by the beginnings of words, at any size: ``filter(text__words="tien di")``.

Words are compared unaccented and in lower case, and each typed one has to begin a word of the column. PostgreSQL looks
them up in an index that ``word_index`` makes in a migration, with what every server has built in: no extension is
needed. SQLite, which serves the demo and small offices, reads the rows. Why so: docs/decisions/search.md.
"""

from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import migrations
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models import Field, Lookup
from django.db.models.sql.compiler import SQLCompiler

from evncare.text import unaccent, words

# An index entry is at most so long, whatever a customer sends; words further on are not found.
LONGEST_TEXT = 1000
# Every accented Latin letter. Those without a decomposition, as đ, have one letter as their reading as well.
_LATIN = map(chr, (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)))
_ACCENTED = "".join(c for c in _LATIN if len(unaccent(c)) == 1 and unaccent(c).isascii() and unaccent(c).isalpha())

# Immutable, so that an index can be made of it. The SQL twin of evncare.text.words, but for look-alike letters.
FUNCTION = f"""
CREATE OR REPLACE FUNCTION evncare_words(value text) RETURNS tsvector LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN array_to_tsvector(array_remove(string_to_array(regexp_replace(
    lower(translate(normalize(left(value, {LONGEST_TEXT}), NFC), '{_ACCENTED}', '{unaccent(_ACCENTED)}')),
    '[^a-z0-9]+', ' ', 'g'), ' '), ''))
"""  # noqa: S608  (constants of ours)


@Field.register_lookup
class Words(Lookup):  # type: ignore[type-arg]  # generic only for the type checker
    """Rows in which each of the words typed begins a word. What holds no word matches nothing."""

    lookup_name = "words"
    prepare_rhs = False

    def _typed(self) -> list[str]:
        typed = words(str(self.rhs)).split()
        if not typed:
            raise EmptyResultSet
        return typed

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        column, parameters = self.process_lhs(compiler, connection)
        query = " & ".join(f"'{word}':*" for word in self._typed())  # only letters and digits
        return f"evncare_words({column}) @@ %s::tsquery", [*parameters, query]

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        column, parameters = self.process_lhs(compiler, connection)
        typed = self._typed()
        every = " AND ".join(f"evncare_words({column}) LIKE %s" for _ in typed)
        return f"({every})", [part for word in typed for part in (*parameters, f"% {word}%")]


def word_index(name: str, table: str, column: str) -> migrations.RunPython:
    """The operation that makes the column's words searchable on PostgreSQL; elsewhere it does nothing."""

    def create(_apps: Any, editor: Any) -> None:
        if editor.connection.vendor == "postgresql":
            editor.execute(FUNCTION)
            editor.execute(f'CREATE INDEX "{name}" ON "{table}" USING gin (evncare_words("{column}"))')

    def drop(_apps: Any, editor: Any) -> None:
        if editor.connection.vendor == "postgresql":
            editor.execute(f'DROP INDEX "{name}"')

    return migrations.RunPython(create, drop)


def _teach_sqlite(connection: BaseDatabaseWrapper, **_kwargs: Any) -> None:
    if connection.vendor == "sqlite":
        connection.connection.create_function(
            "evncare_words", 1, lambda value: value and f" {words(value[:LONGEST_TEXT])}", deterministic=True
        )


connection_created.connect(_teach_sqlite, dispatch_uid="evncare.search")
