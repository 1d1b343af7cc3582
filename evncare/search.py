"""Finding rows by beginnings, at any size: of words, ``filter(text__words="tien di")``, or of a column, ``begins``.

Words are compared unaccented and in lower case, and each typed one has to begin a word of the column. PostgreSQL looks
them up in an index that ``word_index`` makes in a migration, with what every server has built in: no extension is
needed. SQLite, which serves the demo and small offices, reads the rows. Why so: docs/decisions/search.md.
"""

import string
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection, migrations, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models import Field, Lookup, Q
from django.db.models.sql.compiler import SQLCompiler

from evncare.text import unaccent, words

# An index entry is at most so long, whatever a customer sends; words further on are not found.
LONGEST_TEXT = 1000
_HIGHEST_CHARACTER = "\U0010ffff"

# Latin letters with accents, Greek and Cyrillic look-alikes, full-width letters and digits: what reads as one letter or
# digit. Plain ones come first, being the most frequent: PostgreSQL goes through the whole list for each character.
_CODE_POINTS = (*range(0xC0, 0x250), *range(0x370, 0x530), *range(0x1E00, 0x1F00), *range(0xFF10, 0xFF5B))
_READ_AS_ONE = "".join(
    c for c in map(chr, _CODE_POINTS) if (a := unaccent(c)).isalnum() and a.isascii() and len(a) == 1
)
_LETTERS = f"{string.ascii_letters}{string.digits} {_READ_AS_ONE}"
# Accents that stand alone and characters that nobody sees. Having no counterpart in translate(), they go.
_DROPPED = "".join(c for c in map(chr, (0xAD, *range(0x200C, 0x2010), *range(0x300, 0x370))) if not unaccent(c))

# The SQL twin of evncare.text.words, but for the few letters that read as two. Immutable, so that an index can be made
# of it. Texts that are plain already take a tenth of the time. STRICT keeps it from being inlined, whereby the planner
# would forget the cost: a call takes some 10 µs, 400 times what it thinks of an operator.
FUNCTION = f"""
CREATE OR REPLACE FUNCTION evncare_words(value text) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 400
RETURN array_to_tsvector(array_remove(string_to_array(regexp_replace(lower(
    CASE WHEN octet_length(value) = length(value) THEN left(value, {LONGEST_TEXT})
    ELSE translate(normalize(left(value, {LONGEST_TEXT}), NFC), '{_LETTERS}{_DROPPED}', '{unaccent(_LETTERS)}') END
), '[^a-z0-9]+', ' ', 'g'), ' '), ''))
"""


def begins(field: str, start: str) -> Q:
    """That a code begins with ``start``."""
    return Q(**beginning_with(field, start))


def beginning_with(field: str, start: str) -> dict[str, Any]:
    """``begins`` as arguments of a filter. As a range, since SQLite has no index for LIKE."""
    return {f"{field}__gte": start, f"{field}__lt": start + _HIGHEST_CHARACTER}


def typed_words(term: str) -> list[str]:
    """The words in what was typed, as they are compared."""
    return words(term[:LONGEST_TEXT])[:LONGEST_TEXT].split()  # a letter may read as several


def searchable(text: str) -> str:
    """The words of the text, each after a space, so that `` dien`` in it is a word that begins with ``dien``."""
    return f" {words(text[:LONGEST_TEXT])}"


def holds(searched: str, typed: list[str]) -> bool:
    """Whether each word typed begins one of these words: the lookup ``words``, for texts at hand."""
    return all(f" {word}" in searched for word in typed)


@contextmanager
def room_for_common_words() -> Iterator[None]:
    """Lets PostgreSQL keep every row of common words in mind: else it reads all rows near them, for minutes."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL work_mem = '64MB'")
        yield


@Field.register_lookup
class Words(Lookup):
    """Rows in which each of the words typed begins a word. What holds no word matches nothing."""

    lookup_name = "words"
    prepare_rhs = False

    def _typed(self) -> list[str]:
        typed = typed_words(str(self.rhs))
        if not typed:
            raise EmptyResultSet
        return typed

    def as_postgresql(self, compiler: SQLCompiler, _connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        column, parameters = self.process_lhs(compiler, connection)
        query = " & ".join(f"'{word}':*" for word in self._typed())  # only letters and digits
        return f"evncare_words({column}) @@ %s::tsquery", [*parameters, query]

    def as_sqlite(self, compiler: SQLCompiler, _connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
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
            "evncare_words", 1, lambda value: value and searchable(value), deterministic=True
        )


connection_created.connect(_teach_sqlite, dispatch_uid="evncare.search")
