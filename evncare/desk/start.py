"""The start page: how the service does, at a glance."""

from typing import Any

from django.http import HttpRequest


def page(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the start page shows, on top of the admin's own context."""
    return context
