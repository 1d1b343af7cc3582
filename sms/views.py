"""Where carriers call: they hand over messages and report the fate of replies.

A view asks the carrier's gateway to authenticate and read the request, makes one call into the inbox or outbox,
and has the gateway answer. What is documented at /api/docs/ is the contract of the `rest` carrier.
"""

import logging
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone, translation
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.views import APIView

from evncare.periods import Period
from sms import gateways, inbox, outbox, tasks
from sms.gateways.base import Declined, Gateway, Malformed, TooLarge
from sms.gateways.rest import MessageForm, ReportForm
from sms.syntaxes import SYNTAXES

logger = logging.getLogger(__name__)

SECONDS_TO_RETRY = 10  # what a carrier is told while the database is away

SECURITY_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "The token that was agreed with you."},
    "timestamp": {
        "type": "apiKey", "in": "header", "name": "X-Timestamp",
        "description": "Unix time in seconds, at most five minutes off.",
    },
    "signature": {
        "type": "apiKey", "in": "header", "name": "X-Signature",
        "description": "Hex HMAC-SHA256 of `<X-Timestamp>.<raw body>` by the secret that was agreed with you.",
    },
}  # fmt: skip


class CarrierSchema(AutoSchema):
    """Documents the two ways to authenticate, which gateways implement, not REST framework."""

    def get_auth(self) -> list[Any]:
        for name, definition in SECURITY_SCHEMES.items():
            component = ResolvedComponent(name, ResolvedComponent.SECURITY_SCHEMA, schema=definition, object=name)  # type: ignore[no-untyped-call]
            self.registry.register_on_missing(component)
        return [{"token": []}, {"timestamp": [], "signature": []}]


