"""Reconciliation: our log against the carrier's monthly statement of charged messages, message by message.

The statement streams into a temporary table, is matched there by id and judged there in a few statements, so memory
stays flat however long it is. A line is exactly one of matched, missing here, different, duplicate or unreadable; what
we counted and no line names is missing there. docs/reconciliation.md explains all of it to both sides.
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from evncare.imports.columns import guarded
from sms.models import InboundMessage
from sms.statement import Line, opened

BATCH_SIZE = 5000
# A carrier's clock and ours may put a message on different sides of midnight.
MARGIN = timedelta(days=1)
# A reply is sent long before; only so that an index bounds the search.
LONGEST_BEFORE = timedelta(days=92)

MATCHED, DIFFERENT, DUPLICATE, UNREADABLE = "matched", "different", "duplicate", "unreadable"
MISSING_HERE, MISSING_THERE = "missing_here", "missing_there"
TITLES = {
    MATCHED: _("matched"),
    MISSING_HERE: _("missing here"),
    MISSING_THERE: _("missing there"),
    DIFFERENT: _("differently counted"),
    DUPLICATE: _("duplicates in the statement"),
    UNREADABLE: _("unreadable lines"),
}
KINDS = tuple(TITLES)


@dataclass(frozen=True)
class Part:
    """The messages of one kind: how many, what each side charges for them, and the sum of the differences in VND."""

    messages: int = 0
    vnd_there: int = 0
    vnd_here: int = 0
    disputed_vnd: int = 0

    def __add__(self, other: "Part") -> "Part":
        return Part(*(mine + yours for mine, yours in zip(vars(self).values(), vars(other).values(), strict=True)))


@dataclass(frozen=True)
class Reconciliation:
    """What came of one statement. ``parts`` has every kind; ``reasons`` counts why messages differ or can't be read."""

    carrier: str
    month: date
    parts: Mapping[str, Part]
    reasons: Mapping[str, int]
    tolerance_percent: float

    @property
    def total(self) -> Part:
        return sum(self.parts.values(), Part())

    @property
    def lines(self) -> int:
        """The lines of the statement."""
        return self.total.messages - self.parts[MISSING_THERE].messages

    @property
    def differing(self) -> int:
        """The messages that the two sides have to talk about."""
        return self.total.messages - self.parts[MATCHED].messages

    @property
    def percent(self) -> float:
        """The differing share of the messages or of the money, whichever is larger. Nothing cancels out."""
        total = self.total
        money = max(abs(total.vnd_there), abs(total.vnd_here))
        return max(_percent(self.differing, total.messages), _percent(total.disputed_vnd, money))

    @property
    def within_tolerance(self) -> bool:
        return self.percent <= self.tolerance_percent

    def as_json(self) -> dict[str, Any]:
        return {
            "carrier": self.carrier,
            "month": f"{self.month:%Y-%m}",
            "lines": self.lines,
            **{kind: dict(vars(self.parts[kind])) for kind in KINDS},
            "reasons": dict(self.reasons),
            "vnd_there": self.total.vnd_there,
            "vnd_here": self.total.vnd_here,
            "differing": self.differing,
            "disputed_vnd": self.total.disputed_vnd,
            "percent": round(self.percent, 3),
            "tolerance_percent": self.tolerance_percent,
            "within_tolerance": self.within_tolerance,
        }


def _percent(part: int, whole: int) -> float:
    if not part:
        return 0.0
    return min(100 * part / whole, 100.0) if whole else 100.0


def reconcile(carrier: str, month: date, path: Path, *, differences: Path | None = None) -> Reconciliation:
    """Compare the statement with the replies that we handed to the carrier in that month, in Vietnamese time.

    The differences are written to the file of that name, a CSV to send back. Raises StatementRefused and OSError.
    """
    start, end = _bounds(month)
    with _temporary_tables():
        with opened(path) as lines:
            _load(lines)
        _match(carrier)
        _judge(carrier, start, end)
        parts, reasons = _counted()
        if differences is not None:
            _write(differences)
    return Reconciliation(carrier, month, parts, reasons, settings.SMS_RECONCILE_TOLERANCE_PERCENT)


def is_known(carrier: str) -> bool:
    """Whether the settings or the log have this carrier."""
    return carrier in settings.SMS_CARRIERS or InboundMessage.objects.filter(carrier=carrier).exists()


def _bounds(month: date) -> tuple[datetime, datetime]:
    first = month.replace(day=1)
    following = (first + timedelta(days=31)).replace(day=1)
    zone = timezone.get_default_timezone()
    return datetime.combine(first, time(), zone), datetime.combine(following, time(), zone)


