"""Our own processes in the chaos run, and all that is done to them: killed, emptied, stopped, and started again.

Whoever runs them in production restarts what ended and, as systemd does, ends what a dead parent left behind.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import psycopg

from evncare.embedded import dying_with_us, free_port, postgres_server, redis_server
from tests.kannel import wait_for

ROOT = Path(__file__).resolve().parents[2]
SECRET_KEY = "a key for this run and for nothing else"
QUIET = ("--without-gossip", "--without-mingle")
SAMPLES = "from tests import factories; factories.everything_published()"


@dataclass
class Program:
    """One of our programs with all its processes; started again a moment after it ended."""

    name: str
    command: list[str]
    log: Path
    environment: dict[str, str]
    process: "subprocess.Popen[bytes] | None" = None
    start_again_at: float | None = None

    def start(self) -> None:
        self.start_again_at = None
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                dying_with_us(signal.SIGTERM, Path(sys.executable), "-m", *self.command),
                cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def kill_one(self, dice: random.Random) -> str:
        """Kill one of its processes, the first or another, with -9. The rest then learns what that means."""
        assert self.process
        if self.process.poll() is not None:
            return f"{self.name} was down"
        main = psutil.Process(self.process.pid)
        others = [child for child in main.children(recursive=True) if "resource_tracker" not in command_of(child)]
        victim = dice.choice([main, *others])
        with suppress(psutil.NoSuchProcess):
            victim.kill()
        return f"{self.name} {'main' if victim == main else 'child'} killed"

    def look_after(self, dice: random.Random) -> bool:
        """Start it again if it has ended, a moment later; return whether it has just been found so."""
        if self.process is None or self.process.poll() is None:
            return False
        if self.start_again_at is None:
            self.end_group(signal.SIGKILL)
            self.start_again_at = time.monotonic() + dice.uniform(0.2, 1.0)
            return True
        if time.monotonic() > self.start_again_at:
            self.start()
        return False

    def end_group(self, by: signal.Signals) -> None:
        assert self.process
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, by)

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.end_group(signal.SIGKILL)
        self.process.wait()


class Server:
    """PostgreSQL or Redis, which comes back at the same address."""

    def __init__(self, start, directory: Path) -> None:
        self._start, self._directory = start, directory
        self._stack = ExitStack()
        self.port = free_port()
        self.url = self._stack.enter_context(start(directory, self.port))

    def stop(self, by: signal.Signals) -> None:
        """End it in the rudest way that it allows."""
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if f"{self.port}" in process.cmdline():
                    process.send_signal(by)
        self._stack.close()

    def start(self) -> None:
        self._stack.enter_context(self._start(self._directory, self.port))

    def close(self) -> None:
        self._stack.close()


@dataclass
class Service:
    """The whole service on this machine."""

    directory: Path
    postgres: Server
    redis: Server
    web_port: int
    environment: dict[str, str]
    programs: list[Program] = field(default_factory=list)
    kills: list[tuple[float, str]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def add(self, name: str, *command: str) -> Program:
        program = Program(name, list(command), self.directory / f"{name}.log", self.environment)
        self.programs.append(program)
        program.start()
        return program

    def manage(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True)

    def look_after(self, dice: random.Random) -> None:
        for program in self.programs:
            if program.look_after(dice):
                self.note(program.name, f"{program.name} has ended with code {program.process.returncode}")

    def do(self, fault: str, dice: random.Random) -> None:
        """One mishap; afterwards everything is up again, or will be once it is looked after."""
        if fault == "postgres":
            self.postgres.stop(signal.SIGQUIT)  # what PostgreSQL calls immediate: as after a crash
            self.note(fault, "PostgreSQL stopped at once")
            self.wait(dice.uniform(0.5, 2.0), dice)
            self.postgres.start()
        elif fault == "redis":
            self.redis.stop(signal.SIGKILL)
            self.note(fault, "Redis killed, comes back empty")
            self.wait(dice.uniform(0.2, 1.5), dice)
            self.redis.start()
        else:
            program = dice.choice([p for p in self.programs if p.name.startswith(fault)])
            self.note(fault, program.kill_one(dice))

    def note(self, fault: str, what: str) -> None:
        self.kills.append((time.time(), fault))
        self.log.append(f"{time.monotonic() - self.started:6.1f} s  {what}")

    def wait(self, seconds: float, dice: random.Random) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.look_after(dice)
            time.sleep(0.05)


@contextmanager
def running_service(
    directory: Path, carriers: dict[str, object], web_port: int, claim_seconds: int
) -> Iterator[Service]:
    """PostgreSQL, Redis and our programs, with the database migrated and the example customer in it."""
    for old in directory.glob("*.log"):
        old.unlink()
    with ExitStack() as stack:
        postgres = Server(postgres_server, directory / "postgres")
        stack.callback(postgres.close)
        redis = Server(redis_server, directory / "redis")
        stack.callback(redis.close)
        database_url = fresh_database(postgres.url)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("SMS_", "DJANGO_"))}
        environment |= {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis.url,
            "SECRET_KEY": SECRET_KEY,
            "SMS_CARRIERS": json.dumps(carriers),
            "SMS_CLAIM_SECONDS": str(claim_seconds),
            "PYTHONUNBUFFERED": "1",
        }
        service = Service(directory, postgres, redis, web_port, environment)
        for arguments in (("migrate", "--verbosity", "0"), ("shell", "--verbosity", "0", "-c", SAMPLES)):
            done = service.manage(*arguments)
            if done.returncode:
                raise RuntimeError(done.stderr)
        stack.callback(lambda: [program.stop() for program in service.programs])
        server = ("--interface", "wsgi", "--no-ws", "--workers", "2", "--blocking-threads", "4")
        server += ("--respawn-failed-workers", "--respawn-interval", "0.5")
        service.add("web", "granian", *server, "--port", str(web_port), "evncare.wsgi:application")
        for name in ("worker-1", "worker-2"):
            service.add(
                name, "celery", "-A", "evncare", "worker", "--concurrency", "2", "--hostname", f"{name}@%h", *QUIET
            )
        service.add(
            "scheduler", "celery", "-A", "evncare", "beat", "--schedule", str(directory / "celerybeat-schedule")
        )
        wait_for(lambda: answers(f"http://127.0.0.1:{web_port}/health/ready/"), "the service", 180)
        yield service


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def command_of(process: psutil.Process) -> str:
    """Empty if it has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def fresh_database(server_url: str) -> str:
    """A new database on the server, in which a commit is a commit: the embedded server would lose the last ones."""
    name = f"chaos_{time.time_ns()}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        for (old,) in connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'chaos%'").fetchall():
            connection.execute(f'DROP DATABASE "{old}" WITH (FORCE)')
        connection.execute(f"CREATE DATABASE {name}")
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
    return f"{server_url.rpartition('/')[0]}/{name}"
