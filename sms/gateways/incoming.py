"""What gateways share in reading requests: secrets, bodies, and the forms in which we keep texts and numbers."""

import hmac
import json
import re
from typing import Any
from urllib.parse import parse_qsl

from django.http import HttpRequest

from evncare.phones import canonical
from sms.gateways.base import Malformed, Unsupported


def same_secret(given: str, secret: str) -> bool:
    """Compare what a request gives (bytes as WSGI shows them, each a character) to a secret, in constant time."""
    return hmac.compare_digest(given.encode("latin-1", "replace"), secret.encode())


def storable(text: str) -> str:
    """The text as a database can keep it: NUL shows as U+2400, half a surrogate pair as U+FFFD."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text.replace("\0", "\u2400"))


def canonical_sender(number: str) -> str:
    """The canonical form of a phone number; what is none stays as it is."""
    return canonical(number) or number


def given_fields(request: HttpRequest) -> dict[str, Any]:
    """The fields of a JSON object or a form, unvalidated. Raises Malformed or Unsupported."""
    if request.content_type == "application/json":
        return _from_json(request.body)
    if request.content_type == "application/x-www-form-urlencoded":
        return _from_form(request.body)
    raise Unsupported("Send application/json or application/x-www-form-urlencoded.")


def _from_json(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_each_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # also bytes that are no UTF-8, and absurd numbers
        raise Malformed({"non_field_errors": ["The body is no valid JSON in UTF-8."]}) from error
    if not isinstance(given, dict):
        raise Malformed({"non_field_errors": ["The body must be a JSON object."]})
    return given


def _from_form(body: bytes) -> dict[str, Any]:
    try:
        given = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=64)
    except ValueError as error:
        raise Malformed({"non_field_errors": ["The body is no valid form in UTF-8."]}) from error
    # A form's way to give no moment is an empty field.
    return _each_once([(name, value) for name, value in given if value or name not in ("sent_at", "at")])


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Malformed({"non_field_errors": ["A field is given twice."]})
    return fields


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
