"""The admin of sms: the message log, trying a message, the wordings, and what keeps the messages in order."""

from sms.admin import control as control
from sms.admin import messages as messages
from sms.admin import wordings as wordings
