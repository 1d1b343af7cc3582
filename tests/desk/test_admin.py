import re
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.urls import reverse
from django.utils import timezone

from sms import audit
from tests import factories


@pytest.fixture
def rows(db, admin_user):
    """A row of every model that has pages in the admin."""
    factories.a_row_of_every_page()
    Group.objects.create(name="agents")
    return {model: model._default_manager.latest("pk") for model in admin.site._registry}


@pytest.mark.django_db
@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label)
def test_nothing_can_be_deleted_even_by_a_superuser(admin_client, rows, model):
    name, pk = f"admin:{model._meta.app_label}_{model._meta.model_name}", rows[model].pk
    confirmed = {"post": "yes", "action": "delete_selected", "_selected_action": [pk]}

    assert admin_client.post(reverse(f"{name}_delete", args=[pk]), confirmed).status_code == 403
    assert "delete_selected" not in admin_client.get(reverse(f"{name}_changelist")).content.decode()
    admin_client.post(reverse(f"{name}_changelist"), confirmed)
    assert model._default_manager.filter(pk=pk).exists()


@pytest.mark.django_db
def test_pages_are_vietnamese_whatever_the_browser_prefers_until_somebody_chooses(client):
    client.force_login(User.objects.create_superuser("admin"))
    english = {"headers": {"accept-language": "en-US,en;q=0.9"}}
    assert 'lang="vi"' in client.get("/admin/", **english).content.decode()
    client.post("/language/", {"language": "en", "next": "/admin/"})
    assert 'lang="en' in client.get("/admin/").content.decode()


@pytest.mark.django_db
def test_the_start_page_complains_of_an_audit_that_found_something(client):
    client.force_login(User.objects.create_superuser("admin"))
    assert "note bad" not in client.get("/admin/").content.decode()
    factories.inbound(state="SET_ASIDE", attempts=3, received_at=timezone.now() - timedelta(days=1))
    run = audit.audit_day(timezone.localdate() - timedelta(days=1), now=timezone.now())
    address = reverse("admin:sms_auditrun_change", args=[run.pk])
    assert address in client.get("/admin/").content.decode()
    client.force_login(User.objects.create_user("agent", is_staff=True))
    assert address not in client.get("/admin/").content.decode()


@pytest.mark.django_db
def test_an_administrator_makes_nobody_mightier_than_a_role(client):
    administrator = factories.staff("administrator", "an")
    superuser = User.objects.create_superuser("root")
    client.force_login(administrator)
    address = reverse("admin:auth_user_change", args=[administrator.pk])
    posted = {
        "username": "an",
        "is_active": "on",
        "is_staff": "on",
        "is_superuser": "on",
    }
    page = client.get(address).content.decode()
    assert [len(re.findall(rf'type="checkbox"\s+name="{name}"', page)) for name in ("groups", "is_active")] == [5, 1]
    assert "quản trị viên" in page
    client.post(address, posted | {"groups": [administrator.groups.get().pk]})
    administrator.refresh_from_db()
    assert not administrator.is_superuser
    assert client.post(reverse("admin:auth_user_password_change", args=[superuser.pk])).status_code == 403
    assert client.post(reverse("admin:auth_user_change", args=[superuser.pk]), posted).status_code == 403
