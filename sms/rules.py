"""The rules by which a message is refused: each has a reason that is recorded, and some are told the sender once."""

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from django.conf import settings
from django.db.models import Count, Q

from evncare.text import unaccent
from sms import versions
from sms.models import BlockedSender, InboundMessage, Refusal
from sms.parser import Question
from sms.syntaxes import catalogue_text
from sms.wording import WORDINGS, in_force

# A carrier that hears nothing within seconds may send again under a new id; a person asks again after the answer.
RESEND_WINDOW = timedelta(seconds=60)
# What a sender is told, once in the time that the limit looks back to.
TOLD = {Refusal.TOO_MANY: timedelta(hours=1), Refusal.TOO_MANY_CODES: timedelta(days=1)}


@dataclass(frozen=True)
class Ruling:
    """Why a message is refused, whether the sender is told so, and which message it repeats."""

    refusal: Refusal
    told: bool = False
    repeats: int | None = None


def refusal_of(sender: str, *, is_binary: bool = False) -> Refusal | None:
    """The rule against a message that can be seen from its sender and kind alone."""
    if is_binary:
        return Refusal.BINARY
    if not re.fullmatch(r"\d{7,15}", sender):
        return Refusal.UNANSWERABLE_SENDER  # an alphanumeric name or a short code: a machine, and perhaps a loop
    return None


@versions.in_force()
def lasting_refusal(sender: str, text: str, *, is_binary: bool, now: datetime) -> Refusal | None:
    """The rule that would refuse such a message also if staff had it answered anew."""
    return _lasting(sender, text, is_binary, _blocked({sender}, now))


def _lasting(sender: str, text: str, is_binary: bool, blocked: Container[str]) -> Refusal | None:
    if refusal := refusal_of(sender, is_binary=is_binary):
        return refusal
    if sender in blocked:
        return Refusal.BLOCKED
    return Refusal.ECHO if is_echo(text) else None


def judge(messages: Sequence[InboundMessage], questions: Sequence[Question], now: datetime) -> dict[int, Ruling]:
    """The rulings against those of a batch that are refused, by key. A fixed number of queries, whatever its size."""
    blocked = _blocked({message.sender for message in messages}, now)
    repeated = _repeated(messages)
    limits = _Limits(messages, now)
    rulings: dict[int, Ruling] = {}
    for message, question in sorted(zip(messages, questions, strict=True), key=lambda pair: pair[0].pk):
        if plain := _lasting(message.sender, message.text, message.is_binary, blocked):
            rulings[message.pk] = Ruling(plain)
        elif message.follows_id is not None:
            continue  # staff had it answered anew: the customer sent nothing more
        elif message.pk in repeated:
            rulings[message.pk] = Ruling(Refusal.RESENT, repeats=repeated[message.pk])
        elif over := limits.exceeded_by(message.sender, question.customer):
            rulings[message.pk] = over
    return rulings


def is_echo(text: str) -> bool:
    """Whether a text is one of our own replies, as delivered or as worded now: then a machine is at the other end."""
    said = (*WORDINGS.values(), *(in_force() or {}).values())
    return unaccent(text).strip().startswith(_openings(said))


@lru_cache(maxsize=8)
def _openings(wordings: tuple[str, ...]) -> tuple[str, ...]:
    """How replies begin, up to their first fact: with our name and more. How else they begin, customers may too."""
    openings = {unaccent(wording.partition("{")[0]).strip() for wording in wordings}
    ours = (opening for opening in openings if opening.startswith("EVNCPC") and len(opening) > len("EVNCPC: "))
    return (catalogue_text(), *ours)


def _blocked(senders: Iterable[str], now: datetime) -> set[str]:
    rows = BlockedSender.objects.filter(Q(until__isnull=True) | Q(until__gt=now), sender__in=set(senders))
    return set(rows.values_list("sender", flat=True))


