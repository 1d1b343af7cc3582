"""Records who looked at whose data, for the auditor to search."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from evncare.addresses import client_address
from evncare.desk.models import AccessRecord


def record(request: HttpRequest, kind: str, subject: str, *, detail: str = "", rows: int | None = None) -> None:
    """Record a look before it is granted: what can't be recorded raises, and so isn't shown.

    ``kind`` is an AccessRecord.Kind, ``subject`` a customer's code, a message's number or the kind of what is
    exported. It is committed at once, so it stays whatever fails afterwards; inside a transaction it is an error.
    """
    user = request.user
    assert user.pk, "only those who have signed in see anything"
    with transaction.atomic(durable=True):
        AccessRecord.objects.create(
            user_id=user.pk,
            kind=AccessRecord.Kind(kind),
            subject=subject,
            detail=detail,
            rows=rows,
            address=client_address(request),
            at=timezone.now(),
        )


def hear(
    sender: Any,
    *,
    request: HttpRequest,
    kind: str,
    subject: str,
    detail: str = "",
    rows: int | None = None,
    **_kwargs: Any,
) -> None:
    """What apps below the desk say of themselves: see evncare.looks."""
    record(request, kind, subject, detail=detail, rows=rows)
