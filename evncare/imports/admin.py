"""Import and export buttons for the admin page of a model that has a declared export."""

from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from import_export.admin import ExportActionMixin, ImportExportModelAdmin
from import_export.results import Result

from evncare.imports.declarations import Export
from evncare.imports.resources import EXPORT_FORMATS, IMPORT_FORMATS, resource_for


class ExchangeAdmin(ExportActionMixin, ImportExportModelAdmin):  # type: ignore[misc]
    """A ModelAdmin with import (preview first, then confirm) and export by the declaration in ``export``.

    Who may add and change rows of the model may import, who may view them may export, whatever single rows allow.
    """

    export: Export

    to_encoding = "utf-8-sig"  # by its mark, spreadsheets know UTF-8

    def get_resource_classes(self, request: HttpRequest) -> list[Any]:
        return [resource_for(self.export)]

    def get_import_formats(self) -> list[Any]:
        return IMPORT_FORMATS

    def get_export_formats(self) -> list[Any]:
        return EXPORT_FORMATS

    def has_import_permission(self, request: HttpRequest) -> bool:
        return all(
            request.user.has_perm(f"{self.opts.app_label}.{do}_{self.opts.model_name}") for do in ("add", "change")
        )

    def has_export_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_view_permission(request))

    def import_action(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """The upload and its preview. Rejected rows don't keep the others from being confirmed."""
        response: HttpResponse = super().import_action(request, **kwargs)
        context = getattr(response, "context_data", {})
        result = context.get("result")
        if result is not None and not result.has_errors():
            messages.info(request, summary(result))
            for note in result.outcome.notes:
                messages.warning(request, note)
            if result.outcome.taken and "confirm_form" not in context:
                messages.warning(request, _("Confirming takes the good rows and leaves out the rejected ones."))
                context["confirm_form"] = self.create_confirm_form(request, import_form=context["form"])
        return response

    def add_success_message(self, result: Result, request: HttpRequest) -> None:
        for error in result.base_errors:
            messages.error(request, str(error.error))
        if not result.has_errors():
            messages.success(request, summary(result))

    def generate_log_entries(self, result: Result, request: HttpRequest) -> None:
        """One entry for the whole load: one a row would be millions."""
        if not result.has_errors():
            LogEntry.objects.create(
                user_id=int(request.user.pk or 0),
                content_type=ContentType.objects.get_for_model(self.model),
                object_repr=str(self.opts.verbose_name_plural),
                action_flag=CHANGE,
                change_message=summary(result),
            )


def summary(result: Result) -> str:
    text = _(
        "%(rows)s rows: %(new)s new, %(changed)s changed, %(unchanged)s unchanged, %(removed)s settled, "
        "%(rejected)s rejected."
    )
    counts: dict[str, object] = result.outcome.counts()
    return text % counts
