"""Supply interruptions for staff."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from evncare.admin import KeptAdmin, tag, typed_code
from evncare.imports.admin import ExchangeAdmin
from evncare.search import begins
from outages import exports
from outages.models import Outage

STAGES = {"running": _("running"), "coming": _("coming"), "past": _("past")}


class StageFilter(admin.SimpleListFilter):
    title = _("now")
    parameter_name = "stage"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, Any]]:  # type: ignore[type-arg]
        return list(STAGES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = timezone.now()
        stage = {
            "running": Q(end_at__gt=now, start_at__lte=now) | Q(end_at__isnull=True, start_at__lte=now),
            "coming": Q(start_at__gt=now),
            "past": Q(end_at__lte=now),
        }.get(self.value() or "")
        return queryset.filter(stage).exclude(status=Outage.Status.CANCELLED) if stage else queryset


@admin.register(Outage)
class OutageAdmin(KeptAdmin, ExchangeAdmin):
    export = exports.OUTAGES
    list_display = ("code", "station", "customer_code", "stage", "start_at", "end_at", "status_tag", "kind", "reason")
    list_filter = (StageFilter, "status", "kind")
    sortable_by = ("code", "start_at", "end_at")
    ordering = ("-start_at",)
    search_fields = ("code", "station", "customer_code")
    search_help_text = _("Customer code, or the beginning of an outage's or a station's code.")
    fields = (
        "code",
        ("station", "customer_code"),
        "start_at",
        "end_at",
        ("kind", "status"),
        "reason",
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        if code := typed_code(search_term):
            return queryset.filter(begins("customer_code", code)), False
        start = search_term.strip().upper()
        return queryset.filter(begins("code", start) | begins("station", start)), False

    @admin.display(description=_("now"))
    def stage(self, outage: Outage) -> SafeString | str:
        if outage.status == Outage.Status.CANCELLED:
            return "-"
        now = timezone.now()
        if outage.end_at is not None and outage.end_at <= now:
            stage = "past"
        else:
            stage = "running" if outage.start_at <= now else "coming"
        return tag(stage, STAGES[stage])

    @admin.display(description=_("status"))
    def status_tag(self, outage: Outage) -> SafeString:
        return tag(outage.status, outage.get_status_display())
