"""Who signed in, and who tried to: the auditor's pages of what django-axes keeps."""

from typing import Any, ClassVar

from axes.models import AccessBase
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.validators import validate_ipv46_address
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from evncare.admin import DayFilter, RecordAdmin, day_and_time, tag
from evncare.desk.models import FailedSignIn, SignIn


def is_address(term: str) -> bool:
    try:
        validate_ipv46_address(term)
    except ValidationError:
        return False
    return True


class AttemptDayFilter(DayFilter):
    moment = "attempt_time"


class AttemptAdmin(RecordAdmin):
    list_display_links = None
    list_filter: ClassVar[tuple[Any, ...]] = (AttemptDayFilter,)
    ordering = ("-pk",)
    search_fields = ("username", "ip_address")
    search_help_text = _("Name of an account or its beginning, or network address.")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.list_display

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.list_display

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if is_address(term):
            return queryset.filter(ip_address=term), False
        return queryset.filter(username__istartswith=term), False

    @admin.display(description=_("at"))
    def at(self, attempt: AccessBase) -> str:
        return day_and_time(attempt.attempt_time)

    @admin.display(description=_("user"))
    def name(self, attempt: AccessBase) -> str:
        return attempt.username or "–"

    @admin.display(description=_("network address"))
    def address(self, attempt: AccessBase) -> str:
        return attempt.ip_address or "–"

    @admin.display(description=_("browser"))
    def browser(self, attempt: AccessBase) -> str:
        return str(attempt.user_agent)


@admin.register(SignIn)
class SignInAdmin(AttemptAdmin):
    list_display = ("at", "name", "address", "signed_out_at", "browser")

    @admin.display(description=_("signed out at"))
    def signed_out_at(self, sign_in: SignIn) -> str:
        return day_and_time(sign_in.logout_time) if sign_in.logout_time else "–"


@admin.register(FailedSignIn)
class FailedSignInAdmin(AttemptAdmin):
    list_display = ("at", "name", "address", "result", "browser")
    list_filter = (AttemptDayFilter, "locked_out")

    @admin.display(description=_("result"))
    def result(self, attempt: FailedSignIn) -> SafeString:
        return tag("bad", _("locked")) if attempt.locked_out else tag("warn", _("refused"))
