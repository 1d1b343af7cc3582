"""The list of all import runs, and import and export buttons for the admin page of a model with a declared export."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from import_export.admin import ExportActionMixin
from import_export.formats.base_formats import CSV
from unfold.admin import ModelAdmin
from unfold.contrib.import_export.forms import SelectableFieldsExportForm

from evncare.admin import RecordAdmin, day_and_time, grouped, tag
from evncare.imports import pages
from evncare.imports.columns import Column
from evncare.imports.declarations import Export, declared_exports
from evncare.imports.models import ImportRun
from evncare.imports.resources import EXPORT_FORMATS, MOST_ROWS_OF_A_WORKBOOK, lines, resource_for
from evncare.looks import looked
from evncare.phones import canonical, masked

NO_FILTERS = ("p", "o", "all", "_changelist_filters")
LONGEST_DETAIL = 500


class ExchangeAdmin(ExportActionMixin, ModelAdmin):  # type: ignore[misc]
    """A ModelAdmin with import and export by the declaration in ``export``.

    Who may add and change rows of the model may import; who may view them, and may export at all, may export. Those
    who don't see phone numbers export the other columns. Each export says who made it of what: see evncare.looks.
    """

    export: Export

    import_export_change_list_template = "admin/import_export/change_list_import_export.html"
    export_form_class = SelectableFieldsExportForm
    to_encoding = "utf-8-sig"  # by its mark, spreadsheets know UTF-8

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_import"
        return [path("import/", self.admin_site.admin_view(self.import_view), name=name), *super().get_urls()]

    def import_view(self, request: HttpRequest) -> HttpResponse:
        return pages.upload(request, self.export)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may_import = {"has_import_permission": pages.may_import(request.user, self.export)}
        response: HttpResponse = super().changelist_view(request, (extra_context or {}) | may_import)
        return response

    def get_resource_classes(self, request: HttpRequest) -> list[Any]:
        return [resource_for(self.export, pages.seen_columns(request.user, self.export))]

    def get_export_formats(self) -> list[Any]:
        return EXPORT_FORMATS

    def has_export_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_view_permission(request)) and request.user.has_perm("imports.export_importrun")

    def export_admin_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase:
        """The form for the rows that were ticked; for all rows of the list, the form that knows its filters."""
        if request.POST.get("select_across") == "1":
            address = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_export")
            return redirect(f"{address}?{request.GET.urlencode()}")
        response: HttpResponseBase = super().export_admin_action(request, queryset)
        return response

    def get_valid_export_item_pks(self, request: HttpRequest) -> list[str]:
        """Those that were ticked; the export looks for them among what the list shows. The library's reads them all."""
        return request.POST.getlist("export_items")

    def _do_file_export(
        self, file_format: Any, request: HttpRequest, queryset: QuerySet[Any], export_form: Any = None
    ) -> HttpResponseBase:
        """CSV is streamed, however many rows there are; a workbook is made in memory and so is bounded."""
        chosen = export_form.get_selected_resource_export_fields()
        columns = [column for column in pages.seen_columns(request.user, self.export) if column.field in chosen]
        streamed = isinstance(file_format, CSV)
        rows = queryset.order_by()
        count = rows.count() if streamed else rows[: MOST_ROWS_OF_A_WORKBOOK + 1].count()
        if not streamed and count > MOST_ROWS_OF_A_WORKBOOK:
            raise ValueError(  # which the page shows
                _("A workbook can hold %(most)s rows here: choose CSV, or fewer rows by the filters of the list.")
                % {"most": grouped(MOST_ROWS_OF_A_WORKBOOK)}
            )
        looked.send(
            sender=type(self),
            request=request,
            kind="EXPORT",
            subject=self.export.name,
            detail=self._detail(request, file_format.get_title(), columns),
            rows=count,
        )
        if not streamed:
            response: HttpResponse = super()._do_file_export(file_format, request, queryset, export_form)
            return response
        name = self.get_export_filename(request, queryset, file_format)
        return StreamingHttpResponse(
            lines(self.export, columns, queryset),
            content_type=f"text/csv; charset={self.to_encoding}",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def _detail(self, request: HttpRequest, file_format: str, columns: Sequence[Column]) -> str:
        """Which rows and columns, in words: CSV; rows: year=2016; columns: MA_KHANG, TEN_KHANG."""
        filters = [
            f"{name}={masked(phone) if (phone := canonical(str(value))) else value}"
            for name, value in request.GET.items()
            if name not in NO_FILTERS and value
        ]
        rows = request.POST.getlist("export_items") or filters or [gettext("all")]
        detail = _("%(format)s; rows: %(rows)s; columns: %(columns)s") % {
            "format": file_format.upper(),
            "rows": ", ".join(map(str, rows)),
            "columns": ", ".join(column.name for column in columns),
        }
        return Truncator(detail).chars(LONGEST_DETAIL)


class KindFilter(admin.SimpleListFilter):
    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, pages.kind_name(export)) for name, export in declared_exports().items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(ImportRun)
