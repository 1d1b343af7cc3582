"""What keeps a wrong file from being loaded by one person's click: the reasons for which a second one has to look."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils import formats
from django.utils.translation import gettext as _

from evncare.admin import grouped
from evncare.imports.engine import Outcome
from evncare.imports.models import ImportRun


def reasons(run: ImportRun, outcome: Outcome) -> dict[str, str]:
    """The reasons by their names, each in a sentence; empty if one person may load it.

    A name stays the same where the numbers in the sentence change: whoever confirmed "settles" has seen it.
    """
    found = _wrong_totals(run, outcome)
    if run.is_snapshot:
        found |= _older(run, outcome) | _too_much(outcome)
    return found


def _wrong_totals(run: ImportRun, outcome: Outcome) -> dict[str, str]:
    wrong = [
        _("%(name)s: %(expected)s expected, %(found)s found")
        % {"name": name, "expected": grouped(expected), "found": grouped(found)}
        for name, expected, found in totals(run.control_totals, outcome.rows, outcome.sums)
        if expected != found
    ]
    if not wrong:
        return {}
    return {"totals": _("The file isn't what the billing system printed. %(wrong)s.") % {"wrong": "; ".join(wrong)}}


def totals(control_totals: dict[str, str], rows: int, sums: Mapping[str, Any]) -> list[tuple[str, Decimal, Decimal]]:
    """The control totals that were given: name, as given, as found."""
    return [
        (_("rows") if name == "rows" else name, Decimal(given), Decimal(rows if name == "rows" else sums.get(name, 0)))
        for name, given in control_totals.items()
    ]


def _older(run: ImportRun, outcome: Outcome) -> dict[str, str]:
    later = ImportRun.objects.of_kind(run.kind).loaded().exclude(pk=run.pk)
    covered = set(outcome.covered)
    for other in later.filter(is_snapshot=True, snapshot_date__gt=run.snapshot_date):
        if units := sorted(covered.intersection(other.covered)):
            text = _("It is of %(date)s, but %(units)s are loaded as of %(later)s already.") % {
                "date": formats.date_format(run.snapshot_date, "SHORT_DATE_FORMAT") if run.snapshot_date else "",
                "later": formats.date_format(other.snapshot_date, "SHORT_DATE_FORMAT") if other.snapshot_date else "",
                "units": ", ".join(units[:5]) + ("…" if len(units) > 5 else ""),
            }
            return {"older": text}
    return {}


def _too_much(outcome: Outcome) -> dict[str, str]:
    """What settles or opens more than the allowed share of what is open in the units that the file covers."""
    before = outcome.open_before
    if not before:
        return {}
    # Beside the new rows, those opened that had been settled: listed and taken, yet not open before.
    opened = max(outcome.new, outcome.taken - (before - outcome.removed))
    found = {}
    if _is_much(outcome.removed, before):
        found["settles"] = _(
            "It settles %(count)s of %(before)s that are open in its units: %(share)s %%, more than %(limit)s %%."
        ) % _facts(outcome.removed, before)
    if _is_much(opened, before):
        found["grows"] = _(
            "It adds %(count)s to %(before)s that are open in its units: %(share)s %%, more than %(limit)s %%."
        ) % _facts(opened, before)
    return found


def _is_much(count: int, before: int) -> bool:
    """A large share of what is open, where it is more than a few: of three debts, one is a third."""
    return count > settings.IMPORT_SNAPSHOT_FEW and _share(count, before) > settings.IMPORT_SNAPSHOT_SHARE


def _facts(count: int, before: int) -> dict[str, Any]:
    return {
        "count": grouped(count),
        "before": grouped(before),
        "share": grouped(round(_share(count, before))),
        "limit": settings.IMPORT_SNAPSHOT_SHARE,
    }


def _share(count: int, of: int) -> float:
    return 100 * count / of
