"""The carrier's addresses under fire: requests made up from our own schema, and hostile ones at a real web server.

Whatever comes: no 5xx, nothing stored that was not acknowledged, nothing acknowledged that is not stored.
"""

import contextlib
import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import psycopg
import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import given
from hypothesis.strategies import booleans
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from evncare.embedded import free_port
from evncare.wsgi import application
from sms import tasks
from sms.models import InboundMessage
from tests.databases import database_of_its_own
from tests.kannel import wait_for

ROOT = Path(__file__).resolve().parents[2]
TOKEN, SECRET = "t0ken", b"s3cret"
CARRIERS = {
    "viettel": {"BACKEND": "rest", "OPTIONS": {"token": TOKEN, "secret": SECRET.decode(), "url": "http://localhost:1"}}
}
INBOUND, REPORTS = "/api/sms/viettel/inbound/", "/api/sms/viettel/reports/"
THREADS = 4
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


# Requests from the schema


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@contextlib.contextmanager
def connection_kept() -> Iterator[None]:
    """Have the test's connection outlive its requests, as Django's own test client does."""
    for moment in (request_started, request_finished):
        moment.disconnect(close_old_connections)
    try:
        yield
    finally:
        for moment in (request_started, request_finished):
            moment.connect(close_old_connections)


@pytest.mark.django_db
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", ["inbound", "reports"])
def test_requests_made_from_our_schema_are_answered_as_it_says(client, settings, monkeypatch, operation, mode) -> None:
    settings.SMS_CARRIERS = CARRIERS
    monkeypatch.setattr(tasks, "ring_answering", lambda: None)
    schema = schemathesis.openapi.from_dict(client.get("/api/schema/", headers={"accept": JSON}).json())
    schema.app = application
    seen: Counter[int] = Counter()

    @given(case=schema[f"/api/sms/{{carrier}}/{operation}/"]["POST"].as_strategy(generation_mode=mode), ours=booleans())
    @hypothesis.settings(max_examples=60, database=None)
    def ask(case, ours) -> None:
        # Another path than ours would only test Django's routing.
        case.path_parameters = {"carrier": "viettel" if ours or mode is GenerationMode.POSITIVE else "nobody"}
        before = InboundMessage.objects.count()
        response = case.call(headers={"Authorization": f"Bearer {TOKEN}"})
        case.validate_response(response, checks=CHECKS)
        seen[response.status_code] += 1
        assert InboundMessage.objects.count() == before + (response.status_code == 202)

    with connection_kept():
        ask()
    expected = {GenerationMode.POSITIVE: {"inbound": 202, "reports": 200}[operation], GenerationMode.NEGATIVE: 400}
    assert seen[expected[mode]], f"only {seen} was tried"


# Hostile requests at a real web server


