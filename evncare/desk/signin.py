"""Signing in: the form, what happens to those who guess and who helps them, and when a session ends."""

import time
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from axes.models import AccessAttempt
from axes.utils import reset
from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import AbstractBaseUser, User
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import ValidationError
from django.db.models import Sum
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.forms import AuthenticationForm

from evncare.addresses import client_address
from evncare.desk import history, second_factor

SEEN_AT = "seen_at"  # in the session: when its owner last asked for something, in seconds


class SignInForm(AuthenticationForm):  # type: ignore[misc]  # the theme carries no types
    """Name and password, and the code of the second factor in the same step.

    Whether an account has a second factor shows only to those who know its password.
    """

    code = forms.CharField(
        label=_("Code of the second factor"),
        help_text=_("Only if you set one up: six digits, or one of your recovery codes."),
        required=False,
        max_length=20,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs["class"] = "field"

    def confirm_login_allowed(self, user: AbstractBaseUser) -> None:
        assert isinstance(user, User)
        try:
            super().confirm_login_allowed(user)
        except ValidationError:  # an account that has no business here: told, and counted, as a wrong password
            second_factor.count_failure(self.request, user)
            raise
        if not second_factor.is_set_up(user):
            return
        code = self.cleaned_data.get("code")
        if not code:
            raise ValidationError(_("This account also needs the code of its second factor."), code="code_missing")
        device = second_factor.verify(user, code)
        if device is None:
            second_factor.count_failure(self.request, user)
            raise ValidationError(second_factor.WRONG_CODE, code="code_wrong")
        user.otp_device = device  # type: ignore[attr-defined]  # signing in keeps it in the session


def locked_out(request: HttpRequest, response: HttpResponse | None, credentials: dict[str, Any]) -> HttpResponse:
    """The answer to any attempt, right or wrong, while a name is locked for an address. Nobody learns if it exists."""
    attempts = AccessAttempt.objects.filter(
        username=credentials.get("username"), ip_address=client_address(request)
    ).values_list("attempt_time", flat=True)
    ends = max(attempts, default=timezone.now()) + settings.AXES_COOLOFF_TIME
    wait = max(ends - timezone.now(), timedelta(minutes=1))
    context = admin.site.each_context(request) | {
        "title": _("Too many attempts"),
        "minutes": ceil(wait / timedelta(minutes=1)),
    }
    page = render(request, "admin/desk/locked_out.html", context, status=settings.AXES_HTTP_RESPONSE_CODE)
    page["Retry-After"] = str(ceil(wait.total_seconds()))
    add_never_cache_headers(page)
    return page


def locked_names(now: datetime) -> set[str]:
    """The names that are locked at some address."""
    recent = AccessAttempt.objects.filter(attempt_time__gt=now - settings.AXES_COOLOFF_TIME).order_by()
    counted = recent.values_list("username", "ip_address").annotate(failures=Sum("failures_since_start"))
    return {name for name, _address, failures in counted if failures >= settings.AXES_FAILURE_LIMIT}


def lift_lock(user: User, by: User) -> bool:
    """Let somebody who was locked out try again at once; recorded. Whether anything was counted against them."""
    counted = bool(reset(username=user.get_username()))
    if counted:
        history.note(user, by, gettext("Lifted the lock after failed sign-ins."))
    return counted


@receiver(user_logged_in, dispatch_uid="evncare.desk.signin.begin_session")
def begin_session(request: HttpRequest, **_kwargs: Any) -> None:
    request.session[SEEN_AT] = int(time.time())
    request.session.clear_expired()  # those of others that nobody ended: one sweep of an index, some times a day
