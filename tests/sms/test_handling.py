"""What staff do about a message: each thing once, with a reason, and never so that a customer pays or reads twice
without somebody having decided it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from types import SimpleNamespace

import pytest
from django.db import connection
from django.utils import translation

from sms import gateways, handling, inbox, outbox
from sms.audit import Span, audit
from sms.gateways.base import Unknown
from sms.handling import Kind, NotPossible
from sms.models import BlockedSender, Handling, InboundMessage, Move, OutboundMessage
from sms.moves import move
from tests import factories
from tests.factories import CODE, NOW
from tests.sms.test_outbox import SCRIPTED

pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(hours=1)
BY = {"by": "lan", "reason": "khách gọi 19001909", "now": LATER}
SURE = {"confirmed_not_received": True, "may_resend_unknown": True}
ON_ITS_WAY, MAY_HAVE_ARRIVED = ("WAITING", "SENDING"), ("UNKNOWN", "SENT", "DELIVERED")


def answered(text: str = f"NTD {CODE}", reply: str = "DELIVERED", **fields) -> InboundMessage:
    """A message that was answered, and whose reply is in that state."""
    if not InboundMessage.objects.exists():
        factories.everything_published()
    message = factories.inbound(text, **fields)
    inbox.answer_waiting(now=NOW)
    rows = OutboundMessage.objects.filter(inbound=message)
    if reply != "WAITING":
        move(rows, "SENDING", at=NOW, cause="claimed for memory", claimed_at=NOW)
    if reply not in ON_ITS_WAY:
        move(rows, reply, at=NOW, cause="memory took it", sent_at=NOW)
    return InboundMessage.objects.select_related("reply").get(pk=message.pk)


def refused(text: str = f"NTD {CODE}", **fields) -> InboundMessage:
    message = factories.inbound(text, **fields)
    inbox.answer_waiting(now=NOW)
    message.refresh_from_db()
    assert message.state == "REFUSED"
    return message


def set_aside() -> InboundMessage:
    message = factories.inbound(attempts=3, failure="ValueError")
    move(InboundMessage.objects.filter(pk=message.pk), "SET_ASIDE", at=NOW, cause="ValueError in 3 attempts")
    message.refresh_from_db()
    return message


def recorded(message: InboundMessage) -> list[tuple[str, str, str]]:
    return list(Handling.objects.filter(message=message).values_list("kind", "by", "reason"))


def findings() -> set[str]:
    span = Span(NOW - timedelta(days=1), LATER + timedelta(days=1))
    found = audit(span, now=LATER)
    assert found.books.balanced
    return {finding.name for finding in found.findings}


@pytest.fixture(autouse=True)
def carrier(settings):
    settings.SMS_CARRIERS = {"memory": SCRIPTED}
    carrier = gateways.get("memory")
    carrier.answers, carrier.taken = [], []
    return carrier


@pytest.fixture(autouse=True)
def in_english():
    with translation.override("en"):
        yield


# Answering anew


def test_what_is_answered_again_is_a_message_of_its_own_that_follows_and_costs_nothing(carrier):
    message = answered()
    follower = handling.answer_again(message, **BY)

    assert (follower.follows_id, follower.state, follower.text) == (message.pk, "WAITING", message.text)
    assert (follower.carrier, follower.sender, follower.short_code) == ("memory", message.sender, "8088")
    assert follower.message_id.startswith("desk-")
    assert follower.received_at == LATER
    assert recorded(message) == [(Kind.ANSWERED_AGAIN, "lan", "khách gọi 19001909")]
    assert inbox.answer_waiting(now=LATER) == 1
    follower.refresh_from_db()
    assert (follower.state, follower.outcome, follower.reply.text) == ("ANSWERED", "answered", message.reply.text)
    assert message.reply.charge
    assert not follower.reply.charge


def test_the_carrier_is_not_told_an_id_that_it_does_not_know(carrier):
    handling.answer_again(answered(), **BY)
    inbox.answer_waiting(now=LATER)
    outbox.deliver_waiting(now=LATER)
    [reply] = carrier.taken
    assert (reply.in_reply_to, reply.to, reply.charge) == ("", "84905123456", False)


def test_what_the_customer_meant_is_answered():
    message = answered("ntd pp0500097400")
    assert message.outcome == "bad_syntax"
    follower = handling.correct_and_answer(message, f" NTD {CODE}\n", **BY)
    inbox.answer_waiting(now=LATER)
    follower.refresh_from_db()
    assert (follower.text, follower.outcome, follower.customer_code) == (f"NTD {CODE}", "answered", CODE)
    assert recorded(message)[0][0] == Kind.CORRECTED


def test_a_correction_needs_a_text():
    message = answered()
    with pytest.raises(NotPossible, match="what the customer meant"):
        handling.correct_and_answer(message, " \n", **BY)


def test_a_message_that_was_set_aside_waits_for_its_answer_again():
    factories.everything_published()
    message = set_aside()
    assert findings() >= {"set_aside"}
    assert handling.answer_again(message, **BY) == message
    message.refresh_from_db()
    assert (message.state, message.attempts) == ("WAITING", 0)
    assert inbox.answer_waiting(now=LATER) == 1
    message.refresh_from_db()
    assert (message.state, InboundMessage.objects.count()) == ("ANSWERED", 1)
    assert recorded(message)[0][0] == Kind.ANSWERED_AGAIN
    assert findings() == set()


def test_what_is_given_back_after_it_was_settled_needs_a_look_again_if_it_fails_again():
    message = set_aside()
    handling.settle(message, **BY)
    handling.answer_again(message, **BY)
    message.refresh_from_db()
    assert message.settled_at is None


def test_a_message_that_was_set_aside_can_be_corrected_instead():
    factories.everything_published()
    message = set_aside()
    follower = handling.correct_and_answer(message, "TC", **BY)
    inbox.answer_waiting(now=LATER)
    follower.refresh_from_db()
    message.refresh_from_db()
    assert (follower.keyword, message.state, message.settled_at) == ("TC", "SET_ASIDE", LATER)
    with pytest.raises(NotPossible, match="already"):
        handling.answer_again(message, **BY)
    assert "set_aside" not in findings()


@pytest.mark.parametrize("state", ON_ITS_WAY)
def test_nothing_is_done_while_the_reply_is_on_its_way(state):
    message = answered(reply=state)
    with pytest.raises(NotPossible, match="on its way"):
        handling.answer_again(message, **BY)
    with pytest.raises(NotPossible, match="on its way"):
        handling.send_again(message, **BY, **SURE)
    with pytest.raises(NotPossible, match="on its way"):
        handling.settle(message, **BY)


def test_nothing_is_done_while_the_message_waits_for_its_answer():
    message = factories.inbound()
    for act in (handling.answer_again, handling.send_again, handling.settle):
        with pytest.raises(NotPossible, match="waiting for its answer"):
            act(message, **BY)
    assert not Handling.objects.exists()


def test_what_may_have_arrived_is_answered_anew_only_after_it_was_settled():
    message = answered(reply="UNKNOWN")
    with pytest.raises(NotPossible, match="may have arrived"):
        handling.answer_again(message, **BY)
    handling.settle(message, **BY)
    assert handling.answer_again(message, **BY).follows == message


# The rules


def test_staff_may_have_more_answered_than_a_sender_may_ask(settings):
    settings.SMS_LIMIT_PER_HOUR, settings.SMS_CODES_PER_DAY = 1, 1
    message = answered()
    other = f"NTD {CODE[:-1]}7"
    for step in range(3):
        now = NOW + timedelta(minutes=step)
        message = handling.correct_and_answer(message, other, by="lan", reason="khách gọi", now=now)
        inbox.answer_waiting(now=now)
        OutboundMessage.objects.filter(inbound=message).update(state="DELIVERED", sent_at=now)
        message.refresh_from_db()
        assert message.outcome == "unknown_customer"


def test_what_staff_do_counts_against_no_limit_of_the_sender(settings):
    settings.SMS_LIMIT_PER_HOUR, settings.SMS_CODES_PER_DAY = 2, 1
    message = answered("TC")
    handling.correct_and_answer(message, f"NTD {CODE}", by="lan", reason="khách gọi", now=NOW)
    inbox.answer_waiting(now=NOW)
    own = factories.inbound(f"NTD {CODE[:-1]}7", received_at=NOW + timedelta(minutes=2))
    inbox.answer_waiting(now=NOW + timedelta(minutes=2))
    own.refresh_from_db()
    assert own.refusal == ""


def test_a_customer_who_asks_at_the_same_time_repeats_nothing():
    message = answered(reply="FAILED")
    handling.answer_again(message, **BY)
    own = factories.inbound(received_at=LATER + timedelta(seconds=5))
    inbox.answer_waiting(now=LATER + timedelta(seconds=6))
    assert set(InboundMessage.objects.values_list("state", flat=True)) == {"ANSWERED"}
    own.refresh_from_db()
    assert own.reply.charge


def test_a_resend_that_was_refused_can_be_answered_and_is_no_resend_then():
    factories.everything_published()
    first = factories.inbound()
    second = factories.inbound(received_at=NOW + timedelta(seconds=1))
    inbox.answer_waiting(now=NOW + timedelta(seconds=2))
    second.refresh_from_db()
    assert (second.refusal, second.repeats) == ("RESENT", first)
    follower = handling.answer_again(second, by="lan", reason="khách gọi", now=NOW + timedelta(seconds=3))
    inbox.answer_waiting(now=NOW + timedelta(seconds=3))
    follower.refresh_from_db()
    assert follower.state == "ANSWERED"


def test_what_a_rule_would_refuse_again_is_not_asked_anew():
    for message in (refused(sender="VIETTEL"), refused("", is_binary=True), refused("EVNCPC thong bao tien dien Ky")):
        with pytest.raises(NotPossible, match="rule"):
            handling.answer_again(message, **BY)
    binary = InboundMessage.objects.get(is_binary=True)
    assert not handling.correct_and_answer(binary, "TC", **BY).is_binary


def test_a_blocked_sender_is_answered_by_nobody_until_the_block_ends():
    message = answered(reply="FAILED")
    block = BlockedSender.objects.create(sender=message.sender, reason="a machine")
    for act in (handling.answer_again, handling.send_again):
        with pytest.raises(NotPossible, match="blocked"):
            act(message, **BY)
    block.until = LATER
    block.save()
    handling.send_again(message, **BY)


def test_money_is_still_told_to_registered_phones_only(settings):
    settings.SMS_DISCLOSURE = "registered"
    message = answered(sender="84905000000")
    follower = handling.answer_again(message, **BY)
    inbox.answer_waiting(now=LATER)
    follower.refresh_from_db()
    assert follower.refusal == "NOT_REGISTERED"


# Sending anew


@pytest.mark.parametrize("state", ["FAILED", "EXPIRED"])
def test_what_did_not_arrive_is_sent_again_word_for_word(carrier, state):
    message = answered(reply=state)
    follower = handling.send_again(message, **BY)

    assert (follower.follows_id, follower.state, follower.outcome) == (message.pk, "ANSWERED", "answered")
    assert (follower.keyword, follower.customer_code, follower.period) == ("NTD", CODE, message.period)
    assert (follower.reply.state, follower.reply.text) == ("WAITING", message.reply.text)
    assert (follower.reply.wording, follower.reply.charge) == (message.reply.wording, False)
    outbox.deliver_waiting(now=LATER)
    assert [(reply.text, reply.in_reply_to) for reply in carrier.taken] == [(message.reply.text, "")]
    assert recorded(message)[0][0] == Kind.SENT_AGAIN
    assert findings() == set()


@pytest.mark.parametrize("state", MAY_HAVE_ARRIVED)
def test_what_may_have_arrived_is_sent_again_only_by_right_and_after_asking_the_customer(state):
    message = answered(reply=state)
    with pytest.raises(NotPossible, match="supervisor"):
        handling.send_again(message, confirmed_not_received=True, **BY)
    with pytest.raises(NotPossible, match="ask the customer"):
        handling.send_again(message, may_resend_unknown=True, **BY)
    assert not Handling.objects.exists()
    assert handling.send_again(message, **BY, **SURE).reply.state == "WAITING"


def test_a_notice_of_a_refusal_is_sent_again_and_told_no_second_time(settings):
    settings.SMS_LIMIT_PER_HOUR = 1
    answered("TC")
    told = answered("LCD", reply="FAILED", received_at=NOW + timedelta(minutes=1))
    assert told.refusal == "TOO_MANY"
    follower = handling.send_again(told, by="lan", reason="khách gọi", now=NOW + timedelta(minutes=2))
    assert (follower.refusal, follower.reply.wording) == ("TOO_MANY", "refused.TOO_MANY")


def test_what_has_no_reply_cannot_be_sent_again():
    with pytest.raises(NotPossible, match="no reply"):
        handling.send_again(refused(sender="VIETTEL"), **BY, **SURE)


def test_a_reply_that_fails_again_needs_a_look_again(carrier):
    message = answered(reply="FAILED")
    assert findings() == {"failed"}
    follower = handling.send_again(message, **BY)
    assert findings() == set()
    carrier.answers = [Unknown("no answer")]
    outbox.deliver_waiting(now=LATER)
    assert findings() == {"unknown"}
    follower.refresh_from_db()
    last = handling.send_again(follower, **BY, **SURE)
    outbox.deliver_waiting(now=LATER)
    assert (last.follows_id, findings()) == (follower.pk, set())


# Settling


@pytest.mark.parametrize("state", ["FAILED", "EXPIRED", "UNKNOWN"])
def test_what_was_settled_by_phone_needs_no_look_any_more(state):
    message = answered(reply=state)
    assert findings() == {state.lower()}
    handling.settle(message, **BY)
    message.refresh_from_db()
    assert (message.settled_at, message.reply.settled_at) == (LATER, LATER)
    assert recorded(message)[0][0] == Kind.SETTLED
    assert findings() == set()
    with pytest.raises(NotPossible, match="settled already"):
        handling.settle(message, **BY)


# Once, with a reason


def test_nothing_is_done_without_a_reason():
    message = answered(reply="FAILED")
    with pytest.raises(NotPossible, match="Write why"):
        handling.send_again(message, by="lan", reason="  ", now=LATER)
    assert InboundMessage.objects.count() == 1


def test_a_second_click_is_told_what_the_first_did():
    message = answered(reply="FAILED")
    handling.send_again(message, **BY)
    for act in (handling.send_again, handling.answer_again, handling.settle):
        with pytest.raises(NotPossible, match="already"):
            act(message, **BY)
    assert (InboundMessage.objects.count(), Handling.objects.count()) == (2, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("prepare", [lambda: answered(reply="FAILED"), set_aside], ids=["failed", "set aside"])
def test_two_people_at_once_make_one_follower(prepare):
    if connection.vendor == "sqlite":
        pytest.skip("the tests' SQLite, in memory, is one connection's")
    message = prepare()
    start = Barrier(4)

    def click(person):
        try:
            start.wait(10)
            handling.answer_again(message, by=str(person), reason="khách gọi", now=LATER)
            return "done"
        except NotPossible as error:
            return str(error)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as people:
        told = list(people.map(click, range(4)))
    assert told.count("done") == 1, told
    assert Handling.objects.count() == 1
    assert InboundMessage.objects.filter(state="WAITING").count() == 1


def test_every_state_of_a_follower_is_where_its_moves_lead():
    message = answered(reply="FAILED")
    handling.send_again(message, **BY)
    assert Move.objects.filter(inbound__follows=message).values_list("before", "after").get() == ("WAITING", "ANSWERED")


# What the page offers


def may(*rights: str) -> SimpleNamespace:
    return SimpleNamespace(has_perm=lambda right: right in rights)


HANDLE, RESEND = "sms.handle_inboundmessage", "sms.resend_outboundmessage"


def offered(message: InboundMessage, user: SimpleNamespace) -> set[str]:
    return {choice.kind for choice in handling.possible(message, user, now=LATER) if not choice.why_not}


def test_the_page_offers_what_may_be_done_and_says_why_not_the_rest():
    everything = {Kind.ANSWERED_AGAIN, Kind.CORRECTED, Kind.SENT_AGAIN, Kind.SETTLED}
    agent, supervisor = may(HANDLE), may(HANDLE, RESEND)
    failed, unknown = answered(reply="FAILED"), answered("TC", reply="UNKNOWN")

    assert handling.possible(failed, may(), now=LATER) == []
    assert offered(failed, agent) == everything
    assert offered(unknown, agent) == {Kind.SETTLED}
    assert offered(unknown, supervisor) == {Kind.SENT_AGAIN, Kind.SETTLED}
    [sending] = [c for c in handling.possible(unknown, supervisor, now=LATER) if c.kind == Kind.SENT_AGAIN]
    assert sending.to_confirm
    handling.send_again(failed, **BY)
    assert offered(failed, supervisor) == set()
    assert all("already" in choice.why_not for choice in handling.possible(failed, supervisor, now=LATER))


def test_what_was_erased_can_only_be_settled():
    message = answered(reply="FAILED")
    erased = {"sender": "", "text": "", "payload": b"", "customer_code": "", "erased_at": LATER}
    InboundMessage.objects.filter(pk=message.pk).update(**erased)
    message.refresh_from_db()
    assert offered(message, may(HANDLE, RESEND)) == {Kind.SETTLED}
    with pytest.raises(NotPossible, match="erased"):
        handling.send_again(message, **BY)