@dataclass
class Server:
    port: int
    database_url: str

    def ask(self, path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("POST", path, body, {"Authorization": f"Bearer {TOKEN}", "Content-Type": JSON} | headers)
            response = connection.getresponse()
            return response.status, response.read()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def stored(self) -> list[str]:
        """The carrier's ids of the messages stored."""
        statement = "SELECT message_id FROM sms_inboundmessage ORDER BY id"
        if self.database_url.startswith("sqlite"):
            with contextlib.closing(sqlite3.connect(self.database_url.removeprefix("sqlite:///"))) as connection:
                return [id_ for (id_,) in connection.execute(statement)]
        with psycopg.connect(self.database_url) as connection:
            return [id_ for (id_,) in connection.execute(statement)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A web server with a database of its own, of the kind that the tests run on; its log must tell of no failure."""
    directory = tmp_path_factory.mktemp("fuzz")
    with database_of_its_own(directory) as url:
        environment = os.environ | {"DATABASE_URL": url, "REDIS_URL": "redis://127.0.0.1:1/0"}
        environment |= {"SMS_CARRIERS": json.dumps(CARRIERS), "SECRET_KEY": "a key for this test and for nothing else"}
        subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity=0"], cwd=ROOT, env=environment, check=True)
        port = free_port()
        command = [
            sys.executable,
            "-m",
            "granian",
            "--interface",
            "wsgi",
            "--no-ws",
            "--blocking-threads",
            str(THREADS),
        ]
        command += ["--port", str(port), "evncare.wsgi:application"]
        log = directory / "web.log"
        with log.open("wb") as output:
            web = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            server = Server(port, url)
            wait_for(lambda: is_up(server), "the web server")
            yield server
        finally:
            web.send_signal(signal.SIGTERM)
            web.wait(20)
    assert "ERROR django.request" not in log.read_text()
    assert "0905123456" not in log.read_text()


def is_up(server: Server) -> bool:
    try:
        return server.ask(INBOUND, b"")[0] == 400
    except OSError:
        return False


def message(id_: str, **fields: object) -> dict[str, object]:
    return {"message_id": id_, "sender": "0905123456", "short_code": "8088", "text": "TC"} | fields


def encoded(id_: str, **fields: object) -> bytes:
    return json.dumps(message(id_, **fields)).encode()


HOSTILE: dict[str, tuple[bytes, dict[str, str], set[int]]] = {
    "larger than any message": (encoded("big", text="x" * 70_000), {}, {413}),
    "as large as may be": (encoded("large", text="x" * 60_000), {}, {202}),
    "many megabytes": (b"x" * 8_000_000, {}, {413}),
    "nested deeply": (b'{"message_id":' * 4_000, {}, {400}),
    "closed and nested deeply": (b'{"a":' * 9_000 + b"1" + b"}" * 9_000, {}, {400}),
    "a list nested deeply in a field": (
        encoded("nested").replace(b'"TC"', b"[" * 20_000 + b"]" * 20_000), {}, {400},
    ),
    "NUL in the text": (encoded("nul", text="T\0C"), {}, {202}),
    "NUL in the id": (encoded("nul\0id"), {}, {400}),
    "raw NUL": (encoded("raw").replace(b"TC", b"T\0C"), {}, {400}),
    "half a surrogate pair": (encoded("half", text="\ud83d"), {}, {202}),
    "half a surrogate pair in the id": (encoded("\ud83d"), {}, {400}),
    "UTF-16": (json.dumps(message("utf16")).encode("utf-16"), {}, {400}),
    "a byte order mark": (b"\xef\xbb\xbf" + encoded("bom"), {}, {202}),
    "no UTF-8": (encoded("latin").replace(b"TC", b"\xff\xfe"), {}, {400}),
    "right-to-left and joiners": (encoded("rtl", text="\u202e\u200dTC\u2066"), {}, {202}),
    "a huge number": (encoded("number").replace(b'"TC"', b"9" * 50_000), {}, {400}),
    "an id of SQL": (encoded("'; DROP TABLE sms_inboundmessage; --"), {}, {202}),
    "a form with a thousand fields": (b"a=1&" * 1_000, {"Content_Type": FORM}, {400}),
    "a form that does not decode": (b"message_id=%ff%fe&text=%", {"Content_Type": FORM}, {400}),
    "a compressed body": (b"\x1f\x8b\x08" + b"\0" * 50, {"Content_Encoding": "gzip"}, {400}),
    "a charset of nowhere": (encoded("charset"), {"Content_Type": f"{JSON}; charset=klingon"}, {202, 400, 415}),
    "an unknown type": (encoded("type"), {"Content_Type": "text/x-anything"}, {415}),
    "a type that is none": (encoded("none"), {"Content_Type": "\xff;;;=\x7f"}, {400, 415}),
    "multipart without a boundary": (b"--x", {"Content_Type": "multipart/form-data"}, {415}),
    "a host of elsewhere": (encoded("host"), {"Host": "evil.example"}, {202, 400}),
    "a method in the header": (encoded("method"), {"X_HTTP_Method_Override": "DELETE"}, {202}),
    "an empty body": (b"", {}, {400}),
}  # fmt: skip


@pytest.mark.live
@pytest.mark.parametrize("path", [INBOUND, REPORTS])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_refused_or_stored_but_never_both_or_neither(server: Server, name: str, path: str) -> None:
    body, headers, expected = HOSTILE[name]
    before = server.stored()
    status = 0
    with contextlib.suppress(ConnectionError):  # it may hang up on a body that it won't read
        status, _answer = server.ask(path, body, **headers)
    assert status in (expected if path == INBOUND else {0, 400, 413, 415}) | ({0} if len(body) > 10**6 else set())
    assert len(server.stored()) == len(before) + (status == 202)


def signed(body: bytes, at: float) -> dict[str, str]:
    timestamp = str(int(at))
    signature = hmac.new(SECRET, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"Authorization": "", "X_Timestamp": timestamp, "X_Signature": signature}


@pytest.mark.live
def test_a_replayed_signature_is_a_duplicate_and_a_stale_or_borrowed_one_nothing(server: Server) -> None:
    body, now = encoded("signed"), time.time()
    fresh = signed(body, now)
    assert [server.ask(INBOUND, body, **fresh)[0] for _ in range(3)] == [202, 200, 200]
    assert server.ask(INBOUND, body, **signed(body, now - 400))[0] == 401
    assert server.ask(INBOUND, body, **signed(body, now + 400))[0] == 401
    assert server.ask(INBOUND, encoded("other"), **fresh)[0] == 401
    assert server.ask(INBOUND, body + b" ", **fresh)[0] == 401
    assert server.stored().count("signed") == 1
    assert "other" not in server.stored()


def head(length: object, content_type: str = JSON) -> bytes:
    return (
        f"POST {INBOUND} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: {content_type}\r\n{length}\r\n\r\n"
    ).encode()


BROKEN_OFF: dict[str, Callable[[bytes], bytes]] = {
    "half of it": lambda body: head(f"Content-Length: {len(body)}") + body[: len(body) // 2],
    "all but the last byte": lambda body: head(f"Content-Length: {len(body)}") + body[:-1],
    "none of it": lambda body: head(f"Content-Length: {len(body)}"),
    "half a chunk": lambda body: head("Transfer-Encoding: chunked") + b"%x\r\n" % len(body) + body[:20],
    "no last chunk": lambda body: head("Transfer-Encoding: chunked") + b"%x\r\n" % len(body[:-9]) + body[:-9] + b"\r\n",
    "half a form": lambda body: head("Content-Length: 90", FORM) + b"message_id=broken&sender=0905123456&short_code=8",
}


@pytest.mark.live
@pytest.mark.parametrize("name", BROKEN_OFF)
@pytest.mark.parametrize("rudely", [False, True])
def test_a_body_that_breaks_off_is_not_stored(server: Server, name: str, rudely: bool) -> None:
    before = server.stored()
    with server.connect() as connection:
        connection.sendall(BROKEN_OFF[name](encoded("broken", text="x" * 200)))
        if rudely:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        else:
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(4096)
            assert not answer or answer.startswith(b"HTTP/1.1 4"), answer
    time.sleep(0.1)
    assert server.stored() == before


@pytest.mark.live
def test_slow_clients_do_not_keep_others_from_being_served(server: Server) -> None:
    """Any number that dawdles with the head. Each that dawdles with its body holds a thread until it hangs up, which is
    why a proxy that reads whole requests stands before the web server (docs/operating.md)."""
    body = encoded("slow")
    with contextlib.ExitStack() as stack:
        for number in range(40):
            connection = stack.enter_context(server.connect())
            start = head(f"Content-Length: {len(body)}")
            connection.sendall(start + body[:10] if number < THREADS - 1 else start[: 30 + number])
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda n: server.ask(INBOUND, encoded(f"meanwhile {n}"))[0], range(20)))
        assert answers == [202] * 20
    assert "slow" not in server.stored()


@pytest.mark.live
def test_a_slow_but_whole_request_is_stored(server: Server) -> None:
    body = encoded("in pieces")
    with server.connect() as connection:
        request = head(f"Content-Length: {len(body)}") + body
        for at in range(0, len(request), 40):
            connection.sendall(request[at : at + 40])
            time.sleep(0.05)
        assert connection.recv(4096).startswith(b"HTTP/1.1 202")
    assert "in pieces" in server.stored()
