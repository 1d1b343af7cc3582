"""Nobody's number or text, and no secret, where it doesn't belong. The chaos run looks through real logs."""

import logging
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from billing import queries as billing
from evncare.logs import DiscreetFormatter
from sms import inbox, outbox
from sms.gateways.memory import MemoryGateway
from sms.models import InboundMessage, OutboundMessage
from tests import factories

PHONE, CODE, TEXT = "84905123456", "PP05000974006", "bi mat cua toi"
TOKEN, SEND_TOKEN = "t0ken-of-theirs", "t0ken-of-ours"
PRIVATE = (PHONE, PHONE[2:], CODE, TEXT, TOKEN, SEND_TOKEN)
MESSAGE = {"message_id": "A1", "sender": PHONE, "short_code": "8088", "text": f"NTD {CODE} {TEXT}"}
INBOUND = "/api/sms/viettel/inbound/"


@pytest.fixture(autouse=True)
def carrier(settings):
    options = {"token": TOKEN, "send_token": SEND_TOKEN, "url": "http://localhost:1"}
    settings.SMS_CARRIERS = {"viettel": {"BACKEND": "rest", "OPTIONS": options}}


def written(caplog) -> str:
    """What the log would hold, tracebacks included."""
    formatter = DiscreetFormatter("{levelname} {name}: {message}", style="{")
    return "\n".join(formatter.format(record) for record in caplog.records)


def assert_discreet(text: str) -> None:
    assert [word for word in PRIVATE if word in text] == []


@pytest.mark.django_db
@pytest.mark.parametrize("debug", [False, True])
def test_an_unforeseen_error_shows_nothing_of_the_message(settings, monkeypatch, caplog, debug) -> None:
    def fail(*args, **kwargs):
        raise RuntimeError(f"what to do with {PHONE} and {CODE}")

    settings.DEBUG = debug
    monkeypatch.setattr(inbox, "receive", fail)
    client = Client(raise_request_exception=False)
    answer = client.post(INBOUND, MESSAGE, "application/json", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 500
    if not debug:  # with DEBUG the developer sees everything but what is a secret by name
        assert_discreet(answer.content.decode())
    assert SEND_TOKEN not in answer.content.decode()
    assert_discreet(written(caplog))
    assert "RuntimeError" in written(caplog)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body", [MESSAGE | {"sender": 84905123456}, [MESSAGE], f"{PHONE} {TEXT}", MESSAGE | {"at": TEXT}]
)
def test_what_is_declined_is_logged_without_its_content(client, caplog, body) -> None:
    client.post(INBOUND, body, "application/json", headers={"authorization": f"Bearer {TOKEN}"})
    client.post(INBOUND, body, "application/json", headers={"authorization": f"Bearer {TOKEN}x"})
    client.get(f"{INBOUND}?token={TOKEN}&from={PHONE}&text={CODE}")
    assert_discreet(written(caplog))


@pytest.mark.django_db
def test_the_database_quotes_rows_in_its_errors_and_the_log_leaves_them_out(caplog) -> None:
    reply = factories.reply(text=TEXT, recipient=PHONE)
    try:
        with transaction.atomic():
            OutboundMessage.objects.filter(pk=reply.pk).update(segments=0)
    except IntegrityError:
        logging.getLogger("sms").exception("a reply could not be stored")
    if connection.vendor == "postgresql":
        assert TEXT in str(caplog.records[-1].exc_info[1]), "PostgreSQL no longer quotes rows: the guard may go"
    assert_discreet(written(caplog))
    assert "reply_has_a_segment" in written(caplog)


@pytest.mark.django_db
def test_a_message_that_is_set_aside_keeps_a_traceback_without_its_content(monkeypatch, caplog) -> None:
    def fail(codes, *args):
        raise ValueError(f"{codes} {PHONE} {TEXT}")

    monkeypatch.setattr(billing, "accounts", fail)
    message = factories.inbound(MESSAGE["text"], sender=PHONE)
    while inbox.answer_waiting(now=factories.NOW):
        pass
    message.refresh_from_db()
    assert message.state == InboundMessage.State.SET_ASIDE
    assert "ValueError" in message.failure
    assert_discreet(message.failure)
    assert_discreet(written(caplog))


@pytest.mark.django_db
def test_a_gateway_that_fails_is_noted_without_content_or_secrets(settings, monkeypatch, caplog) -> None:
    def fail(self, reply):
        raise KeyError(f"{reply.to} {reply.text} {SEND_TOKEN}")

    settings.SMS_CARRIERS = {"memory": {"BACKEND": "memory", "OPTIONS": {"token": TOKEN, "send_token": SEND_TOKEN}}}
    monkeypatch.setattr(MemoryGateway, "send", fail)
    reply = factories.reply(text=TEXT)
    outbox.deliver_waiting(now=factories.NOW)
    reply.refresh_from_db()
    assert reply.state == OutboundMessage.State.UNKNOWN
    assert_discreet(reply.failure + "".join(reply.moves.values_list("cause", flat=True)))
    assert_discreet(written(caplog))


@pytest.mark.django_db
def test_metrics_and_probes_tell_of_nobody(client) -> None:
    now = timezone.now()
    message = factories.inbound(
        MESSAGE["text"], sender=PHONE, received_at=now, state="ANSWERED", outcome="answered", keyword="NTD",
        customer_code=CODE, concluded_at=now,
    )  # fmt: skip
    factories.reply(message, TEXT, created_at=now - timedelta(minutes=1))
    for path in ("/metrics", "/health/live/", "/health/ready/"):
        assert_discreet(client.get(path).content.decode())


@pytest.mark.parametrize(
    ("text", "logged"),
    [
        ("sent to 84905123456.", "sent to (number)."),
        ("sent to +84905123456", "sent to (number)"),
        ("no PP05000974006 here", "no (number) here"),
        ("Key (a)=(b)\nDETAIL:  Failing row contains (1, x).\nnext", "Key (a)=(b)\n(details left out)\nnext"),
        ("reply 4711 took 12 s on 2026-10-01 08:00:00,123", "reply 4711 took 12 s on 2026-10-01 08:00:00,123"),
        ("5f0c1c1e7d2b4b0f9a3e6d8c7b6a5f4e", "5f0c1c1e7d2b4b0f9a3e6d8c7b6a5f4e"),
    ],
)
def test_the_log_leaves_out_numbers_and_what_a_database_quotes(text: str, logged: str) -> None:
    record = logging.LogRecord("sms", logging.INFO, __file__, 1, text, None, None)
    assert DiscreetFormatter("{message}", style="{").format(record) == logged
