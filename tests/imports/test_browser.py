"""An import as staff live through it: a real browser, a web server, a worker, a database of their own."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from evncare.desk.children import Children, running_children
from evncare.desk.management.commands.demo import is_up
from evncare.embedded import free_port, redis_server
from tests.browser import browser, missing
from tests.imports.tables import CUSTOMER, DEBT, csv_file, read_csv

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]

SECONDS = 120
MANY = 100_000  # as many as keep a worker busy for some seconds
USERS = """
from django.contrib.auth.models import Group, User
for name in ("binh", "chi"):
    user = User.objects.create_user(name, password="x", is_staff=True)
    user.groups.set([Group.objects.get(name="billing")])
"""


@dataclass
class Service:
    address: str
    database: Path
    children: Children
    chromium: Any

    def set_run(self, address: str, **fields: object) -> None:
        """Give the run of this page's address other values."""
        columns = ", ".join(f"{name} = ?" for name in fields)
        key = int(re.findall(r"/(\d+)/", address)[-1])
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(f"UPDATE imports_importrun SET {columns} WHERE id = ?", [*fields.values(), key])

    @contextmanager
    def signed_in(self, name: str) -> Iterator[Any]:
        context = self.chromium.new_context(locale="en-US", viewport={"width": 1300, "height": 900})
        context.set_default_timeout(SECONDS * 1000)
        context.add_cookies([{"name": "django_language", "value": "en", "url": self.address}])
        page = context.new_page()
        troubles: list[Any] = []
        page.on("pageerror", lambda error: troubles.append(error))
        page.goto(f"{self.address}/admin/")
        page.fill("#id_username", name)
        page.fill("#id_password", "x")
        page.click("[type=submit]")
        try:
            yield page
            assert troubles == []
        finally:
            context.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("service")
    database = directory / "evncare.sqlite3"
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with redis_server(directory / "redis") as redis_url:
        environment = os.environ | {
            "IMPORT_SNAPSHOT_FEW": "0",
            "DATABASE_URL": f"sqlite:///{database}",
            "REDIS_URL": redis_url,
            "IMPORTS_DIR": str(directory / "imports"),
            "IMPORT_DROP_DIR": str(directory / "drop"),
            "ALLOWED_HOSTS": "127.0.0.1",
        }
        for arguments in (["migrate", "-v0"], ["shell", "-v0", "-c", USERS]):
            subprocess.run(
                [sys.executable, "manage.py", *arguments], cwd=settings.BASE_DIR, env=environment, check=True
            )
        with running_children(directory, environment) as children, browser() as chromium:
            web = ("--interface", "wsgi", "--no-ws", "--blocking-threads", "4", "--port", str(port))
            children.start("web", "granian", *web, "evncare.wsgi:application")
            children.start("worker", "celery", "-A", "evncare", "worker", "--concurrency", "2", "--without-mingle")
            children.wait_until("the web server", lambda: is_up(f"{address}/admin/login/"), SECONDS)
            yield Service(address, database, children, chromium)


def upload(page: Any, kind: str, file: Path, **fields: str) -> None:
    """From the list of a model to the page of the run."""
    page.goto(f"{page.url.split('/admin/')[0]}/admin/billing/{kind}/")
    page.click("a[href$='/import/']")
    page.set_input_files("#id_file", file)
    for name, value in fields.items():
        page.fill(f"#id_{name}", value)
    page.click(".submit-row [type=submit]")


def counted(page: Any) -> dict[str, str]:
    page.locator(".counts li").first.wait_for()
    return dict(reversed(text.split("\n")) for text in page.locator(".counts li").all_inner_texts())


