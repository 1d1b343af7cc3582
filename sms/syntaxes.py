"""The catalogue: one declaration a question, and the answers to a batch of them.

What TC lists, what the simulator and the API documentation show and what the checks prove all derive from
SYNTAXES. docs/add-a-question.md is the recipe. Only this module reads billing and outages, and only through
their queries.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from billing import queries as billing
from evncare.periods import Period
from outages import queries as outages
from sms import versions
from sms.models import Outcome, Refusal
from sms.parser import Grammar, Problem, Question, Shape
from sms.wording import day, fill, fit, moment, number


@dataclass(frozen=True)
class Answer:
    """The reply to one question. ``wording`` names the text it was made of; ``period`` is the one answered.

    ``refusal`` is the rule by which the question was not answered, where the reply says so.
    """

    outcome: Outcome
    wording: str
    text: str
    period: Period | None = None
    refusal: Refusal | None = None

    @property
    def charge(self) -> bool:
        """Answers are charged, errors go out free."""
        return self.outcome == Outcome.ANSWERED


@dataclass(frozen=True)
class Asked:
    """A well-formed question of a known account, asked at a moment."""

    question: Question
    account: billing.Account
    at: datetime

    @property
    def keyword(self) -> str:
        assert self.question.keyword, "a well-formed question has its keyword"
        return self.question.keyword

    @property
    def period(self) -> Period:
        assert self.question.period, "a well-formed question about a period has one"
        return self.question.period

    @property
    def month(self) -> billing.AccountMonth:
        return billing.AccountMonth(self.account, self.period.year, self.period.month)

    @property
    def reach(self) -> outages.Reach:
        return outages.Reach(self.account.code, self.account.station)


@dataclass(frozen=True)
class Syntax:
    """One question customers can ask: its keyword, what it takes, its name in TC's list, how it is answered.

    ``answer`` gets every such question of a batch at once, so that it looks up once, and returns their answers
    in order. TC has none: its answer is the catalogue itself. ``source`` is the export whose rows it tells.
    ``private`` facts may be kept for registered phones.
    """

    keyword: str
    title: Any
    shape: Shape
    label: str = ""
    answer: Callable[[Sequence[Asked]], list[Answer]] | None = None
    source: str = ""
    private: bool = False

    @property
    def usage(self) -> str:
        """The command in general: ``LGD MaKH ky thang nam``."""
        return self.command("MaKH")

    def command(self, customer: str, period: Period | None = None) -> str:
        """The command for a customer; its period's parts are only named where none is given."""
        words = [self.keyword]
        if self.shape.customer:
            words.append(customer)
        if self.shape.period:
            words.append(f"{period.ky or 1} {period.month} {period.year}" if period else "ky thang nam")
        return " ".join(words)


@versions.in_force()
def answer(questions: Sequence[Question], at: datetime, senders: Sequence[str | None] | None = None) -> list[Answer]:
    """The answers to a batch of questions as of a moment, in their order.

    ``senders`` are the phones that ask, where known: with SMS_DISCLOSURE=registered, private facts are told only
    to phones of the account. Takes a fixed number of queries for each kind of question, whatever the batch's size.
    """
    known = billing.accounts([q.customer for q in questions if q.customer and q.problem is None])
    answers: dict[int, Answer] = {}
    batches: dict[str, dict[int, Asked]] = defaultdict(dict)
    for place, question in enumerate(questions):
        if question.problem or question.keyword is None:
            answers[place] = complain(question, at)
        elif not SYNTAXES[question.keyword].shape.customer:
            answers[place] = Answer(Outcome.ANSWERED, f"{question.keyword}.answered", catalogue_text())
        elif question.customer not in known:
            answers[place] = unknown(question)
        elif senders and not may_be_told(question.keyword, known[question.customer], senders[place]):
            answers[place] = notice(Refusal.NOT_REGISTERED, question)
        else:
            batches[question.keyword][place] = Asked(question, known[question.customer], at)
    for keyword, batch in batches.items():
        answer_all = SYNTAXES[keyword].answer
        assert answer_all, f"{keyword} takes a customer, so it looks something up"
        answers.update(zip(batch, answer_all(list(batch.values())), strict=True))
    return [answers[place] for place in range(len(questions))]


