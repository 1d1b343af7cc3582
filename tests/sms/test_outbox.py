"""Handing replies to carriers: what each of their answers, and each report, makes of a reply."""

from datetime import timedelta

import pytest
from django.db import InterfaceError, OperationalError

from sms import gateways, outbox
from sms.checks import check_carriers
from sms.gateways.base import Fate, Gateway, Refused, Reply, Report, TryLater, Unknown
from sms.models import OutboundMessage
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db

State = OutboundMessage.State


class Scripted(Gateway):
    """A carrier that answers each reply with what the test laid ready."""

    def __init__(self, name: str, *, takes_each_once: bool = False) -> None:
        super().__init__(name)
        self.takes_each_once = takes_each_once
        self.answers: list[str | Exception] = []
        self.taken: list[Reply] = []

    knows_secret = read_message = acknowledge = read_report = acknowledge_report = None  # type: ignore[assignment]

    def send(self, reply: Reply) -> str:
        self.taken.append(reply)
        answer = self.answers.pop(0) if self.answers else f"C{len(self.taken)}"
        if isinstance(answer, Exception):
            raise answer
        return answer


SCRIPTED = {"BACKEND": "tests.sms.test_outbox.Scripted"}


@pytest.fixture
def carrier(settings):
    settings.SMS_CARRIERS = {"memory": SCRIPTED}
    return gateways.get("memory")


@pytest.fixture(autouse=True)
def carriers_answer_in_no_time(monkeypatch):
    monkeypatch.setattr(outbox, "monotonic", lambda: 0.0)


def deliver(now=NOW) -> int:
    return outbox.deliver_waiting(now=now).taken


def test_a_waiting_reply_is_handed_over_whole(carrier):
    row = factories.reply(text="Xin cam on quy khach.")
    assert deliver() == 1
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
    assert deliver() == 0


def test_a_backlog_is_handed_over_in_batches(carrier):
    for _ in range(outbox.BATCH_SIZE + 3):
        factories.reply()
    assert [deliver() for _ in range(3)] == [outbox.BATCH_SIZE, 3, 0]
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
    deliver()
    row.refresh_from_db()
    assert row.state == state
    assert row.failure


def test_a_reply_refused_for_now_waits_longer_each_time_and_then_fails(carrier):
    carrier.answers = [TryLater("503")] * outbox.MOST_ATTEMPTS
    row, now, waits = factories.reply(), NOW, []
    while deliver(now):
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
    deliver()
    row.refresh_from_db()
    assert row.send_after == NOW + timedelta(seconds=120)
    assert deliver(NOW + timedelta(seconds=119)) == 0
    assert deliver(NOW + timedelta(seconds=120)) == 1


def test_the_carriers_own_waiting_time_counts_from_its_answer(carrier, monkeypatch):
    monkeypatch.setattr(outbox, "monotonic", iter((100.0, 107.5)).__next__)
    carrier.answers = [TryLater("429", retry_after=120)]
    row = factories.reply()
    deliver()
    row.refresh_from_db()
    assert row.send_after == NOW + timedelta(seconds=127.5)


def test_what_the_carrier_answered_outlives_a_database_that_is_away_for_a_moment(carrier, monkeypatch):
    record, pauses, failures = outbox._record, [], [OperationalError("server closed the connection"), InterfaceError()]

    def record_at_last(*arguments):
        if failures:
            raise failures.pop()
        record(*arguments)

    monkeypatch.setattr(outbox, "_record", record_at_last)
    monkeypatch.setattr(outbox, "sleep", pauses.append)
    monkeypatch.setattr(outbox.connection, "close", lambda: None)
    row = factories.reply()
    deliver()
    row.refresh_from_db()
    assert (row.state, row.carrier_message_id) == (State.SENT, "C1")
    assert pauses == [0.5, 1]


def test_a_late_error_of_an_older_claim_does_not_call_off_a_newer_one(settings):
    settings.SMS_CARRIERS = {"memory": SCRIPTED | {"OPTIONS": {"takes_each_once": True}}}
    row = factories.reply()
    [late], _ = outbox._claim("memory", "memory", NOW)
    later = NOW + outbox.CLAIM_LASTS + timedelta(seconds=1)
    outbox.settle_stuck(now=later)
    outbox._claim("memory", "memory", later)
    outbox._record("memory", [outbox.Sent(late, error=TryLater("503"))], later)
    row.refresh_from_db()
    assert (row.state, row.attempts) == (State.SENDING, 2)


def test_a_reply_that_may_have_been_sent_is_not_sent_again(carrier):
    carrier.answers = [Unknown("connection reset")]
    factories.reply()
    deliver()
    assert deliver(NOW + timedelta(days=1)) == 0
    assert len(carrier.taken) == 1


def test_a_reply_whose_carrier_is_gone_from_the_settings_waits(settings):
    settings.SMS_CARRIERS = {}
    row = factories.reply()
    assert deliver() == 0
    row.refresh_from_db()
    assert (row.state, row.attempts) == (State.WAITING, 0)


