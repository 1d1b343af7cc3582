"""What the desk adds to the admin's own pages."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import template
from django.utils import timezone
from django.utils.safestring import SafeString

from sms.models import AuditRun, InboundMessage

register = template.Library()


@register.inclusion_tag("admin/desk/audit_complaint.html", takes_context=True)
def audit_complaint(context: template.Context) -> dict[str, Any]:
    """What staff who may see audits have to know of the latest: it found something, or it did not run."""
    request = context["request"]
    if not request.user.has_perm("sms.view_auditrun"):
        return {}
    latest = AuditRun.objects.first()
    overdue = latest is not None and latest.day < timezone.localdate() - timedelta(days=2)
    wrong = latest is not None and (not latest.balanced or latest.exceptions > 0)
    return {"run": latest, "overdue": overdue, "wrong": wrong}


# The theme reads all template libraries while it is being imported itself, and evncare.admin stands on it: hence the
# late imports.


@register.filter
def grouped(value: int | Decimal) -> str:
    from evncare.admin import grouped

    return grouped(value)


@register.simple_tag
def tag(state: str, label: Any) -> SafeString:
    from evncare.admin import tag

    return tag(state, label)


@register.filter
def understood(message: InboundMessage) -> str:
    from sms.admin.life import understood

    return understood(message)
