"""The read door of outages: what is cut off now, or will be."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from outages.models import Outage

# Schedules are announced some weeks ahead; what lies further off is no news for who asks now.
HORIZON = timedelta(days=60)


@dataclass(frozen=True)
class Interruption:
    """One approved interruption. ``end_at`` is None while nobody knows the end."""

    start_at: datetime
    end_at: datetime | None
    kind: str
    reason: str

    def is_running(self, at: datetime) -> bool:
        return self.start_at <= at and (self.end_at is None or at < self.end_at)


@dataclass(frozen=True)
class Reach:
    """A customer and the station that supplies them: an outage may name either."""

    customer_code: str
    station: str


def interruptions(asked: Collection[Reach], at: datetime) -> dict[Reach, list[Interruption]]:
    """The approved interruptions that reach these customers, running ``at`` that moment or to start within HORIZON.

    Running ones come first, then coming ones by their start. The same hours announced twice count once.
    """
    by_customer: dict[str, list[Reach]] = defaultdict(list)
    by_station: dict[str, list[Reach]] = defaultdict(list)
    for reach in set(asked):
        by_customer[reach.customer_code].append(reach)
        if reach.station:
            by_station[reach.station].append(reach)
    rows = Outage.objects.filter(
        # A row that names a customer reaches only them, whatever station it mentions.
        Q(customer_code__in=by_customer) & ~Q(customer_code="")
        | Q(customer_code="", station__in=by_station) & ~Q(station=""),
        Q(end_at__gt=at) | Q(end_at__isnull=True),
        start_at__lte=at + HORIZON,
        status=Outage.Status.APPROVED,
    )
    found: dict[Reach, dict[tuple[datetime, datetime | None], Interruption]] = defaultdict(dict)
    for row in rows.order_by("start_at", "pk"):
        for reach in by_customer[row.customer_code] if row.customer_code else by_station[row.station]:
            found[reach].setdefault(
                (row.start_at, row.end_at), Interruption(row.start_at, row.end_at, row.kind, row.reason)
            )
    return {
        reach: sorted(hours.values(), key=lambda i: (not i.is_running(at), i.start_at))
        for reach, hours in found.items()
    }
