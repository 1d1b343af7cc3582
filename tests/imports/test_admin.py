"""Exports through the admin: what they write, our engine reads."""

from io import BytesIO
from pathlib import Path
from typing import Any

import openpyxl
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


def test_only_who_may_view_and_may_export_exports(client: Client) -> None:
    user = User.objects.create_user("agent", is_staff=True)
    client.force_login(user)
    may = {}
    for rights in ((), ("view_customer",), ("export_importrun",), ("view_customer", "export_importrun")):
        user.user_permissions.set(Permission.objects.filter(codename__in=rights))
        may[rights] = client.get(f"{LIST}export/").status_code == 200
        assert (export(client, CSV).status_code == 200) is may[rights]
    assert [rights for rights, granted in may.items() if granted] == [("view_customer", "export_importrun")]


@pytest.mark.parametrize("file_format", [CSV, XLSX])
def test_phone_numbers_are_exported_only_to_those_who_see_them(client: Client, file_format: int) -> None:
    factories.customer(phones="84905123456 84914123456")
    user = User.objects.create_user("auditor", is_staff=True)
    client.force_login(user)
    granted = ["view_customer", "export_importrun"]

    def exported() -> list[str]:
        content = b"".join(export(client, file_format))
        if file_format == XLSX:
            rows = openpyxl.load_workbook(BytesIO(content)).active.iter_rows(values_only=True)
            return [",".join(str(cell) for cell in row) for row in rows]
        return content.decode("utf-8-sig").splitlines()

    user.user_permissions.set(Permission.objects.filter(codename__in=granted))
    header, row = exported()
    assert "DTHOAI" not in header
    assert "MA_KHANG" in header
    assert "0905123456" not in row
    assert "DTHOAI" not in client.get(f"{LIST}export/").content.decode()
    user.user_permissions.set(Permission.objects.filter(codename__in=[*granted, "view_phones"]))
    header, row = exported()
    assert "DTHOAI" in header
    assert "84905123456" in row


def test_the_ticked_rows_are_exported_and_nothing_else(staff: Client) -> None:
    for number in range(3):
        factories.customer(f"PP0500000000{number}")
    ticked = ["PP05000000000", "PP05000000002"]
    form = staff.post(LIST, {"action": "export_admin_action", "_selected_action": ticked})
    assert all(f'value="{code}"' in form.content.decode() for code in ticked)

    fields = {f"customerresource_{column.field}": "on" for column in CUSTOMERS.columns[:1]}
    asked = {"format": CSV, "resource": "0", "export_items": ticked}
    file = b"".join(staff.post(f"{LIST}export/", asked | fields)).decode("utf-8-sig")
    assert file.split() == ["MA_KHANG", *ticked]


def test_all_rows_of_a_list_are_exported_by_its_filters_not_by_their_keys(staff: Client) -> None:
    factories.customer()
    every = {"action": "export_admin_action", "_selected_action": ["PP05000974006"], "select_across": "1"}
    response = staff.post(f"{LIST}?q=nguyen", every)
    assert response["Location"] == f"{LIST}export/?q=nguyen"


def test_the_preview_of_an_import_hides_phone_numbers_as_the_lists_do(client: Client) -> None:
    columns = [column.name for column in CUSTOMERS.columns]
    cells = [
        ["84905123456" if name == "DTHOAI" else None, "0914123456" if name == "DTHOAI" else name] for name in columns
    ]
    run = factories.import_run(
        rejected=1,
        sample={
            "changes": [{"line": 2, "is_new": False, "cells": cells}],
            "rejects": [[3, "DTHOAI", "0905 999 99", "0905 999 99 is not a phone number"]],
        },
    )
    user = User.objects.create_user("auditor", is_staff=True)
    client.force_login(user)
    granted = ["view_customer", "view_importrun"]
    numbers = ("84905123456", "0914123456", "0905 999 99")

    def page() -> str:
        return client.get(f"/admin/imports/importrun/{run.pk}/change/").content.decode()

    user.user_permissions.set(Permission.objects.filter(codename__in=granted))
    assert "TEN_KHANG" in page()
    assert not any(number in page() for number in numbers)
    assert client.get(f"/admin/imports/importrun/{run.pk}/rejects/").status_code == 403
    user.user_permissions.set(Permission.objects.filter(codename__in=[*granted, "view_phones"]))
    assert all(number in page() for number in numbers)
