import pytest

from evncare.phones import canonical


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
