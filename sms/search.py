"""Messages as staff look for them: by a phone, a customer, an id or words of the text. The newest come first.

A word may stand in a third of all messages or in none, and PostgreSQL can't tell which before it has looked. So we
look in steps, and stop at the first that gives a page: the newest texts are read, which tells how common each word
is; then the rarest word is looked up, among many of the newest and among all; and only if that gave too much, every
word. Why so: docs/decisions/search.md.
"""

import re
from collections.abc import Iterator
from typing import Any

from django.db.models import F, QuerySet

from evncare.admin import typed_code, typed_phone
from evncare.phones import is_whole
from evncare.search import beginning_with, holds, room_for_common_words, searchable, typed_words
from sms.models import InboundMessage, OutboundMessage

READ = 1_500  # texts in one step
MANY = 200_000  # the newest messages among which two indexes together find what is common
RARE = 0.01
A_PAGE = 50
MOST = 500


def carriers() -> Iterator[str]:
    """The carriers that ever handed over a message, by one look into the index for each."""
    rows = InboundMessage.objects.order_by("carrier").values_list("carrier", flat=True)
    carrier = rows.first()
    while carrier is not None:
        yield carrier
        carrier = rows.filter(carrier__gt=carrier).first()


def with_id(term: str) -> set[int]:
    """The messages that have this id with us (``123`` or ``#123``) or with their carrier, or whose reply has."""
    known = tuple(carriers())
    messages, replies = InboundMessage.objects, OutboundMessage.objects
    ours = re.fullmatch(r"#?([0-9]{1,18})", term)
    return {
        *messages.filter(pk__in=(int(ours[1]),) if ours else ()).values_list("pk", flat=True),
        *messages.filter(carrier__in=known, message_id=term).values_list("pk", flat=True),
        *replies.filter(reference=term.lower()).values_list("inbound", flat=True),
        *replies.filter(carrier__in=known, carrier_message_id=term).values_list("inbound", flat=True),
    }


def found(rows: QuerySet[Any], term: str, *, phones_in_part: bool) -> tuple[QuerySet[Any], bool]:
    """Those of ``rows``, messages or replies, that staff mean by ``term``, and whether older ones may be left out.

    Without ``phones_in_part`` a phone has to be typed whole: who isn't shown numbers can't feel their way along them.
    """
    term = term.strip()
    messages, message = rows, "pk"
    if rows.model is OutboundMessage:
        message = "inbound"
        messages = InboundMessage.objects.order_by("-pk")
        if rows.query.has_filters():
            messages = messages.filter(reply__in=rows.order_by())
    named = with_id(term)
    if named and not term.isdecimal():  # a number alone may be meant as something else as well
        return rows.filter(**{f"{message}__in": named}), False
    steps = _newest(messages, term, phones_in_part)
    keys, complete = next((step for step in steps if step[1] or len(step[0]) >= A_PAGE), ([], True))
    return rows.filter(**{f"{message}__in": {*named, *keys[:MOST]}}), not complete or len(keys) > MOST


def _newest(messages: QuerySet[Any], term: str, phones_in_part: bool) -> Iterator[tuple[list[int], bool]]:
    """The messages meant, newest first, and whether these are all: among ever more, until the caller has enough."""
    newest = InboundMessage.objects.order_by("-pk")
    last = newest.values_list("pk", flat=True).first() or 0
    many = messages.filter(pk__gt=last - MANY)
    if meant := _named(term, phones_in_part):
        yield _keys(many.filter(**meant)), False
        yield _keys(_sorted(messages.filter(**meant))), True
        return
    typed = typed_words(term)
    if not typed:
        return

    texts = {pk: searchable(text) for pk, text in newest.values_list("pk", "text")[:READ]}
    yield _keys(messages.filter(pk__in=[pk for pk, text in texts.items() if holds(text, typed)])), False
    # Of equally rare ones the longest: it may be rare among older messages, too.
    often, _shortness, rarest = min((sum(holds(t, [w]) for t in texts.values()), -len(w), w) for w in typed)
    yield _read(many.filter(text__words=rarest).order_by("-pk"), typed)[0], False
    if often <= RARE * len(texts):
        yield _read(_sorted(messages.filter(text__words=rarest)), typed)
    with room_for_common_words():
        keys = _keys(_sorted(messages.filter(text__words=term)))
    yield keys, True


def _sorted(messages: QuerySet[Any]) -> QuerySet[Any]:
    """By an expression: for the sake of the key itself PostgreSQL might go through the whole table, newest first."""
    return messages.order_by((F("pk") + 0).desc())


def _keys(messages: QuerySet[Any]) -> list[int]:
    return list(messages.values_list("pk", flat=True)[: MOST + 1])


def _read(messages: QuerySet[Any], typed: list[str]) -> tuple[list[int], bool]:
    """Those that hold every word typed, and whether all were read."""
    texts = list(messages.values_list("pk", "text")[: READ + 1])
    return [pk for pk, text in texts if holds(searchable(text), typed)], len(texts) <= READ


def _named(term: str, phones_in_part: bool) -> dict[str, Any]:
    """Whose messages are meant, if not words of the text."""
    phone = typed_phone(term)
    if phone and (phones_in_part or is_whole(phone)):
        return beginning_with("sender", phone)
    if code := typed_code(term):
        return beginning_with("customer_code", code)
    if InboundMessage.objects.filter(sender=term).exists():  # no phone, but a name or a short code
        return {"sender": term}
    return {}
