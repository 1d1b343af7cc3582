"""The two addresses that carriers call, down to the database: what is answered is what is stored."""

import contextlib
import hashlib
import hmac
import io
import json
import re
import time
from datetime import UTC, datetime

import pytest
import time_machine
from django.core import checks
from django.core.handlers.wsgi import WSGIRequest
from django.db import OperationalError
from django.test import Client, RequestFactory
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st

from sms import gateways, outbox, tasks
from sms.models import InboundMessage
from sms.syntaxes import SYNTAXES
from sms.views import InboundView

pytestmark = pytest.mark.django_db

INBOUND = "/api/sms/viettel/inbound/"
REPORTS = "/api/sms/viettel/reports/"
TOKEN = {"authorization": "Bearer t0ken"}
MESSAGE = {
    "message_id": "A1",
    "sender": "0905123456",
    "short_code": "8088",
    "text": "LGD PP05000974006 1 10 2016",
    "sent_at": "2016-10-01T08:00:00+07:00",
    "operator": "VIETTEL",
}


@pytest.fixture(autouse=True)
def rings(monkeypatch: pytest.MonkeyPatch, settings) -> list[str]:
    """Two carriers, and a bell that only counts."""
    settings.SMS_CARRIERS = {
        "viettel": {"BACKEND": "rest", "OPTIONS": {"token": "t0ken", "secret": "s3cret", "url": "http://localhost:1"}},
        "vina": {"BACKEND": "kannel", "OPTIONS": {"token": "t0ken", "url": "http://localhost:1"}},
    }
    rung: list[str] = []
    monkeypatch.setattr(tasks, "ring_answering", lambda: rung.append("ring"))
    return rung


def post(client: Client, message: object = MESSAGE, **options):
    options.setdefault("headers", TOKEN)
    options.setdefault("content_type", "application/json")
    body = message if isinstance(message, str | bytes) else json.dumps(message)
    return client.post(options.pop("path", INBOUND), body, **options)


def test_a_message_is_stored_before_it_is_acknowledged(client: Client, rings: list[str]) -> None:
    answer = post(client)
    row = InboundMessage.objects.get()
    assert (answer.status_code, answer.json()) == (202, {"id": row.pk, "duplicate": False})
    assert (row.carrier, row.message_id, row.sender, row.text) == ("viettel", "A1", "84905123456", MESSAGE["text"])
    assert row.sent_at == datetime(2016, 10, 1, 1, tzinfo=UTC)
    assert bytes(row.payload) == json.dumps(MESSAGE).encode()
    assert rings == ["ring"]


def test_a_repeat_gets_the_same_id_and_rings_no_bell(client: Client, rings: list[str]) -> None:
    first = post(client).json()
    repeat = post(client, MESSAGE | {"text": "something else"})
    assert (repeat.status_code, repeat.json()) == (200, first | {"duplicate": True})
    assert InboundMessage.objects.get().text == MESSAGE["text"]
    assert rings == ["ring"]


def test_a_form_is_as_good_as_json(client: Client) -> None:
    answer = client.post(INBOUND, MESSAGE | {"sent_at": ""}, headers=TOKEN, content_type="")
    assert answer.status_code == 415  # multipart without its boundary named
    body = "message_id=A1&sender=%2B84905123456&short_code=8088&text=NTD%0APP%00&sent_at="
    assert post(client, body, content_type="application/x-www-form-urlencoded; charset=UTF-8").status_code == 202
    row = InboundMessage.objects.get()
    assert (row.sender, row.text, row.sent_at, bytes(row.payload)) == ("84905123456", "NTD\nPP␀", None, body.encode())


