"""The command as the contract has it: its output, its exit status, its rejects file."""

import json
import subprocess
import sys
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from billing.models import Customer, Debt
from evncare.imports.declarations import declared_exports
from evncare.imports.models import ImportRun
from tests import factories
from tests.imports.tables import CUSTOMER, DEBT, csv_file, read_csv

pytestmark = pytest.mark.django_db

KEYS = ["kind", "rows", "new", "changed", "unchanged", "removed", "rejected", "seconds"]


def import_data(*arguments: Any) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    out, err = StringIO(), StringIO()
    try:
        call_command("import_data", *map(str, arguments), stdout=out, stderr=err)
    except CommandError as error:
        return error.returncode, out.getvalue(), err.getvalue() + str(error)
    return 0, out.getvalue(), err.getvalue()


def test_there_are_the_six_kinds() -> None:
    assert sorted(declared_exports()) == ["customers", "debts", "invoices", "outages", "readings", "schedules"]


def test_all_rows_taken_is_0(tmp_path: Path) -> None:
    status, out, err = import_data("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]))
    result = json.loads(out.splitlines()[-1])
    assert (status, err) == (0, "")
    assert list(result) == KEYS
    assert result | {"seconds": 0} == dict(zip(KEYS, ("customers", 1, 1, 0, 0, 0, 0, 0), strict=True))


def test_json_prints_the_result_object_and_nothing_else(tmp_path: Path) -> None:
    _status, out, err = import_data("customers", csv_file(tmp_path / "a.csv", [CUSTOMER | {"X": "1"}]), "--json")
    assert list(json.loads(out)) == KEYS
    assert err == ""


def test_some_rows_rejected_is_2_and_they_are_written_down(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "a.csv", [CUSTOMER, CUSTOMER | {"MA_KHANG": "PP1"}])
    status, out, err = import_data("customers", path, "--rejects", tmp_path / "rejects.csv")
    assert status == 2
    assert json.loads(out.splitlines()[-1])["rejected"] == 1
    (row,) = read_csv(tmp_path / "rejects.csv")
    assert (row["LINE"], row["COLUMN"], row["MA_KHANG"]) == ("3", "MA_KHANG", "PP1")
    assert list(row) == ["LINE", "COLUMN", "REASON", *CUSTOMER]
    assert (tmp_path / "rejects.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert "1 of 2 rows rejected" in err


def test_without_a_rejects_file_the_first_ones_are_shown(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "a.csv", [CUSTOMER, CUSTOMER | {"MA_KHANG": "PP1"}])
    assert "line 3, MA_KHANG: 'PP1' is not a customer code" in import_data("customers", path)[2]


def test_all_rows_rejected_is_1(tmp_path: Path) -> None:
    status, out, _err = import_data("customers", csv_file(tmp_path / "a.csv", [CUSTOMER | {"MA_KHANG": "PP1"}]))
    assert status == 1
    assert json.loads(out.splitlines()[-1])["rejected"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("customers", "no-such-file.csv"), "no-such-file.csv"),
        (("customers", "."), ""),
        (("meters", "a.csv"), "invalid choice"),
        (("customers",), "FILE"),
        (("customers", "a.csv", "--snapshot", "--no-snapshot"), "not allowed with"),
    ],
)
def test_a_wrong_call_is_1(arguments: tuple[str, ...], message: str) -> None:
    status, out, err = import_data(*arguments)
    assert (status, out) == (1, "")
    assert message in err


def test_a_wrong_call_is_1_for_the_shell_too(tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "import_data", "meters", "a.csv"]
    done = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True)
    assert done.returncode == 1
    assert "meters" in done.stderr


