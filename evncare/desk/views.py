"""What an operator's probes ask. Nobody signs in here, so nothing tells more than that a part works or doesn't."""

from collections.abc import Callable

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from redis import Redis, RedisError

from evncare.celery import app
from evncare.desk import metrics

# A message is answered within a second or two; the scheduler's ring, should all others be lost, takes ten.
LONGEST_WAIT_SECONDS = 60
BROKER_TIMEOUT_SECONDS = 1.0
WORKER_TIMEOUT_SECONDS = 2.0


class Failed(Exception):
    """A part doesn't work; the text says how, without addresses or secrets."""

    def __init__(self, text: str, figures: dict[str, float] | None = None) -> None:
        super().__init__(text)
        self.figures = figures or {}


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """The process answers. Touches nothing else: a restart would not mend a database that is away."""
    return JsonResponse({"status": "up"})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Whether messages are being answered: 200 if every part works, else 503 and which one doesn't."""
    answer: dict[str, str | float] = {}
    status = 200
    for part, check in CHECKS.items():
        try:
            figures = check() or {}
            answer |= {part: "ok", **figures}
        except Failed as failure:
            answer |= {part: f"failed: {failure}", **failure.figures}
            status = 503
    return JsonResponse(answer, status=status)


@never_cache
@require_safe
def prometheus(request: HttpRequest) -> HttpResponse:
    try:
        return HttpResponse(metrics.text(), content_type=CONTENT_TYPE_LATEST)
    except Error as error:
        return HttpResponse(f"# database: {type(error).__name__}\n", content_type=CONTENT_TYPE_LATEST, status=503)


def check_database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        raise Failed(type(error).__name__) from error


def check_broker() -> None:
    timeout = BROKER_TIMEOUT_SECONDS
    try:
        with Redis.from_url(settings.REDIS_URL, socket_timeout=timeout, socket_connect_timeout=timeout) as redis:
            redis.ping()
    except RedisError as error:
        raise Failed(type(error).__name__) from error


def check_worker() -> None:
    """A worker hears its name called. It answers between tasks and during them, so a busy one counts as well."""
    check_broker()
    try:
        answers = app.control.broadcast("ping", reply=True, timeout=WORKER_TIMEOUT_SECONDS, limit=1)
    except (OperationalError, RedisError, OSError) as error:
        raise Failed(type(error).__name__) from error
    if not answers:
        raise Failed("no worker answers")


def check_oldest_unanswered() -> dict[str, float]:
    try:
        seconds = metrics.oldest_unanswered_seconds(timezone.now())
    except Error as error:
        raise Failed(type(error).__name__) from error
    figures = {"oldest_unanswered_seconds": round(seconds, 1)}
    if seconds > LONGEST_WAIT_SECONDS:
        raise Failed(f"a message has waited for more than {LONGEST_WAIT_SECONDS} seconds", figures)
    return figures


# A part of the service, and what returns, with figures if it has any, when it works or else raises Failed.
CHECKS: dict[str, Callable[[], dict[str, float] | None]] = {
    "database": check_database,
    "broker": check_broker,
    "worker": check_worker,
    "oldest_unanswered": check_oldest_unanswered,
}
