"""A carrier's HTTP server for tests: it answers as told, or fails as told, and remembers what it was asked."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: tuple[str, int]


@dataclass
class Carrier:
    url: str
    asked: list[Asked] = field(default_factory=list)
    # What to do with the next requests: write the answer oneself, or one of the functions below.
    behave: Callable[[BaseHTTPRequestHandler], None] = lambda handler: answer(202)(handler)


def answer(status: int, body: bytes | str = b"", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    content = body.encode() if isinstance(body, str) else body

    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return behave


def hang(seconds: float) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda handler: time.sleep(seconds)


def reset(handler: BaseHTTPRequestHandler) -> None:
    """Take the request and break the connection instead of answering."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.connection.close()
    handler.close_connection = True


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def babble(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"this is no HTTP\r\n\r\n")
    handler.close_connection = True


@contextmanager
def carrier() -> Iterator[Carrier]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            standin.asked.append(Asked(self.command, self.path, dict(self.headers), body, self.client_address))
            standin.behave(self)

        do_GET = do_POST  # noqa: N815  (http.server's name)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None:
            pass  # a broken connection is what several tests are about

    with Server(("127.0.0.1", 0), Handler) as server:
        standin = Carrier(f"http://127.0.0.1:{server.server_port}/send")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield standin
        finally:
            server.shutdown()
            thread.join()