# The temporary tables. Types and collations are those of the log, so that comparing means the same and uses indexes.

LINES = """
    CREATE TEMPORARY TABLE statement_lines AS
    SELECT CAST(0 AS bigint) AS line, message_id AS reference, message_id, message_id AS reply_id,
        CAST(0 AS integer) AS segments, CAST(0 AS bigint) AS vnd, CAST('' AS varchar(16)) AS problem,
        id AS inbound_id
    FROM sms_inboundmessage WHERE 1 = 0
"""

# By our reference first, then by the carrier's id of the question, then by its id of the reply.
MATCHES = (
    """
    UPDATE statement_lines AS l SET inbound_id = o.inbound_id FROM sms_outboundmessage o
    WHERE l.problem = '' AND o.carrier = %s AND o.reference = l.reference
    """,
    """
    UPDATE statement_lines AS l SET inbound_id = m.id FROM sms_inboundmessage m
    WHERE l.problem = '' AND l.inbound_id IS NULL AND m.carrier = %s AND m.message_id = l.message_id
    """,
    """
    UPDATE statement_lines AS l SET inbound_id = o.inbound_id FROM sms_outboundmessage o
    WHERE l.problem = '' AND l.inbound_id IS NULL AND o.carrier = %s AND NOT (o.carrier_message_id = '')
        AND o.carrier_message_id = l.reply_id
    """,
)

# `verdict` is '' where the reply counts as charged in this month; an uncertain one counts if the carrier charges it.
VERDICTS = """
    CREATE TEMPORARY TABLE statement_verdicts AS
    SELECT line AS place, line,
        CASE WHEN problem <> '' THEN 'unreadable' WHEN nth > 1 THEN 'duplicate'
            WHEN inbound_id IS NULL THEN 'missing_here' WHEN reason NOT IN ('', 'unknown_here') THEN 'different'
            ELSE 'matched' END AS kind,
        CASE WHEN problem <> '' THEN problem WHEN nth > 1 OR inbound_id IS NULL THEN '' ELSE reason END AS reason,
        message_id, reference, segments AS segments_there, segments_here, vnd AS vnd_there,
        CASE WHEN problem <> '' OR nth > 1 OR inbound_id IS NULL THEN 0 ELSE vnd_here END AS vnd_here
    FROM (
        SELECT *, CASE
            WHEN vnd <> vnd_here AND vnd_here <> 0 THEN 'amount'
            WHEN vnd <> vnd_here THEN verdict
            WHEN segments <> segments_here THEN 'segments'
            WHEN vnd_here <> 0 AND state NOT IN ('SENT', 'DELIVERED') THEN 'unknown_here'
            ELSE '' END AS reason
        FROM (
            SELECT *, CASE WHEN verdict = '' THEN {price} ELSE 0 END AS vnd_here
            FROM (
                SELECT l.line, l.problem, l.segments, l.vnd, l.inbound_id, o.state, o.segments AS segments_here,
                    COALESCE(m.message_id, l.message_id) AS message_id, COALESCE(o.reference, l.reference) AS reference,
                    ROW_NUMBER() OVER (
                        PARTITION BY l.problem, l.inbound_id, CASE WHEN l.inbound_id IS NULL
                            THEN COALESCE(NULLIF(l.reference, ''), NULLIF(l.message_id, ''), l.reply_id) END
                        ORDER BY l.line
                    ) AS nth,
                    CASE WHEN o.id IS NULL THEN 'no_reply'
                        WHEN o.carrier <> %s THEN 'other_carrier'
                        WHEN NOT o.charge THEN 'free_here'
                        WHEN o.state NOT IN ('SENT', 'DELIVERED', 'UNKNOWN', 'SENDING') THEN 'not_sent'
                        WHEN COALESCE(o.sent_at, o.claimed_at, o.created_at) < %s
                            OR COALESCE(o.sent_at, o.claimed_at, o.created_at) >= %s THEN 'other_month'
                        ELSE '' END AS verdict
                FROM statement_lines l
                LEFT JOIN sms_inboundmessage m ON m.id = l.inbound_id
                LEFT JOIN sms_outboundmessage o ON o.inbound_id = l.inbound_id
            ) joined
        ) priced
    ) judged
"""