class ImportRunAdmin(RecordAdmin):
    list_display = ("file", "shown_state", "counted", "begun", "loaded")
    list_display_links = None
    list_filter = ("state", KindFilter, "source")
    list_select_related = ("created_by",)
    search_fields = ("file_name", "sha256")
    search_help_text = _("File name or SHA-256.")
    change_list_template = "admin/imports/runs.html"

    def get_urls(self) -> list[Any]:
        def page(address: str, view: Callable[..., HttpResponseBase], name: str) -> Any:
            return path(address, self.admin_site.admin_view(view), name=f"imports_importrun_{name}")

        return [
            page("<int:pk>/progress/", pages.progress, "progress"),
            page("<int:pk>/rejects/", pages.rejects, "rejects"),
            *(
                page(f"<int:pk>/{decision}/", _deciding(decision), decision)
                for decision in ("confirm", "cancel", "undo")
            ),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not object_id.isdecimal():
            raise Http404
        return pages.show(request, int(object_id))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        startable = [
            {"name": pages.kind_name(export), "url_name": pages.upload_url_name(export)}
            for export in declared_exports().values()
            if pages.may_import(request.user, export)
        ]
        told = (extra_context or {}) | {"startable": startable, "title": _("Import runs")}
        response: HttpResponse = super().changelist_view(request, told)
        return response

    @admin.display(description=_("file"), ordering="file_name")
    def file(self, run: ImportRun) -> SafeString:
        return format_html(
            '<a href="{}/change/"><strong>{}</strong></a><div class="quiet">{}</div>',
            run.pk,
            run.file_name,
            pages.kind_name(run.export),
        )

    @admin.display(description=_("state"))
    def shown_state(self, run: ImportRun) -> SafeString:
        return tag(f"run-{run.state}", run.get_state_display())

    @admin.display(description=_("rows"))
    def counted(self, run: ImportRun) -> SafeString:
        if not (run.checked_at or run.loaded_at):
            return format_html('<span class="quiet">{}</span>', run.failure or "-")
        counts = [count for count in pages.counts(run) if not count["is_zero"]]
        return format_html_join(" · ", '<span class="count-{}">{} {}</span>', (
            (count["name"], count["count"], count["label"]) for count in counts
        ))  # fmt: skip

    @admin.display(description=_("begun"), ordering="created_at")
    def begun(self, run: ImportRun) -> SafeString:
        who = run.created_by or run.get_source_display()
        return format_html('{}<div class="quiet">{}</div>', day_and_time(run.created_at), who)

    @admin.display(description=_("loaded"), ordering="loaded_at")
    def loaded(self, run: ImportRun) -> SafeString | str:
        if not run.loaded_at or run.seconds is None:
            return "-"
        duration = _("%(seconds)s s") % {"seconds": pages.grouped_seconds(run.seconds)}
        return format_html('{}<div class="quiet">{}</div>', day_and_time(run.loaded_at), duration)


def _deciding(decision: str) -> Callable[..., HttpResponse]:
    @wraps(pages.decide)
    def view(request: HttpRequest, pk: int) -> HttpResponse:
        return pages.decide(request, pk, decision)

    return view
