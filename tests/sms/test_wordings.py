"""What staff make of the wordings: said at once, and only what is proved to be GSM-7 and at most three segments."""

from bisect import bisect_left
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import translation
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import queries as billing
from evncare.periods import Period
from outages import queries as outages
from sms import examples, gsm7, inbox, proof, rules, syntaxes, versions, wording
from sms.models import InboundMessage, OutboundMessage, Refusal, WordingVersion
from sms.parser import parse
from sms.wording import WORDINGS
from tests import factories
from tests.factories import CODE, NOW, VIETNAM
from tests.sms.test_syntaxes import PUBLISHED


@pytest.fixture(autouse=True)
def in_english():
    with translation.override("en"):
        yield


def save(key: str, text: str, started_from: int = 0, **fields) -> WordingVersion:
    defaults = {"by": "supervisor", "note": "", "now": NOW}
    return versions.save(key, text, started_from=started_from, **defaults | fields)


def ask(text: str) -> syntaxes.Answer:
    [answer] = syntaxes.answer([parse(text, syntaxes.grammar())], NOW)
    return answer


# What is in force


@pytest.mark.django_db
def test_a_saved_wording_is_said_from_the_next_reply_on_and_a_restored_one_again():
    factories.customer()
    delivered = ask(f"NTD {CODE}").text
    first = save("NTD.none", "EVNCPC: {customer} khong no.")
    assert ask(f"NTD {CODE}").text == f"EVNCPC: {CODE} khong no."
    save("NTD.none", WORDINGS["NTD.none"], first.pk)
    assert ask(f"NTD {CODE}").text == delivered
    assert WordingVersion.objects.count() == 2


@pytest.mark.django_db
def test_a_batch_is_answered_in_the_words_in_force_and_keeps_the_wordings_key():
    factories.customer()
    save("NTD.none", "EVNCPC: {customer} khong no.")
    message = factories.inbound(f"NTD {CODE}")
    inbox.answer_waiting(now=NOW)
    reply = OutboundMessage.objects.get(inbound=message)
    assert (reply.text, reply.wording) == (f"EVNCPC: {CODE} khong no.", "NTD.none")


@pytest.mark.django_db
def test_a_notice_speaks_in_the_words_in_force():
    save("refused.TOO_MANY", "EVNCPC: mai nhe. {hotline}")
    assert syntaxes.notice(Refusal.TOO_MANY).text == "EVNCPC: mai nhe. 19001909"


@pytest.mark.django_db
def test_what_is_in_force_is_one_query_however_many_versions_there_are(django_assert_num_queries):
    for number in range(20):
        versions.save("NTD.none", f"EVNCPC {number}", by="x", note="", started_from=_newest("NTD.none"), now=NOW)
        versions.save("LCD.none", f"EVNCPC {number}", by="x", note="", started_from=_newest("LCD.none"), now=NOW)
    with django_assert_num_queries(1):
        assert versions.texts() == {"NTD.none": "EVNCPC 19", "LCD.none": "EVNCPC 19"}
    with django_assert_num_queries(1), versions.in_force(), versions.in_force():
        pass


def _newest(key: str) -> int:
    return max(WordingVersion.objects.filter(key=key).values_list("pk", flat=True), default=0)


@pytest.mark.django_db
def test_a_version_that_was_saved_meanwhile_is_not_overruled_unseen():
    theirs = save("NTD.none", "EVNCPC: theirs")
    with pytest.raises(versions.SavedMeanwhile) as raised:
        save("NTD.none", "EVNCPC: ours")
    assert raised.value.theirs == theirs
    save("NTD.none", "EVNCPC: ours", theirs.pk)
    assert [version.text for version in versions.history("NTD.none")] == ["EVNCPC: ours", "EVNCPC: theirs"]


@pytest.mark.parametrize("text", ["{was_told_once}", "{customer.x}", "{0}", "{", "{customer:d}", "{customer[x]}"])
def test_a_text_that_cannot_be_filled_any_more_is_said_as_delivered(text, caplog):
    with wording.using({"NTD.none": text}):
        said = wording.fill("NTD.none", customer=CODE)
    assert said == wording.fill("NTD.none", customer=CODE)
    assert "NTD.none" in caplog.text


def test_only_what_gsm7_lacks_is_unaccented():
    with wording.using({"NTD.none": "Ærlig è {customer}"}):
        assert wording.fill("NTD.none", customer="Điện 電") == "Ærlig è Dien ?"


