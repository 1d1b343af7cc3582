"""Moving messages from state to state: only as MOVES allows, each move recorded with its time and cause."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from sms.models import InboundMessage, Move, OutboundMessage, moves_to


def move(
    rows: "QuerySet[InboundMessage] | QuerySet[OutboundMessage]",
    state: str,
    *,
    at: datetime,
    cause: str,
    **changes: Any,
) -> int:
    """Move those of the rows that may move to the state, with the changes of other columns, and return how many.

    A row that is elsewhere already stays as it is: a late or repeated cause changes nothing.
    """
    model = rows.model
    with transaction.atomic():
        found = list(
            rows.filter(state__in=moves_to(model, state))
            .order_by("pk")
            .select_for_update(of=("self",))
            .values_list("pk", "state")
        )
        if found:
            model._default_manager.filter(pk__in=[pk for pk, _ in found]).update(state=state, **changes)
            record(model, ((pk, before) for pk, before in found), state, at=at, cause=cause)
    return len(found)


def record(
    model: type[InboundMessage] | type[OutboundMessage],
    moved: Iterable[tuple[int, str]],
    state: str,
    *,
    at: datetime,
    cause: str,
) -> None:
    """Note the moves of these rows, given as key and former state, in the caller's transaction."""
    owner = "inbound_id" if model is InboundMessage else "outbound_id"
    Move.objects.bulk_create(
        Move(**{owner: pk}, before=before, after=state, at=at, cause=cause[:200]) for pk, before in moved
    )
