"""What monitoring is told of the messages, counted in the database at each scrape: no process keeps a count.

Labels are words of ours (states, keywords, carriers); a phone number or a text is never one.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Count
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sms.models import InboundMessage, OutboundMessage

WINDOW = timedelta(days=1)


def text() -> bytes:
    """All metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(MessageCollector(timezone.now()))
    return generate_latest(registry)


def oldest_unanswered_seconds(now: datetime) -> float:
    """For how long the oldest message has waited for its answer; 0 if none waits."""
    waiting = InboundMessage.objects.filter(state=InboundMessage.State.WAITING)
    received_at = waiting.order_by("pk").values_list("received_at", flat=True).first()
    return max((now - received_at).total_seconds(), 0.0) if received_at else 0.0


def oldest_unsent_seconds(now: datetime) -> float:
    """For how long the oldest reply could have been handed over but wasn't; 0 if none waits."""
    waiting = OutboundMessage.objects.filter(state=OutboundMessage.State.WAITING)
    send_after = waiting.order_by("send_after", "pk").values_list("send_after", flat=True).first()
    return max((now - send_after).total_seconds(), 0.0) if send_after else 0.0


class MessageCollector(Collector):
    """The messages and replies of the past day, and what waits now."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that registering doesn't already ask the database."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        since = self.now - WINDOW

        messages = GaugeMetricFamily(
            "evncare_messages",
            "Messages received in the past 24 hours.",
            labels=("carrier", "keyword", "state", "outcome"),
        )
        of_day = InboundMessage.objects.filter(received_at__gte=since).order_by()
        for *labels, count in of_day.values_list("carrier", "keyword", "state", "outcome").annotate(Count("pk")):
            messages.add_metric(labels, count)
        yield messages

        replies = GaugeMetricFamily(
            "evncare_replies", "Replies worded in the past 24 hours.", labels=("carrier", "state", "charged")
        )
        worded = OutboundMessage.objects.filter(created_at__gte=since).order_by()
        for carrier, state, charge, count in worded.values_list("carrier", "state", "charge").annotate(Count("pk")):
            replies.add_metric((carrier, state, "yes" if charge else "no"), count)
        yield replies

        yield GaugeMetricFamily(
            "evncare_messages_waiting",
            "Messages waiting for their answer, whenever received.",
            InboundMessage.objects.filter(state=InboundMessage.State.WAITING).count(),
        )
        yield GaugeMetricFamily(
            "evncare_replies_waiting",
            "Replies waiting to be handed to their carrier.",
            OutboundMessage.objects.filter(state=OutboundMessage.State.WAITING).count(),
        )
        yield GaugeMetricFamily(
            "evncare_oldest_unanswered_seconds",
            "For how long the oldest message has waited for its answer.",
            oldest_unanswered_seconds(self.now),
        )
        yield GaugeMetricFamily(
            "evncare_oldest_unsent_seconds",
            "For how long the oldest reply could have been handed over but wasn't.",
            oldest_unsent_seconds(self.now),
        )
