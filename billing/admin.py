"""Customers, schedules, readings, invoices and debts for staff.

The period leads every index of the large tables, so a search for an account names all periods, and one for a
meter looks in a single month.
"""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import Max, Min, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing import exports, queries
from billing.models import CUSTOMER_CODE_LENGTH, Customer, Debt, Invoice, MeterReading, ReadingSchedule
from evncare.admin import KeptAdmin, number, sees_phones, tag, typed_code, typed_meter, typed_phone
from evncare.imports.admin import ExchangeAdmin
from evncare.phones import canonical, is_whole
from evncare.search import begins

# How many customers one search of their list shows: more nobody reads.
MOST_FOUND = 200


class CustomerForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only for the type checker
    def clean_code(self) -> str:
        return str(self.cleaned_data["code"]).upper()

    def clean_phones(self) -> str:
        phones = []
        for typed in self.cleaned_data["phones"].replace(",", " ").replace(";", " ").split():
            phone = canonical(typed)
            if phone is None:
                raise forms.ValidationError(gettext("%(phone)s is not a phone number."), params={"phone": typed})
            phones.append(phone)
        return " ".join(phones)


@admin.register(Customer)
class CustomerAdmin(KeptAdmin, ExchangeAdmin):
    export = exports.CUSTOMERS
    form = CustomerForm
    list_display = ("code", "name", "address", "phones", "unit", "book", "station")
    sortable_by = ("code",)
    phone_fields = ("phones",)
    search_fields = ("code", "phones", "name", "address")
    search_help_text = _(
        "Customer code, phone or meter number, each perhaps only its beginning, or words of name and address."
    )
    readonly_fields = ("facts",)
    fieldsets = (
        (None, {"fields": ("code", "name", "address", "phones", "email")}),
        (_("Supply"), {"fields": ("unit", "book", "station")}),
        (_("Billing"), {"fields": ("facts",)}),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        if code := typed_code(search_term):
            return queryset.filter(begins("code", code)), False
        codes = [customer.code for customer in self._found(request, search_term)]
        if len(codes) > MOST_FOUND and request.GET.get(SEARCH_VAR):
            told = gettext("Only %(count)s of the customers found are listed. Type more to narrow it down.")
            messages.info(request, told % {"count": MOST_FOUND})
        return queryset.filter(code__in=codes[:MOST_FOUND]), False

    def _found(self, request: HttpRequest, term: str) -> list[queries.Listed]:
        phone = typed_phone(term)
        if phone and (is_whole(phone) or sees_phones(request.user)):
            return queries.customers_called(phone, MOST_FOUND + 1)
        meter = typed_meter(term)
        of_meter = queries.customers_of_meter(meter, MOST_FOUND + 1) if meter else []
        return of_meter or queries.customers_named(term, MOST_FOUND + 1)

    @admin.display(description=_("billing data"))
    def facts(self, customer: Customer) -> SafeString | str:
        """Links to what there is of this customer."""
        if not customer.pk:
            return "-"
        return format_html_join(
            " · ",
            '<a href="{}?q={}" class="code">{}</a>',
            (
                (reverse(f"admin:billing_{model._meta.model_name}_changelist"), customer.code, label)
                for model, label in (
                    (ReadingSchedule, gettext("schedule")),
                    (MeterReading, gettext("readings")),
                    (Invoice, gettext("bills")),
                    (Debt, gettext("debts")),
                )
            ),
        )


class ValueFilter(admin.SimpleListFilter):
    """A filter by one column, among values that are known without asking the whole table for them."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        for value, _label in self.lookup_choices:
            if value == self.value():
                return queryset.filter(**{str(self.parameter_name): value})
        return queryset


class YearFilter(ValueFilter):
    title = _("year")
    parameter_name = "year"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:  # type: ignore[type-arg]
        years = model_admin.model._default_manager.aggregate(first=Min("year"), last=Max("year"))
        if years["last"] is None:
            return []
        return [(str(year), str(year)) for year in range(years["last"], years["first"] - 1, -1)]


class MonthFilter(ValueFilter):
    title = _("month")
    parameter_name = "month"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:  # type: ignore[type-arg]
        return [(str(month), str(month)) for month in queries.EVERY_MONTH]


class KyFilter(ValueFilter):
    title = _("kỳ")
    parameter_name = "ky"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:  # type: ignore[type-arg]
        return [(str(ky), str(ky)) for ky in queries.EVERY_KY]


class RegisterFilter(ValueFilter):
    title = _("register")
    parameter_name = "register"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:  # type: ignore[type-arg]
        return [(register, register) for register in queries.REGISTER_ORDER]


PERIOD_FILTERS = (YearFilter, MonthFilter, KyFilter)


class InPeriodAdmin(KeptAdmin, ExchangeAdmin):
    """What belongs to billing periods: the latest first, which is the order of the index."""

    ordering: ClassVar[tuple[str, ...]] = ("-year", "-month", "-ky", "-customer_id")
    list_select_related: ClassVar[tuple[str, ...]] = ("customer",)
    autocomplete_fields: ClassVar[tuple[str, ...]] = ("customer",)

    @admin.display(description=_("kỳ/month/year"))
    def in_period(self, row: Any) -> str:
        return f"{row.ky}/{row.month}/{row.year}"

    @admin.display(description=_("customer"))
    def of_customer(self, row: Any) -> SafeString:
        address = reverse("admin:billing_customer_change", args=[row.customer_id])
        return format_html('<a href="{}" class="code">{}</a> {}', address, row.customer_id, row.customer.name)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        code = typed_code(search_term)
        if len(code) == CUSTOMER_CODE_LENGTH:
            return queryset.filter(customer=code, **queries.every_period(self.model)), False
        return queryset.filter(self.numbered(request, search_term.strip().upper())), False

    def numbered(self, request: HttpRequest, start: str) -> Q:
        """The rows whose own number begins with ``start``."""
        return begins(self.opts.pk.attname, start)


@admin.register(ReadingSchedule)
class ReadingScheduleAdmin(InPeriodAdmin):
    export = exports.SCHEDULES
    list_display = ("in_period", "unit", "book", "reading_date")
    list_filter = PERIOD_FILTERS
    ordering = ("-year", "-month", "-ky", "-unit", "-book")
    list_select_related = ()
    autocomplete_fields = ()
    search_fields = ("unit", "book")
    search_help_text = _("Customer code, or the beginning of a unit's or a reading book's code.")
    fields = (("ky", "month", "year"), "unit", "book", "reading_date")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        code = typed_code(search_term)
        if len(code) == CUSTOMER_CODE_LENGTH:
            of_book = Q(pk__in=())
            for account in queries.accounts([code]).values():
                of_book = Q(unit=account.unit, book=account.book)
            return queryset.filter(of_book, **queries.every_period(ReadingSchedule)), False
        return super().get_search_results(request, queryset, search_term)

    def numbered(self, request: HttpRequest, start: str) -> Q:
        return begins("unit", start) | begins("book", start)


@admin.register(MeterReading)
class MeterReadingAdmin(InPeriodAdmin):
    export = exports.READINGS
    list_display = (
        "in_period",
        "of_customer",
        "meter",
        "register",
        number("multiplier", _("multiplier")),
        number("old_reading", _("old reading")),
        number("new_reading", _("new reading")),
        number("consumption", _("consumption")),
        "reading_kind",
        "reading_date",
    )
    list_filter = (*PERIOD_FILTERS, RegisterFilter)
    ordering = (*InPeriodAdmin.ordering, "-meter", "-register", "-reading_kind")
    search_fields = ("customer", "meter")
    search_help_text = _("Customer code, or the beginning of a meter number (in the chosen month, else the latest).")
    fields = (
        "customer",
        ("ky", "month", "year"),
        ("meter", "register", "reading_kind"),
        "multiplier",
        ("old_reading", "new_reading", "consumption"),
        "reading_date",
    )

    def numbered(self, request: HttpRequest, start: str) -> Q:
        in_month = Q()
        if not ("year" in request.GET and "month" in request.GET):
            latest = MeterReading.objects.order_by(*InPeriodAdmin.ordering).values("year", "month").first()
            if latest:
                in_month = Q(**latest)
                told = gettext("Meters are searched in %(month)s/%(year)s. Choose a year and a month for another.")
                messages.info(request, told % latest)
        return in_month & begins("meter", start)


@admin.register(Invoice)
class InvoiceAdmin(InPeriodAdmin):
    export = exports.INVOICES
    list_display = (
        "bill_id",
        "in_period",
        "of_customer",
        "kind",
        number("total", _("total")),
        number("amount", _("amount before tax")),
        number("tax", _("VAT")),
        number("consumption", _("consumption")),
        "adjustment",
        "original_id",
        "issue_date",
    )
    list_filter = (*PERIOD_FILTERS, "kind", "adjustment")
    autocomplete_fields = ("customer", "original")
    search_fields = ("customer", "bill_id")
    search_help_text = _("Customer code, or the beginning of a bill number.")
    fields = (
        "bill_id",
        "customer",
        ("ky", "month", "year"),
        "kind",
        "consumption",
        ("amount", "tax", "total"),
        "issue_date",
        ("original", "adjustment"),
    )


class SettledFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "settled"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, Any]]:  # type: ignore[type-arg]
        return [("0", _("unpaid")), ("1", _("settled"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(settled_at__isnull=self.value() == "0") if self.value() else queryset


@admin.register(Debt)
class DebtAdmin(InPeriodAdmin):
    export = exports.DEBTS
    list_display = (
        "bill_id",
        "in_period",
        "of_customer",
        "kind",
        "state",
        number("total", _("total")),
        number("amount", _("amount owed")),
        number("tax", _("tax owed")),
        "due_date",
    )
    list_filter = (SettledFilter, *PERIOD_FILTERS, "kind")
    search_fields = ("customer", "bill_id")
    search_help_text = _("Customer code, or the beginning of a bill number.")
    fields = (
        "bill_id",
        "customer",
        ("ky", "month", "year"),
        "kind",
        ("amount", "tax"),
        "due_date",
        "settled_at",
    )

    @admin.display(description=_("state"))
    def state(self, debt: Debt) -> SafeString:
        return tag("settled", _("settled")) if debt.settled_at else tag("unpaid", _("unpaid"))
