"""The desk as each role works with it, in Vietnamese: a real browser, real HTTP, a database with a month's story."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import translation

from evncare.desk.samples import EXAMPLE_CUSTOMER
from tests.browser import missing
from tests.desk.service import Desk, running_desk
from tests.story import PASSWORD

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]

PHONE_WIDTH = 390
# The main pages, and a role that works with each.
PAGES = {
    "": "supervisor",
    "search/?s=nguyen": "agent",
    "billing/customer/": "agent",
    f"billing/customer/{EXAMPLE_CUSTOMER}/change/": "agent",
    f"billing/customer/{EXAMPLE_CUSTOMER}/edit/": "billing",
    "billing/invoice/": "billing",
    "billing/debt/import/": "billing",
    "imports/importrun/": "billing",
    "outages/outage/": "agent",
    "outages/outage/add/": "billing",
    "sms/inboundmessage/": "agent",
    "sms/inboundmessage/1/change/": "supervisor",
    "sms/outboundmessage/": "agent",
    f"sms/inboundmessage/try/?text=NTD+{EXAMPLE_CUSTOMER}": "agent",
    "sms/wordingversion/": "supervisor",
    "sms/wordingversion/NTD.answered/edit/": "supervisor",
    "sms/blockedsender/add/": "supervisor",
    "sms/reconciliationrun/add/": "supervisor",
    "sms/auditrun/": "auditor",
    "desk/accessrecord/": "auditor",
    "desk/failedsignin/": "auditor",
    "auth/user/": "administrator",
    "auth/user/1/change/": "administrator",
    "second-factor/": "agent",
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with running_desk(tmp_path_factory.mktemp("desk")) as running:
        yield running


def vi(text: str) -> str:
    """The Vietnamese of one of our strings, as pages show it."""
    with translation.override("vi"):
        return translation.gettext(text)


def go(page: Any, path: str) -> Any:
    return page.goto(re.sub(r"/admin/.*", f"/admin/{path}", page.url))


def search(page: Any, text: str) -> None:
    """From anywhere, by keyboard: the first hit. Entered at once, so that no hits of half the text come before."""
    page.keyboard.press("Control+k")
    page.keyboard.insert_text(text)
    page.wait_for_selector("#search-hits [role=option]")


# Each role at work


def test_an_agent_finds_a_customer_and_tells_what_the_sms_tells(desk: Desk) -> None:
    with desk.signed_in("agent") as page:
        assert page.locator("html").get_attribute("lang") == "vi"
        search(page, "pp0500 0974006")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/billing/customer/{EXAMPLE_CUSTOMER}/change/")
        told = page.inner_text("main")
        assert "715.000" in told  # the debt of the published answer
        assert "84905123456" in told
        go(page, f"sms/inboundmessage/try/?text=NTD+{EXAMPLE_CUSTOMER}")
        assert "tong cong: 715000" in page.inner_text("#reply")


@pytest.mark.parametrize("typed", ["0905 123 456", "+84905123456", "nguyen thi thu", "NGUYỄN THỊ THU HÀ"])
def test_a_customer_is_found_by_phone_and_by_name_without_accents(desk: Desk, typed: str) -> None:
    with desk.signed_in("agent") as page:
        search(page, typed)
        assert EXAMPLE_CUSTOMER in page.inner_text("[role=listbox]")


def test_an_agent_corrects_what_a_customer_meant_and_has_it_answered(desk: Desk) -> None:
    with desk.signed_in("agent") as page:
        go(page, "sms/inboundmessage/?outcome__exact=bad_syntax")
        page.locator("#result_list tbody a").first.click()
        page.get_by_text(vi("Correct and answer")).first.click()
        form = page.locator("details[open] form")
        form.locator("textarea").fill(f"NTD {EXAMPLE_CUSTOMER}")
        form.locator("[name=reason]").fill("khách đọc lại mã trên hóa đơn")
        form.locator("[type=submit]").click()
        page.wait_for_load_state()
        assert f"NTD {EXAMPLE_CUSTOMER}" in page.inner_text(".bubbles")
        assert "khách đọc lại mã trên hóa đơn" in follow(page).inner_text(".life")


def follow(page: Any) -> Any:
    """From the message that follows to the first."""
    page.get_by_text(vi("The message that it follows")).click()
    page.wait_for_load_state()
    return page


def test_what_may_have_arrived_is_sent_again_by_a_supervisor_who_asked_the_customer(desk: Desk) -> None:
    with desk.signed_in("agent") as page:
        go(page, "sms/inboundmessage/?attention=unknown")
        page.locator("#result_list tbody a").first.click()
        page.wait_for_selector(".life")
        address = page.url
        assert vi("Its reply may have arrived: sending it again is for a shift supervisor.") in page.inner_text("main")
    with desk.signed_in("supervisor") as page:
        page.goto(address)
        page.locator(".handling summary", has_text=vi("Send again")).click()
        form = page.locator("details[open] form")
        form.locator("[name=reason]").fill("khách gọi, chưa nhận được")
        form.locator("[type=submit]").click()
        assert page.url == address, "without the tick the browser doesn't send the form"
        form.locator("[name=not_received]").check()
        form.locator("[type=submit]").click()
        page.wait_for_url(lambda url: url != address)
        page.goto(address)
        assert vi("It was answered or sent anew already: see the message that follows it.") in page.inner_text("main")


def test_a_failed_message_is_settled_by_phone_and_leaves_the_list(desk: Desk) -> None:
    with desk.signed_in("agent") as page:
        go(page, "sms/inboundmessage/?attention=failed")
        page.locator("#result_list tbody a").first.click()
        page.locator(".handling summary", has_text=vi("Settle by phone")).click()
        form = page.locator("details[open] form")
        form.locator("[name=reason]").fill("đã báo khách qua điện thoại")
        form.locator("[type=submit]").click()
        page.wait_for_load_state()
        go(page, "sms/inboundmessage/?attention=failed")
        assert vi("Nothing here: nobody has to do anything.") in page.inner_text("main")


def test_a_supervisor_rewords_a_reply_and_the_next_answer_says_it(desk: Desk) -> None:
    with desk.signed_in("supervisor") as page:
        go(page, "sms/wordingversion/NTD.none/edit/")
        text = page.locator("textarea[name=text]")
        text.fill("EVNCPC: khách hàng {customer} không còn nợ.")
        page.wait_for_selector("#effect .problem, #effect [role=alert]")
        text.fill("EVNCPC: khach hang {customer} khong con no. Cam on.")
        page.locator("#effect", has_text="khong con no. Cam on.").wait_for()
        page.fill("[name=note]", "ngắn gọn hơn")
        page.click("[name=save]")
        page.wait_for_load_state()
        assert "ngắn gọn hơn" in page.inner_text(".versions")
        debtless = "PC03CC0005321"
        go(page, f"sms/inboundmessage/try/?text=NTD+{debtless}")
        assert f"EVNCPC: khach hang {debtless} khong con no. Cam on." in page.inner_text("#reply")
        go(page, "sms/wordingversion/NTD.none/edit/?restore=delivered")
        page.click("[name=save]")
        page.wait_for_load_state()
        go(page, f"sms/inboundmessage/try/?text=NTD+{debtless}")
        assert f"EVNCPC thong bao khach hang {debtless} khong con no tien dien." in page.inner_text("#reply")


def test_the_start_page_leads_a_supervisor_to_what_needs_attention(desk: Desk) -> None:
    with desk.signed_in("supervisor") as page:
        concern = page.locator("li", has=page.locator("a[href*='attention=set_aside']"))
        assert concern.locator(".tag-bad").inner_text() == "1"
        concern.locator("a").click()
        page.wait_for_load_state()
        assert page.locator("#result_list tbody tr").count() == 1


def test_billing_staff_see_imports_and_bills_but_no_message(desk: Desk) -> None:
    with desk.signed_in("billing") as page:
        assert "/sms/" not in page.inner_html("#nav-sidebar")
        go(page, "imports/importrun/")
        assert page.locator("#result_list tbody tr").count() >= 6
        go(page, "billing/debt/import/")
        assert page.locator("#id_file").count() == 1
    assert_forbidden(desk, "billing", "sms/inboundmessage/")


def test_an_auditor_sees_masked_numbers_and_who_looked_at_whom(desk: Desk) -> None:
    with desk.signed_in("agent") as page:
        go(page, f"billing/customer/{EXAMPLE_CUSTOMER}/change/")
    with desk.signed_in("auditor") as page:
        go(page, f"billing/customer/{EXAMPLE_CUSTOMER}/change/")
        assert "84905123456" not in page.content()
        assert "8490•••••56" in page.inner_text("main")
        go(page, f"desk/accessrecord/?q={EXAMPLE_CUSTOMER}")
        assert "agent" in page.inner_text("#result_list")
    assert_forbidden(desk, "auditor", "sms/inboundmessage/try/")


def test_an_administrator_manages_staff_but_answers_nobody(desk: Desk) -> None:
    with desk.signed_in("administrator") as page:
        go(page, "auth/user/")
        assert "supervisor" in page.inner_text("#result_list")
        go(page, "sms/inboundmessage/1/change/")
        assert page.locator(".handling").count() == 0


def test_somebody_without_a_role_is_told_whom_to_ask(desk: Desk) -> None:
    with desk.signed_in("nobody") as page:
        assert page.locator("#nav-sidebar a[href*='changelist'], #nav-sidebar li").count() == 0
        assert page.inner_text("main").strip()


def assert_forbidden(desk: Desk, role: str, path: str) -> None:
    """What the menu doesn't show doesn't open; the browser's own complaint of it is none of ours."""
    with pytest.raises(AssertionError, match="403"), desk.signed_in(role) as page:
        assert go(page, path).status == 403


