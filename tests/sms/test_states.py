"""The states of messages and replies, and the rules on duplicates, against a simple model and in any order.

The model says what each message and reply must be; the service is asked for the same through its own few doors. A
resend is refused, and an answer sent, exactly when the model says so; nothing ever moves backwards.
"""

import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.test import TestCase
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from sms import audit, gateways, handling, inbox, outbox
from sms.gateways.base import Fate, Received, Refused, Report, SendError, TryLater, Unknown
from sms.models import InboundMessage, OutboundMessage, Refusal
from tests.factories import NOW

SCRIPTED = {"BACKEND": "tests.sms.test_outbox.Scripted"}
PLAIN, ONCE = "plain", "once"
CARRIERS = {PLAIN: SCRIPTED, ONCE: SCRIPTED | {"OPTIONS": {"takes_each_once": True}}}
SENDERS = ("84905000001", "84905000002", "84905000001", "VIETTEL")
TEXTS = ("TC", "NTD PP05000974006")
ANSWERS = ("accepted", "refused", "try later", "unknown", "broken")
FATES = {Fate.ACCEPTED: "SENT", Fate.DELIVERED: "DELIVERED", Fate.FAILED: "FAILED", Fate.EXPIRED: "EXPIRED"}
FINAL = ("DELIVERED", "FAILED", "EXPIRED")
MAX_AGE = timedelta(minutes=30)
EXAMPLES = int(os.environ.get("STATES_EXAMPLES", "0"))  # a search of one's own, with its failure made small


@dataclass
class Asked:
    """What the model knows of one message, and of its reply once it has one."""

    carrier: str
    message_id: str
    sender: str
    text: str
    at: datetime
    state: str = "WAITING"
    refusal: str = ""
    repeats: "Asked | None" = None
    concluded: datetime | None = None
    drain: int = 0  # in which it was concluded
    reply: str = ""
    due: tuple[datetime, datetime] | None = None  # not sent before the first; sure to be sent from the second on
    attempts: int = 0
    claimed: datetime | None = None
    taken: int = 0
    may_be_taken_again: bool = False
    is_follower: bool = False
    is_followed: bool = False
    is_settled: bool = False
    history: list[str] = field(default_factory=list)


def error(answer: str) -> SendError | Exception | None:
    return {
        "accepted": None,
        "refused": Refused("400"),
        "try later": TryLater("503"),
        "unknown": Unknown("no answer"),
        "broken": ZeroDivisionError(),
    }[answer]


