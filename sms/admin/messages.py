"""The message log: what customers sent, what they were answered and what became of it. Nobody writes here."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from evncare.admin import BoundedPaginator, DayFilter, RecordAdmin, sees_phones, tag
from sms import search
from sms.admin import message as page
from sms.admin import trying
from sms.admin.life import reply_to, understood
from sms.admin.prices import size_and_price
from sms.models import InboundMessage, OutboundMessage, Outcome
from sms.search import carriers
from sms.syntaxes import SYNTAXES

State = InboundMessage.State

# Filters and searches


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
        if self.value() == "none":  # of those that somebody has tried to understand
            return queryset.filter(keyword="").exclude(outcome="")
        return queryset.filter(keyword=self.value()) if self.value() else queryset


class StateFilter(admin.ChoicesFieldListFilter):
    """By state; a refusal by its outcome as well, which has an index."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().queryset(request, queryset)  # type: ignore[assignment]  # never None here
        return rows.filter(outcome=Outcome.REFUSED) if State.REFUSED in (self.lookup_val or ()) else rows


class AttentionFilter(admin.SimpleListFilter):
    """What nobody has dealt with yet, and what is still under way."""

    title = _("what needs attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, Any]]:  # type: ignore[type-arg]
        return [*page.ATTENTION.items(), ("waiting", _("under way"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value == "set_aside":
            return queryset.filter(state=State.SET_ASIDE, settled_at__isnull=True)
        if value in page.ATTENTION:
            return queryset.filter(reply__state=value.upper(), reply__settled_at__isnull=True)
        if value == "waiting":
            # Each by an index of its own; as one condition over both tables it would read them whole.
            waiting = InboundMessage.objects.filter(state=State.WAITING).order_by().values("pk")
            replies = OutboundMessage.objects.order_by().values("inbound")
            on_their_way = (replies.filter(state=state) for state in ("WAITING", "SENDING"))
            return queryset.filter(pk__in=waiting.union(*on_their_way))
        return queryset

    @staticmethod
    def ordering(request: HttpRequest) -> tuple[str, ...]:
        """The order in which an index has what is asked for: by replies, which come in the order of their messages."""
        value = request.GET.get(AttentionFilter.parameter_name)
        return ("-reply__id",) if value in page.ATTENTION and value != "set_aside" else ()


class ReceivedDayFilter(DayFilter):
    moment = "received_at"


class ReplyDayFilter(DayFilter):
    moment = "created_at"


class LogPaginator(BoundedPaginator):
    """Nobody leafs further through millions; whoever looks for something filters or searches."""

    most = 1000


class SearchedAdmin(RecordAdmin):
    """Messages or replies, searched as sms.search says."""

    paginator = LogPaginator
    change_list_template = "admin/sms/log.html"

    search_help_text = _(
        "Phone number or its beginning, customer code, message id, reply's reference, or words of the text."
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        rows, older = search.found(queryset, search_term, phones_in_part=sees_phones(request.user))
        if older:
            messages.info(request, gettext("Only the newest found are listed. Choose a day, or type more, for others."))
        return rows, False


@admin.register(InboundMessage)
class InboundMessageAdmin(SearchedAdmin):
    list_display = (
        "received_at",
        "sender",
        "conversation",
        "conclusion",
        "reply_state",
    )
    phone_fields = ("sender",)
    list_filter = (ReceivedDayFilter, AttentionFilter, ("state", StateFilter), "outcome", KeywordFilter, CarrierFilter)
    list_select_related = ("reply",)
    search_fields = ("sender", "customer_code", "message_id", "text")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("try/", view(trying.try_message), name="sms_try"),
            path("<int:pk>/change/", view(page.show), name="sms_inboundmessage_change"),
            path("<int:pk>/handle/", view(page.handle), name="sms_inboundmessage_handle"),
            *super().get_urls(),
        ]

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return AttentionFilter.ordering(request) or ReceivedDayFilter.ordering(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.defer("payload")

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
        state = tag(reply.state, reply.get_state_display())
        return format_html('{}<div class="quiet">{}</div>', state, size_and_price(reply))


@admin.register(OutboundMessage)
class OutboundMessageAdmin(SearchedAdmin):
    list_display = (
        "created_at",
        "recipient",
        "answers",
        "shown_text",
        "shown_state",
        "sending",
    )
    phone_fields = ("recipient",)
    list_filter = (ReplyDayFilter, "state", "charge", CarrierFilter)
    list_select_related = ("inbound",)
    search_fields = ("recipient", "reference", "carrier_message_id", "text")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ReplyDayFilter.ordering(request)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """A reply has no page of its own: its message's tells all."""
        reply = self.get_object(request, unquote(object_id))
        if reply is None:
            raise Http404
        if request.method not in ("GET", "HEAD") or not self.has_view_permission(request, reply):
            raise PermissionDenied
        return redirect("admin:sms_inboundmessage_change", reply.inbound_id)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.defer("inbound__payload")

    @admin.display(description=_("text"))
    def shown_text(self, reply: OutboundMessage) -> SafeString:
        return format_html('<div class="sms">{}</div>', reply.text)

    @admin.display(description=_("state"))
    def shown_state(self, reply: OutboundMessage) -> SafeString:
        state = tag(reply.state, reply.get_state_display())
        return format_html('{}<div class="quiet">{}</div>', state, size_and_price(reply))

    @admin.display(description=_("carrier"))
    def sending(self, reply: OutboundMessage) -> SafeString:
        count = {"count": reply.attempts}
        attempts = ngettext("%(count)s attempt", "%(count)s attempts", reply.attempts) % count
        return format_html('{}<div class="quiet">{}</div>', reply.carrier, attempts)

    @admin.display(description=_("answers"))
    def answers(self, reply: OutboundMessage) -> SafeString:
        address = reverse("admin:sms_inboundmessage_change", args=[reply.inbound_id])
        text = Truncator(reply.inbound.text).chars(60) or reply.inbound.message_id
        return format_html('<a href="{}">{}</a>', address, text)
