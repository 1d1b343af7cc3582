"""The side bar: which pages it lists, for whom. An entry shows exactly if its page would open."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Page:
    """An entry: ``url`` is a name of the admin's, ``right`` a permission. ``icon`` is a Material symbol's name."""

    title: str | Promise
    icon: str
    url: str
    right: str


@dataclass(frozen=True)
class Section:
    title: str | Promise
    pages: tuple[Page, ...]


def table(title: str | Promise, icon: str, model: str) -> Page:
    """The list of a model, named ``app_model``."""
    return Page(title, icon, f"{model}_changelist", f"{model.split('_')[0]}.view_{model.split('_')[1]}")


SECTIONS = (
    Section(
        _("Desk"),
        (
            table(_("Customers"), "person_search", "billing_customer"),
            table(_("Messages"), "sms", "sms_inboundmessage"),
            table(_("Replies"), "reply", "sms_outboundmessage"),
            Page(_("Try a message"), "smartphone", "sms_try", "sms.try_inboundmessage"),
            table(_("Outages"), "power_off", "outages_outage"),
        ),
    ),
    Section(
        _("Billing"),
        (
            table(_("Bills"), "receipt_long", "billing_invoice"),
            table(_("Debts"), "payments", "billing_debt"),
            table(_("Readings"), "speed", "billing_meterreading"),
            table(_("Reading schedules"), "calendar_month", "billing_readingschedule"),
            table(_("Imports"), "upload_file", "imports_importrun"),
        ),
    ),
    Section(
        _("Supervision"),
        (
            table(_("Wordings"), "edit_note", "sms_wordingversion"),
            table(_("Blocked senders"), "block", "sms_blockedsender"),
            table(_("Carriers"), "cell_tower", "sms_carrierstate"),
            table(_("Audits"), "fact_check", "sms_auditrun"),
            table(_("Reconciliations"), "balance", "sms_reconciliationrun"),
        ),
    ),
    Section(
        _("Control"),
        (
            table(_("Looks at data"), "visibility", "desk_accessrecord"),
            table(_("Uses of personal data"), "privacy_tip", "sms_privacyaction"),
            table(_("Sign-ins"), "login", "desk_signin"),
            table(_("Failed sign-ins"), "lock", "desk_failedsignin"),
            table(_("Staff"), "badge", "auth_user"),
            table(_("Roles"), "groups", "auth_group"),
        ),
    ),
)


def sections(request: HttpRequest) -> list[dict[str, Any]]:
    """The sections and pages that this person may open, in the theme's own shape."""
    links = {page: reverse(f"admin:{page.url}") for section in SECTIONS for page in section.pages}
    here = max((link for link in links.values() if request.path.startswith(link)), key=len, default="")
    return [
        {
            "title": section.title,
            "separator": True,
            "items": [
                {"title": page.title, "icon": page.icon, "link": links[page], "active": links[page] == here}
                for page in section.pages
                if request.user.has_perm(page.right)
            ],
        }
        for section in SECTIONS
    ]