def may_be_told(keyword: str, account: billing.Account, sender: str | None) -> bool:
    """Whether this phone may hear this of the account; without a phone, whether anyone may."""
    open_to_all = settings.SMS_DISCLOSURE == "all" or not SYNTAXES[keyword].private
    return open_to_all or sender is None or sender in account.phones


@versions.in_force()
def notice(refusal: Refusal, question: Question | None = None) -> Answer:
    """The reply that tells a sender why a message is not answered."""
    text = fill(f"refused.{refusal}", customer=question.customer if question else "", hotline=settings.HOTLINE)
    return Answer(Outcome.REFUSED, f"refused.{refusal}", text, question.period if question else None, refusal)


def unknown(question: Question) -> Answer:
    """The reply to a question about a code of ours that no customer has."""
    text = fill("unknown_customer", customer=question.customer, hotline=settings.HOTLINE)
    return Answer(Outcome.UNKNOWN_CUSTOMER, "unknown_customer", text, question.period)


def complain(question: Question, at: datetime) -> Answer:
    """The reply to a question that can't be answered as it stands: how to ask it."""
    if question.keyword is None:
        return Answer(Outcome.BAD_SYNTAX, "bad_syntax", catalogue_text(), question.period)
    # An example period only beside the sender's own code: "MaKH 1 9 2016" would be sent as it stands.
    readable = question.customer and question.problem is not Problem.FOREIGN_CODE
    example = Period.before(timezone.localtime(at).date()) if readable else None
    outcome, wording = {
        Problem.FOREIGN_CODE: (Outcome.UNKNOWN_CUSTOMER, "foreign_code"),
        Problem.SEVERAL_CODES: (Outcome.BAD_SYNTAX, "several_codes"),
        Problem.NO_PERIOD: (Outcome.BAD_SYNTAX, "bad_period"),
        Problem.BAD_PERIOD: (Outcome.BAD_SYNTAX, "bad_period"),
    }.get(question.problem, (Outcome.BAD_SYNTAX, "bad_code"))  # type: ignore[arg-type]
    *prefixes, last = settings.CUSTOMER_CODE_PREFIXES
    text = fill(
        wording,
        customer=question.customer,
        prefixes=f"{', '.join(prefixes)} hoac {last}" if prefixes else last,
        command=SYNTAXES[question.keyword].command(question.customer or "MaKH", question.period or example),
        short_code=settings.SMS_SHORT_CODE,
        hotline=settings.HOTLINE,
    )
    return Answer(outcome, wording, text, question.period)


def catalogue_text() -> str:
    """TC's reply: each question's number, name and command, a line each."""
    listed = [syntax for syntax in SYNTAXES.values() if syntax.label]
    return "\n".join(
        f"{place}.{syntax.label}\n{syntax.usage.replace(' ', '_')}" for place, syntax in enumerate(listed, start=1)
    )


# Questions about a period


