"""The hourly counts: always what a plain count of the messages would say, however late their results come."""

import random
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import F

from sms import statistics, tasks
from sms.models import CountingState, HourlyCount, InboundMessage, Outcome
from tests import factories
from tests.factories import NOW

HOUR = timedelta(hours=1)


def counted():
    rows = HourlyCount.objects.values_list("hour", "carrier", "keyword", "result", "messages")
    return {tuple(key): messages for *key, messages in rows}


def plainly_counted():
    rows = InboundMessage.objects.values_list("received_at", "carrier", "keyword", "outcome", "state")
    return Counter(
        (at.astimezone(UTC).replace(minute=0, second=0, microsecond=0), carrier, keyword, outcome or state)
        for at, carrier, keyword, outcome, state in rows
    )


def conclude(message, outcome=Outcome.ANSWERED, state="ANSWERED", at=NOW):
    refusal = {"refusal": "BINARY"} if outcome == "refused" else {}
    InboundMessage.objects.filter(pk=message.pk).update(
        state=state, outcome=outcome, keyword="NTD", concluded_at=at, **refusal
    )


@pytest.mark.django_db
def test_messages_are_counted_by_hour_carrier_question_and_result():
    for minutes, outcome in ((0, "answered"), (59, "answered"), (60, "no_data")):
        conclude(factories.inbound(received_at=NOW + timedelta(minutes=minutes)), outcome)
    # Refused, whether the sender was told or not.
    conclude(factories.inbound(), "refused", "REFUSED")
    conclude(factories.inbound(), "refused", "ANSWERED")
    factories.inbound(carrier="other")

    assert not statistics.refresh(now=NOW + HOUR)

    eight = datetime(2016, 10, 5, 1, tzinfo=UTC)
    assert counted() == {
        (eight, "memory", "NTD", "answered"): 2,
        (eight, "memory", "NTD", "refused"): 2,
        (eight, "other", "", "WAITING"): 1,
        (eight + HOUR, "memory", "NTD", "no_data"): 1,
    }


@pytest.mark.django_db
def test_counting_again_changes_nothing():
    factories.inbound()
    statistics.refresh(now=NOW)
    before = counted()
    statistics.refresh(now=NOW)
    assert counted() == before == plainly_counted()


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(8))
def test_after_any_moves_at_any_pace_the_counts_are_those_of_the_messages(seed, monkeypatch):
    """Messages come, wait, fail, are settled, answered hours later or erased, while refreshes come or stay away."""
    monkeypatch.setattr(statistics, "MOST_HOURS", 3)
    chance = random.Random(seed)
    now = NOW
    for _step in range(60):
        now += timedelta(minutes=chance.choice((1, 5, 40, 200)))
        for _message in range(chance.randrange(3)):
            factories.inbound(received_at=now, carrier=chance.choice(("memory", "other")))
        still_open = list(InboundMessage.objects.filter(state__in=statistics.OPEN).order_by("pk"))
        for message in chance.sample(still_open, min(chance.randrange(3), len(still_open))):
            one = InboundMessage.objects.filter(pk=message.pk)
            if message.state == "SET_ASIDE":
                one.update(**chance.choice(({"state": "WAITING"}, {"settled_at": now})))
            elif chance.random() < 0.3:
                one.update(state="SET_ASIDE")
            else:
                conclude(message, *chance.choice((("answered", "ANSWERED"), ("refused", "REFUSED"))), at=now)
        if chance.random() < 0.1:
            InboundMessage.objects.exclude(state="WAITING").update(
                sender="", text="", payload=b"", customer_code="", erased_at=now
            )
        if chance.random() < 0.4:
            statistics.refresh(now=now)
    while statistics.refresh(now=now):
        pass
    assert counted() == plainly_counted()


@pytest.mark.django_db
def test_a_long_past_is_caught_up_a_few_hours_a_call_while_today_is_right_at_once(monkeypatch):
    monkeypatch.setattr(statistics, "MOST_HOURS", 24)
    for days in (400, 399.5, 30, 2, 1, 0):
        factories.inbound(received_at=NOW - timedelta(days=days))

    assert statistics.refresh(now=NOW)
    assert sorted({hour for hour, *_rest in counted()})[-1] == NOW.astimezone(UTC)
    assert len(counted()) == 3, "the first 24 hours and the last"
    calls = 1
    while statistics.refresh(now=NOW):
        calls += 1
    assert calls < 6, "hours without messages cost no calls"
    assert counted() == plainly_counted()


