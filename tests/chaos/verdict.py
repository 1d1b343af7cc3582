"""What has to hold after the chaos, each told by what the senders were answered, the carrier's ledger and our database.

The three never share code with the service: the database is read by plain SQL.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tests.chaos.carrier import RETRY_AFTER
from tests.chaos.senders import CODE, Acknowledged, Message

INBOUND = """
    SELECT m.id, message_id, m.sender, m.text, m.state, outcome, refusal, repeats_id, received_at, concluded_at,
        count(o.id) AS replies
    FROM sms_inboundmessage m LEFT JOIN sms_outboundmessage o ON o.inbound_id = m.id GROUP BY m.id ORDER BY m.id
"""
OUTBOUND = """
    SELECT o.*, extract(epoch FROM claimed_at)::float8 AS claimed, message_id FROM sms_outboundmessage o
    JOIN sms_inboundmessage m ON m.id = inbound_id ORDER BY o.id
"""
SECONDS_OF_A_BATCH = 5  # what is concluded bears the time when its batch began; the two may be in one
DIED = "the process that was sending it ended"


@dataclass
class Evidence:
    """All that is known at the end. ``ledger`` is the carrier's, by our reference."""

    messages: list[Message]
    acknowledged: Acknowledged
    gave_up: list[str]
    ledger: dict[str, dict[str, Any]]
    kills: list[tuple[float, str]]
    claim_seconds: float
    audit: dict[str, Any]
    secrets: dict[str, str]  # what it is, and how it reads
    shown: dict[str, str]  # our logs and what /metrics told
    inbound: list[dict[str, Any]] = field(default_factory=list)
    outbound: list[dict[str, Any]] = field(default_factory=list)
    dump: dict[str, str] = field(default_factory=dict)

    def read(self, database_url: str) -> None:
        with psycopg.connect(database_url, row_factory=dict_row) as connection:
            self.inbound = connection.execute(INBOUND).fetchall()
            self.outbound = connection.execute(OUTBOUND).fetchall()
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            self.dump = {
                table["tablename"]: connection.execute(
                    sql.SQL("SELECT coalesce(string_agg(t::text, E'\\n'), '') AS rows FROM {} t").format(
                        sql.Identifier(table["tablename"])
                    )
                ).fetchone()["rows"]
                for table in tables
            }


def problems(evidence: Evidence) -> Iterator[str]:
    """Everything that should not be, one line each."""
    for check in (stored_once, concluded_once, resends, sent_once, unknown_ones, reports, books, discretion):
        for number, problem in enumerate(check(evidence)):
            if number == 10:
                yield f"... and more of {check.__name__}"
                break
            yield problem


def stored_once(evidence: Evidence) -> Iterator[str]:
    rows = {row["message_id"]: row for row in evidence.inbound}
    yield from (f"{id_} was never acknowledged" for id_ in evidence.gave_up)
    for message in evidence.messages:
        told, row = evidence.acknowledged.rows.get(message.id, set()), rows.get(message.id)
        if row is None:
            yield f"{message.id} is not stored"
        elif told != {row["id"]}:
            yield f"{message.id} is stored as {row['id']} and was acknowledged as {told}"
        elif (row["sender"], row["text"]) != (message.sender, message.text):
            yield f"{message.id} is not stored as it was sent"
        if evidence.acknowledged.new.get(message.id, 0) > 1:
            yield f"{message.id} was acknowledged as new {evidence.acknowledged.new[message.id]} times"
    sent = {message.id for message in evidence.messages}
    yield from (
        f"{row['message_id']} is stored but nobody sent it" for row in evidence.inbound if row["message_id"] not in sent
    )
    if len(rows) != len(evidence.inbound):
        yield "a message is stored twice"


def concluded_once(evidence: Evidence) -> Iterator[str]:
    for row in evidence.inbound:
        answered = (row["state"], row["replies"]) == ("ANSWERED", 1)
        refused = (row["state"], row["replies"]) == ("REFUSED", 0) and row["refusal"]
        if not answered and not refused:
            yield f"{row['message_id']} is {row['state']} {row['refusal']} with {row['replies']} replies"


def resends(evidence: Evidence) -> Iterator[str]:
    """A message sent again before the answer to the first was worded is answered once."""
    rows = {row["message_id"]: row for row in evidence.inbound}
    for message in evidence.messages:
        first, again = rows.get(message.resend_of), rows.get(message.id)
        if first is None or again is None or not first["concluded_at"] or first["refusal"]:
            continue
        after = (again["received_at"] - first["concluded_at"]).total_seconds()
        if after < 0 and (again["refusal"], again["repeats_id"]) != ("RESENT", first["id"]):
            yield f"{message.id} came before {message.resend_of} was answered, and is {again['state']}"
        if after > SECONDS_OF_A_BATCH and again["state"] != "ANSWERED":
            yield f"{message.id} came after {message.resend_of} was answered, and is {again['refusal']}"


