from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import TestCase
from django.urls import reverse
from django.utils import timezone, translation

from evncare.looks import looked
from sms import audit, moves
from sms.admin import message as message_page
from sms.admin.life import life
from sms.handling import Kind
from sms.models import BlockedSender, InboundMessage, Move, OutboundMessage, ReconciliationRun
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
        assert admin_client.get(page, follow=True).status_code == 200
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
    assert listed(admin_client, keyword="none") == [unclear], "what still waits has not been read"
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
    for no_day in ("2016-02-30", "x", "0001-01-01", "9999-12-31"):
        assert len(listed(admin_client, day=no_day)) == len(ids)


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
    factories.import_run("debts", file_name="CN.csv", loaded_at=at(-3600))
    factories.import_run("debts", file_name="later.csv", loaded_at=at(3600))
    message = factories.inbound(**ANSWERED | {"concluded_at": at(1)})
    factories.reply(message, created_at=at(1))
    reply = OutboundMessage.objects.all()
    moves.move(reply, "SENDING", at=at(2), cause="claimed", claimed_at=at(2))
    moves.move(reply, "SENT", at=at(3), cause="memory took it", sent_at=at(3))
    moves.move(reply, "DELIVERED", at=at(9), cause="reported delivered", reported_at=at(9))

    assert steps(message) == [
        ("received from memory", at(0)),
        ("understood", at(1)),
        ("looked up", at(1)),
        ("reply worded", at(1)),
        ("being sent", at(2)),
        ("accepted by the carrier", at(3)),
        ("delivered", at(9)),
    ]
    page = admin_client.get(reverse("admin:sms_inboundmessage_change", args=[message.pk])).content.decode()
    assert "05/10/2016 08:00:09" in page
    assert "memory đã nhận" in page
    assert "CN.csv, 05/10/2016 07:00" in page
    assert "later.csv" not in page


def test_a_waiting_reply_ends_with_what_it_waits_for():
    message = factories.inbound(**ANSWERED)
    factories.reply(message, failure="503")

    assert steps(message)[-1] == ("waiting to be sent", None)


def test_a_refusal_or_failure_is_told_with_its_reason(admin_client):
    refused = {"state": "REFUSED", "outcome": "refused", "refusal": "BINARY", "concluded_at": at(1)}
    message = factories.inbound("", is_binary=True, **refused)
    failed = factories.inbound(attempts=3, failure="ValueError in _conclude")
    moves.move(InboundMessage.objects.filter(pk=failed.pk), "SET_ASIDE", at=at(2), cause="ValueError in 3 attempts")

    assert steps(message)[-1] == ("refused by rule, no reply", at(1))
    assert steps(failed)[-1] == ("set aside after failing", at(2))
    page = admin_client.get(reverse("admin:sms_inboundmessage_change", args=[failed.pk])).content.decode()
    assert "ValueError in _conclude" in page


def test_what_customers_write_is_shown_as_text_and_never_as_markup(admin_client):
    message = factories.inbound("<script>alert(1)</script>", **ANSWERED)
    factories.reply(message, "<b>x</b>")

    for address in (LOG, REPLIES, reverse("admin:sms_inboundmessage_change", args=[message.pk])):
        page = admin_client.get(address).content.decode()
        assert "<script>alert(1)" not in page
        assert "<b>x</b>" not in page


QUERIES = ({}, {"q": "0905123456"}, {"q": CODE}, {"q": "no such text"}, {"day": "today"}, {"state__exact": "WAITING"})


def test_a_page_takes_the_same_few_queries_however_many_rows_it_shows(admin_client, django_assert_max_num_queries):
    def taken():
        counts = []
        for address in (LOG, REPLIES):
            for query in QUERIES:
                with django_assert_max_num_queries(20) as queries:
                    listed(admin_client, address, **query)
                counts.append(len(queries))
        return counts

    factories.reply(factories.inbound(**ANSWERED))
    few = taken()
    for _ in range(30):
        factories.reply(factories.inbound(**ANSWERED))
    assert taken() == few


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


# One message's page


def page_of(message) -> str:
    return reverse("admin:sms_inboundmessage_change", args=[message.pk])


def handling_of(message) -> str:
    return reverse("admin:sms_inboundmessage_handle", args=[message.pk])


