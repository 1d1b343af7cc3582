"""What would become of a message: for the `answer` command and for the page to try one. Nothing is stored or sent."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from evncare.periods import Period
from sms import gsm7, rules, syntaxes, versions
from sms.models import Outcome, Refusal
from sms.parser import Question, parse


@dataclass(frozen=True)
class Preview:
    """A message as it was understood, and its answer; None if it would get no reply.

    ``refusal`` is the rule that is against it, also where a reply tells the sender so. The rules that count what a
    phone has sent of late are not asked: a trial is no message.
    """

    text: str
    question: Question
    answer: syntaxes.Answer | None
    refusal: Refusal | None

    @property
    def outcome(self) -> Outcome:
        return self.answer.outcome if self.answer else Outcome.REFUSED

    @property
    def period(self) -> Period | None:
        """The period that was answered, or else the one that was asked about."""
        return self.answer.period if self.answer else self.question.period

    @property
    def size(self) -> gsm7.Size | None:
        return gsm7.measure(self.answer.text) if self.answer else None

    @property
    def customer(self) -> str | None:
        """The code of the customer of whom the reply tells something."""
        told = self.answer and not self.question.problem and self.outcome != Outcome.UNKNOWN_CUSTOMER
        return self.question.customer if told else None

    @property
    def command(self) -> str | None:
        """The question as it was understood, in the published form."""
        if self.question.keyword is None or self.question.problem:
            return None
        syntax = syntaxes.SYNTAXES[self.question.keyword]
        return syntax.command(self.question.customer or "", self.question.period)

    def as_json(self) -> dict[str, Any]:
        """The documented object of the `answer` command."""
        return {
            "text": self.text,
            "outcome": str(self.outcome),
            "syntax": self.question.keyword,
            "customer": self.question.customer,
            "period": asdict(self.period) if self.period else None,
            "reply": self.answer.text if self.answer else None,
            "encoding": self.size.encoding if self.size else None,
            "segments": self.size.segments if self.size else 0,
        }


def preview(texts: Sequence[str], sender: str | None, at: datetime) -> Iterator[Preview]:
    """What would become of each text, asked at that moment by that phone, where one is given."""
    questions = [parse(text, syntaxes.grammar()) for text in texts]
    with versions.in_force():
        answers = syntaxes.answer(questions, at, [sender] * len(questions))
        of_sender = rules.lasting_refusal(sender, "", is_binary=False, now=at) if sender else None
        against = [of_sender or (Refusal.ECHO if rules.is_echo(text) else None) for text in texts]
    for text, question, answer, refusal in zip(texts, questions, answers, against, strict=True):
        yield Preview(text, question, None if refusal else answer, refusal or answer.refusal)
