"""What is written into logs: nobody's phone number or customer code, and no row that a database quotes."""

import logging
import re

# PostgreSQL quotes whole rows and keys in the second part of its messages.
QUOTED = re.compile(r"(?:DETAIL|CONTEXT):.*")
LONG_NUMBER = re.compile(r"(?<![0-9a-fA-F-])(?:[A-Z]{2})?\+?\d{9,15}(?![0-9a-fA-F-])")


class DiscreetFormatter(logging.Formatter):
    """The last guard: our own messages hold none of it, but the text of an unforeseen error may."""

    def format(self, record: logging.LogRecord) -> str:
        return LONG_NUMBER.sub("(number)", QUOTED.sub("(details left out)", super().format(record)))
