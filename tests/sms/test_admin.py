from datetime import datetime, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone, translation

from sms import audit, moves
from sms.admin.life import life
from sms.models import BlockedSender, InboundMessage, OutboundMessage, ReconciliationRun
from tests import factories
from tests.factories import CODE, NOW

pytestmark = pytest.mark.django_db

LOG = reverse("admin:sms_inboundmessage_changelist")
REPLIES = reverse("admin:sms_outboundmessage_changelist")
ANSWERED = {"state": "ANSWERED", "outcome": "answered", "concluded_at": NOW, "keyword": "NTD", "customer_code": CODE}


def listed(client, address=LOG, **query):
    response = client.get(address, query)
    assert response.status_code == 200, (query, response.headers)
    return [row.pk for row in response.context["cl"].result_list]


def test_nobody_writes_in_the_log(admin_client):
    message = factories.inbound(**ANSWERED)
    reply = factories.reply(message)

    for row in (message, reply):
        name = f"admin:sms_{row._meta.model_name}"
        assert admin_client.get(reverse(f"{name}_add")).status_code == 403
        page = reverse(f"{name}_change", args=[row.pk])
        assert admin_client.get(page).status_code == 200
        assert admin_client.post(page, {"text": "x"}).status_code == 403
        assert admin_client.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403


def test_the_log_shows_each_message_with_its_reply_and_fate(admin_client):
    message = factories.inbound(f"TD_{CODE}_1_10_2016", **ANSWERED | {"keyword": "TD"}, ky=1, month=10, year=2016)
    factories.reply(message, "EVNCPC thong bao tien dien", state="UNKNOWN", claimed_at=NOW)
    factories.inbound("NTD", received_at=NOW + timedelta(seconds=1))

    page = admin_client.get(LOG).content.decode()
    for shown in (message.text, f"TD {CODE} 1/10/2016", "EVNCPC thong bao tien dien", "tag-unknown", "tag-waiting"):
        assert shown in page


@pytest.mark.parametrize(
    "typed",
    [
        "0905123456",
        "+84905123456",
        "84 905 123 456",
        CODE.lower(),
        "PP0500 0974",
        "A-1",
        "9F" * 16,
        "their-7",
        "cup dien",
    ],
)
def test_messages_and_replies_are_found_by_phone_code_id_reference_and_text(admin_client, typed):
    message = factories.inbound("Cup dien khong?", message_id="A-1", **ANSWERED)
    reply = factories.reply(message, "Cup dien den 9:30", reference="9f" * 16, carrier_message_id="their-7")
    other = factories.inbound("TC", sender="84914000111", carrier="other", **ANSWERED | {"customer_code": ""})
    factories.reply(other, "1.LichGhiDien")

    assert listed(admin_client, q=typed) == [message.pk]
    assert listed(admin_client, REPLIES, q=typed) == [reply.pk]


def test_a_message_of_a_sender_that_is_no_phone_is_found_by_its_name(admin_client):
    message = factories.inbound(sender="VIETTEL")
    factories.inbound()

    assert listed(admin_client, q="VIETTEL") == [message.pk]


def test_the_log_is_filtered_by_state_outcome_question_and_carrier(admin_client):
    answered = factories.inbound(**ANSWERED).pk
    unclear = factories.inbound(**ANSWERED | {"outcome": "bad_syntax", "keyword": "", "carrier": "viettel"}).pk
    waiting = factories.inbound().pk

    assert listed(admin_client, state__exact="WAITING") == [waiting]
    assert listed(admin_client, outcome__exact="answered") == [answered]
    assert listed(admin_client, keyword="NTD") == [answered]
    assert listed(admin_client, keyword="none") == [waiting, unclear]
    assert listed(admin_client, carrier="viettel") == [unclear]


def test_the_log_is_filtered_by_named_days_and_by_any_day(admin_client, time_machine_at):
    today = timezone.localtime().replace(hour=0, minute=0)
    ids = {
        days: factories.reply(factories.inbound(received_at=at, **ANSWERED), created_at=at).inbound_id
        for days in (0, 1, 6, 7, 29, 30)
        if (at := today - timedelta(days=days))
    }

    assert listed(admin_client, day="today") == [ids[0]]
    assert listed(admin_client, day="yesterday") == [ids[1]]
    assert set(listed(admin_client, day="week")) == {ids[0], ids[1], ids[6]}
    assert set(listed(admin_client, day="month")) == set(ids.values()) - {ids[30]}
    assert listed(admin_client, day="2016-09-28") == [ids[7]]
    assert len(listed(admin_client, REPLIES, day="week")) == 3
    assert len(listed(admin_client, day="2016-02-30")) == len(listed(admin_client, day="x")) == len(ids)


@pytest.fixture
def time_machine_at():
    import time_machine

    with time_machine.travel(NOW, tick=False):
        yield


def steps(message):
    message = InboundMessage.objects.select_related("reply").get(pk=message.pk)
    with translation.override("en"):
        return [(step.title, step.at) for step in life(message)]


