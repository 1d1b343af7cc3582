"""The start page: its figures are those of the messages, each part is for whom it may concern, and all links open."""

import json
import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest
import time_machine
from django.contrib.auth.models import Group, User
from django.urls import reverse
from django.utils import translation

from evncare.desk.roles import ROLES
from evncare.desk.start import messages as start_messages
from sms import statistics
from sms.models import CarrierState, CountingState, OutboundMessage
from sms.syntaxes import SYNTAXES
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db

LOG = reverse("admin:sms_inboundmessage_changelist")
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def english(settings):
    settings.LANGUAGE_CODE = "en"
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def eight_o_clock():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture(autouse=True)
def two_carriers(settings):
    settings.SMS_CARRIERS = {"viettel": {"BACKEND": "memory"}, "memory": {"BACKEND": "memory"}}


def answered(at=NOW, outcome="answered", keyword="NTD", **fields):
    return factories.inbound(
        received_at=at, state="ANSWERED", outcome=outcome, keyword=keyword, concluded_at=at, **fields
    )


def sent(after, at=NOW, **fields):
    message = answered(at)
    return factories.reply(message, created_at=at, state="SENT", sent_at=at + after, **fields)


def shown(client, user=None):
    """What the page tells, and its text."""
    client.force_login(user or User.objects.get_or_create(username="admin", is_staff=True, is_superuser=True)[0])
    response = client.get("/admin/")
    assert response.status_code == 200
    return response.context["start"], response.content.decode()


def somebody(role=None):
    user = User.objects.create_user(role or "nobody", is_staff=True)
    if role:
        user.groups.add(Group.objects.get(name=role))
    return user


# Messages


def test_today_is_told_beside_yesterday_until_the_same_hour(client):
    for ago in (MINUTE, HOUR, DAY - 59 * MINUTE, DAY + HOUR, DAY + 9 * HOUR):  # the third and the last don't count
        answered(NOW - ago)
    answered(NOW - HOUR, "no_data")
    factories.inbound(received_at=NOW)

    found, _page = shown(client)

    received, share, _time = found["figures"]
    assert (received.value, received.note) == ("4", "yesterday until 9:00: 2")
    assert (share.value, share.note) == ("67 %", "yesterday until 9:00: 100 %")


def test_messages_of_today_are_told_by_question_and_outcome(client):
    answered(keyword="NTD")
    answered(keyword="NTD", outcome="no_data")
    answered(keyword="", outcome="bad_syntax")
    answered(keyword="OLD")
    factories.inbound()
    answered(NOW - DAY)

    found, _page = shown(client)

    rows = {row.title: row.cells for row in found["by_question"].rows}
    assert found["by_question"].columns[:3] == ["Messages", "Answered", "No data"]
    assert rows[f"NTD – {SYNTAXES['NTD'].title}"] == ["2", "1", "1", "–", "–", "–"]
    assert rows[f"CS – {SYNTAXES['CS'].title}"] == ["–"] * 6
    assert rows["OLD"] == ["1", "1", "–", "–", "–", "–"]
    assert rows["Not understood"] == ["1", "–", "–", "–", "1", "–"]
    assert rows["Without a result yet"] == ["1", "", "", "", "", ""]
    assert rows["All"] == ["5", "2", "1", "–", "1", "–"]


def test_the_time_to_answer_is_of_the_latest_replies_of_today(client, monkeypatch):
    monkeypatch.setattr(start_messages, "LATEST", 20)
    sent(timedelta(days=2), at=NOW - HOUR)  # not among the latest
    for seconds in range(1, 21):
        sent(seconds * SECOND, at=NOW - MINUTE)

    found, _page = shown(client)

    time = found["figures"][2]
    assert (time.value, time.note) == ("10 s", "median; 95 % within 19 s, of the latest 20 sent")


def test_replies_of_which_none_was_sent_tell_no_time(client):
    answered()
    assert shown(client)[0]["figures"][2].note == "no reply was sent today"
    factories.reply(answered())
    assert shown(client)[0]["figures"][2].note == "none of the latest was sent"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-1, "0 s"),
        (0.84, "0.8 s"),
        (75, "75 s"),
        (600, "10 min"),
        (5 * 3600, "5 h"),
        (5 * 86400, "5 days"),
    ],
)
def test_a_length_of_time_is_told_in_its_largest_unit(seconds, told):
    assert start_messages.duration(seconds) == told


