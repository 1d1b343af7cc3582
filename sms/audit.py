"""The audit: proof, by query, that every message got exactly one reply or has one recorded reason, and a list of all
that needs a look.

The books of a span of time are one grouped query; each kind of exception is one entry of CHECKS and one query. All
numbers are of the messages received in the span and of their replies, whenever those were sent. Ids only: what is
returned here may be shown, logged and counted anywhere.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Value, Window
from django.db.models.functions import Lag, Lead
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from sms import carriers
from sms.models import AuditRun, InboundMessage, Move, OutboundMessage
from sms.outbox import CLAIM_LASTS

ANSWER_TAKES_AT_MOST = timedelta(minutes=5)
SENDING_STARTS_WITHIN = timedelta(hours=1)
IDS_KEPT = 100


@dataclass(frozen=True)
class Span:
    """The time from ``start`` until just before ``end``."""

    start: datetime
    end: datetime

    @classmethod
    def of_days(cls, first: date, last: date) -> "Span":
        """Both days and all between, in Vietnamese time."""
        zone = timezone.get_default_timezone()
        return cls(datetime.combine(first, time(), zone), datetime.combine(last + timedelta(days=1), time(), zone))


@dataclass(frozen=True)
class Books:
    """What became of the messages received in a span.

    ``answered`` have exactly one reply, ``refused`` a reason and no reply, ``waiting`` and ``set_aside`` no reply
    yet. Refusals that are told to the sender have a reply and count as answered; ``by_reason`` counts them too.
    """

    received: int
    answered: int
    refused: int
    waiting: int
    set_aside: int
    by_outcome: Mapping[str, int]
    by_keyword: Mapping[str, int]
    by_reason: Mapping[str, int]
    replies: Mapping[str, int]

    @property
    def unaccounted(self) -> int:
        """The messages that are in none of the four, which must be 0."""
        return self.received - self.answered - self.refused - self.waiting - self.set_aside

    @property
    def balanced(self) -> bool:
        return self.unaccounted == 0


@dataclass(frozen=True)
class Finding:
    """All exceptions of one kind: the ids are of messages or of replies, as ``of`` says."""

    name: str
    of: str
    title: str
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Audit:
    """The books of a span and every exception in it, as of a moment."""

    span: Span
    made_at: datetime
    books: Books
    findings: tuple[Finding, ...]

    @property
    def exceptions(self) -> int:
        return sum(len(finding.ids) for finding in self.findings)

    def as_json(self, most_ids: int | None = None) -> dict[str, Any]:
        """The audit as plain values, with at most so many ids of each kind of exception."""
        books = {name: dict(value) if isinstance(value, Mapping) else value for name, value in vars(self.books).items()}
        return {
            "from": self.span.start.isoformat(),
            "before": self.span.end.isoformat(),
            "made_at": self.made_at.isoformat(),
            "balanced": self.books.balanced,
            **books,
            "unaccounted": self.books.unaccounted,
            "exceptions": {
                finding.name: {"of": finding.of, "count": len(finding.ids), "ids": list(finding.ids[:most_ids])}
                for finding in self.findings
            },
        }


def audit(span: Span, *, now: datetime) -> Audit:
    """The audit of a span. A fixed number of queries, whatever it holds."""
    findings = (Finding(c.name, c.of, str(c.title), tuple(sorted(set(c.find(span, now))))) for c in CHECKS)
    return Audit(span, now, books(span), tuple(finding for finding in findings if finding.ids))


def audit_day(day: date, *, now: datetime) -> AuditRun:
    """Audit one day and keep the result, in place of an earlier one of that day."""
    found = audit(Span.of_days(day, day), now=now)
    run, _created = AuditRun.objects.update_or_create(
        day=day,
        defaults={
            "ran_at": now,
            "balanced": found.books.balanced,
            "exceptions": found.exceptions,
            "summary": found.as_json(IDS_KEPT),
        },
    )
    return run


def books(span: Span) -> Books:
    """What became of the messages received in a span."""
    state = InboundMessage.State
    totals: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    keywords: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    replies: Counter[str] = Counter()
    groups = (
        _messages(span)
        .values_list("state", "outcome", "refusal", "keyword", "reply__state")
        .annotate(messages=Count("pk"))
    )
    for of_state, outcome, refusal, keyword, reply, count in groups:
        totals["received"] += count
        outcomes[outcome] += count
        keywords[keyword] += count
        reasons[refusal] += count
        replies[reply or ""] += count
        if of_state == state.ANSWERED and reply:
            totals["answered"] += count
        elif of_state == state.REFUSED and refusal and not reply:
            totals["refused"] += count
        elif of_state == state.WAITING and not reply:
            totals["waiting"] += count
        elif of_state == state.SET_ASIDE and not reply:
            totals["set_aside"] += count
    # The query above sees a message once for each of its replies: one with several is none that is answered once.
    several = _several_replies(span)
    return Books(
        received=totals["received"] - sum(several.values()) + len(several),
        answered=totals["answered"] - sum(several.values()),
        refused=totals["refused"],
        waiting=totals["waiting"],
        set_aside=totals["set_aside"],
        by_outcome=_named(outcomes),
        by_keyword=_named(keywords),
        by_reason=_named(reasons),
        replies=_named(replies),
    )


def _named(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in sorted(counts) if name}


def _messages(span: Span) -> QuerySet[InboundMessage]:
    return InboundMessage.objects.filter(received_at__gte=span.start, received_at__lt=span.end).order_by()


def _replies(span: Span) -> QuerySet[OutboundMessage]:
    received = {"inbound__received_at__gte": span.start, "inbound__received_at__lt": span.end}
    return OutboundMessage.objects.filter(**received).order_by()


def _several_replies(span: Span) -> dict[int, int]:
    """The messages with more than one reply, and how many. A constraint forbids them; the audit trusts none."""
    counted = _replies(span).values("inbound_id").annotate(replies=Count("pk")).filter(replies__gt=1)
    return dict(counted.values_list("inbound_id", "replies"))


# What needs a look


@dataclass(frozen=True)
class Check:
    """One kind of exception: its name, whether its ids are of messages or replies, and how it is found."""

    name: str
    of: str
    title: Any
    find: Callable[[Span, datetime], Iterable[int]]


def _such_messages(**conditions: Any) -> Callable[[Span, datetime], Iterable[int]]:
    return lambda span, now: _messages(span).filter(**conditions).values_list("pk", flat=True)


def _such_replies(**conditions: Any) -> Callable[[Span, datetime], Iterable[int]]:
    return lambda span, now: _replies(span).filter(**conditions).values_list("pk", flat=True)


def _not_once(span: Span, now: datetime) -> Iterable[int]:
    unanswered = _messages(span).filter(state=InboundMessage.State.ANSWERED, reply__isnull=True)
    return [*unanswered.values_list("pk", flat=True), *_several_replies(span)]


def _reply_to_unanswered(span: Span, now: datetime) -> Iterable[int]:
    replied = _messages(span).filter(reply__isnull=False)
    return replied.exclude(state=InboundMessage.State.ANSWERED).values_list("pk", flat=True)


def _waiting_long(span: Span, now: datetime) -> Iterable[int]:
    waiting = _messages(span).filter(state=InboundMessage.State.WAITING, received_at__lt=now - ANSWER_TAKES_AT_MOST)
    return waiting.values_list("pk", flat=True)


def _sending_long(span: Span, now: datetime) -> Iterable[int]:
    sending = _replies(span).filter(state=OutboundMessage.State.SENDING, claimed_at__lt=now - CLAIM_LASTS)
    return sending.values_list("pk", flat=True)


def _unsent_long(span: Span, now: datetime) -> Iterable[int]:
    late = Q(created_at__lt=now - SENDING_STARTS_WITHIN) | ~Q(carrier__in=carriers.names())
    return _replies(span).filter(late, state=OutboundMessage.State.WAITING).values_list("pk", flat=True)


def _unexplained(owner: str, model: Any, rows: Any) -> Iterable[int]:
    """The rows whose state their moves don't lead to: one is missing, out of line, or none that MOVES has."""
    mine: dict[str, Any] = {"partition_by": F(f"{owner}_id"), "order_by": F("pk").asc()}
    allowed: Q = reduce(or_, (Q(before=before, after__in=after) for before, after in model.MOVES.items() if after))
    wrong_moves = (
        Move.objects.filter(**{f"{owner}__in": rows})
        .order_by()
        .annotate(
            came_from=Window(Lag("after", default=Value("WAITING")), **mine),
            followed_by=Window(Lead("pk"), **mine),
        )
        .filter(~Q(before=F("came_from")) | ~allowed | Q(followed_by__isnull=True) & ~Q(after=F(f"{owner}__state")))
    )
    unmoved = rows.exclude(state="WAITING").exclude(Exists(Move.objects.filter(**{owner: OuterRef("pk")})))
    return [*wrong_moves.values_list(f"{owner}_id", flat=True), *unmoved.values_list("pk", flat=True)]


