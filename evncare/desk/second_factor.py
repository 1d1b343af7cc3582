"""The second factor: beside the password a code that changes each half minute, for those who chose it.

A person has at most one device, an authenticator app, and ten recovery codes for the day it is lost.
"""

from base64 import b32encode

import django_otp
import segno
from django import forms
from django.contrib import admin, messages
from django.contrib.auth import authenticate
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.auth.signals import user_login_failed
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from evncare.desk import history

DIGITS = 6  # of an app's code; recovery codes are longer
RECOVERY_CODES = 10
WRONG_CODE = _("This code is wrong, or was used already. Wait for the next one, or take a recovery code.")


def is_set_up(user: AbstractBaseUser | AnonymousUser) -> bool:
    return bool(TOTPDevice.objects.filter(user_id=user.pk, confirmed=True).exists())


def is_satisfied(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether somebody who gave a password may work: with a second factor, the session must have shown it.

    One query for each user object, however often it is asked.
    """
    if getattr(user, "otp_device", None) is not None:
        return True
    if not hasattr(user, "_needs_no_code"):
        user._needs_no_code = not is_set_up(user)  # type: ignore[union-attr]
    return user._needs_no_code  # type: ignore[union-attr, no-any-return]


def verify(user: User, code: str, *, confirmed: bool = True) -> Device | None:
    """The device whose code this is. A code serves once; after wrong ones each device makes its owner wait."""
    code = code.replace(" ", "").replace("-", "").lower()
    is_recovery_code = len(code) > DIGITS
    model = StaticDevice if is_recovery_code else TOTPDevice
    with transaction.atomic():
        device = model.objects.select_for_update().filter(user=user, confirmed=confirmed).first()
        right = device is not None and device.verify_token(_kept(user, code) if is_recovery_code else code)
    return device if right else None


def count_failure(request: HttpRequest, user: User) -> None:
    """A wrong code is as good as a wrong password: so many of both, and the account is locked for this address."""
    user_login_failed.send(__name__, credentials={"username": user.get_username()}, request=request)


def new_recovery_codes(user: User) -> list[str]:
    """Ten new codes in place of those there are. They can't be read again: only what tells them is kept."""
    codes = [StaticToken.random_token() for _number in range(RECOVERY_CODES)]
    with transaction.atomic():
        device, _created = StaticDevice.objects.get_or_create(user=user, name="recovery")
        device.token_set.all().delete()
        StaticToken.objects.bulk_create(StaticToken(device=device, token=_kept(user, code)) for code in codes)
    return codes


def _kept(user: User, code: str) -> str:
    """What the database keeps of a recovery code: 64 bits, keyed."""
    return salted_hmac("evncare.desk.second_factor", f"{user.pk}:{code}").hexdigest()[:16]


def take_off(user: User, by: User) -> bool:
    """Take device and recovery codes from ``user``; recorded. Whether there was one."""
    with transaction.atomic():
        had = is_set_up(user)
        TOTPDevice.objects.filter(user=user).delete()
        StaticDevice.objects.filter(user=user).delete()
        if had:
            history.note(user, by, gettext("Removed the second factor."))
    return had


# The page


class ProofForm(forms.Form):
    """What each change of a second factor takes, so that an unlocked screen is not enough."""

    password = forms.CharField(
        label=_("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"class": "field", "autocomplete": "current-password"}),
    )
    code = forms.CharField(
        label=_("Code"),
        max_length=20,
        widget=forms.TextInput(attrs={"class": "field", "autocomplete": "one-time-code"}),
    )


def page(request: HttpRequest) -> HttpResponse:
    """A person's own second factor: set up, new recovery codes, switched off."""
    user = User.objects.get(username=request.user.get_username())
    action = request.POST.get("action")
    if action in ("begin", "cancel"):
        TOTPDevice.objects.filter(user=user, confirmed=False).delete()
        if action == "begin" and not is_set_up(user):
            TOTPDevice.objects.create(user=user, name="app", confirmed=False)
        return redirect("admin:second_factor")
    device = TOTPDevice.objects.filter(user=user).first()
    form = ProofForm(request.POST if action else None)
    codes: list[str] = []
    if device and form.is_valid() and (shown := _proof(request, user, form, device.confirmed)):
        if not device.confirmed:
            codes = _confirm(request, user, shown)
            device.confirmed = True
        elif action == "remove":
            take_off(user, by=user)
            messages.success(request, gettext("The second factor is off."))
            return redirect("admin:second_factor")
        else:
            codes = new_recovery_codes(user)
            history.note(user, user, gettext("Made new recovery codes."))
    context = admin.site.each_context(request) | {
        "title": _("Second factor"),
        "form": form,
        "device": device,
        "codes": codes,
        "codes_left": StaticToken.objects.filter(device__user=user).count(),
    }
    if device and not device.confirmed:
        picture = segno.make(device.config_url).svg_data_uri(scale=5, light="#fff")
        context |= {"picture": picture, "key": _readable(device.bin_key)}
    return TemplateResponse(request, "admin/desk/second_factor.html", context)


def _proof(request: HttpRequest, user: User, form: ProofForm, confirmed: bool) -> Device | None:
    """The device that a right password and code show; else the form says what is wrong, and it counts as a guess."""
    if authenticate(request, username=user.get_username(), password=form.cleaned_data["password"]) is None:
        form.add_error("password", _("This is not your password."))
        return None
    device = verify(user, form.cleaned_data["code"], confirmed=confirmed)
    if device is None:
        count_failure(request, user)
        form.add_error("code", WRONG_CODE)
    return device


def _confirm(request: HttpRequest, user: User, device: Device) -> list[str]:
    """From now on the account needs a code. This session has shown one; all others have to sign in anew."""
    device.confirmed = True
    device.save()
    django_otp.login(request, device)
    history.note(user, user, gettext("Set up a second factor."))
    return new_recovery_codes(user)


def _readable(key: bytes) -> str:
    """For those who have to type it, in groups of four."""
    text = b32encode(key).decode()
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))