# The search box, by keyboard alone


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


def test_a_customers_page_is_reached_from_any_page_by_keyboard_alone(page: Any, desk: Desk) -> None:
    for path in ("", "outages/outage/", "sms/inboundmessage/"):
        page.goto(f"{desk.address}/admin/{path}")
        search(page, "nguyen van")
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
    search(page, EXAMPLE_CUSTOMER)
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
    page.keyboard.type(f"{EXAMPLE_CUSTOMER.lower()}\n")
    page.wait_for_url(re.compile(f"/billing/customer/{EXAMPLE_CUSTOMER}/"), wait_until="commit")


def test_enter_without_a_certain_hit_shows_all_on_a_page(page: Any) -> None:
    search(page, "nguyen")
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
    page.fill("#search-field", EXAMPLE_CUSTOMER)
    page.press("#search-field", "Enter")
    page.locator(f".search-list a[href*='{EXAMPLE_CUSTOMER}']").first.click()
    page.wait_for_url(re.compile(f"/billing/customer/{EXAMPLE_CUSTOMER}/"))
    context.close()


def test_arrows_home_and_end_go_through_the_options_and_around(page: Any) -> None:
    search(page, EXAMPLE_CUSTOMER[:6])
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
    search(page, "nguyen")
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
    search(page, EXAMPLE_CUSTOMER)
    with page.context.expect_page() as opened:
        page.keyboard.press("Control+Enter")
    opened.value.wait_for_url(re.compile(f"/billing/customer/{EXAMPLE_CUSTOMER}/"), wait_until="commit")
    assert "/customer/" not in page.url


