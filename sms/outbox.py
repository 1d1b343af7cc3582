"""The outbox: hand waiting replies to their carriers, record what became of them.

A reply is claimed before it is sent, and no transaction is open while a carrier is asked. What may have left
is never sent again by itself: a time-out, or a claim whose process died, makes its reply UNKNOWN until the
carrier's report, or a person, settles it. Only a carrier that knows our references and takes each once is asked
again.
"""

import logging
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic, sleep

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce

from sms import carriers, gateways
from sms.gateways.base import Fate, Refused, Reply, Report, SendError, TryLater
from sms.models import OutboundMessage
from sms.moves import move

logger = logging.getLogger(__name__)

BATCH_SIZE = 100
CONNECTIONS = 16
MOST_ATTEMPTS = 12
FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(minutes=10)
CLAIM_LASTS = timedelta(seconds=settings.SMS_CLAIM_SECONDS)
OVERTAKING = timedelta(minutes=1)
# Seconds between attempts to write down what a carrier answered, while the database is away.
RECORDING_PAUSES = (0.5, 1, 1, 2, 2, 2, 4, 4, 4, 4)
State = OutboundMessage.State

STATE_OF_FATE = {
    Fate.ACCEPTED: State.SENT,
    Fate.DELIVERED: State.DELIVERED,
    Fate.FAILED: State.FAILED,
    Fate.EXPIRED: State.EXPIRED,
}


class NotYetKnown(Exception):
    """The report names a reply that the carrier may be taking at this moment: it has to come again."""


@dataclass(frozen=True)
class Delivery:
    """What one round did: how many replies it took up, and whether a carrier's rate held others back."""

    taken: int
    braked: bool = False


@dataclass(frozen=True)
class Sent:
    """What came of handing one reply over: the carrier's id, or the error."""

    row: OutboundMessage
    carrier_message_id: str = ""
    error: SendError | None = None


def deliver_waiting(*, now: datetime) -> Delivery:
    """Hand one batch of waiting replies to each carrier, oldest first. Nothing taken and no brake: none waits."""
    rounds = [_deliver(carrier, now) for carrier in carriers.names()]
    return Delivery(sum(r.taken for r in rounds), any(r.braked for r in rounds))


def settle_stuck(*, now: datetime) -> int:
    """Settle the replies whose claim expired, since their process died, and return how many.

    They may have been sent. A carrier that takes each reference once is asked again, others are not.
    """
    stuck = OutboundMessage.objects.filter(state=State.SENDING, claimed_at__lt=now - CLAIM_LASTS)
    asked_again = [carrier for carrier in carriers.names() if gateways.takes_each_once(carrier)]
    cause = "the process that was sending it ended"
    return move(
        stuck.filter(carrier__in=asked_again), State.WAITING, at=now, cause=cause, send_after=now, failure=cause
    ) + move(stuck, State.UNKNOWN, at=now, cause=cause, failure=cause)


def record_report(carrier: str, report: Report, *, now: datetime) -> bool:
    """Move the reply forward as its delivery report says; return whether we know the reply.

    A late, repeated or contradicting report changes nothing. Raises NotYetKnown if it may have overtaken the
    carrier's own answer, from which we learn its id of the reply.
    """
    replies = OutboundMessage.objects.filter(carrier=carrier)
    if report.reference:
        replies = replies.filter(reference=report.reference)
    else:
        replies = replies.filter(carrier_message_id=report.message_id).exclude(carrier_message_id="")
    # Asked first: what is recorded between the two questions must not be missed by both.
    sending = OutboundMessage.objects.filter(carrier=carrier, state=State.SENDING, claimed_at__gt=now - OVERTAKING)
    may_overtake = bool(report.message_id) and sending.exists()
    if report.fate is not None:
        state = STATE_OF_FATE[report.fate]
        at = report.at or now
        move(
            replies.exclude(state=State.WAITING),  # a carrier can't tell the fate of what it doesn't have
            state,
            at=now,
            cause=" ".join(["reported", report.fate.lower(), report.detail]).strip(),
            sent_at=Coalesce(F("sent_at"), Value(at)),
            reported_at=at,
            failure="" if state in (State.SENT, State.DELIVERED) else report.detail,
        )
    known = replies.exists()
    if may_overtake and not known:
        raise NotYetKnown
    return known


def _deliver(carrier: str, now: datetime) -> Delivery:
    through = carriers.through(carrier, now)
    if through is None:
        return Delivery(0)
    claimed, delivery = _claim(carrier, through, now)
    if claimed:
        begun = monotonic()
        with ThreadPoolExecutor(min(CONNECTIONS, len(claimed)), thread_name_prefix="carrier") as pool:
            results = list(pool.map(_send, claimed))
        _record_patiently(through, results, now + timedelta(seconds=monotonic() - begun))
    return delivery


