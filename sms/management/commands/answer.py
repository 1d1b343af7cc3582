"""Show the reply that a message would get. Nothing is stored or sent."""

import json
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from evncare import phones
from sms import inbox
from sms.preview import preview


class Command(BaseCommand):
    help = "Print the reply that a message would get now, or at a given time; nothing is stored or sent."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("text", nargs="?", help="the message")
        parser.add_argument("--file", help='one message a line, an empty line being an empty message; "-" reads stdin')
        parser.add_argument("--from", dest="sender", help="the phone that sends it")
        parser.add_argument("--at", help="the time of asking, as in 2016-10-01T08:00 (Vietnamese time)")
        parser.add_argument("--json", action="store_true", help="print one JSON object a line")

    def handle(self, **options: Any) -> None:
        if (options["text"] is None) == (options["file"] is None):
            raise CommandError("give either a message or --file FILE")
        at = moment(options["at"])
        sender = phones.canonical(options["sender"]) or options["sender"] if options["sender"] else None
        texts = iter([options["text"]]) if options["file"] is None else lines_of(options["file"])
        for batch in batches(texts):
            try:
                shown = [one.as_json() for one in preview(batch, sender, at)]
            except DatabaseError as error:
                raise CommandError(f"the database can't be asked; has it been migrated? ({error})") from error
            for one in shown:
                if options["json"]:
                    self.stdout.write(json.dumps(one))
                elif one["reply"] is None:
                    self.stderr.write(f"no reply: {one['outcome']}")
                else:
                    self.stdout.write(one["reply"])


def moment(text: str | None) -> datetime:
    if text is None:
        return timezone.now()
    try:
        at = parse_datetime(text)
    except ValueError as error:
        raise CommandError(f"--at {text}: {error}") from error
    if at is None:
        raise CommandError(f"--at {text}: expected a time like 2016-10-01T08:00")
    return timezone.make_aware(at) if timezone.is_naive(at) else at


def lines_of(name: str) -> Iterator[str]:
    if name == "-":
        yield from (line.removesuffix("\n").removesuffix("\r") for line in sys.stdin)
        return
    try:
        # newline="\n": a message may hold any other line break.
        with Path(name).open(encoding="utf-8-sig", errors="replace", newline="\n") as file:
            yield from (line.removesuffix("\n").removesuffix("\r") for line in file)
    except OSError as error:
        raise CommandError(f"--file {name}: {error.strerror}") from error


def batches(texts: Iterable[str], size: int = inbox.BATCH_SIZE) -> Iterator[list[str]]:
    texts = iter(texts)
    while batch := list(islice(texts, size)):
        yield batch
