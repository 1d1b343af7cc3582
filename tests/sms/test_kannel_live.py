"""The whole way with a real Kannel: a phone texts it, Kannel asks our web server, a worker answers through Kannel.

Everything is real but the phones: granian, a Celery worker, Redis, Kannel and its fakesmsc. Between Kannel and the
web server stands a relay, which can fail as networks do.
"""

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import quote

import pytest

from evncare.embedded import free_port, redis_server
from tests.kannel import Kannel, kannel, missing, received, wait_for
from tests.sms.carrier_standin import answer, carrier, hang_up

pytestmark = [
    pytest.mark.kannel,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]

ROOT = Path(__file__).resolve().parents[2]
PHONE = "84905123456"
CATALOGUE = """1.LichGhiDien
LGD_MaKH_ky_thang_nam
2.ChiSoTieuThu
CS_MaKH_ky_thang_nam
3.TienDien
TD_MaKH_ky_thang_nam
4.NoTienDien
NTD_MaKH
5.LichCatDien
LCD_MaKH"""
CONVERSATION = {
    "LGD PP05000974006 1 10 2016": "EVNCPC thong bao lich ghi dien Ky: 1, Thang: 10, Nam: 2016 cua khach hang la ngay: "
    "10/6/2016. Cam on quy khach da su dung dich vu cua chung toi.",
    "CS PP05000974006 1 10 2016": "EVNCPC thong bao chi so cua khach hang PP05000974006, BCS: KT, HSN: 1, "
    "chi so cu: 9618, chi so moi: 10004, dien nang tieu thu: 386. Xin cam on quy khach.",
    "TD PP05000974006 1 10 2016": "EVNCPC thong bao tien dien Ky 1 Thang 10 Nam 2016 cua khach hang la 500550 dong. "
    "Cam on quy khach da su dung dich vu cua chung toi.",
    "NTD_PP05000974006": "EVNCPC thong bao no tien dien cua khach hang Ky 1 Thang 10 Nam 2016: Tien no: 650000, "
    "thue no: 65000, tong cong: 715000. Xin cam on quy khach.",
    "LCD PP05000974006": "EVNCPC thong bao lich tam ngung cung cap dien cua quy khach la tu: 01/10/2016 9:30 "
    "den: 20/10/2096 15:00. Cam on quy khach da su dung dich vu cua chung toi.",
    "TC": CATALOGUE,
}
EXAMPLE = """
from datetime import datetime
from tests import factories
factories.customer()
factories.schedule()
factories.reading()
factories.invoice()
factories.debt()
factories.outage(end_at=datetime(2096, 10, 20, 15, 0, tzinfo=factories.VIETNAM))
"""
Behaviour = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Service:
    """Our processes, the Kannel before them, and the relay between."""

    environment: dict[str, str]
    database: Path
    port: int
    directory: Path
    kannel: Kannel = field(init=False)
    requests: list[str] = field(default_factory=list)
    mishaps: list[Behaviour] = field(default_factory=list)  # what the relay does with the next requests
    web: subprocess.Popen[bytes] | None = None

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *command], cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )

    def start_web(self) -> None:
        command = ["granian", "--interface", "wsgi", "--port", str(self.port), "evncare.wsgi:application"]
        self.web = self.start("web", *command, "--blocking-threads", "4")
        wait_for(lambda: self.get("/api/sms/vina/inbound/")[0] == 401, "the web server")

    def stop_web(self) -> None:
        if self.web:
            stop(self.web)
            self.web = None

    def manage(self, *arguments: str) -> None:
        command = [sys.executable, "manage.py", *arguments]
        subprocess.run(command, cwd=ROOT, env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with closing(connection):
            try:
                connection.request("GET", path)
                response = connection.getresponse()
            except OSError:
                return 0, b""
            return response.status, response.read()

    def relay(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(handler.path)
        if self.mishaps:
            self.mishaps.pop(0)(handler)
        else:
            self.pass_on(handler)

    def pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        status, body = self.get(handler.path)
        (answer(status, body, Content_Type="text/plain; charset=utf-8") if status else hang_up)(handler)

    def take_and_hang_up(self, handler: BaseHTTPRequestHandler) -> None:
        """Our server takes the message, but its answer is lost."""
        assert self.get(handler.path)[0] == 200
        hang_up(handler)

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(statement).fetchall()


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def running_service(directory: Path) -> Iterator[Service]:
    with ExitStack() as stack:
        redis_url = stack.enter_context(redis_server(directory / "redis"))
        relay = stack.enter_context(carrier())
        port = free_port()
        base = relay.url.removesuffix("/send")
        # %b is the text as it came; the quotes around the address keep its & and % as they are.
        parameters = "id=%I&from=%p&to=%P&text=%b&time=%t&charset=%C&coding=%c&smsc=%i"
        get_url = f'get-url = "{base}/api/sms/vina/inbound/?token=our-token&{parameters}"'
        gateway = stack.enter_context(kannel(directory, get_url))
        options = {
            "token": "our-token",
            "url": gateway.sendsms_url,
            "username": "evncare",
            "password": "kannel-password",
            "dlr_url": f"http://127.0.0.1:{port}/api/sms/vina/reports/?token=our-token",
        }
        database = directory / "evncare.sqlite3"
        environment = os.environ | {
            "DATABASE_URL": f"sqlite:///{database}",
            "REDIS_URL": redis_url,
            "SECRET_KEY": "a key for this test and for nothing else",
            "SMS_CARRIERS": json.dumps({"vina": {"BACKEND": "kannel", "OPTIONS": options}}),
        }
        service = Service(environment, database, port, directory)
        service.kannel = gateway
        relay.behave = service.relay
        service.manage("migrate", "--verbosity", "0")
        service.manage("shell", "-c", EXAMPLE)
        service.start_web()
        stack.callback(service.stop_web)
        worker = ("worker", "--concurrency", "1", "--beat", "--schedule", str(directory / "schedule"))
        stack.callback(stop, service.start("worker", "celery", "-A", "evncare", *worker))
        yield service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("kannel")) as service:
        yield service


def test_the_six_messages_get_their_six_replies_one_each(service: Service) -> None:
    for text, reply in CONVERSATION.items():
        assert service.kannel.ask(f"{PHONE} 8088 text {text}") == [reply]
    wait_for(
        lambda: service.rows("SELECT count(*) FROM sms_outboundmessage WHERE state = 'DELIVERED'") == [(6,)], "reports"
    )
    assert service.rows("SELECT count(*), count(DISTINCT message_id) FROM sms_inboundmessage") == [(6, 6)]


def test_a_message_in_unicode_is_understood_and_a_binary_one_gets_no_reply(service: Service) -> None:
    in_utf_16 = quote("ＴＣ\u200b".encode("utf-16-be"))
    assert service.kannel.ask(f"{PHONE} 8088 ucs2 {in_utf_16}") == [CATALOGUE]
    with service.kannel.phone(f"{PHONE} 8088 data %00%FFA") as replies:
        binary = "SELECT text, state FROM sms_inboundmessage WHERE is_binary"
        wait_for(lambda: service.rows(binary) == [("00ff41", "REFUSED")], "the refusal")
        assert replies() == []


def test_a_request_repeated_byte_for_byte_is_answered_once(service: Service) -> None:
    path = f"/api/sms/vina/inbound/?token=our-token&id=86c7&from={PHONE}&to=8088&text=TC&charset=UTF-8&coding=0"
    with service.kannel.phone(f"{PHONE} 8088 text NTD PP05000974006") as replies:
        wait_for(lambda: len(replies()) == 1, "the first reply")
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(service.get, [path] * 24))
        assert answers == [(200, b"")] * 24
        wait_for(lambda: len(replies()) > 1, "the second reply")
        assert service.get(path) == (200, b"")
        wait_for(
            lambda: service.rows("SELECT count(*) FROM sms_outboundmessage WHERE state = 'WAITING'") == [(0,)], "all"
        )
    assert [text.splitlines()[0][:6] for text in replies()] == ["EVNCPC", "1.Lich"]


