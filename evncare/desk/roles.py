"""Who may do what: one table of roles. Each becomes a group, kept equal to this table by every migrate."""

from dataclasses import dataclass
from typing import Any

from django.apps.registry import Apps
from django.apps.registry import apps as installed
from django.contrib.auth.management import create_permissions
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Permissions = frozenset[str]


@dataclass(frozen=True)
class Role:
    """``permissions`` are named ``app.action_model``, as in ``user.has_perm``."""

    title: str | Promise
    permissions: Permissions


def of(actions: str, *models: str) -> Permissions:
    """``of("view add", "billing.debt")`` is viewing and adding debts."""
    named = (model.split(".") for model in models)
    return frozenset(f"{app}.{action}_{model}" for app, model in named for action in actions.split())


CUSTOMERS = ("billing.customer",)
ACCOUNTS = ("billing.readingschedule", "billing.meterreading", "billing.invoice", "billing.debt")
OUTAGES = ("outages.outage",)
MESSAGES = ("sms.inboundmessage", "sms.outboundmessage")
BLOCKS = ("sms.blockedsender",)
CONTROL = ("sms.carrierstate", "sms.auditrun", "sms.reconciliationrun")
WORDINGS = ("sms.wordingversion",)
PRIVACY = ("sms.privacyaction",)
LOOKS = ("desk.accessrecord",)
SIGN_INS = ("desk.signin", "desk.failedsignin")
RUNS = ("imports.importrun",)
USERS, STAFF = ("auth.user",), ("auth.user", "auth.group")
PHONES = of("view", "billing.phones")  # in full; masked for all others

DESK = of("view", *CUSTOMERS, *ACCOUNTS, *OUTAGES, *MESSAGES, *BLOCKS, *WORDINGS)

# Nobody deletes: what left the billing system is history. Nobody writes messages: they are what carriers delivered.
ROLES = {
    "agent": Role(_("call-centre agent"), DESK | PHONES | of("try handle", MESSAGES[0])),
    "supervisor": Role(
        _("shift supervisor"),
        DESK | PHONES | of("try handle", MESSAGES[0]) | of("resend", MESSAGES[1]) | of("add", *WORDINGS)
        | of("view", *STAFF, *CONTROL, *RUNS) | of("add change", *BLOCKS) | of("add", "sms.reconciliationrun"),
    ),
    "billing": Role(
        _("billing staff"),
        PHONES | of("view add change", *CUSTOMERS, *ACCOUNTS, *OUTAGES) | of("view confirm export", *RUNS),
    ),
    "auditor": Role(
        _("auditor"),
        DESK | of("view", *STAFF, *CONTROL, *PRIVACY, *LOOKS, *SIGN_INS) | of("view export", *RUNS)
        | of("view", "admin.logentry"),
    ),
    "administrator": Role(
        _("administrator"),
        DESK | of("add change", *CUSTOMERS, *ACCOUNTS, *OUTAGES) | of("view", *STAFF) | of("add change", *USERS)
        | of("view", "admin.logentry", *CONTROL, *PRIVACY, *SIGN_INS) | of("add change", *BLOCKS) | of("add", *WORDINGS)
        | of("try", MESSAGES[0]) | of("add", "sms.reconciliationrun") | of("view confirm export", *RUNS),
    ),
}  # fmt: skip


def create_roles(using: str, apps: Apps = installed, **_kwargs: Any) -> None:
    """Make the groups as the table says; on post_migrate, where ``apps`` are the models migrated so far."""
    try:
        group_model = apps.get_model("auth", "Group")
        permission_model = apps.get_model("auth", "Permission")
    except LookupError:
        return
    for app in sorted({name.split(".")[0] for role in ROLES.values() for name in role.permissions}):
        # Those of later apps would otherwise come into being only after us.
        create_permissions(installed.get_app_config(app), verbosity=0, using=using, apps=apps)
    ids = {
        f"{app}.{codename}": pk
        for pk, app, codename in permission_model.objects.using(using).values_list(
            "pk", "content_type__app_label", "codename"
        )
    }
    for name, role in ROLES.items():
        group, _created = group_model.objects.using(using).get_or_create(name=name)
        group.permissions.set([ids[permission] for permission in role.permissions if permission in ids])
