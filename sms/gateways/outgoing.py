"""Our HTTP requests to carriers: over kept-alive connections, with every way to fail told apart.

What matters is whether a reply may have been taken: only a failure before the request left, or an answer that
says so, allows to send it again.
"""

import ssl
import threading
import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from sms.gateways.base import Refused, TryLater, Unknown

# At most so many requests to one carrier at a time from one process; others wait for their turn.
CONNECTIONS = 32
LONGEST_WAIT = 24 * 3600.0  # seconds; a carrier that says more means something else


class Outgoing:
    """Requests to one address of one carrier. Thread-safe; connects at the first request, so after any fork."""

    def __init__(self, url: str, timeout: float) -> None:
        """``timeout`` in seconds holds for connecting and for each wait for the answer."""
        if url and not (url.startswith(("http://", "https://")) and httpx.URL(url).host):
            raise ValueError("url must begin with http:// or https:// and name a host")
        if timeout <= 0:
            raise ValueError("timeout must be above 0")
        self.url = url
        self._timeout = timeout
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None

    def request(self, method: str, **content: Any) -> httpx.Response:
        """The carrier's 2xx answer. Raises Refused, TryLater or Unknown for anything else."""
        if not self.url:
            raise TryLater("This carrier has no url to send to.")
        try:
            response = self._connected().request(method, self.url, **content)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.LocalProtocolError) as error:
            raise TryLater(f"Not connected: {type(error).__name__}.") from error
        except httpx.RequestError as error:
            raise Unknown(f"Sent, but no answer: {type(error).__name__}.") from error
        if response.is_success:
            return response
        answer = excerpt(response)
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
            raise TryLater(answer, retry_after=retry_after(response.headers.get("Retry-After", "")))
        if response.is_redirect:
            raise Refused(f"Redirected, which is not followed; set the final url. {answer}")
        raise Refused(answer)

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client:
            client.close()

    def _connected(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(
                    timeout=self._timeout,
                    limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
                    # The system's certificates, so that a private authority is installed there; and no proxy
                    # or password file that the environment happens to name.
                    verify=ssl.create_default_context() if self.url.startswith("https:") else False,
                    trust_env=False,
                )
            return self._client


def excerpt(response: httpx.Response) -> str:
    """What the carrier answered, short enough for a column."""
    text = " ".join("".join(c if c.isprintable() else " " for c in response.text[:200]).split())
    return f"{response.status_code} {response.reason_phrase}: {text}".rstrip(": ")


def retry_after(value: str) -> float | None:
    """The seconds that a Retry-After header asks for, written as a number or as a date; None if it says nothing."""
    value = value.strip()
    if value.isascii() and value.isdecimal():
        seconds = float(value[:9])
    else:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_WAIT)
