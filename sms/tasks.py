"""The doorbell. A task says "there is work of this kind" and drains what waits; it never names a row.

A ring that is lost, doubled or late changes nothing: the scheduler rings too, and two drains at once share by
claims. Rings are coalesced: while one is on its way to a worker, the next would say nothing new.
"""

import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import cache

from celery import Task, shared_task
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis import Redis, RedisError

from sms import audit, inbox, outbox, privacy, statistics

logger = logging.getLogger(__name__)

RING_LASTS_SECONDS = 5
BROKER_PAUSE_SECONDS = 5
DRAIN_SECONDS = 20
BRAKE_SECONDS = 0.1
_broker_away_until = 0.0


@shared_task(name="sms.answer_waiting")
def answer_waiting() -> None:
    _heard(answer_waiting)
    for _ in _rounds(answer_waiting):
        if not inbox.answer_waiting(now=timezone.now()):
            return
        _ring(deliver_waiting)


@shared_task(name="sms.deliver_waiting")
def deliver_waiting() -> None:
    _heard(deliver_waiting)
    outbox.settle_stuck(now=timezone.now())
    for _ in _rounds(deliver_waiting):
        delivery = outbox.deliver_waiting(now=timezone.now())
        if not delivery.taken:
            if not delivery.braked:
                return
            time.sleep(BRAKE_SECONDS)


@shared_task(name="sms.forget_old")
def forget_old() -> None:
    _heard(forget_old)
    for _ in _rounds(forget_old):
        if not privacy.forget_old(now=timezone.now()):
            return


@shared_task(name="sms.count_hours")
def count_hours() -> None:
    _heard(count_hours)
    for _ in _rounds(count_hours):
        if not statistics.refresh(now=timezone.now()):
            return


@shared_task(name="sms.audit_yesterday")
def audit_yesterday() -> None:
    now = timezone.now()
    run = audit.audit_day(timezone.localdate(now) - timedelta(days=1), now=now)
    if not run.balanced or run.exceptions:
        books = "balance" if run.balanced else "do NOT balance"
        logger.error("audit of %s: the books %s, %s exceptions", run.day, books, run.exceptions)


def _rounds(task: Task) -> Iterator[None]:
    """Rounds of a drain. A long one hands over to another ring, so that a worker told to stop can."""
    end = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < end:
        yield
    _ring(task)


def ring_answering() -> None:
    """Say that a message waits for its answer. Never raises: without a broker the scheduler's ring will do."""
    _ring(answer_waiting)


def ring_delivering() -> None:
    """Say that a reply waits to be sent. Never raises either."""
    _ring(deliver_waiting)


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
