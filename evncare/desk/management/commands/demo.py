"""``python manage.py demo``: the whole service on one machine, with sample data and a stand-in for the carrier.

Everything is real but the customers and the carrier: the database, the exports and their import, web server,
worker, scheduler and broker are processes as in production, and messages and replies travel over HTTP.
"""

import json
import os
import secrets
import signal
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
from celery import Celery
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from evncare.desk import samples
from evncare.desk.children import Children, ChildTrouble, running_children
from evncare.desk.roles import ROLES
from evncare.desk.standin import Carrier, running_carrier
from evncare.embedded import ServerUnavailable, free_port, redis_server
from sms.models import OutboundMessage

DIRECTORY = settings.VAR_DIR / "demo"
CARRIER = "demo"
SECONDS_TO_START, SECONDS_TO_REPLY = 60, 20
# Settings of the caller's shell that the demo decides itself.
OWN_SETTINGS = ("ALLOWED_HOSTS", "REDIS_URL", "SMS_CARRIERS", "CUSTOMER_CODE_PREFIXES", "HOTLINE")


class Command(BaseCommand):
    help = "Runs the whole service with sample data and a stand-in carrier, and asks it the six published questions."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="end after the conversation; exit 0 if all went well")
        parser.add_argument("--port", type=int, help="port of the web server; any free one by default")
        parser.add_argument("--directory", type=Path, default=DIRECTORY, help="where everything is kept")

    def handle(self, *args: Any, once: bool, port: int | None, directory: Path, **options: Any) -> None:
        directory = directory.absolute()
        directory.mkdir(parents=True, exist_ok=True)
        start_over_with_own_settings(directory)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: unwinds, so everything is stopped
        try:
            self.run(once, port or free_port(), directory)
        except (ChildTrouble, ServerUnavailable) as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            if once:
                raise CommandError("stopped before the conversation had ended") from None
            self.stdout.write("\nStopped.")

    def run(self, once: bool, port: int, directory: Path) -> None:
        address = f"http://127.0.0.1:{port}"
        token, send_token = secrets.token_urlsafe(), secrets.token_urlsafe()
        outages_file = directory / "outages.csv"

        self.load_samples(outages_file)
        password = self.create_users(directory)
        with (
            redis_server(directory / "redis") as redis_url,
            told_to_other_commands(redis_url, directory),
            running_carrier(f"{address}/api/sms/{CARRIER}/reports/", token, send_token) as carrier,
            running_children(directory, environment(redis_url, carrier, token)) as children,
        ):
            self.start(children, directory, address, redis_url)
            expected = samples.published_around(outages_file)
            problems = self.converse(expected, f"{address}/api/sms/{CARRIER}/inbound/", token, carrier, children)
            if once and problems:
                raise CommandError("; ".join(problems))
            for problem in problems:
                self.stderr.write(problem, self.style.ERROR)
            if not once:
                self.introduce(address, password)
                while True:
                    children.check()
                    time.sleep(0.5)

    def load_samples(self, outages_file: Path) -> None:
        """Bring the database up to date. A second run finds every row unchanged, but for the outages of its day."""
        call_command("migrate", verbosity=0)
        if User.objects.exclude(username__in=ROLES).exists():
            raise CommandError("the database of DATABASE_URL has users of its own: the demo is for an empty one")
        self.stdout.write(f"Loading sample exports from {samples.DIRECTORY}")
        samples.write_outages_around(timezone.localdate(), outages_file)
        for kind, file in [*samples.FILES.items(), ("outages", outages_file)]:
            result = StringIO()
            call_command("import_data", kind, file, json=True, stdout=result)
            self.stdout.write(
                "  {kind}: {rows} rows, {new} new, {changed} changed".format(**json.loads(result.getvalue()))
            )

    def create_users(self, directory: Path) -> str:
        """A user for each role, all with the password, returned, that this checkout made up at its first demo."""
        password = kept_password(directory / "password")
        encoded = make_password(password)
        for name in ROLES:
            user, _ = User.objects.update_or_create(username=name, defaults={"password": encoded, "is_staff": True})
            user.groups.set([Group.objects.get(name=name)])
        return password

    def start(self, children: Children, directory: Path, address: str, redis_url: str) -> None:
        self.stdout.write(f"Starting web server, worker and scheduler (logs: {directory}/*.log)")
        port = address.rpartition(":")[2]
        server = ("--interface", "wsgi", "--no-ws", "--blocking-threads", "4", "--port", port)
        children.start("web", "granian", *server, "evncare.wsgi:application")
        worker = ("worker", "--concurrency", "2", "--loglevel", "INFO", "--without-gossip", "--without-mingle")
        children.start("worker", "celery", "-A", "evncare", *worker)
        schedule = ("--schedule", str(directory / "celerybeat-schedule"), "--pidfile=")
        children.start("scheduler", "celery", "-A", "evncare", "beat", *schedule)
        with Celery(broker=redis_url) as celery:
            children.wait_until("starting the web server", lambda: is_up(f"{address}/admin/login/"), SECONDS_TO_START)
            children.wait_until("starting the worker", lambda: celery.control.ping(timeout=0.2), SECONDS_TO_START)

    def converse(
        self, expected: Mapping[str, str], inbound_url: str, token: str, carrier: Carrier, children: Children
    ) -> list[str]:
        """Send each question, print it with its reply, and return what did not go as ``expected``."""
        problems = []
        run = secrets.token_hex(4)  # a carrier never gives an id twice
        ids = {question: f"{run}-{place}" for place, question in enumerate(expected, start=1)}
        for question, published in expected.items():
            self.stdout.write(f"\n> {question}")
            asked = time.monotonic()
            hand_over(ids[question], question, inbound_url, token)
            arrived = partial(carrier.replies.get, ids[question])
            children.wait_until(f"the reply to {question!r}", arrived, SECONDS_TO_REPLY)
            reply, milliseconds = carrier.replies[ids[question]][0], (time.monotonic() - asked) * 1000
            self.stdout.write("< " + reply.replace("\n", "\n  ") + f"\n  ({milliseconds:.0f} ms)")
            if reply != published:
                problems.append(f"the reply to {question!r} is not as published: {published!r}")
        delivered = OutboundMessage.objects.filter(
            carrier=CARRIER, inbound__message_id__in=ids.values(), state=OutboundMessage.State.DELIVERED
        )
        children.wait_until(
            f"the delivery of {len(ids)} replies", lambda: delivered.count() == len(ids), SECONDS_TO_REPLY
        )
        sent = {question: len(carrier.replies[ids[question]]) for question in expected}
        problems += [f"{question!r} got {number} replies" for question, number in sent.items() if number != 1]
        self.stdout.write(f"\n{len(ids) - len(problems)} of {len(ids)} questions answered as published, all delivered.")
        return problems

    def introduce(self, address: str, password: str) -> None:
        self.stdout.write(f"\nServing at {address}/admin/ until Ctrl-C. Sign in with the password {password} as")
        for name, role in ROLES.items():
            self.stdout.write(f"  {name:15}{role.title}")
        self.stdout.write(f"The carrier's side: {address}/api/docs/")