@dataclass(frozen=True)
class PeriodQuestion:
    """Answers a question about a period: finds the facts of its month, settles which kỳ is meant, words them.

    ``find`` returns the facts of each account's month, ``periods`` the periods that an account has facts for,
    ``word`` the wording's key and the reply for the facts of one period.
    """

    find: Callable[[Collection[billing.AccountMonth]], Mapping[billing.AccountMonth, Sequence[Any]]]
    periods: Callable[[Collection[billing.Account]], Mapping[billing.Account, Sequence[Period]]]
    word: Callable[[Asked, Period, Sequence[Any]], tuple[str, str]]

    def __call__(self, batch: Sequence[Asked]) -> list[Answer]:
        found = self.find({asked.month for asked in batch})
        answers = [self._answer(asked, found.get(asked.month, ())) for asked in batch]
        missing = {asked.account for asked, given in zip(batch, answers, strict=True) if given is None}
        existing = self.periods(missing) if missing else {}
        return [
            given or self._no_data(asked, existing.get(asked.account, ()))
            for asked, given in zip(batch, answers, strict=True)
        ]

    def _answer(self, asked: Asked, facts: Sequence[Any]) -> Answer | None:
        by_period: dict[Period, list[Any]] = defaultdict(list)
        for fact in facts:
            if asked.period.covers(fact.period):
                by_period[fact.period].append(fact)
        if not by_period:
            return None
        if len(by_period) > 1:
            return self._which_ky(asked, sorted(period.ky or 0 for period in by_period))
        [(period, of_period)] = by_period.items()
        return Answer(Outcome.ANSWERED, *self.word(asked, period, of_period), period)

    def _which_ky(self, asked: Asked, kys: Sequence[int]) -> Answer:
        first = Period(ky=kys[0], month=asked.period.month, year=asked.period.year)
        text = fill(
            "which_ky",
            month=first.month,
            year=first.year,
            kys=", ".join(map(str, kys)),
            command=SYNTAXES[asked.keyword].command(asked.account.code, first),
            short_code=settings.SMS_SHORT_CODE,
            hotline=settings.HOTLINE,
        )
        return Answer(Outcome.BAD_SYNTAX, "which_ky", text, asked.period)

    def _no_data(self, asked: Asked, periods: Sequence[Period]) -> Answer:
        latest = ", ".join(f"{p.ky}/{p.month}/{p.year}" for p in periods[:3])
        wording = f"{asked.keyword}.no_data"
        text = fill(
            wording,
            period=spoken(asked.period),
            customer=asked.account.code,
            existing=fill("existing", periods=latest) if latest else "",
            hotline=settings.HOTLINE,
        )
        return Answer(Outcome.NO_DATA, wording, text, asked.period)


def spoken(period: Period) -> str:
    key = "period" if period.ky else "period.without_ky"
    return fill(key, ky=period.ky, month=period.month, year=period.year)


def word_reading_date(asked: Asked, period: Period, facts: Sequence[billing.ScheduledReading]) -> tuple[str, str]:
    date = day(facts[0].reading_date)
    return "LGD.answered", fill("LGD.answered", ky=period.ky, month=period.month, year=period.year, date=date)


def word_readings(asked: Asked, period: Period, facts: Sequence[billing.RegisterReading]) -> tuple[str, str]:
    def figures(wording: str, reading: billing.RegisterReading) -> str:
        return fill(
            wording,
            customer=asked.account.code,
            register=reading.register,
            multiplier=number(reading.multiplier),
            old=number(reading.old),
            new=number(reading.new),
            consumption=number(reading.consumption),
        )

    def word(told: Sequence[billing.RegisterReading], left_out: int) -> str:
        parts, meter = [], facts[0].meter if not several_meters else ""
        for reading in told:
            part = figures("CS.register", reading)
            if reading.meter != meter:
                part, meter = fill("CS.meter", meter=reading.meter, register=part), reading.meter
            parts.append(part)
        registers = "; ".join(parts)
        if left_out:
            registers = fill("CS.left_out", registers=registers, left_out=left_out, hotline=settings.HOTLINE)
        return fill(
            "CS.several",
            ky=period.ky,
            month=period.month,
            year=period.year,
            customer=asked.account.code,
            registers=registers,
        )

    if len(facts) == 1:
        return "CS.answered", figures("CS.answered", facts[0])
    several_meters = len({reading.meter for reading in facts}) > 1
    return "CS.several", fit(word, facts)


def word_bill(asked: Asked, period: Period, facts: Sequence[billing.Bill]) -> tuple[str, str]:
    bill = facts[0]
    wording = "TD.with_reactive" if bill.reactive else "TD.answered"
    return wording, fill(wording, period=spoken(period), total=bill.total, reactive=bill.reactive)


# Questions about an account as it stands


def answer_debts(batch: Sequence[Asked]) -> list[Answer]:
    owed = billing.unpaid({asked.account.code for asked in batch})
    return [Answer(Outcome.ANSWERED, *word_debts(asked.account, owed.get(asked.account.code, ()))) for asked in batch]


