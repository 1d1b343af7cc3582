"""Who may open what: one table over every address of the admin and every role, and nothing beyond it."""

import re
from html import unescape

import pytest
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, Group
from django.urls import URLPattern, URLResolver, reverse

from evncare.desk import navigation
from evncare.desk.roles import ROLES
from tests import factories
from tests.factories import CODE

pytestmark = pytest.mark.django_db

# Each address by its name, for "see" what opens it and for "do" what it takes in. "all" are all roles; "staff" is
# everybody who may sign in, with a role or without. What is not named for an address is refused there.
TABLE = """
index                          see staff
search                         see all
second_factor                  see staff    do staff
password_change                see staff    do staff
password_change_done           see staff
jsi18n                         see staff
autocomplete                   see all
view_on_site                   see nobody

app_list billing               see all
app_list outages               see all
app_list sms                   see agent supervisor auditor administrator
app_list imports               see supervisor billing auditor administrator
app_list auth                  see supervisor auditor administrator
app_list desk                  see auditor administrator

billing_customer_changelist    see all
billing_customer_change        see all    do billing administrator
billing_customer_edit          see billing administrator    do billing administrator
billing_customer_history       see all
billing_customer_add           see billing administrator    do billing administrator
billing_customer_import        see billing administrator    do billing administrator
billing_customer_export        see billing auditor administrator    do billing auditor administrator
billing_customer_delete        see nobody

ACCOUNT_changelist             see all
ACCOUNT_change                 see all    do billing administrator
ACCOUNT_history                see all
ACCOUNT_add                    see billing administrator    do billing administrator
ACCOUNT_import                 see billing administrator    do billing administrator
ACCOUNT_export                 see billing auditor administrator    do billing auditor administrator
ACCOUNT_delete                 see nobody

imports_importrun_changelist   see supervisor billing auditor administrator
imports_importrun_change       see supervisor billing auditor administrator
imports_importrun_history      see supervisor billing auditor administrator
imports_importrun_progress     see supervisor billing auditor administrator
imports_importrun_rejects      see supervisor billing
imports_importrun_confirm      see billing administrator    do billing administrator
imports_importrun_cancel       see billing administrator    do billing administrator
imports_importrun_undo         see billing administrator    do billing administrator
imports_importrun_add          see nobody
imports_importrun_delete       see nobody

MESSAGE_changelist             see agent supervisor auditor administrator
MESSAGE_change                 see agent supervisor auditor administrator
MESSAGE_history                see agent supervisor auditor administrator
MESSAGE_add                    see nobody
MESSAGE_delete                 see nobody
sms_inboundmessage_handle      see agent supervisor    do agent supervisor
sms_try                        see agent supervisor administrator    do agent supervisor administrator

sms_wordingversion_changelist  see agent supervisor auditor administrator
sms_wordingversion_change      see agent supervisor auditor administrator
sms_wordingversion_history     see agent supervisor auditor administrator
sms_wordingversion_edit        see agent supervisor auditor administrator    do supervisor administrator
sms_wordingversion_effect      do supervisor administrator
sms_wordingversion_add         see nobody
sms_wordingversion_delete      see nobody

sms_blockedsender_changelist   see agent supervisor auditor administrator
sms_blockedsender_change       see agent supervisor auditor administrator    do supervisor administrator
sms_blockedsender_history      see agent supervisor auditor administrator
sms_blockedsender_add          see supervisor administrator    do supervisor administrator
sms_blockedsender_delete       see nobody

CONTROL_changelist             see supervisor auditor administrator
CONTROL_change                 see supervisor auditor administrator
CONTROL_history                see supervisor auditor administrator
CONTROL_add                    see nobody
CONTROL_delete                 see nobody
sms_reconciliationrun_changelist   see supervisor auditor administrator
sms_reconciliationrun_change       see supervisor auditor administrator
sms_reconciliationrun_history      see supervisor auditor administrator
sms_reconciliationrun_differences  see supervisor auditor administrator
sms_reconciliationrun_add          see supervisor administrator    do supervisor administrator
sms_reconciliationrun_delete       see nobody

sms_privacyaction_changelist   see auditor administrator
sms_privacyaction_change       see auditor administrator
sms_privacyaction_history      see auditor administrator
sms_privacyaction_add          see nobody
sms_privacyaction_delete       see nobody

desk_accessrecord_changelist   see auditor
desk_accessrecord_change       see auditor
desk_accessrecord_history      see auditor
desk_accessrecord_add          see nobody
desk_accessrecord_delete       see nobody

SIGNIN_changelist              see auditor administrator
SIGNIN_change                  see auditor administrator
SIGNIN_history                 see auditor administrator
SIGNIN_add                     see nobody
SIGNIN_delete                  see nobody

auth_user_changelist           see supervisor auditor administrator
auth_user_change               see supervisor auditor administrator    do administrator
auth_user_history              see supervisor auditor administrator
auth_user_add                  see administrator    do administrator
auth_user_password_change      see administrator    do administrator
auth_user_delete               see nobody
auth_group_changelist          see supervisor auditor administrator
auth_group_change              see supervisor auditor administrator
auth_group_history             see supervisor auditor administrator
auth_group_add                 see nobody
auth_group_delete              see nobody
"""
# Rows that hold for several tables alike.
ALIKE = {
    "ACCOUNT": (
        "billing_readingschedule", "billing_meterreading", "billing_invoice", "billing_debt", "outages_outage",
    ),
    "MESSAGE": ("sms_inboundmessage", "sms_outboundmessage"),
    "CONTROL": ("sms_carrierstate", "sms_auditrun"),
    "SIGNIN": ("desk_signin", "desk_failedsignin"),
}  # fmt: skip
# Where one signs in and out, which tests/desk/test_signin.py is about.
DOORS = {"login", "logout"}
# What an address needs to be asked in earnest. An export without columns is refused by its form, not by rights.
ASKED = {
    "autocomplete": {"term": "pp05", "app_label": "billing", "model_name": "invoice", "field_name": "customer"},
    "sms_inboundmessage_handle": {"kind": "SETTLED"},
}
# What takes nothing in answers a post as if it were asked. A list takes actions, whose rights are tested with them.
PASSIVE = re.compile(
    "^(index|search|password_change_done|jsi18n|autocomplete|app_list .*)$"
    "|^(imports_importrun_change|sms_wordingversion_change)$"
    "|_(changelist|history|progress|rejects|differences)$"
)
REFUSED = (403, 404, 405)
NO_ROLE = "staff"
PHONES = ("905123456", "905999999", "914000111")


