"""The audit: the books balance over whatever the inbox and outbox do, and it sees every way in which they may not."""

import json
from datetime import UTC, date, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from sms import inbox, outbox, tasks
from sms.audit import IDS_KEPT, Span, audit, audit_day
from sms.gateways.base import Fate, Report
from sms.models import AuditRun, InboundMessage, Move, OutboundMessage
from sms.moves import move
from tests import factories
from tests.factories import CODE, NOW

pytestmark = pytest.mark.django_db

DAY = NOW.date()
MEMORY = {"memory": {"BACKEND": "memory"}}
ANSWERED = {"state": "ANSWERED", "outcome": "answered", "concluded_at": NOW}


@pytest.fixture(autouse=True)
def _memory(settings):
    settings.SMS_CARRIERS = MEMORY


def audited(now=NOW, first=DAY, last=DAY):
    return audit(Span.of_days(first, last), now=now)


def found(now=NOW) -> dict[str, list[int]]:
    return {finding.name: list(finding.ids) for finding in audited(now).findings}


def answered(message=None) -> OutboundMessage:
    """The reply to a message that went the usual way."""
    message = message or factories.inbound("TC")
    inbox.answer_waiting(now=NOW)
    return OutboundMessage.objects.get(inbound=message)


def test_the_books_of_a_day_count_every_message_once():
    factories.everything_published()
    for text in (f"NTD {CODE}", "TC", "hello", f"TD {CODE} 1 9 2016"):
        factories.inbound(text)
    factories.inbound("TC", is_binary=True)
    factories.inbound("TC", sender="EVNCPC")
    inbox.answer_waiting(now=NOW)
    factories.inbound("TC", sender="84905000001")
    books = audited().books
    assert (books.received, books.answered, books.refused, books.waiting, books.set_aside) == (7, 4, 2, 1, 0)
    assert books.by_reason == {"BINARY": 1, "UNANSWERABLE_SENDER": 1}
    assert books.by_outcome == {"answered": 2, "bad_syntax": 1, "no_data": 1, "refused": 2}
    assert books.by_keyword == {"NTD": 1, "TC": 3, "TD": 1}
    assert books.replies == {"WAITING": 4}
    assert books.balanced
    assert audited().findings == ()


def test_a_refusal_that_is_told_is_an_answer_and_has_its_reason(settings):
    settings.SMS_LIMIT_PER_HOUR = 1
    factories.inbound("TC")
    factories.inbound("LGD")
    inbox.answer_waiting(now=NOW)
    books = audited().books
    assert (books.received, books.answered, books.by_reason) == (2, 2, {"TOO_MANY": 1})
    assert books.balanced


def test_days_are_vietnamese_days():
    factories.inbound(received_at=datetime(2016, 10, 4, 16, 59, 59, tzinfo=UTC))
    factories.inbound(received_at=datetime(2016, 10, 4, 17, 0, tzinfo=UTC))
    factories.inbound(received_at=datetime(2016, 10, 5, 16, 59, 59, tzinfo=UTC))
    factories.inbound(received_at=datetime(2016, 10, 5, 17, 0, tzinfo=UTC))
    assert audited().books.received == 2
    assert audited(first=date(2016, 10, 4), last=date(2016, 10, 6)).books.received == 4


def test_an_answer_without_a_reply_unbalances_the_books():
    message = factories.inbound(**ANSWERED)
    Move.objects.create(inbound=message, before="WAITING", after="ANSWERED", at=NOW)
    assert not audited().books.balanced
    assert audited().books.unaccounted == 1
    assert found() == {"not_answered_once": [message.pk]}


@pytest.mark.parametrize("state", ["WAITING", "SET_ASIDE", "REFUSED"])
def test_a_reply_to_a_message_that_is_not_answered_unbalances_the_books(state):
    refused = {"outcome": "refused", "refusal": "BINARY", "concluded_at": NOW} if state == "REFUSED" else {}
    message = factories.inbound(state=state, **refused)
    factories.reply(message)
    assert audited().books.unaccounted == 1
    assert found()["reply_to_unanswered"] == [message.pk]


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="only PostgreSQL can do without its constraint for a test"
)
def test_a_second_reply_unbalances_the_books():
    reply = answered()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'sms_outboundmessage'::regclass AND contype = 'u'"
            " AND conname LIKE '%inbound%'"
        )
        [(name,)] = cursor.fetchall()
        cursor.execute(f'ALTER TABLE sms_outboundmessage DROP CONSTRAINT "{name}"')
    factories.reply(reply.inbound)
    books = audited().books
    assert (books.received, books.answered, books.unaccounted) == (1, 0, 1)
    assert found() == {"not_answered_once": [reply.inbound_id]}


def test_a_message_that_waits_is_an_exception_after_five_minutes():
    message = factories.inbound()
    assert found(NOW + timedelta(minutes=5)) == {}
    assert found(NOW + timedelta(minutes=5, seconds=1)) == {"waiting_long": [message.pk]}


def test_a_message_set_aside_is_an_exception_but_balances():
    message = factories.inbound()
    move(InboundMessage.objects.all(), "SET_ASIDE", at=NOW, cause="ZeroDivisionError in 3 attempts")
    assert found() == {"set_aside": [message.pk]}
    assert audited().books.balanced


@pytest.mark.parametrize(
    ("state", "name"), [("UNKNOWN", "unknown"), ("FAILED", "failed"), ("EXPIRED", "expired"), ("SENT", None)]
)
def test_replies_that_may_not_have_arrived_are_exceptions(state, name):
    reply = answered()
    rows = OutboundMessage.objects.all()
    move(rows, "SENDING", at=NOW, cause="claimed", claimed_at=NOW)
    move(rows, state, at=NOW, cause="the carrier", sent_at=NOW)
    assert found() == ({name: [reply.pk]} if name else {})


