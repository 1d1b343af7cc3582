"""Customers and what the billing system says of them: reading schedules, readings, invoices and debts.

The tables hold the billing system's exports and are written by imports. Nothing here is ever deleted: a bill
that is paid is settled, an account that closes stays. Money is whole VND.

Natural keys lead with the period (year, month, kỳ): a month's file then lands at the right-hand end of the
index instead of all over it. A look-up names its kỳ (1-9) as well, so it uses every column of the key.
"""

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Length
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _

import evncare.search  # noqa: F401  (the lookup "words")
from evncare.fields import CodeField
from evncare.imports.tables import Imported
from evncare.periods import Period
from evncare.text import words

CUSTOMER_CODE_LENGTH = 13
SEARCH_TEXT_LENGTH = 510


class Customer(Imported):
    """One account, named by its MaKH; the billing system's own code is the key, so loads need no translation."""

    code = CodeField(_("customer code"), max_length=CUSTOMER_CODE_LENGTH, primary_key=True)
    name = models.CharField(_("name"), max_length=200)
    address = models.CharField(_("address"), max_length=300, blank=True)
    phones = CodeField(
        _("phones"), max_length=100, blank=True, help_text=_("Numbers as 84 and nine digits, separated by spaces.")
    )
    email = models.CharField(_("e-mail"), max_length=254, blank=True)
    unit = CodeField(_("management unit"), max_length=6)
    book = CodeField(_("reading book"), max_length=20, blank=True)
    station = CodeField(_("transformer station"), max_length=30, blank=True)
    search_text = CodeField(max_length=SEARCH_TEXT_LENGTH, editable=False, blank=True)

    class Meta:
        verbose_name = _("customer")
        verbose_name_plural = _("customers")
        ordering = ("code",)
        permissions = (("view_phones", _("Can see phone numbers in full")),)
        indexes = (
            # Readings and schedules of a book; the customers of a unit in a snapshot's settlement.
            models.Index(fields=("unit", "book"), name="customer_by_book"),
            # Who is reached by an outage at this station.
            models.Index(fields=("station",), name="customer_by_station"),
            # queries.customers_named and customers_called: whose name or first phone begins with what was typed.
            models.Index(fields=("search_text",), name="customer_by_name"),
            models.Index(fields=("phones",), name="customer_by_first_phone"),
            # On PostgreSQL migration 0003 adds what queries.customers_named and customers_called look words up in.
        )
        constraints = (
            models.CheckConstraint(
                condition=Exact(Length("code"), CUSTOMER_CODE_LENGTH),
                name="customer_code_has_13_characters",
                violation_error_message=_("A customer code has 13 characters."),
            ),
        )

    def __str__(self) -> str:
        return f"{self.code} {self.name}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.search_text = search_text(self.name, self.address)
        super().save(*args, **kwargs)


def search_text(name: str, address: str) -> str:
    """The words of name and address, unaccented and in lower case, that staff search in."""
    return words(f"{name} {address}")[:SEARCH_TEXT_LENGTH]


class InPeriod(models.Model):
    """What belongs to one billing period."""

    year = models.PositiveSmallIntegerField(_("year"), validators=(MinValueValidator(2000), MaxValueValidator(2099)))
    month = models.PositiveSmallIntegerField(_("month"), validators=(MinValueValidator(1), MaxValueValidator(12)))
    ky = models.PositiveSmallIntegerField(_("kỳ"), validators=(MinValueValidator(1), MaxValueValidator(9)))

    class Meta:
        abstract = True

    @property
    def period(self) -> Period:
        return Period(ky=self.ky, month=self.month, year=self.year)


def in_period(name: str) -> models.CheckConstraint:
    """The named constraint that a row's period is possible."""
    return models.CheckConstraint(
        condition=Q(ky__range=(1, 9), month__range=(1, 12), year__range=(2000, 2099)),
        name=name,
        violation_error_message=_("There is no such period: kỳ 1 to 9, month 1 to 12, year 2000 to 2099."),
    )


class ReadingSchedule(Imported, InPeriod):
    """The day on which a unit reads the meters of a book in a period."""

    unit = CodeField(_("management unit"), max_length=6)
    book = CodeField(_("reading book"), max_length=20)
    reading_date = models.DateField(_("reading date"))

    class Meta:
        verbose_name = _("reading schedule")
        verbose_name_plural = _("reading schedules")
        constraints = (
            in_period("schedule_period_is_possible"),
            # Also the index of queries.reading_dates.
            models.UniqueConstraint(
                fields=("year", "month", "ky", "unit", "book"), name="one_schedule_per_book_and_period"
            ),
        )

    def __str__(self) -> str:
        return f"{self.unit} {self.book} {self.ky}/{self.month}/{self.year}"


