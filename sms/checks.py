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
    yield from _check_brakes(carrier, name, entry)
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


def _check_brakes(carrier: str, name: str, entry: dict[str, Any]) -> Iterator[checks.CheckMessage]:
    unknown = entry.keys() - {"BACKEND", "OPTIONS", "RATE", "FAILOVER"}
    if unknown:
        yield checks.Error(f"{carrier} has an unknown entry {', '.join(sorted(unknown))}.", id="sms.E004")
    rate = entry.get("RATE")
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float) or rate <= 0):
        yield checks.Error(f"{carrier}: RATE must be replies a second, above 0.", id="sms.E004")
    failover = entry.get("FAILOVER", [])
    if not isinstance(failover, list) or any(o == name or o not in settings.SMS_CARRIERS for o in failover):
        yield checks.Error(f"{carrier}: FAILOVER must be a list of other carriers in SMS_CARRIERS.", id="sms.E004")
