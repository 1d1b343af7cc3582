"""The messages: what customers sent (MO) and the one reply to each (MT). These tables are also the queues.

A state is one upper-case word; MOVES lists every move that exists. Rows are kept: nothing here deletes, and what is
erased (sms/privacy.py) stays as a row that counts, without number or text.
"""

import uuid
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

import evncare.search  # noqa: F401  (the lookup "words")
from evncare.fields import CodeField
from evncare.periods import Period
from evncare.phones import masked


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
    BLOCKED = "BLOCKED", _("the sender is blocked")
    RESENT = "RESENT", _("repeats a message that was not yet answered")
    ECHO = "ECHO", _("sends our own words back")
    TOO_MANY = "TOO_MANY", _("too many messages in an hour")
    TOO_MANY_CODES = "TOO_MANY_CODES", _("too many customers' codes in a day")
    NOT_REGISTERED = "NOT_REGISTERED", _("the phone is not registered on the account")


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
    repeats = models.ForeignKey(
        "self", models.PROTECT, verbose_name=_("repeats"), null=True, blank=True, db_index=False, related_name="+"
    )
    # What staff had answered or sent anew: a message of its own that follows the first, so that each still gets one
    # reply. It carries no carrier's id that the carrier knows.
    follows = models.ForeignKey(
        "self", models.PROTECT, verbose_name=_("follows"), null=True, blank=True, db_index=False, related_name="+"
    )
    concluded_at = models.DateTimeField(_("answered or refused at"), null=True, blank=True)
    settled_at = models.DateTimeField(_("settled by staff at"), null=True, blank=True)
    erased_at = models.DateTimeField(_("personal data erased at"), null=True, blank=True)

    class Meta:
        verbose_name = _("message received")
        verbose_name_plural = _("messages received")
        ordering = ("-id",)
        default_permissions = ("view",)
        permissions = (
            ("handle_inboundmessage", _("Can answer messages again, correct them and settle them")),
            ("try_inboundmessage", _("Can try what a message would be answered")),
        )
        indexes = (
            # inbox.answer_waiting: the queue, oldest first.
            models.Index(fields=("id",), name="inbound_waiting", condition=Q(state="WAITING")),
            # The start page: what was set aside and nobody settled.
            models.Index(
                fields=("id",), name="inbound_set_aside", condition=Q(state="SET_ASIDE", settled_at__isnull=True)
            ),
            # statistics.refresh: settled or not, what was set aside may still be answered, however old.
            models.Index(fields=("received_at",), name="inbound_set_aside_by_time", condition=Q(state="SET_ASIDE")),
            # The log by phone, by customer and by day.
            models.Index(fields=("sender", "received_at"), name="inbound_by_sender"),
            models.Index(fields=("customer_code", "received_at"), name="inbound_by_customer"),
            models.Index(fields=("received_at",), name="inbound_by_time"),
            # The log by outcome, of those that few messages have.
            models.Index(
                fields=("outcome", "id"),
                name="inbound_by_outcome",
                condition=Q(outcome__in=("no_data", "unknown_customer", "bad_syntax", "refused")),
            ),
            # privacy.forget_old: the oldest that still hold personal data, without passing all that don't.
            models.Index(fields=("received_at",), name="inbound_unerased", condition=Q(erased_at__isnull=True)),
        )
        constraints = (
            models.UniqueConstraint(fields=("carrier", "message_id"), name="one_row_per_carrier_and_message_id"),
            # handling: a message is answered or sent anew once, whoever clicks twice; then its follower may be.
            models.UniqueConstraint(
                fields=("follows",), condition=Q(follows__isnull=False), name="one_follower_per_message"
            ),
            models.CheckConstraint(
                condition=Q(state__in=("WAITING", "SET_ASIDE"), outcome="", concluded_at__isnull=True)
                | (Q(state__in=("ANSWERED", "REFUSED"), concluded_at__isnull=False) & ~Q(outcome="")),
                name="inbound_concluded_with_outcome_and_time",
            ),
            # A refusal always has its reason. Some are told to the sender, once, and are ANSWERED then.
            models.CheckConstraint(
                condition=Q(outcome="refused") & ~Q(refusal="") | ~Q(outcome="refused") & Q(refusal=""),
                name="refusal_has_its_reason",
            ),
            models.CheckConstraint(condition=~Q(state="REFUSED") | Q(outcome="refused"), name="refused_is_a_refusal"),
            models.CheckConstraint(
                condition=Q(refusal="RESENT", repeats__isnull=False) | ~Q(refusal="RESENT") & Q(repeats__isnull=True),
                name="resent_names_what_it_repeats",
            ),
            models.CheckConstraint(
                condition=Q(erased_at__isnull=True) | Q(sender="", text="", customer_code="", payload=b""),
                name="erased_holds_nobodys_data",
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
    settled_at = models.DateTimeField(_("settled by staff at"), null=True, blank=True)

    class Meta:
        verbose_name = _("reply")
        verbose_name_plural = _("replies")
        ordering = ("-id",)
        default_permissions = ("view",)
        permissions = (("resend_outboundmessage", _("Can send replies again that may have been delivered")),)
        indexes = (
            # outbox.deliver_waiting: the queue, oldest first.
            models.Index(fields=("carrier", "send_after", "id"), name="outbound_waiting", condition=Q(state="WAITING")),
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
            # The start page: what did not arrive, or perhaps did, and nobody settled.
            models.Index(
                fields=("state", "id"),
                name="outbound_unsettled",
                condition=Q(state__in=("FAILED", "EXPIRED", "UNKNOWN"), settled_at__isnull=True),
            ),
            # The log of replies by state, of those that few replies have.
            models.Index(
                fields=("state", "id"),
                name="outbound_by_state",
                condition=Q(state__in=("FAILED", "EXPIRED", "UNKNOWN")),
            ),
            # The free ones, of which there are few too: notices, and what staff had answered again.
            models.Index(fields=("id",), name="outbound_free", condition=Q(charge=False)),
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


class Move(models.Model):
    """One move of a message from one state to another: when, and what caused it."""

    inbound = models.ForeignKey(
        InboundMessage, models.PROTECT, verbose_name=_("message received"), related_name="moves", null=True, blank=True
    )
    outbound = models.ForeignKey(
        OutboundMessage, models.PROTECT, verbose_name=_("reply"), related_name="moves", null=True, blank=True
    )
    before = models.CharField(_("from"), max_length=10)
    after = models.CharField(_("to"), max_length=10)
    at = models.DateTimeField(_("at"))
    cause = models.CharField(_("cause"), max_length=200)

    class Meta:
        verbose_name = _("move")
        verbose_name_plural = _("moves")
        ordering = ("pk",)
        constraints = (
            models.CheckConstraint(
                condition=Q(inbound__isnull=True, outbound__isnull=False)
                | Q(inbound__isnull=False, outbound__isnull=True),
                name="move_is_of_one_message",
            ),
        )

    def __str__(self) -> str:
        return f"{self.before} → {self.after}"


class Handling(models.Model):
    """What a member of staff did about a message, and why."""

    class Kind(models.TextChoices):
        ANSWERED_AGAIN = "ANSWERED_AGAIN", _("answered again")
        CORRECTED = "CORRECTED", _("corrected and answered")
        SENT_AGAIN = "SENT_AGAIN", _("sent again")
        SETTLED = "SETTLED", _("settled by phone")

    message = models.ForeignKey(
        InboundMessage, models.PROTECT, verbose_name=_("message received"), related_name="handlings"
    )
    kind = models.CharField(_("kind"), max_length=14, choices=Kind)
    by = models.CharField(_("by"), max_length=150)
    reason = models.CharField(_("reason"), max_length=200)
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("handling")
        verbose_name_plural = _("handlings")
        ordering = ("pk",)
        default_permissions = ("view",)
        constraints = (
            models.CheckConstraint(condition=~Q(reason="") & ~Q(by=""), name="handling_has_reason_and_author"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.message_id}"


class WordingVersion(models.Model):
    """One version of a reply's text, as staff worded it; the latest of its key is in force. None: as delivered."""

    key = CodeField(_("wording"), max_length=32)
    text = models.TextField(_("text"))
    by = models.CharField(_("by"), max_length=150)
    note = models.CharField(_("note"), max_length=200, blank=True)
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("wording")
        verbose_name_plural = _("wordings")
        ordering = ("-pk",)
        default_permissions = ("view", "add")
        indexes = (models.Index(fields=("key", "id"), name="wordings_by_key"),)

    def __str__(self) -> str:
        return f"{self.key} {self.pk}"


class HourlyCount(models.Model):
    """How many messages of one hour came to the same result: what the start page counts, without reading messages.

    ``result`` is the outcome, or the state of those that have none yet.
    """

    hour = models.DateTimeField(_("hour"))
    carrier = CodeField(_("carrier"), max_length=32)
    keyword = CodeField(_("keyword"), max_length=8, blank=True)
    result = CodeField(_("result"), max_length=16)
    messages = models.PositiveIntegerField(_("messages"))

    class Meta:
        verbose_name = _("messages of an hour")
        verbose_name_plural = _("messages by the hour")
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=("hour", "carrier", "keyword", "result"), name="one_count_per_hour_and_result"
            ),
        )
        indexes = (
            # statistics.refresh: the hours whose messages may still come to a result.
            models.Index(fields=("hour",), name="counts_open", condition=Q(result__in=("WAITING", "SET_ASIDE"))),
        )

    def __str__(self) -> str:
        return f"{self.hour:%d/%m/%Y %H} {self.keyword} {self.result}"


class CountingState(models.Model):
    """How far the hours are counted. The one row is also the lock of whoever counts."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    until = models.DateTimeField(_("all hours before are counted"), null=True)
    counted_at = models.DateTimeField(_("last counted at"), null=True)

    class Meta:
        verbose_name = _("state of counting")
        verbose_name_plural = _("states of counting")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.until}"


class BlockedSender(models.Model):
    """A phone that gets no replies, until a time or for good."""

    sender = CodeField(_("sender"), max_length=32, unique=True)
    reason = models.CharField(_("reason"), max_length=200)
    until = models.DateTimeField(_("until"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("blocked sender")
        verbose_name_plural = _("blocked senders")

    def __str__(self) -> str:
        return masked(self.sender)


class CarrierState(models.Model):
    """What all processes have to know of a carrier: how fast we may send, and whether it is out of order."""

    carrier = CodeField(_("carrier"), max_length=32, primary_key=True)
    tokens = models.FloatField(_("messages that may be sent at once"), default=0)
    refilled_at = models.DateTimeField(_("refilled at"))
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    closed_until = models.DateTimeField(_("not used until"), null=True, blank=True)

    class Meta:
        verbose_name = _("carrier's state")
        verbose_name_plural = _("carriers' states")

    def __str__(self) -> str:
        return f"{self.carrier}"


class AuditRun(models.Model):
    """What the daily audit found of one day, as of its last run; the numbers and the exceptions are in the summary."""

    day = models.DateField(_("day"), unique=True)
    ran_at = models.DateTimeField(_("audited at"))
    balanced = models.BooleanField(_("the books balance"))
    exceptions = models.PositiveIntegerField(_("exceptions"))
    summary = models.JSONField(_("summary"))

    class Meta:
        verbose_name = _("audit")
        verbose_name_plural = _("audits")
        ordering = ("-day",)

    def __str__(self) -> str:
        return f"{self.day}"


class ReconciliationRun(models.Model):
    """What came of comparing a carrier's statement with our log; the differences are kept to be sent back."""

    carrier = CodeField(_("carrier"), max_length=32)
    month = models.DateField(_("month"))
    file_name = models.CharField(_("file"), max_length=200)
    by = models.CharField(_("by"), max_length=150)
    at = models.DateTimeField(_("at"), auto_now_add=True)
    within_tolerance = models.BooleanField(_("within the tolerance"))
    percent = models.FloatField(_("difference in per cent"))
    summary = models.JSONField(_("summary"))
    differences = models.BinaryField(_("differences, as gzip of CSV"))

    class Meta:
        verbose_name = _("reconciliation")
        verbose_name_plural = _("reconciliations")
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"{self.carrier} {self.month:%m/%Y}"


class PrivacyAction(models.Model):
    """That personal data was exported or erased: whose by a keyed hash only, why, by whom, and how many messages."""

    class Kind(models.TextChoices):
        EXPORT = "EXPORT", _("exported on request")
        ERASE = "ERASE", _("erased on request")
        RETENTION = "RETENTION", _("erased by age")

    kind = models.CharField(_("kind"), max_length=9, choices=Kind)
    subject = CodeField(_("whose data, as a keyed hash"), max_length=64, blank=True, db_index=True)
    reason = models.CharField(_("reason"), max_length=200)
    by = models.CharField(_("by"), max_length=150)
    at = models.DateTimeField(_("at"))
    rows = models.PositiveIntegerField(_("messages"), default=0)

    class Meta:
        verbose_name = _("use of personal data")
        verbose_name_plural = _("uses of personal data")
        ordering = ("-pk",)
        constraints = (
            models.CheckConstraint(
                condition=Q(kind="RETENTION", subject="") | ~Q(kind="RETENTION") & ~Q(subject=""),
                name="request_names_its_subject",
            ),
            models.CheckConstraint(condition=~Q(reason="") & ~Q(by=""), name="privacy_action_has_reason_and_author"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


def moves_to(model: type[InboundMessage] | type[OutboundMessage], state: str) -> list[str]:
    """The states from which ``model`` may move to ``state``: the condition of every update that moves."""
    moves: dict[Any, set[Any]] = model.MOVES
    return [source for source, targets in moves.items() if state in targets]
