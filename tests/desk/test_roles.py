"""The roles: groups that follow the table."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command

from evncare.desk.roles import ROLES


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
def test_an_agent_reads_accounts_but_changes_nothing():
    agent = User.objects.create_user("agent")
    agent.groups.add(Group.objects.get(name="agent"))
    assert agent.has_perm("billing.view_debt")
    assert not any(not name.split(".")[1].startswith("view_") for name in agent.get_all_permissions())


def test_nobody_may_delete_history_or_write_messages():
    for role in ROLES.values():
        for permission in role.permissions:
            assert "delete_" not in permission or permission.startswith("auth.")
            assert not permission.endswith(("boundmessage", "_move")) or permission.startswith("sms.view_")
