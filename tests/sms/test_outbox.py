"""Handing replies to carriers: what each of their answers, and each report, makes of a reply."""

from datetime import timedelta

import pytest

from sms import gateways, outbox
from sms.gateways.base import Fate, Gateway, Refused, Reply, Report, TryLater, Unknown
from sms.models import OutboundMessage
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db

State = OutboundMessage.State


class Carrier(Gateway):
    """A carrier that answers each reply with what the test laid ready."""

    def __init__(self, name: str = "memory") -> None:
        super().__init__(name)
        self.answers: list[str | Exception] = []
        self.taken: list[Reply] = []

    authenticate = read_message = acknowledge = read_report = acknowledge_report = None  # type: ignore[assignment]

    def send(self, reply: Reply) -> str:
        self.taken.append(reply)
        answer = self.answers.pop(0) if self.answers else f"C{len(self.taken)}"
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def carrier(monkeypatch):
    carrier = Carrier()
    monkeypatch.setattr(gateways, "get", lambda name: carrier)
    return carrier


def test_a_waiting_reply_is_handed_over_whole(carrier):
    row = factories.reply(text="Xin cam on quy khach.")
    assert outbox.deliver_waiting(now=NOW) == 1
    row.refresh_from_db()
    assert carrier.taken == [
        Reply(
            reference=row.reference,
            in_reply_to=row.inbound.message_id,
            to="84905123456",
            short_code="8088",
            text="Xin cam on quy khach.",
            encoding="GSM-7",
            segments=1,
            charge=True,
        )
    ]
    assert (row.state, row.carrier_message_id, row.sent_at, row.attempts) == (State.SENT, "C1", NOW, 1)
    assert outbox.deliver_waiting(now=NOW) == 0


def test_a_backlog_is_handed_over_in_batches(carrier):
    for _ in range(outbox.BATCH_SIZE + 3):
        factories.reply()
    assert [outbox.deliver_waiting(now=NOW) for _ in range(3)] == [outbox.BATCH_SIZE, 3, 0]
    assert len({reply.reference for reply in carrier.taken}) == outbox.BATCH_SIZE + 3


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Refused("400 unknown number"), State.FAILED),
        (TryLater("503"), State.WAITING),
        (Unknown("no answer within 10 s"), State.UNKNOWN),
        (ZeroDivisionError(), State.UNKNOWN),
    ],
)
def test_each_answer_of_the_carrier_has_its_state(carrier, answer, state):
    carrier.answers = [answer]
    row = factories.reply()
    outbox.deliver_waiting(now=NOW)
    row.refresh_from_db()
    assert row.state == state
    assert row.failure


def test_a_reply_refused_for_now_waits_longer_each_time_and_then_fails(carrier):
    carrier.answers = [TryLater("503")] * outbox.MOST_ATTEMPTS
    row, now, waits = factories.reply(), NOW, []
    while outbox.deliver_waiting(now=now):
        row.refresh_from_db()
        waits.append(row.send_after - now)
        now = row.send_after
    assert row.state == State.FAILED
    assert len(carrier.taken) == outbox.MOST_ATTEMPTS
    assert waits[0] < timedelta(seconds=6)
    assert timedelta(minutes=4) < max(waits) <= outbox.LONGEST_RETRY


def test_the_carriers_own_waiting_time_is_kept(carrier):
    carrier.answers = [TryLater("429", retry_after=120)]
    row = factories.reply()
    outbox.deliver_waiting(now=NOW)
    row.refresh_from_db()
    assert row.send_after == NOW + timedelta(seconds=120)
    assert outbox.deliver_waiting(now=NOW + timedelta(seconds=119)) == 0
    assert outbox.deliver_waiting(now=NOW + timedelta(seconds=120)) == 1


def test_a_reply_that_may_have_been_sent_is_not_sent_again(carrier):
    carrier.answers = [Unknown("connection reset")]
    factories.reply()
    outbox.deliver_waiting(now=NOW)
    assert outbox.deliver_waiting(now=NOW + timedelta(days=1)) == 0
    assert len(carrier.taken) == 1


def test_a_reply_whose_carrier_is_gone_from_the_settings_waits(settings):
    settings.SMS_CARRIERS = {}
    row = factories.reply()
    outbox.deliver_waiting(now=NOW)
    row.refresh_from_db()
    assert (row.state, row.failure) == (State.WAITING, "SMS_CARRIERS has no such carrier")


def test_a_claim_that_nobody_finished_becomes_unknown():
    stuck = factories.reply(state=State.SENDING, claimed_at=NOW - outbox.CLAIM_LASTS - timedelta(seconds=1))
    fresh = factories.reply(state=State.SENDING, claimed_at=NOW)
    assert outbox.settle_stuck(now=NOW) == 1
    stuck.refresh_from_db()
    fresh.refresh_from_db()
    assert (stuck.state, fresh.state) == (State.UNKNOWN, State.SENDING)


FINAL = (State.DELIVERED, State.FAILED, State.EXPIRED)


@pytest.mark.parametrize(
    ("before", "fate", "after"),
    [
        (State.SENT, Fate.DELIVERED, State.DELIVERED),
        (State.SENT, Fate.FAILED, State.FAILED),
        (State.SENT, Fate.EXPIRED, State.EXPIRED),
        (State.SENT, Fate.ACCEPTED, State.SENT),
        (State.SENT, None, State.SENT),
        (State.UNKNOWN, Fate.ACCEPTED, State.SENT),
        (State.UNKNOWN, Fate.DELIVERED, State.DELIVERED),
        (State.UNKNOWN, Fate.FAILED, State.FAILED),
        (State.SENDING, Fate.DELIVERED, State.DELIVERED),
        (State.WAITING, Fate.DELIVERED, State.WAITING),
        *((final, fate, final) for final in FINAL for fate in Fate),
    ],
)
def test_a_report_moves_a_reply_forward_only(before, fate, after):
    row = factories.reply(state=before, claimed_at=NOW, sent_at=NOW, reference="R1")
    assert outbox.record_report("memory", Report(reference="R1", message_id="", fate=fate), now=NOW)
    row.refresh_from_db()
    assert row.state == after


def test_a_report_may_name_the_carriers_id():
    row = factories.reply(state=State.SENT, sent_at=NOW, carrier_message_id="C9")
    other = factories.reply(state=State.SENT, sent_at=NOW)
    assert outbox.record_report("memory", Report(reference="", message_id="C9", fate=Fate.DELIVERED), now=NOW)
    row.refresh_from_db()
    other.refresh_from_db()
    assert (row.state, row.reported_at, other.state) == (State.DELIVERED, NOW, State.SENT)


def test_a_carrier_cannot_report_another_carriers_reply():
    row = factories.reply(state=State.SENT, sent_at=NOW, reference="R1")
    assert not outbox.record_report("other", Report(reference="R1", message_id="", fate=Fate.FAILED), now=NOW)
    row.refresh_from_db()
    assert row.state == State.SENT


def test_a_report_faster_than_the_carriers_answer_stands(carrier):
    row = factories.reply()

    def report_first(reply: Reply) -> str:
        return "C1"

    carrier.send = report_first
    claimed = outbox._claim(NOW)
    outbox.record_report("memory", Report(reference=row.reference, message_id="", fate=Fate.DELIVERED), now=NOW)
    outbox._record([outbox._send(claimed[0])], NOW)
    row.refresh_from_db()
    assert (row.state, row.carrier_message_id) == (State.DELIVERED, "C1")
