"""Personal data: what is past its age or asked to be erased is gone, and everything still adds up and is recognised."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from sms import handling, inbox, outbox, privacy, tasks
from sms.audit import Span, audit
from sms.gateways.base import Fate, Received, Report
from sms.models import BlockedSender, Handling, InboundMessage, Move, OutboundMessage, PrivacyAction
from sms.moves import move
from tests import factories
from tests.factories import CODE, NOW

pytestmark = pytest.mark.django_db

PHONE = "84905123456"
OLD = NOW - timedelta(days=731)


def old(text: str = f"NTD {CODE}", **fields) -> InboundMessage:
    """A message that was answered long ago, and whose carrier quoted the number."""
    message = factories.inbound(text, received_at=OLD, **fields)
    inbox.answer_waiting(now=OLD)
    rows = OutboundMessage.objects.filter(inbound=message)
    move(rows, "SENDING", at=OLD, cause="claimed", claimed_at=OLD)
    move(rows, "FAILED", at=OLD, cause=f"400 no such number {PHONE}", failure=f"400 no such number {PHONE}")
    return message


def everything_stored() -> str:
    models = (InboundMessage, OutboundMessage, Move, Handling, PrivacyAction)
    return repr([list(model.objects.values()) for model in models])


def personal_data(*arguments: str) -> str:
    out = StringIO()
    call_command("personal_data", *arguments, "--reason", "asked by letter 17", "--by", "an", stdout=out)
    return out.getvalue()


def test_what_is_past_its_age_keeps_no_number_and_no_text():
    factories.everything_published()
    old()
    assert privacy.forget_old(now=NOW) == 1
    assert privacy.forget_old(now=NOW) == 0
    stored = everything_stored()
    assert "905123456" not in stored
    assert CODE not in stored
    assert "NTD PP" not in stored


def test_what_is_past_its_age_can_still_be_counted():
    factories.everything_published()
    message = old()
    fields = ("state", "outcome", "keyword", "carrier", "message_id", "received_at", "concluded_at")
    before = [getattr(message, name) for name in fields if not message.refresh_from_db()]
    reply = (message.reply.state, message.reply.segments, message.reply.charge, message.reply.wording)
    span = Span.of_days(OLD.date(), OLD.date())
    audited = audit(span, now=NOW)
    privacy.forget_old(now=NOW)
    message = InboundMessage.objects.get()
    assert [getattr(message, name) for name in fields] == before
    assert (message.reply.state, message.reply.segments, message.reply.charge, message.reply.wording) == reply
    assert message.erased_at == NOW
    assert audit(span, now=NOW) == audited
    assert audited.books.balanced


def test_what_is_younger_stays():
    factories.inbound(received_at=NOW - timedelta(days=730))
    assert privacy.forget_old(now=NOW) == 0
    assert InboundMessage.objects.get().sender == PHONE


def test_retention_goes_in_batches_and_leaves_one_record_a_day(monkeypatch, settings):
    monkeypatch.setattr(privacy, "BATCH_SIZE", 2)
    for _ in range(5):
        factories.inbound(received_at=OLD)
    assert [privacy.forget_old(now=NOW + timedelta(minutes=n)) for n in range(4)] == [2, 2, 1, 0]
    record = PrivacyAction.objects.get()
    assert (record.kind, record.subject, record.rows) == ("RETENTION", "", 5)
    factories.inbound(received_at=OLD)
    privacy.forget_old(now=NOW + timedelta(days=1))
    assert PrivacyAction.objects.count() == 2


def test_the_command_and_the_nightly_task_erase_all_that_is_old(monkeypatch):
    monkeypatch.setattr(privacy, "BATCH_SIZE", 2)
    for erase in (lambda: call_command("retention", stdout=StringIO()), tasks.forget_old):
        for _ in range(5):
            factories.inbound(received_at=OLD)
        erase()
        assert not InboundMessage.objects.filter(erased_at=None).exists()


def test_blocks_that_ended_long_ago_are_forgotten():
    BlockedSender.objects.create(sender=PHONE, reason="flood", until=OLD)
    BlockedSender.objects.create(sender="84905000001", reason="flood", until=NOW)
    BlockedSender.objects.create(sender="84905000002", reason="machine")
    privacy.forget_old(now=NOW)
    assert set(BlockedSender.objects.values_list("sender", flat=True)) == {"84905000001", "84905000002"}


def test_a_repeat_of_an_erased_message_is_still_a_duplicate():
    message = old(message_id="A1")
    privacy.forget_old(now=NOW)
    again = Received(message_id="A1", sender=PHONE, short_code="8088", text="TC", payload=b"{}")
    receipt = inbox.receive("memory", again, now=NOW)
    assert (receipt.id, receipt.duplicate) == (message.pk, True)
    assert InboundMessage.objects.get().sender == ""


def test_a_late_report_still_finds_an_erased_reply():
    factories.inbound("TC", received_at=OLD)
    inbox.answer_waiting(now=OLD)
    rows = OutboundMessage.objects.all()
    move(rows, "SENDING", at=OLD, cause="claimed", claimed_at=OLD)
    move(rows, "UNKNOWN", at=OLD, cause="no answer")
    privacy.forget_old(now=NOW)
    report = Report(reference=rows[0].reference, message_id="", fate=Fate.DELIVERED)
    assert outbox.record_report("memory", report, now=NOW)
    assert rows[0].state == "DELIVERED"


def test_an_erased_message_that_is_taken_up_again_is_refused_and_answers_nobody():
    message = factories.inbound(received_at=OLD)
    move(InboundMessage.objects.all(), "SET_ASIDE", at=OLD, cause="failing")
    privacy.forget_old(now=NOW)
    move(InboundMessage.objects.all(), "WAITING", at=NOW, cause="taken up again")
    inbox.answer_waiting(now=NOW)
    message.refresh_from_db()
    assert (message.state, message.refusal) == ("REFUSED", "UNANSWERABLE_SENDER")
    assert not OutboundMessage.objects.exists()


def test_the_database_itself_keeps_an_erased_message_empty():
    factories.inbound(received_at=OLD)
    privacy.forget_old(now=NOW)
    for change in ({"sender": PHONE}, {"text": "TC"}, {"customer_code": CODE}, {"payload": b"{}"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            InboundMessage.objects.update(**change)


# On request


def test_erasing_a_phone_erases_its_messages_only():
    factories.everything_published()
    mine, other = old(), old(sender="84905000001")
    assert "1" in personal_data("erase", "--phone", "0905 123 456")
    mine.refresh_from_db()
    other.refresh_from_db()
    assert (mine.sender, mine.reply.recipient, mine.reply.text, bytes(mine.payload)) == ("", "", "", b"")
    assert (other.sender, other.reply.recipient) == ("84905000001", "84905000001")
    assert other.reply.text


def test_erasing_a_customer_finds_the_code_also_where_it_was_not_understood():
    factories.everything_published()
    understood, garbled, other = old(), old(f"{CODE.lower()} PP05000974007?"), old("TC")
    personal_data("erase", "--customer", CODE.lower())
    erased = InboundMessage.objects.exclude(erased_at=None).values_list("pk", flat=True)
    assert set(erased) == {understood.pk, garbled.pk}
    assert InboundMessage.objects.get(erased_at=None).pk == other.pk


def test_what_is_being_answered_is_erased_only_afterwards():
    message = factories.inbound("TC")
    with pytest.raises(CommandError):
        personal_data("erase", "--phone", PHONE)
    inbox.answer_waiting(now=NOW)
    with pytest.raises(CommandError):
        personal_data("erase", "--phone", PHONE)
    move(OutboundMessage.objects.all(), "EXPIRED", at=NOW, cause="too old")
    personal_data("erase", "--phone", PHONE)
    message.refresh_from_db()
    assert message.sender == ""
    assert [record.rows for record in PrivacyAction.objects.order_by("pk")] == [0, 0, 1]


def test_a_block_in_force_survives_and_one_that_ended_does_not():
    BlockedSender.objects.create(sender=PHONE, reason="flood")
    personal_data("erase", "--phone", PHONE)
    assert BlockedSender.objects.exists()
    BlockedSender.objects.update(until=NOW)
    personal_data("erase", "--phone", PHONE)
    assert not BlockedSender.objects.exists()


def test_an_export_holds_everything_of_the_subject_and_nothing_of_others(tmp_path):
    factories.everything_published()
    old(payload='{"text": "NTD", "x": "đ"}'.encode() + b"\xff")
    old(sender="84905000001")
    file = tmp_path / "export.json"
    personal_data("export", "--phone", "0905123456", "--out", str(file))
    exported = json.loads(file.read_text(encoding="utf-8"))
    [message] = exported["messages"]
    assert (exported["phone"], exported["count"]) == (PHONE, 1)
    assert (message["sender"], message["text"], message["customer_code"]) == (PHONE, f"NTD {CODE}", CODE)
    assert message["payload"] == '{"text": "NTD", "x": "đ"}\\xff'
    assert message["reply"]["text"].startswith("EVNCPC thong bao no tien dien")
    assert [move["after"] for move in message["reply"]["moves"]] == ["SENDING", "FAILED"]
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandError):
        personal_data("export", "--phone", PHONE, "--out", str(file))


def test_what_staff_did_is_exported_without_who_and_erased_without_why():
    message = old()
    follower = handling.send_again(message, by="lan", reason=f"{PHONE} gọi lại", now=NOW)
    outbound = OutboundMessage.objects.filter(inbound=follower)
    move(outbound, "EXPIRED", at=NOW, cause="too old to be sent")

    first, second = json.loads(personal_data("export", "--phone", PHONE))["messages"]
    [done] = first["handlings"]
    assert (done["kind"], done["reason"], "by" in done) == ("SENT_AGAIN", f"{PHONE} gọi lại", False)
    assert (second["follows_id"], second["sender"], second["handlings"]) == (message.pk, PHONE, [])
    personal_data("erase", "--phone", PHONE)
    assert "905123456" not in everything_stored()
    assert Handling.objects.get().reason == "…"


def test_an_export_goes_to_the_screen_too_and_erased_data_is_not_in_it():
    old()
    assert len(json.loads(personal_data("export", "--customer", CODE))["messages"]) == 1
    personal_data("erase", "--customer", CODE)
    assert json.loads(personal_data("export", "--customer", CODE))["messages"] == []


def test_the_record_says_who_and_why_but_not_whose():
    old()
    personal_data("export", "--phone", PHONE)
    personal_data("erase", "--phone", "+84 905 123 456")
    export, erase = PrivacyAction.objects.order_by("pk")
    assert (export.kind, export.reason, export.by, export.rows) == ("EXPORT", "asked by letter 17", "an", 1)
    assert (erase.kind, erase.rows) == ("ERASE", 1)
    assert export.subject == erase.subject == privacy.subject(phone=PHONE).hash
    assert export.subject != privacy.subject(customer=CODE).hash
    assert "905123456" not in everything_stored()


def test_the_hash_depends_on_the_key_of_the_installation(settings):
    before = privacy.subject(phone=PHONE).hash
    settings.SECRET_KEY = "another key of at least thirty-two characters"
    assert privacy.subject(phone=PHONE).hash != before


@pytest.mark.parametrize(
    "arguments",
    [
        ("--customer", CODE, "--reason", f"letter of {CODE.lower()}"),
        ("--phone", PHONE, "--reason", "called from 0905.123.456"),
        ("--phone", PHONE, "--reason", " "),
        ("--phone", "12"),
        ("--customer", "%"),
        ("--customer", CODE, "--phone", PHONE),
        (),
    ],
)
def test_a_request_that_cannot_be_recorded_properly_is_refused(arguments):
    old()
    with pytest.raises(CommandError) as refused:
        call_command(
            "personal_data",
            "erase",
            *(("--reason", "x", *arguments) if "--reason" not in arguments else arguments),
            "--by",
            "an",
        )
    assert "905" not in str(refused.value)
    assert not PrivacyAction.objects.exists()
    assert InboundMessage.objects.get().sender == PHONE
