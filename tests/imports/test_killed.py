"""A load that is killed, or whose database is, leaves the table as it was or as it was to be; the next one finishes.

EVNCARE_KILLS is how often each is killed, at random moments: 3 unless told otherwise.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from evncare.embedded import postgres_server
from tests.imports.tables import CUSTOMER, INVOICE, csv_file

pytestmark = pytest.mark.live

KILLS = int(os.environ.get("EVNCARE_KILLS", "3"))
ROWS = 20_000
LOAD = """
import django, sys
django.setup()
from pathlib import Path
from django.core.management import call_command
from evncare.imports import engine
from evncare.imports.declarations import declared_exports
kind, path, run = sys.argv[1:]
if kind == "customers":
    call_command("migrate", verbosity=0)
engine.load(declared_exports()[kind], Path(path), run=int(run))
"""


class Database:
    """A database of the kind that the tests run on, which may be killed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running = ExitStack()
        self.start()

    def start(self) -> None:
        self.url = f"sqlite:///{self._directory / 'killed.sqlite3'}"
        if connection.vendor == "postgresql":
            self.url = self._running.enter_context(postgres_server(self._directory / "postgres"))

    def stop(self) -> None:
        self._running.close()

    def kill(self) -> None:
        postmaster = int((self._directory / "postgres/pgdata/postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGKILL)
        self.stop()
        self.start()

    def load(self, kind: str, path: Path, run: int = 1) -> "subprocess.Popen[bytes]":
        environment = os.environ | {"DATABASE_URL": self.url, "DJANGO_SETTINGS_MODULE": "evncare.settings"}
        command = [sys.executable, "-c", LOAD, kind, str(path), str(run)]
        return subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment, stderr=subprocess.DEVNULL)

    def state(self) -> tuple[int, int, int]:
        """Bills, their totals, and before-images of the last run."""
        statement = (
            "SELECT count(*), coalesce(sum(total), 0), (SELECT count(*) FROM imports_beforeimage WHERE run = "
            "(SELECT max(abs(run)) FROM billing_invoice)) FROM billing_invoice"
        )
        if connection.vendor == "postgresql":
            with psycopg.connect(self.url) as postgres:
                row = postgres.execute(statement).fetchone()
        else:
            sqlite = sqlite3.connect(self.url.removeprefix("sqlite:///"))
            row = sqlite.execute(statement).fetchone()
            sqlite.close()
        assert row
        return int(row[0]), int(row[1]), int(row[2])


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path)
    yield database
    database.stop()


def kill_worker(_database: Database, worker: "subprocess.Popen[bytes]") -> None:
    worker.kill()
    worker.wait()


def kill_postgres(database: Database, worker: "subprocess.Popen[bytes]") -> None:
    database.kill()
    worker.wait()


@pytest.mark.parametrize("kill", [kill_worker, kill_postgres])
def test_a_killed_load_happened_fully_or_not_at_all(
    tmp_path: Path, database: Database, kill: Callable[[Database, "subprocess.Popen[bytes]"], None]
) -> None:
    if kill is kill_postgres and connection.vendor != "postgresql":
        pytest.skip("SQLite has no server to kill")
    files = [
        csv_file(tmp_path / f"{total}.csv", [INVOICE | {"ID_HDON": n, "TONG_TIEN": total} for n in range(ROWS)])
        for total in (1, 2)
    ]
    assert database.load("customers", csv_file(tmp_path / "customers.csv", [CUSTOMER])).wait() == 0
    assert database.load("invoices", files[1], run=1).wait() == 0
    started = time.monotonic()
    assert database.load("invoices", files[0], run=2).wait() == 0
    duration = time.monotonic() - started
    chance = random.Random()
    for run in range(3, 3 + KILLS):
        path = files[run % 2]
        before, after = [(ROWS, ROWS * total, ROWS) for total in ((run + 1) % 2 + 1, run % 2 + 1)]
        assert database.state() == before
        worker = database.load("invoices", path, run)
        time.sleep(chance.uniform(0.2, 1.05) * duration)
        kill(database, worker)
        assert database.state() in (before, after)
        if database.state() == before:
            assert database.load("invoices", path, run).wait() == 0
        assert database.state() == after
