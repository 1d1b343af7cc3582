"""The pages of an import as people of each role meet them."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.test import Client
from django.urls import reverse

from billing.models import Customer, Debt
from evncare.desk.roles import ROLES
from evncare.imports import runs
from evncare.imports.models import ImportRun
from tests import factories
from tests.imports.tables import CUSTOMER, DEBT, csv_file

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:No directory at"),  # static files are served from the packages
]

CUSTOMERS = "/admin/billing/customer/import/"
DEBTS = "/admin/billing/debt/import/"
LIST = "/admin/imports/importrun/"


def signed_in(name: str, role: str) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.set([Group.objects.get(name=role)])
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


@pytest.fixture
def binh() -> Client:
    return signed_in("binh", "billing")


@pytest.fixture
def chi() -> Client:
    return signed_in("chi", "billing")


def upload(client: Client, page: str, file: Path | None, **fields: Any) -> Any:
    if file is None:
        return client.post(page, fields)
    with file.open("rb") as content:
        return client.post(page, {"file": content} | fields)


def uploaded(client: Client, page: str, file: Path, **fields: Any) -> ImportRun:
    """The run after an upload and a worker's check."""
    response = upload(client, page, file, **fields)
    assert response.status_code == 302, response.context["form"].errors
    run = ImportRun.objects.latest("pk")
    assert response["Location"] == page_of(run)
    return worked(run)


def worked(run: ImportRun) -> ImportRun:
    while runs.work_waiting():
        pass
    run.refresh_from_db()
    return run


def page_of(run: ImportRun) -> str:
    return reverse("admin:imports_importrun_change", args=[run.pk])


