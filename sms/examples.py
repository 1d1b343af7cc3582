"""Every reply in an ordinary case and in the worst one, worded by the very functions that answer customers.

The pages of the wordings show them, and sms/proof.py proves with them that no reply exceeds three segments. So the
worst cases hold the longest facts that the tables can (the MOST_ and LONGEST_ names below), in each way in which a
reply is put together: any other reply has the parts of one of them, each as long or shorter.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing import queries as billing
from evncare.periods import Period
from outages import queries as outages
from sms import gsm7, wording
from sms.models import Outcome, Refusal
from sms.parser import Problem, Question
from sms.syntaxes import (
    SYNTAXES,
    Answer,
    Asked,
    PeriodQuestion,
    catalogue_text,
    complain,
    notice,
    unknown,
    word_debts,
    word_outages,
)


@dataclass(frozen=True)
class Scenario:
    """A case in which a reply is worded; ``worst`` if no reply of its kind can be longer."""

    title: str | Promise
    answer: Callable[[], Answer]
    worst: bool = False


@dataclass(frozen=True)
class Example:
    """A scenario's reply, and all wordings that were filled for it with their facts."""

    scenario: Scenario
    answer: Answer
    filled: Sequence[wording.Filled]

    @property
    def size(self) -> gsm7.Size:
        return gsm7.measure(self.answer.text)

    @property
    def fits(self) -> bool:
        return self.size.segments <= wording.MOST_SEGMENTS

    def uses(self, key: str) -> bool:
        return any(key == filled for filled, _facts in self.filled)


def run(texts: Mapping[str, str], scenarios: Iterable[Scenario]) -> list[Example]:
    """The examples as they are worded with these texts instead of those delivered."""
    examples = []
    with wording.using(texts):
        for scenario in scenarios:
            with wording.tracing() as filled:
                answer = scenario.answer()
            examples.append(Example(scenario, answer, tuple(filled)))
    return examples


@cache
def saying(key: str) -> tuple[Scenario, ...]:
    """The scenarios whose replies hold this wording, or would if it were longer."""
    return tuple(example.scenario for example in run({}, SCENARIOS) if example.uses(key))


@cache
def placeholders() -> dict[str, tuple[str, ...]]:
    """The placeholders that each wording may have, by its key: the facts that it is given whenever it is said.

    A fact that some reply lacks is none, unless the delivered text knows how to do without it.
    """
    given: dict[str, dict[str, bool]] = {}
    for example in run({}, SCENARIOS):
        for key, facts in example.filled:
            always = given.setdefault(key, {})
            for name, value in facts.items():
                there = value is not None and (value != "" or f"{{{name}}}" in wording.WORDINGS[key])
                always[name] = always.get(name, True) and there
    return {key: tuple(name for name, there in always.items() if there) for key, always in given.items()}


# How each kind of reply is come by, without a database


def of_period(
    keyword: str, account: billing.Account, period: Period, facts: Sequence[Any], known: Sequence[Period] = ()
) -> Answer:
    """The answer about a period when these are the facts of its month, and ``known`` the periods that have any."""
    answer_all = SYNTAXES[keyword].answer
    assert isinstance(answer_all, PeriodQuestion), f"{keyword} is a question about a period"
    asked = Asked(Question(keyword, account.code, period, None), account, ORDINARY_TIME)
    [answer] = replace(answer_all, find=lambda _: {asked.month: facts}, periods=lambda _: {account: known})([asked])
    return answer


def of_debts(account: billing.Account, owed: Sequence[billing.Owed]) -> Answer:
    return Answer(Outcome.ANSWERED, *word_debts(account, owed))


def of_outages(account: billing.Account, found: Sequence[outages.Interruption], at: datetime) -> Answer:
    return Answer(Outcome.ANSWERED, *word_outages(account, found, at))


def of_problem(keyword: str, problem: Problem, at: datetime, customer: str | None = None) -> Answer:
    return complain(Question(keyword, customer, None, problem), at)


# Ordinary facts: those of the announcement, and the like


def account(code: str) -> billing.Account:
    return billing.Account(code, unit=code[:6], book="", station="", phones=())


