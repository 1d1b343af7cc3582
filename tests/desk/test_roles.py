"""The roles: groups that follow the table."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command

from evncare.desk.roles import ROLES
from tests import factories


def permissions_of(group):
    return {f"{p.content_type.app_label}.{p.codename}" for p in group.permissions.select_related("content_type")}


@pytest.mark.django_db
def test_every_role_is_a_group_with_exactly_the_permissions_of_the_table():
    assert {group.name: permissions_of(group) for group in Group.objects.all()} == {
        name: role.permissions for name, role in ROLES.items()
    }


@pytest.mark.django_db
def test_migrating_again_mends_a_group():
    agent = Group.objects.get(name="agent")
    agent.permissions.set(Permission.objects.filter(codename="delete_customer"))
    Group.objects.filter(name="auditor").delete()
    call_command("migrate", verbosity=0)
    assert permissions_of(agent) == ROLES["agent"].permissions
    assert permissions_of(Group.objects.get(name="auditor")) == ROLES["auditor"].permissions


@pytest.mark.django_db
def test_an_agent_reads_everything_that_is_asked_and_changes_nothing_of_it():
    agent = factories.staff("agent")
    assert agent.has_perm("billing.view_debt")
    beyond = {name for name in agent.get_all_permissions() if not name.split(".")[1].startswith("view_")}
    assert beyond == {"sms.try_inboundmessage", "sms.handle_inboundmessage"}


# What is done about messages, beside reading them, is recorded by who did it and leaves them as they are.
ABOUT_MESSAGES = {"try_inboundmessage", "handle_inboundmessage", "resend_outboundmessage"}


def test_nobody_may_delete_history_or_write_messages_or_records():
    kept = ("boundmessage", "_move", "_handling", "_accessrecord", "_privacyaction")
    for role in ROLES.values():
        for permission in role.permissions:
            action = permission.split(".")[1]
            assert not action.startswith("delete_") or permission.startswith("auth.")
            assert not action.endswith(kept) or action.startswith("view_") or action in ABOUT_MESSAGES


def test_who_decides_is_not_who_checks():
    auditor = ROLES["auditor"].permissions
    assert all(permission.split(".")[1].startswith(("view_", "export_")) for permission in auditor)
    watching = {name for name, role in ROLES.items() if "desk.view_accessrecord" in role.permissions}
    assert watching == {"auditor"}
