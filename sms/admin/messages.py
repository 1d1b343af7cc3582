"""The message log: what customers sent, what they were answered and what became of it. Nobody writes here."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from evncare.admin import RecordAdmin, begins, tag, typed_code, typed_phone
from sms.admin import trying
from sms.admin.life import life, reply_to, understood
from sms.models import InboundMessage, OutboundMessage
from sms.syntaxes import SYNTAXES

# Filters and searches


def carriers() -> Iterator[str]:
    """The carriers that ever handed over a message, by one look into the index for each."""
    rows = InboundMessage.objects.order_by("carrier").values_list("carrier", flat=True)
    carrier = rows.first()
    while carrier is not None:
        yield carrier
        carrier = rows.filter(carrier__gt=carrier).first()


class CarrierFilter(admin.SimpleListFilter):
    title = _("carrier")
    parameter_name = "carrier"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:  # type: ignore[type-arg]
        return [(carrier, carrier) for carrier in carriers()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(carrier=self.value()) if self.value() else queryset


class KeywordFilter(admin.SimpleListFilter):
    title = _("question")
    parameter_name = "keyword"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, Any]]:  # type: ignore[type-arg]
        questions = [(keyword, f"{keyword} – {syntax.title}") for keyword, syntax in SYNTAXES.items()]
        return [*questions, ("none", _("not understood"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        return queryset.filter(keyword="" if self.value() == "none" else self.value())


class DayFilter(admin.SimpleListFilter):
    """Days by name, or any one day as ``?day=2016-10-05``."""

    title = _("day")
    parameter_name = "day"
    template = "admin/sms/day_filter.html"
    moment = "received_at"

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

    @staticmethod
    def _day(value: str) -> date | None:
        try:
            return parse_date(value)
        except ValueError:  # well formed but no day, as 2016-02-30
            return None


class ReplyDayFilter(DayFilter):
    moment = "created_at"


def matching(term: str, message: str = "") -> Q:
    """The messages, or with ``message="inbound__"`` the replies, that staff mean by what they typed."""
    term = term.strip()
    if named := _with_id(term):
        return Q(**{f"{message}pk__in": named})
    if phone := typed_phone(term):
        return Q(**{f"{message}sender": phone})
    if code := typed_code(term):
        return begins(f"{message}customer_code", code)
    return Q(text__icontains=term) | Q(**{f"{message}sender": term})


def _with_id(term: str) -> set[int]:
    """The messages that have this id with us or with their carrier, or whose reply has."""
    known = tuple(carriers())
    replies = OutboundMessage.objects
    return {
        *InboundMessage.objects.filter(carrier__in=known, message_id=term).values_list("pk", flat=True),
        *replies.filter(reference=term.lower()).values_list("inbound", flat=True),
        *replies.filter(carrier__in=known, carrier_message_id=term).values_list("inbound", flat=True),
    }


SEARCH_HELP = _("Phone number, customer code, message id, reply's reference, or part of the text.")


@admin.register(InboundMessage)
class InboundMessageAdmin(RecordAdmin):
    list_display = (
        "received_at",
        "sender",
        "conversation",
        "conclusion",
        "reply_state",
    )
    phone_fields = ("sender",)
    list_filter = (DayFilter, "state", "outcome", KeywordFilter, CarrierFilter)
    list_select_related = ("reply",)
    search_fields = ("sender", "customer_code", "message_id", "text")
    search_help_text = SEARCH_HELP
    fieldsets = (
        (None, {"fields": ("sender", "conclusion")}),
        (_("Life of the message"), {"fields": ("life",)}),
    )
    readonly_fields = ("conclusion", "life")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(trying.try_message)
        return [path("try/", view, name="sms_try"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("payload")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return (queryset.filter(matching(search_term)) if search_term else queryset), False

    @admin.display(description=_("message and reply"))
    def conversation(self, message: InboundMessage) -> SafeString:
        reply = reply_to(message)
        return format_html(
            '<div class="sms">{}</div><div class="sms reply">{}</div>',
            Truncator(message.text).chars(160),
            reply.text if reply else "",
        )

    @admin.display(description=_("understood as"))
    def conclusion(self, message: InboundMessage) -> SafeString:
        """The outcome, or the state while there is none yet, and the question as it was understood."""
        label = message.get_outcome_display() or message.get_state_display()
        shown = tag(message.outcome or message.state, label)
        return format_html('{}<div class="quiet">{}</div>', shown, understood(message))

    @admin.display(description=_("reply's state"))
    def reply_state(self, message: InboundMessage) -> SafeString | str:
        reply = reply_to(message)
        if reply is None:
            return "-"
        size = ngettext("%(count)s segment", "%(count)s segments", reply.segments) % {"count": reply.segments}
        price = gettext("charged") if reply.charge else gettext("free")
        state = tag(reply.state, reply.get_state_display())
        return format_html('{}<div class="quiet">{}, {}</div>', state, size, price)

    @admin.display(description=_("steps"))
    def life(self, message: InboundMessage) -> SafeString:
        return render_to_string("admin/sms/life.html", {"steps": life(message)})


@admin.register(OutboundMessage)
class OutboundMessageAdmin(RecordAdmin):
    list_display = (
        "created_at",
        "recipient",
        "shown_state",
        "answers",
        "shown_text",
        "failure",
        "carrier",
        "segments",
        "charge",
        "attempts",
    )
    phone_fields = ("recipient",)
    list_filter = (ReplyDayFilter, "state", "charge", CarrierFilter)
    list_select_related = ("inbound",)
    search_fields = ("recipient", "reference", "carrier_message_id", "text")
    search_help_text = SEARCH_HELP
    fields = (
        "answers",
        "recipient",
        "shown_text",
        ("wording", "encoding", "segments", "charge"),
        "shown_state",
        "failure",
        ("carrier", "short_code"),
        ("reference", "carrier_message_id"),
        ("created_at", "send_after", "claimed_at"),
        ("sent_at", "reported_at", "attempts"),
    )
    readonly_fields = ("answers", "shown_text", "shown_state")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("inbound__payload")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return (queryset.filter(matching(search_term, "inbound__")) if search_term else queryset), False

    @admin.display(description=_("text"))
    def shown_text(self, reply: OutboundMessage) -> SafeString:
        return format_html('<div class="sms">{}</div>', reply.text)

    @admin.display(description=_("state"))
    def shown_state(self, reply: OutboundMessage) -> SafeString:
        return tag(reply.state, reply.get_state_display())

    @admin.display(description=_("answers"))
    def answers(self, reply: OutboundMessage) -> SafeString:
        address = reverse("admin:sms_inboundmessage_change", args=[reply.inbound_id])
        text = Truncator(reply.inbound.text).chars(60) or reply.inbound.message_id
        return format_html('<a href="{}">{}</a>', address, text)
