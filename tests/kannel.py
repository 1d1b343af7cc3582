"""A real Kannel for tests: bearerbox, smsbox and, as the customers' phones, its fakesmsc."""

import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from evncare.embedded import free_port

SEARCHED = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/usr/lib/kannel/test"
CONFIGURATION = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = admin
smsbox-port = {smsbox}
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1

group = smsc
smsc = fake
smsc-id = FAKE
port = {smsc}
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1
http-request-retry = 120
http-queue-delay = 1

group = sendsms-user
username = evncare
password = kannel-password
concatenation = true
max-messages = 3

group = sms-service
keyword = default
catch-all = true
{service}
omit-empty = true
max-messages = 0
"""


def missing() -> str | None:
    """What is missing for a Kannel here, in one line; None if nothing is."""
    lacking = [name for name in ("bearerbox", "smsbox", "fakesmsc") if _program(name) is None]
    return f"no Kannel here: {', '.join(lacking)} not found (Debian: kannel, kannel-extras)" if lacking else None


@dataclass
class Kannel:
    directory: Path
    ports: dict[str, int]
    phones: int = 0
    boxes: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)

    @property
    def smsc_port(self) -> int:
        return self.ports["smsc"]

    @property
    def sendsms_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['sendsms']}/cgi-bin/sendsms"

    def start(self) -> None:
        """Start the bearerbox, then the smsbox, each until the bearerbox names it as running.

        An smsbox panics if it comes a moment before the bearerbox listens for boxes: so, as any supervisor would,
        start again what ended or did not come up.
        """
        for box, sign in (("bearerbox", "Status: running"), ("smsbox", "smsbox:")):
            for _ in range(6):
                self._run(box)
                with suppress(TimeoutError):
                    wait_for(lambda box=box, sign=sign: self._shows(sign) or not self.runs(box), box, 10)
                if self.runs(box) and self._shows(sign):
                    break
                self.kill(box)
            else:
                raise TimeoutError(f"{box} does not come up:\n{(self.directory / f'{box}.log').read_text()[-4000:]}")

    def _run(self, box: str) -> None:
        with (self.directory / f"{box}.log").open("ab") as output:
            self.boxes[box] = subprocess.Popen(
                [str(_program(box)), str(self.directory / "kannel.conf")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _shows(self, sign: str) -> bool:
        return sign in _page(f"http://127.0.0.1:{self.ports['admin']}/status.txt?password=admin")

    def kill(self, box: str) -> None:
        """End the bearerbox or the smsbox with -9. What the smsbox has not handed over yet, is lost with it."""
        _end(self.boxes[box], signal.SIGKILL)

    def runs(self, box: str) -> bool:
        return self.boxes[box].poll() is None

    def stop(self) -> None:
        for box in reversed(self.boxes.values()):
            _end(box, signal.SIGTERM)

    @contextmanager
    def burst(self, messages: list[str]) -> Iterator[Callable[[], list[str]]]:
        """Text all these messages at once, written as for a phone, and yield how to see the lines that came back."""
        with socket.create_connection(("127.0.0.1", self.smsc_port), timeout=5) as connection:
            connection.sendall("".join(f"{message}\n" for message in messages).encode())
            lines: list[str] = []

            def read() -> list[str]:
                connection.setblocking(False)
                with suppress(BlockingIOError, ConnectionError):
                    while got := connection.recv(65536):
                        lines.append(got.decode())
                return "".join(lines).splitlines()

            yield read

    @contextmanager
    def phone(self, message: str) -> Iterator[Callable[[], list[str]]]:
        """A phone that texts one message, written as fakesmsc wants it, and yields how to see what it has received.

        Only one can be switched on at a time.
        """
        self.phones += 1
        log = self.directory / f"phone-{self.phones}.log"
        with _running(log, _program("fakesmsc"), "-H", "127.0.0.1", "-r", self.smsc_port, "-m", 1, message):
            yield lambda: received(log.read_text())

    def ask(self, message: str, *, seconds: float = 120, silence: float = 0.6) -> list[str]:
        """Text one message and return what comes back until, after a first reply, nothing more came for ``silence``."""
        deadline = time.monotonic() + seconds
        with self.phone(message) as replies:
            before: list[str] = []
            while time.monotonic() < deadline:
                time.sleep(silence)
                now = replies()
                if now and now == before:
                    return now
                before = now
        return before


def received(log: str) -> list[str]:
    """The texts in fakesmsc's log. It takes what it gets by lines, so a text of several is as many entries."""
    texts: list[str] = []
    for line in re.findall(r"Got message \d+: <(.*)>", log):
        start = re.match(r"\S+ \d+ text ", line)
        if start:
            texts.append(line[start.end() :])
        elif texts:
            texts[-1] += f"\n{line}"
    return texts


@contextmanager
def kannel(directory: Path, service: str) -> Iterator[Kannel]:
    """Run Kannel with its files in ``directory``; ``service`` is the get-url or post-url line, quoted."""
    ports = {name: free_port() for name in ("admin", "smsbox", "smsc", "sendsms")}
    (directory / "kannel.conf").write_text(CONFIGURATION.format(service=service, **ports))
    gateway = Kannel(directory, ports)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.stop()


def wait_for(holds: Callable[[], bool], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} within {seconds} seconds")
        time.sleep(0.05)


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=SEARCHED)


def _page(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


@contextmanager
def _running(log: Path, *command: object) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        _end(process, signal.SIGTERM)


def _end(process: "subprocess.Popen[bytes]", by: signal.Signals) -> None:
    process.send_signal(by)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
