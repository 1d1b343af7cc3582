"""The scheduler's work for the desk."""

from axes.handlers.proxy import AxesProxyHandler
from celery import shared_task

SIGN_INS_KEPT_DAYS = 365


@shared_task(name="desk.forget_old_sign_ins")
def forget_old_sign_ins() -> None:
    """Delete who signed in, or failed to, a year ago: names typed there may be anything, passwords too."""
    AxesProxyHandler.reset_logs(age_days=SIGN_INS_KEPT_DAYS)
    AxesProxyHandler.reset_failure_logs(age_days=SIGN_INS_KEPT_DAYS)
