"""The parser against tables of real mistyping, and against properties that must hold for any text."""

from itertools import pairwise, product

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from evncare.periods import Period
from evncare.text import fold, unaccent
from sms.parser import Grammar, Problem, Question, Shape, _pieces, parse

GRAMMAR = Grammar(
    shapes={
        "LGD": Shape(customer=True, period=True),
        "CS": Shape(customer=True, period=True),
        "TD": Shape(customer=True, period=True),
        "NTD": Shape(customer=True, period=False),
        "LCD": Shape(customer=True, period=False),
        "TC": Shape(customer=False, period=False),
    },
    prefixes=("PP", "PQ", "PC"),
    short_code="8088",
)
CODE = "PP05000974006"
OCTOBER = Period(ky=None, month=10, year=2016)
FIRST = Period(ky=1, month=10, year=2016)


def ask(text: str) -> Question:
    return parse(text, GRAMMAR)


# --- Examples: what must be understood

UNDERSTOOD = [
    # as published, and as the service's first customers mistype it
    ("LGD PP05000974006 1 10 2016", "LGD", CODE, FIRST),
    ("LGD_PP05000974006_1_10_2016", "LGD", CODE, FIRST),
    ("cs pp05000974006 1 10 2016", "CS", CODE, FIRST),
    ("TD  PP05000974006   1 10 2016 \r\n", "TD", CODE, FIRST),
    ("TD.PP05000974006.1.10.2016", "TD", CODE, FIRST),
    ("NTD PP05000974006", "NTD", CODE, None),
    ("NTDPP05000974006", "NTD", CODE, None),
    ("ntd pp 0500 0974006", "NTD", CODE, None),
    ("LCD_<PP05000974006>", "LCD", CODE, None),
    ("LCD PP0500O974OO6", "LCD", CODE, None),
    ("NTD PC05II0730790", "NTD", "PC05II0730790", None),
    ("NTD PC10OO0011223", "NTD", "PC10OO0011223", None),
    ("TD PP05000974006 ky 1 thang 10 nam 2016", "TD", CODE, FIRST),
    ("TD PP05000974006 Kỳ 1 Tháng 10 Năm 2016", "TD", CODE, FIRST),
    ("TD PP05000974006 k1 t10 n2016", "TD", CODE, FIRST),
    ("CS PP05000974006 1/10/2016", "CS", CODE, FIRST),
    ("CS PP05000974006 01 10 16", "CS", CODE, FIRST),
    ("CS PP05000974006 1102016", "CS", CODE, FIRST),
    ("EVNCPC LGD PP05000974006 1 10 2016 gui 8088", "LGD", CODE, FIRST),
    ("ＮＴＤ ＰＰ０５０００９７４００６", "NTD", CODE, None),
    ("NTD РР05000974006", "NTD", CODE, None),
    ("tc", "TC", None, None),
    ("TC.", "TC", None, None),
    # separators, wrappers, order
    ("LGD\u200bPP05000974006\u00a01\u200b10\ufeff2016", "LGD", CODE, FIRST),
    ("“NTD” (PP05000974006)", "NTD", CODE, None),
    ("TD|PP05000974006|1|10|2016", "TD", CODE, FIRST),
    ("TD\nPP05000974006\n1-10-2016\0", "TD", CODE, FIRST),
    ("Soạn tin: NTD PP05000974006 gửi8088. Xin cảm ơn!", "NTD", CODE, None),
    ("soan tin TC gui 8088", "TC", None, None),
    ("PP05000974006 NTD", "NTD", CODE, None),
    ("PP05000974006 TD 1 10 2016", "TD", CODE, FIRST),
    ("TD ky 1 thang 10 nam 2016 PP05000974006", "TD", CODE, FIRST),
    ("NTD NTD PP05000974006 PP05000974006", "NTD", CODE, None),
    ("NTD PP05000974006, pp 0500 0974006", "NTD", CODE, None),
    # arguments that the keyword does not take
    ("NTD PP05000974006 1 10 2016", "NTD", CODE, None),
    ("NTD PP05000974006 0905123456", "NTD", CODE, None),
    ("TC PP05000974006 1 10 2016", "TC", None, None),
    # codes
    ("NTD PQ05000974006", "NTD", "PQ05000974006", None),
    ("NTD PC05000730790", "NTD", "PC05000730790", None),
    ("NTD pcO5ii073O79l", "NTD", "PC05II0730791", None),
    ("NTD PP0500097400l", "NTD", "PP05000974001", None),
    ("NTD PP05|00974006", "NTD", "PP05100974006", None),
    ("NTD PP0500|0974006", "NTD", CODE, None),  # no code with the bar as a 1
    ("NTD PC 05 II 0730790", "NTD", "PC05II0730790", None),
    ("NTDPP 0500 0974006", "NTD", CODE, None),
    ("NTDPP05 0009 74006", "NTD", CODE, None),
    ("TDPC05II0730790 1 10 2016", "TD", "PC05II0730790", FIRST),
    ("TD PP0500 0974006 1 10 2016", "TD", CODE, FIRST),
    ("TD PP05000 974006 10/2016", "TD", CODE, OCTOBER),
    ("NTD PP.05.000974006", "NTD", CODE, None),
    # periods
    ("TD PP05000974006 nam 2016, thang 10, ky 1", "TD", CODE, FIRST),
    ("TD PP05000974006 thang 10/2016 ky 1", "TD", CODE, FIRST),
    ("TD PP05000974006 ky1 10/2016", "TD", CODE, FIRST),
    ("TD PP05000974006 kỳ I tháng 10 năm 2016", "TD", CODE, FIRST),
    ("TD PP05000974006 ky II thang 10 nam 2016", "TD", CODE, Period(2, 10, 2016)),
    ("TD PP05000974006 ky so 1 thang 10 nam 2016", "TD", CODE, FIRST),
    ("TD PP05000974006 k1t10n2016", "TD", CODE, FIRST),
    ("TD PP05000974006 k 1 t 10 n 16", "TD", CODE, FIRST),
    ("TD PP05000974006 l 1O 2O16", "TD", CODE, FIRST),
    ("TD PP05000974006 1 thang 10 nam 2016", "TD", CODE, FIRST),
    ("TD PP05000974006 9 12 2099", "TD", CODE, Period(9, 12, 2099)),
    ("TD PP05000974006 01102016", "TD", CODE, FIRST),
    ("TD PP05000974006 10/2016", "TD", CODE, OCTOBER),
    ("TD PP05000974006 t10 2016", "TD", CODE, OCTOBER),
    ("TD PP05000974006 thang 10 nam 2016", "TD", CODE, OCTOBER),
    ("TD PP05000974006 thang 10 nam 16", "TD", CODE, OCTOBER),
    ("TD PP05000974006 102016", "TD", CODE, OCTOBER),
    ("TD PP05000974006 1 10 2016 cam on Nam", "TD", CODE, FIRST),
    # mistyped keywords
    ("NDT PP05000974006", "NTD", CODE, None),
    ("NTTD PP05000974006", "NTD", CODE, None),
    ("LGF PP05000974006 1 10 2016", "LGD", CODE, FIRST),
    ("LCT PP05000974006", "LCD", CODE, None),
    ("SC PP05000974006 1 10 2016", "CS", CODE, FIRST),
    ("DT PP05000974006 10/2016", "TD", CODE, OCTOBER),
]