ORDINARY = account("PP05000974006")
OCTOBER, SEPTEMBER = Period(ky=1, month=10, year=2016), Period(ky=1, month=9, year=2016)
ORDINARY_TIME = timezone.make_aware(datetime(2016, 10, 5, 8, 0))  # noqa: DTZ001  (made aware here)
ANNOUNCED = outages.Interruption(
    timezone.make_aware(datetime(2016, 10, 1, 9, 30)),  # noqa: DTZ001
    timezone.make_aware(datetime(2016, 10, 20, 15, 0)),  # noqa: DTZ001
    "KH",
    "",
)
COMING = outages.Interruption(
    timezone.make_aware(datetime(2016, 10, 7, 6, 5)),  # noqa: DTZ001
    timezone.make_aware(datetime(2016, 10, 7, 8, 0)),  # noqa: DTZ001
    "KH",
    "",
)


def ordinary_reading(register: str, old: int, new: int, meter: str = "CT001") -> billing.RegisterReading:
    return billing.RegisterReading(OCTOBER, meter, register, Decimal(1), Decimal(old), Decimal(new), Decimal(new - old))


def days_later(interruption: outages.Interruption, days: int) -> outages.Interruption:
    ends = interruption.end_at + timedelta(days=days) if interruption.end_at else None
    return replace(interruption, start_at=interruption.start_at + timedelta(days=days), end_at=ends)


ONE_READING = [ordinary_reading("KT", 9618, 10004)]
THREE_PRICES = [ordinary_reading("BT", 100, 150), ordinary_reading("CD", 40, 60), ordinary_reading("TD", 5, 8)]
TWO_METERS = [ordinary_reading("KT", 90, 100, "CT001"), ordinary_reading("KT", 0, 5, "CT002")]
TWELVE_METERS = [ordinary_reading("KT", 9000, 9618, f"0912345{number}") for number in range(12)]
OWED = billing.Owed(OCTOBER, 650000, 65000)
OWED_BEFORE = billing.Owed(SEPTEMBER, 100000, 10000)
TWO_YEARS = [replace(OWED, period=Period(1, month, year)) for year in (2016, 2015) for month in range(12, 0, -1)]

# The longest facts. Registers, meters, multipliers and readings are as long as their columns; money is taken in with
# fifteen digits. Fractions and minus signs count: adjustments and swapped meters bring them.

MOST_REGISTERS = 20
MOST_DEBTS = 120  # ten years of months
MOST_OUTAGES = 20
LONGEST_CODE = "PP99999999999"
LONGEST_FOREIGN_CODE = "PE99999999999"
LONGEST_PERIOD = Period(ky=9, month=12, year=2099)
LONGEST_METER, LONGEST_REGISTER = "9" * 30, "W" * 4
LONGEST_MULTIPLIER, LONGEST_READING = Decimal("-999999999.999"), Decimal("-999999999999.999")
LONGEST_MONEY = -999_999_999_999_999
LONGEST_TIME = timezone.make_aware(datetime(2099, 12, 10, 20, 0))  # noqa: DTZ001

LONGEST = account(LONGEST_CODE)
LONGEST_OWED = billing.Owed(LONGEST_PERIOD, LONGEST_MONEY, LONGEST_MONEY)
EVERY_KY = tuple(Period(ky, LONGEST_PERIOD.month, LONGEST_PERIOD.year) for ky in range(1, 10))
# The longest commands are those with a period.
LONGEST_KEYWORD = max(SYNTAXES, key=lambda keyword: len(SYNTAXES[keyword].usage))


def longest_readings(count: int, meters: int) -> list[billing.RegisterReading]:
    return [
        billing.RegisterReading(
            LONGEST_PERIOD,
            f"{number % meters:0>{len(LONGEST_METER)}}",
            LONGEST_REGISTER,
            LONGEST_MULTIPLIER,
            LONGEST_READING,
            LONGEST_READING,
            LONGEST_READING,
        )
        for number in range(count)
    ]


def longest_outages(count: int, *, running: bool, end_known: bool) -> list[outages.Interruption]:
    start = LONGEST_TIME - timedelta(hours=1) if running else LONGEST_TIME + timedelta(hours=1)
    end = LONGEST_TIME + timedelta(hours=3) if end_known else None
    return [outages.Interruption(start, end, "KH", "") for _number in range(count)]


