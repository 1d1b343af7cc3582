"""The wordings as staff made them: which version is in force, saving one more. The history only grows."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import connection, transaction

from sms import wording
from sms.models import WordingVersion


class SavedMeanwhile(Exception):
    """Somebody else saved a version after the one that was edited; ``theirs`` is now in force."""

    def __init__(self, theirs: WordingVersion) -> None:
        super().__init__(f"version {theirs.pk} of {theirs.key} was saved meanwhile")
        self.theirs = theirs


@contextmanager
def in_force() -> Iterator[None]:
    """Say what is in force now: one query. Within another ``with``, what that one found: a batch speaks with one
    voice, and asks once."""
    if wording.in_force() is not None:
        yield
        return
    with wording.using(texts()):
        yield


# As SQL, because putting this together anew for each batch would take the ORM longer than the database takes to answer.
_LATEST = "FROM sms_wordingversion WHERE id IN (SELECT MAX(id) FROM sms_wordingversion GROUP BY key)"


def texts() -> dict[str, str]:
    """What is said now instead of the delivered texts, by key: one query."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT key, text {_LATEST}")
        return dict(cursor.fetchall())


def latest() -> dict[str, WordingVersion]:
    """The version in force of each wording that was ever changed, by key: one query."""
    return {version.key: version for version in WordingVersion.objects.raw(f"SELECT * {_LATEST}")}


def history(key: str) -> list[WordingVersion]:
    """All versions of a wording, the one in force first."""
    return list(WordingVersion.objects.filter(key=key).order_by("-pk"))


def save(key: str, text: str, *, by: str, note: str, started_from: int, now: datetime) -> WordingVersion:
    """Put a text in force that `sms.proof.problems` has nothing against.

    ``started_from`` is the key of the version that was edited, 0 for the delivered text; raises SavedMeanwhile if
    that is no longer the one in force.
    """
    with transaction.atomic():
        versions = WordingVersion.objects.filter(key=key)
        # One at a time; what the lock waited for is only seen by a new statement.
        list(versions.select_for_update().values_list("pk", flat=True))
        newest = versions.order_by("-pk").first()
        if newest and newest.pk != started_from:
            raise SavedMeanwhile(newest)
        return WordingVersion.objects.create(key=key, text=text, by=by, note=note, at=now)
