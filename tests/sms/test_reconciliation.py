"""Reconciliation: real files of every shape that carriers send, and each kind of difference."""

import csv
import json
import tempfile
import tracemalloc
from datetime import date, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from sms.models import InboundMessage, OutboundMessage
from sms.reconciliation import KINDS, Part, reconcile
from tests import factories
from tests.factories import NOW, VIETNAM

pytestmark = pytest.mark.django_db

OCTOBER = date(2016, 10, 1)


def sent(**fields) -> OutboundMessage:
    return factories.reply(**{"state": "SENT", "sent_at": NOW} | fields)


def statement(tmp_path: Path, *lines: str, encoding: str = "utf-8") -> Path:
    file = tmp_path / "statement.csv"
    file.write_text("\n".join(lines) + "\n", encoding=encoding)
    return file


def kinds(result) -> dict[str, int]:
    return {kind: part.messages for kind, part in result.parts.items() if part.messages}


def compared(tmp_path: Path, *lines: str) -> tuple[dict[str, int], dict[str, int]]:
    result = reconcile("memory", OCTOBER, statement(tmp_path, *lines))
    return kinds(result), dict(result.reasons)


def test_a_statement_that_agrees_matches_line_by_line(tmp_path):
    replies = [sent() for _ in range(3)]
    lines = [f"{reply.inbound.message_id},1,1000" for reply in replies]
    result = reconcile("memory", OCTOBER, statement(tmp_path, "message_id,segments,amount", *lines))
    assert result.parts["matched"] == Part(messages=3, vnd_there=3000, vnd_here=3000)
    assert (result.lines, result.differing, result.percent, result.within_tolerance) == (3, 0, 0.0, True)


def test_what_staff_had_sent_again_is_free_and_never_missing_there(tmp_path):
    first = sent(state="FAILED")
    follower = factories.inbound(
        follows=first.inbound, message_id="desk-1", state="ANSWERED", outcome="answered", concluded_at=NOW
    )
    again = sent(message=follower, charge=False)
    own = sent()
    assert compared(tmp_path, "message_id,amount", f"{own.inbound.message_id},1000") == ({"matched": 1}, {})
    lines = [f"{row.reference},1000" for row in (own, again)]
    assert compared(tmp_path, "reference,amount", *lines) == ({"matched": 1, "different": 1}, {"free_here": 1})


@pytest.mark.parametrize(
    "id_of",
    [lambda r: r.reference, lambda r: r.inbound.message_id, lambda r: r.carrier_message_id],
    ids=["our reference", "the question's id", "the reply's id"],
)
@pytest.mark.parametrize("header", ["Message ID", "REFERENCE", "mt-id", "Mã tin nhắn"])
def test_one_column_of_ids_may_hold_any_id_under_any_usual_name(tmp_path, id_of, header):
    reply = sent(carrier_message_id="C77")
    assert compared(tmp_path, header, id_of(reply)) == ({"matched": 1}, {})


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("Số tiền;STT;MÃ TIN NHẮN;Số tin", "1.000;1;{id};1"),
        ("amount\tmessage_id", "1,000.00\t{id}"),
        ('"Amount (x)","Price","MessageID"', '"?","1 000 đ","{id}"'),
        ("message_id,charged", "{id},Y"),
        ("message_id,charge", "{id},1000"),
        ("message_id,charge", "{id},TRUE"),
        ("message_id,charged,amount", "{id},có,1000.0"),
    ],
)
def test_columns_come_in_any_order_case_and_spelling(tmp_path, header, line):
    reply = sent()
    assert compared(tmp_path, header, line.format(id=reply.inbound.message_id)) == ({"matched": 1}, {})


def test_titles_above_the_header_and_totals_below_are_no_messages(tmp_path):
    reply = sent()
    lines = (
        "BẢNG KÊ CƯỚC 10/2016,,",
        ",,",
        "STT,message_id,amount",
        f"1,{reply.reference},1000",
        ",,",
        "Tổng cộng,,1000",
    )
    assert compared(tmp_path, *lines) == ({"matched": 1}, {})