@pytest.mark.parametrize("mishap", ["our 503", "no answer", "an answer that got lost"])
def test_kannel_repeats_after_a_mishap_and_the_customer_gets_one_reply(service: Service, mishap: str) -> None:
    service.requests.clear()
    service.mishaps[:] = {
        "our 503": [answer(503, Retry_After="10"), answer(503, Retry_After="10")],
        "no answer": [hang_up],
        "an answer that got lost": [service.take_and_hang_up, service.take_and_hang_up],
    }[mishap]
    attempts = len(service.mishaps) + 1
    with service.kannel.phone(f"{PHONE} 8088 text NTD PP05000974006") as replies:
        wait_for(lambda: len(service.requests) == attempts, "Kannel's repeats")
        wait_for(lambda: bool(replies()), "the reply")
        wait_for(lambda: service.rows("SELECT 1 FROM sms_outboundmessage WHERE state <> 'DELIVERED'") == [], "reports")
    assert replies() == [CONVERSATION["NTD_PP05000974006"]]
    assert len(set(service.requests)) == 1
    assert len(service.requests) == attempts


def test_a_message_outlives_our_web_server(service: Service) -> None:
    service.stop_web()
    with service.kannel.phone(f"{PHONE} 8088 text TC") as replies:
        repeats = len(service.requests)
        wait_for(lambda: len(service.requests) > repeats + 1, "Kannel's repeats")
        service.start_web()
        wait_for(lambda: bool(replies()), "the reply")
        wait_for(lambda: service.rows("SELECT 1 FROM sms_outboundmessage WHERE state <> 'DELIVERED'") == [], "reports")
    assert replies() == [CATALOGUE]


