"""Export or erase what the message log holds of one customer or phone, with a record of it.

Exit status: 0 done, 1 not done, or done but for messages that are being answered (call again in some minutes).
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from sms import privacy


class Command(BaseCommand):
    help = "Export or erase what the message log holds of one customer or phone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["export", "erase"])
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--customer", metavar="CODE")
        whose.add_argument("--phone", metavar="NUMBER")
        parser.add_argument("--reason", required=True, help="why, without naming the customer; it is recorded")
        parser.add_argument("--by", required=True, help="who asks for it; it is recorded")
        parser.add_argument("--out", metavar="FILE", help="export into this new file, for its owner only")

    def handle(self, **options: Any) -> None:
        given = {"reason": options["reason"], "by": options["by"], "now": timezone.now()}
        if options["out"] and options["action"] == "erase":
            raise CommandError(_("--out is for export"))
        try:
            whose = privacy.subject(customer=options["customer"], phone=options["phone"])
            if options["action"] == "export":
                with self.target(options["out"]) as out:
                    self.export(whose, given, out)
                return
            erased = privacy.erase(whose, **given)
        except privacy.RequestRefused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(_("%(rows)s messages erased") % {"rows": erased.rows})
        if erased.in_progress:
            raise CommandError(
                _("%(rows)s messages are being answered: erase them in some minutes") % {"rows": erased.in_progress}
            )

    def export(self, whose: privacy.Subject, given: dict[str, Any], out: TextIO) -> None:
        count, messages = privacy.export(whose, **given)
        head = {"customer": whose.customer, "phone": whose.phone, "at": given["now"].isoformat(), "count": count}
        out.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "messages": [')
        for place, message in enumerate(messages):
            out.write((",\n" if place else "\n") + json.dumps(message, ensure_ascii=False))
        out.write("\n]}\n")

    @contextmanager
    def target(self, name: str | None) -> Iterator[TextIO]:
        if name is None:
            yield self.stdout  # type: ignore[misc]  # it writes text, and adds a line's end only where one is missing
            return
        try:
            number = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise CommandError(f"--out {name}: {error.strerror}") from error
        with os.fdopen(number, "w", encoding="utf-8") as file:
            yield file