def test_a_claim_that_nobody_finishes_is_an_exception():
    reply = answered()
    move(OutboundMessage.objects.all(), "SENDING", at=NOW, cause="claimed", claimed_at=NOW)
    assert found(NOW + outbox.CLAIM_LASTS) == {}
    assert found(NOW + outbox.CLAIM_LASTS + timedelta(seconds=1)) == {"sending_long": [reply.pk]}


def test_a_reply_that_waits_is_an_exception_after_an_hour_or_at_once_without_its_carrier(settings):
    reply = answered()
    assert found(NOW + timedelta(hours=1)) == {}
    assert found(NOW + timedelta(hours=1, seconds=1)) == {"unsent_long": [reply.pk]}
    settings.SMS_CARRIERS = {}
    assert found() == {"unsent_long": [reply.pk]}


def test_a_state_that_its_moves_do_not_lead_to_is_an_exception():
    unmoved = factories.inbound(sender="84905000001")
    InboundMessage.objects.filter(pk=unmoved.pk).update(state="SET_ASIDE")
    overwritten = answered()
    OutboundMessage.objects.filter(pk=overwritten.pk).update(state="SENT", sent_at=NOW)
    returned = factories.inbound(sender="84905000002")
    move(InboundMessage.objects.filter(pk=returned.pk), "SET_ASIDE", at=NOW, cause="failing")
    InboundMessage.objects.filter(pk=returned.pk).update(state="WAITING")
    names = found()
    assert names["unexplained_state"] == [unmoved.pk, returned.pk]
    assert names["unexplained_reply_state"] == [overwritten.pk]


@pytest.mark.parametrize(
    "moves",
    [
        [("SENDING", "SENT")],
        [("WAITING", "SENDING"), ("WAITING", "SENDING"), ("SENDING", "SENT")],
        [("WAITING", "SENT")],
    ],
    ids=["begins elsewhere", "is broken", "has none of MOVES"],
)
def test_a_chain_of_moves_that_is_no_chain_is_an_exception(moves):
    reply = answered()
    for before, after in moves:
        Move.objects.create(outbound=reply, before=before, after=after, at=NOW)
    OutboundMessage.objects.filter(pk=reply.pk).update(state="SENT", sent_at=NOW)
    assert found() == {"unexplained_reply_state": [reply.pk]}


def test_what_inbox_and_outbox_do_always_balances():
    for number in range(30):
        factories.inbound("TC" if number % 3 else "", sender=f"849050000{number % 4:02}")
    while inbox.answer_waiting(now=NOW):
        while outbox.deliver_waiting(now=NOW).taken:
            pass
    first = OutboundMessage.objects.first()
    outbox.record_report("memory", Report(reference=first.reference, message_id="", fate=Fate.DELIVERED), now=NOW)
    assert audited().books.balanced
    assert audited().books.received == 30
    assert audited().findings == ()


def test_an_audit_takes_the_same_number_of_queries_whatever_it_holds(django_assert_num_queries):
    queries = 17
    with django_assert_num_queries(queries):
        audited()
    for number in range(40):
        factories.inbound(sender=f"849051{number:05}")
        factories.reply(state="UNKNOWN")
    with django_assert_num_queries(queries):
        audited(NOW + timedelta(days=1))


def run(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("audit", *arguments, stdout=out)
    except CommandError as error:
        return error.returncode, out.getvalue()
    return 0, out.getvalue()


def test_the_command_exits_by_what_it_found():
    days = ("--from", "2016-10-05", "--to", "2016-10-05")
    assert run(*days)[0] == 0
    factories.inbound()
    assert run(*days)[0] == 1
    message = factories.inbound(**ANSWERED)
    status, shown = run(*days, "--json")
    assert status == 2
    assert json.loads(shown)["exceptions"]["not_answered_once"] == {
        "of": "messages", "count": 1, "ids": [message.pk],
    }  # fmt: skip


def test_the_command_audits_yesterday_and_today_by_default(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    for days in (0, 1, 2):
        factories.inbound(received_at=NOW - timedelta(days=days))
    assert json.loads(run("--json")[1])["received"] == 2


def test_neither_phone_nor_text_is_ever_shown():
    message = factories.inbound(f"NTD {CODE}", **ANSWERED)
    factories.reply(message, state="FAILED", failure="unknown number 84905123456")
    for shown in (run("--from", "2016-10-05")[1], run("--from", "2016-10-05", "--json")[1]):
        assert "905123456" not in shown
        assert CODE not in shown


@pytest.mark.parametrize(
    "arguments", [("--from", "yesterday"), ("--from", "2016-10-06", "--to", "2016-10-05"), ("--what",)]
)
def test_a_wrong_call_has_a_status_of_its_own(arguments):
    assert run(*arguments)[0] == 3


def test_the_daily_audit_keeps_its_result_once_a_day(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW + timedelta(days=1))
    for _ in range(IDS_KEPT + 1):
        factories.inbound()
    tasks.audit_yesterday()
    run = AuditRun.objects.get()
    assert (run.day, run.balanced, run.exceptions, run.summary["received"]) == (DAY, True, IDS_KEPT + 1, IDS_KEPT + 1)
    assert len(run.summary["exceptions"]["waiting_long"]["ids"]) == IDS_KEPT
    InboundMessage.objects.all().delete()
    audit_day(DAY, now=NOW + timedelta(days=2))
    assert AuditRun.objects.get().exceptions == 0
