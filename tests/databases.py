"""A database for tests whose processes need one of their own, of the kind that the tests run on."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg


@contextmanager
def database_of_its_own(directory: Path) -> Iterator[str]:
    """The DATABASE_URL of an empty one: a file in ``directory``, or on the tests' PostgreSQL."""
    ours = os.environ.get("DATABASE_URL", "")
    if not ours.startswith("postgres"):
        yield f"sqlite:///{directory / 'evncare.sqlite3'}"
        return
    name = f"own_{uuid.uuid4().hex}"
    with psycopg.connect(ours, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{ours.rpartition('/')[0]}/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
