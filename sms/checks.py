"""Checks of SMS_CARRIERS at start; docs/add-a-carrier.md lists their numbers."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks

from sms import gateways

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


@checks.register
def check_carriers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    return [message for name, entry in settings.SMS_CARRIERS.items() for message in _check(name, entry)]


def _check(name: str, entry: dict[str, Any]) -> Iterator[checks.CheckMessage]:
    carrier = f"SMS_CARRIERS[{name!r}]"
    if not NAME.fullmatch(name):
        yield checks.Error(f"{carrier}: a name has 1 to 32 of a-z, 0-9, - and _.", id="sms.E001")
        return
    try:
        gateway = gateways.build(name, entry)
    except gateways.UnknownBackend as error:
        yield checks.Error(f"{carrier}: {error}.", id="sms.E002")
        return
    except gateways.WrongOptions as error:
        yield checks.Error(f"{carrier}: {error}.", id="sms.E003")
        return
    if not gateway.has_secret and not gateway.networks:
        yield checks.Warning(
            f"{carrier} has neither a secret nor networks: all that it posts is refused.", id="sms.W001"
        )
    elif not gateway.has_secret:
        yield checks.Warning(f"{carrier} has no secret: whoever calls from its networks is believed.", id="sms.W002")
    if not gateway.can_send:
        yield checks.Warning(f"{carrier} has no url: its customers get no reply.", id="sms.W003")
    gateway.close()