def test_a_claim_that_nobody_finished_becomes_unknown(carrier):
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
        *((State.WAITING, fate, State.WAITING) for fate in Fate),
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
    claimed, _ = outbox._claim("memory", "memory", NOW)
    outbox.record_report("memory", Report(reference=row.reference, message_id="", fate=Fate.DELIVERED), now=NOW)
    outbox._record("memory", [outbox._send(claimed[0])], NOW)
    row.refresh_from_db()
    assert (row.state, row.carrier_message_id) == (State.DELIVERED, "C1")


def test_every_move_is_recorded_with_its_time_and_cause(carrier):
    row = factories.reply(reference="R1")
    deliver()
    later = NOW + timedelta(seconds=3)
    for _ in range(2):
        outbox.record_report("memory", Report(reference="R1", message_id="", fate=Fate.DELIVERED), now=later)
    assert list(row.moves.values_list("before", "after", "at", "cause")) == [
        ("WAITING", "SENDING", NOW, "claimed for memory"),
        ("SENDING", "SENT", NOW, "memory took it"),
        ("SENT", "DELIVERED", later, "reported delivered"),
    ]


def test_a_carrier_that_takes_each_reference_once_is_asked_again(settings):
    settings.SMS_CARRIERS = {"memory": SCRIPTED | {"OPTIONS": {"takes_each_once": True}}}
    carrier = gateways.get("memory")
    carrier.answers = [Unknown("time-out")]
    row = factories.reply()
    stuck = factories.reply(state=State.SENDING, claimed_at=NOW - outbox.CLAIM_LASTS - timedelta(seconds=1))
    outbox.settle_stuck(now=NOW)
    deliver()
    deliver(NOW + timedelta(seconds=10))
    for reply in (row, stuck):
        reply.refresh_from_db()
        assert reply.state == State.SENT
    assert len({reply.reference for reply in carrier.taken}) == 2
    assert len(carrier.taken) == 3


def test_an_answer_that_is_too_old_expires_instead(carrier, settings):
    settings.SMS_REPLY_MAX_AGE_MINUTES = 60
    old = factories.reply(created_at=NOW - timedelta(minutes=61))
    young = factories.reply(created_at=NOW - timedelta(minutes=59))
    deliver()
    old.refresh_from_db()
    young.refresh_from_db()
    assert (old.state, young.state, len(carrier.taken)) == (State.EXPIRED, State.SENT, 1)


def test_a_carriers_rate_holds_replies_back_and_lets_them_go_later(settings):
    settings.SMS_CARRIERS = {"memory": SCRIPTED | {"RATE": 10}}
    for _ in range(25):
        factories.reply()
    rounds = [outbox.deliver_waiting(now=NOW + timedelta(seconds=s)) for s in (0, 0.05, 0.5, 10, 11)]
    assert [(r.taken, r.braked) for r in rounds] == [(10, True), (0, True), (5, True), (10, False), (0, False)]


def test_a_carrier_out_of_order_is_left_alone_for_a_while(carrier):
    carrier.answers = [TryLater("503")] * 20
    for _ in range(5):
        factories.reply()
    assert deliver() == 5
    later = NOW + timedelta(seconds=20)
    assert deliver(later) == 0, "it is closed for half a minute"
    assert deliver(NOW + timedelta(seconds=31)) == 5
    assert deliver(NOW + timedelta(seconds=50)) == 0, "one bad round closes it again"
    carrier.answers = []
    assert deliver(NOW + timedelta(seconds=70)) == 5
    row = factories.reply()
    assert deliver(NOW + timedelta(seconds=71)) == 1
    row.refresh_from_db()
    assert row.state == State.SENT


def test_another_carrier_of_the_short_code_takes_over(settings):
    settings.SMS_CARRIERS = {"memory": SCRIPTED | {"FAILOVER": ["second"]}, "second": SCRIPTED}
    first, second = gateways.get("memory"), gateways.get("second")
    first.answers = [TryLater("503")] * 5
    rows = [factories.reply() for _ in range(5)]
    deliver()
    assert deliver(NOW + timedelta(seconds=10)) == 5
    assert len(second.taken) == 5
    assert {reply.in_reply_to for reply in second.taken} == {""}, "the other carrier does not know the message's id"
    for row in rows:
        row.refresh_from_db()
        assert (row.state, row.carrier, row.inbound.carrier) == (State.SENT, "second", "memory")


def test_a_report_that_overtakes_the_carriers_id_has_to_come_again():
    row = factories.reply(state=State.SENDING, claimed_at=NOW)
    report = Report(reference="", message_id="C1", fate=Fate.DELIVERED)
    with pytest.raises(outbox.NotYetKnown):
        outbox.record_report("memory", report, now=NOW)
    OutboundMessage.objects.filter(pk=row.pk).update(state=State.SENT, sent_at=NOW, carrier_message_id="C1")
    assert outbox.record_report("memory", report, now=NOW)
    row.refresh_from_db()
    assert row.state == State.DELIVERED


@pytest.mark.parametrize(
    "extra",
    [
        {"RATE": 0},
        {"RATE": "fast"},
        {"FAILOVER": "second"},
        {"FAILOVER": ["nobody"]},
        {"FAILOVER": ["memory"]},
        {"rate": 5},
    ],
)
def test_a_wrong_brake_is_found_at_start(settings, extra):
    settings.SMS_CARRIERS = {"memory": SCRIPTED | extra}
    assert [message.id for message in check_carriers(None) if message.is_serious()] == ["sms.E004"]
