"""Every wording stays within GSM-7, and what a reply tells is counted rather than cut."""

import string
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from sms import gsm7, wording


@pytest.mark.parametrize("key", wording.WORDINGS)
def test_every_wording_is_gsm7(key):
    assert gsm7.is_gsm7(wording.WORDINGS[key])


@pytest.mark.parametrize("key", wording.WORDINGS)
def test_every_wording_fills_with_its_placeholders(key):
    names = [name for _, name, _, _ in string.Formatter().parse(wording.WORDINGS[key]) if name]
    assert "{" not in wording.fill(key, **dict.fromkeys(names, "x"))


def test_what_gsm7_lacks_is_unaccented_or_marked():
    assert wording.fill("NTD.none", customer="Điện 電") == (
        "EVNCPC thong bao khach hang Dien ? khong con no tien dien. Xin cam on quy khach."
    )


@pytest.mark.parametrize("count", [1, 2, 5, 50, 5000])
def test_fitting_tells_as_much_as_three_segments_hold(count):
    def word(told, left_out):
        return "; ".join(told) + (f"; va {left_out} nua" if left_out else "")

    items = [f"muc {number}" for number in range(count)]
    text = wording.fit(word, items)
    assert gsm7.measure(text).segments <= 3
    told = text.count("muc")
    assert text == word(items[:told], count - told)
    assert told == count or gsm7.measure(word(items[: told + 1], count - told - 1)).segments > 3


def test_numbers_and_times_are_written_as_published():
    assert [wording.number(Decimal(n)) for n in ("9618.000", "0.500", "100", "0")] == ["9618", "0.5", "100", "0"]
    assert wording.moment(datetime(2016, 10, 1, 9, 30, tzinfo=UTC)) == "01/10/2016 9:30"
    assert wording.day(date(2016, 6, 10)) == "10/6/2016"