def test_from_upload_to_undo(service: Service, tmp_path: Path) -> None:
    rows = [CUSTOMER | {"MA_KHANG": f"PP0500{number:07}"} for number in range(MANY)]
    file = csv_file(tmp_path / "KH.csv", [*rows, CUSTOMER | {"MA_KHANG": "PP1"}])
    with service.signed_in("binh") as page:
        upload(page, "customer", file, rows=f"{MANY + 1}")
        page.wait_for_url(re.compile("/importrun/"))
        run = page.url

        # The browser is closed and opened again: it has gone on.
        page.goto("about:blank")
        page.goto(run)
        page.wait_for_selector("text=This is what would happen")
        assert counted(page) == {
            "rows": f"{MANY + 1:,}", "new": f"{MANY:,}", "changed": "0", "unchanged": "0", "rejected": "1",
        }  # fmt: skip
        assert "agrees" in page.locator(".totals").inner_text()
        assert "is not a customer code" in page.locator("text=Rejected rows >> xpath=../..").inner_text()
        with page.expect_download() as download:
            page.click("#rejects")
        rejects = tmp_path / download.value.suggested_filename
        download.value.save_as(rejects)
        assert (rejects.name, read_csv(rejects)[0]["LINE"]) == ("KH-rejects.csv", str(MANY + 2))

        page.click("text=Confirm and load")
        page.wait_for_selector(".box.done")
        page.goto(f"{service.address}/admin/billing/customer/?q=PP05000000007")
        assert page.locator("#result_list tbody tr").count() == 1

        page.goto(run)
        page.check("text=Take this import back")
        page.click("button.danger")
        page.wait_for_selector("text=The table is as it was before this import.")
        page.goto(f"{service.address}/admin/billing/customer/")
        assert page.locator("#result_list").count() == 0


def test_an_open_page_tells_how_far_the_run_is_and_moves_on_with_it(service: Service, tmp_path: Path) -> None:
    with service.signed_in("binh") as page:
        upload(page, "customer", csv_file(tmp_path / "KH1.csv", [CUSTOMER]))
        page.wait_for_selector("text=This is what would happen")
        begun = str(datetime.now(UTC) - timedelta(seconds=10))
        service.set_run(page.url, state="CHECKING", rows_read=400_000, rows_expected=1_000_000, work_started_at=begun)
        page.locator("#live progress[value^='0.4']").wait_for()  # the page has seen by itself that it is no more ready
        page.locator("[data-told=rows]", has_text="400,000 of 1,000,000 rows").wait_for()
        page.locator("[data-told=pace]", has_text="rows a second").wait_for()
        service.set_run(page.url, rows_read=600_000)
        page.locator("#live progress[value^='0.6']").wait_for()
        service.set_run(page.url, state="READY")
        page.wait_for_selector("text=This is what would happen")


def test_a_suspicious_snapshot_waits_for_a_second_person_and_moves_on_by_itself(
    service: Service, tmp_path: Path
) -> None:
    bills = [DEBT | {"ID_HDON": str(number)} for number in range(10)]
    with service.signed_in("binh") as binh, service.signed_in("chi") as chi:
        for kind, file in [
            ("customer", csv_file(tmp_path / "KH.csv", [CUSTOMER])),
            ("debt", csv_file(tmp_path / "CN1.csv", bills)),
        ]:
            upload(binh, kind, file)
            binh.click("text=Confirm and load")
            binh.wait_for_selector(".box.done")

        upload(binh, "debt", csv_file(tmp_path / "CN2.csv", bills[:4]))
        reasons = binh.wait_for_selector(".box.warning").inner_text()
        assert "It settles 6 of 10" in reasons
        assert binh.locator("text=Confirm all the same").count() == 0

        chi.goto(f"{service.address}/admin/imports/importrun/?state=SECOND_PERSON")
        chi.click("text=CN2.csv")
        assert "It settles 6 of 10" in chi.locator(".box.warning").inner_text()
        chi.click("text=Confirm all the same")
        chi.wait_for_selector(".box.done")

        binh.wait_for_selector(".box.done")
        assert counted(binh)["settled"] == "6"


def test_what_is_wrong_in_the_form_is_told_without_losing_the_file(service: Service, tmp_path: Path) -> None:
    with service.signed_in("binh") as page:
        upload(page, "customer", csv_file(tmp_path / "KH2.csv", [CUSTOMER]), rows="many")
        page.wait_for_selector("text=many is not a whole number")
        page.fill("#id_rows", "2")
        page.click(".submit-row [type=submit]")
        page.wait_for_url(re.compile("/importrun/"))
        assert "1" in page.wait_for_selector(".totals .differs").inner_text()