def at(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_the_life_of_a_delivered_message_is_told_step_by_step(admin_client):
    message = factories.inbound(**ANSWERED | {"concluded_at": at(1)})
    factories.reply(message, created_at=at(1))
    reply = OutboundMessage.objects.all()
    moves.move(reply, "SENDING", at=at(2), cause="claimed", claimed_at=at(2))
    moves.move(reply, "SENT", at=at(3), cause="memory took it", sent_at=at(3))
    moves.move(reply, "DELIVERED", at=at(9), cause="reported delivered", reported_at=at(9))

    assert steps(message) == [
        ("received from memory", at(0)),
        ("understood", at(1)),
        ("reply worded", at(1)),
        ("being sent", at(2)),
        ("accepted by the carrier", at(3)),
        ("delivered", at(9)),
    ]
    page = admin_client.get(reverse("admin:sms_inboundmessage_change", args=[message.pk])).content.decode()
    assert "05/10/2016 08:00:09" in page
    assert "memory took it" in page


def test_a_waiting_reply_ends_with_what_it_waits_for():
    message = factories.inbound(**ANSWERED)
    factories.reply(message, failure="503")

    assert steps(message)[-1] == ("waiting to be sent", None)


def test_a_refusal_or_failure_is_told_with_its_reason(admin_client):
    refused = {"state": "REFUSED", "outcome": "refused", "refusal": "BINARY", "concluded_at": at(1)}
    message = factories.inbound("", is_binary=True, **refused)
    failed = factories.inbound(state="SET_ASIDE", attempts=3, failure="ValueError in _conclude")

    assert steps(message)[-1] == ("refused by rule, no reply", at(1))
    assert steps(failed)[-1] == ("set aside after failing", None)
    page = admin_client.get(reverse("admin:sms_inboundmessage_change", args=[failed.pk])).content.decode()
    assert "ValueError in _conclude" in page


def test_what_customers_write_is_shown_as_text_and_never_as_markup(admin_client):
    message = factories.inbound("<script>alert(1)</script>", **ANSWERED)
    factories.reply(message, "<b>x</b>")

    for address in (LOG, REPLIES, reverse("admin:sms_inboundmessage_change", args=[message.pk])):
        page = admin_client.get(address).content.decode()
        assert "<script>alert(1)" not in page
        assert "<b>x</b>" not in page


def test_a_page_takes_the_same_few_queries_however_many_rows_it_shows(admin_client, django_assert_max_num_queries):
    for _ in range(30):
        factories.reply(factories.inbound(**ANSWERED))

    for address in (LOG, REPLIES):
        for query in ({}, {"q": "0905123456"}, {"q": CODE}, {"q": "no such text"}, {"day": "today"}):
            with django_assert_max_num_queries(12):  # session, user, count, page; each carrier twice; three ids
                listed(admin_client, address, **query)
    assert OutboundMessage.objects.count() == 30


def test_a_statement_is_compared_as_it_is_uploaded(admin_client, settings):
    settings.SMS_CARRIERS = {"memory": {"BACKEND": "memory"}}
    message = factories.inbound(**ANSWERED, message_id="A1")
    factories.reply(message, state="SENT", sent_at=NOW)
    statement = SimpleUploadedFile("october.csv", b"message_id,amount\nA1,1000\nA2,1000\n")
    form = {"carrier": "memory", "month": "2016-10", "statement": statement}

    page = admin_client.post(reverse("admin:sms_reconciliationrun_add"), form, follow=True)

    run = ReconciliationRun.objects.get()
    assert page.redirect_chain == [(reverse("admin:sms_reconciliationrun_change", args=[run.pk]), 302)]
    assert (run.carrier, run.file_name, run.by, run.within_tolerance) == ("memory", "october.csv", "admin", False)
    assert (run.summary["matched"]["messages"], run.summary["missing_here"]["messages"]) == (1, 1)
    differences = admin_client.get(reverse("admin:sms_reconciliationrun_differences", args=[run.pk]))
    assert "A2" in differences.content.decode()


def test_a_statement_that_cannot_be_used_says_why(admin_client, settings):
    settings.SMS_CARRIERS = {"memory": {"BACKEND": "memory"}}
    form = {"carrier": "memory", "month": "2016-10", "statement": SimpleUploadedFile("x.csv", b"colour\nred\n")}

    page = admin_client.post(reverse("admin:sms_reconciliationrun_add"), form)

    assert page.context["adminform"].form.errors["statement"]
    assert not ReconciliationRun.objects.exists()


def test_an_audit_names_its_exceptions_with_links(admin_client):
    failed = factories.inbound(state="SET_ASIDE", attempts=3)
    run = audit.audit_day(NOW.date(), now=NOW)

    page = admin_client.get(reverse("admin:sms_auditrun_change", args=[run.pk])).content.decode()

    assert reverse("admin:sms_inboundmessage_change", args=[failed.pk]) in page


def test_a_blocked_number_is_kept_in_the_form_of_senders(admin_client):
    admin_client.post(reverse("admin:sms_blockedsender_add"), {"sender": "0905 123 456", "reason": "máy"})
    assert BlockedSender.objects.get().sender == "84905123456"