DETAIL = inline_serializer("Detail", {"detail": serializers.CharField()})
DECLINED: dict[int, Any] = {
    400: OpenApiResponse(
        {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
        description="What is wrong, by field; `non_field_errors` has what is wrong with the body as a whole.",
        examples=[OpenApiExample("A field is missing", {"message_id": ["This field is required."]})],
    ),
    401: OpenApiResponse(DETAIL, description="Neither a valid token nor a valid signature."),
    403: OpenApiResponse(DETAIL, description="Called from a network that was not agreed."),
    404: OpenApiResponse(DETAIL, description="No carrier of this name."),
    405: OpenApiResponse(DETAIL, description="Not a POST."),
    413: OpenApiResponse(DETAIL, description=f"The body exceeds {settings.SMS_MAX_BODY_BYTES} bytes."),
    415: OpenApiResponse(DETAIL, description="Neither JSON nor a form."),
    429: OpenApiResponse(DETAIL, description="Too many requests: repeat after `Retry-After` seconds."),
    503: OpenApiResponse(DETAIL, description="Not stored: repeat after `Retry-After` seconds, with the same id."),
}
STORED = inline_serializer("Stored", {"id": serializers.IntegerField(), "duplicate": serializers.BooleanField()})
REFERENCE = "5f0c1c1e7d2b4b0f9a3e6d8c7b6a5f4e"
CARRIER = OpenApiParameter(
    "carrier",
    {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"},  # as in urls.py
    OpenApiParameter.PATH,
    description="The name that was agreed with you.",
)


def question_examples() -> list[OpenApiExample]:
    """One request for each question of the catalogue."""
    return [
        OpenApiExample(
            keyword,
            {
                "message_id": f"A{number}",
                "sender": "84905123456",
                "short_code": settings.SMS_SHORT_CODE,
                "text": syntax.command("PP05000974006", Period(ky=1, month=10, year=2016)),
                "sent_at": "2016-10-01T08:00:00+07:00",
                "operator": "VIETTEL",
            },
            summary=f"{keyword}: {syntax.usage}",
            request_only=True,
        )
        for number, (keyword, syntax) in enumerate(SYNTAXES.items(), start=1)
    ]


def stored_example(*, duplicate: bool) -> OpenApiExample:
    return OpenApiExample("Repeated" if duplicate else "Stored", {"id": 4711, "duplicate": duplicate})


class CarrierView(APIView):
    """What both addresses share. It is REST framework's only for the schema: the framework's own way of taking a
    request costs more than all the rest of accepting a message, so ``dispatch`` goes past it."""

    schema = CarrierSchema()

    def methods(self, gateway: Gateway) -> Sequence[str]:
        raise NotImplementedError

    def post(self, request: HttpRequest, gateway: Gateway) -> HttpResponse:
        """Take an authentic request, a carrier's GET as well if it uses that. Raises Declined."""
        raise NotImplementedError

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        carrier = kwargs["carrier"]
        try:
            gateway = gateways.get(carrier)
        except gateways.UnknownCarrier:
            return JsonResponse({"detail": "No carrier of this name."}, status=404)
        methods = self.methods(gateway)
        if request.method not in methods:
            response = gateway.decline(405, f"Use {' or '.join(methods)}.")
            response["Allow"] = ", ".join(methods)
            return response
        try:
            # Carriers' programs and engineers get one language, whatever their HTTP library asks for.
            with translation.override("en"):
                read_body(request)
                gateway.authenticate(request)
                return self.post(request, gateway)
        except Declined as error:
            logger.warning("declined a request of carrier %s with %s: %s", carrier, error.status, error)
            return gateway.decline(error.status, str(error), error.errors if isinstance(error, Malformed) else None)
        except outbox.NotYetKnown:
            logger.info("a report of carrier %s may have overtaken its own answer: asked it to repeat", carrier)
        except (inbox.NotStored, OperationalError, InterfaceError) as error:
            logger.error("could not store what carrier %s handed over: %s", carrier, type(error).__name__)
        response = gateway.decline(503, "Not stored, repeat later.")
        response["Retry-After"] = str(SECONDS_TO_RETRY)
        return response


class InboundView(CarrierView):
    def methods(self, gateway: Gateway) -> Sequence[str]:
        return gateway.inbound_methods

    @extend_schema(
        operation_id="hand_over_message",
        summary="Hand over one message from a customer",
        description="The message is stored once you are answered with a 2xx; repeat it, with the same id, until then.",
        tags=["carrier"],
        parameters=[CARRIER],
        request={"application/json": MessageForm, "application/x-www-form-urlencoded": MessageForm},
        responses={
            202: OpenApiResponse(STORED, description="Stored.", examples=[stored_example(duplicate=False)]),
            200: OpenApiResponse(STORED, description="Had it before.", examples=[stored_example(duplicate=True)]),
            **DECLINED,
        },
        examples=question_examples(),
    )
    def post(self, request: HttpRequest, gateway: Gateway) -> HttpResponse:
        receipt = inbox.receive(gateway.name, gateway.read_message(request), now=timezone.now())
        if not receipt.duplicate:
            tasks.ring_answering()
        return gateway.acknowledge(receipt)


class ReportView(CarrierView):
    def methods(self, gateway: Gateway) -> Sequence[str]:
        return gateway.report_methods

    @extend_schema(
        operation_id="report_fate",
        summary="Report the fate of a reply",
        description="Repeated, late and contradicting reports do no harm: a final state stays.",
        tags=["carrier"],
        parameters=[CARRIER],
        request={"application/json": ReportForm, "application/x-www-form-urlencoded": ReportForm},
        responses={
            200: OpenApiResponse(
                inline_serializer("Known", {"known": serializers.BooleanField()}),
                description="Taken. `known` is false if no reply to you has this reference or id: nothing to repeat.",
            ),
            **DECLINED,
        },
        examples=[
            OpenApiExample(
                "By our reference",
                {"reference": REFERENCE, "status": "delivered", "at": "2016-10-01T08:00:07+07:00"},
                request_only=True,
            ),
            OpenApiExample("By your id", {"message_id": "B17", "status": "failed"}, request_only=True),
        ],
    )
    def post(self, request: HttpRequest, gateway: Gateway) -> HttpResponse:
        known = outbox.record_report(gateway.name, gateway.read_report(request), now=timezone.now())
        return gateway.acknowledge_report(known)


def read_body(request: HttpRequest) -> None:
    """Make ``request.body`` the whole body, however it is framed, reading no more than the limit. Raises Declined."""
    limit = settings.SMS_MAX_BODY_BYTES
    too_large = TooLarge(f"The body exceeds {limit} bytes.")
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    if length > limit:
        raise too_large
    try:
        # Django takes a body without Content-Length for empty; a server that marks its end lets us read it.
        if not length and request.META.get("wsgi.input_terminated"):
            request._body = request.META["wsgi.input"].read(limit + 1)
            if len(request._body) > limit:
                raise too_large
            if request._body and request.content_type != "application/json":
                # The server hides whether the connection broke before the end; only of JSON we would see it.
                raise Malformed({"non_field_errors": ["Send Content-Length."]})
        elif len(request.body) != length:
            # Half a form is a form, and its repeat would be taken for a duplicate.
            raise Malformed({"non_field_errors": ["The body is shorter than its Content-Length."]})
    except OSError as error:
        raise Malformed({"non_field_errors": ["The body broke off."]}) from error
