"""What the auditor searches: who looked at whose data, which is kept for good, and who signed in or tried to."""

from axes.models import AccessBase, AccessFailureLog, AccessLog
from django.conf import settings
from django.db import models
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from evncare.fields import CodeField


class AccessRecord(models.Model):
    """One look of a member of staff at personal data, or one export of it."""

    class Kind(models.TextChoices):
        CUSTOMER = "CUSTOMER", _("customer's page")
        MESSAGE = "MESSAGE", _("message's page")
        TRIAL = "TRIAL", _("trial of a message")
        EXPORT = "EXPORT", _("export")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, verbose_name=_("user"), related_name="+", db_index=False
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    # A customer's code, a message's number, or the kind of what was exported.
    subject = CodeField(_("subject"), max_length=40)
    # Of an export: which rows and columns, in words.
    detail = models.CharField(_("detail"), max_length=500, blank=True)
    rows = models.PositiveIntegerField(_("rows"), null=True, blank=True)
    address = models.GenericIPAddressField(_("network address"), null=True, blank=True)
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("look at data")
        verbose_name_plural = _("looks at data")
        ordering = ("-pk",)
        default_permissions = ("view",)
        indexes = (
            # The auditor's questions: who saw this customer, what did this person see, what was exported, what happened
            # that day.
            models.Index(fields=("subject", "at"), name="access_by_subject"),
            models.Index(fields=("user", "at"), name="access_by_user"),
            models.Index(fields=("kind", "at"), name="access_by_kind"),
            models.Index(fields=("at",), name="access_by_time"),
        )

    def __str__(self) -> str:
        return f"{self.user_id} {self.kind} {self.subject}"


def _told(attempt: AccessBase) -> str:
    """Without words, which axes has in English only."""
    return f"{attempt.username or '–'} {date_format(localtime(attempt.attempt_time), 'SHORT_DATETIME_FORMAT')}"


class SignIn(AccessLog):  # type: ignore[misc]  # axes carries no types
    """One signing in, and out, of a member of staff."""

    class Meta:
        proxy = True
        verbose_name = _("sign-in")
        verbose_name_plural = _("sign-ins")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return _told(self)


class FailedSignIn(AccessFailureLog):  # type: ignore[misc]  # axes carries no types
    """One wrong password or code, for a name that somebody may have."""

    class Meta:
        proxy = True
        verbose_name = _("failed sign-in")
        verbose_name_plural = _("failed sign-ins")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return _told(self)
