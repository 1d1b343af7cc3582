"""What a message costs the customer, as every page words it."""

from django.conf import settings
from django.utils.translation import gettext, ngettext

from evncare.admin import grouped
from sms.models import OutboundMessage


def price(*, charged: bool) -> str:
    """What the customer pays for the message."""
    if not charged:
        return gettext("free")
    return gettext("%(amount)s VND") % {"amount": grouped(settings.SMS_PRICE_VND)}


def size_and_price(reply: OutboundMessage) -> str:
    size = ngettext("%(count)s segment", "%(count)s segments", reply.segments) % {"count": reply.segments}
    return f"{size}, {price(charged=reply.charge)}"
