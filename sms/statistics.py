"""Statistics: how many messages of each hour came to which result, so that no page has to count the messages.

An hour is counted anew while its messages still change: the present one and the one before at every call, an older
one whenever some that had no result yet got one. What was never counted, as all of it at first, is caught up a few
hours a call, the oldest first.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Sum
from django.db.models.functions import TruncDate, TruncHour

from sms.models import CountingState, HourlyCount, InboundMessage

HOUR = timedelta(hours=1)
MOST_HOURS = 48
STALE_AFTER = timedelta(minutes=2)
# Messages without a result. None ever comes back to these states from a result.
OPEN = (InboundMessage.State.WAITING, InboundMessage.State.SET_ASIDE)


def refresh(*, now: datetime) -> bool:
    """Count the hours that may have changed, and return whether there is more to catch up with.

    Several processes may do so at once: one counts, the others leave it to that one. Whoever writes messages of past
    hours into the table by other ways than the inbox, as a test's data, removes the CountingState to have them counted.
    """
    CountingState.objects.bulk_create([CountingState()], ignore_conflicts=True)
    with transaction.atomic():
        state = CountingState.objects.select_for_update(skip_locked=True).first()
        if state is None:
            return False
        recent = _hour_of(now) - HOUR
        missing = _missing(state.until, recent)
        changed = _changed(min(state.until, recent)) if state.until else []
        _count({*missing, *changed[:MOST_HOURS], recent, recent + HOUR})
        # A clock that was put back makes nothing uncounted.
        state.until = missing[-1] + HOUR if missing else max(state.until or recent, recent)
        state.counted_at = now
        state.save()
    return state.until < recent or len(changed) > MOST_HOURS


def refresh_if_stale(*, now: datetime) -> datetime | None:
    """Count if nobody has for two minutes, as without a scheduler, and return when it was last done."""
    counted = CountingState.objects.values_list("counted_at", flat=True)
    counted_at = counted.first()
    if counted_at is None or now - counted_at > STALE_AFTER:
        refresh(now=now)
        counted_at = counted.first()
    return counted_at


def tally(*by: str, since: datetime) -> dict[tuple[Any, ...], int]:
    """How many messages came in the hours from ``since`` on, by columns of HourlyCount or its ``day``, a local date."""
    counts = HourlyCount.objects.filter(hour__gte=since).order_by()
    if "day" in by:
        counts = counts.annotate(day=TruncDate("hour"))
    return {tuple(key): messages for *key, messages in counts.values_list(*by).annotate(Sum("messages"))}


def _missing(until: datetime | None, before: datetime) -> list[datetime]:
    """The first hours of those that are not counted yet, from the first in which a message came."""
    messages = InboundMessage.objects.filter(received_at__lt=before)
    if until:
        messages = messages.filter(received_at__gte=until)
    first = messages.order_by("received_at").values_list("received_at", flat=True).first()
    if first is None:
        return []
    start = _hour_of(first)
    return [start + HOUR * number for number in range(min((before - start) // HOUR, MOST_HOURS))]


def _changed(before: datetime) -> list[datetime]:
    """The hours before of which other messages are open than were counted as such, the oldest first.

    No message becomes open again, so while the numbers of each carrier's are the same, none has come to a result.
    """
    columns = ("carrier", "keyword")
    counts = HourlyCount.objects.filter(result__in=OPEN, hour__lt=before)
    expected = set(counts.values_list("hour", *columns, "result", "messages"))
    found = {
        (hour, carrier, keyword, state, messages)
        for state in OPEN  # each has its index
        for hour, carrier, keyword, messages in InboundMessage.objects.filter(state=state, received_at__lt=before)
        .order_by()
        .values_list(TruncHour("received_at", tzinfo=UTC), *columns)
        .annotate(Count("pk"))
    }
    return sorted({hour for hour, *_rest in expected ^ found})


def _count(hours: Collection[datetime]) -> None:
    """Count the messages of these hours anew, in the caller's transaction."""
    counts = [count for hour in sorted(hours) for count in _counted(hour)]
    HourlyCount.objects.filter(hour__in=hours).delete()
    HourlyCount.objects.bulk_create(counts)


def _counted(hour: datetime) -> Iterable[HourlyCount]:
    messages = InboundMessage.objects.filter(received_at__gte=hour, received_at__lt=hour + HOUR).order_by()
    groups = messages.values_list("carrier", "keyword", "outcome", "state").annotate(Count("pk"))
    counts: Counter[tuple[str, str, str]] = Counter()
    for carrier, keyword, outcome, state, number in groups:
        counts[carrier, keyword, outcome or state] += number
    return (
        HourlyCount(hour=hour, carrier=carrier, keyword=keyword, result=result, messages=number)
        for (carrier, keyword, result), number in counts.items()
    )


def _hour_of(moment: datetime) -> datetime:
    """The hour as UTC has it, which is Vietnam's too."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
