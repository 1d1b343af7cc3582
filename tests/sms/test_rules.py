"""The rules by which messages are refused, each against what an honest customer would do."""

from datetime import timedelta

import pytest

from sms import inbox
from sms.models import BlockedSender, InboundMessage, OutboundMessage, Outcome, Refusal
from tests import factories
from tests.factories import CODE, NOW
from tests.sms.test_syntaxes import PUBLISHED

pytestmark = pytest.mark.django_db

State = InboundMessage.State


def drain(now=NOW) -> None:
    while inbox.answer_waiting(now=now):
        pass


def fate(message: InboundMessage) -> tuple[str, str, int]:
    """State, refusal and number of replies."""
    message.refresh_from_db()
    return message.state, message.refusal, OutboundMessage.objects.filter(inbound=message).count()


ANSWERED = (State.ANSWERED, "", 1)
RESENT = (State.REFUSED, Refusal.RESENT, 0)


def at(seconds: float):
    return NOW + timedelta(seconds=seconds)


def test_a_resend_under_a_new_id_before_the_answer_is_answered_once():
    first, again, third = (factories.inbound("TC", received_at=at(s)) for s in (0, 5, 9))
    drain(at(20))
    assert [fate(m) for m in (first, again, third)] == [ANSWERED, RESENT, RESENT]
    assert again.repeats == third.repeats == first


def test_a_resend_that_is_judged_after_the_answer_but_came_before_it_is_still_one():
    first = factories.inbound("TC", received_at=at(0))
    drain(at(10))
    again = factories.inbound("TC", received_at=at(9))
    drain(at(11))
    assert (fate(first), fate(again)) == (ANSWERED, RESENT)


def test_a_message_that_is_committed_after_its_resend_is_not_answered_too():
    again = factories.inbound("TC", pk=1002, received_at=at(0.02))
    drain(at(1))
    first = factories.inbound("TC", pk=1001, received_at=at(0))
    drain(at(2))
    assert (fate(again), fate(first)) == (ANSWERED, RESENT)


def test_asking_again_after_the_answer_is_answered_again():
    first = factories.inbound("TC", received_at=at(0))
    drain(at(2))
    again = factories.inbound("TC", received_at=at(3))
    drain(at(4))
    assert (fate(first), fate(again)) == (ANSWERED, ANSWERED)


@pytest.mark.parametrize(
    "difference", [{"text": f"NTD {CODE}"}, {"sender": "84905999999"}, {"received_at": at(61)}, {"short_code": "8188"}]
)
def test_another_question_sender_or_time_is_no_resend(difference):
    first = factories.inbound("TC", received_at=at(0))
    other = factories.inbound(**{"text": "TC", "received_at": at(1)} | difference)
    drain(at(70))
    assert (fate(first)[0], fate(other)[0]) == (State.ANSWERED, State.ANSWERED)


def test_a_blocked_sender_gets_no_reply_until_the_block_ends():
    BlockedSender.objects.create(sender="84905123456", reason="machine", until=at(10))
    blocked = factories.inbound("TC", received_at=at(0))
    drain(at(1))
    free = factories.inbound("TC", received_at=at(11))
    drain(at(11))
    assert (fate(blocked), fate(free)) == ((State.REFUSED, Refusal.BLOCKED, 0), ANSWERED)


@pytest.mark.parametrize("text", PUBLISHED.values())
def test_our_own_words_sent_back_are_not_answered(text):
    echo = factories.inbound(text)
    drain()
    assert fate(echo) == (State.REFUSED, Refusal.ECHO, 0)


def test_our_name_before_a_question_is_no_echo():
    question = factories.inbound(f"EVNCPC NTD {CODE} gui 8088")
    drain()
    assert fate(question)[0] == State.ANSWERED


@pytest.mark.parametrize("opening", ["Đang ngừng điện ở nhà tôi.", "khi co thong bao moi thi nhan toi,"])
def test_words_of_ours_that_customers_write_too_are_no_echo(opening):
    question = factories.inbound(f"{opening} LCD {CODE}")
    drain()
    assert fate(question)[0] == State.ANSWERED


def test_too_many_messages_in_an_hour_are_told_once_and_then_refused(settings):
    settings.SMS_LIMIT_PER_HOUR = 3
    messages = [factories.inbound(f"TC {number}", received_at=at(number)) for number in range(6)]
    drain(at(10))
    assert [fate(m) for m in messages] == [
        *[ANSWERED] * 3,
        (State.ANSWERED, Refusal.TOO_MANY, 1),
        *[(State.REFUSED, Refusal.TOO_MANY, 0)] * 2,
    ]
    notice = messages[3].reply
    assert (notice.charge, notice.segments) == (False, 1)
    assert "qua nhieu tin nhan" in notice.text
    next_batch = factories.inbound("TC again", received_at=at(20))
    drain(at(20))
    assert fate(next_batch) == (State.REFUSED, Refusal.TOO_MANY, 0)
    after = factories.inbound("TC later", received_at=at(3700))
    drain(at(3700))
    assert fate(after) == ANSWERED


def test_one_sender_trying_many_codes_is_stopped(settings):
    settings.SMS_CODES_PER_DAY = 2
    codes = [f"PP0500097400{number}" for number in range(4)]
    messages = [factories.inbound(f"NTD {code}", received_at=at(number)) for number, code in enumerate(codes)]
    own = factories.inbound(f"NTD {codes[0]} ", received_at=at(10))
    drain(at(20))
    assert [fate(m)[:2] for m in messages] == [
        (State.ANSWERED, ""),
        (State.ANSWERED, ""),
        (State.ANSWERED, Refusal.TOO_MANY_CODES),
        (State.REFUSED, Refusal.TOO_MANY_CODES),
    ]
    assert fate(own)[:2] == (State.ANSWERED, ""), "the codes already asked for stay open"


def test_private_facts_go_only_to_registered_phones_if_so_set(settings):
    settings.SMS_DISCLOSURE = "registered"
    factories.everything_published()
    own = factories.inbound(f"NTD {CODE}")
    other = factories.inbound(f"NTD {CODE}", sender="84905999999")
    schedule = factories.inbound(f"LGD {CODE} 1 10 2016", sender="84905999999")
    drain()
    assert fate(own) == ANSWERED
    assert fate(other) == (State.ANSWERED, Refusal.NOT_REGISTERED, 1)
    assert other.outcome == Outcome.REFUSED
    assert "650000" not in other.reply.text
    assert fate(schedule) == ANSWERED, "a reading date is no secret"