def test_charts_hold_every_message_of_the_past_day_and_month_and_their_tables_say_the_same(client):
    for ago in (timedelta(0), HOUR, 23 * HOUR, 25 * HOUR, 29 * DAY, 31 * DAY):
        answered(NOW - ago, "no_data" if ago == HOUR else "answered")
    CountingState.objects.all().delete()
    while statistics.refresh(now=NOW):
        pass

    found, page = shown(client)

    for chart, spans, answers in zip(found["charts"], (24, 30), (2, 4), strict=True):
        data = json.loads(chart.bars.data)
        assert len(data["labels"]) == spans
        assert [(kind["label"], sum(kind["data"])) for kind in data["datasets"]] == [
            ("Answered", answers),
            ("No data", 1),
        ]
        cells = [[int(cell.replace("–", "0")) for cell in row.cells] for row in chart.table.rows]
        assert [sum(column) for column in zip(*cells, strict=True)] == [answers + 1, answers, 1]
        assert [row.title for row in chart.table.rows] == data["labels"][::-1]
    assert page.count('<canvas class="chart"') == 2


def test_the_counts_are_right_without_a_scheduler(client):
    answered()
    assert shown(client)[0]["figures"][0].value == "1"
    answered()
    with time_machine.travel(NOW + 3 * MINUTE, tick=False):
        assert shown(client)[0]["figures"][0].value == "2"


# What needs a look


def told_concerns(client):
    return {c.address.partition("/sms/")[2]: (c.count, c.level) for c in shown(client)[0]["concerns"]}


def test_what_waits_and_what_failed_is_counted_unless_settled(client):
    assert set(told_concerns(client).values()) == {("0", "")}
    factories.inbound(received_at=NOW - SECOND)
    for fields in ({}, {"settled_at": NOW}):
        factories.inbound(received_at=NOW - DAY, state="SET_ASIDE", **fields)
        for state in ("FAILED", "EXPIRED", "UNKNOWN"):
            factories.reply(answered(NOW - DAY), state=state, **fields)
    factories.reply(answered(NOW - DAY))

    assert told_concerns(client) == {
        "inboundmessage/?state__exact=WAITING": ("1", "info"),
        "inboundmessage/?attention=set_aside": ("1", "bad"),
        "outboundmessage/?state__exact=WAITING": ("1", "info"),
        "inboundmessage/?attention=unknown": ("1", "bad"),
        "inboundmessage/?attention=failed": ("1", "bad"),
        "inboundmessage/?attention=expired": ("1", "bad"),
    }
    for concern in shown(client)[0]["concerns"]:
        assert str(client.get(concern.address).context["cl"].result_count) == concern.count, concern.address


def test_a_message_that_waits_too_long_is_alarming_and_for_how_long_is_told(client):
    factories.inbound(received_at=NOW - 5 * MINUTE)
    [waiting, *_others] = shown(client)[0]["concerns"]
    assert (waiting.level, waiting.note) == ("bad", "the oldest for 5 min")


def test_very_many_are_not_counted_to_the_end(client, monkeypatch):
    monkeypatch.setattr(start_messages, "MOST_COUNTED", 2)
    for _ in range(3):
        factories.inbound()
    assert told_concerns(client)["inboundmessage/?state__exact=WAITING"][0] == "more than 2"


# Carriers


def test_each_carrier_that_is_set_up_is_told_with_its_state_and_pace(client):
    for seconds in range(30):
        factories.inbound(received_at=NOW - seconds * SECOND, carrier="memory")
    answered(NOW - 3 * DAY, carrier="viettel")
    sent(2 * SECOND, at=NOW - MINUTE)
    CarrierState.objects.create(carrier="viettel", refilled_at=NOW, failures=6, closed_until=NOW + 20 * SECOND)
    CarrierState.objects.create(carrier="removed", refilled_at=NOW)

    viettel, memory = shown(client)[0]["carriers"]

    assert (memory.name, memory.rate, memory.last_message, memory.last_reply) == (
        "memory", "2.1", "08:00:00", "07:59:02",
    )  # fmt: skip
    assert "in order" in memory.state
    assert (viettel.rate, viettel.last_message, viettel.last_reply) == ("0", "10/02/2016", "none lately")
    assert "pausing until 08:00:20" in viettel.state


