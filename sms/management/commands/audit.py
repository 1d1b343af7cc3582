"""Prove that every message got exactly one reply or has one reason.

Exit status: 0 the books balance without exceptions, 1 with exceptions, 2 the books don't balance, 3 a wrong call.
"""

import json
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from sms.audit import Audit, Span, audit

EXCEPTIONS, UNBALANCED, WRONG_CALL = 1, 2, 3
IDS_SHOWN = 20


class Command(BaseCommand):
    help = "Prove that every message received got exactly one reply or has one reason; list every exception."

    def add_arguments(self, parser: CommandParser) -> None:
        def refuse(message: str) -> NoReturn:
            if parser.called_from_command_line:
                parser.print_usage()
                parser.exit(WRONG_CALL, f"{message}\n")
            raise CommandError(message, returncode=WRONG_CALL)

        parser.error = refuse  # type: ignore[method-assign]  # argparse's own status, 2, means something else here
        parser.add_argument("--from", dest="first", metavar="DATE", help="first day (default: the day before the last)")
        parser.add_argument("--to", dest="last", metavar="DATE", help="last day (default: today), in Vietnamese time")
        parser.add_argument("--json", action="store_true", help="print one JSON object with all ids")

    def handle(self, **options: Any) -> None:
        last = day("--to", options["last"]) or timezone.localdate()
        first = day("--from", options["first"]) or last - timedelta(days=1)
        if first > last:
            raise CommandError(f"--from {first} is after --to {last}", returncode=WRONG_CALL)
        found = audit(Span.of_days(first, last), now=timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps(found.as_json()))
        else:
            self.show(found, first, last)
        if not found.books.balanced:
            raise CommandError(
                _("the books don't balance: %(count)s messages are unaccounted for")
                % {"count": found.books.unaccounted},
                returncode=UNBALANCED,
            )
        if found.findings:
            raise CommandError(_("%(count)s exceptions") % {"count": found.exceptions}, returncode=EXCEPTIONS)

    def show(self, found: Audit, first: date, last: date) -> None:
        books = found.books
        self.stdout.write(
            _("%(received)s messages received from %(first)s to %(last)s")
            % {"received": books.received, "first": f"{first:%d/%m/%Y}", "last": f"{last:%d/%m/%Y}"}
        )
        self.stdout.write(
            _("  = %(answered)s answered + %(refused)s refused + %(waiting)s waiting + %(set_aside)s set aside")
            % vars(books)
            + ("" if books.balanced else _(" + %(count)s UNACCOUNTED FOR") % {"count": books.unaccounted})
        )
        self.show_counts(_("Outcomes"), books.by_outcome)
        self.show_counts(_("Questions"), books.by_keyword)
        self.show_counts(_("Reasons of refusals"), books.by_reason)
        self.show_counts(_("Replies"), books.replies)
        for finding in found.findings:
            ids = " ".join(map(str, finding.ids[:IDS_SHOWN]))
            more = _(" and more (--json lists all)") if len(finding.ids) > IDS_SHOWN else ""
            of = _("messages") if finding.of == "messages" else _("replies")
            self.stdout.write(f"! {len(finding.ids)} {of}: {finding.title}\n    {ids}{more}")

    def show_counts(self, title: str, counts: Mapping[str, int]) -> None:
        if counts:
            self.stdout.write(f"{title}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))


def day(option: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"{option} {text}: expected a day like 2016-10-01", returncode=WRONG_CALL) from error
