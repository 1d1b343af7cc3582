"""Storing what carriers hand over, and answering what waits."""

import pytest
from django.db import OperationalError, connection

from billing import queries as billing
from sms import inbox
from sms.gateways.base import Received
from sms.models import InboundMessage, OutboundMessage, Outcome, Refusal
from tests import factories
from tests.factories import CODE, NOW

pytestmark = pytest.mark.django_db

State = InboundMessage.State


def received(message_id: str = "A1", **fields) -> Received:
    defaults = {"sender": "84905123456", "short_code": "8088", "text": f"NTD {CODE}", "payload": b"{}"}
    return Received(message_id=message_id, **defaults | fields)


def test_a_message_is_stored_as_it_came():
    receipt = inbox.receive("viettel", received(payload=b'{"\x00\xff"', operator="VIETTEL"), now=NOW)
    message = InboundMessage.objects.get(pk=receipt.id)
    assert (message.carrier, message.message_id, message.text) == ("viettel", "A1", f"NTD {CODE}")
    assert (bytes(message.payload), message.operator) == (b'{"\x00\xff"', "VIETTEL")
    assert (message.state, message.received_at) == (State.WAITING, NOW)


def test_a_repeated_id_is_the_same_message():
    first = inbox.receive("viettel", received(), now=NOW)
    again = inbox.receive("viettel", received(text="something else"), now=NOW)
    assert (again.id, first.duplicate, again.duplicate) == (first.id, False, True)
    assert InboundMessage.objects.get().text == f"NTD {CODE}"


def test_two_carriers_may_use_the_same_id():
    assert inbox.receive("viettel", received(), now=NOW).id != inbox.receive("vms", received(), now=NOW).id


@pytest.mark.django_db(transaction=True)
def test_a_database_that_cannot_store_is_said_so():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE sms_inboundmessage RENAME TO elsewhere")
    try:
        with pytest.raises(inbox.NotStored):
            inbox.receive("viettel", received(), now=NOW)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO sms_inboundmessage")


def test_answering_gives_each_message_its_reply_and_says_what_was_understood():
    factories.everything_published()
    asked = factories.inbound(f"td {CODE} 10/2016")
    assert inbox.answer_waiting(now=NOW) == 1
    asked.refresh_from_db()
    assert (asked.state, asked.outcome, asked.concluded_at) == (State.ANSWERED, Outcome.ANSWERED, NOW)
    assert (asked.keyword, asked.customer_code, asked.ky, asked.month, asked.year) == ("TD", CODE, 1, 10, 2016)
    reply = asked.reply
    assert reply.text.endswith("la 500550 dong. Cam on quy khach da su dung dich vu cua chung toi.")
    assert (reply.state, reply.recipient, reply.short_code) == ("WAITING", "84905123456", "8088")
    assert (reply.wording, reply.encoding, reply.segments, reply.charge) == ("TD.answered", "GSM-7", 1, True)


def test_errors_go_out_free():
    factories.inbound("hello")
    inbox.answer_waiting(now=NOW)
    assert OutboundMessage.objects.get().charge is False


def test_what_is_answered_is_not_answered_again():
    factories.inbound("TC")
    assert inbox.answer_waiting(now=NOW) == 1
    assert inbox.answer_waiting(now=NOW) == 0
    assert OutboundMessage.objects.count() == 1


def test_a_backlog_is_answered_oldest_first_in_batches():
    for number in range(inbox.BATCH_SIZE + 5):
        factories.inbound("TC", sender=f"849051{number:05}")
    assert inbox.answer_waiting(now=NOW) == inbox.BATCH_SIZE
    left = list(InboundMessage.objects.filter(state=State.WAITING).values_list("pk", flat=True))
    assert left == list(InboundMessage.objects.values_list("pk", flat=True))[:5]
    assert inbox.answer_waiting(now=NOW) == 5


def test_a_batch_takes_the_same_number_of_queries_whatever_its_size(django_assert_max_num_queries):
    for number in range(50):
        factories.inbound("TC", sender=f"849051{number:05}")
    with django_assert_max_num_queries(13):
        inbox.answer_waiting(now=NOW)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"is_binary": True}, Refusal.BINARY),
        ({"sender": "EVNCPC"}, Refusal.UNANSWERABLE_SENDER),
        ({"sender": "8088"}, Refusal.UNANSWERABLE_SENDER),
    ],
)
def test_a_message_refused_by_rule_gets_no_reply_but_a_reason(fields, rule):
    message = factories.inbound("TC", **fields)
    inbox.answer_waiting(now=NOW)
    message.refresh_from_db()
    assert (message.state, message.outcome, message.refusal) == (State.REFUSED, Outcome.REFUSED, rule)
    assert not OutboundMessage.objects.exists()


@pytest.mark.parametrize(
    "text", ["", "x" * 2000, "NTD\u2400PP05000974006", "😀", "NTD 😀 PP05000974006", "\ufffd" * 500]
)
def test_odd_texts_are_answered_by_rule(text):
    message = factories.inbound(text)
    inbox.answer_waiting(now=NOW)
    message.refresh_from_db()
    assert message.state == State.ANSWERED
    assert message.outcome in (Outcome.BAD_SYNTAX, Outcome.UNKNOWN_CUSTOMER)


@pytest.fixture
def _broken_debts(monkeypatch):
    """Looking up debts fails for one customer, as a fault in the code would."""
    look_up = billing.unpaid

    def unpaid(codes):
        if "PP05000974007" in codes:
            raise ZeroDivisionError(f"it quotes {CODE}")
        return look_up(codes)

    monkeypatch.setattr(billing, "unpaid", unpaid)


@pytest.mark.usefixtures("_broken_debts")
def test_a_message_that_makes_the_code_fail_is_set_aside_and_blocks_no_other():
    factories.everything_published()
    factories.customer("PP05000974007")
    before, poison, after = (factories.inbound(text) for text in (f"NTD {CODE}", "NTD PP05000974007", "TC"))
    while inbox.answer_waiting(now=NOW):
        pass
    for message in (before, poison, after):
        message.refresh_from_db()
    assert (before.state, poison.state, after.state) == (State.ANSWERED, State.SET_ASIDE, State.ANSWERED)
    assert poison.attempts == inbox.MOST_ATTEMPTS
    assert "ZeroDivisionError" in poison.failure
    assert CODE not in poison.failure
    assert OutboundMessage.objects.count() == 2


def test_a_database_fault_sets_nothing_aside(monkeypatch):
    def away(codes):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(billing, "accounts", away)
    message = factories.inbound(f"NTD {CODE}")
    with pytest.raises(OperationalError):
        inbox.answer_waiting(now=NOW)
    message.refresh_from_db()
    assert (message.state, message.attempts) == (State.WAITING, 0)
