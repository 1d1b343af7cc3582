"""A stand-in for a carrier: a small real HTTP server that takes our replies and reports each one delivered.

It speaks the other side of the ``rest`` gateway's contract and shares no code with it.
"""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

REPORT_ATTEMPTS = 5


class Carrier(ThreadingHTTPServer):
    """Listens on loopback at ``url``. ``replies`` has the texts that came, by the id of the message they answer."""

    daemon_threads = True

    def __init__(self, reports_url: str, token: str, send_token: str) -> None:
        """It reports with ``token``; whoever sends to it must show ``send_token``."""
        super().__init__(("127.0.0.1", 0), Request)
        self.url = f"http://127.0.0.1:{self.server_port}/send"
        self.send_token = send_token
        self.replies: dict[str, list[str]] = defaultdict(list)
        self._client = httpx.Client(base_url=reports_url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)

    def report_delivered(self, reference: str) -> None:
        """Post the delivery report, as patiently as carriers do."""
        for _ in range(REPORT_ATTEMPTS):
            try:
                if self._client.post("", json={"reference": reference, "status": "delivered"}).is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(1)

    def server_close(self) -> None:
        super().server_close()
        self._client.close()


class Request(BaseHTTPRequestHandler):
    server: Carrier

    def do_POST(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {self.server.send_token}":
            self._answer(401, {"detail": "wrong token"})
            return
        reply = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.replies[reply["in_reply_to"]].append(reply["text"])
        self._answer(200, {"id": f"standin-{reply['reference'][:12]}"})
        self.server.report_delivered(reply["reference"])

    def _answer(self, status: int, answer: dict[str, str]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: the demo prints the conversation itself."""


@contextmanager
def running_carrier(reports_url: str, token: str, send_token: str) -> Iterator[Carrier]:
    with Carrier(reports_url, token, send_token) as carrier:
        threading.Thread(target=carrier.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield carrier
        finally:
            carrier.shutdown()
