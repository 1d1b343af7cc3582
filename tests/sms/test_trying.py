"""Trying a message: what staff see is what a customer would be answered, and nothing is stored or sent."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from evncare.looks import looked
from sms import versions
from sms.models import BlockedSender, InboundMessage, OutboundMessage
from sms.preview import preview
from tests import factories
from tests.factories import CODE, NOW
from tests.sms.test_syntaxes import PUBLISHED

pytestmark = pytest.mark.django_db

TRY = reverse("admin:sms_try")
AT = "2016-10-05T08:00"


@pytest.fixture
def agent(client):
    client.force_login(factories.staff("agent"))
    client.cookies["django_language"] = "en"
    return client


@pytest.fixture
def looks():
    told = []

    def listen(**given):
        told.append((given["kind"], given["subject"]))

    looked.connect(listen)
    yield told
    looked.disconnect(listen)


def page(response) -> str:
    assert response.status_code == 200
    return response.content.decode()


def replies(shown: str) -> list[str]:
    return re.findall(r'<div class="bubble reply">(.*?)</div>', shown, re.DOTALL)


@pytest.mark.parametrize("text", PUBLISHED)
def test_the_reply_is_the_customers_own_and_nothing_is_stored(agent, text):
    factories.everything_published()
    shown = page(agent.post(TRY, {"text": text, "at": AT}))
    assert replies(shown) == [PUBLISHED[text]]
    for told in ("GSM-7", "1 segment", "1,000 VND", "answered"):
        assert told in shown
    assert not InboundMessage.objects.exists()
    assert not OutboundMessage.objects.exists()


def test_a_trial_can_be_linked_and_works_without_scripts(agent):
    factories.everything_published()
    shown = page(agent.get(TRY, {"text": f"LCD {CODE}", "at": AT, "from": "0905 123 456"}))
    assert replies(shown) == [PUBLISHED[f"LCD {CODE}"]]
    link = agent.get(TRY, {"text": f"LCD {CODE}", "at": AT, "from": "0905 123 456"}).context["link"]
    assert replies(page(agent.get(link))) == [PUBLISHED[f"LCD {CODE}"]]


def test_what_was_repaired_is_told(agent):
    factories.everything_published()
    shown = page(agent.get(TRY, {"text": "td.pp0500o974oo6 kỳ 1 tháng 10 năm 2016", "at": AT}))
    assert f"TD {CODE} 1 10 2016</code>" in shown
    assert "TD: amount billed" in shown
    assert "1/10/2016" in shown
    assert "Read as" not in page(agent.get(TRY, {"text": f"TD {CODE} 1 10 2016", "at": AT}))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "No keyword, or several"),
        ("\U0001f600\U0001f600", "No keyword, or several"),
        ("xin chào, tôi muốn hỏi tiền điện", "No keyword, or several"),
        ("NTD", "No customer code."),
        ("NTD PP050009740", "none is ever guessed"),
        ("NTD PE05000974006", "another corporation"),
        (f"TD {CODE} 1 13 2016", "The period can"),
        (f"TD {CODE}", "No period."),
        ("x" * 2000, "No keyword, or several"),
        ("<script>alert(1)</script>", "No keyword, or several"),
    ],
)
def test_a_problem_is_named_and_its_reply_is_free(agent, text, told):
    response = agent.get(TRY, {"text": text, "at": AT})
    shown = page(response)
    assert told in shown.replace("&#x27;", "'")
    assert len(replies(shown)) == 1
    assert "free" in shown
    assert "<script>alert" not in shown


def test_the_moment_decides_and_defaults_to_now(agent):
    factories.everything_published()
    assert "tu: 01/10/2016" in page(agent.get(TRY, {"text": f"LCD {CODE}", "at": "2016-10-20T14:59"}))
    assert "khong co lich" in page(agent.get(TRY, {"text": f"LCD {CODE}", "at": "2016-10-20T15:00"}))
    assert "khong co lich" in page(agent.get(TRY, {"text": f"LCD {CODE}"}))


@pytest.mark.parametrize("at", ["yesterday", "2016-13-01", "0001-01-01T00:00", "9999-12-31T23:59", "x" * 40])
def test_an_impossible_moment_is_refused_and_the_message_kept(agent, at):
    shown = page(agent.post(TRY, {"text": "TC", "at": at}))
    assert 'class="errorlist' in shown
    assert not replies(shown)
    assert re.search(r"<textarea[^>]*>\s*TC</textarea>", shown)


def test_a_message_longer_than_a_carrier_takes_is_refused(agent):
    shown = page(agent.post(TRY, {"text": "x" * 2001, "at": AT}))
    assert "at most 2000" in shown
    assert not replies(shown)


def test_the_rule_that_refuses_is_named(agent, settings):
    factories.everything_published()
    BlockedSender.objects.create(sender="84905999999", until=NOW + timedelta(days=1))
    for sender, told in (("VIETTEL", "the sender is no phone number"), ("0905999999", "the sender is blocked")):
        shown = page(agent.get(TRY, {"text": f"NTD {CODE}", "at": AT, "from": sender}))
        assert told in shown
        assert "No reply." in shown
        assert not replies(shown)
    assert "sends our own words back" in page(agent.get(TRY, {"text": PUBLISHED["TC"], "at": AT}))
    settings.SMS_DISCLOSURE = "registered"
    shown = page(agent.get(TRY, {"text": f"NTD {CODE}", "at": AT, "from": "0914 000 111"}))
    assert "the phone is not registered on the account" in shown
    assert "chua dang ky" in replies(shown)[0]


def test_the_conversation_so_far_stays_on_the_page_until_it_is_started_anew(agent):
    factories.everything_published()
    first = agent.post(TRY, {"text": f"NTD {CODE}", "at": AT})
    second = agent.post(TRY, {"text": "TC", "at": AT, "conversation": first.context["kept"]})
    assert replies(page(second)) == [PUBLISHED[f"NTD {CODE}"], PUBLISHED["TC"]]
    carried = second.context["kept"]
    for _ in range(20):
        carried = agent.post(TRY, {"text": "TC", "conversation": carried}).context["kept"]
    assert len(replies(page(agent.post(TRY, {"text": "TC", "conversation": carried})))) == 11
    assert not replies(page(agent.post(TRY, {"text": "TC", "conversation": carried, "new": "1"})))
    assert len(replies(page(agent.post(TRY, {"text": "TC", "conversation": carried + "x"})))) == 1


def test_a_button_sets_the_moment_and_sends_nothing(agent):
    response = agent.post(TRY, {"text": f"LCD {CODE}", "at": "", "as_of": AT})
    shown = page(response)
    assert f'value="{AT}"' in shown
    assert f"LCD {CODE}</textarea>" in shown
    assert not replies(shown)


def test_the_six_questions_are_offered_for_the_customer_just_asked_about(agent):
    other = "PP05000000001"
    factories.customer(other)
    published = [command for _, command in agent.get(TRY).context["examples"]]
    assert published == list(PUBLISHED)
    response = agent.get(TRY, {"text": f"NTD {other}", "at": AT})
    assert [command for _, command in response.context["examples"]][:2] == [
        f"LGD {other} 1 9 2016",
        f"CS {other} 1 9 2016",
    ]
    shown = agent.post(TRY, {"text": "x", "example": f"NTD {other}", "at": AT}).context["shown"]
    assert shown.text == f"NTD {other}"


def test_a_look_at_a_customer_is_told_to_who_keeps_the_records(agent, looks):
    factories.everything_published()
    agent.get(TRY, {"text": f"NTD {CODE}", "at": AT})
    for text in ("TC", "NTD PP05000000009", f"TD {CODE}", "hello"):
        agent.get(TRY, {"text": text, "at": AT})
    assert looks == [("TRIAL", CODE)]


def test_the_words_in_force_are_tried(agent):
    factories.customer()
    versions.save("NTD.none", "EVNCPC: {customer} khong no.", by="x", note="", started_from=0, now=NOW)
    assert replies(page(agent.get(TRY, {"text": f"NTD {CODE}"}))) == [f"EVNCPC: {CODE} khong no."]


def test_only_who_may_try_does(client):
    client.force_login(factories.staff("billing"))
    assert client.get(TRY).status_code == 403
    assert client.post(TRY, {"text": "TC"}).status_code == 403


def test_a_trial_takes_few_queries_however_long_the_conversation(agent, django_assert_max_num_queries):
    factories.everything_published()
    kept = agent.get(TRY).context["kept"]
    for text in [*PUBLISHED, *PUBLISHED]:
        # session; user, its rights; the record of the look; wordings, blocks; the account and what is asked of it
        with django_assert_max_num_queries(16):
            kept = agent.post(TRY, {"text": text, "at": AT, "conversation": kept, "from": "0905123456"}).context["kept"]


def test_many_messages_are_previewed_with_the_same_number_of_queries(django_assert_num_queries):
    factories.everything_published()
    with django_assert_num_queries(4):  # wordings, the account, its debts, blocks
        list(preview([f"NTD {CODE}"] * 50, "84905123456", NOW))
