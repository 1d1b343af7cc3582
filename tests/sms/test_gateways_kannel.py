"""The `kannel` gateway by the forms that Kannel 1.4.5 was seen to use; test_kannel_live has the real one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import RequestFactory

from sms.gateways.base import Fate, Malformed, Refused, Reply, Report, TryLater, Unknown
from sms.gateways.kannel import KannelGateway
from tests.sms.carrier_standin import Carrier, answer, carrier, hang

GET = "id=86c724a2&from=%2B84905123456&to=8088"
SENT = datetime(2026, 11, 22, 17, 34, 19, tzinfo=UTC)


def message_of(query: str):
    return KannelGateway("vina").read_message(RequestFactory().get(f"/?{query}"))


@pytest.mark.parametrize(
    ("query", "text", "is_binary"),
    [
        ("text=LGD+PP05000974006++1%0A&coding=0&charset=UTF-8", "LGD PP05000974006  1\n", False),
        ("text=&coding=0&charset=UTF-8", "", False),
        ("text=TC", "TC", False),
        ("text=N%E1%BB%A3%2B&coding=0&charset=UTF-8", "Nợ+", False),
        ("text=%1E%A5%00T&coding=2&charset=UTF-16BE", "ấT", False),
        ("text=%D8%3D%DE%00&coding=2&charset=UTF-16BE", "😀", False),
        ("text=%1E%A5%00T&coding=2", "ấT", False),
        ("text=%E1%BA%A5T&coding=2&charset=UTF-8", "ấT", False),  # mo-recode = true
        ("text=%00T%00&coding=2&charset=UTF-16BE", "T�", False),
        ("text=%D8%00%00T&coding=2&charset=UTF-16BE", "�T", False),
        ("text=A%00B&coding=0&charset=UTF-8", "A␀B", False),
        ("text=%FF%FE&coding=0&charset=UTF-8", "��", False),
        ("text=%E9&coding=0&charset=ISO-8859-1", "é", False),
        ("text=abc&coding=0&charset=zlib", "abc", False),
        ("text=%00%FFA&coding=1&charset=8-BIT", "00ff41", True),
    ],
)
def test_the_text_is_decoded_as_kannel_coded_it(query: str, text: str, is_binary: bool) -> None:
    message = message_of(f"{GET}&{query}")
    assert (message.text, message.is_binary) == (text, is_binary)
    assert message.payload == f"{GET}&{query}".encode()
    assert (message.message_id, message.sender, message.short_code) == ("86c724a2", "84905123456", "8088")


def test_the_rest_of_a_message_is_read() -> None:
    message = message_of(f"token=t0ken&{GET}&text=TC&t%6Fken2=x&time=2026-11-22+17:34:19&smsc=VIETTEL")
    assert (message.operator, message.sent_at) == ("VIETTEL", SENT)
    assert message.payload == f"{GET}&text=TC&t%6Fken2=x&time=2026-11-22+17:34:19&smsc=VIETTEL".encode()
    assert message_of(f"{GET}&text=TC&t%6Fken=x").payload == f"{GET}&text=TC".encode()
    assert message_of(f"{GET}&text=TC&time=1795368859").sent_at == SENT
    assert message_of(f"{GET}&text=TC&time=soon").sent_at is None
    assert message_of(f"{GET}&text=TC&time={'9' * 40}").sent_at is None


def test_post_url_gives_the_text_as_body_and_the_rest_as_headers() -> None:
    request = RequestFactory().post(
        "/?token=t0ken&id=86c724a2",
        b"\x1e\xa5\x00T",
        content_type='text/plain; charset="UTF-16BE"',
        headers={
            "X-Kannel-From": "+84905123456",
            "X-Kannel-To": "8088",
            "X-Kannel-Time": "2026-11-22 17:34:19",
            "X-Kannel-SMSC": "FAKE1",
            "X-Kannel-Coding": "2",
        },
    )
    message = KannelGateway("vina").read_message(request)
    assert (message.message_id, message.sender, message.short_code) == ("86c724a2", "84905123456", "8088")
    assert (message.text, message.payload) == ("ấT", b"\x1e\xa5\x00T")
    assert (message.operator, message.sent_at) == ("FAKE1", SENT)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", ["id", "from", "to", "text"]),
        ("id=1&from=0905123456&to=8088", ["text"]),
        ("id=&from=0905123456&to=8088&text=TC", ["id"]),
        ("id=a%00b&from=0905123456&to=8088&text=TC", ["id"]),
        (f"id={'x' * 129}&from=0905123456&to=8088&text=TC", ["id"]),
        (f"id=1&from={'9' * 33}&to=8088&text=TC", ["from"]),
        ("id=1&id=2&from=0905123456&to=8088&text=TC", ["parameters"]),
        ("a=1&" * 100, ["parameters"]),
    ],
)
def test_what_is_missing_or_doubled_is_named(query: str, fields: list[str]) -> None:
    with pytest.raises(Malformed) as raised:
        message_of(query)
    assert list(raised.value.errors) == fields


@pytest.mark.parametrize(
    ("status", "fate"),
    [("1", Fate.DELIVERED), ("2", Fate.FAILED), ("4", None), ("8", Fate.ACCEPTED), ("16", Fate.FAILED)],
)
def test_a_report_says_what_became_of_our_reference(status: str, fate: Fate | None) -> None:
    request = RequestFactory().get(f"/?token=t&reference=5f0c&status={status}&time=1795368859")
    assert KannelGateway("vina").read_report(request) == Report("5f0c", "", fate, SENT, f"Kannel status {status}")


@pytest.mark.parametrize("query", ["status=1", "reference=5f0c", "reference=5f0c&status=3", "reference=5f0c&status=%d"])
def test_a_report_that_makes_no_sense_is_refused(query: str) -> None:
    with pytest.raises(Malformed):
        KannelGateway("vina").read_report(RequestFactory().get(f"/?{query}"))


@pytest.fixture
def standin() -> Iterator[Carrier]:
    with carrier() as standin:
        yield standin


@pytest.fixture
def gateway(standin: Carrier) -> Iterator[KannelGateway]:
    gateway = KannelGateway(
        "vina",
        url=standin.url,
        username="evncare",
        password="p&ss",
        smsc="VINA",
        dlr_url="http://us/api/sms/vina/reports/?token=a%2Bb",
        timeout=2,
    )
    yield gateway
    gateway.close()


@pytest.mark.parametrize(
    ("text", "encoding", "coding"), [("Ky 1\nLGD_MaKH €{}+&%", "GSM-7", "0"), ("Nợ 😀", "UCS-2", "2")]
)
def test_a_reply_goes_to_sendsms(
    standin: Carrier, gateway: KannelGateway, text: str, encoding: str, coding: str
) -> None:
    standin.behave = answer(202, "0: Accepted for delivery")
    assert gateway.send(Reply("5f0c", "A1", "84905123456", "8088", text, encoding, 1, True)) == ""
    (asked,) = standin.asked
    assert asked.method == "GET"
    assert parse_qs(urlsplit(asked.path).query, strict_parsing=True) == {
        "username": ["evncare"],
        "password": ["p&ss"],
        "smsc": ["VINA"],
        "from": ["8088"],
        "to": ["84905123456"],
        "text": [text],
        "charset": ["UTF-8"],
        "coding": [coding],
        "dlr-mask": ["27"],
        "dlr-url": ["http://us/api/sms/vina/reports/?token=a%2Bb&reference=5f0c&status=%d&time=%T"],
    }


@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (answer(202, "0: Accepted for delivery"), None),
        (answer(202, "3: Queued for later delivery"), None),
        (answer(503, "Temporal failure, try again later."), TryLater),
        (answer(403, "Authorization failed for sendsms"), Refused),
        (answer(403, "Not routable. Do not try again."), Refused),
        (answer(400, "Missing receiver number, rejected"), Refused),
        (hang(30), Unknown),
    ],
)
def test_sendsms_answers_say_whether_to_send_again(standin: Carrier, gateway, behave, error) -> None:
    standin.behave = behave
    reply = Reply("5f0c", "A1", "84905123456", "8088", "TC", "GSM-7", 1, True)
    if error is None:
        assert gateway.send(reply) == ""
    else:
        with pytest.raises(error) as raised:
            gateway.send(reply)
        assert "p&ss" not in str(raised.value)
        assert "84905123456" not in str(raised.value)