def _claim(carrier: str, through: str, now: datetime) -> tuple[list[OutboundMessage], Delivery]:
    """Take a batch for sending. Those that are too old expire instead; the carrier's rate may hold some back."""
    oldest = now - timedelta(minutes=settings.SMS_REPLY_MAX_AGE_MINUTES)
    with transaction.atomic():
        rows = list(
            OutboundMessage.objects.filter(carrier=carrier, state=State.WAITING, send_after__lte=now)
            .order_by("send_after", "pk")
            .select_related("inbound")
            .select_for_update(skip_locked=True, of=("self",))[:BATCH_SIZE]
        )
        if not rows:
            return [], Delivery(0)
        expired = [row.pk for row in rows if row.created_at < oldest]
        fresh = [row for row in rows if row.created_at >= oldest]
        claimed = fresh[: carriers.take(through, len(fresh), now)]
        for row in claimed:
            row.carrier = through
        mine = OutboundMessage.objects.filter(state=State.WAITING)
        move(mine.filter(pk__in=expired), State.EXPIRED, at=now, cause="too old to be sent", failure="too old")
        move(
            mine.filter(pk__in=[row.pk for row in claimed]),
            State.SENDING,
            at=now,
            cause=f"claimed for {through}",
            carrier=through,
            claimed_at=now,
            attempts=F("attempts") + 1,
        )
    return claimed, Delivery(len(expired) + len(claimed), braked=len(claimed) < len(fresh))


def _send(row: OutboundMessage) -> Sent:
    """Ask the carrier; runs in a thread of its own and touches no database."""
    through = row.carrier
    reply = Reply(
        reference=row.reference,
        # Another carrier than the one that brought the message does not know its id, and none knows one of ours.
        in_reply_to=row.inbound.message_id if through == row.inbound.carrier and not row.inbound.follows_id else "",
        to=row.recipient,
        short_code=row.short_code,
        text=row.text,
        encoding=row.encoding,
        segments=row.segments,
        charge=row.charge,
    )
    try:
        return Sent(row, carrier_message_id=gateways.get(through).send(reply))
    except ImproperlyConfigured as error:
        return Sent(row, error=TryLater(f"SMS_CARRIERS is wrong: {error}"))
    except SendError as error:
        return Sent(row, error=error)
    except Exception as error:
        logger.error("the gateway of carrier %s failed with %s", through, type(error).__name__)
        return Sent(row, error=SendError(f"our gateway failed: {type(error).__name__}"))


def _record_patiently(through: str, results: Sequence[Sent], now: datetime) -> None:
    """Write down what came of a batch, also if the database is away for a moment: nobody else knows it."""
    for pause in RECORDING_PAUSES:
        try:
            _record(through, results, now)
            return
        except (OperationalError, InterfaceError) as error:
            logger.warning("what carrier %s answered is not written down yet: %s", through, type(error).__name__)
            connection.close()
            sleep(pause)
    _record(through, results, now)


def _record(through: str, results: Sequence[Sent], now: datetime) -> None:
    """Write down what came of a batch. A report may have been faster: then only the carrier's id is new."""
    accepted = [sent for sent in results if sent.error is None]
    for sent in accepted:
        sent.row.carrier_message_id = sent.carrier_message_id
    with transaction.atomic():
        OutboundMessage.objects.bulk_update(
            [sent.row for sent in accepted if sent.carrier_message_id], ["carrier_message_id"]
        )
        rows = OutboundMessage.objects.filter(pk__in=[sent.row.pk for sent in accepted])
        move(rows, State.SENT, at=now, cause=f"{through} took it", sent_at=now, failure="")
        for sent in results:
            if sent.error is not None:
                _record_error(through, sent.row, sent.error, now)
        carriers.note(
            through,
            taken=len([sent for sent in results if sent.error is None or isinstance(sent.error, Refused)]),
            failed=len(results) - len(accepted),
            now=now,
        )


def _record_error(through: str, row: OutboundMessage, error: SendError, now: datetime) -> None:
    attempts = row.attempts + 1
    # The number of the attempt tells our claim from a later one, whose sending is not ours to call off.
    sending = OutboundMessage.objects.filter(pk=row.pk, state=State.SENDING, attempts=attempts)
    may_ask_again = isinstance(error, TryLater) or gateways.takes_each_once(through)
    if isinstance(error, Refused) or (may_ask_again and attempts >= MOST_ATTEMPTS):
        state = State.FAILED if isinstance(error, Refused | TryLater) else State.UNKNOWN
        move(sending, state, at=now, cause=f"{through}: {error}", failure=str(error))
    elif may_ask_again:
        wait = _delay(attempts, getattr(error, "retry_after", None))
        move(sending, State.WAITING, at=now, cause=f"{through}: {error}", failure=str(error), send_after=now + wait)
    else:
        move(sending, State.UNKNOWN, at=now, cause=f"{through}: {error}", failure=str(error))


def _delay(attempts: int, retry_after: float | None) -> timedelta:
    """How long to wait after so many attempts: doubling, with jitter, but at least what the carrier asked for."""
    longest = min(FIRST_RETRY.total_seconds() * 2 ** (attempts - 1), LONGEST_RETRY.total_seconds())
    jittered = longest * random.uniform(0.5, 1.0)  # noqa: S311  (no secret hangs on it)
    return timedelta(seconds=max(jittered, min(retry_after or 0.0, 3600.0)))
