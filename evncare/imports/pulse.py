"""The sign of life of whoever works on a run: without one for a minute, the run is given to another."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Event, Thread

from django.db import Error, connection

from evncare.imports.models import ImportRun, Overtaken

PULSE_SECONDS = 0.5
DEAD_AFTER = timedelta(minutes=1)


@contextmanager
def pulse(run: ImportRun, clock: Callable[[], datetime]) -> Iterator[Callable[[int], None]]:
    """Shows that we live and how far we are, from a thread with a connection of its own: ours is in a transaction.

    Yields the function that is told the number of rows read. It raises Overtaken if the run went on without us.
    """
    rows = 0
    lost, stopped = Event(), Event()

    def beat() -> None:
        try:
            while not stopped.wait(PULSE_SECONDS):
                ours = ImportRun.objects.at_work().filter(pk=run.pk, claim=run.claim)
                try:
                    if not ours.update(heartbeat_at=clock(), rows_read=rows):
                        lost.set()
                        return
                except Error:  # SQLite is locked, or PostgreSQL away; the next beat will tell
                    connection.close()
        finally:
            connection.close()

    def progress(read: int) -> None:
        nonlocal rows
        rows = read
        if lost.is_set():
            raise Overtaken

    thread = Thread(target=beat, name=f"pulse of import run {run.pk}", daemon=True)
    thread.start()
    try:
        yield progress
    finally:
        stopped.set()
        thread.join()
