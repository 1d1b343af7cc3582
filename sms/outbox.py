"""The outbox: hand waiting replies to their carriers, record what became of them.

A reply is claimed before it is sent, and no transaction is open while a carrier is asked. What may have left
is never sent again by itself: a time-out, or a claim whose process died, makes its reply UNKNOWN until the
carrier's report, or a person, settles it.
"""

import logging
import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce

from sms import gateways
from sms.gateways.base import Fate, Refused, Reply, Report, SendError, TryLater
from sms.models import OutboundMessage, moves_to

logger = logging.getLogger(__name__)

BATCH_SIZE = 100
CONNECTIONS = 16
MOST_ATTEMPTS = 12
FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(minutes=10)
CLAIM_LASTS = timedelta(minutes=5)
State = OutboundMessage.State

STATE_OF_FATE = {
    Fate.ACCEPTED: State.SENT,
    Fate.DELIVERED: State.DELIVERED,
    Fate.FAILED: State.FAILED,
    Fate.EXPIRED: State.EXPIRED,
}


@dataclass(frozen=True)
class Sent:
    """What came of handing one reply over: the carrier's id, or the error."""

    pk: int
    attempts: int
    carrier_message_id: str = ""
    error: SendError | None = None


def deliver_waiting(*, now: datetime) -> int:
    """Hand one batch of waiting replies over, oldest first, and return how many it took; 0 means none waits."""
    claimed = _claim(now)
    if claimed:
        with ThreadPoolExecutor(min(CONNECTIONS, len(claimed)), thread_name_prefix="carrier") as pool:
            _record(pool.map(_send, claimed), now)
    return len(claimed)


def settle_stuck(*, now: datetime) -> int:
    """Mark the replies whose claim expired as perhaps sent, and return how many: their process died sending."""
    stuck = OutboundMessage.objects.filter(state=State.SENDING, claimed_at__lt=now - CLAIM_LASTS)
    return stuck.update(state=State.UNKNOWN, failure="the process that was sending it ended")


def record_report(carrier: str, report: Report, *, now: datetime) -> bool:
    """Move the reply forward as its delivery report says; return whether we know the reply.

    A late, repeated or contradicting report changes nothing.
    """
    replies = OutboundMessage.objects.filter(carrier=carrier)
    if report.reference:
        replies = replies.filter(reference=report.reference)
    else:
        replies = replies.filter(carrier_message_id=report.message_id).exclude(carrier_message_id="")
    if report.fate is not None:
        state = STATE_OF_FATE[report.fate]
        at = report.at or now
        replies.filter(state__in=moves_to(OutboundMessage, state)).update(
            state=state,
            sent_at=Coalesce(F("sent_at"), Value(at)),
            reported_at=at,
            failure="" if state in (State.SENT, State.DELIVERED) else report.detail,
        )
    return replies.exists()


def _claim(now: datetime) -> list[OutboundMessage]:
    with transaction.atomic():
        replies = list(
            OutboundMessage.objects.filter(state=State.WAITING, send_after__lte=now)
            .order_by("send_after", "pk")
            .select_related("inbound")
            .select_for_update(skip_locked=True, of=("self",))[:BATCH_SIZE]
        )
        OutboundMessage.objects.filter(pk__in=[reply.pk for reply in replies], state=State.WAITING).update(
            state=State.SENDING, claimed_at=now, attempts=F("attempts") + 1
        )
    return replies


def _send(row: OutboundMessage) -> Sent:
    """Ask the carrier; runs in a thread of its own and touches no database."""
    reply = Reply(
        reference=row.reference,
        in_reply_to=row.inbound.message_id,
        to=row.recipient,
        short_code=row.short_code,
        text=row.text,
        encoding=row.encoding,
        segments=row.segments,
        charge=row.charge,
    )
    attempts = row.attempts + 1
    try:
        gateway = gateways.get(row.carrier)
    except gateways.UnknownCarrier:
        return Sent(row.pk, attempts, error=TryLater("SMS_CARRIERS has no such carrier"))
    except ImproperlyConfigured as error:
        return Sent(row.pk, attempts, error=TryLater(f"SMS_CARRIERS is wrong: {error}"))
    try:
        return Sent(row.pk, attempts, carrier_message_id=gateway.send(reply))
    except SendError as error:
        return Sent(row.pk, attempts, error=error)
    except Exception as error:
        logger.exception("carrier %s failed on reply %s", row.carrier, row.reference)
        return Sent(row.pk, attempts, error=SendError(f"our gateway failed: {type(error).__name__}"))


def _record(results: Iterable[Sent], now: datetime) -> None:
    for sent in results:
        reply = OutboundMessage.objects.filter(pk=sent.pk)
        if sent.error is None:
            # Its report may have been faster: then only the carrier's id is new.
            reply.filter(state__in=moves_to(OutboundMessage, State.SENT)).update(
                state=State.SENT, sent_at=now, failure=""
            )
            reply.update(carrier_message_id=sent.carrier_message_id)
            continue
        state = State.UNKNOWN
        if isinstance(sent.error, Refused) or (isinstance(sent.error, TryLater) and sent.attempts >= MOST_ATTEMPTS):
            state = State.FAILED
        elif isinstance(sent.error, TryLater):
            state = State.WAITING
            reply.update(send_after=now + _delay(sent.attempts, sent.error.retry_after))
        reply.filter(state=State.SENDING).update(state=state, failure=str(sent.error))


def _delay(attempts: int, retry_after: float | None) -> timedelta:
    """How long to wait after so many attempts: doubling, with jitter, but at least what the carrier asked for."""
    longest = min(FIRST_RETRY.total_seconds() * 2 ** (attempts - 1), LONGEST_RETRY.total_seconds())
    jittered = longest * random.uniform(0.5, 1.0)  # noqa: S311  (no secret hangs on it)
    return timedelta(seconds=max(jittered, min(retry_after or 0.0, 3600.0)))