@pytest.mark.parametrize(
    ("change", "stored"),
    [
        ({"text": ""}, {"text": ""}),
        ({"text": " \n TC \t"}, {"text": " \n TC \t"}),
        ({"text": "x" * 60_000}, {"text": "x" * 60_000}),
        ({"text": "LGD\0PP"}, {"text": "LGD␀PP"}),
        ({"text": "\ud800 nửa 😀"}, {"text": "� nửa 😀"}),
        ({"sender": "01205123456"}, {"sender": "84705123456"}),
        ({"sender": "VIETTEL"}, {"sender": "VIETTEL"}),
        ({"sender": "EVN12345678"}, {"sender": "EVN12345678"}),
        ({"sender": "9" * 32}, {"sender": "9" * 32}),
        ({"message_id": "é" * 128}, {"message_id": "é" * 128}),
        ({"operator": None, "sent_at": None}, {"operator": "", "sent_at": None}),
        ({"sent_at": "2016-10-01T08:00:00"}, {"sent_at": datetime(2016, 10, 1, 1, tzinfo=UTC)}),
        ({"extra": {"deep": [1]}}, {}),
    ],
)
def test_what_a_customer_may_send_is_stored(client: Client, change: dict, stored: dict) -> None:
    message = MESSAGE | change
    assert post(client, message).status_code == 202
    row = InboundMessage.objects.get()
    assert {name: getattr(row, name) for name in stored} == stored
    assert bytes(row.payload) == json.dumps(message).encode()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"message_id": None}, "message_id"),
        ({"message_id": ""}, "message_id"),
        ({"message_id": "x" * 129}, "message_id"),
        ({"message_id": "a\0b"}, "message_id"),
        ({"message_id": "\udc00"}, "message_id"),
        ({"message_id": 17}, "message_id"),
        ({"sender": 905123456}, "sender"),
        ({"sender": "9" * 33}, "sender"),
        ({"short_code": "8" * 17}, "short_code"),
        ({"text": None}, "text"),
        ({"text": ["TC"]}, "text"),
        ({"operator": "x" * 33}, "operator"),
        ({"sent_at": "yesterday"}, "sent_at"),
        ({"sent_at": "0001-01-01T00:00:00+14:00"}, "sent_at"),
        ({"sent_at": "9999-12-31T23:59:59-12:00"}, "sent_at"),
        ({"sent_at": "1066-10-14T09:00:00Z"}, "sent_at"),
    ],
)
def test_a_wrong_field_is_named(client: Client, change: dict, field: str) -> None:
    answer = post(client, MESSAGE | change)
    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert not InboundMessage.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe{}",
        b'{"message_id": "\xff"}',
        b'{"message_id": "A1", "message_id": "A2"}',
        b'{"text": NaN}',
        b'{"text": ' + b"9" * 5000 + b"}",
        b"[" * 60_000,
        b'{"a":' * 10_000,
    ],
)
def test_a_body_that_is_no_json_object_is_refused(client: Client, body: bytes) -> None:
    answer = post(client, body)
    assert (answer.status_code, list(answer.json())) == (400, ["non_field_errors"])


@pytest.mark.parametrize("body", [b"message_id=A1&message_id=A2", b"text=%FF", b"text=\xff", b"a=1&" * 100, b"TC"])
def test_a_malformed_form_is_refused(client: Client, body: bytes) -> None:
    assert post(client, body, content_type="application/x-www-form-urlencoded").status_code == 400


def test_errors_are_in_english_and_quote_no_one(client: Client) -> None:
    answer = post(client, {"text": "0905123456 secret"}, headers=TOKEN | {"accept-language": "vi"})
    assert answer.json()["sender"] == ["This field is required."]
    assert b"secret" not in answer.content


