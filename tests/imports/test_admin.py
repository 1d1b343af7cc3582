"""Import and export through the admin: the same files, columns and results as on the command line."""

import re
from pathlib import Path
from typing import Any

import pytest
import tablib
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import path
from django.utils import translation
from django.views.i18n import set_language

from billing.exports import CUSTOMERS, DEBTS
from billing.models import Customer, Debt
from evncare.imports.admin import ExchangeAdmin
from evncare.imports.resources import resource_for
from tests import factories
from tests.imports.tables import CUSTOMER, DEBT, csv_file, gzip_file, load, stored, xlsx_file

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls(__name__),
]


class CustomerAdmin(ExchangeAdmin):
    export = CUSTOMERS


class DebtAdmin(ExchangeAdmin):
    export = DEBTS


site = admin.AdminSite("admin")
site.register(Customer, CustomerAdmin)
site.register(Debt, DebtAdmin)
urlpatterns = [path("admin/", site.urls), path("language/", set_language, name="set_language")]

LIST = "/admin/billing/customer/"


@pytest.fixture
def staff(client: Client, settings: Any) -> Client:
    settings.LANGUAGE_CODE = "en"
    client.force_login(User.objects.create_superuser("billing"))
    return client


def upload(client: Client, file: Path, page: str = LIST) -> Any:
    with file.open("rb") as stream:
        return client.post(f"{page}import/", {"format": "0", "resource": "0", "import_file": stream})


def confirm(client: Client, preview: Any, page: str = LIST) -> str:
    form = preview.context["confirm_form"]
    response = client.post(f"{page}process_import/", {name: form[name].value() for name in form.fields}, follow=True)
    return " ".join(str(message) for message in response.context["messages"])


@pytest.mark.parametrize("write", [csv_file, gzip_file, xlsx_file])
def test_an_upload_is_previewed_then_confirmed(staff: Client, tmp_path: Path, write: Any) -> None:
    file = write(tmp_path / "upload", [CUSTOMER])
    preview = upload(staff, file)
    assert "1 rows: 1 new" in preview.content.decode()
    assert "Nguyễn Văn An" in preview.content.decode()
    assert not Customer.objects.exists()
    assert "1 new, 0 changed" in confirm(staff, preview)
    through_admin = stored("customers")
    Customer.objects.all().delete()
    load("customers", file)
    assert stored("customers") == through_admin
    assert LogEntry.objects.get().change_message.startswith("1 rows: 1 new")


def test_the_preview_shows_old_and_new_without_running_markup(staff: Client, tmp_path: Path) -> None:
    factories.customer(name="<b>Cũ</b>")
    page = upload(staff, csv_file(tmp_path / "a.csv", [CUSTOMER | {"TEN_KHANG": "<i>Mới</i>"}])).content.decode()
    assert "<del>&lt;b&gt;Cũ&lt;/b&gt;</del> <ins>&lt;i&gt;Mới&lt;/i&gt;</ins>" in page
    assert "<b>Cũ" not in page
    assert "<i>Mới" not in page


def test_rejected_rows_are_shown_and_the_others_can_be_confirmed(staff: Client, tmp_path: Path) -> None:
    preview = upload(staff, csv_file(tmp_path / "a.csv", [CUSTOMER, CUSTOMER | {"MA_KHANG": "PP1"}]))
    page = preview.content.decode()
    assert "is not a customer code like PP05000974006" in page
    assert re.search(r"<td>3\s*</td>", page)
    assert "1 rejected" in confirm(staff, preview)
    assert Customer.objects.count() == 1


def test_a_refused_file_shows_why_and_offers_nothing_to_confirm(staff: Client, tmp_path: Path) -> None:
    response = upload(staff, csv_file(tmp_path / "a.csv", [DEBT]))
    assert "It looks like debts." in response.content.decode()
    assert "confirm_form" not in response.context
    assert "Traceback" not in response.content.decode()


def test_debts_are_loaded_as_a_snapshot(staff: Client, tmp_path: Path) -> None:
    factories.customer()
    rows = [DEBT, DEBT | {"ID_HDON": "2"}]
    load("debts", csv_file(tmp_path / "a.csv", rows))
    page = "/admin/billing/debt/"
    preview = upload(staff, csv_file(tmp_path / "a.csv", rows[:1]), page)
    assert "1 settled" in preview.content.decode()
    assert "1 settled" in confirm(staff, preview, page)
    assert Debt.objects.get(pk="2").settled_at is not None


@pytest.mark.parametrize("file_format", [0, 1])
def test_an_export_loads_as_unchanged(staff: Client, tmp_path: Path, file_format: int) -> None:
    factories.customer(name="=SUM(1)", station="0012", phones="84905123456 84914123456")
    fields = {f"{resource_for(CUSTOMERS).__name__.lower()}_{column.field}": "on" for column in CUSTOMERS.columns}
    response = staff.post(f"{LIST}export/", {"format": file_format, "resource": "0"} | fields)
    file = tmp_path / "export"
    file.write_bytes(response.content)
    outcome = load("customers", file)
    assert (outcome.rows, outcome.unchanged) == (1, 1)
    if file_format == 0:
        header, row = file.read_text("utf-8-sig").splitlines()
        assert header == ",".join(CUSTOMER)
        assert "'=SUM(1)" in row


def test_only_who_may_add_and_change_may_import(client: Client) -> None:
    user = User.objects.create_user("agent", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_customer", "change_customer"]))
    client.force_login(user)
    assert client.get(f"{LIST}import/").status_code == 403
    assert client.get(f"{LIST}export/").status_code == 200
    user.user_permissions.add(Permission.objects.get(codename="add_customer"))
    assert client.get(f"{LIST}import/").status_code == 200


def test_a_resource_takes_a_tablib_data_set_too() -> None:
    with translation.override("en"):
        data = tablib.Dataset(list(CUSTOMER.values()), headers=list(CUSTOMER))
        result = resource_for(CUSTOMERS)().import_data(data)
    assert (result.totals["new"], result.has_errors(), result.has_validation_errors()) == (1, False, False)
    assert Customer.objects.get().search_text == "nguyen van an 78a duy tan, da nang"
