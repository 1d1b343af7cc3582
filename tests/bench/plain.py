"""The admin as Django gives it, to compare the desk with: every search an ``icontains``, every page counted in full."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import AdminSite, ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.urls import path

from billing.models import Customer, MeterReading
from evncare.urls import urlpatterns as of_the_desk
from sms.models import InboundMessage

# The engine that finds Django's own templates first, where ours finds the theme's.
ENGINE = "plain"
TEMPLATES = {
    "NAME": ENGINE,
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "DIRS": [f"{admin.__path__[0]}/templates"],
    "APP_DIRS": True,
    "OPTIONS": {
        "context_processors": [
            "django.template.context_processors.request",
            "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ],
    },
}


class PlainAdmin(ModelAdmin):  # type: ignore[type-arg]
    list_per_page = 25  # as the desk, where Django has 100

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response: Any = super().changelist_view(request, extra_context)
        response.using = ENGINE
        return response  # type: ignore[no-any-return]


class CustomerAdmin(PlainAdmin):
    list_display = ("code", "name", "address", "phones", "unit", "book", "station")
    search_fields = ("code", "name", "address", "phones")


class MeterReadingAdmin(PlainAdmin):
    list_display = ("customer_id", "year", "month", "meter", "register", "consumption")
    search_fields = ("meter",)


class InboundMessageAdmin(PlainAdmin):
    list_display = ("received_at", "sender", "text", "keyword", "customer_code", "outcome", "state")
    search_fields = ("sender", "customer_code", "text", "message_id")


site = AdminSite("plain")
site.register(Customer, CustomerAdmin)
site.register(MeterReading, MeterReadingAdmin)
site.register(InboundMessage, InboundMessageAdmin)
urlpatterns = [*of_the_desk, path("plain/", site.urls)]