def sent_once(evidence: Evidence) -> Iterator[str]:
    ours = {row["reference"]: row for row in evidence.outbound}
    for reference, entry in evidence.ledger.items():
        taken = [at for at, what in entry["events"] if what.startswith("taken")]
        if len(taken) > 1:
            yield f"the carrier got the reply to {entry['message']} {len(taken)} times: {entry['events']}"
        if reference not in ours:
            yield f"the carrier got a reply that we don't know, to {entry['message']}"
        elif (ours[reference]["message_id"], ours[reference]["recipient"]) != (entry["message"], entry["to"]):
            yield f"the reply to {entry['message']} went astray"
        for (at, what), (then, _) in zip(entry["events"], entry["events"][1:], strict=False):
            if what == "429" and then - at < RETRY_AFTER - 0.1:
                yield f"the reply to {entry['message']} came {then - at:.1f} s after a 429 that asked for {RETRY_AFTER}"
    several = Counter(entry["message"] for entry in evidence.ledger.values())
    yield from (f"{message} got {count} replies" for message, count in several.items() if count > 1)


def unknown_ones(evidence: Evidence) -> Iterator[str]:
    """What ended as UNKNOWN has one of three reasons, and what the carrier reset or never answered is not SENT."""
    for row in evidence.outbound:
        events = [what for _, what in evidence.ledger.get(row["reference"], {"events": []})["events"]]
        no_answer = [what for what in events if what in ("taken, reset", "taken, silence")]
        if row["state"] in ("WAITING", "SENDING", "FAILED", "EXPIRED"):
            yield f"the reply to {row['message_id']} ended as {row['state']}: {row['failure']}"
        if row["state"] == "UNKNOWN" and not no_answer:
            died = row["failure"] == DIED and any(
                fault.startswith("worker") and row["claimed"] - 1 <= at <= row["claimed"] + evidence.claim_seconds
                for at, fault in evidence.kills
            )
            if not died:
                yield f"the reply to {row['message_id']} is UNKNOWN ({row['failure']}), but the carrier saw {events}"
        if row["state"] == "SENT" and (no_answer or not events):
            yield f"the reply to {row['message_id']} is SENT, but the carrier saw {events}"
        if row["state"] == "DELIVERED" and not any(what.startswith("taken") for what in events):
            yield f"the reply to {row['message_id']} is DELIVERED, but the carrier saw {events}"


def reports(evidence: Evidence) -> Iterator[str]:
    """A report that we took has its effect: the first of several stands."""
    rows = {row["reference"]: row for row in evidence.outbound}
    for reference, entry in evidence.ledger.items():
        row = rows.get(reference, {"state": "missing", "carrier_message_id": ""})
        # By its own id the carrier's report finds nothing if we died before we learnt that id.
        nameless = row["state"] == "UNKNOWN" and not row["carrier_message_id"]
        if any(http_status != 200 for _, http_status, _ in entry["reports"]):
            yield f"a report of the reply to {entry['message']} was never taken: {entry['reports']}"
        elif entry["reports"] and row["state"] != "DELIVERED" and not nameless:
            yield f"the reply to {entry['message']} is {row['state']}, but was reported: {entry['reports']}"
        elif not entry["reports"] and row["state"] == "DELIVERED":
            yield f"the reply to {entry['message']} is DELIVERED without a report"


def books(evidence: Evidence) -> Iterator[str]:
    audit = evidence.audit
    if not audit["balanced"] or audit["received"] != len(evidence.messages):
        yield f"the audit has {audit['received']} received of {len(evidence.messages)}, balanced: {audit['balanced']}"
    unknown = sum(row["state"] == "UNKNOWN" for row in evidence.outbound)
    found = {name: exception["count"] for name, exception in audit["exceptions"].items()}
    if found != ({"unknown": unknown} if unknown else {}):
        yield f"the audit lists {found}; there are {unknown} UNKNOWN"


def discretion(evidence: Evidence) -> Iterator[str]:
    """No secret in the database, and neither secrets nor numbers, codes or texts in logs and metrics."""
    for what, secret in evidence.secrets.items():
        octets = secret.encode().hex()
        yield from (
            f"{what} stands in {table}" for table, rows in evidence.dump.items() if secret in rows or octets in rows
        )
        yield from (f"{what} stands in {where}" for where, text in evidence.shown.items() if secret in text)
    private = [*{message.sender for message in evidence.messages if message.sender.startswith("849")}, CODE, "TienDien"]
    private += [message.text for message in evidence.messages[:200] if len(message.text) > 5]
    for where, text in evidence.shown.items():
        found = [word for word in dict.fromkeys(private) if word in text]
        if found:
            yield f"{where} has numbers, codes or texts: {found[:3]}"


def figures(evidence: Evidence) -> Iterator[str]:
    """What there was, for people."""
    events = Counter(what for entry in evidence.ledger.values() for _, what in entry["events"])
    unknown = [row for row in evidence.outbound if row["state"] == "UNKNOWN"]
    statuses = evidence.acknowledged.statuses
    received = Counter(row["refusal"] or row["state"] for row in evidence.inbound)
    replies = Counter(row["state"] for row in evidence.outbound)
    yield f"posted      {sum(statuses.values())} requests: {shown(statuses)}"
    yield f"received    {len(evidence.inbound)}: {shown(received)}"
    yield f"replies     {len(evidence.outbound)}: {shown(replies)}"
    yield f"carrier saw {len(evidence.ledger)} references: {shown(events)}"
    died = sum(row["failure"] == DIED for row in unknown)
    yield f"unknown     {len(unknown)}: {died} of a killed process, {len(unknown) - died} without an answer"


def shown(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
