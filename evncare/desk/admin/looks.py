"""Who looked at what: the auditor's page."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from evncare.admin import DayFilter, RecordAdmin, grouped, typed_code
from evncare.desk.models import AccessRecord
from evncare.search import begins


class LookDayFilter(DayFilter):
    moment = "at"


@admin.register(AccessRecord)
class AccessRecordAdmin(RecordAdmin):
    """The auditor's: who saw this customer or message, what did this person see, what was exported."""

    list_display = ("at", "user", "kind", "seen", "counted", "detail", "address")
    list_filter = (LookDayFilter, "kind")
    list_select_related = ("user",)
    ordering = ("-at",)
    search_fields = ("subject", "user")
    search_help_text = _("Customer code or its beginning, number of a message, or name of a member of staff.")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if code := typed_code(term):
            return queryset.filter(begins("subject", code)), False
        named = User.objects.filter(
            Q(username__icontains=term) | Q(first_name__icontains=term) | Q(last_name__icontains=term)
        )
        return queryset.filter(Q(subject=term) | Q(user__in=list(named.values_list("pk", flat=True)))), False

    @admin.display(description=_("rows"))
    def counted(self, look: AccessRecord) -> str:
        return "" if look.rows is None else grouped(look.rows)

    @admin.display(description=_("subject"))
    def seen(self, look: AccessRecord) -> SafeString | str:
        """What was looked at, with a link to it."""
        page = {
            AccessRecord.Kind.CUSTOMER: "admin:billing_customer_change",
            AccessRecord.Kind.TRIAL: "admin:billing_customer_change",
            AccessRecord.Kind.MESSAGE: "admin:sms_inboundmessage_change",
        }.get(AccessRecord.Kind(look.kind))
        if page is None:
            return str(look.subject)
        return format_html('<a href="{}" class="code">{}</a>', reverse(page, args=[look.subject]), look.subject)