def _no_data(keyword: str) -> list[Scenario]:
    without_ky = replace(LONGEST_PERIOD, ky=None)
    return [
        Scenario(_("nothing stored for the period"), lambda: of_period(keyword, ORDINARY, OCTOBER, (), [SEPTEMBER])),
        Scenario(_("nothing stored at all"), lambda: of_period(keyword, ORDINARY, replace(OCTOBER, ky=None), ())),
        Scenario(
            _("nothing stored for the period, three others are"),
            lambda: of_period(keyword, LONGEST, LONGEST_PERIOD, (), [LONGEST_PERIOD] * 3),
            worst=True,
        ),
        Scenario(
            _("nothing stored for the month, three other periods are"),
            lambda: of_period(keyword, LONGEST, without_ky, (), [LONGEST_PERIOD] * 3),
            worst=True,
        ),
    ]


def _problem(title: str | Promise, problem: Problem, code: str | None, longest_code: str | None) -> list[Scenario]:
    return [
        Scenario(title, lambda: of_problem("TD", problem, ORDINARY_TIME, code)),
        Scenario(title, lambda: of_problem(LONGEST_KEYWORD, problem, LONGEST_TIME, longest_code), worst=True),
    ]


def _notice(title: str | Promise, refusal: Refusal) -> list[Scenario]:
    def refused(code: str) -> Answer:
        return notice(refusal, Question("NTD", code, None, None) if refusal is Refusal.NOT_REGISTERED else None)

    return [
        Scenario(title, lambda: refused(ORDINARY.code)),
        Scenario(title, lambda: refused(LONGEST_CODE), worst=True),
    ]


def _unknown(code: str) -> Answer:
    return unknown(Question("NTD", code, None, None))


