"""The stand-in carrier of the chaos run: it counts what it gets by reference, and misbehaves as the seed says.

A process of its own: ``python -m tests.chaos.carrier SEED REPORTS_URL TOKEN SEND_TOKEN``. It prints its port, takes
replies at POST /send, and shows at GET /ledger all that it saw and at GET /progress how far it is.
"""

import heapq
import http.client
import json
import random
import socket
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_OF_SENDERS = 3.0  # what SMS_CARRIERS has as the time-out for this carrier
REPORTERS = 4
REPORT_ATTEMPTS = 240


@dataclass(frozen=True)
class Plan:
    """What the carrier does with one message's reply: how often it refuses for now, how it answers, what it reports."""

    refusals: tuple[str, ...]
    answer: str
    reports: tuple[tuple[float, str], ...]  # each so many seconds after what came before it, and the status
    by_our_reference: bool

    @classmethod
    def of(cls, seed: str, message_id: str) -> "Plan":
        dice = random.Random(f"{seed} {message_id}")
        refusals = tuple(dice.choices(("500", "503", "429"), k=dice.choice((1, 1, 2)))) if dice.random() < 0.06 else ()
        answer = dice.choices(("prompt", "slow", "reset", "silence"), (910, 60, 25, 1))[0]
        at = dice.uniform(0, 0.4)
        reports = {
            "prompt": ((at, "delivered"),),
            "late": ((at + dice.uniform(2, 5), "delivered"),),
            "doubled": ((at, "delivered"), (0, "delivered"), (1, "delivered")),
            "contradicting": ((at, "delivered"), (0, "failed"), (0.5, "expired")),
            "at once": ((0, "delivered"),),
            "lost": (),
        }[dice.choices(("prompt", "late", "doubled", "contradicting", "at once", "lost"), (70, 8, 8, 5, 5, 4))[0]]
        # Who gets no answer doesn't know the carrier's id.
        return cls(refusals, answer, reports, answer in ("reset", "silence") or dice.random() < 0.9)


@dataclass
class Entry:
    """All that the carrier saw of one reference, with times."""

    message: str
    to: str
    events: list[tuple[float, str]] = field(default_factory=list)
    reports: list[tuple[str, int, bool]] = field(default_factory=list)  # status, HTTP answer, known


class Carrier(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, seed: str, reports_url: str, token: str, send_token: str) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.seed, self.token, self.send_token = seed, token, send_token
        self.reports_url = urlsplit(reports_url)
        self.ledger: dict[str, Entry] = {}
        self.lock = threading.Condition()
        self.due: list[tuple[float, int, str, Plan, int]] = []
        self.reporting = self.number = 0
        for _ in range(REPORTERS):
            threading.Thread(target=self.report_for_ever, daemon=True).start()

    def take(self, reply: dict[str, Any]) -> str:
        """Note one request and return what to do: a status to refuse with, or how to answer after taking it."""
        reference, now = reply["reference"], time.time()
        plan = Plan.of(self.seed, reply["in_reply_to"])
        with self.lock:
            entry = self.ledger.setdefault(reference, Entry(reply["in_reply_to"], reply["to"]))
            tried = len(entry.events)
            if tried < len(plan.refusals):
                entry.events.append((now, plan.refusals[tried]))
                return plan.refusals[tried]
            entry.events.append((now, f"taken, {plan.answer}"))
            if tried == len(plan.refusals):
                self.schedule(reference, plan, 0)
        return plan.answer

    def schedule(self, reference: str, plan: Plan, place: int) -> None:
        """Have one of the plan's reports posted in time; the one after it follows once it was taken."""
        if place < len(plan.reports):
            self.number += 1
            heapq.heappush(self.due, (time.time() + plan.reports[place][0], self.number, reference, plan, place))
            self.reporting += 1
            self.lock.notify()

    def report_for_ever(self) -> None:
        connection = http.client.HTTPConnection(self.reports_url.hostname, self.reports_url.port, timeout=10)
        while True:
            with self.lock:
                while not self.due or self.due[0][0] > time.time():
                    self.lock.wait(0.05 if self.due else None)
                _, _, reference, plan, place = heapq.heappop(self.due)
            status = plan.reports[place][1]
            name = {"reference": reference} if plan.by_our_reference else {"message_id": f"C{reference}"}
            http_status, known = self.report(connection, name | {"status": status})
            with self.lock:
                self.ledger[reference].reports.append((status, http_status, known))
                self.schedule(reference, plan, place + 1)
                self.reporting -= 1

    def report(self, connection: http.client.HTTPConnection, body: dict[str, str]) -> tuple[int, bool]:
        """Post a report until it is taken."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        status = 0
        for _ in range(REPORT_ATTEMPTS):
            try:
                connection.request("POST", self.reports_url.path, json.dumps(body), headers)
                response = connection.getresponse()
                answer, status = response.read(), response.status
                if status == 200:
                    return status, bool(json.loads(answer)["known"])
            except (OSError, http.client.HTTPException):
                connection.close()
            time.sleep(0.5)
        return status, False

    def handle_error(self, *args: object) -> None:
        """Say nothing: that who sends to us is killed, is what this is about."""


class Request(BaseHTTPRequestHandler):
    server: Carrier
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        carrier = self.server
        with carrier.lock:
            if self.path == "/ledger":
                shown: Any = {reference: vars(entry) for reference, entry in carrier.ledger.items()}
            else:
                shown = {"references": len(carrier.ledger), "reporting": carrier.reporting}
            body = json.dumps(shown)
        self.answer(200, body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {self.server.send_token}":
            self.answer(401, "{}")
            return
        reply = json.loads(body)
        what = self.server.take(reply)
        if what == "429":
            self.answer(429, "{}", Retry_After=str(RETRY_AFTER))
        elif what in ("500", "503"):
            self.answer(int(what), "{}")
        elif what == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.connection.close()
            self.close_connection = True
        else:
            time.sleep({"prompt": 0, "slow": random.uniform(0.1, 0.8), "silence": TIMEOUT_OF_SENDERS + 1}[what])
            self.answer(200, json.dumps({"id": f"C{reply['reference']}"}))

    def answer(self, status: int, body: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: object) -> None:
        pass


RETRY_AFTER = 7


def fetch(port: int, path: str) -> Any:
    """What the carrier at this port shows."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())


if __name__ == "__main__":
    with Carrier(*sys.argv[1:]) as carrier:
        print(carrier.server_port, flush=True)
        carrier.serve_forever()