def _repeated(messages: Sequence[InboundMessage]) -> dict[int, int]:
    """Which of the messages repeat an earlier one that was not answered when they came: key -> the earlier's key."""
    received = [message.received_at for message in messages]
    candidates = (
        InboundMessage.objects.filter(
            sender__in={message.sender for message in messages},
            text__in={message.text for message in messages},
            received_at__range=(min(received) - RESEND_WINDOW, max(received) + RESEND_WINDOW),
            follows__isnull=True,
        )
        .exclude(refusal=Refusal.RESENT)
        .order_by("pk")
        .values_list("pk", "sender", "short_code", "text", "received_at", "concluded_at")
    )
    earlier: dict[tuple[str, str, str], list[tuple[int, datetime, datetime | None]]] = defaultdict(list)
    for pk, sender, short_code, text, received_at, concluded_at in candidates:
        earlier[sender, short_code, text].append((pk, received_at, concluded_at))
    repeated: dict[int, int] = {}
    for message in sorted(messages, key=lambda message: message.pk):
        for pk, received_at, concluded_at in earlier[message.sender, message.short_code, message.text]:
            soon = abs(message.received_at - received_at) <= RESEND_WINDOW
            unanswered = concluded_at is None or concluded_at > message.received_at
            # Keys are given before messages are committed, so the first to be judged may have the higher one.
            came_first = pk < message.pk or (pk != message.pk and concluded_at is not None)
            if came_first and pk not in repeated and soon and unanswered:
                repeated[message.pk] = pk
                break
    return repeated


class _Limits:
    """How many messages, and how many customers' codes, each sender has sent lately, the batch's own included."""

    def __init__(self, messages: Sequence[InboundMessage], now: datetime) -> None:
        concluded = InboundMessage.objects.filter(
            sender__in={message.sender for message in messages},
            received_at__gt=now - timedelta(days=1),
            follows__isnull=True,
        ).exclude(concluded_at__isnull=True)
        hour = Q(received_at__gt=now - TOLD[Refusal.TOO_MANY])
        told = Q(state=InboundMessage.State.ANSWERED)
        self._messages: Counter[str] = Counter()
        self._codes: dict[str, set[str]] = defaultdict(set)
        self._told: set[tuple[str, Refusal]] = set()
        counted = concluded.values("sender").annotate(
            messages=Count("pk", filter=hour & ~Q(refusal=Refusal.RESENT)),
            told_hour=Count("pk", filter=hour & told & Q(refusal=Refusal.TOO_MANY)),
            told_day=Count("pk", filter=told & Q(refusal=Refusal.TOO_MANY_CODES)),
        )
        for row in counted:
            sender = row["sender"]
            self._messages[sender] = row["messages"]
            self._told |= {(sender, Refusal.TOO_MANY)} if row["told_hour"] else set()
            self._told |= {(sender, Refusal.TOO_MANY_CODES)} if row["told_day"] else set()
        codes = concluded.exclude(customer_code="").exclude(refusal=Refusal.TOO_MANY_CODES)
        for sender, code in codes.values_list("sender", "customer_code").distinct():
            self._codes[sender].add(code)

    def exceeded_by(self, sender: str, code: str | None) -> Ruling | None:
        """Count one more message of the sender, and rule on it if that is more than a limit allows."""
        self._messages[sender] += 1
        if self._messages[sender] > settings.SMS_LIMIT_PER_HOUR:
            return self._ruling(sender, Refusal.TOO_MANY)
        if code and code not in self._codes[sender]:
            if len(self._codes[sender]) >= settings.SMS_CODES_PER_DAY:
                return self._ruling(sender, Refusal.TOO_MANY_CODES)
            self._codes[sender].add(code)
        return None

    def _ruling(self, sender: str, refusal: Refusal) -> Ruling:
        told = (sender, refusal) not in self._told
        self._told.add((sender, refusal))
        return Ruling(refusal, told=told)
