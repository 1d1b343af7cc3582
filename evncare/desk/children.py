"""The processes that the demo starts: each with a log of its own, all stopped with the demo, however that ends."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evncare.embedded import dying_with_us

SECONDS_TO_STOP = 10
LINES_OF_LOG = 15


class ChildTrouble(Exception):
    """A process ended that should run on, or what it was to do did not happen in time."""


@dataclass(frozen=True)
class Child:
    name: str
    process: "subprocess.Popen[bytes]"
    log: Path


class Children:
    """Starts processes that write their logs to one directory and get one environment."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._environment = environment
        self._children: list[Child] = []

    def start(self, name: str, *arguments: str) -> None:
        """Run ``python -m`` with the arguments. From the main thread: the kernel ends a child with its thread."""
        log = self._directory / f"{name}.log"
        command = dying_with_us(signal.SIGTERM, Path(sys.executable), "-m", *arguments)
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,  # Ctrl-C is for the demo alone, which stops them in order
            )
        self._children.append(Child(name, process, log))

    def check(self) -> None:
        """Raise ChildTrouble, with the end of its log, if one has ended."""
        for child in self._children:
            if child.process.poll() is not None:
                lines = child.log.read_text(errors="replace").splitlines()[-LINES_OF_LOG:]
                text = "\n".join(f"    {line}" for line in lines)
                raise ChildTrouble(
                    f"{child.name} ended with code {child.process.returncode}. From {child.log}:\n{text}"
                )

    def wait_until(self, what: str, holds: Callable[[], object], seconds: float) -> None:
        """Return once ``holds()`` is true; raise ChildTrouble if a child ends or the time passes before."""
        deadline = time.monotonic() + seconds
        while not holds():
            self.check()
            if time.monotonic() > deadline:
                raise ChildTrouble(f"{what} took more than {seconds:.0f} seconds; see the logs in {self._directory}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End all, politely at first. Ones that ended already are no problem."""
        for child in self._children:
            child.process.terminate()
        deadline = time.monotonic() + SECONDS_TO_STOP
        for child in self._children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.process.pid, signal.SIGKILL)  # with the processes that it started itself
                child.process.wait()


@contextmanager
def running_children(directory: Path, environment: Mapping[str, str]) -> Iterator[Children]:
    children = Children(directory, environment)
    try:
        yield children
    finally:
        children.stop()
