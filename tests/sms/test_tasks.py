"""The doorbell, with a real Redis: rings are coalesced, never lost, and never stand in a message's way."""

import pytest
from redis import Redis

from sms import tasks
from sms.models import InboundMessage, OutboundMessage
from tests import factories

QUEUE = "celery"


@pytest.fixture
def broker(redis_url, settings, monkeypatch):
    settings.REDIS_URL = redis_url
    monkeypatch.setattr(tasks, "_broker_away_until", 0.0)
    monkeypatch.setattr(tasks, "RING_LASTS_SECONDS", 600)
    monkeypatch.setattr(tasks.answer_waiting.app.conf, "broker_url", redis_url)
    redis = Redis.from_url(redis_url)
    monkeypatch.setattr(tasks, "_broker", lambda: redis)  # as ours, but with all the time that a busy machine takes
    redis.delete(QUEUE, *(tasks._bell(task) for task in (tasks.answer_waiting, tasks.deliver_waiting)))
    with tasks.answer_waiting.app.pool.acquire(block=True) as connection:
        connection.close()
    return redis


def test_rings_in_a_row_are_one_ring(broker):
    for _ in range(10):
        tasks.ring_answering()
    assert broker.llen(QUEUE) == 1


@pytest.mark.django_db
def test_a_ring_during_the_drain_is_news_again(broker):
    tasks.ring_answering()
    tasks.answer_waiting()
    tasks.ring_answering()
    assert broker.llen(QUEUE) == 2


@pytest.mark.django_db
def test_a_drain_answers_everything_and_rings_for_delivery(broker):
    for number in range(205):
        factories.inbound("TC", sender=f"849051{number:05}")
    tasks.answer_waiting()
    assert InboundMessage.objects.filter(state="ANSWERED").count() == 205
    assert broker.llen(QUEUE) == 1
    assert b"sms.deliver_waiting" in broker.lindex(QUEUE, 0)


@pytest.mark.django_db
def test_a_drain_without_work_rings_for_nothing(broker):
    tasks.answer_waiting()
    assert broker.llen(QUEUE) == 0


@pytest.mark.django_db
def test_without_a_broker_messages_are_still_stored_and_answered(settings, monkeypatch, caplog):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(tasks, "_broker_away_until", 0.0)
    tasks._broker.cache_clear()
    factories.inbound("TC")
    tasks.ring_answering()
    tasks.ring_answering()
    assert [record.levelname for record in caplog.records] == ["WARNING"], "it says so once, not for each message"
    tasks.answer_waiting()
    assert OutboundMessage.objects.count() == 1
    tasks._broker.cache_clear()