SCENARIOS: tuple[Scenario, ...] = (
    # LGD
    Scenario(
        _("a reading date"),
        lambda: of_period("LGD", ORDINARY, OCTOBER, [billing.ScheduledReading(OCTOBER, date(2016, 6, 10))]),
    ),
    Scenario(
        _("a reading date"),
        lambda: of_period(
            "LGD", LONGEST, LONGEST_PERIOD, [billing.ScheduledReading(LONGEST_PERIOD, date(2099, 12, 31))]
        ),
        worst=True,
    ),
    *_no_data("LGD"),
    # CS
    Scenario(_("one register"), lambda: of_period("CS", ORDINARY, OCTOBER, ONE_READING)),
    Scenario(_("a three-price meter"), lambda: of_period("CS", ORDINARY, OCTOBER, THREE_PRICES)),
    Scenario(_("a meter was swapped"), lambda: of_period("CS", ORDINARY, OCTOBER, TWO_METERS)),
    Scenario(_("twelve meters"), lambda: of_period("CS", ORDINARY, OCTOBER, TWELVE_METERS)),
    Scenario(
        _("one register"), lambda: of_period("CS", LONGEST, LONGEST_PERIOD, longest_readings(1, meters=1)), worst=True
    ),
    Scenario(
        _("twenty registers of one meter"),
        lambda: of_period("CS", LONGEST, LONGEST_PERIOD, longest_readings(MOST_REGISTERS, meters=1)),
        worst=True,
    ),
    Scenario(
        _("twenty registers of twenty meters"),
        lambda: of_period("CS", LONGEST, LONGEST_PERIOD, longest_readings(MOST_REGISTERS, meters=MOST_REGISTERS)),
        worst=True,
    ),
    *_no_data("CS"),
    # TD
    Scenario(_("a bill"), lambda: of_period("TD", ORDINARY, OCTOBER, [billing.Bill(OCTOBER, 500550, 0)])),
    Scenario(
        _("a bill, and one for reactive power"),
        lambda: of_period("TD", ORDINARY, OCTOBER, [billing.Bill(OCTOBER, 500550, 12000)]),
    ),
    Scenario(
        _("a bill"),
        lambda: of_period("TD", LONGEST, LONGEST_PERIOD, [billing.Bill(LONGEST_PERIOD, LONGEST_MONEY, 0)]),
        worst=True,
    ),
    Scenario(
        _("a bill, and one for reactive power"),
        lambda: of_period("TD", LONGEST, LONGEST_PERIOD, [billing.Bill(LONGEST_PERIOD, LONGEST_MONEY, LONGEST_MONEY)]),
        worst=True,
    ),
    *_no_data("TD"),
    # NTD
    Scenario(_("one unpaid period"), lambda: of_debts(ORDINARY, [OWED])),
    Scenario(_("two unpaid periods"), lambda: of_debts(ORDINARY, [OWED, OWED_BEFORE])),
    Scenario(_("two years unpaid"), lambda: of_debts(ORDINARY, TWO_YEARS)),
    Scenario(_("nothing owed"), lambda: of_debts(ORDINARY, [])),
    Scenario(_("one unpaid period"), lambda: of_debts(LONGEST, [LONGEST_OWED]), worst=True),
    Scenario(_("ten years unpaid"), lambda: of_debts(LONGEST, [LONGEST_OWED] * MOST_DEBTS), worst=True),
    Scenario(_("nothing owed"), lambda: of_debts(LONGEST, []), worst=True),
    # LCD
    Scenario(_("one interruption"), lambda: of_outages(ORDINARY, [ANNOUNCED], ORDINARY_TIME)),
    Scenario(
        _("an interruption whose end nobody knows"),
        lambda: of_outages(ORDINARY, [replace(ANNOUNCED, end_at=None)], ORDINARY_TIME),
    ),
    Scenario(
        _("a running and a coming interruption"), lambda: of_outages(ORDINARY, [ANNOUNCED, COMING], ORDINARY_TIME)
    ),
    Scenario(
        _("twelve interruptions"),
        lambda: of_outages(ORDINARY, [days_later(COMING, days) for days in range(12)], ORDINARY_TIME),
    ),
    Scenario(_("no interruption"), lambda: of_outages(ORDINARY, [], ORDINARY_TIME)),
    *(
        Scenario(
            title,
            lambda count=count, running=running, end_known=end_known: of_outages(  # type: ignore[misc]
                LONGEST, longest_outages(count, running=running, end_known=end_known), LONGEST_TIME
            ),
            worst=True,
        )
        for title, count, running, end_known in (
            (_("one interruption"), 1, False, True),
            (_("an interruption whose end nobody knows"), 1, True, False),
            (_("twenty interruptions"), MOST_OUTAGES, False, True),
            (_("twenty interruptions whose end nobody knows"), MOST_OUTAGES, False, False),
            (_("twenty interruptions, the first running"), MOST_OUTAGES, True, True),
            (_("twenty interruptions, the first running, whose end nobody knows"), MOST_OUTAGES, True, False),
        )
    ),
    Scenario(_("no interruption"), lambda: of_outages(LONGEST, [], LONGEST_TIME), worst=True),
    # TC
    Scenario(_("list of syntaxes"), lambda: Answer(Outcome.ANSWERED, "TC.answered", catalogue_text())),
    Scenario(_("list of syntaxes"), lambda: Answer(Outcome.ANSWERED, "TC.answered", catalogue_text()), worst=True),
    # Errors
    Scenario(
        _("a month with two kỳ"),
        lambda: of_period(
            "TD",
            ORDINARY,
            replace(OCTOBER, ky=None),
            [billing.Bill(OCTOBER, 500550, 0), billing.Bill(replace(OCTOBER, ky=2), 100000, 0)],
        ),
    ),
    Scenario(
        _("a month with nine kỳ"),
        lambda: of_period(
            LONGEST_KEYWORD,
            LONGEST,
            replace(LONGEST_PERIOD, ky=None),
            [billing.Bill(period, LONGEST_MONEY, 0) for period in EVERY_KY],
        ),
        worst=True,
    ),
    Scenario(_("a code that no customer has"), lambda: _unknown(ORDINARY.code)),
    Scenario(_("a code that no customer has"), lambda: _unknown(LONGEST_CODE), worst=True),
    *_problem(_("another corporation's code"), Problem.FOREIGN_CODE, "PE05000974006", LONGEST_FOREIGN_CODE),
    *_problem(_("a code that can't be read"), Problem.BAD_CODE, None, None),
    *_problem(_("two codes"), Problem.SEVERAL_CODES, None, None),
    *_problem(_("a period that can't be read"), Problem.BAD_PERIOD, ORDINARY.code, LONGEST_CODE),
    # Refusals
    *_notice(_("too many messages in an hour"), Refusal.TOO_MANY),
    *_notice(_("too many customers' codes in a day"), Refusal.TOO_MANY_CODES),
    *_notice(_("the phone is not registered on the account"), Refusal.NOT_REGISTERED),
)