def test_a_kannel_killed_in_a_burst_repeats_itself_and_each_phone_gets_one_reply(service: Service) -> None:
    """Of twenty messages nine are taken at once, nine are taken but not acknowledged, two are lost on the way.

    Kannel repeats the eleven. Then it is killed with all of them in flight, and only after that do the two lost ones
    reach us: their replies wait until there is a Kannel again.
    """
    phones = [f"8490500{number:04}" for number in range(20)]
    at_once, lost = phones[:9], phones[18:]
    came: dict[str, list[str]] = {phone: [] for phone in phones}
    killed = threading.Event()

    def by_phone(handler: BaseHTTPRequestHandler) -> None:
        phone = next(phone for phone in phones if f"from={phone}&" in handler.path)
        is_repeat = bool(came[phone])
        came[phone].append(handler.path)
        if phone in at_once:
            service.pass_on(handler)
        elif is_repeat:
            killed.wait(300)
            service.take_and_hang_up(handler)
        elif phone in lost:
            hang_up(handler)
        else:
            service.take_and_hang_up(handler)

    def replies_delivered() -> int:
        return len(
            service.rows("SELECT 1 FROM sms_outboundmessage WHERE recipient LIKE '8490500%' AND state = 'DELIVERED'")
        )

    service.mishaps[:] = [by_phone] * 31
    try:
        with service.kannel.burst([f"{phone} 8088 text TC" for phone in phones]) as replies:
            wait_for(lambda: sum(map(len, came.values())) == 31, "the burst and Kannel's repeats")
            wait_for(lambda: replies_delivered() == 18, "the replies to what was taken")
            seen = replies()
            service.kannel.kill("smsbox")
            service.kannel.kill("bearerbox")
    finally:
        killed.set()
    assert [len(paths) for paths in came.values()] == [1] * 9 + [2] * 11
    assert all(len({*paths}) == 1 for paths in came.values()), "byte for byte the same"
    service.kannel.start()
    with service.kannel.burst([]) as replies:
        wait_for(lambda: replies_delivered() == 20, "the other replies")
        seen += replies()
    greeted = sorted(line.split()[1] for line in seen if line.endswith("1.LichGhiDien"))
    assert greeted == phones, "one reply each"


def test_all_in_all_each_message_got_exactly_one_reply(service: Service) -> None:
    answered = service.rows(
        "SELECT count(*), count(DISTINCT message_id) FROM sms_inboundmessage "
        "WHERE state = 'ANSWERED' AND sender NOT LIKE '8490500%'"  # those of the burst have been counted there
    )
    replies = service.rows(
        "SELECT text FROM sms_outboundmessage WHERE state = 'DELIVERED' AND recipient NOT LIKE '8490500%'"
    )
    assert answered == [(len(replies), len(replies))]
    seen = [text for log in service.directory.glob("phone-*.log") for text in received(log.read_text())]
    assert sorted(seen) == sorted(text for (text,) in replies)


def test_no_log_of_ours_holds_a_number_a_text_or_a_secret(service: Service) -> None:
    for name in ("web", "worker"):
        log = (service.directory / f"{name}.log").read_text()
        for secret in (PHONE, "PP05000974006", "our-token", "kannel-password"):
            assert secret not in log
