"""The second factor: set up, asked for at signing in, lost and taken off."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from evncare.desk import second_factor

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
PAGE = "/admin/second-factor/"
LOGIN = "/admin/login/"
RIGHT = {"username": "binh", "password": "right"}


@pytest.fixture(autouse=True)
def clock(db):
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def binh(db):
    return User.objects.create_user("binh", password="right", is_staff=True, is_superuser=True)


@pytest.fixture
def signed_in(client, binh):
    client.post(LOGIN, RIGHT)
    return client


@pytest.fixture
def device(binh):
    return TOTPDevice.objects.create(user=binh, name="app")


def code_of(device):
    return f"{totp(device.bin_key):06}"


def wrong_code_of(device):
    return f"{(int(code_of(device)) + 1) % 1_000_000:06}"


def sign_in(client, **fields):
    return client.post(LOGIN, RIGHT | fields)


def is_in(client):
    return client.get("/admin/password_change/").status_code == 200


# Setting up


def test_from_nothing_to_recovery_codes(signed_in, binh):
    assert 'value="begin"' in signed_in.get(PAGE).content.decode()
    signed_in.post(PAGE, {"action": "begin"})
    page = signed_in.get(PAGE).content.decode()
    device = TOTPDevice.objects.get()
    assert not device.confirmed
    assert "data:image/svg+xml" in page
    key = re.search(r'class="key">([A-Z2-7 ]+)<', page)[1]
    assert key.replace(" ", "") in device.config_url

    shown = signed_in.post(PAGE, {"action": "confirm", "password": "right", "code": code_of(device)})
    codes = re.findall(r"<code>([a-z2-7]{8})</code>", shown.content.decode())
    assert len(set(codes)) == 10
    assert "no-store" in shown["Cache-Control"]
    assert is_in(signed_in)  # this session has shown a code
    again = signed_in.get(PAGE).content.decode()
    assert not any(code in again for code in codes)
    assert not StaticToken.objects.filter(token__in=codes).exists()
    assert LogEntry.objects.filter(object_id=str(binh.pk)).count() == 1


def test_nothing_is_on_before_a_code_was_shown(signed_in, binh):
    signed_in.post(PAGE, {"action": "begin"})
    assert sign_in(Client()).status_code == 302
    device = TOTPDevice.objects.get()
    signed_in.post(PAGE, {"action": "confirm", "password": "right", "code": wrong_code_of(device)})
    signed_in.post(PAGE, {"action": "confirm", "password": "wrong", "code": code_of(device)})
    assert not second_factor.is_set_up(binh)
    signed_in.post(PAGE, {"action": "cancel"})
    assert not TOTPDevice.objects.exists()


def test_other_sessions_have_to_sign_in_anew(signed_in, binh, clock):
    elsewhere = Client()
    sign_in(elsewhere)
    signed_in.post(PAGE, {"action": "begin"})
    signed_in.post(PAGE, {"action": "confirm", "password": "right", "code": code_of(TOTPDevice.objects.get())})
    assert is_in(signed_in)
    sent = elsewhere.get("/admin/", follow=True)
    assert sent.redirect_chain == [("/admin/login/?next=/admin/", 302)]
    assert sent.status_code == 200


def test_beginning_again_never_touches_a_device_in_use(signed_in, binh):
    device = TOTPDevice.objects.create(user=binh, name="app")
    sign_in(signed_in, code=code_of(device))
    for action in ("begin", "cancel"):
        signed_in.post(PAGE, {"action": action})
    assert TOTPDevice.objects.get() == device


# Signing in


def test_without_a_second_factor_the_code_is_not_looked_at(client, binh):
    assert sign_in(client, code="123456").status_code == 302


def test_with_one_the_password_alone_is_not_enough(client, device):
    refused = sign_in(client)
    assert refused.status_code == 200
    assert not is_in(client)
    assert sign_in(client, code=code_of(device)).status_code == 302
    assert is_in(client)


def test_a_code_with_a_space_is_understood(client, device):
    code = code_of(device)
    assert sign_in(client, code=f"{code[:3]} {code[3:]}").status_code == 302


def test_a_code_serves_once(client, device, clock):
    code = code_of(device)
    sign_in(client, code=code)
    clock.shift(timedelta(seconds=5))
    assert sign_in(Client(), code=code).status_code == 200
    clock.shift(timedelta(seconds=60))
    assert sign_in(Client(), code=code_of(device)).status_code == 302


def test_wrong_codes_count_as_wrong_passwords(client, device, clock):
    answers = []
    for _time in range(5):
        clock.shift(timedelta(seconds=30))
        answers.append(sign_in(client, code=wrong_code_of(device)).status_code)
    assert answers == [200] * 4 + [429]
    clock.shift(timedelta(seconds=60))
    assert sign_in(client, code=code_of(device)).status_code == 429


def test_codes_cannot_be_tried_in_a_row_from_many_addresses(device):
    for number in range(3):
        Client().post(LOGIN, RIGHT | {"code": wrong_code_of(device)}, REMOTE_ADDR=f"10.0.1.{number}")
    assert Client().post(LOGIN, RIGHT | {"code": code_of(device)}, REMOTE_ADDR="10.0.1.9").status_code == 200


def test_a_wrong_password_does_not_tell_whether_a_code_is_needed(client, device):
    User.objects.create_user("chi", password="right", is_staff=True)

    def told(name):
        page = client.post(LOGIN, {"username": name, "password": "wrong", "code": "123456"}).content.decode()
        return "".join(line for line in page.replace(name, "").splitlines() if "csrf" not in line)

    assert told("binh") == told("chi") == told("nobody")


def test_a_wrong_password_uses_up_no_code(client, device):
    code = code_of(device)
    client.post(LOGIN, {"username": "binh", "password": "wrong", "code": code})
    assert sign_in(client, code=code).status_code == 302


def test_a_session_that_only_a_password_began_is_sent_to_sign_in(client, binh):
    client.force_login(binh)
    assert is_in(client)
    TOTPDevice.objects.create(user=binh, name="app")
    assert client.get("/admin/").url == "/admin/login/?next=/admin/"


def test_whether_a_code_is_needed_is_asked_once_a_request(client, binh, django_assert_num_queries):
    client.force_login(binh)
    client.get("/admin/jsi18n/")
    with django_assert_num_queries(3):  # the session, the user, the device
        client.get("/admin/jsi18n/")


# Recovery codes


def test_a_recovery_code_serves_once(binh, device):
    code, *_others = second_factor.new_recovery_codes(binh)
    typed = f"{code[:4].upper()}-{code[4:]}"
    assert sign_in(Client(), code=typed).status_code == 302
    assert sign_in(Client(), code=typed).status_code == 200
    assert StaticToken.objects.count() == 9


def test_nobody_elses_recovery_code_serves(binh, device):
    chi = User.objects.create_user("chi", password="right", is_staff=True)
    (code, *_others) = second_factor.new_recovery_codes(chi)
    second_factor.new_recovery_codes(binh)
    assert sign_in(Client(), code=code).status_code == 200


def test_new_codes_void_the_old_ones_and_take_a_password_and_a_code(signed_in, binh, device, clock):
    (old, *_others) = second_factor.new_recovery_codes(binh)
    sign_in(signed_in, code=code_of(device))
    clock.shift(timedelta(seconds=60))
    for password, code in (("wrong", code_of(device)), ("right", wrong_code_of(device)), ("right", "")):
        signed_in.post(PAGE, {"action": "renew", "password": password, "code": code})
    assert StaticToken.objects.filter(token=second_factor._kept(binh, old)).exists()
    clock.shift(timedelta(seconds=60))
    signed_in.post(PAGE, {"action": "renew", "password": "right", "code": code_of(device)})
    assert not StaticToken.objects.filter(token=second_factor._kept(binh, old)).exists()
    assert StaticToken.objects.count() == 10


def test_new_codes_leave_one_signed_in_who_came_by_an_old_one(client, binh, device):
    first, second, *_others = second_factor.new_recovery_codes(binh)
    sign_in(client, code=first)
    shown = client.post(PAGE, {"action": "renew", "password": "right", "code": second})
    assert shown.context["codes"]
    assert is_in(client)


# Without it again


def test_switching_off_takes_a_password_and_a_code(signed_in, binh, device, clock):
    sign_in(signed_in, code=code_of(device))
    clock.shift(timedelta(seconds=60))
    signed_in.post(PAGE, {"action": "remove", "password": "wrong", "code": code_of(device)})
    assert second_factor.is_set_up(binh)
    signed_in.post(PAGE, {"action": "remove", "password": "right", "code": code_of(device)})
    assert not second_factor.is_set_up(binh)
    assert not StaticDevice.objects.exists()
    assert is_in(signed_in)
    assert sign_in(Client()).status_code == 302


def test_guessing_on_the_page_locks_too(signed_in, binh, device):
    sign_in(signed_in, code=code_of(device))
    wrong = {"action": "remove", "password": "wrong", "code": "000000"}
    assert [signed_in.post(PAGE, wrong).status_code for _time in range(5)] == [200] * 4 + [429]


def remove_by(client, *users):
    return client.post(
        "/admin/auth/user/", {"action": "remove_second_factor", "_selected_action": [user.pk for user in users]}
    )


def administrator(**fields):
    user = User.objects.create_user("an", is_staff=True, **fields)
    user.user_permissions.set(Permission.objects.filter(codename__in=("view_user", "change_user")))
    return user


def test_an_administrator_takes_a_lost_device_off(binh):
    chi = User.objects.create_user("chi", password="right", is_staff=True)
    TOTPDevice.objects.create(user=chi, name="app")
    second_factor.new_recovery_codes(chi)
    an = administrator()
    client = Client()
    client.force_login(an)
    remove_by(client, chi)
    assert not TOTPDevice.objects.exists()
    assert not StaticDevice.objects.exists()
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (an, str(chi.pk))


def test_the_right_is_to_change_accounts(client, binh, device):
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_user"))
    client.force_login(viewer)
    remove_by(client, binh)
    assert TOTPDevice.objects.exists()


def test_a_superusers_second_factor_is_for_superusers_and_ones_own_for_its_page(client, binh, device):
    client.force_login(administrator())
    remove_by(client, binh)
    assert TOTPDevice.objects.exists()
    client.post(LOGIN, RIGHT | {"code": code_of(device)})
    remove_by(client, binh)
    assert TOTPDevice.objects.exists()


def test_no_page_shows_the_secrets_of_devices():
    assert not {model for model in admin.site._registry if model._meta.app_label.startswith("otp_")}


def test_the_page_asks_no_more_queries_than_it_has_parts(signed_in, binh, device, django_assert_max_num_queries):
    second_factor.new_recovery_codes(binh)
    sign_in(signed_in, code=code_of(device))
    with django_assert_max_num_queries(8):
        signed_in.get(PAGE)
