"""The messages: what customers sent (MO) and the one reply to each (MT). These tables are also the queues.

A state is one upper-case word; MOVES lists every move that exists. Rows are kept: nothing here deletes.
"""

import uuid
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from evncare.fields import CodeField
from evncare.periods import Period


class Outcome(models.TextChoices):
    """What became of a question."""

    ANSWERED = "answered", _("answered")
    NO_DATA = "no_data", _("no data")
    UNKNOWN_CUSTOMER = "unknown_customer", _("unknown customer")
    BAD_SYNTAX = "bad_syntax", _("bad syntax")
    REFUSED = "refused", _("refused by rule")


class Refusal(models.TextChoices):
    """The rules by which a message gets no reply."""

    BINARY = "BINARY", _("binary data, no text")
    UNANSWERABLE_SENDER = "UNANSWERABLE_SENDER", _("the sender is no phone number")


class InboundMessage(models.Model):
    """One message from a customer, as the carrier delivered it, and what we understood of it."""

    class State(models.TextChoices):
        WAITING = "WAITING", _("waiting for its answer")
        ANSWERED = "ANSWERED", _("answered")
        REFUSED = "REFUSED", _("refused by rule")
        SET_ASIDE = "SET_ASIDE", _("set aside after failing")

    MOVES = {
        State.WAITING: {State.ANSWERED, State.REFUSED, State.SET_ASIDE},
        State.SET_ASIDE: {State.WAITING},
        State.ANSWERED: set(),
        State.REFUSED: set(),
    }

    carrier = CodeField(_("carrier"), max_length=32)
    message_id = CodeField(_("carrier's id"), max_length=128)
    sender = CodeField(_("sender"), max_length=32)
    short_code = CodeField(_("short code"), max_length=16)
    text = models.TextField(_("text"), blank=True)
    is_binary = models.BooleanField(_("binary"), default=False)
    operator = models.CharField(_("network operator"), max_length=32, blank=True)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    payload = models.BinaryField(_("payload"))
    received_at = models.DateTimeField(_("received at"))

    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(_("failed attempts"), default=0)
    failure = models.TextField(_("failure"), blank=True)

    keyword = CodeField(_("keyword"), max_length=8, blank=True)
    customer_code = CodeField(_("customer code"), max_length=13, blank=True)
    ky = models.PositiveSmallIntegerField(_("kỳ"), null=True, blank=True)
    month = models.PositiveSmallIntegerField(_("month"), null=True, blank=True)
    year = models.PositiveSmallIntegerField(_("year"), null=True, blank=True)
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome, blank=True)
    refusal = CodeField(_("refused because"), max_length=32, choices=Refusal, blank=True)
    concluded_at = models.DateTimeField(_("answered or refused at"), null=True, blank=True)

    class Meta:
        verbose_name = _("message received")
        verbose_name_plural = _("messages received")
        ordering = ("-id",)
        indexes = (
            # inbox.answer_waiting: the queue, oldest first.
            models.Index(fields=("id",), name="inbound_waiting", condition=Q(state="WAITING")),
            # The log by phone, by customer and by day.
            models.Index(fields=("sender", "received_at"), name="inbound_by_sender"),
            models.Index(fields=("customer_code", "received_at"), name="inbound_by_customer"),
            models.Index(fields=("received_at",), name="inbound_by_time"),
        )
        constraints = (
            models.UniqueConstraint(fields=("carrier", "message_id"), name="one_row_per_carrier_and_message_id"),
            models.CheckConstraint(
                condition=Q(state__in=("WAITING", "SET_ASIDE"), outcome="", concluded_at__isnull=True)
                | (Q(state__in=("ANSWERED", "REFUSED"), concluded_at__isnull=False) & ~Q(outcome="")),
                name="inbound_concluded_with_outcome_and_time",
            ),
            models.CheckConstraint(
                condition=Q(state="REFUSED", outcome="refused") & ~Q(refusal="") | ~Q(state="REFUSED") & Q(refusal=""),
                name="refusal_has_its_reason",
            ),
        )

    def __str__(self) -> str:
        return f"{self.carrier} {self.message_id}"

    @property
    def period(self) -> Period | None:
        if self.month is None or self.year is None:
            return None
        return Period(ky=self.ky, month=self.month, year=self.year)


