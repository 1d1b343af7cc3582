"""One customer's page, who looked at what, and the accounts of staff, which are switched off rather than deleted."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django_otp.plugins.otp_static import admin as _registers_recovery_codes  # noqa: F401
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp import admin as _registers_devices  # noqa: F401
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from billing import queries as billing
from billing.admin import CustomerAdmin
from billing.models import Customer
from evncare.admin import RecordAdmin, grouped, sees_phones, typed_code
from evncare.desk import customer as customers
from evncare.desk import looks, second_factor
from evncare.desk.models import AccessRecord
from evncare.phones import masked
from evncare.search import begins
from sms.admin.messages import DayFilter

admin.site.unregister((User, Group, Customer))
admin.site.unregister((TOTPDevice, StaticDevice))  # their pages show secrets


@admin.register(User)
class KeptUserAdmin(UserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]  # the theme carries no types
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    actions = ("remove_second_factor",)

    @admin.action(description=_("Remove the second factor"), permissions=["change"])
    def remove_second_factor(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """For those who lost phone and recovery codes. One's own takes a code, and a superuser's a superuser."""
        name = request.user.get_username()
        users = queryset.exclude(username=name)
        if not request.user.is_superuser:
            users = users.exclude(is_superuser=True)
        by = User.objects.get(username=name)
        count = sum(second_factor.take_off(user, by=by) for user in users)
        told = ngettext(
            "The second factor of %(count)d account is off.", "The second factor of %(count)d accounts is off.", count
        )
        self.message_user(request, told % {"count": count})

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Rights come with roles. Only a superuser gives others."""
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if request.user.is_superuser else (*fields, "is_superuser", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        theirs = obj is None or not obj.is_superuser or request.user.is_superuser
        return theirs and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Group)
class KeptGroupAdmin(GroupAdmin, ModelAdmin):  # type: ignore[misc]  # the theme carries no types
    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Customer)
class CustomerPageAdmin(CustomerAdmin):
    """At a customer's address is what is known of them; the form has an address of its own, for those who may change.

    Each opening of either is recorded.
    """

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.edit_view)
        return [path("<path:object_id>/edit/", view, name="billing_customer_edit"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # What is posted here, or opened beside another form, is the form.
        if request.method == "POST" or IS_POPUP_VAR in request.GET:
            return self.edit_view(request, object_id)
        if not self.has_view_permission(request):
            raise PermissionDenied
        code = unquote(object_id)
        known = billing.accounts([code])
        if code not in known:
            return self._unknown(request, code)
        looks.record(request, AccessRecord.Kind.CUSTOMER, code)
        customer, account = Customer.objects.get(code=code), known[code]
        shown = (lambda phone: phone) if sees_phones(request.user) else masked
        facts = customers.facts_for(request.user, account, timezone.now())
        context = self.admin_site.each_context(request) | {
            "title": str(customer),
            "opts": self.opts,
            "crumb": code,
            "customer": customer,
            "phones": [shown(phone) for phone in account.phones],
            "facts": facts,
            "messages_of_customer": [
                {"message": message, "sender": shown(message.sender)} for message in facts.get("messages", ())
            ],
            "bills_chart": customers.bills_chart(facts.get("bills", ())),
            "consumption_chart": customers.consumption_chart(facts.get("readings", ())),
            "loads": customers.loads(request.user),
            "may_edit": self.has_change_permission(request),
        }
        return TemplateResponse(request, "admin/desk/customer.html", context)

    def _unknown(self, request: HttpRequest, code: str) -> HttpResponse:
        context = self.admin_site.each_context(request) | {
            "title": _("No such customer"),
            "opts": self.opts,
            "crumb": code,
            "code": code,
        }
        return TemplateResponse(request, "admin/desk/no_customer.html", context, status=404)

    def edit_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The form."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        code = unquote(object_id)
        if code not in billing.accounts([code]):
            return self._unknown(request, code)
        if request.method != "POST":
            looks.record(request, AccessRecord.Kind.CUSTOMER, code, detail=gettext("form"))
        response: HttpResponse = super().change_view(request, object_id)
        return response

    def response_post_save_change(self, request: HttpRequest, obj: Customer) -> HttpResponseRedirect:
        """Back to the customer's page, where the form was opened."""
        return redirect("admin:billing_customer_change", obj.pk)


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