@pytest.mark.django_db
def test_an_echo_is_known_by_the_delivered_words_and_by_those_in_force():
    save("NTD.none", "EVNCPC kinh gui {customer}: khong no.")
    for text in ("EVNCPC kinh gui PP: khong no.", "EVNCPC thong bao tien dien"):
        message = factories.inbound(text)
        inbox.answer_waiting(now=NOW)
        message.refresh_from_db()
        assert message.refusal == Refusal.ECHO
    assert not rules.is_echo("EVNCPC kinh gui PP: khong no.")
    assert InboundMessage.objects.filter(state="REFUSED").count() == 2


# The examples


@pytest.mark.parametrize("key", WORDINGS)
def test_every_wording_has_an_ordinary_example_and_a_worst_case(key):
    shown = examples.run({}, examples.saying(key))
    assert {example.scenario.worst for example in shown} == {True, False}


def test_every_delivered_text_fits_in_every_example():
    for shown in examples.run({}, examples.SCENARIOS):
        assert shown.fits, shown.scenario.title
        assert shown.size.encoding == gsm7.GSM_7


def test_the_published_replies_are_among_the_ordinary_examples():
    ordinary = {shown.answer.text for shown in examples.run({}, examples.SCENARIOS) if not shown.scenario.worst}
    assert set(PUBLISHED.values()) <= ordinary


def test_the_longest_facts_are_as_long_as_their_columns():
    from billing.models import MeterReading

    def longest(name: str) -> int:
        return MeterReading._meta.get_field(name).max_length

    def most(name: str) -> Decimal:
        field = MeterReading._meta.get_field(name)
        return (10**field.max_digits - Decimal(1)) / 10**field.decimal_places

    assert len(examples.LONGEST_METER) == longest("meter")
    assert len(examples.LONGEST_REGISTER) == longest("register")
    assert abs(examples.LONGEST_MULTIPLIER) == most("multiplier")
    assert abs(examples.LONGEST_READING) == most("old_reading") == most("new_reading") == most("consumption")


# The proof


def against(key: str, text: str, **in_force: str) -> list[str]:
    return proof.prove(key, text, in_force).problems


@pytest.mark.parametrize("key", WORDINGS)
def test_nothing_speaks_against_a_delivered_text(key):
    proved = proof.prove(key, WORDINGS[key], {})
    assert (proved.problems, proved.left_out) == ([], [])
    assert proved.examples


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("x" * 1001, "at most 1000"),
        ("Quý khách {customer}", "“ý” at 3; “á” at 7. It would read: Quy khach {customer}"),
        ("Cam on \U0001f600 {customer}", "It would read: Cam on  {customer}"),
        ("{cust}", "no placeholder {cust} here. Allowed: {customer}."),
        ("{customer.phones}", "{customer.phones} is not a plain name"),
        ("{customer[0]}", "{customer[0]} is not a plain name"),
        ("{customer!r}", "{customer!r} is not a plain name"),
        ("{customer:>99}", "{customer:>99} is not a plain name"),
        ("{customer:{customer}}", "is not a plain name"),
        ("{0}", "{0} is not a plain name"),
        ("{}", "{} is not a plain name"),
        ("{customer", "brace"),
        ("customer}", "brace"),
        ("{customer!}", "brace"),
        ("{ customer }", "is not a plain name"),
        ("{__class__}", "no placeholder {__class__} here"),
        ("x" * 470 + "{customer}", "Too long in the case “nothing owed”: 4 segments, 24 characters more"),
        ("[" * 230 + "{customer}", "Too long"),
    ],
)
def test_what_speaks_against_a_text_is_told(text, told):
    [*problems] = against("NTD.none", text)
    assert any(told in problem for problem in problems), problems


def test_a_brace_that_is_written_twice_is_text():
    assert against("NTD.none", "{{EVNCPC}} {customer}") == []


def test_a_text_that_fits_ordinary_customers_but_not_the_worst_case_is_refused():
    padded = WORDINGS["CS.answered"] + "x" * 270
    [problem] = against("CS.answered", padded)
    assert "one register" in problem
    assert examples.run({"CS.answered": padded}, examples.saying("CS.answered"))[0].fits


def test_a_part_is_proved_within_its_reply_as_that_is_worded_now():
    part = WORDINGS["LCD.left_out"] + "x" * 200
    assert against("LCD.left_out", part) == []
    longer = {"LCD.answered": WORDINGS["LCD.answered"] + "x" * 100}
    assert proof.prove("LCD.left_out", part, longer).problems


def test_a_placeholder_that_is_not_always_there_is_none():
    assert "ky" not in examples.placeholders()["period.without_ky"]
    assert "customer" not in examples.placeholders()["bad_code"]
    assert "customer" not in examples.placeholders()["refused.TOO_MANY"]
    assert "existing" in examples.placeholders()["TD.no_data"]


