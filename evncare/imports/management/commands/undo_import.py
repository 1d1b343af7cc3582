"""Take back the last load of a kind. Exit status: 0 undone, 1 not, with the reason; then nothing has changed."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from evncare.imports import at_once
from evncare.imports.declarations import declared_exports
from evncare.imports.models import NotPossible


class Command(BaseCommand):
    help = "Take back the last load of a kind: the table is as it was before it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", metavar="KIND", choices=[*declared_exports()], help=", ".join(declared_exports()))

    def handle(self, *args: Any, kind: str, **options: Any) -> None:
        try:
            run = at_once.undo(declared_exports()[kind])
        except NotPossible as error:
            raise CommandError(str(error)) from error
        self.stdout.write(_("Undone: run %(run)s, %(file)s") % {"run": run.pk, "file": run.file_name})
