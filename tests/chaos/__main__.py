"""``python -m tests.chaos [--seed N] [--messages 20000]``: everything breaks at full speed, and nothing may be lost.

Real PostgreSQL, Redis, web server, workers and scheduler; senders and a carrier that counts, over real HTTP. Prints
what happened and ends with 0 only if every message has exactly one reply or one reason. docs/operating.md says more.
"""

import argparse
import json
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg

from evncare.embedded import ServerUnavailable, dying_with_us, free_port
from tests.chaos import verdict
from tests.chaos.carrier import TIMEOUT_OF_SENDERS, fetch
from tests.chaos.senders import Senders, messages
from tests.chaos.service import ROOT, SECRET_KEY, Service, running_service

FAULTS = ("worker", "web", "scheduler", "redis", "postgres", "worker")
MESSAGES_PER_FAULT = 800
CLAIM_SECONDS = 25
PATIENCE = 600  # seconds
WAITING = """
    SELECT (SELECT count(*) FROM sms_inboundmessage WHERE state = 'WAITING')
        + (SELECT count(*) FROM sms_outboundmessage WHERE state IN ('WAITING', 'SENDING'))
"""


def run(
    seed: str,
    number: int,
    directory: Path,
    say: Callable[[str], None],
) -> list[str]:
    """One run with its files in ``directory``; returns what should not be."""
    dice = random.Random(f"{seed} faults")
    token, send_token, web_port = secrets.token_urlsafe(), secrets.token_urlsafe(), free_port()
    address = f"http://127.0.0.1:{web_port}/api/sms/chaos"
    directory.mkdir(parents=True, exist_ok=True)
    with running_carrier(seed, f"{address}/reports/", token, send_token) as carrier_port:
        url = f"http://127.0.0.1:{carrier_port}/send"
        options = {"token": token, "url": url, "send_token": send_token, "timeout": TIMEOUT_OF_SENDERS}
        carriers = {"chaos": {"BACKEND": "rest", "OPTIONS": options}}
        with running_service(directory, carriers, web_port, CLAIM_SECONDS) as service:
            to_send = messages(seed, number)
            started = time.monotonic()
            service.started = started
            senders = Senders(web_port, "/api/sms/chaos/inbound/", token, to_send)
            torment(service, senders, carrier_port, len(to_send), dice)
            sent = time.monotonic() - started
            drained = drain(service, carrier_port, dice)
            say(f"{number} messages posted in {sent:.0f} s, all settled after {time.monotonic() - started:.0f} s")
            for line in service.log:
                say(f"  {line}")
            metrics = httpx.get(f"http://127.0.0.1:{web_port}/metrics", trust_env=False).text
            audit = service.manage("audit", "--json")
            evidence = verdict.Evidence(
                to_send,
                senders.acknowledged,
                senders.gave_up,
                fetch(carrier_port, "/ledger"),
                service.kills,
                CLAIM_SECONDS,
                json.loads(audit.stdout) if audit.stdout else {"balanced": False, "received": -1, "exceptions": {}},
                {"the carrier's token": token, "our token for it": send_token, "SECRET_KEY": SECRET_KEY},
                {"/metrics": metrics} | {log.name: log.read_text(errors="replace") for log in directory.glob("*.log")},
            )
            evidence.read(service.environment["DATABASE_URL"])
    for line in verdict.figures(evidence):
        say(line)
    return [*([] if drained else [f"not all was settled within {PATIENCE} s"]), *verdict.problems(evidence)]


def torment(service: Service, senders: Senders, carrier_port: int, number: int, dice: random.Random) -> None:
    """Spread the faults over the run by how much of it is done: received, and handed to the carrier."""
    rounds = max(1, round(number / MESSAGES_PER_FAULT / len(FAULTS)))
    faults = [fault for _ in range(rounds) for fault in dice.sample(FAULTS, len(FAULTS))]
    for place, fault in enumerate(faults, start=1):
        share = place / (len(faults) + 1)
        while done(senders, carrier_port, number) < share:
            service.wait(0.1, dice)
        service.do(fault, dice)
    while senders.busy:
        service.wait(0.1, dice)


def done(senders: Senders, carrier_port: int, number: int) -> float:
    if not senders.busy:
        return 1.0
    progress = fetch(carrier_port, "/progress")
    return (len(senders.acknowledged.rows) + progress["references"]) / (2 * number)


def drain(service: Service, carrier_port: int, dice: random.Random) -> bool:
    """Wait until nothing waits, is being sent or has yet to be reported; whether that came true."""
    deadline = time.monotonic() + PATIENCE
    with psycopg.connect(service.environment["DATABASE_URL"], autocommit=True) as connection:
        while time.monotonic() < deadline:
            service.wait(0.3, dice)
            (waiting,) = connection.execute(WAITING).fetchone()
            if waiting == 0 and fetch(carrier_port, "/progress")["reporting"] == 0:
                return True
    return False


@contextmanager
def running_carrier(seed: str, *arguments: str) -> Iterator[int]:
    command = dying_with_us(signal.SIGKILL, Path(sys.executable), "-m", "tests.chaos.carrier", seed, *arguments)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.partition(":")[2])
    parser.add_argument("--seed", default=str(secrets.randbelow(10**6)), help="repeats a run, as far as timing lets")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--directory", type=Path, default=ROOT / "var" / "chaos", help="data and logs")
    arguments = parser.parse_args()
    print(f"chaos --seed {arguments.seed} --messages {arguments.messages}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # unwinds, so everything is stopped
    try:
        found = run(arguments.seed, arguments.messages, arguments.directory, lambda line: print(line, flush=True))
    except ServerUnavailable as error:
        print(f"evncare: {error}", file=sys.stderr)
        return 1
    for problem in found:
        print(f"! {problem}")
    print("FAILED" if found else "Each message has exactly one reply or one reason, and the carrier got none twice.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