def text(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def decide(client: Client, run: ImportRun, decision: str, **fields: Any) -> Any:
    return client.post(reverse(f"admin:imports_importrun_{decision}", args=[run.pk]), fields, follow=True)


def told(response: Any) -> str:
    return " ".join(str(message) for message in response.context["messages"])


def debts(path: Path, bills: range) -> Path:
    return csv_file(path, [DEBT | {"ID_HDON": str(bill)} for bill in bills])


# Upload


def test_the_list_of_a_model_leads_to_its_import(binh: Client) -> None:
    assert f'href="{CUSTOMERS}"'.replace("'", '"') in text(binh, "/admin/billing/customer/").replace("'", '"')


def test_an_upload_goes_to_disk_and_not_to_memory(
    binh: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    receive = runs.receive
    monkeypatch.setattr(
        runs, "receive", lambda export, content, *args, **options: (
            seen.append(content), receive(export, content, *args, **options)
        )[1]
    )  # fmt: skip
    run = uploaded(binh, CUSTOMERS, csv_file(tmp_path / "KH.csv", [CUSTOMER]))
    assert isinstance(seen[0], TemporaryUploadedFile)
    assert run.path.read_bytes() == (tmp_path / "KH.csv").read_bytes()
    assert sorted(run.path.parent.iterdir()) == sorted([run.path, run.rejects_path]), "nothing temporary is left"


def test_a_file_can_be_chosen_from_the_drop_folder(binh: Client, settings: Any) -> None:
    assert "The drop folder is empty" in text(binh, CUSTOMERS)
    csv_file(settings.IMPORT_DROP_DIR / "KH.csv", [CUSTOMER])
    csv_file(settings.IMPORT_DROP_DIR / ".KH2.csv", [CUSTOMER])
    (settings.IMPORT_DROP_DIR / "passwords.csv").symlink_to("/etc/passwd")
    page = text(binh, CUSTOMERS)
    assert "KH.csv" in page
    assert "KH2.csv" not in page, "it is still being written"
    assert "passwords.csv" not in page
    assert upload(binh, CUSTOMERS, None, dropped="KH.csv").status_code == 302
    run = worked(ImportRun.objects.get())
    assert (run.file_name, run.state) == ("KH.csv", "READY")
    assert (settings.IMPORT_DROP_DIR / "KH.csv").exists()


@pytest.mark.parametrize("name", ["../secret_key", "/etc/passwd", "nothing.csv", "passwords.csv"])
def test_nothing_but_the_drop_folder_can_be_chosen_from(binh: Client, settings: Any, name: str) -> None:
    (settings.IMPORT_DROP_DIR / "passwords.csv").symlink_to("/etc/passwd")
    assert upload(binh, CUSTOMERS, None, dropped=name).status_code == 200
    assert not ImportRun.objects.exists()


def test_one_file_has_to_be_chosen(binh: Client, tmp_path: Path, settings: Any) -> None:
    file = csv_file(settings.IMPORT_DROP_DIR / "KH.csv", [CUSTOMER])
    assert "Choose one file" in upload(binh, CUSTOMERS, None).content.decode()
    assert "Choose one file" in upload(binh, CUSTOMERS, file, dropped="KH.csv").content.decode()


def test_control_totals_are_read_as_they_are_printed(binh: Client, tmp_path: Path) -> None:
    factories.customer()
    file = debts(tmp_path / "a.csv", range(2))
    run = uploaded(binh, DEBTS, file, rows="2", TIEN_NO="1.300.000", THUE_NO="130 000")
    assert run.control_totals == {"rows": "2", "TIEN_NO": "1300000", "THUE_NO": "130000"}
    assert text(binh, page_of(run)).count("agrees") == 3
    assert "2x is not a whole number" in upload(binh, DEBTS, file, rows="2x").content.decode()


def test_a_snapshot_needs_its_day(binh: Client, tmp_path: Path) -> None:
    factories.customer()
    file = debts(tmp_path / "a.csv", range(2))
    assert "Of which day" in upload(binh, DEBTS, file, is_snapshot="on").content.decode()
    run = uploaded(binh, DEBTS, file, is_snapshot="on", snapshot_date="2016-10-31")
    assert (run.is_snapshot, run.snapshot_date) == (True, date(2016, 10, 31))


# Progress


def progress(client: Client, run: ImportRun) -> Any:
    return client.get(reverse("admin:imports_importrun_progress", args=[run.pk])).json()


def test_progress_is_told_with_its_pace_and_the_time_left(binh: Client, tmp_path: Path) -> None:
    upload(binh, CUSTOMERS, csv_file(tmp_path / "a.csv", [CUSTOMER]))
    run = ImportRun.objects.get()
    assert progress(binh, run)["state"] == "WAITING"
    now = datetime.now(UTC)
    ImportRun.objects.update(
        state="CHECKING", claim="x", heartbeat_at=now, work_started_at=now - timedelta(seconds=10),
        rows_read=400_000, rows_expected=1_000_000,
    )  # fmt: skip
    with time_machine.travel(now, tick=False):
        answer = progress(binh, run)
    assert answer["live"] is True
    assert answer["share"] == 0.4
    assert answer["rows"] == "400,000 of about 1,000,000 rows"
    assert answer["pace"] == "40,000 rows a second"
    assert answer["left"] == "about 15 seconds left"
    ImportRun.objects.update(rows_read=1_000_000)
    assert "comparing with what is stored" in progress(binh, run)["rows"]


def test_a_run_that_no_worker_takes_says_so(binh: Client, tmp_path: Path) -> None:
    upload(binh, CUSTOMERS, csv_file(tmp_path / "a.csv", [CUSTOMER]))
    run = ImportRun.objects.get()
    assert progress(binh, run)["rows"] == ""
    ImportRun.objects.update(created_at=datetime.now(UTC) - timedelta(minutes=1))
    assert "No worker has taken it" in progress(binh, run)["rows"]


# Preview, confirmation, result


def test_the_preview_shows_old_and_new_without_running_markup(binh: Client, tmp_path: Path) -> None:
    factories.customer(name="<b>Cũ</b>")
    run = uploaded(binh, CUSTOMERS, csv_file(tmp_path / "a.csv", [CUSTOMER | {"TEN_KHANG": "<i>Mới</i>"}]))
    page = text(binh, page_of(run))
    assert "<del>&lt;b&gt;Cũ&lt;/b&gt;</del> <ins>&lt;i&gt;Mới&lt;/i&gt;</ins>" in page
    assert "<b>Cũ" not in page
    assert "<i>Mới" not in page


def test_it_is_loaded_once_it_is_confirmed(binh: Client, tmp_path: Path) -> None:
    run = uploaded(binh, CUSTOMERS, csv_file(tmp_path / "a.csv", [CUSTOMER]))
    assert "Confirm and load" in text(binh, page_of(run))
    assert not Customer.objects.exists()
    decide(binh, run, "confirm")
    assert worked(run).state == "DONE"
    assert Customer.objects.exists()
    assert "Confirm and load" not in text(binh, page_of(run))


def test_rejects_are_shown_with_line_column_value_and_reason_and_can_be_fetched(binh: Client, tmp_path: Path) -> None:
    run = uploaded(binh, CUSTOMERS, csv_file(tmp_path / "KH.csv", [CUSTOMER, CUSTOMER | {"MA_KHANG": "PP<1>"}]))
    page = text(binh, page_of(run))
    assert '<td class="number">3</td><td class="code">MA_KHANG</td><td><code>PP&lt;1&gt;</code></td>' in page
    response = binh.get(reverse("admin:imports_importrun_rejects", args=[run.pk]))
    assert response["Content-Disposition"] == 'attachment; filename="KH-rejects.csv"'
    assert b"PP<1>" in b"".join(response)


def test_a_refused_file_shows_why_and_offers_nothing_to_confirm(binh: Client, tmp_path: Path) -> None:
    run = uploaded(binh, CUSTOMERS, csv_file(tmp_path / "a.csv", [DEBT]))
    page = text(binh, page_of(run))
    assert "It looks like debts." in page
    assert "Confirm" not in page


def test_the_same_file_is_loaded_again_only_on_purpose(binh: Client, tmp_path: Path) -> None:
    file = csv_file(tmp_path / "a.csv", [CUSTOMER])
    first = uploaded(binh, CUSTOMERS, file)
    decide(binh, first, "confirm")
    worked(first)
    again = uploaded(binh, CUSTOMERS, file)
    assert "This very file was loaded before" in text(binh, page_of(again))
    assert "same file" in told(decide(binh, again, "confirm"))
    decide(binh, again, "confirm", again="on")
    assert worked(again).state == "DONE"


def test_a_suspicious_snapshot_is_confirmed_by_another_who_sees_the_reasons(
    binh: Client, chi: Client, tmp_path: Path
) -> None:
    factories.customer()
    day = {"is_snapshot": "on", "snapshot_date": "2016-10-31"}
    first = uploaded(binh, DEBTS, debts(tmp_path / "a.csv", range(10)), **day)
    decide(binh, first, "confirm")
    worked(first)
    run = uploaded(binh, DEBTS, debts(tmp_path / "b.csv", range(5)), **day)
    page = text(binh, page_of(run))
    assert "It settles 5 of 10" in page
    assert "somebody else with the right has to confirm it" in page
    assert "Confirm all the same" not in page
    assert "Another person" in told(decide(binh, run, "confirm"))
    page = text(chi, page_of(run))
    assert "It settles 5 of 10" in page
    assert "Ask binh or the billing system" in page
    decide(chi, run, "confirm")
    assert worked(run).state == "DONE"
    assert Debt.objects.filter(settled_at=None).count() == 5


def test_a_load_is_undone_on_the_page(binh: Client, tmp_path: Path) -> None:
    run = uploaded(binh, CUSTOMERS, csv_file(tmp_path / "a.csv", [CUSTOMER]))
    decide(binh, run, "confirm")
    worked(run)
    assert "Take this import back" in text(binh, page_of(run))
    decide(binh, run, "undo")
    assert worked(run).state == "UNDONE"
    assert not Customer.objects.exists()
    assert "The table is as it was before this import." in text(binh, page_of(run))


def test_a_decision_is_never_made_by_a_link(binh: Client, tmp_path: Path) -> None:
    run = uploaded(binh, CUSTOMERS, csv_file(tmp_path / "a.csv", [CUSTOMER]))
    opened = binh.get(
        reverse("admin:imports_importrun_confirm", args=[run.pk]), follow=True
    )  # as after signing in anew
    assert "Nothing was done" in opened.content.decode()


# Who sees and does what


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_what_it_should(role: str, binh: Client, tmp_path: Path) -> None:
    imports, sees = role in ("billing", "administrator"), role != "agent"
    run = uploaded(binh, CUSTOMERS, csv_file(tmp_path / "a.csv", [CUSTOMER, CUSTOMER | {"MA_KHANG": "PP1"}]))
    client = signed_in("someone", role)
    assert client.get(CUSTOMERS).status_code == (200 if imports else 403)
    assert client.get(LIST).status_code == (200 if sees else 403)
    for page in ("change", "progress", "rejects"):
        address = reverse(f"admin:imports_importrun_{page}", args=[run.pk])
        response = client.get(address)
        # Rejects are whole rows with phone numbers in full.
        granted = sees and (page != "rejects" or "billing.view_phones" in ROLES[role].permissions)
        assert response.status_code == (200 if granted else 403), page
        response.getvalue()  # a file is closed once it is read
    for decision in ("undo", "confirm", "cancel"):
        assert decide(client, run, decision).status_code == (200 if imports else 403), decision
    run.refresh_from_db()
    assert run.state == ("CANCELLED" if imports else "READY")


def test_who_may_import_but_not_confirm_can_upload_and_cancel_only(tmp_path: Path) -> None:
    clerk = signed_in("clerk", "billing")
    group = Group.objects.get(name="billing")
    group.permissions.remove(*group.permissions.filter(content_type__app_label="imports"))
    run = uploaded(clerk, CUSTOMERS, csv_file(tmp_path / "a.csv", [CUSTOMER]))
    assert "You may not confirm imports" in text(clerk, page_of(run))
    assert decide(clerk, run, "confirm").status_code == 403
    decide(clerk, run, "cancel")
    assert worked(run).state == "CANCELLED"


def test_nobody_gets_in_without_signing_in(binh: Client, tmp_path: Path) -> None:
    run = uploaded(binh, CUSTOMERS, csv_file(tmp_path / "a.csv", [CUSTOMER]))
    for page in ("change", "progress", "rejects"):
        response = Client().get(reverse(f"admin:imports_importrun_{page}", args=[run.pk]))
        assert (response.status_code, "/login/" in response["Location"]) == (302, True)


def test_a_run_that_there_is_not_is_not_found(binh: Client) -> None:
    assert binh.get(f"{LIST}999/change/").status_code == 404
    assert binh.get(f"{LIST}nonsense/change/").status_code == 404


# The list


def test_an_empty_list_says_what_to_do(binh: Client) -> None:
    page = text(binh, LIST)
    assert "Choose above what to import first" in page
    assert CUSTOMERS in page
    assert "Billing staff import files" in text(signed_in("tong", "auditor"), LIST)


def test_the_list_shows_and_filters_every_run(binh: Client, tmp_path: Path) -> None:
    run = uploaded(binh, CUSTOMERS, csv_file(tmp_path / "KH.csv", [CUSTOMER]))
    uploaded(binh, CUSTOMERS, csv_file(tmp_path / "CN.csv", [DEBT]))
    page = text(binh, LIST)
    assert "KH.csv" in page
    assert "CN.csv" in page
    assert "It looks like debts." in page
    for choice in ("state=READY", "kind=customers&q=kh.", f"q={run.sha256}"):
        page = text(binh, f"{LIST}?{choice}")
        assert "KH.csv" in page, choice
        assert "CN.csv" not in page or choice == "kind=customers", choice
    assert "No import matches this choice." in text(binh, f"{LIST}?kind=debts")
