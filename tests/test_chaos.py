"""The chaos run, short; and what a worker leaves when it is told to stop."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from celery import Celery
from django.db import connection

from evncare.embedded import redis_server
from tests.chaos.__main__ import run
from tests.kannel import wait_for
from tests.sms.carrier_standin import answer, carrier

ROOT = Path(__file__).resolve().parents[1]
REPLIES = """
from tests import factories
from django.utils import timezone
for number in range(120):
    message = factories.inbound(state="ANSWERED", outcome="answered", concluded_at=timezone.now())
    factories.reply(message, created_at=timezone.now())
"""
COUNT = """
import json
from django.db.models import Count
from sms.models import OutboundMessage
print(json.dumps(dict(OutboundMessage.objects.order_by().values_list("state").annotate(Count("pk")))))
"""


@pytest.mark.live
def test_whatever_breaks_each_message_gets_one_reply_or_one_reason(tmp_path: Path) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("the chaos run stops and starts PostgreSQL: it runs with the tests on that")
    said: list[str] = []
    problems = run("7", 400, tmp_path, said.append)
    print(*said, sep="\n")
    assert problems == []


@pytest.mark.live
def test_a_worker_told_to_stop_finishes_its_drain_and_leaves_nothing_claimed(tmp_path: Path) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("it has a database of its own, so it runs with the tests on SQLite only")

    def slowly(handler) -> None:
        time.sleep(0.4)
        answer(200, '{"id": "C1"}')(handler)

    def celery(*words: str) -> list[str]:
        return [sys.executable, "-m", "celery", "-A", "evncare", *words]

    with redis_server(tmp_path / "redis") as redis_url, carrier() as standin:
        standin.behave = slowly
        carriers = {"memory": {"BACKEND": "rest", "OPTIONS": {"token": "t", "url": standin.url}}}
        ours = os.environ | {"DATABASE_URL": f"sqlite:///{tmp_path / 'evncare.sqlite3'}", "REDIS_URL": redis_url}
        ours |= {"SMS_CARRIERS": json.dumps(carriers)}

        def manage(*words: str) -> str:
            command = [sys.executable, "manage.py", *words]
            return subprocess.run(command, cwd=ROOT, env=ours, check=True, capture_output=True, text=True).stdout

        manage("migrate", "--verbosity=0")
        manage("shell", "--verbosity=0", "-c", REPLIES)
        with (tmp_path / "worker.log").open("wb") as log:
            worker = psutil.Popen(celery("worker", "--concurrency", "1"), cwd=ROOT, env=ours, stdout=log, stderr=log)
        try:
            with Celery(broker=redis_url, set_as_current=False) as app:  # the tests of others go on with ours
                app.send_task("sms.deliver_waiting")
            wait_for(lambda: len(standin.asked) > 20, "the first replies")
            children = worker.children()
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(120) == 0
            assert not psutil.wait_procs(children, timeout=60)[1]
        finally:
            if worker.is_running():
                worker.kill()
        states = json.loads(manage("shell", "--verbosity=0", "-c", COUNT).splitlines()[-1])
    assert states.pop("SENT") == len(standin.asked)
    assert set(states) <= {"WAITING"}
