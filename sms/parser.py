"""What an SMS asks: its text becomes a keyword, a customer code and a billing period, or the problem that it has.

The order is normalise -> pieces -> codes -> period -> keyword. Customers mistype in every way, and an answer tells
someone's debt: what can be understood in two ways is an error, because an error is free and a wrong answer is not.
Pure functions; every step passes over the pieces once, so the time is linear in the length of the text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from evncare.periods import Period
from evncare.text import unaccent


@dataclass(frozen=True)
class Shape:
    """Which arguments a keyword takes."""

    customer: bool
    period: bool


@dataclass(frozen=True)
class Grammar:
    """What may be asked: the keywords in upper case, the two-letter prefixes of our customer codes, our number."""

    shapes: Mapping[str, Shape]
    prefixes: tuple[str, ...]
    short_code: str


class Problem(StrEnum):
    NO_KEYWORD = "NO_KEYWORD"  # none, or several that differ
    NO_CODE = "NO_CODE"
    BAD_CODE = "BAD_CODE"
    FOREIGN_CODE = "FOREIGN_CODE"  # of another power corporation
    SEVERAL_CODES = "SEVERAL_CODES"
    NO_PERIOD = "NO_PERIOD"
    BAD_PERIOD = "BAD_PERIOD"


@dataclass(frozen=True)
class Question:
    """What was asked. Whatever was understood is there also when there is a problem.

    ``customer`` is a code of ours, except with FOREIGN_CODE: then it is that other corporation's.
    """

    keyword: str | None
    customer: str | None
    period: Period | None
    problem: Problem | None


def parse(text: str, grammar: Grammar) -> Question:
    """Understand one message. Never raises, and never returns a customer code that does not stand in the text."""
    pieces = _pieces(text, grammar)
    found = _find_codes(pieces, grammar)
    numbers = _numbers(found.rest, grammar)
    period = _period(numbers)

    # Two different keywords are an error even where one might be a mere word: the asker pays for the answer.
    keywords = {piece for piece in found.rest if piece in grammar.shapes}
    keyword = keywords.pop() if len(keywords) == 1 else None
    shape = grammar.shapes[keyword] if keyword else None
    customer, code_problem = _customer(found, numbers, period, shape, grammar)

    if keyword is None and not keywords and code_problem is None:
        keyword = _mistyped_keyword(found.rest, numbers, period, grammar)
        shape = grammar.shapes[keyword] if keyword else None
    if shape is None:
        return Question(None, customer if code_problem is None else None, period, Problem.NO_KEYWORD)

    problem = code_problem if shape.customer else None
    if problem is None and shape.period and period is None:
        problem = Problem.BAD_PERIOD if numbers else Problem.NO_PERIOD
    return Question(keyword, customer if shape.customer else None, period if shape.period else None, problem)


# --- Pieces: runs of letters and digits, in upper case and without accents. All else only separates.

_RUN = re.compile(r"(?:[^\W_]|\|)+")
_DIGIT = re.compile("[0-9]")
# l is here as L because the case is gone by now; some gateways send everything in capitals anyway.
_REPAIR = str.maketrans("OIL|", "0111")


def _pieces(text: str, grammar: Grammar) -> list[str]:
    keywords = sorted(grammar.shapes, key=len, reverse=True)  # the longest wins
    pieces: list[str] = []
    for run in _RUN.findall(unaccent(text).upper()):
        # A bar is a 1 only inside what is a whole code with it; elsewhere it separates like a slash.
        parts = run.split("|") if "|" in run and _read_code(run, grammar) is None else [run]
        for part in filter(None, parts):
            glued = (word for word in keywords if part.startswith(word) and _opens_code(part[len(word) :], grammar))
            keyword = "" if _read_code(part, grammar) else next(glued, "")
            pieces += [keyword, part[len(keyword) :]] if keyword else [part]
    return pieces


def _is_short_code(piece: str, grammar: Grammar) -> bool:
    return bool(grammar.short_code) and piece in {grammar.short_code, "GUI" + grammar.short_code}


# --- Customer codes: 13 characters, a prefix of two letters, then digits.

_LENGTH = 13
_ANY_PREFIX = re.compile("P[A-Z]")  # of any of the country's power corporations
_TWO_LETTERS = re.compile("[A-Z]{2}")
_LETTERED_PREFIX = "PC"  # its units are PCdd and a doubled letter: PC05II0730790
_SHORTEST_LAST_PART = 3  # anything shorter may be the kỳ or the month
_MANY_DIGITS = 6  # a word with so many digits is a code gone wrong, not a word


@dataclass(frozen=True)
class _Codes:
    codes: frozenset[str]
    broken: bool  # something stands there that wants to be a code
    last_part: str | None  # the last piece of a code that was put together from several
    rest: list[str]  # the pieces that belong to no code


def _find_codes(pieces: Sequence[str], grammar: Grammar) -> _Codes:
    codes: set[str] = set()
    rest: list[str] = []
    broken, last_part, at = False, None, 0
    while at < len(pieces):
        code, used = _code_at(pieces, at, grammar)
        if code:
            codes.add(code)
            last_part = pieces[at + used - 1] if used > 1 else last_part
        elif _wants_to_be_code(pieces[at], pieces[at + 1 : at + 2], grammar):
            broken = True
        else:
            rest.append(pieces[at])
        at += used
    return _Codes(frozenset(codes), broken, last_part, rest)


def _code_at(pieces: Sequence[str], at: int, grammar: Grammar) -> tuple[str | None, int]:
    """The code that starts with this piece, and how many pieces it takes: one, or as many as make 13 characters."""
    if not _opens_code(pieces[at], grammar):
        return None, 1
    joined, used = pieces[at], 1
    while len(joined) < _LENGTH and at + used < len(pieces) and _continues_code(pieces[at + used], grammar):
        joined += pieces[at + used]
        used += 1
    last = pieces[at + used - 1]
    if used > 1 and (len(last) < _SHORTEST_LAST_PART or (len(last) == 4 and _year(last) is not None)):
        return None, 1
    code = _read_code(joined, grammar)
    return code, used if code else 1


def _opens_code(piece: str, grammar: Grammar) -> bool:
    prefixed = piece[:2] in grammar.prefixes or _ANY_PREFIX.match(piece)
    return bool(prefixed) and (len(piece) == 2 or _has_digit(piece))


def _continues_code(piece: str, grammar: Grammar) -> bool:
    if piece in grammar.shapes or _is_short_code(piece, grammar):
        return False
    return _has_digit(piece) or (len(piece) == 2 and piece[0] == piece[1])


def _read_code(text: str, grammar: Grammar) -> str | None:
    """The code that exactly this text is, with O and I corrected where only digits can stand."""
    prefix, unit, digits = text[:2], text[4:6], text[2:].translate(_REPAIR)
    ours = prefix in grammar.prefixes
    if len(text) != _LENGTH or not (ours or _ANY_PREFIX.match(prefix)):
        return None
    if ours and prefix != _LETTERED_PREFIX:
        return prefix + digits if _is_number(digits) else None
    # Letters stay as typed here, and a letter beside a digit (O0) could be corrected in two ways.
    lettered = _TWO_LETTERS.fullmatch(unit) and (unit[0] == unit[1] or not ours)
    if not lettered and not _is_number(unit):
        return None
    return f"{prefix}{digits[:2]}{unit}{digits[4:]}" if _is_number(digits[:2] + digits[4:]) else None


def _wants_to_be_code(piece: str, following: Sequence[str], grammar: Grammar) -> bool:
    if piece in grammar.prefixes:
        return any(_has_digit(other) and not _is_short_code(other, grammar) for other in following)
    if piece[:2] in grammar.prefixes:
        return _has_digit(piece)
    digits = sum(map(piece.count, "0123456789"))
    return _MANY_DIGITS <= digits < len(piece) and _labels_and_numbers(piece) is None


def _customer(
    found: _Codes, numbers: Sequence["_Number"], period: Period | None, shape: Shape | None, grammar: Grammar
) -> tuple[str | None, Problem | None]:
    if found.broken:
        return None, Problem.BAD_CODE
    if not found.codes:
        return None, Problem.NO_CODE
    if len(found.codes) > 1:
        return None, Problem.SEVERAL_CODES
    # A code in several pieces may have swallowed a period, or left a digit behind: it counts only if the rest is a
    # complete period, or if no period is expected and there is neither a number left nor one that hides in the code.
    if found.last_part and period is None:
        expected = shape is not None and shape.period
        if expected or numbers or _glued_period(found.last_part) is not None:
            return None, Problem.BAD_CODE
    (code,) = found.codes
    return code, None if code[:2] in grammar.prefixes else Problem.FOREIGN_CODE


# --- Periods: numbers, each with the label that stands before it (kỳ, tháng, năm) or with none.

_Number = tuple[str | None, str]  # label and digits; text that cannot be read as digits makes the period a bad one
_SLOTS = ("KY", "THANG", "NAM")
_LABELS = {
    **dict.fromkeys(("KY", "KI", "K"), "KY"),
    **dict.fromkeys(("THANG", "THG", "TH", "T"), "THANG"),
    **dict.fromkeys(("NAM", "N"), "NAM"),
}
_ONES = {"I": "1", "L": "1", "II": "2", "III": "3"}  # "kỳ I", and l typed for 1
_NUMBER_OR_WORD = re.compile("[0-9][0-9OIL]*|[^0-9]+")
# By the number of glued digits: how many of them may be the kỳ and the month; the others are the year.
_GLUED = {6: ((0, 2), (1, 1), (2, 2)), 7: ((1, 2),), 8: ((2, 2),)}


def _numbers(pieces: Sequence[str], grammar: Grammar) -> list[_Number]:
    numbers: list[_Number] = []
    label = None
    for piece in pieces:
        parts = [] if _is_short_code(piece, grammar) else _labels_and_numbers(piece)
        if parts is None:
            parts = [piece] if _has_digit(piece) else []
        for part in parts:
            if part not in _LABELS:
                numbers.append((label, part))
            label = _LABELS.get(part)
        if not parts:  # "Nam" is also a name: only a label directly before its number is one
            label = None
    return numbers


def _labels_and_numbers(piece: str) -> list[str] | None:
    """``K1T10`` as K, 1, T, 10, with O and I corrected in the numbers; None for any other word."""
    if piece in _ONES:
        return [_ONES[piece]]
    number = piece.translate(_REPAIR)
    if _is_number(number) and _has_digit(piece):
        return [number]
    parts = [part.translate(_REPAIR) if _has_digit(part) else part for part in _NUMBER_OR_WORD.findall(piece)]
    return parts if all(part in _LABELS or _is_number(part) for part in parts) else None


def _period(numbers: Sequence[_Number]) -> Period | None:
    """The period that all these numbers together name; None when one is left over, missing or out of range."""
    named: dict[str, str] = {}
    plain = [digits for label, digits in numbers if label is None]
    for label, digits in numbers:
        if label is not None and named.setdefault(label, digits) != digits:
            return None
    if not named and len(plain) == 1:
        return _glued_period(plain[0])
    free = [slot for slot in _SLOTS if slot not in named]
    if len(plain) > len(free):
        return None
    filled = named | dict(zip(reversed(free), reversed(plain), strict=False))  # the kỳ is what may be missing
    ky, month, year = (filled.get(slot, "") for slot in _SLOTS)
    if not ky and "NAM" not in named and len(year) == 2:
        return None  # "1 10" is a kỳ and a month rather than January 2010
    return _period_of(ky, month, year)


def _glued_period(digits: str) -> Period | None:
    """The only way to read ``1102016`` or ``102016``; None when there are several (``112016``) or none."""
    readings = {
        _period_of(digits[:ky], digits[ky : ky + month], digits[ky + month :])
        for ky, month in _GLUED.get(len(digits), ())
    } - {None}
    return readings.pop() if len(readings) == 1 else None


def _period_of(ky: str, month: str, year: str) -> Period | None:
    ky_read, month_read, year_read = _between_1_and(9, ky), _between_1_and(12, month), _year(year)
    if month_read is None or year_read is None or (ky and ky_read is None):
        return None
    return Period(ky=ky_read, month=month_read, year=year_read)


def _between_1_and(highest: int, digits: str) -> int | None:
    if len(digits) > 2 or not _is_number(digits):
        return None
    return int(digits) if 1 <= int(digits) <= highest else None


def _year(digits: str) -> int | None:
    if not _is_number(digits) or len(digits) not in (2, 4):
        return None
    year = int(digits) if len(digits) == 4 else 2000 + int(digits)
    return year if 2000 <= year <= 2099 else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _has_digit(text: str) -> bool:
    return _DIGIT.search(text) is not None


# --- Mistyped keywords


def _mistyped_keyword(
    pieces: Sequence[str], numbers: Sequence[_Number], period: Period | None, grammar: Grammar
) -> str | None:
    """The only keyword that some word is one slip away from, if it takes exactly the arguments that are there.

    For messages with a readable code of ours only. Uniqueness comes before the arguments: LXD may be LGD or LCD.
    """
    near = {keyword for piece in pieces for keyword in grammar.shapes if _one_slip(piece, keyword)}
    if len(near) != 1:
        return None
    (keyword,) = near
    shape = grammar.shapes[keyword]
    fits = period is not None if shape.period else not numbers
    return keyword if shape.customer and fits else None


def _one_slip(word: str, keyword: str) -> bool:
    """Whether one letter is wrong, missing or too many, or two neighbours changed places; in a keyword of two
    letters only the last, as half of it would be guessed otherwise."""
    if abs(len(word) - len(keyword)) > 1 or word == keyword:
        return False
    if len(keyword) <= 2:
        return word == keyword[::-1]
    same = 0
    while word[same : same + 1] == keyword[same : same + 1]:  # ends: the two differ
        same += 1
    typed, meant = word[same:], keyword[same:]
    swapped = typed[:2] == meant[1::-1] and typed[2:] == meant[2:]
    return swapped or typed[1:] == meant[1:] or typed[1:] == meant or typed == meant[1:]
