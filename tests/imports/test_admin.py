"""Exports through the admin: what they write, our engine reads."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from billing.exports import CUSTOMERS
from evncare.imports import resources
from tests import factories
from tests.imports.tables import CUSTOMER, load

pytestmark = [
    pytest.mark.django_db,
]

LIST = "/admin/billing/customer/"
CSV, XLSX = 0, 1


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("billing"))
    return client


def export(client: Client, file_format: int, columns: Any = CUSTOMERS.columns) -> Any:
    fields = {f"customerresource_{column.field}": "on" for column in columns}
    return client.post(f"{LIST}export/", {"format": file_format, "resource": "0"} | fields)


@pytest.mark.parametrize("file_format", [CSV, XLSX])
def test_an_export_loads_as_unchanged(staff: Client, tmp_path: Path, file_format: int) -> None:
    factories.customer(name="=SUM(1)", station="0012", phones="84905123456 84914123456")
    file = tmp_path / "export"
    file.write_bytes(b"".join(export(staff, file_format)))
    outcome = load("customers", file)
    assert (outcome.rows, outcome.unchanged) == (1, 1)
    if file_format == CSV:
        header, row = file.read_text("utf-8-sig").splitlines()
        assert header == ",".join(CUSTOMER)
        assert "'=SUM(1)" in row


def test_a_csv_export_is_streamed(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "LINES_OF_A_PART", 2)
    for number in range(5):
        factories.customer(f"PP0500000000{number}")
    response = export(staff, CSV, CUSTOMERS.columns[:2])
    parts = [part.decode("utf-8-sig") for part in response.streaming_content]
    assert [part.count("\r\n") for part in parts] == [0, 3, 2, 1]
    assert parts[1].startswith("MA_KHANG,TEN_KHANG\r\nPP05000000000,")
    assert response["Content-Disposition"].startswith('attachment; filename="Customer-')


def test_a_workbook_too_large_to_be_made_is_refused(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evncare.imports.admin.MOST_ROWS_OF_A_WORKBOOK", 1)
    factories.customer()
    assert export(staff, XLSX)["Content-Type"].startswith("application/vnd")
    factories.customer("PP05000974007")
    assert "choose CSV, or fewer rows" in export(staff, XLSX).content.decode()


def test_only_who_may_view_may_export(client: Client) -> None:
    user = User.objects.create_user("agent", is_staff=True)
    client.force_login(user)
    assert client.get(f"{LIST}export/").status_code == 403
    user.user_permissions.set(Permission.objects.filter(codename="view_customer"))
    assert client.get(f"{LIST}export/").status_code == 200
