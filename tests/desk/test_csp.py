"""The content-security policy: exactly what it says, and that no page needs more."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.urls import reverse

from tests import factories
from tests.browser import browser, missing

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "object-src": "'none'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
LISTS = [
    reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in admin.site._registry
]


def policy_of(response):
    return dict(part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";"))


@pytest.fixture
def superuser(db):
    return User.objects.create_superuser("admin", password="x")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address", ["/admin/login/", "/admin/", "/api/docs/", "/api/schema/", "/nowhere/", "/health/live/"]
)
def test_every_answer_carries_the_whole_policy(client, address):
    response = client.get(address)
    assert policy_of(response) == POLICY
    assert "Content-Security-Policy-Report-Only" not in response


def test_errors_carry_it_too(client, superuser, monkeypatch):
    client.force_login(superuser)
    client.raise_request_exception = False
    locked = [client.post("/admin/login/", {"username": "x", "password": "y"}) for _time in range(5)][-1]
    forbidden = client.get("/admin/sms/inboundmessage/add/")
    monkeypatch.setattr("evncare.desk.second_factor.is_set_up", lambda user: 1 / 0)
    broken = client.get("/admin/")
    assert (locked.status_code, forbidden.status_code, broken.status_code) == (429, 403, 500)
    assert policy_of(locked) == policy_of(forbidden) == policy_of(broken) == POLICY


def test_other_headers_give_browsers_no_more_than_they_need(client, superuser):
    client.force_login(superuser)
    page = client.get("/admin/")
    assert page["Referrer-Policy"] == "same-origin"
    assert page["X-Content-Type-Options"] == "nosniff"
    assert page["X-Frame-Options"] == "DENY"
    assert page["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in page["Permissions-Policy"]


def change_pages():
    for model in admin.site._registry:
        row = model._default_manager.order_by("-pk").first()
        if row is not None:
            yield reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])


OWN_PAGES = ["/admin/", "/admin/second-factor/", "/admin/password_change/", "/admin/billing/customer/import/"]


def test_no_page_of_the_admin_is_kept_by_a_browser_or_on_the_way(client, superuser):
    factories.a_row_of_every_page()
    client.force_login(superuser)
    kept = [
        address
        for address in [*OWN_PAGES, *LISTS, *change_pages()]
        if "no-store" not in client.get(address).headers.get("Cache-Control", "")
    ]
    assert kept == []


INLINE = re.compile(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)


def test_no_page_holds_anything_inline(client, superuser):
    factories.a_row_of_every_page()
    client.force_login(superuser)
    found = {
        address: INLINE.findall(client.get(address).content.decode())
        for address in [*OWN_PAGES, *LISTS, *change_pages(), "/api/docs/", "/admin/logout/"]
    }
    assert {address: inline for address, inline in found.items() if inline} == {}


# In a browser


@dataclass
class Visitor:
    """A browser's page that remembers what went wrong on it. ``rows`` are the addresses of rows to look at."""

    page: Any
    address: str
    rows: list[str]
    troubles: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("pageerror", lambda error: self.troubles.append(f"{self.page.url}: {error}"))
        self.page.on("console", lambda message: self._note(message) if message.type in ("error", "warning") else None)
        self.page.on("request", lambda request: self._check(request.url))

    def _note(self, message: Any) -> None:
        self.troubles.append(f"{self.page.url}: {message.text}")  # a violation of the policy is an error as well

    def _check(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self.troubles.append(f"{self.page.url} asks {url}")

    def open(self, path: str) -> None:
        self.page.goto(self.address + path)
        self.page.wait_for_timeout(50)  # what scripts do once all is loaded


@pytest.fixture
def brief_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server's threads keep no connection, which would keep PostgreSQL from dropping the database."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)


@pytest.fixture
def visitor(brief_connections: None, live_server: Any, superuser: User) -> Iterator[Visitor]:
    # All that asks the database comes before the browser, whose loop would make it use a connection of its own.
    factories.a_row_of_every_page()
    rows = list(change_pages())
    client = Client()
    client.force_login(superuser)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
    with browser() as chromium:
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(120_000)
        context.add_cookies([cookie])
        visitor = Visitor(context.new_page(), live_server.url, rows)
        visitor.listen()
        yield visitor
        assert visitor.troubles == []
        context.close()


def browsed(test: Any) -> Any:
    for mark in (
        pytest.mark.browser,
        pytest.mark.skipif(missing() is not None, reason=missing() or ""),
        pytest.mark.django_db(transaction=True),
    ):
        test = mark(test)
    return test


@browsed
def test_every_page_opens_without_a_violation(visitor: Visitor) -> None:
    for path in [*OWN_PAGES, *LISTS, *visitor.rows, "/admin/outages/outage/add/", "/admin/auth/user/add/"]:
        visitor.open(path)


@browsed
def test_what_opens_and_closes_on_a_page_works_under_the_policy(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open("/admin/sms/inboundmessage/")

    page.click("#user-menu")
    page.click("[aria-pressed] >> nth=1")
    assert "dark" in page.get_attribute("html", "class")
    page.click("[aria-pressed] >> nth=0")
    page.keyboard.press("Escape")
    page.locator("#logout-form").wait_for(state="hidden")

    sidebar = page.locator("#nav-sidebar")
    sidebar.wait_for()
    page.click("button:has-text('dock_to_right')")
    sidebar.wait_for(state="hidden")
    visitor.open("/admin/sms/inboundmessage/")
    sidebar.wait_for(state="hidden")
    page.click("button:has-text('dock_to_right')")

    page.click(".filters-button")
    page.locator("#changelist-filter").wait_for()
    page.keyboard.press("Escape")
    page.locator("#changelist-filter").wait_for(state="hidden")

    visitor.open("/admin/outages/outage/add/")
    page.click(".date-icon >> nth=0")
    page.click(".calendarbox td a >> nth=0")
    assert page.input_value("#id_start_at_0")
    page.click(".clock-icon >> nth=0")
    page.click(".clockbox a >> nth=0")
    assert page.input_value("#id_start_at_1")

    visitor.open("/admin/auth/user/add/")
    assert page.get_attribute("#user_form", "action") == "/admin/auth/user/add/"

    visitor.open("/admin/auth/user/")
    page.click("#action-toggle")
    page.select_option("select[name=action]", "remove_second_factor")
    page.click("#changelist-actions button[type=submit]")
    page.wait_for_selector("text=của 0 tài khoản")


@browsed
def test_on_a_phone_the_side_bar_opens_and_closes(visitor: Visitor) -> None:
    page = visitor.page
    page.set_viewport_size({"width": 390, "height": 844})
    visitor.open("/admin/")
    sidebar = page.locator("#nav-sidebar")
    sidebar.wait_for(state="hidden")
    page.click("button:has-text('menu')")
    sidebar.wait_for()
    page.click("#nav-sidebar button:has-text('close')")
    sidebar.wait_for(state="hidden")


@browsed
def test_the_description_of_the_interface_for_carriers_shows(visitor: Visitor) -> None:
    visitor.open("/api/docs/")
    visitor.page.click(".opblock-summary >> nth=0")
    visitor.page.wait_for_selector(".opblock-body")


@browsed
def test_a_second_factor_is_set_up_in_a_browser(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open("/admin/second-factor/")
    page.click("button[value=begin]")
    picture = page.wait_for_selector("img.qr")
    assert picture.evaluate("async picture => { await picture.decode(); return picture.naturalWidth }") > 100
