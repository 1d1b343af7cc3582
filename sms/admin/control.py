"""What keeps the messages in order: blocks, carriers, audits, reconciliations, and uses of personal data."""

import gzip
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from evncare.admin import KeptAdmin, RecordAdmin, tag
from evncare.phones import canonical
from sms import carriers, reconciliation
from sms.audit import CHECKS, MESSAGES, REPLIES
from sms.models import AuditRun, BlockedSender, CarrierState, PrivacyAction, ReconciliationRun
from sms.statement import StatementRefused


@admin.register(BlockedSender)
class BlockedSenderAdmin(KeptAdmin):
    """A block ends by its time; it is not deleted, so that it can be told afterwards."""

    list_display = ("sender", "reason", "until", "created_at")
    search_fields = ("sender",)
    search_help_text = _("Phone number.")
    ordering = ("-created_at",)
    phone_fields = ("sender",)
    fields = ("sender", "reason", "until")

    def save_model(self, request: HttpRequest, obj: BlockedSender, form: Any, change: bool) -> None:
        obj.sender = canonical(obj.sender) or obj.sender
        super().save_model(request, obj, form, change)


@admin.register(CarrierState)
class CarrierStateAdmin(RecordAdmin):
    list_display = ("carrier", "shown_state", "failures", "closed_until")

    @admin.display(description=_("state"))
    def shown_state(self, state: CarrierState) -> SafeString:
        return health(state, timezone.now())


def health(state: CarrierState | None, now: datetime) -> SafeString:
    """How a carrier does, as a coloured word; one that has no state yet has done nothing wrong."""
    if state and state.closed_until and state.closed_until > now:
        until = date_format(timezone.localtime(state.closed_until), "H:i:s")
        return tag("bad", gettext("pausing until %(time)s") % {"time": until})
    if state and state.failures:
        failures = ngettext("%(count)s failure in a row", "%(count)s failures in a row", state.failures)
        return tag("warn", failures % {"count": state.failures})
    return tag("good", gettext("in order"))


PAGE_OF = {MESSAGES: "admin:sms_inboundmessage_change", REPLIES: "admin:sms_outboundmessage_change"}


@admin.register(AuditRun)
class AuditRunAdmin(RecordAdmin):
    list_display = ("day", "verdict", "exceptions", "ran_at")
    fields = ("day", "ran_at", "verdict", "findings")
    readonly_fields = ("verdict", "findings")

    @admin.display(description=_("verdict"))
    def verdict(self, run: AuditRun) -> SafeString:
        if not run.balanced:
            return tag("FAILED", _("the books do not balance"))
        return tag("UNKNOWN", _("exceptions")) if run.exceptions else tag("answered", _("in order"))

    @admin.display(description=_("findings"))
    def findings(self, run: AuditRun) -> SafeString:
        """Each kind of exception with links to what it is about."""
        found = run.summary["exceptions"]
        context = [
            {
                "title": check.title,
                "count": found[check.name]["count"],
                "links": [(pk, reverse(PAGE_OF[check.of], args=[pk])) for pk in found[check.name]["ids"]],
            }
            for check in CHECKS
            if check.name in found
        ]
        return render_to_string("admin/sms/audit.html", {"books": run.summary, "findings": context})


@admin.register(PrivacyAction)
class PrivacyActionAdmin(RecordAdmin):
    list_display = ("at", "kind", "by", "reason", "rows")
    list_filter = ("kind",)


class StatementForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only for the type checker
    """A carrier's statement, compared with our log as soon as it is uploaded."""

    carrier = forms.ChoiceField(
        label=capfirst(_("carrier")),
        choices=lambda: [(name, name) for name in carriers.names()],
        widget=UnfoldAdminSelectWidget,
    )
    month = forms.DateField(
        label=capfirst(_("month")),
        input_formats=("%Y-%m", "%m/%Y"),
        help_text=_("As 2016-10 or 10/2016."),
        error_messages={"invalid": _("This is no month. Type it as 2016-10 or 10/2016.")},
        widget=UnfoldAdminTextInputWidget,
    )
    statement = forms.FileField(
        label=capfirst(_("statement")),
        help_text=_("The carrier's file: CSV, gzip of it, or XLSX."),
        widget=UnfoldAdminFileFieldWidget,
    )

    class Meta:
        model = ReconciliationRun
        fields = ("carrier", "month")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not {"carrier", "month", "statement"} <= given.keys():
            return given
        with TemporaryDirectory(prefix="evncare-statement-") as directory:
            statement, differences = Path(directory, "statement"), Path(directory, "differences.csv")
            with statement.open("wb") as file:
                for chunk in given["statement"].chunks():
                    file.write(chunk)
            try:
                self.result = reconciliation.reconcile(
                    given["carrier"], given["month"], statement, differences=differences
                )
            except StatementRefused as error:
                raise ValidationError({"statement": str(error)}) from error
            self.differences = gzip.compress(differences.read_bytes())
        return given


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(RecordAdmin):
    """A reconciliation is made by uploading a statement, and stays as it came out."""

    list_display = ("month", "carrier", "verdict", "percent", "at", "by")
    list_filter = ("carrier",)
    fields = ("month", "carrier", "file_name", "at", "by", "verdict", "parts")
    readonly_fields = ("verdict", "parts")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sms.add_reconciliationrun")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return StatementForm if obj is None else super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("carrier", "month", "statement") if obj is None else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else super().get_readonly_fields(request, obj)

    def save_model(self, request: HttpRequest, obj: ReconciliationRun, form: Any, change: bool) -> None:
        obj.month = date(obj.month.year, obj.month.month, 1)
        obj.file_name = form.cleaned_data["statement"].name[:200]
        obj.by = request.user.get_username()
        obj.percent, obj.within_tolerance = form.result.percent, form.result.within_tolerance
        obj.summary, obj.differences = form.result.as_json(), form.differences
        super().save_model(request, obj, form, change)

    def response_post_save_add(self, request: HttpRequest, obj: ReconciliationRun) -> HttpResponseRedirect:
        """To the result, which is what the statement was uploaded for."""
        return redirect("admin:sms_reconciliationrun_change", obj.pk)

    @admin.display(description=_("verdict"))
    def verdict(self, run: ReconciliationRun) -> SafeString:
        if run.within_tolerance:
            return tag("answered", _("within the tolerance"))
        return tag("FAILED", _("to be disputed"))

    @admin.display(description=_("comparison"))
    def parts(self, run: ReconciliationRun) -> SafeString:
        parts = [(title, run.summary[kind]) for kind, title in reconciliation.TITLES.items()]
        table = render_to_string("admin/sms/reconciliation.html", {"result": run.summary, "parts": parts})
        address = reverse("admin:sms_reconciliationrun_differences", args=[run.pk])
        return format_html('{}<a href="{}">{}</a>', table, address, _("Differences, to send back (CSV)"))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.differences)
        return [path("<int:pk>/differences/", view, name="sms_reconciliationrun_differences"), *super().get_urls()]

    def differences(self, request: HttpRequest, pk: int) -> HttpResponse:
        run = ReconciliationRun.objects.filter(pk=pk).first()
        if run is None or not self.has_view_permission(request, run):
            raise Http404
        name = f"differences-{run.carrier}-{run.month:%Y-%m}.csv"
        return HttpResponse(
            gzip.decompress(run.differences),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )
