"""The carriers of this process, by the names under which SMS_CARRIERS lists them."""

import threading
import typing
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from sms.gateways.base import Gateway

BACKENDS = {
    "rest": "sms.gateways.rest.RestGateway",
    "kannel": "sms.gateways.kannel.KannelGateway",
    "memory": "sms.gateways.memory.MemoryGateway",
}

_lock = threading.Lock()
_gateways: dict[str, Gateway] = {}


class UnknownCarrier(LookupError):
    """SMS_CARRIERS has no carrier of this name."""


class UnknownBackend(ImproperlyConfigured):
    """The BACKEND of a carrier is neither a short name nor the dotted path of a gateway."""


class WrongOptions(ImproperlyConfigured):
    """The OPTIONS of a carrier are not what its backend takes."""


def get(name: str) -> Gateway:
    """The gateway of a carrier, always the same one. Raises UnknownCarrier, or ImproperlyConfigured at first use."""
    gateway = _gateways.get(name)
    if gateway is None:
        with _lock:
            gateway = _gateways.get(name)
            if gateway is None:
                if name not in settings.SMS_CARRIERS:
                    raise UnknownCarrier(name)
                gateway = _gateways[name] = build(name, settings.SMS_CARRIERS[name])
    return gateway


def takes_each_once(name: str) -> bool:
    """Whether a reply may be handed to the carrier again when nobody knows if it took it."""
    try:
        return get(name).takes_each_once
    except (UnknownCarrier, ImproperlyConfigured):
        return False


def build(name: str, entry: Mapping[str, Any]) -> Gateway:
    """A new gateway from an entry of SMS_CARRIERS. Raises UnknownBackend or WrongOptions."""
    backend, options = entry.get("BACKEND"), entry.get("OPTIONS", {})
    try:
        gateway_class = import_string(BACKENDS.get(backend, backend))  # type: ignore[arg-type]
    except (ImportError, AttributeError, TypeError) as error:
        raise UnknownBackend(f"BACKEND {backend!r} is none of {', '.join(BACKENDS)} and no path to a class") from error
    if not (isinstance(gateway_class, type) and issubclass(gateway_class, Gateway)):
        raise UnknownBackend(f"BACKEND {backend!r} is no Gateway")
    try:
        _check_types(gateway_class, options)
        return gateway_class(name, **options)
    except (TypeError, ValueError, AttributeError) as error:
        raise WrongOptions(f"OPTIONS: {error}") from error


def _check_types(gateway_class: type[Gateway], options: Mapping[str, Any]) -> None:
    """Find a wrong type at start rather than in the middle of the first request."""
    for option, expected in typing.get_type_hints(gateway_class.__init__).items():
        if option in options and expected in (str, int, float, bool):
            accepted = (int, float) if expected is float else expected
            if not isinstance(options[option], accepted):
                raise TypeError(f"{option} must be of type {expected.__name__}")


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "SMS_CARRIERS":
        with _lock:
            while _gateways:
                _gateways.popitem()[1].close()


setting_changed.connect(_forget)