@pytest.mark.django_db
def test_an_hour_that_nobody_counted_to_its_end_is_counted_later():
    factories.inbound(received_at=NOW)
    statistics.refresh(now=NOW)
    factories.inbound(received_at=NOW + timedelta(minutes=59))
    statistics.refresh(now=NOW + timedelta(days=1))
    assert counted() == plainly_counted()


@pytest.mark.django_db
def test_a_message_answered_after_days_is_counted_as_answered_and_then_its_hour_is_left_alone():
    message = factories.inbound(state="SET_ASIDE", settled_at=NOW)
    later = NOW + timedelta(days=3)
    statistics.refresh(now=later)
    assert [result for *_key, result in counted()] == ["SET_ASIDE"]

    InboundMessage.objects.update(state="WAITING", settled_at=None)
    statistics.refresh(now=later)
    conclude(message)
    statistics.refresh(now=later)
    assert counted() == plainly_counted()
    assert statistics._changed(later - HOUR) == []


@pytest.mark.django_db
def test_two_carriers_messages_that_swap_their_states_are_noticed():
    factories.inbound(carrier="memory")
    factories.inbound(carrier="other", state="SET_ASIDE")
    later = NOW + timedelta(days=3)
    statistics.refresh(now=later)
    InboundMessage.objects.filter(carrier="memory").update(state="SET_ASIDE")
    InboundMessage.objects.filter(carrier="other").update(state="WAITING")
    statistics.refresh(now=later)
    assert counted() == plainly_counted()


@pytest.mark.django_db
def test_what_stays_set_aside_is_not_counted_over_and_over(django_assert_max_num_queries):
    for hours in range(30):
        factories.inbound(received_at=NOW - HOUR * hours, state="SET_ASIDE")
    later = NOW + timedelta(days=3)
    statistics.refresh(now=later)
    with django_assert_max_num_queries(15):  # the lock, what is missing, three for what changed, two hours, the counts
        statistics.refresh(now=later)


@pytest.mark.django_db
def test_a_clock_that_is_put_back_leaves_nothing_uncounted():
    factories.inbound()
    statistics.refresh(now=NOW + timedelta(days=1))
    factories.inbound(received_at=NOW + timedelta(hours=20))
    statistics.refresh(now=NOW + timedelta(hours=20))
    statistics.refresh(now=NOW + timedelta(days=2))
    assert counted() == plainly_counted()


@pytest.mark.django_db
def test_who_shows_the_counts_has_them_counted_only_if_nobody_did_for_two_minutes():
    factories.inbound()
    assert statistics.refresh_if_stale(now=NOW) == NOW
    factories.inbound()
    assert statistics.refresh_if_stale(now=NOW + timedelta(minutes=2)) == NOW
    assert sum(counted().values()) == 1
    later = NOW + timedelta(minutes=3)
    assert statistics.refresh_if_stale(now=later) == later
    assert sum(counted().values()) == 2


@pytest.mark.django_db
def test_the_task_counts_until_all_is_caught_up(monkeypatch):
    monkeypatch.setattr(statistics, "MOST_HOURS", 2)
    for days in range(20):
        factories.inbound(received_at=NOW - timedelta(days=days))
    tasks.count_hours()
    assert counted() == plainly_counted()


@pytest.mark.django_db
def test_a_tally_sums_up_by_what_is_asked_for_and_days_are_vietnamese():
    midnight = NOW.replace(hour=0)
    for hours in (-1, 0, 23, 24):
        factories.inbound(received_at=midnight + HOUR * hours, carrier="other" if hours else "memory")
    statistics.refresh(now=midnight + HOUR * 24)

    days = statistics.tally("day", since=midnight - HOUR)
    assert [(f"{day:%d}", messages) for (day,), messages in sorted(days.items())] == [("04", 1), ("05", 2), ("06", 1)]
    assert statistics.tally("carrier", "result", since=midnight) == {("memory", "WAITING"): 1, ("other", "WAITING"): 2}


@pytest.mark.django_db(transaction=True)
def test_processes_that_count_at_once_count_once():
    if connection.vendor == "sqlite":
        pytest.skip("the tests' SQLite, in memory, is one connection's")
    for minutes in range(50):
        factories.inbound(received_at=NOW - timedelta(minutes=7 * minutes))
    start, failures = threading.Barrier(4), []

    def count():
        try:
            start.wait()
            for _time in range(5):
                statistics.refresh(now=NOW)
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert counted() == plainly_counted()
    assert CountingState.objects.filter(until__lt=F("counted_at")).count() == 1