def test_the_pace_of_a_storm_is_of_the_latest_messages(client, monkeypatch):
    monkeypatch.setattr(start_messages, "LATEST", 61)
    for seconds in range(200):
        factories.inbound(received_at=NOW - seconds * SECOND / 2, carrier="memory")
    assert shown(client)[0]["carriers"][1].rate == "122"


def test_a_carrier_that_failed_lately_is_told_as_failing(client):
    CarrierState.objects.create(carrier="memory", refilled_at=NOW, failures=2, closed_until=NOW - SECOND)
    found, _page = shown(client)
    assert "2 failures in a row" in found["carriers"][1].state
    assert "2 failures in a row" in client.get(reverse("admin:sms_carrierstate_changelist")).content.decode()


# Imports

ASKED = {"source": "ADMIN", "loaded_at": None, "seconds": None}
AT_WORK = {"claim": "x", "work_started_at": NOW, "heartbeat_at": NOW, "rows_expected": 200, "rows_read": 50}


def test_imports_at_work_or_to_be_confirmed_or_failed_today_are_told_with_links(client):
    work = factories.import_run("debts", state="LOADING", **ASKED, **AT_WORK)
    ready = factories.import_run("customers", state="READY", **ASKED)
    failed = factories.import_run("invoices", state="FAILED", failure="no such column", **ASKED)
    factories.import_run("invoices", state="FAILED", **ASKED | {"created_at": NOW - DAY})
    factories.import_run("invoices", state="CANCELLED", **ASKED)
    factories.import_run("outages")

    runs = shown(client)[0]["runs"]

    assert [run.address for run in runs] == [
        reverse("admin:imports_importrun_change", args=[run.pk]) for run in (failed, work, ready)
    ]
    assert [(run.level, run.note, run.share) for run in runs] == [
        ("bad", "no such column", None),
        ("info", "", 0.25),
        ("warn", "", None),
    ]


def test_an_import_that_is_stuck_is_told_as_such(client):
    silent = AT_WORK | {"heartbeat_at": NOW - 3 * MINUTE}
    factories.import_run("debts", state="LOADING", **ASKED, **silent)
    [run] = shown(client)[0]["runs"]
    assert (run.level, run.note) == ("bad", "It shows no sign of life: does a worker run?")


def test_an_import_that_no_worker_takes_is_stuck_unless_another_is_at_work(client):
    old = {"created_at": NOW - 6 * MINUTE, "checked_at": None}
    factories.import_run("debts", state="WAITING", **ASKED | old)
    factories.import_run("outages", state="WAITING", **ASKED)
    assert [run.note for run in shown(client)[0]["runs"]] == ["No worker has taken it yet: does one run?", ""]
    factories.import_run("customers", state="CHECKING", **ASKED, **AT_WORK)
    assert [run.level for run in shown(client)[0]["runs"]] == ["info"] * 3


def test_of_many_imports_the_first_are_told_and_the_rest_is_a_link_away(client):
    for _ in range(12):
        factories.import_run("customers", state="READY", **ASKED)
    found, page = shown(client)
    assert (len(found["runs"]), found["has_more_runs"]) == (10, True)
    assert "Show all imports" in page


def test_each_kind_of_data_tells_when_it_was_loaded_and_whether_it_is_due(client):
    for kind, days in (("customers", 34), ("invoices", 36), ("debts", 3), ("outages", 1)):
        factories.import_run(kind, loaded_at=NOW - days * DAY)
    factories.import_run("customers", loaded_at=NOW - 50 * DAY)
    factories.import_run("debts", state="UNDONE", loaded_at=NOW)

    kinds = {kind.title: kind for kind in shown(client)[0]["kinds"]}

    assert {title: re.sub("<.*?>", "", kind.freshness) for title, kind in kinds.items()} == {
        "Customers": "up to date",
        "Reading schedules": "never loaded",
        "Meter readings": "never loaded",
        "Invoices": "load is due",
        "Debts": "load is due",
        "Outages": "up to date",
    }
    assert kinds["Debts"].loaded == "10/02/2016 8 a.m."


