"""The carrier that speaks our own HTTP contract, both ways: JSON (or forms) in, JSON out."""

import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework import serializers

from sms.gateways.base import (
    MESSAGE_ID_LENGTH,
    OPERATOR_LENGTH,
    SENDER_LENGTH,
    SHORT_CODE_LENGTH,
    Fate,
    Gateway,
    Malformed,
    Receipt,
    Received,
    Reply,
    Report,
)
from sms.gateways.incoming import canonical_sender, given_fields, same_secret, storable
from sms.gateways.outgoing import Outgoing

GRACE = 300  # seconds by which the clock of a signature may differ from ours


class TextField(serializers.CharField):
    """What a customer wrote: anything goes, but in the form that a database can keep."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_blank=True, trim_whitespace=False, **options)

    def to_internal_value(self, data: str) -> str:
        return storable(super().to_internal_value(data))


class MomentField(serializers.DateTimeField):
    """A moment that every database can keep; without an offset it is Vietnamese time."""

    def to_internal_value(self, value: str) -> datetime:  # type: ignore[override]
        moment: datetime = super().to_internal_value(value)
        if not 1970 <= moment.year <= 9998:
            self.fail("overflow")
        return moment


class MessageForm(serializers.Serializer[Any]):
    """A message from a customer."""

    message_id = serializers.CharField(
        max_length=MESSAGE_ID_LENGTH,
        help_text="Your id of the message; a repeat with the same id isn't answered again.",
    )
    sender = serializers.CharField(max_length=SENDER_LENGTH, help_text="The customer's number, in any usual form.")
    short_code = serializers.CharField(max_length=SHORT_CODE_LENGTH, help_text="The number the message was sent to.")
    text = TextField(help_text="The message as written, keyword included; may be empty.")
    sent_at = MomentField(
        required=False, allow_null=True, help_text="ISO 8601; without an offset it is Vietnamese time (+07:00)."
    )
    operator = serializers.CharField(
        max_length=OPERATOR_LENGTH, required=False, allow_null=True, allow_blank=True,
        help_text="The customer's network operator.",
    )  # fmt: skip


class ReportForm(serializers.Serializer[Any]):
    """The fate of a reply, named by our reference or by your id of it (our reference wins)."""

    FATES = {"delivered": Fate.DELIVERED, "failed": Fate.FAILED, "expired": Fate.EXPIRED}

    reference = serializers.CharField(max_length=MESSAGE_ID_LENGTH, required=False, allow_null=True, allow_blank=True)
    message_id = serializers.CharField(max_length=MESSAGE_ID_LENGTH, required=False, allow_null=True, allow_blank=True)
    status = serializers.ChoiceField(list(FATES), error_messages={"invalid_choice": f"Use one of {', '.join(FATES)}."})
    at = MomentField(required=False, allow_null=True, help_text="When it was delivered or given up, ISO 8601.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("reference") and not attrs.get("message_id"):
            raise serializers.ValidationError({"reference": ["Give reference or message_id."]})
        return attrs


# Validation keeps nothing in a serializer, so one of each serves all requests; building them is what costs.
MESSAGE_FORM = MessageForm()
REPORT_FORM = ReportForm()


class RestGateway(Gateway):
    """Options: ``token`` (bearer) and ``secret`` (HMAC), of which either proves the caller; ``networks``; ``url`` to
    which replies are posted with the bearer ``send_token``, waiting ``timeout`` seconds for each answer;
    ``takes_each_once`` if the carrier takes a reference that it has had for a repeat."""

    def __init__(
        self,
        name: str,
        *,
        token: str = "",
        secret: str = "",
        networks: Sequence[str] = (),
        url: str = "",
        send_token: str = "",
        timeout: float = 10,
        takes_each_once: bool = False,
    ) -> None:
        super().__init__(name, networks=networks)
        self.takes_each_once = takes_each_once
        self._token = token
        self._secret = secret
        self.has_secret = bool(token or secret)
        self.can_send = bool(url)
        self._headers = {"Authorization": f"Bearer {send_token}"} if send_token else {}
        self._outgoing = Outgoing(url, timeout)

    def knows_secret(self, request: HttpRequest) -> bool:
        return self._has_token(request) or self._has_signature(request)

    def _has_token(self, request: HttpRequest) -> bool:
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        return bool(self._token) and scheme.lower() == "bearer" and same_secret(token.strip(), self._token)

    def _has_signature(self, request: HttpRequest) -> bool:
        timestamp = request.META.get("HTTP_X_TIMESTAMP", "")
        if not (self._secret and timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
            return False
        if abs(time.time() - int(timestamp)) > GRACE:
            return False
        signed = timestamp.encode() + b"." + request.body
        expected = hmac.new(self._secret.encode(), signed, hashlib.sha256).hexdigest()
        return same_secret(request.META.get("HTTP_X_SIGNATURE", "").lower(), expected)

    def read_message(self, request: HttpRequest) -> Received:
        fields = valid_fields(MESSAGE_FORM, request)
        return Received(
            message_id=fields["message_id"],
            sender=canonical_sender(fields["sender"]),
            short_code=fields["short_code"],
            text=fields["text"],
            payload=request.body,
            operator=fields.get("operator") or "",
            sent_at=fields.get("sent_at"),
        )

    def acknowledge(self, receipt: Receipt) -> HttpResponse:
        return JsonResponse(asdict(receipt), status=200 if receipt.duplicate else 202)

    def read_report(self, request: HttpRequest) -> Report:
        fields = valid_fields(REPORT_FORM, request)
        reference = fields.get("reference") or ""
        message_id = "" if reference else fields["message_id"]
        return Report(reference, message_id, ReportForm.FATES[fields["status"]], at=fields.get("at"))

    def acknowledge_report(self, known: bool) -> HttpResponse:
        return JsonResponse({"known": known})

    def send(self, reply: Reply) -> str:
        return carrier_id(self._outgoing.request("POST", json=asdict(reply), headers=self._headers).content)

    def close(self) -> None:
        self._outgoing.close()


def valid_fields(form: serializers.Serializer[Any], request: HttpRequest) -> dict[str, Any]:
    """The fields that the request gives, validated by the form. Raises Malformed or Unsupported."""
    given = given_fields(request)
    # The contract knows text only: a number would have lost its leading zeros on the way.
    names = form.fields.keys()
    errors = {name: ["Not a valid string."] for name in names if not isinstance(given.get(name), str | None)}
    if errors:
        raise Malformed(errors)
    try:
        fields: dict[str, Any] = form.run_validation(given)
    except serializers.ValidationError as error:
        raise Malformed({name: [str(text) for text in texts] for name, texts in error.detail.items()}) from error  # type: ignore[union-attr]
    return fields


def carrier_id(body: bytes) -> str:
    """The carrier's id of the reply, ``message_id`` or ``id`` in its answer; empty if it gives none we can keep."""
    try:
        answer = json.loads(body)
        given = answer.get("message_id", answer.get("id")) if isinstance(answer, dict) else None
    except (ValueError, RecursionError):
        return ""
    if not isinstance(given, str | int) or isinstance(given, bool):
        return ""
    text = str(given)
    return text if len(text) <= MESSAGE_ID_LENGTH and text.isprintable() else ""
