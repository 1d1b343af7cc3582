"""Signing in: who guesses waits, and who leaves the desk is signed out."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from axes.models import AccessAttempt
from django.conf import settings as project
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from evncare.addresses import client_address
from evncare.desk import signin, tasks
from evncare.desk.models import FailedSignIn, SignIn
from tests import factories

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
LOGIN = "/admin/login/?next=/admin/billing/customer/"
STAFF = "/admin/auth/user/"


@pytest.fixture
def clock(db):
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def binh(db):
    return User.objects.create_user("binh", password="right", is_staff=True, is_superuser=True)


def sign_in(client, name="binh", password="right", address="10.0.0.1", **fields):
    return client.post(LOGIN, {"username": name, "password": password} | fields, REMOTE_ADDR=address)


def guess(client, times, name="binh", address="10.0.0.1"):
    return [sign_in(client, name, f"wrong {number}", address).status_code for number in range(times)]


def minutes(count):
    return timedelta(minutes=count)


# Guessing


def test_the_right_password_leads_to_where_one_was_going(client, binh):
    assert sign_in(client).url == "/admin/billing/customer/"


def test_a_next_that_leads_elsewhere_is_not_followed(client, binh):
    signed_in = client.post(
        "/admin/login/?next=https://example.com/", {"username": "binh", "password": "right", "next": ""}
    )
    assert signed_in.url == "/admin/"


def test_the_fifth_wrong_password_locks_and_the_right_one_is_refused_as_well(client, binh):
    assert guess(client, 5) == [200] * 4 + [429]
    locked = sign_in(client)
    assert locked.status_code == 429
    assert "_auth_user_id" not in client.session
    assert "15" in locked.content.decode()
    assert int(locked["Retry-After"]) <= 15 * 60
    assert "no-store" in locked["Cache-Control"]


def test_nobody_learns_whether_a_name_exists(client, binh):
    def told(name):
        pages = [sign_in(client, name, "wrong") for _time in range(6)]
        return [(page.status_code, page.content.decode().replace(name, "")) for page in pages]

    def without_tokens(pages):
        return [(status, "".join(line for line in text.splitlines() if "csrf" not in line)) for status, text in pages]

    assert without_tokens(told("binh")) == without_tokens(told("nobody"))


def test_the_lock_ends_after_a_quarter_of_an_hour_however_often_one_tries_meanwhile(clock, client, binh):
    guess(client, 5)
    clock.shift(minutes(10))
    assert "5 " in sign_in(client).content.decode()
    clock.shift(minutes(4))
    assert guess(client, 3) == [429] * 3
    clock.shift(minutes(2))
    assert sign_in(client).status_code == 302


def test_another_person_and_another_address_are_not_locked(client, binh):
    User.objects.create_user("chi", password="right", is_staff=True)
    guess(client, 5)
    assert sign_in(client, address="10.0.0.2").status_code == 302
    assert sign_in(client, "chi").status_code == 302
    assert sign_in(client).status_code == 429


def test_a_success_makes_earlier_failures_forgotten(client, binh):
    guess(client, 4)
    sign_in(client)
    assert guess(client, 4) == [200] * 4


def test_an_account_that_is_no_staff_is_told_and_counted_as_a_wrong_password(client, db):
    User.objects.create_user("guest", password="right")
    assert [sign_in(client, "guest").status_code for _time in range(5)] == [200] * 4 + [429]


def test_the_lock_is_lifted_on_the_command_line(client, binh):
    guess(client, 5)
    call_command("axes_reset_username", "binh")
    assert sign_in(client).status_code == 302


def lift(client, *users):
    return client.post(STAFF, {"action": "lift_lock", "_selected_action": [user.pk for user in users]}, follow=True)


def test_an_administrator_sees_who_is_locked_and_lifts_the_lock(client, binh):
    guess(Client(), 5)
    client.force_login(factories.staff("administrator", "an"))
    assert "tag-bad" in client.get(STAFF).content.decode()
    assert "tag-bad" not in lift(client, binh).content.decode()
    assert sign_in(Client()).status_code == 302
    assert LogEntry.objects.get(object_id=str(binh.pk)).user.username == "an"
    lift(client, binh)
    assert LogEntry.objects.count() == 1, "there was nothing to lift"


def test_who_may_only_see_staff_lifts_no_lock(client, binh):
    guess(Client(), 5)
    client.force_login(factories.staff("supervisor"))
    lift(client, binh)
    assert sign_in(Client()).status_code == 429


def test_a_few_failures_and_an_ended_lock_are_no_lock(clock, client, binh):
    guess(client, 4)
    assert signin.locked_names(timezone.now()) == set()
    guess(client, 1)
    assert signin.locked_names(timezone.now()) == {"binh"}
    assert signin.locked_names(timezone.now() + minutes(15)) == set()


def test_what_is_kept_of_sign_ins_is_deleted_after_a_year(clock, client, binh):
    guess(client, 1)
    sign_in(client)
    clock.shift(timedelta(days=364))
    sign_in(client)
    clock.shift(timedelta(days=2))
    tasks.forget_old_sign_ins()
    assert not FailedSignIn.objects.exists()
    assert SignIn.objects.count() == 1


@pytest.mark.parametrize(
    ("searched", "found"), [("", 2), ("BINH", 1), ("ch", 1), ("10.0.0.2", 1), ("10.0.0.9", 0), ("10.0.0", 0)]
)
def test_an_auditor_finds_who_signed_in_and_who_tried(client, binh, searched, found):
    chi = User.objects.create_user("chi", password="right", is_staff=True)
    for number, user in enumerate((binh, chi), start=1):
        visitor, address = Client(), f"10.0.0.{number}"
        guess(visitor, 1, user.username, address)
        sign_in(visitor, user.username, address=address)
    client.force_login(factories.staff("auditor"))
    SignIn.objects.filter(username="auditor").delete()
    for model in ("signin", "failedsignin"):
        page = client.get(f"/admin/desk/{model}/", {"q": searched})
        assert page.context["cl"].result_count == found


def test_failures_lockouts_and_sign_ins_are_recorded_without_passwords(client, binh):
    guess(client, 5)
    sign_in(client, address="10.0.0.2", code="123456")
    failures = FailedSignIn.objects.order_by("pk")
    assert [failure.locked_out for failure in failures] == [False] * 4 + [True]
    assert {(failure.username, failure.ip_address) for failure in failures} == {("binh", "10.0.0.1")}
    assert SignIn.objects.get(ip_address="10.0.0.2").username == "binh"
    assert "wrong" not in AccessAttempt.objects.get().post_data


def test_logs_hold_neither_names_nor_passwords(client, binh, caplog):
    with caplog.at_level(logging.DEBUG):
        guess(client, 5)
        sign_in(client, address="10.0.0.2")
    assert "Locking out" in caplog.text
    for secret in ("binh", "wrong", "right", "10.0.0"):
        assert secret not in caplog.text


def test_it_is_told_in_vietnamese_whom_to_ask(client, binh):
    guess(client, 5)
    page = sign_in(client).content.decode()
    assert 'lang="vi"' in page
    assert "quản trị" in page


# Which address


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "203.0.113.9", "10.0.0.1"),
        (1, None, "10.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "1.2.3.4, 203.0.113.9", "203.0.113.9"),
        (2, "1.2.3.4, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
        (2, "203.0.113.9", "10.0.0.1"),
        (1, "::1", "::1"),
        (1, "no address", "10.0.0.1"),
    ],
)
def test_only_what_our_own_proxies_wrote_is_believed(rf, settings, proxies, forwarded, address):
    settings.TRUSTED_PROXIES = proxies
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    assert client_address(rf.get("/", headers=headers, REMOTE_ADDR="10.0.0.1")) == address


def test_behind_a_socket_there_is_no_address(rf):
    assert client_address(rf.get("/", REMOTE_ADDR="")) is None


def test_a_claimed_address_does_not_help_a_guesser(client, binh):
    for number in range(5):
        client.post(
            LOGIN, {"username": "binh", "password": "wrong"}, headers={"X-Forwarded-For": f"198.51.100.{number}"}
        )
    assert client.post(LOGIN, {"username": "binh", "password": "right"}).status_code == 429


# How long a session lasts


def is_signed_in(client, **headers):
    return client.get("/admin/password_change/", headers=headers).status_code == 200


def test_work_prolongs_a_session_and_idleness_ends_it(clock, client, binh):
    sign_in(client)
    for _hour in range(3):
        clock.shift(minutes(59))
        assert is_signed_in(client)
    clock.shift(minutes(61))
    assert not is_signed_in(client)


def test_somebody_who_never_came_back_after_signing_in_is_signed_out(clock, client, binh):
    sign_in(client)
    clock.shift(minutes(61))
    assert not is_signed_in(client)


def test_what_a_page_asks_for_by_itself_prolongs_nothing(clock, client, binh):
    sign_in(client)
    for _time in range(6):
        clock.shift(minutes(9))
        assert is_signed_in(client, **{"X-Background": "1"})
    clock.shift(minutes(9))
    assert client.get("/admin/", headers={"X-Background": "1"}).status_code == 403
    assert not is_signed_in(client)


def test_after_the_end_one_is_told_why_and_comes_back_to_where_one_was(clock, client, binh):
    sign_in(client)
    clock.shift(minutes(61))
    # A search as one types, say: what nobody reads tells nobody.
    assert client.get("/admin/", headers={"Sec-Fetch-Mode": "cors"}).status_code == 403
    there = client.get("/admin/billing/debt/?q=PP05", follow=True)
    assert there.redirect_chain == [("/admin/login/?next=/admin/billing/debt/%3Fq%3DPP05", 302)]
    assert "60 phút" in there.content.decode()
    assert "60 phút" not in client.get("/admin/login/").content.decode()
    address = there.redirect_chain[0][0]
    assert client.post(address, {"username": "binh", "password": "right"}).url == "/admin/billing/debt/?q=PP05"


def test_a_session_is_written_at_most_once_a_minute(clock, client, binh):
    sign_in(client)
    clock.shift(minutes(2))
    client.get("/admin/jsi18n/")
    before = client.session["seen_at"]
    clock.shift(timedelta(seconds=50))
    client.get("/admin/jsi18n/")
    assert client.session["seen_at"] == before


def test_a_session_ends_with_the_browser(client, binh):
    cookie = sign_in(client).cookies[project.SESSION_COOKIE_NAME]
    assert (cookie["max-age"], cookie["expires"]) == ("", "")
    assert cookie["httponly"]


def test_sessions_that_nobody_ended_are_swept_up(clock, client, binh):
    sign_in(client)
    clock.shift(timedelta(days=30))
    client.cookies.clear()
    sign_in(client)
    assert Session.objects.count() == 1


def test_a_new_password_ends_the_other_sessions(client, binh):
    other = Client()
    sign_in(client)
    sign_in(other)
    client.post(
        "/admin/password_change/",
        {"old_password": "right", "new_password1": "ba con meo trang", "new_password2": "ba con meo trang"},
    )
    assert is_signed_in(client)
    assert not is_signed_in(other)


def test_asking_without_a_session_opens_none(client, db):
    assert client.get("/api/schema/").status_code == 200
    assert project.SESSION_COOKIE_NAME not in client.cookies
