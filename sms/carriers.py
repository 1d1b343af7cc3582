"""What all processes have to know of the carriers: how fast each takes replies, and which are out of order.

It is kept in the database, so that the brake holds for all workers together and with any broker, or none.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import F

from sms.models import CarrierState

FAILURES_TO_CLOSE = 5
CLOSED_FOR = timedelta(seconds=30)


def names() -> list[str]:
    return list(settings.SMS_CARRIERS)


def through(carrier: str, now: datetime) -> str | None:
    """The carrier to send this one's replies through: itself, or the first of its FAILOVER in order; None if all
    are out of order."""
    candidates = [carrier, *_entry(carrier).get("FAILOVER", ())]
    closed = set(CarrierState.objects.filter(carrier__in=candidates, closed_until__gt=now).values_list("pk", flat=True))
    return next((name for name in candidates if name not in closed and name in settings.SMS_CARRIERS), None)


def take(carrier: str, wanted: int, now: datetime) -> int:
    """How many of the wanted replies the carrier's RATE (a second, with a second's worth at once) allows now.

    They count as sent. Call it in the transaction that claims them: the bucket stays locked until its end.
    """
    rate = float(_entry(carrier).get("RATE") or 0)
    if not rate:
        return wanted
    state = _locked(carrier, now)
    seconds = max((now - state.refilled_at).total_seconds(), 0)
    full = max(rate, 1.0)
    tokens = min(state.tokens + seconds * rate, full)
    taken = min(wanted, int(tokens))
    state.tokens, state.refilled_at = tokens - taken, max(now, state.refilled_at)
    state.save(update_fields=("tokens", "refilled_at"))
    return taken


def note(carrier: str, *, taken: int, failed: int, now: datetime) -> None:
    """Note how a batch went. A carrier that only fails, often enough in a row, is left alone for a while."""
    states = CarrierState.objects.filter(carrier=carrier)
    if taken:
        states.exclude(failures=0, closed_until=None).update(failures=0, closed_until=None)
    elif failed:
        _locked(carrier, now)
        states.update(failures=F("failures") + failed)
        states.filter(failures__gte=FAILURES_TO_CLOSE).update(closed_until=now + CLOSED_FOR)


def _locked(carrier: str, now: datetime) -> CarrierState:
    """The carrier's row, made at the first use with a full bucket, locked until the end of the transaction."""
    rate = float(_entry(carrier).get("RATE") or 0)
    CarrierState.objects.bulk_create(
        [CarrierState(carrier=carrier, tokens=max(rate, 1.0), refilled_at=now)], ignore_conflicts=True
    )
    return CarrierState.objects.select_for_update().get(pk=carrier)


def _entry(carrier: str) -> Mapping[str, Any]:
    entry: Mapping[str, Any] = settings.SMS_CARRIERS.get(carrier, {})
    return entry
