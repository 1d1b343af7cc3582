"""Compare our log with a carrier's monthly statement.

Exit status: 0 within the tolerance, 1 beyond it, 2 the statement can't be used, or a wrong call.
"""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from sms import reconciliation
from sms.reconciliation import Reconciliation
from sms.statement import StatementRefused

BEYOND, UNUSABLE = 1, 2


class Command(BaseCommand):
    help = "Compare our log with a carrier's monthly statement of charged messages (CSV, plain or gzip, or XLSX)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("carrier", metavar="CARRIER")
        parser.add_argument("month", metavar="YYYY-MM")
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--out", metavar="FILE", type=Path, help="write the differences there, to send back")

    def handle(self, **options: Any) -> None:
        if not reconciliation.is_known(options["carrier"]):
            raise CommandError(
                _("no carrier %(carrier)s in SMS_CARRIERS or the log") % {"carrier": options["carrier"]},
                returncode=UNUSABLE,
            )
        of = month(options["month"])
        try:
            result = reconciliation.reconcile(options["carrier"], of, options["file"], differences=options["out"])
        except (StatementRefused, OSError) as error:
            raise CommandError(str(error), returncode=UNUSABLE) from error
        if options["json"]:
            self.stdout.write(json.dumps(result.as_json()))
        else:
            self.show(result)
        if not result.within_tolerance:
            raise CommandError(
                _("%(percent).3f %% differ, more than the %(tolerance)s %% that are tolerated")
                % {"percent": result.percent, "tolerance": result.tolerance_percent},
                returncode=BEYOND,
            )

    def show(self, result: Reconciliation) -> None:
        self.stdout.write(f"{result.carrier} {result.month:%m/%Y}")
        for kind, title in [*reconciliation.TITLES.items(), ("", _("all together"))]:
            part = result.parts[kind] if kind else result.total
            self.stdout.write(
                _("%(title)s: %(messages)s, there %(there)s VND, here %(here)s VND")
                % {"title": title, "messages": part.messages, "there": part.vnd_there, "here": part.vnd_here}
            )
        for reason, count in result.reasons.items():
            self.stdout.write(f"  {reason}: {count}")
        self.stdout.write(
            _("%(percent).3f %% differ, %(tolerance)s %% are tolerated")
            % {"percent": result.percent, "tolerance": result.tolerance_percent}
        )


def month(text: str) -> date:
    try:
        if not re.fullmatch(r"\d{4}-\d{2}", text, re.ASCII):
            raise ValueError
        return date(int(text[:4]), int(text[5:]), 1)
    except ValueError as error:
        raise CommandError(f"{text}: expected a month like 2016-10", returncode=UNUSABLE) from error