def new_reference() -> str:
    return uuid.uuid4().hex


class OutboundMessage(models.Model):
    """The reply to one message; the carrier knows it by our reference."""

    class State(models.TextChoices):
        WAITING = "WAITING", _("waiting to be sent")
        SENDING = "SENDING", _("being sent")
        SENT = "SENT", _("accepted by the carrier")
        DELIVERED = "DELIVERED", _("delivered")
        FAILED = "FAILED", _("failed")
        EXPIRED = "EXPIRED", _("expired")
        UNKNOWN = "UNKNOWN", _("may have been sent")

    # A report may overtake the carrier's own answer to our request, hence SENDING to a final state. UNKNOWN is
    # never sent again by itself: its report, or a person, settles it.
    MOVES = {
        State.WAITING: {State.SENDING, State.EXPIRED},
        State.SENDING: {
            State.WAITING, State.SENT, State.UNKNOWN, State.DELIVERED, State.FAILED, State.EXPIRED,
        },
        State.UNKNOWN: {State.SENT, State.DELIVERED, State.FAILED, State.EXPIRED},
        State.SENT: {State.DELIVERED, State.FAILED, State.EXPIRED},
        State.DELIVERED: set(),
        State.FAILED: set(),
        State.EXPIRED: set(),
    }  # fmt: skip

    inbound = models.OneToOneField(InboundMessage, models.PROTECT, verbose_name=_("answers"), related_name="reply")
    reference = CodeField(_("reference"), max_length=32, unique=True, default=new_reference)
    carrier = CodeField(_("carrier"), max_length=32)
    recipient = CodeField(_("recipient"), max_length=32)
    short_code = CodeField(_("short code"), max_length=16)
    wording = CodeField(_("wording"), max_length=32)
    text = models.TextField(_("text"))
    encoding = CodeField(_("encoding"), max_length=5)
    segments = models.PositiveSmallIntegerField(_("segments"))
    charge = models.BooleanField(_("charged"))
    created_at = models.DateTimeField(_("created at"))

    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    send_after = models.DateTimeField(_("not to be sent before"))
    claimed_at = models.DateTimeField(_("claimed at"), null=True, blank=True)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    reported_at = models.DateTimeField(_("fate reported at"), null=True, blank=True)
    carrier_message_id = CodeField(_("carrier's id"), max_length=128, blank=True)
    failure = models.TextField(_("failure"), blank=True)

    class Meta:
        verbose_name = _("reply")
        verbose_name_plural = _("replies")
        ordering = ("-id",)
        indexes = (
            # outbox.deliver_waiting: the queue, oldest first.
            models.Index(fields=("send_after", "id"), name="outbound_waiting", condition=Q(state="WAITING")),
            # outbox.release_stuck: claims that nobody finished.
            models.Index(fields=("claimed_at",), name="outbound_sending", condition=Q(state="SENDING")),
            # outbox.record_report by the carrier's own id.
            models.Index(
                fields=("carrier", "carrier_message_id"),
                name="outbound_by_carrier_id",
                condition=~Q(carrier_message_id=""),
            ),
            # The log by day.
            models.Index(fields=("created_at",), name="outbound_by_time"),
        )
        constraints = (
            models.CheckConstraint(condition=Q(segments__gte=1), name="reply_has_a_segment"),
            models.CheckConstraint(
                condition=~Q(state="SENDING") | Q(claimed_at__isnull=False), name="sending_is_claimed"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("SENT", "DELIVERED")) | Q(sent_at__isnull=False), name="sent_has_its_time"
            ),
        )

    def __str__(self) -> str:
        return f"{self.reference}"


def moves_to(model: type[InboundMessage] | type[OutboundMessage], state: str) -> list[str]:
    """The states from which ``model`` may move to ``state``: the condition of every update that moves."""
    moves: dict[Any, set[Any]] = model.MOVES
    return [source for source, targets in moves.items() if state in targets]