def rights():
    """Who may see and who may do, by address."""
    table = {}
    for line in TABLE.split("\n"):
        if not line:
            continue
        before, *parts = re.split(r"\s+(?=(?:see|do)\b)", line)
        allowed = {"see": set(), "do": set()}
        for part in parts:
            verb, *who = part.split()
            for one in who:
                allowed[verb] |= {"all": set(ROLES), "staff": {*ROLES, NO_ROLE}, "nobody": set()}.get(one, {one})
        kind, _, rest = before.partition("_")
        for name in (f"{model}_{rest}" for model in ALIKE[kind]) if kind in ALIKE else (before,):
            assert name not in table, f"{name} stands twice in the table"
            table[name] = allowed
    return table


def addresses():
    """Every address of the admin with a name, filled in with the keys of real rows: pairs of name and address."""

    def walk(patterns, before):
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, before + str(pattern.pattern))
            elif isinstance(pattern, URLPattern) and pattern.name and pattern.name not in DOORS:
                yield pattern.name, before + str(pattern.pattern)

    for name, route in walk(admin.site.get_urls(), reverse("admin:index")):
        if name == "app_list":
            for label in {model._meta.app_label for model in admin.site._registry}:
                yield f"app_list {label}", reverse("admin:app_list", args=[label])
        else:
            yield name, re.sub(r"<[^>]+>", lambda argument, name=name: key_for(name, argument[0]), route)


def key_for(name, argument):
    if argument == "<str:key>":
        return "NTD.none"
    if name == "view_on_site":
        return "1"
    [model] = [m for m in admin.site._registry if name.startswith(f"{m._meta.app_label}_{m._meta.model_name}_")]
    return str(model._default_manager.order_by("pk").last().pk)


def opens(client, method, name, address):
    """Whether the answer is the page, or leads on inside; fails for anything that is neither that nor a refusal."""
    data = ASKED.get(name, {})
    response = client.get(address, data) if method == "see" else client.post(address, data)
    response.getvalue()  # a file is closed once it is read
    if response.status_code in REFUSED or leads_to_sign_in(response):
        return False
    assert response.status_code in (200, 302, 400, 409), (method, address, response.status_code)
    return True


def leads_to_sign_in(response):
    return response.status_code == 302 and response["Location"].startswith(reverse("admin:login"))