def enter_and_hold(page: Any, text: str, *keys: str) -> Any:
    """Enter it and press the keys, while the answer is held back; return what lets it come."""
    question = re.compile(rf"/admin/search/\?s={text}&")
    held: list[Any] = []
    page.route(question, lambda route: held.append(route))
    with page.expect_request(question):
        page.keyboard.press("Control+k")
        page.keyboard.insert_text(text)
        for key in keys:
            page.keyboard.press(key)
    while not held:
        page.wait_for_timeout(20)
    return held[0]


def test_an_answer_that_comes_late_does_not_replace_a_newer_one(page: Any) -> None:
    late = enter_and_hold(page, "ngu")
    page.keyboard.insert_text("zzzz")
    newer = page.locator("#search-panel", has_text="nguzzzz")
    newer.wait_for()
    late.fulfill(body="<p>late</p>")
    page.wait_for_timeout(200)
    assert newer.is_visible()


def test_keys_pressed_before_the_answer_mean_what_is_typed_and_not_what_still_shows(page: Any) -> None:
    search(page, "nguyen van")
    older = page.locator("#search-hits").inner_text()
    answer = enter_and_hold(page, EXAMPLE_CUSTOMER, "ArrowDown", "Enter")
    assert page.locator("#search-hits").inner_text() == older
    assert page.locator("[aria-selected=true]").count() == 0
    answer.continue_()
    page.wait_for_url(re.compile(f"/billing/customer/{EXAMPLE_CUSTOMER}/"), wait_until="commit")


