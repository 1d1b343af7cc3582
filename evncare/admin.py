"""What every page of the admin has in common: nothing can be deleted, and nothing reads a whole large table."""

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.formats import date_format, get_format
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from evncare.phones import beginning, masked
from evncare.text import unaccent

YEARS = range(2000, 2100)  # all that staff may mean


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # generic only for the type checker
    """Counts no further than it lets one leaf: on a table of millions the count costs more than the page."""

    most = 10_000

    @cached_property
    def count(self) -> int:
        return min(self._counted, self.most)

    @property
    def has_more(self) -> bool:
        return self._counted > self.most

    @cached_property
    def _counted(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]  # the admin always gives one
        return rows.order_by()[: self.most + 1].count()


def only_opened(request: HttpRequest) -> bool:
    """Whether somebody came to an action's address without its form, as after signing in anew: told as a warning."""
    if request.method == "POST":
        return False
    messages.warning(request, _("Nothing was done: what you typed did not arrive. Please do it again."))
    return True


def sees_phones(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether somebody is shown phone numbers in full; everyone else sees them masked."""
    return user.has_perm("billing.view_phones")  # type: ignore[union-attr]  # every user of the admin has permissions


class KeptAdmin(ModelAdmin):  # type: ignore[misc]  # the theme carries no types
    """Rows that are kept for good. A column can be sorted by only where an admin lists it in ``sortable_by``.

    ``phone_fields`` hold phone numbers, one or several with spaces between.
    """

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 25
    list_filter_sheet = False
    compressed_fields = True
    sortable_by: ClassVar[tuple[str, ...]] = ()
    phone_fields: ClassVar[tuple[str, ...]] = ()

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """A key can't be edited: saving under another one would make a second row."""
        fields = tuple(super().get_readonly_fields(request, obj))
        if obj and not self.opts.pk.auto_created:
            fields = (*fields, self.opts.pk.name)
        return (*fields, *self._masks(request, obj).values())

    def get_list_display(self, request: HttpRequest) -> Any:
        masks = self._masks(request, self.model())
        return [masks.get(name, name) for name in super().get_list_display(request)]

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return _replaced(super().get_fields(request, obj), self._masks(request, obj))

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        masks = self._masks(request, obj)
        return [
            (title, options | {"fields": _replaced(options["fields"], masks)})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def _masks(self, request: HttpRequest, row: Model | None) -> dict[Any, Callable[[Any], str]]:
        """What stands in for the fields with phone numbers, for those who needn't see them. A new row has none."""
        if row is None or sees_phones(request.user):
            return {}
        return {name: _masked_column(self.opts.get_field(name)) for name in self.phone_fields}


def _replaced(fields: Any, masks: dict[Any, Any]) -> list[Any]:
    """The fields, those of one line grouped in a tuple, with masks in the place of what they stand in for."""
    return [tuple(_replaced(f, masks)) if isinstance(f, (list, tuple)) else masks.get(f, f) for f in fields]


@cache  # a form knows its fields by identity
def _masked_column(field: Any) -> Callable[[Any], str]:
    def column(row: Any) -> str:
        return " ".join(masked(phone) for phone in getattr(row, field.name).split()) or "-"

    column.__name__ = f"{field.name}_masked"
    return admin.display(description=field.verbose_name)(column)


class RecordAdmin(KeptAdmin):
    """Rows that nobody writes by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class DayFilter(admin.SimpleListFilter):
    """Rows by day: days by name, or any one as ``?day=2016-10-05``."""

    title = _("day")
    parameter_name = "day"
    template = "admin/day_filter.html"
    moment: ClassVar[str]  # the field that is filtered

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, Any]]:  # type: ignore[type-arg]
        return [
            ("today", _("Today")),
            ("yesterday", _("Yesterday")),
            ("week", _("Past 7 days")),
            ("month", _("Past 30 days")),
        ]

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Beside the days by name, what the form for any day needs: the other filters, and the day chosen."""
        for choice in super().choices(changelist):
            others = [(name, value) for name, value in changelist.params.items() if name not in ("day", "p")]
            yield choice | {"others": others, "day": self._day(self.value() or "")}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        today = timezone.localdate()
        named = {
            "today": (today, 1),
            "yesterday": (today - timedelta(days=1), 1),
            "week": (today - timedelta(days=6), 7),
            "month": (today - timedelta(days=29), 30),
        }
        value = self.value() or ""
        first, days = named.get(value) or (self._day(value), 1)
        if first is None:
            return queryset
        start = timezone.make_aware(datetime.combine(first, time.min))
        return queryset.filter(**{f"{self.moment}__gte": start, f"{self.moment}__lt": start + timedelta(days=days)})

    @classmethod
    def ordering(cls, request: HttpRequest) -> tuple[str, ...]:
        """By time, as the index has the days; by number, all that came after the day would be passed first."""
        return (f"-{cls.moment}", "-pk") if request.GET.get(cls.parameter_name) else ()

    @staticmethod
    def _day(value: str) -> date | None:
        try:
            day = parse_date(value)
        except ValueError:  # well formed but no day, as 2016-02-30
            return None
        return day if day and day.year in YEARS else None


def number(field: str, label: Any) -> Callable[[Any], SafeString]:
    """A right-aligned column with thousands separated."""

    def column(row: Any) -> SafeString:
        return format_html('<span class="number">{}</span>', grouped(getattr(row, field)))

    column.__name__ = f"{field}_number"  # the style sheet aligns the headings of *_number
    return admin.display(description=label)(column)


def grouped(value: int | Decimal) -> str:
    """1234567 as 1.234.567 or 1,234,567, and 9618.500 as 9.618,5, as the current language writes it."""
    whole, _, decimals = f"{value:,f}".partition(".")
    decimals = decimals.rstrip("0")
    whole = whole.replace(",", get_format("THOUSAND_SEPARATOR"))
    return whole + get_format("DECIMAL_SEPARATOR") + decimals if decimals else whole


def day_and_time(at: datetime) -> str:
    """A moment as local time to the minute, as the current language writes it."""
    return date_format(timezone.localtime(at), "SHORT_DATETIME_FORMAT")


def tag(state: str, label: Any) -> SafeString:
    """A state as a coloured word."""
    return format_html('<span class="tag tag-{}">{}</span>', state.lower(), label)


# What staff type into a search box


def typed_code(term: str) -> str:
    """The customer code, or the beginning of one, that ``term`` is, in any case and with spaces; else empty."""
    code = re.sub(r"[\W_]", "", unaccent(term)).upper()
    prefixes = "|".join(settings.CUSTOMER_CODE_PREFIXES)
    return code if re.fullmatch(rf"(?:{prefixes})\d[0-9A-Z]{{0,10}}", code) else ""


def typed_phone(term: str) -> str:
    """The canonical form of the phone number, or of the beginning of one, that ``term`` is; else empty."""
    term = term.rstrip(" ,;.")  # as copied from a list
    return beginning(term) if re.fullmatch(r"[\d\s+().-]+", term) else ""


def typed_meter(term: str) -> str:
    """The meter number, or the beginning of one, that ``term`` is; else empty."""
    meter = unaccent(term).strip().upper()
    return meter if re.fullmatch(r"(?=.*[0-9])[0-9A-Z./-]{4,30}", meter) else ""
