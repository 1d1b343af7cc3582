"""The search box in a real browser, by keyboard alone."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser import missing
from tests.desk.service import Desk, running_desk
from tests.story import PASSWORD

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]

CODE = "PP05000974006"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with running_desk(tmp_path_factory.mktemp("search")) as running:
        yield running


@pytest.fixture
def page(desk: Desk) -> Iterator[Any]:
    with desk.signed_in("agent") as page:
        yield page


def chosen(page: Any) -> str:
    """The option that a screen reader would tell of."""
    option = page.locator("#search-field").get_attribute("aria-activedescendant")
    assert option
    assert page.locator(f"#{option}").get_attribute("aria-selected") == "true"
    assert page.locator("[aria-selected=true]").count() == 1
    return page.locator(f"#{option}").inner_text()


def typed(page: Any, text: str) -> None:
    page.keyboard.press("Control+k")
    page.keyboard.type(text)
    page.wait_for_selector("#search-hits [role=option]")


def test_a_customers_page_is_reached_from_any_page_by_keyboard_alone(page: Any, desk: Desk) -> None:
    for path in ("", "outages/outage/", "sms/inboundmessage/"):
        page.goto(f"{desk.address}/admin/{path}")
        typed(page, "nguyen van")
        page.keyboard.press("ArrowDown")
        chosen(page)
        code = page.locator("[aria-selected=true] .search-title").inner_text().split()[0]
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(f"/billing/customer/{code}/"), wait_until="commit")


def test_the_box_can_be_used_as_soon_as_it_is_seen(page: Any, desk: Desk) -> None:
    held: list[Any] = []
    page.route("**/start.js", lambda route: held.append(route))  # without it the start page isn't loaded
    page.goto(f"{desk.address}/admin/", wait_until="commit")
    page.wait_for_selector("#search-field")
    typed(page, CODE)
    assert held
    held[0].continue_()


def test_slash_goes_to_the_box_but_can_be_typed(page: Any) -> None:
    page.keyboard.press("/")
    page.keyboard.type("12/5")
    assert page.input_value("#search-field") == "12/5"


def test_control_k_leaves_another_field(page: Any, desk: Desk) -> None:
    page.goto(f"{desk.address}/admin/billing/customer/")
    page.focus("#searchbar")
    page.keyboard.press("Control+k")
    assert page.evaluate("document.activeElement.id") == "search-field"


def test_a_whole_code_is_opened_by_enter_however_fast_it_is_typed(page: Any) -> None:
    page.keyboard.press("Control+k")
    page.keyboard.type(f"{CODE.lower()}\n")
    page.wait_for_url(re.compile(f"/billing/customer/{CODE}/"), wait_until="commit")


def test_enter_without_a_certain_hit_shows_all_on_a_page(page: Any) -> None:
    typed(page, "nguyen")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/admin/search/\?s=nguyen"), wait_until="commit")
    page.locator(".search-list a").first.wait_for()


def test_the_search_works_without_scripts(desk: Desk) -> None:
    context = desk.chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{desk.address}/admin/")
    page.fill("#id_username", "agent")
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    page.fill("#search-field", CODE)
    page.press("#search-field", "Enter")
    page.locator(f".search-list a[href*='{CODE}']").first.click()
    page.wait_for_url(re.compile(f"/billing/customer/{CODE}/"))
    context.close()


def test_arrows_home_and_end_go_through_the_options_and_around(page: Any) -> None:
    typed(page, CODE[:6])
    count = page.locator("#search-hits [role=option]").count()
    assert count > 2
    page.keyboard.press("ArrowDown")
    first = chosen(page)
    page.keyboard.press("End")
    last = chosen(page)
    page.keyboard.press("ArrowDown")
    assert chosen(page) == first != last
    page.keyboard.press("ArrowUp")
    assert chosen(page) == last
    page.keyboard.press("Home")
    assert chosen(page) == first
    assert page.evaluate("document.activeElement.id") == "search-field", "the cursor never left the box"


def test_escape_closes_then_clears_then_leaves(page: Any) -> None:
    typed(page, "nguyen")
    field = page.locator("#search-field")
    assert field.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Escape")
    assert field.get_attribute("aria-expanded") == "false"
    assert page.locator("#search-panel").is_hidden()
    assert page.input_value("#search-field") == "nguyen"
    page.keyboard.press("Escape")
    assert page.input_value("#search-field") == ""
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") != "search-field"


def test_control_enter_opens_a_tab_of_its_own(page: Any) -> None:
    typed(page, CODE)
    with page.context.expect_page() as opened:
        page.keyboard.press("Control+Enter")
    opened.value.wait_for_url(re.compile(f"/billing/customer/{CODE}/"), wait_until="commit")
    assert "/customer/" not in page.url


def test_an_answer_that_comes_late_does_not_replace_a_newer_one(page: Any) -> None:
    held: list[Any] = []

    def slow(route: Any) -> None:
        held.append(route) if "s=ngu&" in route.request.url else route.continue_()

    page.route("**/admin/search/**", slow)
    page.keyboard.press("Control+k")
    with page.expect_request(lambda request: "s=ngu&" in request.url):
        page.keyboard.type("ngu")
    page.keyboard.type("zzzz")
    page.wait_for_selector(".search-nothing")
    assert held
    page.wait_for_timeout(200)
    assert "nguzzzz" in page.locator("#search-panel").inner_text()


def test_what_was_found_is_told_to_screen_readers_and_kept_nowhere(page: Any) -> None:
    typed(page, CODE)
    assert re.search(r"\d", page.locator(".search-box [role=status]").inner_text())
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert CODE not in kept


def test_the_open_box_is_accessible_and_fits_a_phone(desk: Desk) -> None:
    for width in (1280, 390):
        with desk.signed_in("agent", width=width) as page:
            typed(page, "nguyen")
            page.keyboard.press("ArrowDown")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            serious = [
                (fault["id"], [node["html"] for node in fault["nodes"]])
                for fault in Axe().run(page).response["violations"]
                if fault["impact"] in ("serious", "critical")
            ]
            assert serious == []
