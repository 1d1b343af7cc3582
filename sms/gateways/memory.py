"""The carrier of tests and demonstrations: it takes messages as `rest` does and keeps replies in a list."""

from typing import Any, ClassVar

from sms.gateways.base import Refused, Reply, SendError, TryLater, Unknown
from sms.gateways.rest import RestGateway

FAILURES: dict[str, type[SendError]] = {"refused": Refused, "try_later": TryLater, "unknown": Unknown}


class MemoryGateway(RestGateway):
    """Options: those of `rest`; ``fail`` with every reply as ``refused``, ``try_later`` or ``unknown``.

    ``sent`` has what was handed over, failures included, oldest first, of all memory carriers of the process.
    """

    sent: ClassVar[list[Reply]] = []
    # Recipient -> what sending to it raises, for batches of which only some fail.
    failures: ClassVar[dict[str, Exception]] = {}

    def __init__(self, name: str, *, fail: str = "", **options: Any) -> None:
        super().__init__(name, **options)
        if fail and fail not in FAILURES:
            raise ValueError(f"fail must be one of {', '.join(FAILURES)}")
        self._fail = fail
        self.can_send = True

    def send(self, reply: Reply) -> str:
        self.sent.append(reply)
        if reply.to in self.failures:
            raise self.failures[reply.to]
        if self._fail:
            raise FAILURES[self._fail](f"This carrier is set to fail: {self._fail}.")
        return f"memory-{len(self.sent)}"

    @classmethod
    def clear(cls) -> None:
        cls.sent.clear()
        cls.failures.clear()
