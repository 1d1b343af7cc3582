"""The doorbell. A task says "there is work of this kind" and drains what waits; it never names a row.

A ring that is lost, doubled or late changes nothing: the scheduler rings too, and two drains at once share by
claims. Rings are coalesced: while one is on its way to a worker, the next would say nothing new.
"""

import logging
import time
from functools import cache

from celery import Task, shared_task
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis import Redis, RedisError

from sms import inbox, outbox

logger = logging.getLogger(__name__)

RING_LASTS_SECONDS = 5
BROKER_PAUSE_SECONDS = 5
_broker_away_until = 0.0


@shared_task(name="sms.answer_waiting")
def answer_waiting() -> None:
    _heard(answer_waiting)
    while inbox.answer_waiting(now=timezone.now()):
        _ring(deliver_waiting)


@shared_task(name="sms.deliver_waiting")
def deliver_waiting() -> None:
    _heard(deliver_waiting)
    outbox.settle_stuck(now=timezone.now())
    while outbox.deliver_waiting(now=timezone.now()):
        pass


def ring_answering() -> None:
    """Say that a message waits for its answer. Never raises: without a broker the scheduler's ring will do."""
    _ring(answer_waiting)


def _ring(task: Task) -> None:
    global _broker_away_until
    if time.monotonic() < _broker_away_until:
        return
    try:
        if _broker().set(_bell(task), 1, nx=True, ex=RING_LASTS_SECONDS):
            task.apply_async(expires=60)
    except (RedisError, OperationalError) as error:
        # A message must not wait for a broker that is away; nor must each message try it again.
        _broker_away_until = time.monotonic() + BROKER_PAUSE_SECONDS
        logger.warning("the broker is away, the scheduler will ring instead: %s", type(error).__name__)


def _heard(task: Task) -> None:
    """From here on a ring is news again. Before the drain, so that none between the two is swallowed."""
    try:
        _broker().delete(_bell(task))
    except RedisError as error:
        logger.warning("the broker is away: %s", type(error).__name__)


def _bell(task: Task) -> str:
    return f"evncare:bell:{task.name}"


@cache
def _broker() -> Redis:
    return Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5)