MESSAGES, REPLIES = "messages", "replies"
# What staff settled is accounted for; if they had it answered anew, the message that follows is looked at instead.
UNSETTLED = {"settled_at__isnull": True}

CHECKS = (
    Check("not_answered_once", MESSAGES, _("answered, but without exactly one reply"), _not_once),
    Check("reply_to_unanswered", MESSAGES, _("have a reply, but are not answered"), _reply_to_unanswered),
    Check(
        "refused_without_reason", MESSAGES, _("refused without a reason"), _such_messages(state="REFUSED", refusal="")
    ),
    Check("waiting_long", MESSAGES, _("wait longer than 5 minutes for their answer"), _waiting_long),
    Check("set_aside", MESSAGES, _("set aside after failing"), _such_messages(state="SET_ASIDE", **UNSETTLED)),
    Check(
        "unexplained_state",
        MESSAGES,
        _("in a state that their recorded moves don't lead to"),
        lambda span, now: _unexplained("inbound", InboundMessage, _messages(span)),
    ),
    Check("unknown", REPLIES, _("may have been sent"), _such_replies(state="UNKNOWN", **UNSETTLED)),
    Check("sending_long", REPLIES, _("being sent for longer than a claim lasts"), _sending_long),
    Check("unsent_long", REPLIES, _("wait for an hour, or for a carrier that is not in SMS_CARRIERS"), _unsent_long),
    Check("failed", REPLIES, _("failed"), _such_replies(state="FAILED", **UNSETTLED)),
    Check("expired", REPLIES, _("expired"), _such_replies(state="EXPIRED", **UNSETTLED)),
    Check(
        "unexplained_reply_state",
        REPLIES,
        _("in a state that their recorded moves don't lead to"),
        lambda span, now: _unexplained("outbound", OutboundMessage, _replies(span)),
    ),
)