@pytest.mark.parametrize(("text", "keyword", "customer", "period"), UNDERSTOOD)
def test_a_question_is_understood(text: str, keyword: str, customer: str | None, period: Period | None) -> None:
    assert ask(text) == Question(keyword, customer, period, None)


# --- Examples: what must not be answered from any account

PROBLEMS = [
    ("NTD PP0500097400", Problem.BAD_CODE, "NTD", None, None),
    ("NTD PP050009740066", Problem.BAD_CODE, "NTD", None, None),
    ("TD PP05000974006 1 13 2016", Problem.BAD_PERIOD, "TD", CODE, None),
    ("NTD PE05000974006", Problem.FOREIGN_CODE, "NTD", "PE05000974006", None),
    ("NTD PP05000974006 PP05000974007", Problem.SEVERAL_CODES, "NTD", None, None),
    ("PP05000974006", Problem.NO_KEYWORD, None, CODE, None),
    ("hello", Problem.NO_KEYWORD, None, None, None),
    ("", Problem.NO_KEYWORD, None, None, None),
    # keywords
    ("NTD LCD PP05000974006", Problem.NO_KEYWORD, None, CODE, None),
    ("TD NTD PP05000974006 1 10 2016", Problem.NO_KEYWORD, None, CODE, FIRST),
    ("CS PP05000974006 1 10 2016 TD", Problem.NO_KEYWORD, None, CODE, FIRST),  # a register's name, or a question
    ("PP05000974006 1 10 2016", Problem.NO_KEYWORD, None, CODE, FIRST),
    ("LXD PP05000974006", Problem.NO_KEYWORD, None, CODE, None),  # LGD or LCD
    ("LXD PP05000974006 1 10 2016", Problem.NO_KEYWORD, None, CODE, FIRST),
    ("TX PP05000974006 1 10 2016", Problem.NO_KEYWORD, None, CODE, FIRST),  # half of two letters is a guess
    ("TDD PP05000974006 1 10 2016", Problem.NO_KEYWORD, None, CODE, FIRST),
    ("NDT PP05000974006 1 10 2016", Problem.NO_KEYWORD, None, CODE, FIRST),  # NTD takes no period
    ("LGF PP05000974006", Problem.NO_KEYWORD, None, CODE, None),  # LGD takes one
    ("CT PP05000974006", Problem.NO_KEYWORD, None, CODE, None),  # TC takes no customer
    ("NDT LGF PP05000974006", Problem.NO_KEYWORD, None, CODE, None),
    ("CT", Problem.NO_KEYWORD, None, None, None),
    ("NDT PE05000974006", Problem.NO_KEYWORD, None, None, None),
    ("NDT PP0500097400", Problem.NO_KEYWORD, None, None, None),
    ("8088", Problem.NO_KEYWORD, None, None, None),
    # codes
    ("NTD", Problem.NO_CODE, "NTD", None, None),
    ("NTD gui 8088", Problem.NO_CODE, "NTD", None, None),
    ("NTD 05000974006", Problem.NO_CODE, "NTD", None, None),
    ("TD 1 10 2016", Problem.NO_CODE, "TD", None, FIRST),
    ("NTD P05000974006", Problem.BAD_CODE, "NTD", None, None),
    ("NTD PP 8088", Problem.NO_CODE, "NTD", None, None),
    ("TD PP0500097400 1 10 2016", Problem.BAD_CODE, "TD", None, FIRST),
    ("TD PP050009740 06 1 10 2016", Problem.BAD_CODE, "TD", None, None),
    ("TD PP0500 0974006", Problem.BAD_CODE, "TD", None, None),
    ("TD PP0500 1102016", Problem.BAD_CODE, "TD", None, None),  # a unit and a period
    ("NTD PP0500 1102016", Problem.BAD_CODE, "NTD", None, None),
    ("NTD PP05000 102016", Problem.BAD_CODE, "NTD", None, None),
    ("NTD PP0500 1 10 2016", Problem.BAD_CODE, "NTD", None, None),
    ("TD PP05000974 110 2016", Problem.BAD_CODE, "TD", None, None),
    ("NTD PP0500 0974006 5", Problem.BAD_CODE, "NTD", None, None),
    ("NTD PP0500097 8088", Problem.BAD_CODE, "NTD", None, None),
    ("NTD PP 0500 097400", Problem.BAD_CODE, "NTD", None, None),
    ("NTD PP05000974006X", Problem.BAD_CODE, "NTD", None, None),
    ("NTD PP05000974006停", Problem.BAD_CODE, "NTD", None, None),
    ("NTD xPP05000974006", Problem.BAD_CODE, "NTD", None, None),
    ("NTD MaKHPP05000974006", Problem.BAD_CODE, "NTD", None, None),
    ("PP05000974006NTD", Problem.NO_KEYWORD, None, None, None),
    ("NTD PP05000974006 PP0500097400", Problem.BAD_CODE, "NTD", None, None),
    ("NTD PP0500B974006", Problem.BAD_CODE, "NTD", None, None),
    ("NTD PC05AB0730790", Problem.BAD_CODE, "NTD", None, None),
    ("NTD PC05O00730790", Problem.BAD_CODE, "NTD", None, None),  # OO or 00
    ("NTD PC05I0730790", Problem.BAD_CODE, "NTD", None, None),
    ("NTD PA05XT0974006", Problem.FOREIGN_CODE, "NTD", "PA05XT0974006", None),
    ("NTDPE05000974006", Problem.FOREIGN_CODE, "NTD", "PE05000974006", None),
    ("NTD pe 0500 0974006", Problem.FOREIGN_CODE, "NTD", "PE05000974006", None),
    ("TD PE05000974006 1 10 2016", Problem.FOREIGN_CODE, "TD", "PE05000974006", FIRST),
    ("NTD PE0500097400", Problem.BAD_CODE, "NTD", None, None),
    ("NTD PP05000974006 PE05000974006", Problem.SEVERAL_CODES, "NTD", None, None),
    # periods
    ("TD PP05000974006", Problem.NO_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 gui 8088", Problem.NO_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 ky thang nam", Problem.NO_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 0 10 2016", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 10 10 2016", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 1 0 2016", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 1 10 1999", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 1 10 2100", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 1 10 216", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 1 010 2016", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 1 10 2016 5", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 1a 10 2016", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 1 10", Problem.BAD_PERIOD, "TD", CODE, None),  # no year
    ("TD PP05000974006 10/16", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 2016", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 10", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 112016", Problem.BAD_PERIOD, "TD", CODE, None),  # 11/2016, or kỳ 1 of 1/2016
    ("TD PP05000974006 1132016", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 20161001", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 2016/10/1", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 thang 10 thang 11 nam 2016", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 ky 1 nam 2016", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 ky 10/2016", Problem.BAD_PERIOD, "TD", CODE, None),
    ("TD PP05000974006 1 10 2016 1 11 2016", Problem.BAD_PERIOD, "TD", CODE, None),
]


@pytest.mark.parametrize(("text", "problem", "keyword", "customer", "period"), PROBLEMS)
def test_a_question_with_a_problem_tells_what_was_understood(
    text: str, problem: Problem, keyword: str | None, customer: str | None, period: Period | None
) -> None:
    assert ask(text) == Question(keyword, customer, period, problem)


def test_prefixes_keywords_and_short_code_come_from_the_grammar() -> None:
    merged = Grammar({"NO": Shape(customer=True, period=False)}, ("PE",), "9099")
    assert parse("NOPE05000974006 gui 9099", merged) == Question("NO", "PE05000974006", None, None)
    assert parse("NO PP05000974006", merged).problem is Problem.FOREIGN_CODE
    assert parse("NTD PE05000974006", merged).problem is Problem.NO_KEYWORD


def test_a_keyword_with_a_period_but_no_customer_needs_only_the_period() -> None:
    prices = Grammar({"GIA": Shape(customer=False, period=True)}, ("PP",), "")
    assert parse("GIA 10/2016", prices) == Question("GIA", None, OCTOBER, None)
    assert parse("GIA", prices).problem is Problem.NO_PERIOD


# --- Properties

digit_codes = st.builds("{}{:011d}".format, st.sampled_from(["PP", "PQ", "PC"]), st.integers(0, 10**11 - 1))
lettered_codes = st.builds(
    "PC{:02d}{}{:07d}".format,
    st.integers(0, 99),
    st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ").map(lambda letter: letter * 2),
    st.integers(0, 10**7 - 1),
)
codes = digit_codes | lettered_codes
periods = st.builds(Period, st.integers(1, 9), st.integers(1, 12), st.integers(2000, 2099))
separators = st.text(" _.-/,:;<>()[]\"'|\r\n\t\u00a0\u200b\u3000\ufeff“”–", min_size=1, max_size=4)
any_text = st.text(st.characters(exclude_categories=()))
words = """NTD td LGD tc LXD PP pc PE PP0500 0974006 006 PC05 II О l | _ 1 10 2016 102016 112016 ky thang nam n16
    8088 gui \u200b"""
fragments = st.one_of(
    st.sampled_from([" ", *words.split()]),
    codes,
    st.text("PCO0Il|5 ", max_size=14),
    any_text,
)
messages = st.lists(fragments, max_size=12).map("".join) | st.lists(fragments, max_size=12).map(" ".join)


@given(any_text | messages)
@example("\ud800\udfff\0" + "9" * 5000)
@example("TD PP05000974006 " + "1" * 5000)
def test_any_text_gets_a_consistent_answer(text: str) -> None:
    question = ask(text)
    if question.keyword is None:
        assert question.problem is Problem.NO_KEYWORD
        return
    shape = GRAMMAR.shapes[question.keyword]
    if question.problem is None:
        assert (question.customer is not None, question.period is not None) == (shape.customer, shape.period)
    if question.customer is not None:
        ours = question.customer[:2] in GRAMMAR.prefixes
        assert ours is (question.problem is not Problem.FOREIGN_CODE)


def only_code_characters(text: str, bar: str) -> str:
    """What a code could be read from at best: no separators, and look-alikes of 0 and 1 made equal."""
    kept = "".join(c for c in fold(text).upper().replace("|", bar) if c.isalnum())
    return kept.translate(str.maketrans("OIL", "011"))


@given(messages)
def test_a_customer_code_always_stands_in_the_text(text: str) -> None:
    customer = ask(text).customer
    if customer is not None:
        code = only_code_characters(customer, bar="")
        assert len(customer) == 13
        assert code in only_code_characters(text, bar="") or code in only_code_characters(text, bar="1")


@st.composite
def mistyped(draw: st.DrawFn, code: str) -> str:
    """The code with O, I, l for some of its digits; letters of a PC code and the last digit stay."""
    alike = {"0": "0OoОο", "1": "1Iil"}
    fixed = range(4, 6) if code.startswith("PC") else ()
    return code[:2] + "".join(
        draw(st.sampled_from(alike.get(c, c))) if place not in fixed and place < 12 else c
        for place, c in enumerate(code[2:], start=2)
    )


@st.composite
def any_case(draw: st.DrawFn, text: str) -> str:
    return draw(st.sampled_from([text, text.lower(), text.upper(), text.swapcase(), text.title()]))


@st.composite
def worded(draw: st.DrawFn, period: Period, gap: str) -> str:
    ky, month, year = period.ky, period.month, period.year
    labelled = [f"ky {ky}", f"tháng {month:02d}", f"Năm {year}"]
    short = [f"k{ky}", f"T{month}", f"n{year % 100:02d}"]
    return draw(
        st.sampled_from([f"{ky}{gap}{month}{gap}{year}", f"0{ky}{gap}{month:02d}{gap}{year % 100:02d}"])
        | st.just(f"{ky}{month:02d}{year}")
        | st.permutations(labelled).map(gap.join)
        | st.permutations(short).map(gap.join)
    )


@given(st.data(), st.sampled_from(["LGD", "CS", "TD", "NTD", "LCD"]), codes, periods)
def test_decorating_a_command_keeps_its_meaning(data: st.DataObject, keyword: str, code: str, period: Period) -> None:
    before = data.draw(st.sampled_from(["", "EVNCPC ", "Soạn tin: ", "xin ", "gửi 8088 ", "\ufeff"]))
    after = data.draw(st.sampled_from(["", ".", " gui 8088", " xin cảm ơn", " 🙏", "\r\n", ">"]))
    glue = data.draw(separators | st.just(""))
    text = before + data.draw(any_case(keyword)) + glue + data.draw(any_case(data.draw(mistyped(code))))
    expected = None
    if GRAMMAR.shapes[keyword].period:
        gap = data.draw(separators)
        text += gap + data.draw(worded(period, gap))
        expected = period
    text += after
    assert ask(text) == ask(unaccent(text).upper()) == Question(keyword, code, expected, None)


TAILS = ["", " 1 10 2016", " 10/2016", " ky 1 thang 10 nam 2016", " 1102016", " 102016", " gui 8088"]


@given(st.data(), codes, st.sampled_from(["NTD ", "TD ", "td", "LXD ", ""]), st.sampled_from(TAILS))
def test_a_code_with_a_character_too_many_or_too_few_is_no_customer(
    data: st.DataObject, code: str, keyword: str, tail: str
) -> None:
    place = data.draw(st.integers(0, 12))
    extra = data.draw(st.sampled_from("0123456789OIlPCQXđ停"))
    edited = data.draw(st.sampled_from([code[:place] + code[place + 1 :], code[:place] + extra + code[place:]]))
    assert ask(keyword + edited + tail).customer is None


@given(codes, st.lists(st.integers(1, 12), max_size=4, unique=True), periods, st.sampled_from(["NTD", "TD"]))
def test_a_code_in_pieces_is_that_code_or_an_error(code: str, cuts: list[int], period: Period, keyword: str) -> None:
    borders = [0, *sorted(cuts), 13]
    split = " ".join(code[a:b] for a, b in pairwise(borders))
    for short_by in (0, 1):
        text = f"{keyword} {split[: len(split) - short_by].rstrip()} {period.ky} {period.month} {period.year}"
        assert ask(text).customer in ({None, code} if short_by == 0 else {None})


@given(codes, st.text("ABCDEGHIKLMNOPQRSTUVXY", min_size=1, max_size=4))
def test_a_mistyped_keyword_is_one_slip_away_from_exactly_one(code: str, word: str) -> None:
    assume(word not in GRAMMAR.shapes)
    keyword = ask(f"{word} {code}").keyword

    def slips(keyword: str) -> set[str]:
        halves = [(keyword[:i], keyword[i:]) for i in range(len(keyword) + 1)]
        swapped = {a + b[1] + b[0] + b[2:] for a, b in halves if len(b) > 1}
        if len(keyword) == 2:
            return swapped
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        removed = {a + b[1:] for a, b in halves if b}
        replaced = {a + c + b[1:] for (a, b), c in product(halves, letters) if b}
        return swapped | removed | replaced | {a + c + b for (a, b), c in product(halves, letters)}

    near = [known for known in GRAMMAR.shapes if word in slips(known)]
    assert keyword == (near[0] if near in (["NTD"], ["LCD"]) else None)


# --- Long texts


@given(any_text | messages)
def test_pieces_are_never_longer_than_the_text(text: str) -> None:
    pieces = _pieces(text, GRAMMAR)
    assert all(pieces)
    assert sum(map(len, pieces)) <= len(unaccent(text).upper())


NASTY = ["1", "A", "|", "_", "\ud800", "ß", "\u0301\u0327", "ﷺ", "A1", "I ", "PP ", "PP0500|", "PP0500 0974006 "]
NASTY += ["PP05000974006", "NTDPP", "NTDPP05 ", "ky 1 ", "k1t1", "OIL|", "PC05 II ", "LXD "]


@pytest.mark.parametrize("unit", NASTY, ids=ascii)
def test_a_text_of_two_hundred_thousand_characters_is_read_to_its_end(unit: str) -> None:
    # No clock: were any step quadratic, this would take hours rather than seconds.
    question = ask(unit * (200_000 // len(unit)) + " TC")
    assert question.keyword == (None if "NTD" in unit and "05" in unit else "TC")
