"""What all tests share: a Redis for those that ask for one, and nothing outside this machine for any."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import hypothesis
import pytest

from evncare.embedded import redis_server
from evncare.imports import pulse

# How long examples take, and how many are thrown away, says more of the machine and of luck than of us. Where CI is
# set, Hypothesis draws the same examples each time.
hypothesis.settings.register_profile("ours", deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
hypothesis.settings.load_profile("ours")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process ends long after the other."""
    long = {item.path for item in items if any(map(item.get_closest_marker, ("live", "kannel", "browser")))}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Redis, one for each process of the tests; what is in it, earlier tests left."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(autouse=True)
def signing_in_is_quick(settings: Any) -> None:
    """Hash passwords in no time; how strong the real hasher is, is Django's to test."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.WHITENOISE_AUTOREFRESH = True  # look a static file up when asked, not all of them at each test's start


@pytest.fixture(autouse=True)
def nobody_hears_the_bell(settings: Any) -> None:
    """Have no test ring in a Redis that happens to run on this machine: nothing listens on port 1."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True, scope="session")
def only_loopback() -> Iterator[None]:
    """Let no test connect to another machine."""
    connect = socket.socket.connect

    def connect_to_loopback(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            if host != "localhost" and not ip_address(host).is_loopback:
                raise AssertionError(f"a test tried to connect to {host}")
        return connect(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", connect_to_loopback)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def no_pulse(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's transaction is invisible to the thread that shows a worker's pulse: it would think the run lost."""
    monkeypatch.setattr(pulse, "PULSE_SECONDS", 3600)