class Messages(RuleBasedStateMachine):
    """The clock only goes on. A worker that dies is one that claims and never records."""

    asked = Bundle("asked")
    dead = Bundle("dead")

    def __init__(self) -> None:
        super().__init__()
        self.now, self.number, self.drains = NOW, 0, 0
        self.model: list[Asked] = []
        for name in CARRIERS:
            gateways.get(name).answers = []
            gateways.get(name).taken = []

    # Messages come

    @rule(
        target=asked,
        carrier=st.sampled_from((PLAIN, ONCE)),
        sender=st.sampled_from(SENDERS),
        text=st.sampled_from(TEXTS),
    )
    def a_message_comes(self, carrier: str, sender: str, text: str) -> Asked:
        self.number += 1
        message = Asked(carrier, f"M{self.number}", sender, text, self.now)
        assert not self.receive(message).duplicate
        self.model.append(message)
        return message

    @rule(message=asked)
    def the_carrier_repeats_its_request(self, message: Asked) -> None:
        assert self.receive(message).duplicate

    @rule(target=asked, message=asked)
    def the_same_is_sent_again_under_a_new_id(self, message: Asked) -> Asked:
        return self.a_message_comes(message.carrier, message.sender, message.text)

    def receive(self, message: Asked) -> Any:
        given = Received(message.message_id, message.sender, "8088", message.text, b"{}")
        return inbox.receive(message.carrier, given, now=self.now)

    @rule(seconds=st.sampled_from((1, 5, 30, 61, 301, 1000, 2000)))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    # They are answered

    @rule()
    def the_inbox_is_drained(self) -> None:
        while inbox.answer_waiting(now=self.now):
            pass
        self.drains += 1
        for message in self.model:
            if message.state == "WAITING":
                self.conclude(message)

    def conclude(self, message: Asked) -> None:
        message.concluded, message.drain = self.now, self.drains
        if not message.sender.isdecimal():
            message.state, message.refusal = "REFUSED", Refusal.UNANSWERABLE_SENDER
            return
        if not message.is_follower:
            message.repeats = next((other for other in self.model if self.is_resend(message, other)), None)
        if message.repeats:
            message.state, message.refusal = "REFUSED", Refusal.RESENT
        else:
            message.state, message.reply, message.due = "ANSWERED", "WAITING", (self.now, self.now)

    def is_resend(self, message: Asked, other: Asked) -> bool:
        """Same sender and text, a minute before at most, itself no resend, and not answered when this one came."""
        return (
            not other.is_follower
            and self.model.index(other) < self.model.index(message)
            and (other.sender, other.text) == (message.sender, message.text)
            and message.at - other.at <= timedelta(seconds=60)
            and other.refusal != Refusal.RESENT
            and (other.concluded is None or other.concluded > message.at or other.drain == self.drains)
        )

    # Replies are sent

    @rule(answers=st.lists(st.sampled_from(ANSWERS), max_size=6))
    def the_outbox_is_drained_once(self, answers: list[str]) -> None:
        for name in CARRIERS:
            gateways.get(name).answers = [error(answer) for answer in answers]
        before = {name: len(gateways.get(name).taken) for name in CARRIERS}
        outbox.deliver_waiting(now=self.now)
        references = dict(OutboundMessage.objects.values_list("reference", "inbound__message_id"))
        by_id = {message.message_id: message for message in self.model}
        for name in CARRIERS:
            for place, reply in enumerate(gateways.get(name).taken[before[name] :]):
                message = by_id[references[reply.reference]]
                assert reply.in_reply_to == ("" if message.is_follower else message.message_id)
                assert not (reply.charge and message.is_follower)
                self.was_sent(message, answers[place] if place < len(answers) else "accepted")
        for message in self.model:
            if message.reply == "WAITING" and message.due and message.due[1] <= self.now and self.is_too_old(message):
                message.reply = "EXPIRED"

    def was_sent(self, message: Asked, answer: str) -> None:
        """The carrier was asked to take this message's reply and did as told; it must have been due."""
        assert message.reply == "WAITING"
        assert message.due
        assert message.due[0] <= self.now
        assert not self.is_too_old(message)
        assert message.taken == 0 or message.may_be_taken_again, "what may have been taken was sent again"
        message.attempts += 1
        again = message.carrier == ONCE
        message.may_be_taken_again = again
        message.taken += answer != "try later"
        if answer in ("unknown", "broken") and not again:
            message.reply = "UNKNOWN"
        elif answer in ("accepted", "refused"):
            message.reply = {"accepted": "SENT", "refused": "FAILED"}[answer]
        elif message.attempts == outbox.MOST_ATTEMPTS:
            message.reply = "FAILED" if answer == "try later" else "UNKNOWN"
        else:
            longest = min(outbox.FIRST_RETRY * 2 ** (message.attempts - 1), outbox.LONGEST_RETRY)
            message.due = (self.now + longest / 2, self.now + longest)

    def is_too_old(self, message: Asked) -> bool:
        assert message.concluded
        return self.now - message.concluded > MAX_AGE

    @rule(target=dead, carrier=st.sampled_from((PLAIN, ONCE)))
    def a_worker_dies_while_sending(self, carrier: str) -> list[tuple[Any, Asked]]:
        claimed, _ = outbox._claim(carrier, carrier, self.now)
        by_id = {message.message_id: message for message in self.model}
        left = [(row, by_id[row.inbound.message_id]) for row in claimed]
        for _row, message in left:
            assert message.reply == "WAITING"
            message.reply, message.claimed = "SENDING", self.now
            message.attempts += 1
            message.taken += 1
        for message in self.model:
            due = message.reply == "WAITING" and message.due and message.due[1] <= self.now
            if message.carrier == carrier and due and self.is_too_old(message):
                message.reply = "EXPIRED"
        return left

    @rule(left=consumes(dead), answer=st.sampled_from(("accepted", "try later")))
    def the_worker_was_only_slow(self, left: list[tuple[Any, Asked]], answer: str) -> None:
        """It writes down what the carrier answered, however late: an acceptance counts, an error only in time."""
        if not left:
            return
        outbox._record(left[0][1].carrier, [outbox.Sent(row, error=error(answer)) for row, _ in left], self.now)
        for row, message in left:
            mine = message.reply == "SENDING" and message.attempts == row.attempts + 1
            if answer == "accepted" and message.reply in ("SENDING", "UNKNOWN"):
                message.reply = "SENT"
            elif answer == "try later" and mine:
                message.taken -= 1
                last = message.attempts == outbox.MOST_ATTEMPTS
                longest = min(outbox.FIRST_RETRY * 2 ** (message.attempts - 1), outbox.LONGEST_RETRY)
                message.due = (self.now + longest / 2, self.now + longest)
                message.reply = "FAILED" if last else "WAITING"

    @rule()
    def the_sweeper_comes(self) -> None:
        outbox.settle_stuck(now=self.now)
        for message in self.model:
            if message.reply == "SENDING" and message.claimed and self.now - message.claimed > outbox.CLAIM_LASTS:
                message.reply = "WAITING" if message.carrier == ONCE else "UNKNOWN"
                message.due, message.may_be_taken_again = (self.now, self.now), message.carrier == ONCE

    # Reports come

    @rule(message=asked, fate=st.sampled_from([*Fate, None]))
    def a_report_comes(self, message: Asked, fate: Fate | None) -> None:
        row = OutboundMessage.objects.filter(inbound__message_id=message.message_id).first()
        known = outbox.record_report(
            message.carrier, Report(row.reference if row else "never-sent", "", fate), now=self.now
        )
        assert known == bool(message.reply)
        may = message.reply in ("SENDING", "UNKNOWN", "SENT") and fate is not None
        if may and not (fate is Fate.ACCEPTED and message.reply == "SENT"):
            message.reply = FATES[fate]

    # Staff do something about a message

    @rule(target=asked, message=asked, kind=st.sampled_from(("answer", "correct", "send", "settle")))
    def staff_handle_a_message(self, message: Asked, kind: str) -> Any:
        row = InboundMessage.objects.get(message_id=message.message_id)
        who = {"by": "lan", "reason": "the customer called", "now": self.now}
        sure = {"confirmed_not_received": True, "may_resend_unknown": True}
        may = self.may_be_handled(message, kind)
        try:
            if kind == "answer":
                made = handling.answer_again(row, **who)
            elif kind == "correct":
                made = handling.correct_and_answer(row, "TC", **who)
            elif kind == "send":
                made = handling.send_again(row, **who, **sure)
            else:
                made = handling.settle(row, **who)
        except handling.NotPossible:
            assert not may
            return multiple()
        assert may
        message.is_settled = True
        if kind == "settle":
            return multiple()
        message.is_followed = True
        text = "TC" if kind == "correct" else message.text
        follower = Asked(message.carrier, made.message_id, message.sender, text, self.now, is_follower=True)
        if kind == "send":
            follower.state, follower.refusal, follower.concluded = "ANSWERED", message.refusal, self.now
            follower.reply, follower.due = "WAITING", (self.now, self.now)
        self.model.append(follower)
        return follower

    def may_be_handled(self, message: Asked, kind: str) -> bool:
        if message.is_followed or message.state == "WAITING" or message.reply in ("WAITING", "SENDING"):
            return False
        if kind == "settle":
            return not message.is_settled
        if not message.sender.isdecimal():
            return False
        return bool(message.reply) if kind == "send" else message.reply != "UNKNOWN" or message.is_settled

    # What seldom comes about by chance

    @rule(message=asked, seconds=st.sampled_from((1, 20)))
    def the_customer_asks_again_after_the_answer(self, message: Asked, seconds: int) -> None:
        self.the_inbox_is_drained()
        self.time_passes(seconds)
        self.a_message_comes(message.carrier, message.sender, message.text)
        self.the_inbox_is_drained()

    @rule(message=asked, fates=st.lists(st.sampled_from([*Fate]), min_size=2, max_size=3))
    def reports_contradict_each_other(self, message: Asked, fates: list[Fate]) -> None:
        for fate in fates:
            self.a_report_comes(message, fate)

    @rule()
    def the_carrier_is_closed_until_answers_are_old(self) -> None:
        self.the_inbox_is_drained()
        self.time_passes(2000)
        self.the_outbox_is_drained_once([])

    @rule(answer=st.sampled_from(("accepted", "try later")))
    def a_worker_is_so_slow_that_another_takes_over(self, answer: str) -> None:
        self.a_message_comes(ONCE, SENDERS[0], f"xin chao {self.number}")
        self.the_inbox_is_drained()
        left = self.a_worker_dies_while_sending(ONCE)
        self.time_passes(301)
        self.the_sweeper_comes()
        self.a_worker_dies_while_sending(ONCE)
        self.the_worker_was_only_slow(left, answer)

    # What always holds

    @invariant()
    def the_service_is_as_the_model_says(self) -> None:
        rows = {row.message_id: row for row in InboundMessage.objects.select_related("reply", "repeats")}
        assert len(rows) == len(self.model)
        for message in self.model:
            row = rows[message.message_id]
            reply = getattr(row, "reply", None)
            repeats = row.repeats.message_id if row.repeats else None
            assert (row.state, row.refusal) == (message.state, message.refusal)
            assert repeats == (message.repeats.message_id if message.repeats else None)
            assert (reply.state if reply else "") == message.reply
            assert bool(row.settled_at) == message.is_settled
            if reply and message.reply == "WAITING":
                assert message.due[0] <= reply.send_after <= message.due[1]

    @invariant()
    def nothing_leaves_a_final_state(self) -> None:
        for message in self.model:
            if not message.history or message.history[-1] != message.reply:
                assert not message.history or message.history[-1] not in FINAL, message.history
                message.history.append(message.reply)

    def teardown(self) -> None:
        """The books balance, and each state is where its recorded moves lead."""
        found = audit.audit(audit.Span(NOW, self.now + timedelta(seconds=1)), now=self.now)
        assert (found.books.balanced, found.books.received) == (True, len(self.model))
        faults = {"not_answered_once", "reply_to_unanswered", "refused_without_reason"}
        faults |= {"unexplained_state", "unexplained_reply_state"}
        assert not faults & {finding.name for finding in found.findings}


class StatesTest(TestCase):
    def test_messages_and_replies_are_always_as_the_model_says(self) -> None:
        class Rolled(Messages):
            """Each run in a transaction of its own, which is rolled back."""

            def __init__(self) -> None:
                super().__init__()
                self.atomics = StatesTest._enter_atomics()

            def teardown(self) -> None:
                try:
                    super().teardown()
                finally:
                    StatesTest._rollback_atomics(self.atomics)

        no_brakes = {"SMS_LIMIT_PER_HOUR": 10_000, "SMS_CODES_PER_DAY": 10_000}
        minutes = int(MAX_AGE.total_seconds() // 60)
        with self.settings(SMS_CARRIERS=CARRIERS, SMS_REPLY_MAX_AGE_MINUTES=minutes, **no_brakes):
            run_state_machine_as_test(
                Rolled,
                settings=settings(
                    max_examples=EXAMPLES or 60,
                    phases=list(Phase) if EXAMPLES else [Phase.reuse, Phase.generate],  # making small takes minutes
                    stateful_step_count=25,
                ),
            )
