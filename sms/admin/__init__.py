"""The admin's pages on messages: the log, and what keeps it in order."""

from sms.admin import control, messages  # noqa: F401  (registers the pages)
