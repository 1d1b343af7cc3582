"""Load one export of the billing system. Exit status: 0 all rows taken, 1 nothing taken, 2 some rows rejected.

Every load is a run as in the admin, begun by nobody: it stands in the list of runs and can be undone there.
"""

import json
from datetime import date
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from evncare.imports import at_once, engine
from evncare.imports.declarations import declared_exports
from evncare.imports.errors import FileRefused
from evncare.imports.models import NotPossible
from evncare.imports.runs import NeedsSecondPerson

NOTHING_TAKEN = 1
SOME_REJECTED = 2
REJECTS_SHOWN = 10
SECONDS_BETWEEN_REPORTS = 1.0


class Command(BaseCommand):
    help = "Load one export of the billing system: CSV (plain or gzip) or XLSX."

    def add_arguments(self, parser: CommandParser) -> None:
        def refuse(message: str) -> NoReturn:
            raise CommandError(f"{message}\n{parser.format_usage()}", returncode=NOTHING_TAKEN)

        parser.error = refuse  # type: ignore[method-assign]  # argparse's own status, 2, means something else here
        parser.add_argument("kind", metavar="KIND", choices=[*declared_exports()], help=", ".join(declared_exports()))
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="tell what would happen, change nothing")
        snapshot = parser.add_mutually_exclusive_group()
        snapshot.add_argument(
            "--snapshot",
            action="store_true",
            default=None,
            help="settle what the file no longer lists (the default for debts)",
        )
        snapshot.add_argument("--no-snapshot", action="store_false", dest="snapshot", help="settle nothing")
        parser.add_argument(
            "--date", metavar="YYYY-MM-DD", type=date.fromisoformat, help="the day of which a snapshot is (today)"
        )
        parser.add_argument(
            "--confirm",
            action="store_true",
            help="load a snapshot even if it settles or adds suspiciously much, or is older than what is loaded",
        )
        parser.add_argument("--rejects", metavar="FILE", type=Path, help="write the rejected rows there, ready to mend")
        parser.add_argument("--json", action="store_true", help="print the result object and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        quiet = options["json"]
        try:
            load = at_once.check if options["dry_run"] else partial(at_once.load, confirmed=options["confirm"])
            outcome = load(
                declared_exports()[options["kind"]],
                options["file"],
                snapshot=options["snapshot"],
                snapshot_date=options["date"],
                rejects=options["rejects"],
                sample=0 if quiet or options["rejects"] else REJECTS_SHOWN,
                progress=(lambda rows: None) if quiet else self.show_progress(),
            )
        except NeedsSecondPerson as needed:
            text = _("%(reasons)s Nothing was changed. If it is right all the same, load it with --confirm.")
            raise CommandError(text % {"reasons": needed}, returncode=NOTHING_TAKEN) from needed
        except (FileRefused, NotPossible, OSError) as error:
            raise CommandError(str(error), returncode=NOTHING_TAKEN) from error
        if not quiet:
            self.report(outcome, dry_run=options["dry_run"])
        self.stdout.write(json.dumps(outcome.counts()))
        if outcome.rejected:
            raise CommandError(
                _("%(rejected)s of %(rows)s rows rejected") % outcome.counts(),
                returncode=SOME_REJECTED if outcome.taken else NOTHING_TAKEN,
            )

    def show_progress(self) -> Any:
        started = shown = monotonic()

        def show(rows: int) -> None:
            nonlocal shown
            if monotonic() - shown >= SECONDS_BETWEEN_REPORTS:
                shown = monotonic()
                speed = rows / (shown - started)
                self.stderr.write(
                    _("%(rows)s rows read, %(speed)s a second") % {"rows": rows, "speed": round(speed)},
                    self.style.NOTICE,
                )

        return show

    def report(self, outcome: engine.Outcome, *, dry_run: bool) -> None:
        for note in outcome.notes:
            self.stderr.write(note, self.style.WARNING)
        for reject, _cells in outcome.rejects:
            place = _("line %(line)s, %(column)s") % {"line": reject.line, "column": reject.column}
            self.stderr.write(f"{place}: {reject.value!r} {reject.reason}", self.style.WARNING)
        text = _(
            "%(kind)s: %(new)s new, %(changed)s changed, %(unchanged)s unchanged, %(removed)s settled, "
            "%(rejected)s rejected"
        )
        self.stdout.write(text % outcome.counts() + (_(" (dry run: nothing was changed)") if dry_run else ""))