MISSING = """
    INSERT INTO statement_verdicts
    SELECT (SELECT COALESCE(MAX(line), 0) FROM statement_lines) + ROW_NUMBER() OVER (ORDER BY o.id), NULL,
        'missing_there', '', m.message_id, o.reference, NULL, o.segments, 0, {price}
    FROM sms_outboundmessage o JOIN sms_inboundmessage m ON m.id = o.inbound_id
    WHERE o.carrier = %s AND o.charge AND o.state IN ('SENT', 'DELIVERED') AND o.created_at >= %s AND o.created_at < %s
        AND o.sent_at >= %s AND o.sent_at < %s
        AND NOT EXISTS (SELECT 1 FROM statement_lines l WHERE l.inbound_id = o.inbound_id)
"""

COUNTS = """
    SELECT kind, reason, COUNT(*), SUM(vnd_there), SUM(vnd_here), SUM(ABS(vnd_there - vnd_here))
    FROM statement_verdicts GROUP BY kind, reason ORDER BY kind, reason
"""

DIFFERENCES = """
    SELECT place, kind, reason, line, message_id, reference, segments_there, segments_here, vnd_there, vnd_here
    FROM statement_verdicts WHERE kind <> 'matched' AND place > %s ORDER BY place LIMIT %s
"""


WRITTEN = (
    "difference", "reason", "line", "message_id", "reference", "segments_there", "segments_here", "vnd_there",
    "vnd_here",
)  # fmt: skip


def _run(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def _temporary_tables() -> Iterator[None]:
    _run(LINES)
    if connection.vendor == "postgresql":
        # Whole months are joined: a plan that looks rows up one by one is wrong, whatever old statistics say.
        _run("SET enable_nestloop = off")
    try:
        yield
    finally:
        with suppress(DatabaseError):  # a lost connection took them along
            if connection.vendor == "postgresql":
                _run("RESET enable_nestloop")
            _run("DROP TABLE IF EXISTS statement_verdicts")
            _run("DROP TABLE IF EXISTS statement_lines")


def _load(lines: Iterator[Line]) -> None:
    insert: Callable[[Sequence[Line]], None] = _copy if connection.vendor == "postgresql" else _insert
    while batch := list(islice(lines, BATCH_SIZE)):
        insert(batch)
    _analyse("statement_lines")


def _copy(batch: Sequence[Line]) -> None:
    columns = "line, reference, message_id, reply_id, segments, vnd, problem"
    with connection.cursor() as cursor, cursor.copy(f"COPY statement_lines ({columns}) FROM STDIN") as copy:
        for line in batch:
            copy.write_row(line)


def _insert(batch: Sequence[Line]) -> None:
    # A transaction a batch: SQLite's lock is held for milliseconds only, however long the file.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany("INSERT INTO statement_lines VALUES (%s, %s, %s, %s, %s, %s, %s, NULL)", batch)


def _analyse(table: str) -> None:
    if connection.vendor == "postgresql":  # nobody else does it for temporary tables
        _run(f"ANALYZE {table}")


def _match(carrier: str) -> None:
    for statement in MATCHES:
        _run(statement, carrier)
    _run("CREATE INDEX statement_lines_by_message ON statement_lines (inbound_id)")
    _analyse("statement_lines")


def _judge(carrier: str, start: datetime, end: datetime) -> None:
    def moment(at: datetime) -> Any:
        return connection.ops.adapt_datetimefield_value(at)

    price = str(int(settings.SMS_PRICE_VND))
    _run(VERDICTS.replace("{price}", price), carrier, moment(start - MARGIN), moment(end + MARGIN))
    _run(
        MISSING.replace("{price}", price),
        carrier,
        moment(start - LONGEST_BEFORE),
        moment(end),
        moment(start),
        moment(end),
    )
    _run("CREATE INDEX statement_verdicts_by_place ON statement_verdicts (place)")
    _analyse("statement_verdicts")


def _counted() -> tuple[dict[str, Part], dict[str, int]]:
    parts = dict.fromkeys(KINDS, Part())
    reasons: dict[str, int] = {}
    for kind, reason, *sums in _run(COUNTS):
        parts[kind] += Part(*(int(number) for number in sums))
        if reason:
            reasons[reason] = reasons.get(reason, 0) + sums[0]
    return parts, reasons


def _write(path: Path) -> None:
    """The differences as CSV, by id and without a phone number or text."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(WRITTEN)
        last = -1
        while page := _run(DIFFERENCES, last, BATCH_SIZE):
            for _place, *cells in page:
                writer.writerow("" if cell is None else guarded(str(cell)) for cell in cells)
            last = page[-1][0]
