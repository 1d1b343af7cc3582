"""`manage.py answer`: what people and scripts rely on."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from sms.models import InboundMessage, OutboundMessage
from tests import factories
from tests.factories import CODE
from tests.sms.test_syntaxes import PUBLISHED

pytestmark = pytest.mark.django_db


def answer(*arguments: str) -> str:
    out = StringIO()
    call_command("answer", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_it_prints_the_reply_and_stores_nothing():
    factories.everything_published()
    for text, reply in PUBLISHED.items():
        assert answer("--at", "2016-10-05T08:00", text) == reply + "\n"
    assert not InboundMessage.objects.exists()
    assert not OutboundMessage.objects.exists()


def test_json_tells_what_was_understood():
    factories.everything_published()
    assert json.loads(answer("--json", f"td {CODE} 10/2016")) == {
        "text": f"td {CODE} 10/2016",
        "outcome": "answered",
        "syntax": "TD",
        "customer": CODE,
        "period": {"ky": 1, "month": 10, "year": 2016},
        "reply": PUBLISHED[f"TD {CODE} 1 10 2016"],
        "encoding": "GSM-7",
        "segments": 1,
    }


def test_json_fills_in_what_was_understood_of_an_error():
    shown = json.loads(answer("--json", f"TD {CODE} 1 13 2016"))
    assert (shown["outcome"], shown["syntax"], shown["customer"]) == ("bad_syntax", "TD", CODE)
    assert shown["period"] is None


def test_a_file_gives_one_line_for_each_of_its_lines_the_empty_ones_too(tmp_path):
    file = tmp_path / "messages.txt"
    file.write_text("TC\n\nhello\r\nNTD\u2028x\nTC", encoding="utf-8")
    shown = [json.loads(line) for line in answer("--file", str(file), "--json").splitlines()]
    assert [one["text"] for one in shown] == ["TC", "", "hello", "NTD\u2028x", "TC"]
    assert [one["outcome"] for one in shown] == ["answered", "bad_syntax", "bad_syntax", "bad_syntax", "answered"]


def test_a_sender_that_cannot_be_answered_is_refused():
    shown = json.loads(answer("--json", "--from", "VIETTEL", "TC"))
    assert (shown["outcome"], shown["reply"], shown["encoding"], shown["segments"]) == ("refused", None, None, 0)
    assert json.loads(answer("--json", "--from", "0905 123 456", "TC"))["outcome"] == "answered"


def test_the_time_of_asking_decides_about_outages():
    factories.everything_published()
    assert "tu: 01/10/2016 9:30" in answer("--at", "2016-10-20T14:59", f"LCD {CODE}")
    assert "khong co lich" in answer("--at", "2016-10-20T15:00", f"LCD {CODE}")


@pytest.mark.parametrize(
    "arguments",
    [(), ("TC", "--file", "x"), ("TC", "--at", "yesterday"), ("TC", "--at", "2016-13-01"), ("--file", "/none")],
)
def test_a_wrong_call_says_what_is_wrong(arguments):
    with pytest.raises(CommandError):
        answer(*arguments)
