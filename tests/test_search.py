"""Finding by the beginnings of words, alike on both databases."""

import pytest
from django.db import connection

from evncare.search import LONGEST_TEXT, begins, holds, room_for_common_words, searchable, typed_words
from sms.models import InboundMessage
from tests import factories

pytestmark = pytest.mark.django_db

TEXT = "Nguyễn Thị Ánh-Đào, 78A Duy Tân: cúp điện?"


def found(term: str) -> int:
    return InboundMessage.objects.filter(text__words=term).count()


@pytest.mark.parametrize(
    "typed",
    [
        "nguyen",
        "Nguyễn Thị",
        "anh dao",
        "dao nguyen 78",  # in any order
        "78a",
        "ng th an",  # each only begun
        "nguyen  ,; nguyen",
        "NGUYỄN",
        "Nguye\u0302\u0303n",  # accents as characters of their own
        "ĐÀO",
        "Ðào",  # as old fonts write it
        "nguуen",  # a Cyrillic у
        "ｎｇｕｙｅｎ ７８",
        "d\u00adao",  # a soft hyphen
        "cúp?",
    ],
)
def test_each_word_typed_begins_a_word_of_the_text(typed):
    factories.inbound(TEXT)
    factories.inbound("TC")

    assert found(typed) == 1
    assert holds(searchable(TEXT), typed_words(typed))


@pytest.mark.parametrize("typed", ["guyen", "nguyenthi", "nguyen xanh", "78b", "", " ", "?!", "...", "中文", "\u0301"])
def test_what_does_not_begin_a_word_or_is_none_finds_nothing(typed):
    factories.inbound(TEXT)

    assert found(typed) == 0


@pytest.mark.parametrize(
    "stored",
    [
        "NTD PP05000974006",
        "ntd_pp05000974006",
        "n\u0302td pp05000974006",  # no letter has this accent, so it stays a character of its own
        "ΝΤD ΡΡ05000974006",  # Greek
        "ＮＴＤ　ＰＰ０５０００９７４００６",
        "nt\u200dd\u00a0pp0500\u00ad0974006",
        "Ntđ\nPP05000974006",
    ],
)
def test_a_stored_text_is_read_as_it_looks(stored):
    factories.inbound(stored)

    assert found("ntd pp0500097") == 1
    assert holds(searchable(stored), ["ntd", "pp0500097"])


@pytest.mark.parametrize(
    "typed", ["'", '"', "\\", "a' | 'b", "ntd & !pp", "ntd:*", "%", "_", "'; DROP TABLE x; --", "\0"]
)
def test_signs_that_mean_something_to_a_database_mean_nothing(typed):
    factories.inbound("b")

    assert found(typed) == 0
    factories.inbound(f"{typed} ntd pp drop".replace("\0", " "))
    assert found(f"{typed} ntd") == 1 or "b" in typed_words(typed)


@pytest.mark.parametrize("text", ["a" * 5000, "ấ" * 5000, "ß" * 5000, "a " * 5000])
def test_a_text_of_any_length_is_kept_and_found_by_its_beginning(text):
    factories.inbound(text)

    assert found(text[:20]) == (0 if text.startswith("ß") and connection.vendor == "postgresql" else 1)
    assert found(text) in (0, 1), "nothing breaks"
    assert all(len(word) <= LONGEST_TEXT for word in typed_words(text))


def test_codes_are_found_by_their_beginning_and_nothing_else():
    for code in ("PP0", "PP01", "PP0\U0010fffe", "PP1", "PO9", "%"):
        factories.inbound(customer_code=code)

    messages = InboundMessage.objects.filter(begins("customer_code", "PP0"))
    assert messages.count() == 3
    assert InboundMessage.objects.filter(begins("customer_code", "%")).count() == 1


@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_common_words_get_room_while_they_are_looked_up():
    with room_for_common_words(), connection.cursor() as cursor:
        cursor.execute("SHOW work_mem")
        assert cursor.fetchone() == ("64MB",)


@pytest.mark.skipif("connection.vendor != 'postgresql'")
@pytest.mark.parametrize(
    ("table", "column", "index"),
    [
        ("sms_inboundmessage", "text", "inbound_by_words"),
        ("billing_customer", "search_text", "customer_by_words"),
        ("billing_customer", "phones", "customer_by_phone"),
    ],
)
def test_postgresql_has_and_uses_an_index(table, column, index):
    with connection.cursor() as cursor:
        # What an empty table is best read by says nothing: of all ways, those through other indexes are closed.
        for way in ("seqscan", "indexscan", "indexonlyscan"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
        cursor.execute(f"EXPLAIN SELECT 1 FROM {table} WHERE evncare_words({column}) @@ '''a'':*'::tsquery")
        assert index in str(cursor.fetchall())
