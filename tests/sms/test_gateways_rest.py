"""The `rest` gateway towards a real HTTP server; what it takes in is tested at the address, in test_inbound_view."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from django.test import RequestFactory

from sms.gateways.base import Fate, Malformed, Refused, Reply, Report, TryLater, Unknown
from sms.gateways.memory import MemoryGateway
from sms.gateways.outgoing import retry_after
from sms.gateways.rest import RestGateway
from tests.sms.carrier_standin import Carrier, answer, babble, carrier, hang, hang_up, reset

REPLY = Reply("5f0c", "A1", "84905123456", "8088", "Ky 1\nLGD_MaKH €", "GSM-7", 1, True)


@pytest.fixture
def standin() -> Iterator[Carrier]:
    with carrier() as standin:
        yield standin


@pytest.fixture
def gateway(standin: Carrier) -> Iterator[RestGateway]:
    gateway = RestGateway("viettel", url=standin.url, send_token="theirs", timeout=2)
    yield gateway
    gateway.close()


def test_a_reply_is_posted_as_the_contract_says(standin: Carrier, gateway: RestGateway) -> None:
    standin.behave = answer(202, '{"message_id": "B17"}')
    assert gateway.send(REPLY) == "B17"
    (asked,) = standin.asked
    assert (asked.method, asked.path) == ("POST", "/send")
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.headers["Authorization"] == "Bearer theirs"
    assert json.loads(asked.body) == {
        "reference": "5f0c",
        "in_reply_to": "A1",
        "to": "84905123456",
        "short_code": "8088",
        "text": "Ky 1\nLGD_MaKH €",
        "encoding": "GSM-7",
        "segments": 1,
        "charge": True,
    }
    assert list(json.loads(asked.body)) == list(asdict(REPLY))


@pytest.mark.parametrize(
    ("body", "carrier_id"),
    [
        ('{"message_id": "B17", "id": "x"}', "B17"),
        ('{"id": "B17"}', "B17"),
        ('{"id": 17}', "17"),
        ('{"id": null}', ""),
        ('{"id": true}', ""),
        ('{"id": ["B17"]}', ""),
        ('{"id": "B\\u000017"}', ""),
        ('{"id": "%s"}' % ("x" * 129), ""),
        ('["B17"]', ""),
        ("B17", ""),
        ("", ""),
        ("[" * 50_000, ""),
    ],
)
def test_the_carriers_own_id_is_kept_if_it_gives_one(standin: Carrier, gateway, body: str, carrier_id: str) -> None:
    standin.behave = answer(200, body)
    assert gateway.send(REPLY) == carrier_id


@pytest.mark.parametrize(
    ("behave", "error", "text", "wait"),
    [
        (answer(400, "bad\0 number"), Refused, "400 Bad Request: bad number", None),
        (answer(401), Refused, "401 Unauthorized", None),
        (answer(404, "x" * 900), Refused, "404 Not Found: " + "x" * 200, None),
        (
            answer(302, Location="http://localhost/elsewhere"),
            Refused,
            "Redirected, which is not followed; set the final url. 302 Found",
            None,
        ),
        (answer(429, Retry_After="7"), TryLater, "429 Too Many Requests", 7),
        (answer(500), TryLater, "500 Internal Server Error", None),
        (answer(503, Retry_After="soon"), TryLater, "503 Service Unavailable", None),
        (hang(30), Unknown, "Sent, but no answer: ReadTimeout.", None),
        (reset, Unknown, "Sent, but no answer: ReadError.", None),
        (hang_up, Unknown, "Sent, but no answer: RemoteProtocolError.", None),
        (babble, Unknown, "Sent, but no answer: RemoteProtocolError.", None),
    ],
)
def test_each_way_to_fail_says_whether_to_send_again(standin: Carrier, gateway, behave, error, text, wait) -> None:
    standin.behave = behave
    with pytest.raises(error) as raised:
        gateway.send(REPLY)
    assert type(raised.value) is error
    assert str(raised.value) == text
    assert getattr(raised.value, "retry_after", None) == wait
    assert len(standin.asked) == 1


@pytest.mark.parametrize(
    ("url", "text"),
    [("http://127.0.0.1:1/", "Not connected: ConnectError."), ("", "This carrier has no url to send to.")],
)
def test_a_request_that_never_left_may_be_sent_again(url: str, text: str) -> None:
    gateway = RestGateway("viettel", url=url)
    with pytest.raises(TryLater, match=text):
        gateway.send(REPLY)
    gateway.close()


def test_threads_share_kept_connections(standin: Carrier, gateway: RestGateway) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(gateway.send, [REPLY] * 40)) == [""] * 40
    assert len(standin.asked) == 40
    assert len({asked.connection for asked in standin.asked}) <= 4


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", None),
        ("120", 120),
        (" 0 ", 0),
        ("-5", None),
        ("1e9", None),
        ("9" * 50, 86400),
        ("٣", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds(value: str, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_retry_after_may_be_a_date() -> None:
    date = format_datetime(datetime.fromtimestamp(time.time() + 60, UTC), usegmt=True)
    assert retry_after(date) == pytest.approx(60, abs=50)


@pytest.mark.parametrize(
    ("given", "report"),
    [
        ({"reference": "5f", "status": "delivered"}, Report("5f", "", Fate.DELIVERED)),
        ({"message_id": "B1", "status": "failed"}, Report("", "B1", Fate.FAILED)),
        ({"reference": "", "message_id": "B1", "status": "expired"}, Report("", "B1", Fate.EXPIRED)),
        ({"reference": "5f", "message_id": "B1", "status": "expired"}, Report("5f", "", Fate.EXPIRED)),
        (
            {"reference": "5f", "status": "delivered", "at": "2016-10-01T08:00:00+07:00"},
            Report("5f", "", Fate.DELIVERED, at=datetime(2016, 10, 1, 1, tzinfo=UTC)),
        ),
    ],
)
def test_a_report_is_read(given: dict, report: Report) -> None:
    request = RequestFactory().post("/", json.dumps(given), content_type="application/json")
    assert RestGateway("viettel").read_report(request) == report


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({}, ["status"]),
        ({"status": "delivered"}, ["reference"]),
        ({"reference": "5f", "status": "DELIVERED"}, ["status"]),
        ({"reference": "5f", "status": ["delivered"]}, ["status"]),
        ({"reference": "x" * 129, "status": "failed"}, ["reference"]),
        ({"reference": "a\0", "status": "failed"}, ["reference"]),
        ({"reference": "5f", "status": "failed", "at": "now"}, ["at"]),
    ],
)
def test_a_report_that_makes_no_sense_is_refused_by_field(given: dict, fields: list[str]) -> None:
    request = RequestFactory().post("/", json.dumps(given), content_type="application/json")
    with pytest.raises(Malformed) as raised:
        RestGateway("viettel").read_report(request)
    assert list(raised.value.errors) == fields


@pytest.mark.parametrize(("fail", "error"), [("refused", Refused), ("try_later", TryLater), ("unknown", Unknown)])
def test_the_memory_carrier_fails_when_told(fail: str, error: type[Exception]) -> None:
    MemoryGateway.clear()
    with pytest.raises(error):
        MemoryGateway("memory", fail=fail).send(REPLY)
    MemoryGateway.failures["84905123456"] = Unknown("no answer")
    with pytest.raises(Unknown):
        MemoryGateway("memory").send(REPLY)
    MemoryGateway.clear()
    assert MemoryGateway("memory").send(REPLY) == "memory-1"
    assert MemoryGateway.sent == [REPLY]
    MemoryGateway.clear()
