"""From which network address a request comes, also behind our own proxies."""

from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str | None:
    """The address that talked to the outermost of our TRUSTED_PROXIES; None if we are reached through a socket.

    Each proxy appends whom it heard to X-Forwarded-For. What stands further left is the client's own claim.
    """
    addresses = request.headers.get("X-Forwarded-For", "").split(",")
    if 0 < settings.TRUSTED_PROXIES <= len(addresses):
        try:
            return str(ip_address(addresses[-settings.TRUSTED_PROXIES].strip()))
        except ValueError:
            pass  # no proxy of ours wrote this
    return request.META.get("REMOTE_ADDR") or None