def word_debts(account: billing.Account, owed: Sequence[billing.Owed]) -> tuple[str, str]:
    def word(told: Sequence[billing.Owed], left_out: int) -> str:
        periods = "; ".join(
            fill("NTD.period", ky=o.period.ky, month=o.period.month, year=o.period.year, total=o.total) for o in told
        )
        if left_out:
            periods = fill("NTD.left_out", periods=periods, left_out=left_out)
        return fill("NTD.several", periods=periods, total=sum(o.total for o in owed))

    if not owed:
        return "NTD.none", fill("NTD.none", customer=account.code)
    if len(owed) > 1:
        return "NTD.several", fit(word, owed)
    [debt] = owed
    return "NTD.answered", fill(
        "NTD.answered", period=spoken(debt.period), amount=debt.amount, tax=debt.tax, total=debt.total
    )


def answer_outages(batch: Sequence[Asked]) -> list[Answer]:
    at = batch[0].at
    found = outages.interruptions({asked.reach for asked in batch}, at)
    return [Answer(Outcome.ANSWERED, *word_outages(asked.account, found.get(asked.reach, ()), at)) for asked in batch]


def word_outages(account: billing.Account, found: Sequence[outages.Interruption], at: datetime) -> tuple[str, str]:
    def hours(interruption: outages.Interruption) -> str:
        start, end = interruption.start_at, interruption.end_at
        return fill(
            "LCD.hours",
            start=moment(timezone.localtime(start)),
            end=moment(timezone.localtime(end)) if end else fill("LCD.end_unknown"),
        )

    def word(told: Sequence[outages.Interruption], left_out: int) -> str:
        parts = [hours(interruption) for interruption in told]
        if len(found) > 1 and told[0].is_running(at):
            parts[0] = fill("LCD.running", hours=parts[0])
        text = "; ".join(parts)
        if left_out:
            text = fill("LCD.left_out", outages=text, left_out=left_out)
        return fill("LCD.answered", outages=text)

    if not found:
        return "LCD.none", fill("LCD.none", customer=account.code, hotline=settings.HOTLINE)
    return "LCD.answered", fit(word, found)


# The catalogue

NOTHING = Shape(customer=False, period=False)
ACCOUNT = Shape(customer=True, period=False)
ACCOUNT_AND_PERIOD = Shape(customer=True, period=True)

SYNTAXES = {
    syntax.keyword: syntax
    for syntax in (
        Syntax(
            "LGD",
            _("meter-reading date"),
            ACCOUNT_AND_PERIOD,
            "LichGhiDien",
            PeriodQuestion(billing.reading_dates, billing.scheduled_periods, word_reading_date),
            source="schedules",
        ),
        Syntax(
            "CS",
            _("meter readings"),
            ACCOUNT_AND_PERIOD,
            "ChiSoTieuThu",
            PeriodQuestion(billing.readings, billing.read_periods, word_readings),
            source="readings",
            private=True,
        ),
        Syntax(
            "TD",
            _("amount billed"),
            ACCOUNT_AND_PERIOD,
            "TienDien",
            PeriodQuestion(billing.bills, billing.billed_periods, word_bill),
            source="invoices",
            private=True,
        ),
        Syntax("NTD", _("debt"), ACCOUNT, "NoTienDien", answer_debts, source="debts", private=True),
        Syntax("LCD", _("supply interruptions"), ACCOUNT, "LichCatDien", answer_outages, source="outages"),
        Syntax("TC", _("list of syntaxes"), NOTHING),
    )
}


@cache
def grammar() -> Grammar:
    """What the parser has to know of the catalogue and the settings."""
    return Grammar(
        shapes={keyword: syntax.shape for keyword, syntax in SYNTAXES.items()},
        prefixes=tuple(settings.CUSTOMER_CODE_PREFIXES),
        short_code=settings.SMS_SHORT_CODE,
    )


def _forget_grammar(**_kwargs: Any) -> None:
    grammar.cache_clear()


setting_changed.connect(_forget_grammar)