def test_a_refused_file_is_1(tmp_path: Path) -> None:
    status, out, err = import_data("customers", csv_file(tmp_path / "a.csv", [DEBT]), "--json")
    assert (status, out) == (1, "")
    assert "It looks like debts." in err


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    status, out, _err = import_data("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), "--dry-run")
    assert status == 0
    assert json.loads(out.splitlines()[-1])["new"] == 1
    assert not Customer.objects.exists()


def test_only_a_snapshot_can_be_loaded_as_one(tmp_path: Path) -> None:
    status, _out, err = import_data("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), "--snapshot")
    assert status == 1
    assert "no snapshot" in err
    assert import_data("customers", tmp_path / "a.csv", "--no-snapshot")[0] == 0


# Runs


def debts(path: Path, bills: range) -> Path:
    return csv_file(path, [DEBT | {"ID_HDON": str(bill)} for bill in bills])


def test_a_load_is_a_run_of_nobodys(tmp_path: Path) -> None:
    import_data("customers", csv_file(tmp_path / "KH.csv", [CUSTOMER, CUSTOMER | {"MA_KHANG": "PP1"}]))
    run = ImportRun.objects.get()
    assert (run.state, run.source, run.created_by, run.file_name) == ("DONE", "COMMAND_LINE", None, "KH.csv")
    assert (run.rows, run.new, run.rejected) == (2, 1, 1)
    assert Customer.objects.get().run == run.pk


def test_a_file_that_is_refused_is_a_run_that_failed(tmp_path: Path) -> None:
    import_data("customers", csv_file(tmp_path / "a.csv", [DEBT]))
    run = ImportRun.objects.get()
    assert run.state == "FAILED"
    assert "It looks like debts." in run.failure


def test_a_dry_run_leaves_no_run(tmp_path: Path) -> None:
    import_data("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), "--dry-run")
    assert not ImportRun.objects.exists()


def test_a_suspicious_snapshot_is_refused_with_the_reasons_until_confirmed(tmp_path: Path) -> None:
    factories.customer()
    assert import_data("debts", debts(tmp_path / "a.csv", range(10)))[0] == 0
    few = debts(tmp_path / "b.csv", range(4))
    assert "It settles 6 of 10" in import_data("debts", few, "--dry-run")[2]
    status, out, err = import_data("debts", few)
    assert (status, out) == (1, "")
    assert "It settles 6 of 10" in err
    assert "--confirm" in err
    assert Debt.objects.filter(settled_at=None).count() == 10
    assert ImportRun.objects.latest("pk").state == "FAILED"
    status, out, _err = import_data("debts", few, "--confirm")
    assert (status, json.loads(out.splitlines()[-1])["removed"]) == (0, 6)
    assert "settles" in ImportRun.objects.latest("pk").reasons


def test_a_snapshot_older_than_what_is_loaded_is_refused(tmp_path: Path) -> None:
    factories.customer()
    file = debts(tmp_path / "a.csv", range(10))
    assert import_data("debts", file, "--date", "2016-11-02")[0] == 0
    status, _out, err = import_data("debts", file, "--date", "2016-11-01")
    assert status == 1
    assert "PP0500" in err
    assert import_data("debts", file, "--date", "2016-11-01", "--confirm")[0] == 0


def test_a_kind_that_is_being_loaded_is_left_alone(tmp_path: Path) -> None:
    file = csv_file(tmp_path / "a.csv", [CUSTOMER])
    import_data("customers", file)
    now = timezone.now()
    ImportRun.objects.update(state="LOADING", claim="x", heartbeat_at=now, work_started_at=now)
    status, _out, err = import_data("customers", file)
    assert (status, "is going on" in err) == (1, True)


def test_a_command_that_died_keeps_nobody_waiting(tmp_path: Path) -> None:
    file = csv_file(tmp_path / "a.csv", [CUSTOMER])
    import_data("customers", file)
    before = timezone.now() - timedelta(seconds=62)
    ImportRun.objects.update(state="LOADING", claim="x", heartbeat_at=before, work_started_at=before)
    assert import_data("customers", file)[0] == 0
    assert "The command ended" in ImportRun.objects.earliest("pk").failure


def test_the_last_load_of_a_kind_is_undone_by_a_command(tmp_path: Path) -> None:
    import_data("customers", csv_file(tmp_path / "KH.csv", [CUSTOMER]))
    out = StringIO()
    call_command("undo_import", "customers", stdout=out)
    assert "KH.csv" in out.getvalue()
    assert not Customer.objects.exists()
    assert ImportRun.objects.get().state == "UNDONE"
    with pytest.raises(CommandError, match="Nothing of this kind is loaded"):
        call_command("undo_import", "customers")


def test_an_undo_that_is_refused_says_why(tmp_path: Path) -> None:
    import_data("customers", csv_file(tmp_path / "KH.csv", [CUSTOMER]))
    factories.debt()
    with pytest.raises(CommandError, match="belong to rows that it added"):
        call_command("undo_import", "customers")
    assert ImportRun.objects.get().state == "DONE"
