"""The probes against real servers: none of them is imitated."""

import json
import os
import socket
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from tests import factories

ANSWERED = {"state": "ANSWERED", "outcome": "answered", "keyword": "NTD"}

PROBE = """
import json, django
django.setup()
from django.test import Client
response = Client(headers={"host": "localhost"}).get("/health/ready/")
print(json.dumps([response.status_code, response.json()]))
"""


CONNECT = """
import django
django.setup()
from django.db import connection
connection.ensure_connection()
"""


def run_in_a_process_of_its_own(program, **environment):
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "evncare.settings", **environment}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)


def asked_in_a_process_of_its_own(**environment):
    """The answer of /health/ready/ in a process with other settings."""
    told = run_in_a_process_of_its_own(PROBE, **environment)
    told.check_returncode()
    return json.loads(told.stdout.splitlines()[-1])


def test_the_process_is_up_whatever_else_is_not(client):
    """Without the database mark, any query would fail this test."""
    response = client.get("/health/live/")

    assert (response.status_code, response.json()) == (200, {"status": "up"})
    assert client.post("/health/live/").status_code == 405


@pytest.mark.django_db
def test_a_broker_that_is_away_makes_us_not_ready_and_is_named(client):
    response = client.get("/health/ready/")  # nothing listens at the tests' broker

    assert response.status_code == 503
    assert response.json() == {
        "database": "ok",
        "broker": "failed: ConnectionError",
        "worker": "failed: ConnectionError",
        "oldest_unanswered": "ok",
        "oldest_unanswered_seconds": 0.0,
    }


@pytest.mark.django_db
def test_a_message_that_waits_too_long_makes_us_not_ready(client):
    factories.inbound(received_at=timezone.now() - timedelta(seconds=75))
    factories.inbound(received_at=timezone.now() - timedelta(days=2), concluded_at=timezone.now(), **ANSWERED)

    told = client.get("/health/ready/").json()
    assert told["oldest_unanswered"] == "failed: a message has waited for more than 60 seconds"
    assert 75 <= told["oldest_unanswered_seconds"] < 1000


def test_a_database_that_is_away_is_named_without_its_address():
    status, told = asked_in_a_process_of_its_own(
        DATABASE_URL="postgres://evncare:secret@127.0.0.1:1/evncare", REDIS_URL="redis://:secret@127.0.0.1:1/0"
    )

    assert status == 503
    assert told == {
        "database": "failed: OperationalError",
        "broker": "failed: ConnectionError",
        "worker": "failed: ConnectionError",
        "oldest_unanswered": "failed: OperationalError",
    }


def test_a_database_that_takes_the_call_and_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = "{}:{}".format(*silent.getsockname())
        done = run_in_a_process_of_its_own(CONNECT, DATABASE_URL=f"postgres://evncare:secret@{address}/evncare")

    assert done.returncode == 1
    assert "timeout" in done.stderr


def test_all_is_ready_with_a_worker_and_not_without(redis_url, tmp_path):
    environment = {"REDIS_URL": redis_url, "DATABASE_URL": f"sqlite:///{tmp_path / 'evncare.sqlite3'}"}
    ours = os.environ | environment
    ready = {"database": "ok", "broker": "ok", "worker": "ok", "oldest_unanswered": "ok"}
    ready |= {"oldest_unanswered_seconds": 0.0}

    command = [sys.executable, "-m", "celery", "-A", "evncare", "worker", "--pool=solo", "--loglevel=ERROR"]
    with subprocess.Popen(command, env=ours, stderr=subprocess.DEVNULL) as worker:
        try:
            subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity=0"], env=ours, check=True)
            deadline = time.monotonic() + 60
            while (asked := asked_in_a_process_of_its_own(**environment)) != [200, ready]:
                assert time.monotonic() < deadline, asked
        finally:
            worker.terminate()
    assert asked_in_a_process_of_its_own(**environment) == [503, ready | {"worker": "failed: no worker answers"}]


@pytest.mark.django_db
def test_metrics_count_the_past_day_and_what_waits_and_tell_nobodys_number(client, django_assert_max_num_queries):
    now = timezone.now()
    waiting = factories.inbound(received_at=now - timedelta(seconds=30))
    for age in (timedelta(hours=1), timedelta(hours=23), timedelta(days=2)):
        message = factories.inbound(received_at=now - age, concluded_at=now, customer_code=factories.CODE, **ANSWERED)
        factories.reply(message, created_at=now - age, send_after=now - age)

    with django_assert_max_num_queries(6):
        response = client.get("/metrics")
    text = response.content.decode()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert response["Content-Type"].startswith("text/plain")
    assert samples["evncare_messages", "memory", "NTD", "answered", "ANSWERED"] == 2
    assert samples["evncare_messages", "memory", "", "", "WAITING"] == 1
    assert samples["evncare_replies", "memory", "yes", "WAITING"] == 2
    assert samples["evncare_messages_waiting",] == 1
    assert samples["evncare_replies_waiting",] == 3
    assert 30 <= samples["evncare_oldest_unanswered_seconds",] < 1000
    assert samples["evncare_oldest_unsent_seconds",] >= 2 * 86400
    assert waiting.sender not in text
    assert factories.CODE not in text
