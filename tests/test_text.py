import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evncare.text import fold, unaccent


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("Nguyễn Thị Đào", "Nguyen Thi Dao"),
        (unicodedata.normalize("NFD", "Nguyễn Thị Đào"), "Nguyen Thi Dao"),
        ("ĐƯỜNG ƠN", "DUONG ON"),
        ("Ðà Nẵng", "Da Nang"),  # eth, as old encodings give it
        ("РР05 СТ НТХ", "PP05 CT HTX"),  # Cyrillic
        ("ΡΡ05 ΝΤ ΤΧ", "PP05 NT TX"),  # Greek
        ("Ϲ", "C"),
        ("ＮＴＤ　ｐｐ０５", "NTD pp05"),
        ("𝐍𝐓𝐃 𝟎𝟓", "NTD 05"),
        ("ⓃⓉⒹ", "NTD"),
        ("1️⃣0️⃣", "10"),
        ("٠١٢", "012"),
        ("a\u00a0b\u2003c\u202fd\u3000e", "a b c d e"),
        ("a\u200bb\ufeffc", "a b c"),
        ("a\u200db\u00adc\u202ed\u2060e", "abcde"),
        ("“mất điện” – 500.000₫…", '"mat dien" - 500.000d...'),
        ("1.LichGhiDien\nLGD\r\n", "1.LichGhiDien\nLGD\r\n"),
        ("đang 停电 \ud800\0", "dang 停电 \ud800\0"),
        ("", ""),
    ],
)
def test_text_is_brought_to_plain_latin_letters(typed: str, plain: str) -> None:
    assert unaccent(typed) == plain


def test_folding_also_lowers_the_case() -> None:
    assert fold("ĐÀ NẴNG") == fold("đà nẵng") == "da nang"


def test_look_alikes_fold_the_same_in_both_cases() -> None:
    capitals = "АВЕКМНОРСТУХІЈЅ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"
    assert fold(capitals) == fold(capitals.lower()) == "abekmhopctyxijsabezhikmnoptyx"


@given(st.text(st.characters(exclude_categories=())))
def test_unaccenting_any_text_twice_changes_nothing_more(text: str) -> None:
    assert unaccent(unaccent(text)) == unaccent(text)


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_stays_as_it_is(text: str) -> None:
    assert unaccent(text) == text


@given(st.text("aAeEoOuUdD") | st.text("ăâêôơưđĂÂÊÔƠƯĐáạảãàấậẩẫầếệểễềọốộổỗồứựửữừíịỉĩìýỵỷỹỳ"))
def test_vietnamese_becomes_ascii_whether_composed_or_not(text: str) -> None:
    assert unaccent(text).isascii()
    assert fold(unicodedata.normalize("NFD", text)) == fold(unicodedata.normalize("NFC", text))


def test_long_runs_of_combining_marks_are_no_burden() -> None:
    assert unaccent("a" + "\u0301\u0327" * 500_000) == "a"