@pytest.fixture
def everything(settings, tmp_path):
    """Something behind every address, rejects of an import too."""
    settings.IMPORTS_DIR = tmp_path
    factories.a_row_of_every_page()
    (tmp_path / "stored.rejects.csv").write_text("MA_KHANG,DTHOAI,LY_DO\nx,0905 12345,y\n")
    sample = {
        "changes": [
            {"line": 2, "is_new": True, "cells": [[None, "0914000111" if n == 3 else str(n)] for n in range(8)]}
        ],
        "rejects": [[3, "DTHOAI", "0914000111 1", "0914000111 1"]],
    }
    factories.import_run(stored="stored", sample=sample)


def test_every_address_of_the_admin_is_in_the_table(everything):
    assert sorted(rights()) == sorted({name for name, _address in addresses()})


@pytest.mark.parametrize("role", [*ROLES, NO_ROLE])
def test_an_address_opens_exactly_to_the_roles_in_the_table(client, everything, role):
    table = rights()
    client.force_login(factories.staff("" if role == NO_ROLE else role))
    opened = {
        (name, verb) for name, address in addresses() for verb in ("see", "do") if opens(client, verb, name, address)
    }

    expected = {(name, verb) for name in table for verb in ("see", "do") if role in table[name][verb]}
    passive = {(name, "do") for name, verb in expected if verb == "see" and PASSIVE.search(name)}
    assert opened - passive - expected == set(), "opens, against the table"
    assert expected - opened == set(), "is refused, against the table"


def test_nobody_gets_in_without_signing_in(client, everything):
    for name, address in addresses():
        for response in (client.get(address, ASKED.get(name, {})), client.post(address, ASKED.get(name, {}))):
            assert name == "jsi18n" or leads_to_sign_in(response), (name, response.status_code)


def test_whoever_is_no_staff_is_as_anyone(client, everything):
    client.force_login(factories.User.objects.create_user("customer"))
    for name, address in addresses():
        response = client.get(address, ASKED.get(name, {}))
        assert name == "jsi18n" or leads_to_sign_in(response) or response.status_code == 403, name


def menu(role, rf):
    request = rf.get("/")
    request.user = factories.User.objects.get(username=role) if role else AnonymousUser()
    return {page["link"] for section in navigation.sections(request) for page in section["items"]}


@pytest.mark.parametrize("role", ROLES)
def test_the_menu_lists_a_page_exactly_if_it_opens(client, everything, rf, role):
    client.force_login(factories.staff(role))
    listed = menu(role, rf)
    pages = {reverse(f"admin:{page.url}") for section in navigation.SECTIONS for page in section.pages}

    assert listed == {address for address in pages if client.get(address).status_code == 200}
    lists = {address for name, address in addresses() if name.endswith("_changelist") or name == "sms_try"}
    assert lists == pages, "what isn't in anybody's menu is nobody's page"


def test_those_without_a_role_have_an_empty_menu(rf, everything):
    factories.staff(name="nobody")
    assert menu("nobody", rf) == menu("", rf) == set()


def test_every_role_of_the_table_is_a_group():
    named = {one for allowed in rights().values() for who in allowed.values() for one in who}
    assert named - {NO_ROLE} == set(ROLES) == set(Group.objects.values_list("name", flat=True))


MORE = ("/admin/search/?s=0905123456", "/admin/search/?s=nguyen", f"/admin/sms/inboundmessage/?q={CODE}")


@pytest.mark.parametrize("role", [role for role in ROLES if "billing.view_phones" not in ROLES[role].permissions])
def test_no_page_shows_a_full_phone_number_to_those_who_need_not_see_any(client, everything, role):
    client.force_login(factories.staff(role))
    pages = [*addresses(), *(("", address) for address in MORE)]
    seen = 0
    for name, address in pages:
        response = client.get(address, ASKED.get(name, {}))
        if response.status_code != 200:
            continue
        html = unescape(b"".join(response).decode())
        if "s=0905123456" in address:  # what one typed stands in the box
            html = html.replace("0905123456", "")
        digits = re.sub(r"[\s.\-]", "", html)
        assert not any(phone in digits for phone in PHONES), (name, address)
        seen += "•••••" in html
    assert seen >= 5, "numbers are there, masked"


def test_roles_that_see_phone_numbers_are_those_who_talk_to_customers():
    assert {name for name, role in ROLES.items() if "billing.view_phones" in role.permissions} == {
        "agent", "supervisor", "billing",
    }  # fmt: skip