@pytest.fixture
def desk(client):
    """Signs somebody of that role in, in English."""

    def sign_in(role):
        user = User.objects.create_user(role, is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        client.force_login(user)
        client.cookies["django_language"] = "en"
        return client

    return sign_in


def failed(**fields):
    return factories.reply(factories.inbound(**ANSWERED), state="FAILED", **fields).inbound


def test_the_page_of_a_reply_is_its_messages(admin_client):
    message = failed()
    address = reverse("admin:sms_outboundmessage_change", args=[message.reply.pk])
    assert admin_client.get(address).headers["Location"] == page_of(message)


def test_a_message_that_does_not_exist_has_no_page(admin_client):
    for name in ("inboundmessage_change", "inboundmessage_handle", "outboundmessage_change"):
        address = reverse(f"admin:sms_{name}", args=[4711])
        assert (admin_client.post if "handle" in name else admin_client.get)(address).status_code == 404


def test_the_page_shows_who_asked_what_and_what_they_were_told(desk):
    message = failed()
    page = desk("agent").get(page_of(message)).content.decode()
    for shown in (message.sender, message.text, message.reply.text, "1,000 VND", "1 segment", "tag-failed"):
        assert shown in page, shown
    assert reverse("admin:billing_customer_change", args=[CODE]) in page
    assert "Nobody has dealt with this yet" in page


def test_the_phone_is_masked_for_those_who_need_not_see_it(desk):
    message = failed()
    rows = OutboundMessage.objects.filter(pk=message.reply.pk)
    rows.update(state="SENDING", claimed_at=NOW)
    moves.move(rows, "FAILED", at=NOW, cause="memory: 400 no such number 0905123456")
    client = desk("auditor")
    for address in (page_of(message), LOG, REPLIES):
        assert "905123456" not in client.get(address).content.decode()


def test_each_look_at_a_message_is_said(admin_client):
    message, looks = failed(), []

    def listener(sender, **look):
        looks.append((sender, look["kind"], look["subject"]))

    looked.connect(listener)
    try:
        admin_client.get(page_of(message))
    finally:
        looked.disconnect(listener)
    assert looks == [(InboundMessage, "MESSAGE", str(message.pk))]


def test_a_page_takes_the_same_few_queries_however_long_the_messages_life(admin_client, django_assert_max_num_queries):
    message = failed()
    moved = [("WAITING", "SENDING"), ("SENDING", "WAITING")] * 10
    for before, after in moved:
        Move.objects.create(outbound=message.reply, before=before, after=after, at=NOW, cause="claimed for memory")
    for _ in range(5):
        message.handlings.create(kind="SETTLED", by="lan", reason="khách gọi", at=NOW)
    factories.inbound(follows=message)
    with django_assert_max_num_queries(15):
        assert admin_client.get(page_of(message)).status_code == 200


def test_what_an_agent_does_goes_on_to_the_message_that_follows_with_who_and_why(desk):
    message = failed()
    client = desk("agent")
    sent = {"kind": "SENT_AGAIN", "reason": "khách chưa nhận được"}
    told = client.post(handling_of(message), sent, follow=True)

    follower = InboundMessage.objects.get(follows=message)
    assert told.redirect_chain == [(page_of(follower), 302)]
    page = told.content.decode()
    for shown in ("The reply is being sent again", "khách chưa nhận được", "agent", page_of(message), "free"):
        assert shown in page, shown
    first = client.get(page_of(message)).content.decode()
    assert page_of(follower) in first
    assert "Nobody has dealt with this yet" not in first


@pytest.mark.parametrize(
    ("kind", "typed"),
    [("ANSWERED_AGAIN", {}), ("CORRECTED", {"text": "TC"}), ("SENT_AGAIN", {}), ("SETTLED", {})],
)
def test_each_thing_that_may_be_done_is_done_and_rings_for_what_waits(desk, monkeypatch, kind, typed):
    rung = []
    monkeypatch.setitem(message_page.BELLS, Kind.SENT_AGAIN, lambda: rung.append("delivering"))
    for asks in (Kind.ANSWERED_AGAIN, Kind.CORRECTED):
        monkeypatch.setitem(message_page.BELLS, asks, lambda: rung.append("answering"))
    message = failed()
    with TestCase.captureOnCommitCallbacks(execute=True):
        answer = desk("agent").post(handling_of(message), {"kind": kind, "reason": "khách gọi"} | typed)
    assert answer.status_code == 302
    assert message.handlings.get().kind == kind
    assert rung == {"SENT_AGAIN": ["delivering"], "SETTLED": []}.get(kind, ["answering"])


def test_what_cannot_be_done_says_why_and_keeps_what_was_typed(desk):
    message = failed()
    client = desk("agent")
    client.post(handling_of(message), {"kind": "SETTLED", "reason": "khách gọi"})
    again = client.post(handling_of(message), {"kind": "SETTLED", "reason": "gọi lần hai"})
    assert again.status_code == 409
    page = again.content.decode()
    assert "It is settled already." in page
    assert "gọi lần hai" in page


@pytest.mark.parametrize("typed", [{"reason": ""}, {"reason": "x" * 201}, {"reason": "a\0b"}])
def test_nothing_is_done_without_a_reason_that_can_be_kept(desk, typed):
    message = failed()
    told = desk("agent").post(handling_of(message), {"kind": "CORRECTED", "text": "LGD cua toi"} | typed)
    assert told.status_code == 409
    assert "LGD cua toi" in told.content.decode()
    assert not message.handlings.exists()


def test_what_may_have_arrived_is_sent_again_by_a_supervisor_who_says_that_the_customer_was_asked(desk):
    message = factories.reply(factories.inbound(**ANSWERED), state="UNKNOWN").inbound
    sent = {"kind": "SENT_AGAIN", "reason": "khách gọi"}
    assert desk("agent").post(handling_of(message), sent | {"not_received": "on"}).status_code == 409
    supervisor = desk("supervisor")
    assert supervisor.post(handling_of(message), sent).status_code == 409
    assert not message.handlings.exists()
    assert supervisor.post(handling_of(message), sent | {"not_received": "on"}).status_code == 302


@pytest.mark.parametrize("role", ["auditor", "administrator"])
def test_those_without_the_right_are_offered_nothing_and_do_nothing(desk, role):
    message = failed()
    client = desk(role)
    assert handling_of(message) not in client.get(page_of(message)).content.decode()
    assert client.post(handling_of(message), {"kind": "SETTLED", "reason": "x"}).status_code == 403
    assert client.get(handling_of(message)).status_code == 403


def test_who_comes_to_an_action_without_its_form_is_told_that_nothing_was_done(desk):
    message = failed()
    opened = desk("agent").get(handling_of(message), follow=True)  # as after signing in anew
    assert opened.redirect_chain == [(page_of(message), 302)]
    assert "Nothing was done" in opened.content.decode()
    assert not message.handlings.exists()


def test_billing_staff_see_no_messages(desk):
    message = failed()
    client = desk("billing")
    assert client.get(page_of(message)).status_code == 403
    assert client.post(handling_of(message), {"kind": "SETTLED", "reason": "x"}).status_code == 403


def test_the_log_lists_what_needs_attention(admin_client):
    def with_reply(state, **fields):
        return factories.reply(factories.inbound(**ANSWERED), state=state, claimed_at=NOW, sent_at=NOW, **fields)

    for state in ("FAILED", "EXPIRED", "UNKNOWN", "SENT", "DELIVERED"):
        with_reply(state, settled_at=NOW)
    factories.inbound(state="SET_ASIDE", settled_at=NOW)
    needs = {state: with_reply(state.upper()).inbound_id for state in ("failed", "expired", "unknown")}
    needs["set_aside"] = factories.inbound(state="SET_ASIDE").pk
    under_way = [factories.inbound().pk, with_reply("WAITING").inbound_id, with_reply("SENDING").inbound_id]

    for value, pk in needs.items():
        assert listed(admin_client, attention=value) == [pk], value
    assert listed(admin_client, attention="waiting") == under_way[::-1]
    assert listed(admin_client, attention="waiting", state__exact="WAITING", carrier="memory") == under_way[:1]


def test_an_empty_log_says_what_to_do(desk):
    client = desk("agent")
    assert "No messages have come yet" in client.get(LOG).content.decode()
    factories.inbound()
    assert "nobody has to do anything" in client.get(LOG, {"attention": "failed"}).content.decode()
    assert "No message fits" in client.get(LOG, {"q": "no such words"}).content.decode()
