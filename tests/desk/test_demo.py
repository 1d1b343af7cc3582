"""The demo from outside, with everything real: servers, worker, HTTP. It uses the database that the tests use."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError

from billing.models import Customer
from evncare.desk import samples
from evncare.desk.management.commands.demo import Command
from tests.databases import database_of_its_own

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 90


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def environment(directory):
    """The demo's environment: on PostgreSQL with an empty database of its own, else without any setting."""
    clean = {
        name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")
    }
    with database_of_its_own(directory) as url:
        yield clean | ({"DATABASE_URL": url} if url.startswith("postgres") else {})


def command(directory, *arguments):
    return [sys.executable, "manage.py", "demo", "--directory", str(directory), *arguments]


def processes_in(directory):
    return [
        p for p in psutil.process_iter(["cmdline"]) if any(str(directory) in word for word in p.info["cmdline"] or ())
    ]


@pytest.fixture
def serving(directory, environment):
    """A demo that has held its conversation and serves."""
    log = directory / "demo.log"
    with log.open("w") as output:
        demo = psutil.Popen(command(directory), cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: "Sign in" in log.read_text() or not demo.is_running(), log)
        children = demo.children(recursive=True)
        yield demo, children, log
    finally:
        with suppress(psutil.NoSuchProcess):
            demo.kill()
            demo.wait()


def wait_until(holds, log):
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def assert_all_end(processes):
    _ended, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive


@pytest.mark.live
def test_the_demo_holds_the_published_conversation(directory, environment):
    demo = subprocess.run(
        command(directory, "--once"), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    for question, reply in samples.published_around(directory / "outages.csv").items():
        indented = reply.replace("\n", "\n  ")
        assert f"> {question}\n< {indented}\n" in demo.stdout
    assert not processes_in(directory)


@pytest.mark.live
def test_a_demo_that_serves_stops_with_all_its_processes(serving):
    demo, children, log = serving
    assert "6 of 6 questions answered as published" in log.read_text()
    assert len(children) >= 5
    demo.send_signal(signal.SIGTERM)
    assert demo.wait(PATIENCE) == 0
    assert_all_end(children)


@pytest.mark.live
def test_no_process_survives_a_demo_that_is_killed(serving):
    demo, children, _log = serving
    demo.kill()
    demo.wait()
    assert_all_end(children)


@pytest.mark.live
def test_a_demo_whose_worker_dies_says_so_and_stops(serving):
    demo, children, log = serving
    [worker, *_its_own] = [child for child in children if "worker" in child.cmdline()]
    worker.kill()
    assert demo.wait(PATIENCE) == 1
    assert "worker ended with code -9" in log.read_text()
    assert_all_end(children)


@pytest.mark.django_db
def test_the_demo_keeps_out_of_a_database_with_users_of_its_own(tmp_path):
    User.objects.create_user("somebody")
    with pytest.raises(CommandError, match="users of its own"):
        Command().load_samples(tmp_path / "outages.csv")
    assert not Customer.objects.exists()
