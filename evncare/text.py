"""Text as people type it, brought to plain Latin letters: for reading commands, for searching names and addresses,
and for replies that must fit GSM-7.

Every character is replaced on its own through one table, so the time is linear whatever is sent. Normalising the
whole text would not be: ``unicodedata`` sorts long runs of combining marks in quadratic time.
"""

import re
import unicodedata
from collections.abc import Iterator

# Letters that Unicode does not decompose. Ð (eth) and Ɖ are what old encodings and fonts make of Đ.
_LETTERS = {
    **dict.fromkeys("ĐÐƉ", "D"),
    **dict.fromkeys("đðɖ₫", "d"),
    **dict(zip("ØøŁłı", "OoLli", strict=True)),
    **dict(zip("ßẞÆæŒœ", ("ss", "SS", "AE", "ae", "OE", "oe"), strict=True)),
    **dict.fromkeys("‘’‚‛′", "'"),
    **dict.fromkeys("“”„‟″", '"'),
    **dict.fromkeys("‐‑‒–—―−", "-"),
}

# Cyrillic and Greek capitals that look like Latin ones. Their small letters follow the capital, whatever they look
# like themselves (в -> b, ν -> n), so that folding does not depend on the case that was typed.
_LOOKALIKES = dict(
    zip(
        "АВЕКМНОРСТУХІЈЅԚԜԀҺӀ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹͿ",
        "ABEKMHOPCTYXIJSQWDHI" + "ABEZHIKMNOPTYXCJ",
        strict=True,
    )
)

# A zero-width space marks a border between words that nobody sees; U+FEFF is the same by name.
_HIDDEN_SPACES = "\u200b\ufeff"

# Where letters, digits, spaces and marks with a Latin reading stand: alphabets and punctuation, ligatures, full-width
# forms, mathematical letters and digits, enclosed letters. Going through all of Unicode would cost every start-up.
_RANGES = (
    range(0x80, 0x3100),
    range(0xFB00, 0xFB50),
    range(0xFE00, 0x10000),
    range(0x1D400, 0x1D800),
    range(0x1F100, 0x1F200),
    range(0xE0100, 0xE01F0),
)


def _special_letters() -> Iterator[tuple[str, str]]:
    yield from _LETTERS.items()
    for lookalike, latin in _LOOKALIKES.items():
        yield lookalike, latin
        yield lookalike.lower(), latin.lower()


def _plain(character: str, special: dict[str, str]) -> str:
    """What stands for one character: Latin letters, an ASCII digit, a space, nothing, or itself."""
    if character in special:  # before decomposing: Unicode decomposes the Greek Ϲ into a sigma
        return special[character]
    if character in _HIDDEN_SPACES:
        return " "
    category = unicodedata.category(character)
    if category in {"Mn", "Me", "Cf"}:  # accents, enclosing marks; joiners, soft hyphens, direction marks
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(character))
    decomposed = unicodedata.normalize("NFKD", character)
    if decomposed == character:
        return character
    return "".join(_plain(part, special) for part in decomposed)


def _table() -> dict[int, str]:
    special = dict(_special_letters())
    return {
        code_point: plain
        for code_points in _RANGES
        for code_point in code_points
        if (plain := _plain(chr(code_point), special)) != chr(code_point)
    }


_TO_LATIN = _table()


def unaccent(text: str) -> str:
    """``text`` without accents, in Latin letters where it used look-alikes or full-width forms; case and line breaks
    are kept. Unusual spaces become ordinary ones, invisible characters go. Anything else stays as it is."""
    return text if text.isascii() else text.translate(_TO_LATIN)


def fold(text: str) -> str:
    """``text`` for searching and comparing: unaccented and in lower case."""
    return unaccent(text).lower()


def words(text: str) -> str:
    """The words of ``text`` as they are searched: folded, only letters a-z and digits, one space between."""
    return " ".join(re.findall(r"[a-z0-9]+", fold(text)))