def test_what_the_delivered_text_tells_and_a_new_one_does_not_is_named():
    proved = proof.prove("NTD.answered", "EVNCPC: {total} dong", {})
    assert (proved.problems, proved.left_out) == ([], ["period", "amount", "tax"])


# What the proof promises

TEXTS = "".join(sorted(gsm7.ALL - set("{}")))
CODES = st.sampled_from([CODE, "PC05II0730790", "PP99999999999"])
PERIODS = st.builds(Period, st.integers(1, 9), st.integers(1, 12), st.integers(2000, 2099))
MONEY = st.just(examples.LONGEST_MONEY) | st.integers(-(10**15) + 1, 10**15 - 1)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=st.just(VIETNAM))  # noqa: DTZ001


def decimals(longest: Decimal) -> st.SearchStrategy:
    return st.just(longest) | st.decimals(-abs(longest), abs(longest), allow_nan=False, places=3)


def words(alphabet: str, longest: str) -> st.SearchStrategy:
    return st.just(longest) | st.text(alphabet, min_size=1, max_size=len(longest))


@st.composite
def edited(draw) -> tuple[str, str]:
    """A wording's key and a text that names some of its placeholders."""
    key = draw(st.sampled_from(sorted(WORDINGS)))
    names = [f"{{{name}}}" for name in examples.placeholders()[key]]
    piece = st.sampled_from([WORDINGS[key], *names]) | st.text(TEXTS, max_size=30)
    return key, "".join(draw(st.lists(piece, min_size=1, max_size=4)))


def stretched(key: str, text: str, accepted: dict[str, str]) -> str:
    """The text made as long as is accepted."""
    too_long = bisect_left(
        range(460), True, key=lambda more: bool(proof.prove(key, text + "x" * more, accepted).problems)
    )
    return text + "x" * (too_long - 1)


@st.composite
def replies(draw) -> list[syntaxes.Answer]:
    """Replies about facts of any size that the tables hold."""
    account, period, at = examples.account(draw(CODES)), draw(PERIODS), draw(TIMES)
    reading = st.builds(
        billing.RegisterReading,
        st.just(period),
        words("A0_.-/Đ", examples.LONGEST_METER),
        words("ABĐ", examples.LONGEST_REGISTER),
        decimals(examples.LONGEST_MULTIPLIER),
        *[decimals(examples.LONGEST_READING)] * 3,
    )
    interruption = st.builds(
        outages.Interruption,
        st.integers(-100, 100).map(lambda hours: at + timedelta(hours=hours)),
        st.none() | st.integers(101, 999).map(lambda hours: at + timedelta(hours=hours)),
        st.just("KH"),
        st.just(""),
    )
    owed = st.builds(billing.Owed, PERIODS, MONEY, MONEY)
    known = draw(st.lists(PERIODS, max_size=4))
    asked = draw(st.sampled_from([period, Period(None, period.month, period.year)]))
    return [
        examples.of_period("CS", account, asked, draw(st.lists(reading, max_size=examples.MOST_REGISTERS)), known),
        examples.of_period("TD", account, asked, [billing.Bill(period, draw(MONEY), draw(MONEY))]),
        examples.of_period("TD", account, asked, [], known),
        examples.of_period("LGD", account, asked, [billing.ScheduledReading(period, at.date())]),
        examples.of_debts(account, draw(st.lists(owed, max_size=12))),
        examples.of_outages(account, draw(st.lists(interruption, max_size=examples.MOST_OUTAGES)), at),
    ]


@pytest.mark.django_db
@settings(max_examples=25)
@given(edits=st.lists(edited(), min_size=2, max_size=4), data=st.data())
def test_no_text_that_is_accepted_can_leave_gsm7_or_exceed_three_segments(edits, data):
    accepted: dict[str, str] = {}
    for key, text in edits:
        if not proof.prove(key, text, accepted).problems:
            accepted[key] = stretched(key, text, accepted)
    delivered = {shown.scenario.answer: shown for shown in examples.run({}, examples.SCENARIOS)}
    for shown in examples.run(accepted, examples.SCENARIOS):
        assert shown.fits, (shown.scenario.title, accepted)
        assert gsm7.is_gsm7(shown.answer.text)
        if shown.scenario.worst:  # so that `saying` finds every worst case of a wording
            assert {key for key, _ in shown.filled} <= {key for key, _ in delivered[shown.scenario.answer].filled}
    with wording.using(accepted):
        for reply in data.draw(replies()):
            assert gsm7.measure(reply.text).encoding == gsm7.GSM_7
            assert gsm7.measure(reply.text).segments <= 3, (reply.text, accepted)