def sign(body: bytes, at: float, secret: bytes = b"s3cret") -> dict[str, str]:
    timestamp = str(int(at))
    signature = hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"x-timestamp": timestamp, "x-signature": signature}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer t0ken"}, 202),
        ({"authorization": "bearer  t0ken"}, 202),
        ({"authorization": "Bearer t0keN"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": "Basic t0ken"}, 401),
        ({"authorization": "t0ken"}, 401),
        ({"authorization": "Bearer t0ken\xe9"}, 401),
        (lambda body, now: sign(body, now), 202),
        (lambda body, now: {k: v.upper() for k, v in sign(body, now).items()}, 202),
        (lambda body, now: sign(body, now) | {"authorization": "Bearer wrong"}, 202),
        (lambda body, now: sign(body, now - 290), 202),
        (lambda body, now: sign(body, now + 290), 202),
        (lambda body, now: sign(body, now - 310), 401),
        (lambda body, now: sign(body, now + 310), 401),
        (lambda body, now: sign(body + b" ", now), 401),
        (lambda body, now: sign(body, now, b"other"), 401),
        (lambda body, now: sign(body, now) | {"x-timestamp": str(int(now) + 1)}, 401),
        (lambda body, now: sign(body, now) | {"x-timestamp": "soon"}, 401),
        (lambda body, now: sign(body, now) | {"x-timestamp": "9" * 400}, 401),
        (lambda body, now: sign(body, now) | {"x-signature": "\xe9"}, 401),
    ],
)
def test_a_token_or_a_fresh_signature_proves_the_carrier(client: Client, headers, status: int) -> None:
    body = json.dumps(MESSAGE)
    with time_machine.travel(datetime.now(UTC), tick=False):
        answer = post(client, body, headers=headers(body.encode(), time.time()) if callable(headers) else headers)
    assert answer.status_code == status
    assert InboundMessage.objects.count() == (status == 202)
    assert answer.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)


@pytest.mark.parametrize(
    ("options", "address", "token", "status"),
    [
        ({"token": "t0ken", "networks": ["10.1.0.0/16"]}, "10.1.2.3", True, 202),
        ({"token": "t0ken", "networks": ["10.1.0.0/16"]}, "10.2.2.3", True, 403),
        ({"token": "t0ken", "networks": ["10.1.0.0/16"]}, "10.1.2.3", False, 401),
        ({"token": "t0ken", "networks": ["10.1.0.0/16"]}, "::ffff:10.1.2.3", True, 202),
        ({"token": "t0ken", "networks": ["10.1.0.0/16", "2001:db8::/32"]}, "2001:db8::1", True, 202),
        ({"token": "t0ken", "networks": ["10.1.0.0/16"]}, "", True, 403),
        ({"networks": ["10.1.0.0/16"]}, "10.1.2.3", False, 202),
        ({}, "10.1.2.3", True, 401),
    ],
)
def test_networks_narrow_who_may_call(client: Client, settings, options, address, token, status) -> None:
    settings.SMS_CARRIERS = {"viettel": {"BACKEND": "rest", "OPTIONS": options}}
    assert post(client, headers=TOKEN if token else {}, REMOTE_ADDR=address).status_code == status


def test_an_unknown_carrier_is_404_and_another_method_405(client: Client) -> None:
    assert post(client, path="/api/sms/nobody/inbound/").status_code == 404
    for method in ("get", "put", "delete", "head", "options", "patch"):
        answer = getattr(client, method)(INBOUND, headers=TOKEN)
        assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert client.head("/api/sms/vina/inbound/?token=t0ken&id=1&from=0905123456&to=8088&text=TC").status_code == 405
    assert not InboundMessage.objects.exists()


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "application/xml", ""])
def test_other_formats_are_415(client: Client, content_type: str) -> None:
    assert post(client, content_type=content_type).status_code == 415


def test_a_body_over_the_limit_is_413_whoever_sends_it(client: Client, settings) -> None:
    limit = settings.SMS_MAX_BODY_BYTES
    assert post(client, b" " * (limit + 1)).status_code == 413
    assert post(client, b" " * (limit + 1), headers={}).status_code == 413
    padded = json.dumps(MESSAGE).encode()
    assert post(client, padded + b" " * (limit - len(padded))).status_code == 202


