"""The start page: how the service does, at a glance. Each part is for those who may open the pages that it links to.

Messages are told from their hourly counts, and otherwise by a few looks into an index that stop at a limit: the page
takes the same time whatever the day was like.
"""

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from evncare.desk import navigation
from evncare.desk.start import carriers, counts, imports, messages
from sms import statistics
from sms.models import InboundMessage


def context(request: HttpRequest, shown: dict[str, Any]) -> dict[str, Any]:
    """What the start page shows, on top of the admin's own context."""
    now = timezone.now()
    user: AbstractUser = request.user  # type: ignore[assignment]  # nobody else comes into the admin
    of_messages, of_carriers = user.has_perm("sms.view_inboundmessage"), user.has_perm("sms.view_carrierstate")
    parts: dict[str, Any] = {}
    if of_messages or of_carriers:
        counted_at = statistics.refresh_if_stale(now=now)
        counted, replies = counts.counts(now), messages.latest_replies(now)
        if of_messages:
            parts |= messages.facts(counted, replies) | {
                "counted_at": counted_at,
                "concerns": messages.concerns(user, now),
            }
        if of_carriers:
            parts["carriers"] = carriers.rows(counted, replies, now)
    if user.has_perm("imports.view_importrun"):
        parts |= imports.facts(user, now)
    has_pages = any(section["items"] for section in navigation.sections(request))
    parts |= {"now": now, "shortcuts": shortcuts(user), "has_parts": bool(parts), "has_pages": has_pages}
    return shown | {"start": parts}


def shortcuts(user: AbstractUser) -> list[tuple[str, str]]:
    """The titles and addresses of what agents open most."""
    log, outages = messages.list_of(InboundMessage), reverse("admin:outages_outage_changelist")
    known = (
        ("sms.try_inboundmessage", _("Try a message"), reverse("admin:sms_try")),
        ("sms.view_inboundmessage", _("Messages of today"), f"{log}?day=today"),
        ("outages.view_outage", _("Outages running now"), f"{outages}?stage=running"),
    )
    return [(title, address) for right, title, address in known if user.has_perm(right)]
