"""What staff find with the one search box: customers and messages, by whatever they have of them.

What was typed may be several things at once: eight digits may be a meter, a message or a street number. Each way of
reading it is a bounded look into an index, so all are tried and told apart by their headings.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from billing import queries as billing
from billing.models import CUSTOMER_CODE_LENGTH
from evncare.admin import day_and_time, sees_phones, typed_code, typed_meter, typed_phone
from evncare.phones import is_whole, masked
from evncare.text import words
from sms.models import InboundMessage
from sms.search import with_id

LONGEST_TERM = 200
NEWEST_OF_PHONE = 3
SEES_CUSTOMERS, SEES_MESSAGES = "billing.view_customer", "sms.view_inboundmessage"
CUSTOMERS, MESSAGES = "billing_customer", "sms_inboundmessage"


@dataclass(frozen=True)
class Hit:
    """One thing found. ``icon`` is a Material symbol's name; a ``certain`` hit is the one thing that was meant.

    A ``list`` is no find itself, but where there is more.
    """

    title: str
    description: str
    link: str
    icon: str
    certain: bool = False
    list: bool = False


@dataclass(frozen=True)
class Group:
    title: str
    hits: tuple[Hit, ...]


def cleaned(typed: str) -> str:
    """What was typed, on one line, without characters that nobody types."""
    return " ".join("".join(c if c.isprintable() else " " for c in typed[:LONGEST_TERM]).split())


def may_search(user: Any) -> bool:
    return any(user.has_perm(right) for right in (SEES_CUSTOMERS, SEES_MESSAGES))


def find(term: str, user: Any, limit: int) -> list[Group]:
    """What ``user`` may see of what ``term`` means, at most ``limit`` customers in a group, what is certain first."""
    if len(term) < 2:
        return []
    groups: list[Group] = []
    if user.has_perm(SEES_CUSTOMERS):
        groups += _customers(term, user, limit)
    if user.has_perm(SEES_MESSAGES):
        groups += _messages(term, user)
    groups = [group for group in groups if group.hits]
    return sorted(groups, key=lambda group: not group.hits[0].certain)


def _customers(term: str, user: Any, limit: int) -> Iterable[Group]:
    def hits(found: list[billing.Listed], certain: bool = False) -> tuple[Hit, ...]:
        return tuple(_customer(customer, user, certain=certain and len(found) == 1) for customer in found)

    code, phone = typed_code(term), _phone(term, user)
    if code:
        yield Group(
            _("Customers with this code"),
            hits(billing.customers_coded(code, limit), certain=len(code) == CUSTOMER_CODE_LENGTH),
        )
    if phone:
        yield Group(
            _("Customers with this phone"), hits(billing.customers_called(phone, limit), certain=is_whole(phone))
        )
    if not code and (meter := typed_meter(term)):
        yield Group(_("Customers with this meter"), hits(billing.customers_of_meter(meter, limit)))
    if not code and re.search("[a-z]", words(term)):
        found = billing.customers_named(term, limit)
        more = (_all(CUSTOMERS, term, _("All customers found")),) if len(found) == limit else ()
        yield Group(_("Customers by name and address"), (*hits(found), *more))


def _messages(term: str, user: Any) -> Iterable[Group]:
    named = list(InboundMessage.objects.defer("payload").filter(pk__in=with_id(term)).order_by("-pk")[:5])
    # A number alone may be many things. Whoever means a message's writes #123.
    certain = len(named) == 1 and not term.isdecimal()
    yield Group(_("Messages with this id"), tuple(_message(message, user, certain) for message in named))

    code, phone = typed_code(term), _phone(term, user)
    if phone:
        newest = InboundMessage.objects.defer("payload").filter(sender=phone).order_by("-received_at")
        found = [_message(message, user) for message in newest[:NEWEST_OF_PHONE]]
        yield Group(_("Messages of this phone"), (*found, _all(MESSAGES, term, _("All messages of this phone"))))
    elif len(code) == CUSTOMER_CODE_LENGTH:
        yield Group(_("Messages about this customer"), (_all(MESSAGES, code, _("All messages about this customer")),))
    elif not named and re.search("[a-z]", words(term)):
        yield Group(_("Messages"), (_all(MESSAGES, term, _("Search the texts of messages")),))


def _customer(customer: billing.Listed, user: Any, certain: bool) -> Hit:
    phones = customer.phones if sees_phones(user) else map(masked, customer.phones)
    return Hit(
        f"{customer.code} {customer.name}",
        " · ".join(filter(None, (customer.meter, customer.address, *phones))),
        reverse(f"admin:{CUSTOMERS}_change", args=[customer.code]),
        "person",
        certain,
    )


def _message(message: InboundMessage, user: Any, certain: bool = False) -> Hit:
    told = (
        day_and_time(message.received_at),
        message.sender if sees_phones(user) else masked(message.sender),
        message.get_outcome_display() or message.get_state_display(),
    )
    return Hit(
        Truncator(" ".join(message.text.split())).chars(80) or f"#{message.pk}",
        " · ".join(filter(None, (f"#{message.pk}", *told))),
        reverse(f"admin:{MESSAGES}_change", args=[message.pk]),
        "sms",
        certain,
    )


def _all(model: str, term: str, title: str) -> Hit:
    """The list of a model, searched."""
    return Hit(title, "", f"{reverse(f'admin:{model}_changelist')}?{urlencode({'q': term})}", "list", list=True)


def _phone(term: str, user: Any) -> str:
    """The phone typed. Who isn't shown numbers has to know it whole, and can't feel their way along it."""
    phone = typed_phone(term)
    return phone if is_whole(phone) or sees_phones(user) else ""