# For whom

PARTS = {
    "agent": {"figures", "concerns"},
    "supervisor": {"figures", "concerns", "carriers", "kinds"},
    "billing": {"kinds"},
    "auditor": {"figures", "concerns", "carriers", "kinds"},
    "administrator": {"figures", "concerns", "carriers", "kinds"},
}
SHORTCUTS = {
    "agent": ["Try a message", "Messages of today", "Outages running now"],
    "supervisor": ["Try a message", "Messages of today", "Outages running now"],
    "billing": ["Outages running now"],
    "auditor": ["Messages of today", "Outages running now"],
    "administrator": ["Try a message", "Messages of today", "Outages running now"],
}


def everything_at_once():
    factories.everything_published()
    answered()
    answered(keyword="", outcome="bad_syntax")
    factories.inbound()
    for state in OutboundMessage.State.values:
        factories.reply(answered(NOW - DAY), state=state, claimed_at=NOW, sent_at=NOW)
    factories.import_run("debts", state="LOADING", **ASKED, **AT_WORK)
    factories.import_run("customers", state="READY", **ASKED)
    factories.import_run("customers")


class Links(HTMLParser):
    """The addresses that the page's own part links to."""

    def __init__(self, page):
        super().__init__()
        self.addresses = set()
        self.feed(page[page.index('id="content-main"') :])

    def handle_starttag(self, tag, attributes):
        if tag == "a":
            self.addresses.add(dict(attributes)["href"])


@pytest.mark.parametrize("role", ROLES)
def test_each_role_sees_its_parts_and_every_link_opens(client, role):
    everything_at_once()

    found, page = shown(client, somebody(role))

    assert {part for part in ("figures", "concerns", "carriers", "kinds") if part in found} == PARTS[role]
    assert [title for title, _address in found["shortcuts"]] == SHORTCUTS[role]
    for address in Links(page).addresses:
        assert client.get(address).status_code == 200, address


def test_billing_staff_come_to_the_upload_by_one_click_and_auditors_to_the_imports_of_the_kind(client):
    factories.import_run()
    upload, imports = reverse("admin:billing_customer_import"), reverse("admin:imports_importrun_changelist")
    assert shown(client, somebody("billing"))[0]["kinds"][0].address == upload
    assert shown(client, somebody("auditor"))[0]["kinds"][0].address == f"{imports}?kind=customers"


def test_somebody_without_a_role_is_told_why_there_is_nothing(client):
    found, page = shown(client, somebody())
    assert "You have no role yet" in page
    assert found["shortcuts"] == []


def test_an_empty_service_says_what_to_do(client, settings):
    settings.SMS_CARRIERS = {}
    found, page = shown(client)
    assert "figures" not in found
    assert "charts" not in found
    assert "No message has arrived in the past 30 days." in page
    assert "No carrier is set up" in page
    assert "Nothing has been imported yet." in page
    assert page.count(f'href="{reverse("admin:sms_try")}"') >= 2
    assert "Try a message" not in shown(client, somebody("auditor"))[1]


# How much it takes


def test_a_full_page_takes_as_many_queries_as_an_empty_one(client, django_assert_max_num_queries):
    shown(client)
    with django_assert_max_num_queries(25) as empty:
        client.get("/admin/")
    everything_at_once()
    for hours in range(200):
        answered(NOW - hours * HOUR, keyword="CS")
        factories.reply(answered(NOW - MINUTE), state="FAILED")
    CountingState.objects.all().delete()
    while statistics.refresh(now=NOW):
        pass
    with django_assert_max_num_queries(len(empty)):
        client.get("/admin/")

    CountingState.objects.update(counted_at=NOW - HOUR)
    with django_assert_max_num_queries(len(empty) + 15):  # it counts first, two hours
        client.get("/admin/")
