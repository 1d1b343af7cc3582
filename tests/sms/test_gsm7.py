import pytest

from sms.gsm7 import GSM_7, UCS_2, Size, measure


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", Size(GSM_7, 0, 1)),
        ("a" * 160, Size(GSM_7, 160, 1)),
        ("a" * 161, Size(GSM_7, 161, 2)),
        ("a" * 306, Size(GSM_7, 306, 2)),
        ("a" * 307, Size(GSM_7, 307, 3)),
        ("LGD_MaKH\n", Size(GSM_7, 9, 1)),
        ("€" * 80, Size(GSM_7, 160, 1)),
        ("€" * 81, Size(GSM_7, 162, 2)),
        # 153 is odd, and an escape isn't parted from its character: 76 euros a segment, not 76.5.
        ("€" * 153, Size(GSM_7, 306, 3)),
        ("[]{}~^|\\", Size(GSM_7, 16, 1)),
        ("ạ" * 70, Size(UCS_2, 70, 1)),
        ("ạ" * 71, Size(UCS_2, 71, 2)),
        ("ạ" * 134, Size(UCS_2, 134, 2)),
        ("😀" * 35, Size(UCS_2, 70, 1)),
        ("😀" * 36, Size(UCS_2, 72, 2)),
        ("😀" * 67, Size(UCS_2, 134, 3)),  # 33 a segment: a surrogate pair isn't parted either
        ("tab\there", Size(UCS_2, 8, 1)),
        ("`", Size(UCS_2, 1, 1)),
        ("\ud800", Size(UCS_2, 1, 1)),
    ],
)
def test_a_text_costs_what_the_standard_says(text: str, size: Size) -> None:
    assert measure(text) == size
