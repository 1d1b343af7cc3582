"""Supply interruptions, planned and sudden, by the transformer stations or customers that they reach.

One row is one line of the export: an outage schedule and one station, or one customer, that it reaches.
Stations and customers are codes here; this app does not know billing. Nothing is ever deleted.
"""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from evncare.fields import CodeField
from evncare.imports.tables import Imported


class Outage(Imported):
    class Kind(models.TextChoices):
        PLANNED = "KH", _("planned")
        SUDDEN = "DX", _("sudden")

    class Status(models.TextChoices):
        APPROVED = "APPROVED", _("approved")
        PENDING = "PENDING", _("awaiting approval")
        CANCELLED = "CANCELLED", _("cancelled")

    code = CodeField(_("outage code"), max_length=30)
    station = CodeField(_("transformer station"), max_length=30, blank=True)
    customer_code = CodeField(_("customer code"), max_length=13, blank=True)
    start_at = models.DateTimeField(_("from"))
    end_at = models.DateTimeField(_("until"), null=True, blank=True)
    kind = CodeField(_("kind"), max_length=2, choices=Kind)
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    status = models.CharField(_("status"), max_length=10, choices=Status)

    class Meta:
        verbose_name = _("outage")
        verbose_name_plural = _("outages")
        indexes = (
            # queries.outages: what reaches these customers through their stations, or by name.
            models.Index(fields=("station", "end_at"), name="outage_by_station", condition=~Q(station="")),
            models.Index(fields=("customer_code", "end_at"), name="outage_by_customer", condition=~Q(customer_code="")),
        )
        constraints = (
            models.UniqueConstraint(fields=("code", "station", "customer_code"), name="one_row_per_outage_and_reach"),
            models.CheckConstraint(
                condition=~Q(station="", customer_code=""),
                name="outage_reaches_somebody",
                violation_error_message=_("Name the station or the customer that it reaches."),
            ),
            models.CheckConstraint(
                condition=Q(end_at__isnull=True) | Q(end_at__gt=F("start_at")),
                name="outage_ends_after_its_start",
                violation_error_message=_("It has to end after its start."),
            ),
        )

    def __str__(self) -> str:
        return f"{self.code} {self.station or self.customer_code}"
