"""Erase number and text of the messages that are older than SMS_RETENTION_DAYS. The scheduler does so each night."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone
from django.utils.translation import gettext as _

from sms import privacy


class Command(BaseCommand):
    help = "Erase number and text of the messages that are older than SMS_RETENTION_DAYS."

    def handle(self, **options: Any) -> None:
        now = timezone.now()
        rows = 0
        while erased := privacy.forget_old(now=now):
            rows += erased
        self.stdout.write(
            _("%(rows)s messages erased that were older than %(days)s days")
            % {"rows": rows, "days": settings.SMS_RETENTION_DAYS}
        )
