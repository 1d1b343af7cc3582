"""The doorbell of imports: as in sms, a ring says "there is work" and never which; the scheduler rings too.

Uploads are rare, so rings are not coalesced: one too many finds nothing to do.
"""

import logging

from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from evncare.imports import runs

logger = logging.getLogger(__name__)


@shared_task(name="imports.work_waiting")
def work_waiting() -> None:
    runs.forget_old(now=timezone.now())
    while runs.work_waiting():
        pass


def ring() -> None:
    """Say that a run waits. Never raises: without a broker the scheduler's ring will do."""
    try:
        work_waiting.apply_async(expires=60)
    except OperationalError as error:
        logger.warning("the broker is away, the scheduler will ring instead: %s", type(error).__name__)