def test_a_workbook_is_read_like_a_csv(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    reply = sent()
    book = openpyxl.Workbook()
    book.active.append(["Message_ID", "Segments", "Amount"])
    book.active.append([reply.inbound.message_id, 1, 1000])
    file = tmp_path / "statement.xlsx"
    book.save(file)
    assert kinds(reconcile("memory", OCTOBER, file)) == {"matched": 1}


def test_each_side_may_miss_what_the_other_has(tmp_path):
    reply = sent()
    result = reconcile("memory", OCTOBER, statement(tmp_path, "message_id,amount", "nobody's,1000"))
    assert kinds(result) == {"missing_here": 1, "missing_there": 1}
    assert result.total == Part(messages=2, vnd_there=1000, vnd_here=1000, disputed_vnd=2000)
    assert (result.percent, result.within_tolerance) == (100.0, False), "the two do not cancel out"
    assert reply.pk


@pytest.mark.parametrize(
    ("fields", "line", "reason"),
    [
        ({}, "{id},2,1000", "segments"),
        ({}, "{id},1,2000", "amount"),
        ({}, "{id},1,0", "amount"),
        ({"charge": False}, "{id},1,1000", "free_here"),
        ({"state": "FAILED"}, "{id},1,1000", "not_sent"),
        ({"state": "WAITING", "sent_at": None}, "{id},1,1000", "not_sent"),
        ({"carrier": "other"}, "{id},1,1000", "other_carrier"),
        ({"sent_at": NOW - timedelta(days=40)}, "{id},1,1000", "other_month"),
    ],
)
def test_a_message_that_is_counted_differently_says_why(tmp_path, fields, line, reason):
    reply = sent(**fields)
    line = line.format(id=reply.inbound.message_id)
    assert compared(tmp_path, "message_id,segments,amount", line) == ({"different": 1}, {reason: 1})


def test_a_charge_for_a_message_that_got_no_reply_is_a_difference(tmp_path):
    refused = factories.inbound(state="REFUSED", outcome="refused", refusal="BINARY", concluded_at=NOW)
    assert compared(tmp_path, "message_id", refused.message_id) == ({"different": 1}, {"no_reply": 1})


def test_free_messages_may_be_listed_and_need_not_be(tmp_path):
    sent(charge=False)
    listed = sent(charge=False)
    assert compared(tmp_path, "message_id,amount", f"{listed.inbound.message_id},0") == ({"matched": 1}, {})


def test_what_may_have_been_sent_counts_if_the_carrier_charges_it(tmp_path):
    charged = sent(state="UNKNOWN", sent_at=None, claimed_at=NOW)
    sent(state="UNKNOWN", sent_at=None, claimed_at=NOW)
    assert compared(tmp_path, "reference", charged.reference) == ({"matched": 1}, {"unknown_here": 1})


def test_a_second_line_of_a_message_is_a_duplicate_whichever_id_it_uses(tmp_path):
    reply = sent()
    lines = (f"{reply.reference},", f",{reply.inbound.message_id}", "x,", "x,")
    result = reconcile("memory", OCTOBER, statement(tmp_path, "reference,message_id", *lines))
    assert kinds(result) == {"matched": 1, "duplicate": 2, "missing_here": 1}
    assert result.parts["duplicate"] == Part(messages=2, vnd_there=2000, vnd_here=0, disputed_vnd=2000)


def test_lines_that_cannot_be_read_are_told_with_their_reason(tmp_path):
    lines = (",1,1000", "a,many,1000", "b,1,much", "1.23E+15,1,1000", f"{'x' * 129},1,1000")
    assert compared(tmp_path, "message_id,segments,amount", *lines) == (
        {"unreadable": 5},
        {"no_id": 1, "bad_segments": 1, "bad_amount": 1, "rounded_id": 1, "long_id": 1},
    )


def test_the_month_is_a_vietnamese_month_with_a_days_grace_for_the_carriers_clock(tmp_path):
    first = sent(sent_at=datetime(2016, 10, 1, 0, 0, tzinfo=VIETNAM), created_at=NOW - timedelta(days=10))
    sent(sent_at=datetime(2016, 11, 1, 0, 0, tzinfo=VIETNAM))
    eve = sent(sent_at=datetime(2016, 9, 30, 23, 59, tzinfo=VIETNAM))
    sent(sent_at=datetime(2016, 10, 31, 23, 59, tzinfo=VIETNAM))
    lines = (first.reference, eve.reference)
    assert compared(tmp_path, "reference", *lines) == ({"matched": 2, "missing_there": 1}, {})


def test_another_carriers_messages_are_not_ours_to_compare(tmp_path):
    theirs = sent(carrier="other")
    assert compared(tmp_path, "reference", theirs.reference) == ({"missing_here": 1}, {})


def test_the_price_is_per_answered_question_however_long_the_answer(tmp_path, settings):
    settings.SMS_PRICE_VND = 1500
    reply = sent(text="x" * 400)
    assert reply.segments == 3
    assert compared(tmp_path, "reference,segments,amount", f"{reply.reference},3,1500") == ({"matched": 1}, {})


def test_erased_messages_reconcile_as_before(tmp_path):
    reply = sent(carrier_message_id="C1")
    InboundMessage.objects.update(sender="", text="", payload=b"", customer_code="", erased_at=NOW)
    OutboundMessage.objects.update(recipient="", text="")
    assert compared(tmp_path, "message_id", reply.inbound.message_id) == ({"matched": 1}, {})


# The command


def run(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("reconcile", *map(str, arguments), stdout=out)
    except CommandError as error:
        return error.returncode, out.getvalue() + str(error)
    return 0, out.getvalue()


@pytest.fixture
def _memory(settings):
    settings.SMS_CARRIERS = {"memory": {"BACKEND": "memory"}}


@pytest.mark.usefixtures("_memory")
def test_the_command_exits_by_the_tolerance(tmp_path, settings):
    replies = [sent() for _ in range(100)]
    file = statement(tmp_path, "reference", *(reply.reference for reply in replies[1:]))
    status, shown = run("memory", "2016-10", file, "--json")
    result = json.loads(shown)
    assert (status, result["percent"], result["within_tolerance"]) == (0, 1.0, True)
    assert (result["lines"], result["missing_there"]["messages"], result["vnd_here"]) == (99, 1, 100000)
    settings.SMS_RECONCILE_TOLERANCE_PERCENT = 0.5
    assert run("memory", "2016-10", file)[0] == 1


@pytest.mark.usefixtures("_memory")
@pytest.mark.parametrize(
    "content", [b"", b"sender,text\n1,2\n", b"\x00\x01\x02", b"PK\x03\x04broken", b"\xd0\xcf\x11\xe0old"]
)
def test_a_file_that_is_no_statement_is_refused(tmp_path, content):
    file, out = tmp_path / "file", tmp_path / "out.csv"
    file.write_bytes(content)
    status, shown = run("memory", "2016-10", file, "--out", out)
    assert (status, bool(shown)) == (2, True)
    assert not out.exists()
    assert run("memory", "2016-10", file)[0] == 2, "and again: nothing is left over"


@pytest.mark.usefixtures("_memory")
def test_a_wrong_call_is_refused(tmp_path):
    file = statement(tmp_path, "message_id", "x")
    for arguments in (
        ("nobody", "2016-10", file),
        ("memory", "2016-13", file),
        ("memory", "2016-10", tmp_path / "none"),
    ):
        assert run(*arguments)[0] == 2


@pytest.mark.usefixtures("_memory")
def test_the_file_of_differences_names_ids_only_and_runs_nothing(tmp_path):
    missing = sent()
    matched = sent()
    file = statement(
        tmp_path, "message_id,segments,amount,phone", f"{matched.reference},1,1000,0905123456", "=1+1,2,1000,x"
    )
    out = tmp_path / "differences.csv"
    run("memory", "2016-10", file, "--out", out)
    with out.open(encoding="utf-8-sig", newline="") as opened:
        here, there = csv.DictReader(opened)
    assert (here["difference"], here["line"], here["message_id"], here["vnd_there"]) == (
        "missing_here",
        "3",
        "'=1+1",
        "1000",
    )
    assert (there["difference"], there["line"], there["reference"]) == ("missing_there", "", missing.reference)
    assert "905123456" not in out.read_text(encoding="utf-8-sig")


# Sums


CASES = st.lists(
    st.tuples(
        st.sampled_from(["SENT", "DELIVERED", "FAILED", "UNKNOWN", "WAITING", None]),  # None: not in our log
        st.booleans(),  # charged here
        st.integers(0, 3),  # lines in the statement
        st.sampled_from(["1000", "0", "2000", "", "x"]),
        st.sampled_from(["1", "2", ""]),
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(CASES)
def test_every_line_and_every_reply_is_counted_once_and_the_sums_add_up(cases):
    lines, expected_lines, owed = ["message_id,amount,segments"], 0, 0
    with transaction.atomic(), tempfile.TemporaryDirectory() as directory:
        for place, (state, charge, copies, amount, segments) in enumerate(cases):
            name = f"none{place}"
            if state:
                at = {"sent_at": NOW} if state in ("SENT", "DELIVERED") else {}
                name = factories.reply(state=state, charge=charge, **at).inbound.message_id
                owed += charge and state in ("SENT", "DELIVERED")
            lines += [f"{name},{amount},{segments}"] * copies
            expected_lines += copies
        file = statement(Path(directory), *lines)
        out = Path(directory) / "out.csv"
        result = reconcile("memory", OCTOBER, file, differences=out)
        transaction.set_rollback(True)
        written = len(out.read_text(encoding="utf-8-sig").splitlines()) - 1
    counts = {kind: result.parts[kind].messages for kind in KINDS}
    assert sum(counts[kind] for kind in KINDS if kind != "missing_there") == result.lines == expected_lines
    assert written == result.differing == sum(counts.values()) - counts["matched"]
    assert counts["missing_there"] <= owed
    assert result.total.vnd_here - result.total.vnd_there == sum(
        p.vnd_here - p.vnd_there for p in result.parts.values()
    )
    assert abs(result.total.vnd_here - result.total.vnd_there) <= result.total.disputed_vnd
    assert (result.parts["matched"].disputed_vnd, result.parts["missing_here"].vnd_here) == (0, 0)
    assert (result.percent == 0) == (result.differing == 0)


FILL = (
    """
    WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 99999)
    INSERT INTO sms_inboundmessage (id, carrier, message_id, sender, short_code, text, is_binary, operator, payload,
        received_at, state, attempts, failure, keyword, customer_code, outcome, refusal, concluded_at)
    SELECT 1000 + n, 'memory', 'B' || CAST(n AS varchar(9)), '84905123456', '8088', '', FALSE, '', %(empty)s, %(at)s,
        'ANSWERED', 0, '', '', '', 'answered', '', %(at)s FROM numbers
    """,
    """
    INSERT INTO sms_outboundmessage (inbound_id, reference, carrier, recipient, short_code, wording, text, encoding,
        segments, charge, created_at, state, attempts, send_after, sent_at, carrier_message_id, failure)
    SELECT id, 'R' || message_id, 'memory', '84905123456', '8088', '', '', 'GSM-7', 1, TRUE, %(at)s, 'SENT', 1,
        %(at)s, %(at)s, '', '' FROM sms_inboundmessage
    """,
)


def test_a_hundred_thousand_lines_take_seconds_and_little_memory(tmp_path):
    at = connection.ops.adapt_datetimefield_value(NOW)
    with connection.cursor() as cursor:
        for insert in FILL:
            cursor.execute(insert, {"at": at, "empty": b""})
    file = statement(tmp_path, "message_id,amount", *(f"B{n},1000" for n in range(100, 100_100)))
    tracemalloc.start()
    try:
        result = reconcile("memory", OCTOBER, file)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert kinds(result) == {"matched": 99_900, "missing_here": 100, "missing_there": 100}
    assert most < 30 << 20
