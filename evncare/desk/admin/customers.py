"""One customer's page, and the form behind it."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing import queries as billing
from billing.admin import CustomerAdmin
from billing.models import Customer
from evncare.admin import sees_phones
from evncare.desk import customer as customers
from evncare.desk import looks
from evncare.desk.models import AccessRecord
from evncare.phones import masked

admin.site.unregister(Customer)


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