class MeterReading(Imported, InPeriod):
    """One register of one meter in one period. Consumption is as the billing system states it.

    Registers (BCS): KT single-rate; BT, CD, TD the three times of use; VC reactive; SG the sum register.
    """

    customer = models.ForeignKey(
        Customer, models.PROTECT, verbose_name=_("customer"), related_name="readings", db_index=False
    )
    meter = CodeField(_("meter number"), max_length=30)
    register = CodeField(_("register"), max_length=4)
    reading_kind = CodeField(_("kind of reading"), max_length=8, default="DDK")
    multiplier = models.DecimalField(_("multiplier"), max_digits=12, decimal_places=3)
    old_reading = models.DecimalField(_("old reading"), max_digits=15, decimal_places=3)
    new_reading = models.DecimalField(_("new reading"), max_digits=15, decimal_places=3)
    consumption = models.DecimalField(_("consumption"), max_digits=15, decimal_places=3)
    reading_date = models.DateField(_("reading date"), null=True, blank=True)

    class Meta:
        verbose_name = _("meter reading")
        verbose_name_plural = _("meter readings")
        constraints = (
            in_period("reading_period_is_possible"),
            # Also the index of queries.readings.
            models.UniqueConstraint(
                fields=("year", "month", "ky", "customer", "meter", "register", "reading_kind"),
                name="one_reading_per_register_and_period",
            ),
        )
        indexes = (
            # queries.customers_of_meter. The period leads here as well, so that loads stay at the index's end.
            models.Index(fields=("year", "month", "ky", "meter"), name="reading_by_meter"),
        )

    def __str__(self) -> str:
        return f"{self.customer_id} {self.meter} {self.register} {self.ky}/{self.month}/{self.year}"


class Invoice(Imported, InPeriod):
    """A bill, or an adjustment of one. An adjustment names its bill and carries its own period."""

    class Kind(models.TextChoices):
        ENERGY = "TD", _("energy")
        REACTIVE = "VC", _("reactive energy")

    class Adjustment(models.TextChoices):
        """After payment a surcharge or refund; before payment a cancellation and a re-issue."""

        SURCHARGE = "TT", _("surcharge after payment")
        REFUND = "TH", _("refund after payment")
        CANCELLATION = "HB", _("cancellation before payment")
        REISSUE = "LL", _("re-issue before payment")

    bill_id = CodeField(_("bill number"), max_length=20, primary_key=True)
    customer = models.ForeignKey(
        Customer, models.PROTECT, verbose_name=_("customer"), related_name="invoices", db_index=False
    )
    kind = CodeField(_("kind of bill"), max_length=2, choices=Kind)
    consumption = models.DecimalField(_("consumption"), max_digits=15, decimal_places=3)
    amount = models.BigIntegerField(_("amount before tax"))
    tax = models.BigIntegerField(_("VAT"))
    total = models.BigIntegerField(_("total"))
    issue_date = models.DateField(_("issue date"), null=True, blank=True)
    original = models.ForeignKey(
        "self",
        models.PROTECT,
        verbose_name=_("adjusts the bill"),
        related_name="adjustments",
        null=True,
        blank=True,
        db_index=False,
    )
    adjustment = CodeField(_("kind of adjustment"), max_length=2, choices=Adjustment, blank=True)

    class Meta:
        verbose_name = _("invoice")
        verbose_name_plural = _("invoices")
        indexes = (
            # queries.bills: the bills of some customers in a month.
            models.Index(fields=("year", "month", "ky", "customer"), name="invoice_by_period"),
            # queries.bills: the adjustments of a bill.
            models.Index(fields=("original",), name="adjustments_of_invoice", condition=Q(original__isnull=False)),
        )
        constraints = (
            in_period("invoice_period_is_possible"),
            models.CheckConstraint(
                condition=Q(original__isnull=True, adjustment="") | (Q(original__isnull=False) & ~Q(adjustment="")),
                name="adjustment_names_its_bill_and_kind",
                violation_error_message=_("An adjustment needs both the bill that it adjusts and its kind."),
            ),
            models.CheckConstraint(
                condition=~Q(original=F("bill_id")),
                name="invoice_does_not_adjust_itself",
                violation_error_message=_("A bill can't adjust itself."),
            ),
        )

    def __str__(self) -> str:
        return f"{self.bill_id} {self.customer_id} {self.ky}/{self.month}/{self.year}"


class Debt(Imported, InPeriod):
    """What is, or was, owed on one bill. Settled when a later snapshot of the unit no longer lists it."""

    bill_id = CodeField(_("bill number"), max_length=20, primary_key=True)  # older bills need not be loaded
    customer = models.ForeignKey(
        Customer, models.PROTECT, verbose_name=_("customer"), related_name="debts", db_index=False
    )
    kind = CodeField(_("kind of bill"), max_length=2, choices=Invoice.Kind)
    amount = models.BigIntegerField(_("amount owed"))
    tax = models.BigIntegerField(_("tax owed"))
    due_date = models.DateField(_("due date"), null=True, blank=True)
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True)

    class Meta:
        verbose_name = _("debt")
        verbose_name_plural = _("debts")
        indexes = (
            # queries.unpaid.
            models.Index(fields=("customer",), name="unpaid_by_customer", condition=Q(settled_at__isnull=True)),
            # The admin's list by period, settled ones included.
            models.Index(fields=("year", "month", "ky", "customer"), name="debt_by_period"),
        )
        constraints = (in_period("debt_period_is_possible"),)

    def __str__(self) -> str:
        return f"{self.bill_id} {self.customer_id} {self.ky}/{self.month}/{self.year}"

    @property
    def total(self) -> int:
        return self.amount + self.tax
