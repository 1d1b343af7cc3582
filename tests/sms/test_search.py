"""Messages as staff look for them, when there are more than one step reads."""

import pytest

from sms import search
from sms.models import InboundMessage, OutboundMessage
from tests import factories

pytestmark = pytest.mark.django_db

ANSWERED = {"state": "ANSWERED", "outcome": "answered", "concluded_at": factories.NOW}


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr(search, "READ", 4)
    monkeypatch.setattr(search, "MANY", 8)
    monkeypatch.setattr(search, "A_PAGE", 2)
    monkeypatch.setattr(search, "MOST", 3)
    monkeypatch.setattr(search, "RARE", 0.5)


def found(term, rows=None, phones_in_part=True):
    rows, older = search.found(
        InboundMessage.objects.order_by("-pk") if rows is None else rows, term, phones_in_part=phones_in_part
    )
    return [row.text for row in rows], older


def written(*texts):
    for text in texts:
        factories.inbound(text, sender="84905123456")


def test_the_newest_are_enough_where_a_word_is_common():
    written("a 1", "a 2", "a 3", "a 4", "b", "a 5")

    assert found("a") == (["a 5", "a 4", "a 3"], True)


def test_further_ones_are_looked_up_where_the_newest_hold_too_few():
    written("x 1", "a 1", "a 2", "a 3", "x 2", "b", "b", "b", "b")

    assert found("a") == (["a 3", "a 2", "a 1"], True), "among many"
    assert found("x") == (["x 2", "x 1"], False), "among all"
    assert found("y") == ([], False)


def test_no_more_are_listed_than_anybody_reads():
    written(*(f"a {n}" for n in range(9)), *"bbbbbbbbb")

    assert found("a") == (["a 8", "a 7", "a 6"], True)


def test_words_that_are_common_alone_are_found_together():
    written("a b", *("a", "b") * 6)

    assert found("a b") == (["a b"], False)
    assert found("b a 9") == ([], False)


def test_a_word_that_is_rare_now_but_was_common_is_found_with_others():
    written("a b", *"aaaaaaaaaa", *"cccccccccccc")

    assert found("a b") == (["a b"], False)


def test_filters_of_the_list_hold_in_every_step():
    written("a 1", "a 2", "b", "b", "b", "b", "b", "b", "b", "b")
    factories.inbound("a 3", **ANSWERED)

    answered = InboundMessage.objects.filter(state="ANSWERED").order_by("-pk")
    assert found("a", answered) == (["a 3"], False)
    waiting = InboundMessage.objects.filter(state="WAITING").order_by("-pk")
    assert found("a", waiting) == (["a 2", "a 1"], False)


def test_replies_are_found_by_their_messages_words():
    for number in range(6):
        factories.reply(factories.inbound(f"a {number}", **ANSWERED), f"reply {number}", charge=number % 2 == 0)

    replies = OutboundMessage.objects.order_by("-pk")
    assert found("a", replies) == (["reply 5", "reply 4", "reply 3"], True)
    assert found("a 2", replies) == (["reply 2"], False)
    assert found("a 2", replies.filter(charge=True)) == (["reply 2"], False)
    assert found("a 2", replies.filter(charge=False)) == ([], False)


def test_a_phone_is_found_by_its_beginning_if_numbers_may_be_seen():
    factories.inbound("mine", sender="84905123456")
    factories.inbound("other", sender="84914000111")

    assert found("0905 12") == (["mine"], False)
    assert found("0905 12", phones_in_part=False) == ([], False)
    assert found("0905 123 456", phones_in_part=False) == (["mine"], False)


def test_our_own_number_finds_a_message_and_what_else_it_may_be():
    message = factories.inbound("TC")
    factories.inbound(f"LGD {message.pk}")

    assert found(f"#{message.pk}") == (["TC"], False)
    assert found(str(message.pk)) == ([f"LGD {message.pk}", "TC"], False)
    assert found("99999999999999999999")[0] == []


@pytest.mark.parametrize("rows", [0, 30])
def test_a_search_takes_few_queries_however_many_messages_there_are(django_assert_max_num_queries, rows):
    written(*("NTD x",) * rows)

    for term in ("ntd", "ntd zzz", "zzz", "0905123456", "#1", "PP05"):
        with django_assert_max_num_queries(13):
            found(term)