class Broken(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise ConnectionResetError


def arriving(stream: io.BytesIO, content_type: str = "application/json", **environ: object) -> WSGIRequest:
    """A request as granian hands it over: without a Content-Length if the client didn't tell it."""
    base = RequestFactory(headers=TOKEN)._base_environ(
        REQUEST_METHOD="POST", PATH_INFO=INBOUND, CONTENT_TYPE=content_type
    )
    return WSGIRequest(base | {"wsgi.input": stream, "wsgi.input_terminated": True} | environ)


def test_a_body_without_length_is_read_but_no_further_than_the_limit(settings) -> None:
    view = InboundView.as_view()
    assert view(arriving(io.BytesIO(json.dumps(MESSAGE).encode())), carrier="viettel").status_code == 202
    stream = io.BytesIO(b"x" * 10_000_000)
    assert view(arriving(stream), carrier="viettel").status_code == 413
    assert stream.tell() <= settings.SMS_MAX_BODY_BYTES + 1


FORM = b"message_id=A1&sender=0905123456&short_code=8088&text=NTD+PP05000"
FORM_TYPE = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    "request_",
    [
        lambda: arriving(io.BytesIO(FORM), FORM_TYPE, CONTENT_LENGTH=str(len(FORM) + 9)),
        lambda: arriving(io.BytesIO(FORM), FORM_TYPE),
        lambda: arriving(io.BytesIO(json.dumps(MESSAGE).encode()[:-1])),
        lambda: arriving(Broken(), CONTENT_LENGTH="100"),
        lambda: arriving(Broken()),
    ],
)
def test_a_body_that_may_have_broken_off_is_not_stored(request_) -> None:
    assert InboundView.as_view()(request_(), carrier="viettel").status_code == 400
    assert not InboundMessage.objects.exists()


@pytest.mark.parametrize("path", [INBOUND, REPORTS])
def test_without_the_database_the_carrier_is_told_to_repeat(
    client: Client, monkeypatch: pytest.MonkeyPatch, path: str, rings: list[str], caplog
) -> None:
    def away(*args, **kwargs):
        raise OperationalError("connection refused by secret host")

    monkeypatch.setattr(InboundMessage.objects, "create", away)
    monkeypatch.setattr(outbox.OutboundMessage.objects, "filter", away)
    answer = post(client, MESSAGE | {"status": "delivered"}, path=path)
    assert (answer.status_code, answer["Retry-After"]) == (503, "10")
    assert b"secret" not in answer.content
    assert not rings
    assert "0905123456" not in caplog.text


def test_kannel_is_answered_with_silence_for_repeats_too(client: Client, rings: list[str]) -> None:
    path = "/api/sms/vina/inbound/?token=t0ken&id=86c7&from=%2B84905123456&to=8088&text=NTD+PP&coding=0&charset=UTF-8"
    for _ in range(2):
        answer = client.get(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer["Content-Type"] == "text/plain; charset=utf-8"
    row = InboundMessage.objects.get()
    assert (row.message_id, row.sender, row.text) == ("86c7", "84905123456", "NTD PP")
    assert b"t0ken" not in bytes(row.payload)
    assert rings == ["ring"]


def test_kannel_is_told_in_plain_text_what_is_missing(client: Client) -> None:
    answer = client.get("/api/sms/vina/inbound/?token=t0ken&id=86c7&to=8088&text=NTD+PP")
    assert (answer.status_code, answer.content) == (400, b"from: Missing.\n")
    assert client.get("/api/sms/vina/inbound/?token=nope&id=86c7").status_code == 401


def test_a_report_moves_its_reply_and_says_whether_there_is_one(client: Client, monkeypatch) -> None:
    taken = []
    monkeypatch.setattr(outbox, "record_report", lambda carrier, report, now: taken.append((carrier, report)) or False)
    answer = post(client, {"reference": "5f", "status": "delivered"}, path=REPORTS)
    assert (answer.status_code, answer.json()) == (200, {"known": False})
    assert [(carrier, report.reference, str(report.fate)) for carrier, report in taken] == [
        ("viettel", "5f", "DELIVERED")
    ]


@settings(max_examples=150)
@given(
    st.one_of(
        st.binary(min_size=1, max_size=300),  # the test client drops the type of an empty body
        st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)
        .flatmap(lambda value: st.fixed_dictionaries(dict.fromkeys(MESSAGE, st.just(value) | st.text(max_size=140))))
        .map(lambda message: json.dumps(message).encode()),
    ),
    st.sampled_from(["application/json", "application/x-www-form-urlencoded"]),
    st.sampled_from([INBOUND, REPORTS]),
)
def test_no_body_makes_us_fail(client: Client, body: bytes, content_type: str, path: str) -> None:
    assert post(client, body, content_type=content_type, path=path).status_code in (200, 202, 400)