def start_over_with_own_settings(directory: Path) -> None:
    """Settings are read once, at the start: where the shell's are not the demo's, this process starts anew."""
    own = {name: value for name, value in os.environ.items() if name not in OWN_SETTINGS}
    if directory != DIRECTORY:
        own.setdefault("DATABASE_URL", f"sqlite:///{directory / 'evncare.sqlite3'}")
    own["PYTHONUNBUFFERED"] = "1"  # what happens shows at once, also in a pipe or a log
    if own != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], own)  # noqa: S606


def environment(redis_url: str, carrier: Carrier, token: str) -> dict[str, str]:
    """What the demo's processes read their settings from: ours, and who the carrier is."""
    options = {"token": token, "url": carrier.url, "send_token": carrier.send_token}
    carriers = {CARRIER: {"BACKEND": "rest", "OPTIONS": options}}
    return os.environ | {"REDIS_URL": redis_url, "SMS_CARRIERS": json.dumps(carriers)}


@contextmanager
def told_to_other_commands(redis_url: str, directory: Path) -> Iterator[None]:
    """Have commands in other terminals find the demo's Redis, unless this is a demo kept somewhere else."""
    if directory != DIRECTORY:
        yield
        return
    settings.EMBEDDED_REDIS_URL_FILE.write_text(redis_url)
    try:
        yield
    finally:
        settings.EMBEDDED_REDIS_URL_FILE.unlink(missing_ok=True)


def kept_password(path: Path) -> str:
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(9))
    return path.read_text()


def is_up(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def hand_over(message_id: str, text: str, inbound_url: str, token: str) -> None:
    """Post one message as a carrier does."""
    message = {"message_id": message_id, "sender": samples.EXAMPLE_PHONE, "short_code": settings.SMS_SHORT_CODE}
    answer = httpx.post(
        inbound_url, json=message | {"text": text}, headers={"Authorization": f"Bearer {token}"}, trust_env=False
    )
    if answer.status_code != httpx.codes.ACCEPTED:
        raise CommandError(f"handing over {text!r} was answered with HTTP {answer.status_code}: {answer.text[:200]}")
