"""The doorbell of imports: it drains what waits, and nobody who rings has to care whether it is heard."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from kombu.exceptions import OperationalError

from evncare.imports import runs, tasks
from evncare.imports.declarations import declared_exports
from evncare.imports.models import ImportRun
from tests import factories
from tests.imports.tables import CUSTOMER, csv_file

pytestmark = pytest.mark.django_db


def test_a_ring_works_on_everything_that_waits(tmp_path: Path) -> None:
    binh = User.objects.create_user("binh")
    for number in range(3):
        with csv_file(tmp_path / "a.csv", [CUSTOMER | {"EMAIL": f"{number}@x.vn"}]).open("rb") as content:
            runs.receive(declared_exports()["customers"], content, "a.csv", by=binh, now=factories.NOW)
    tasks.work_waiting()
    assert set(ImportRun.objects.values_list("state", flat=True)) == {"READY"}


def test_without_a_broker_ringing_is_only_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(**_options: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(tasks.work_waiting, "apply_async", away)
    tasks.ring()
    assert "the scheduler will ring instead" in caplog.text
