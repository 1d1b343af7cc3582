import pytest

from evncare.phones import beginning, canonical, is_whole


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("0905123456", "84905123456"),
        ("84905123456", "84905123456"),
        ("+84905123456", "84905123456"),
        ("0084905123456", "84905123456"),
        ("+84 (0) 905.123.456", "84905123456"),
        ("905123456", "84905123456"),
        ("02363821999", "842363821999"),
        ("01205123456", "84705123456"),
        ("841205123456", "84705123456"),
        ("01699123456", "84399123456"),
        ("0199 912 3456", "84599123456"),
        ("+31600000001", "31600000001"),
    ],
)
def test_a_number_has_one_form_however_it_is_written(written, kept):
    assert canonical(written) == kept
    assert canonical(kept) in (kept, None), "the kept form stays as it is, or is no Vietnamese number"


@pytest.mark.parametrize("written", ["", "8088", "EVNCPC", "EVN12345678", "0905", "0" * 1000, "☎", "84" * 20])
def test_what_is_no_phone_number_has_none(written):
    assert canonical(written) is None


@pytest.mark.parametrize(
    ("typed", "start"),
    [
        ("0905123", "84905123"),
        ("+84 905 123", "84905123"),
        ("0084 905 123", "84905123"),
        ("84905123", "84905123"),
        ("+84 0905 1", "849051"),
        ("0120 1234", "84701234"),
        ("0905 123 456", "84905123456"),
        ("905123456", "84905123456"),
        ("0236 3123 456", "842363123456"),
        ("0905", ""),
        ("5000123", ""),
        ("0905 123 456 789", ""),
        ("an 0905123", ""),
        ("", ""),
    ],
)
def test_the_beginning_of_a_number_has_a_canonical_form(typed, start):
    assert beginning(typed) == start
    assert is_whole(start) == (len(start) > 10)