def test_the_documentation_shows_every_question_and_loads_nothing_from_elsewhere(client: Client) -> None:
    schema = client.get(reverse("sms:schema"), headers={"accept": "application/json"}).json()
    inbound = schema["paths"]["/api/sms/{carrier}/inbound/"]["post"]
    assert list(inbound["requestBody"]["content"]["application/json"]["examples"]) == list(SYNTAXES)
    expected = {"200", "202", "400", "401", "403", "404", "405", "413", "415", "429", "503"}
    assert set(inbound["responses"]) == expected
    assert set(schema["components"]["securitySchemes"]) == {"token", "timestamp", "signature"}
    page = client.get(reverse("sms:docs"))
    assert page.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.content.decode())
    assert loaded
    for address in loaded:
        assert address.startswith(("/static/", "/api/docs/")), address
        with contextlib.closing(client.get(address)) as asset:
            assert asset.status_code == 200


@pytest.mark.parametrize(
    ("name", "entry", "ids"),
    [
        ("viettel", {"BACKEND": "rest", "OPTIONS": {"token": "x", "url": "http://localhost"}}, []),
        ("viettel", {"BACKEND": "sms.gateways.rest.RestGateway", "OPTIONS": {"token": "x"}}, ["sms.W003"]),
        ("memory", {"BACKEND": "memory", "OPTIONS": {"secret": "x"}}, []),
        ("Viettel!", {"BACKEND": "rest"}, ["sms.E001"]),
        ("viettel", {"BACKEND": "smtp"}, ["sms.E002"]),
        ("viettel", {"BACKEND": None}, ["sms.E002"]),
        ("viettel", {"BACKEND": "sms.no.Such"}, ["sms.E002"]),
        ("viettel", {"BACKEND": "sms.models.InboundMessage"}, ["sms.E002"]),
        ("viettel", {"BACKEND": "sms.gateways.base.Gateway"}, ["sms.E003"]),
        ("viettel", {"BACKEND": "rest", "OPTIONS": {"tokn": "x"}}, ["sms.E003"]),
        ("viettel", {"BACKEND": "rest", "OPTIONS": {"token": 17}}, ["sms.E003"]),
        ("viettel", {"BACKEND": "rest", "OPTIONS": ["token"]}, ["sms.E003"]),
        ("viettel", {"BACKEND": "rest", "OPTIONS": {"networks": ["10.0.0.1/8"]}}, ["sms.E003"]),
        ("viettel", {"BACKEND": "rest", "OPTIONS": {"networks": "10.0.0.0/8"}}, ["sms.E003"]),
        ("viettel", {"BACKEND": "rest", "OPTIONS": {"url": "localhost"}}, ["sms.E003"]),
        ("viettel", {"BACKEND": "rest", "OPTIONS": {"timeout": 0}}, ["sms.E003"]),
        ("viettel", {"BACKEND": "memory", "OPTIONS": {"fail": "often"}}, ["sms.E003"]),
        ("viettel", {"BACKEND": "rest"}, ["sms.W001", "sms.W003"]),
        ("vina", {"BACKEND": "kannel", "OPTIONS": {"networks": ["10.0.0.0/8"]}}, ["sms.W002", "sms.W003"]),
    ],
)
def test_a_wrong_carrier_entry_is_found_at_start(settings, name: str, entry: dict, ids: list[str]) -> None:
    settings.SMS_CARRIERS = {name: entry}
    assert [message.id for message in checks.run_checks() if message.id.startswith("sms.")] == ids


def test_a_gateway_is_built_once_and_again_when_its_entry_changes(settings) -> None:
    first = gateways.get("viettel")
    assert gateways.get("viettel") is first
    settings.SMS_CARRIERS = {"viettel": {"BACKEND": "memory"}}
    assert gateways.get("viettel") is not first
    with pytest.raises(gateways.UnknownCarrier):
        gateways.get("vina")