def test_what_was_found_is_told_to_screen_readers_and_kept_nowhere(page: Any) -> None:
    search(page, EXAMPLE_CUSTOMER)
    assert re.search(r"\d", page.locator(".search-box [role=status]").inner_text())
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert EXAMPLE_CUSTOMER not in kept


def test_the_open_box_is_accessible_and_fits_a_phone(desk: Desk) -> None:
    for width in (1280, 390):
        with desk.signed_in("agent", width=width) as page:
            search(page, "nguyen")
            page.keyboard.press("ArrowDown")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert serious_barriers(page) == []


# Other work by keyboard alone


def test_a_message_is_found_read_and_settled_by_keyboard_alone(desk: Desk) -> None:
    with desk.signed_in("agent") as page:
        search(page, "84905777003")
        page.keyboard.press("Enter")
        page.wait_for_url("**/admin/search/**")
        focus_by_tab(page, ".search-list a[href*='/inboundmessage/']")
        page.keyboard.press("Enter")
        page.wait_for_selector(".handling")
        focus_by_tab(page, f".handling summary:has-text('{vi('Settle by phone')}')")
        page.keyboard.press("Enter")
        focus_by_tab(page, "details[open] [name=reason]")
        page.keyboard.type("khách hỏi lại, đã trả lời miệng")
        page.keyboard.press("Enter")
        page.wait_for_load_state()
        page.get_by_text("khách hỏi lại, đã trả lời miệng").first.wait_for()


def focus_by_tab(page: Any, selector: str) -> None:
    for _ in range(120):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector.split(":has-text")[0]) and (
            ":has-text" not in selector or page.locator(f"{selector}:focus").count()
        ):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{selector} can't be reached by the Tab key")


def test_the_menu_is_reached_and_closed_by_keyboard_on_a_phone(desk: Desk) -> None:
    with desk.signed_in("agent", width=PHONE_WIDTH) as page:
        focus_by_tab(page, f"[aria-label='{vi('Menu')}']")
        page.keyboard.press("Enter")
        page.locator("#nav-sidebar a[href$='/sms/inboundmessage/']").wait_for(state="visible")
        focus_by_tab(page, "#nav-sidebar a[href$='/sms/inboundmessage/']")
        page.keyboard.press("Enter")
        page.wait_for_url("**/sms/inboundmessage/")


# Every main page


@pytest.mark.parametrize("width", [1280, PHONE_WIDTH])
@pytest.mark.parametrize("role", sorted(set(PAGES.values())))
def test_main_pages_have_no_serious_barrier_and_fit_their_width(desk: Desk, role: str, width: int) -> None:
    barriers: list[str] = []
    with desk.signed_in(role, width=width) as page:
        for path in (path for path, whose in PAGES.items() if whose == role):
            assert go(page, path).ok, path
            barriers += [f"{path}: {barrier}" for barrier in serious_barriers(page)]
            overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            barriers += [f"{path}: {overflow} px too wide"] if overflow > 0 else []
    assert barriers == []


FADED = """async () => {
    await new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)));
    const ending = document.getAnimations().filter(a => a.effect.getComputedTiming().endTime < Infinity);
    await Promise.allSettled(ending.map(animation => animation.finished));
}"""


def serious_barriers(page: Any) -> list[str]:
    """What axe-core finds serious or critical, with the elements, once no colour is fading any more."""
    page.evaluate(FADED)
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{violation['id']}: {[node['html'][:120] for node in violation['nodes'][:3]]}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]


def test_the_page_to_sign_in_has_no_serious_barrier(desk: Desk) -> None:
    context = desk.chromium.new_context(viewport={"width": PHONE_WIDTH, "height": 800})
    page = context.new_page()
    page.goto(f"{desk.address}/admin/")
    assert serious_barriers(page) == []
    context.close()


def test_screens_can_be_dark(desk: Desk) -> None:
    with desk.signed_in("agent") as page:
        page.click("#user-menu")
        page.get_by_role("button", name=vi("Dark")).click()
        for path in ("", f"billing/customer/{EXAMPLE_CUSTOMER}/change/", "sms/inboundmessage/", "search/?s=nguyen"):
            go(page, path)
            page.wait_for_selector("html.dark")
            assert serious_barriers(page) == [], path


def test_pictures_of_the_main_pages_are_kept_with_the_documentation() -> None:
    from tests.screenshots import DIRECTORY, PICTURES

    assert {path.stem for path in Path(DIRECTORY).glob("*.png")} == {picture.name for picture in PICTURES}
