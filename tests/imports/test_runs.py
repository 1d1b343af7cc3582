"""The way of a run: checked, confirmed, loaded, undone; and what keeps a wrong one from going that way."""

import itertools
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, OperationalError, transaction

from billing.models import Customer, Debt
from evncare.imports import engine, estimate, pulse, runs
from evncare.imports.declarations import declared_exports
from evncare.imports.errors import FileRefused
from evncare.imports.models import ImportRun
from tests import factories
from tests.imports.tables import CUSTOMER, DEBT, csv_file, gzip_file, read_csv, stored, xlsx_file

pytestmark = pytest.mark.django_db

NOW = datetime(2016, 11, 2, 8, 0, tzinfo=factories.VIETNAM)
seconds = itertools.count()


def clock() -> datetime:
    """Each look at it is a second later than the last, through all tests."""
    return NOW + timedelta(seconds=next(seconds))


@pytest.fixture
def binh() -> User:
    return User.objects.create_user("binh")


@pytest.fixture
def chi() -> User:
    return User.objects.create_user("chi")


def received(kind: str, file: Path, by: User, **options: Any) -> ImportRun:
    with file.open("rb") as content:
        return runs.receive(declared_exports()[kind], content, file.name, by=by, now=clock(), **options)


def worked(run: ImportRun) -> ImportRun:
    """The run after a worker has done all that waits."""
    while runs.work_waiting(clock=clock):
        pass
    run.refresh_from_db()
    return run


def loaded(kind: str, file: Path, by: User, **options: Any) -> ImportRun:
    run = worked(received(kind, file, by, **options))
    runs.confirm(run, by=by, now=clock(), again=True)
    return worked(run)


def counts(run: ImportRun) -> tuple[int, ...]:
    return run.rows, run.new, run.changed, run.unchanged, run.removed, run.rejected


def debts(tmp_path: Path, bills: range, **cells: str) -> Path:
    rows = [DEBT | {"ID_HDON": str(bill)} | cells for bill in bills]
    return csv_file(tmp_path / f"debts-{bills}.csv", rows)


def snapshot(day: int) -> dict[str, Any]:
    return {"is_snapshot": True, "snapshot_date": date(2016, 11, day)}


# The way


def test_a_file_is_checked_shown_and_loaded_once_it_is_confirmed(binh: User, tmp_path: Path) -> None:
    factories.customer(name="Tên cũ")
    rows = [CUSTOMER, CUSTOMER | {"MA_KHANG": "PP05000974007"}, CUSTOMER | {"MA_KHANG": "PP1"}]
    run = worked(received("customers", csv_file(tmp_path / "KH.csv", rows), binh))
    assert (run.state, run.failure) == ("READY", "")
    assert counts(run) == (3, 1, 1, 0, 0, 1)
    assert Customer.objects.count() == 1
    old_name, new_name = run.sample["changes"][0]["cells"][1]
    assert (old_name, new_name) == ("Tên cũ", "Nguyễn Văn An")
    assert run.sample["rejects"] == [[4, "MA_KHANG", "PP1", "is not a customer code like PP05000974006"]]
    assert read_csv(run.rejects_path)[0]["LINE"] == "4"

    runs.confirm(run, by=binh, now=clock())
    assert worked(run).state == "DONE"
    assert counts(run) == (3, 1, 1, 0, 0, 1)
    assert Customer.objects.count() == 2
    assert run.confirmed_by == binh
    assert run.loaded_at is not None


def test_the_file_is_kept_under_a_name_that_tells_nothing(binh: User, tmp_path: Path, import_folders: Path) -> None:
    run = received("customers", csv_file(tmp_path / "KH.csv", [CUSTOMER]), binh)
    (kept,) = import_folders.iterdir()
    assert kept == run.path
    assert len(kept.name) == 32
    assert kept.read_bytes() == (tmp_path / "KH.csv").read_bytes()
    assert (run.file_name, run.file_size) == ("KH.csv", kept.stat().st_size)


def test_a_file_that_is_refused_says_why_and_changes_nothing(binh: User, tmp_path: Path) -> None:
    run = worked(received("customers", csv_file(tmp_path / "a.csv", [DEBT]), binh))
    assert run.state == "FAILED"
    assert "It looks like debts." in run.failure


def test_a_file_of_nothing_but_rejects_is_not_taken_and_shows_them(binh: User, tmp_path: Path) -> None:
    run = worked(received("customers", csv_file(tmp_path / "a.csv", [CUSTOMER | {"MA_KHANG": "PP1"}]), binh))
    assert (run.state, run.failure) == ("FAILED", "Every row is rejected.")
    assert len(run.sample["rejects"]) == 1
    assert len(read_csv(run.rejects_path)) == 1


def test_a_column_that_the_file_lacks_is_shown_as_it_stays(binh: User, tmp_path: Path) -> None:
    factories.customer(email="an@x.vn")
    row = {name: cell for name, cell in CUSTOMER.items() if name != "EMAIL"} | {"MA_TRAM": "T9"}
    run = worked(received("customers", csv_file(tmp_path / "a.csv", [row]), binh))
    assert run.sample["changes"][0]["cells"][4] == ["an@x.vn", "an@x.vn"]


def test_reasons_are_worded_in_the_language_of_who_uploads(binh: User, tmp_path: Path) -> None:
    run = received("customers", csv_file(tmp_path / "a.csv", [CUSTOMER | {"MA_KHANG": ""}]), binh)
    assert run.language == "en"
    assert worked(run).sample["rejects"][0][3] == "is empty"


def test_a_preview_of_a_table_that_changed_since_is_made_anew(binh: User, tmp_path: Path) -> None:
    first = worked(received("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh))
    second = worked(received("customers", csv_file(tmp_path / "b.csv", [CUSTOMER | {"EMAIL": "an@x.vn"}]), binh))
    runs.confirm(second, by=binh, now=clock())
    worked(second)
    with pytest.raises(runs.NotPossible, match="checked anew"):
        runs.confirm(first, by=binh, now=clock())
    assert worked(first).state == "READY"
    assert counts(first) == (1, 0, 1, 0, 0, 0)


def test_a_run_is_confirmed_once(binh: User, chi: User, tmp_path: Path) -> None:
    run = worked(received("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh))
    seen_by_another = ImportRun.objects.get(pk=run.pk)
    runs.confirm(run, by=binh, now=clock())
    with pytest.raises(runs.NotPossible, match="gone on"):
        runs.confirm(seen_by_another, by=chi, now=clock())
    with pytest.raises(runs.NotPossible, match="not waiting to be confirmed"):
        runs.confirm(run, by=chi, now=clock())


def test_the_same_file_is_recognised_and_loaded_again_only_on_purpose(binh: User, tmp_path: Path) -> None:
    file = csv_file(tmp_path / "a.csv", [CUSTOMER])
    first = loaded("customers", file, binh)
    again = worked(received("customers", file, binh))
    assert again.same_file_loaded() == first
    with pytest.raises(runs.NotPossible, match="same file"):
        runs.confirm(again, by=binh, now=clock())
    runs.confirm(again, by=binh, now=clock(), again=True)
    assert worked(again).state == "DONE"
    assert counts(again) == (1, 0, 0, 1, 0, 0)


def test_a_file_whose_load_was_undone_is_no_repetition(binh: User, tmp_path: Path) -> None:
    file = csv_file(tmp_path / "a.csv", [CUSTOMER])
    first = loaded("customers", file, binh)
    runs.ask_undo(first, by=binh, now=clock())
    worked(first)
    assert worked(received("customers", file, binh)).same_file_loaded() is None


@pytest.mark.parametrize("state", ["WAITING", "READY", "CONFIRMED"])
def test_a_run_can_be_cancelled_before_it_is_loaded(binh: User, tmp_path: Path, state: str) -> None:
    run = received("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh)
    if state != "WAITING":
        worked(run)
    if state == "CONFIRMED":
        runs.confirm(run, by=binh, now=clock())
    runs.cancel(run)
    assert worked(run).state == "CANCELLED"
    assert not Customer.objects.exists()


def test_a_run_cancelled_while_it_is_loaded_changes_nothing(
    binh: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = worked(received("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh))
    runs.confirm(run, by=binh, now=clock())
    load = engine.load

    def cancelled_meanwhile(*args: Any, **options: Any) -> Any:
        runs.cancel(ImportRun.objects.get(pk=run.pk))
        return load(*args, **options)

    monkeypatch.setattr(engine, "load", cancelled_meanwhile)
    assert worked(run).state == "CANCELLED"
    assert not Customer.objects.exists()


def test_what_is_loaded_can_not_be_cancelled(binh: User, tmp_path: Path) -> None:
    run = loaded("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh)
    with pytest.raises(runs.NotPossible, match="can't be cancelled any more"):
        runs.cancel(run)


# Control totals


def test_control_totals_that_agree_need_nobody_else(binh: User, tmp_path: Path) -> None:
    factories.customer()
    totals = {"rows": "2", "TIEN_NO": "1300000", "THUE_NO": "130000"}
    run = received("debts", debts(tmp_path, range(2)), binh, control_totals=totals)
    assert worked(run).state == "READY"
    assert run.sums == {"TIEN_NO": "1300000", "THUE_NO": "130000"}


@pytest.mark.parametrize(
    ("totals", "told"),
    [({"rows": "3"}, "rows: 3 expected, 2 found"), ({"TIEN_NO": "5"}, "TIEN_NO: 5 expected, 1,300,000 found")],
)
def test_control_totals_that_differ_need_a_second_person(
    binh: User, tmp_path: Path, totals: dict[str, str], told: str
) -> None:
    factories.customer()
    run = worked(received("debts", debts(tmp_path, range(2)), binh, control_totals=totals))
    assert run.state == "SECOND_PERSON"
    assert told in run.reasons["totals"]


# Snapshots


def test_a_snapshot_that_settles_much_needs_a_second_person_who_is_another(
    binh: User, chi: User, tmp_path: Path
) -> None:
    factories.customer()
    loaded("debts", debts(tmp_path, range(10)), binh, **snapshot(1))
    run = worked(received("debts", debts(tmp_path, range(6)), binh, **snapshot(2)))
    assert run.state == "SECOND_PERSON"
    assert run.reasons == {
        "settles": "It settles 4 of 10 that are open in its units: 40 %, more than 30 %.",
    }
    with pytest.raises(runs.NotPossible, match="Another person"):
        runs.confirm(run, by=binh, now=clock())
    assert Debt.objects.filter(settled_at=None).count() == 10
    runs.confirm(run, by=chi, now=clock())
    assert worked(run).state == "DONE"
    assert (run.removed, run.confirmed_by) == (4, chi)
    assert Debt.objects.filter(settled_at=None).count() == 6


def test_a_snapshot_that_grows_much_needs_a_second_person(binh: User, tmp_path: Path) -> None:
    factories.customer()
    loaded("debts", debts(tmp_path, range(10)), binh, **snapshot(1))
    run = worked(received("debts", debts(tmp_path, range(14)), binh, **snapshot(2)))
    assert list(run.reasons) == ["grows"]
    assert "It adds 4 to 10" in run.reasons["grows"]


def test_what_was_settled_and_is_owed_again_counts_as_growth(binh: User, chi: User, tmp_path: Path) -> None:
    factories.customer()
    loaded("debts", debts(tmp_path, range(10)), binh, **snapshot(1))
    run = worked(received("debts", debts(tmp_path, range(5)), binh, **snapshot(2)))
    runs.confirm(run, by=chi, now=clock())
    worked(run)
    again = worked(received("debts", debts(tmp_path, range(10)), binh, **snapshot(3)))
    assert (again.new, list(again.reasons)) == (0, ["grows"])


@pytest.mark.parametrize("bills", [range(7), range(13)])
def test_a_snapshot_within_the_share_needs_nobody_else(binh: User, tmp_path: Path, bills: range) -> None:
    factories.customer()
    loaded("debts", debts(tmp_path, range(10)), binh, **snapshot(1))
    assert worked(received("debts", debts(tmp_path, bills), binh, **snapshot(2))).state == "READY"


def test_the_share_is_a_setting(binh: User, tmp_path: Path, settings: Any) -> None:
    settings.IMPORT_SNAPSHOT_SHARE = 10
    factories.customer()
    loaded("debts", debts(tmp_path, range(10)), binh, **snapshot(1))
    assert worked(received("debts", debts(tmp_path, range(8)), binh, **snapshot(2))).state == "SECOND_PERSON"


def test_a_few_rows_are_never_suspicious(binh: User, tmp_path: Path, settings: Any) -> None:
    settings.IMPORT_SNAPSHOT_FEW = 5
    factories.customer()
    loaded("debts", debts(tmp_path, range(10)), binh, **snapshot(1))
    assert worked(received("debts", debts(tmp_path, range(4)), binh, **snapshot(2))).state == "SECOND_PERSON"
    assert worked(received("debts", debts(tmp_path, range(5)), binh, **snapshot(3))).state == "READY"


def test_a_first_snapshot_has_nothing_to_be_compared_with(binh: User, tmp_path: Path) -> None:
    factories.customer()
    assert worked(received("debts", debts(tmp_path, range(10)), binh, **snapshot(1))).state == "READY"


def test_a_snapshot_older_than_what_is_loaded_needs_a_second_person(binh: User, tmp_path: Path) -> None:
    factories.customer()
    loaded("debts", debts(tmp_path, range(10)), binh, **snapshot(5))
    run = worked(received("debts", debts(tmp_path, range(9)), binh, **snapshot(4)))
    assert list(run.reasons) == ["older"]
    assert "PP0500" in run.reasons["older"]


def test_a_snapshot_of_another_unit_is_not_older(binh: User, tmp_path: Path) -> None:
    factories.customer()
    factories.customer("PQ05000974006", unit="PQ0500")
    loaded("debts", debts(tmp_path, range(10)), binh, **snapshot(5))
    run = received("debts", debts(tmp_path, range(20, 25), MA_KHANG="PQ05000974006"), binh, **snapshot(4))
    assert worked(run).state == "READY"


def test_a_file_that_is_no_snapshot_settles_nothing_and_needs_nobody_else(binh: User, tmp_path: Path) -> None:
    factories.customer()
    loaded("debts", debts(tmp_path, range(10)), binh, **snapshot(5))
    run = loaded("debts", debts(tmp_path, range(1), TIEN_NO="1"), binh)
    assert (run.state, counts(run)) == ("DONE", (1, 0, 1, 0, 0, 0))


def test_what_turns_suspicious_after_the_preview_is_shown_anew_to_a_second_person(
    binh: User, chi: User, tmp_path: Path
) -> None:
    factories.customer()
    loaded("debts", debts(tmp_path, range(10)), binh, **snapshot(1))
    run = worked(received("debts", debts(tmp_path, range(9)), binh, **snapshot(2)))
    runs.confirm(run, by=binh, now=clock())
    for bill in range(100, 120):
        factories.debt(bill_id=str(bill))
    assert worked(run).state == "SECOND_PERSON"
    assert list(run.reasons) == ["settles"]
    assert run.removed == 21
    assert Debt.objects.filter(settled_at=None).count() == 30
    runs.confirm(run, by=chi, now=clock())
    assert worked(run).state == "DONE"


# Undo


def test_an_undone_load_leaves_the_table_as_it_was(binh: User, tmp_path: Path) -> None:
    factories.customer(name="Tên cũ")
    before = stored("customers")
    file = csv_file(tmp_path / "a.csv", [CUSTOMER, CUSTOMER | {"MA_KHANG": "PP05000974007"}])
    run = loaded("customers", file, binh)
    assert stored("customers") != before
    runs.ask_undo(run, by=binh, now=clock())
    assert worked(run).state == "UNDONE"
    assert stored("customers") == before
    assert run.undone_by == binh


def test_only_the_last_load_of_a_kind_can_be_undone_then_the_one_before(binh: User, tmp_path: Path) -> None:
    first = loaded("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh)
    last = loaded("customers", csv_file(tmp_path / "b.csv", [CUSTOMER | {"EMAIL": "an@x.vn"}]), binh)
    with pytest.raises(runs.NotPossible, match="last import"):
        runs.ask_undo(first, by=binh, now=clock())
    for run in (last, first):
        runs.ask_undo(run, by=binh, now=clock())
        assert worked(run).state == "UNDONE"
    assert not Customer.objects.exists()


def test_an_undo_that_is_refused_leaves_the_load_and_says_why(binh: User, tmp_path: Path) -> None:
    run = loaded("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh)
    factories.debt()
    runs.ask_undo(run, by=binh, now=clock())
    assert worked(run).state == "DONE"
    assert "belong to rows that it added" in run.failure
    assert Customer.objects.exists()


def test_what_is_no_longer_kept_can_not_be_undone(binh: User, tmp_path: Path) -> None:
    run = loaded("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh)
    with pytest.raises(runs.NotPossible, match="no longer kept"):
        runs.ask_undo(run, by=binh, now=clock() + timedelta(days=30))


# Workers that die, databases that go away


def at_work(run: ImportRun, state: str, heartbeat: datetime, **fields: Any) -> None:
    facts = {"claim": "dead", "heartbeat_at": heartbeat, "work_started_at": heartbeat, "attempts": 1} | fields
    ImportRun.objects.filter(pk=run.pk).update(state=state, **facts)


@pytest.mark.parametrize(("state", "end"), [("CHECKING", "READY"), ("LOADING", "DONE")])
def test_the_run_of_a_dead_worker_is_taken_up_again(binh: User, tmp_path: Path, state: str, end: str) -> None:
    run = received("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh)
    at_work(run, state, clock() - timedelta(seconds=62))
    assert worked(run).state == end


def test_the_run_of_a_living_worker_is_left_to_it_and_nothing_else_is_begun(binh: User, tmp_path: Path) -> None:
    run = received("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh)
    waiting = received("debts", debts(tmp_path, range(1)), binh)
    at_work(run, "LOADING", clock())
    assert worked(run).state == "LOADING"
    waiting.refresh_from_db()
    assert waiting.state == "WAITING"


def test_a_worker_that_was_thought_dead_changes_nothing_any_more(
    binh: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = worked(received("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh))
    runs.confirm(run, by=binh, now=clock())
    load = engine.load

    def slept_meanwhile(*args: Any, **options: Any) -> Any:
        ImportRun.objects.filter(pk=run.pk).update(claim="another worker's")
        return load(*args, **options)

    monkeypatch.setattr(engine, "load", slept_meanwhile)
    runs.work_waiting(clock=clock)
    run.refresh_from_db()
    assert run.state == "LOADING"
    assert not Customer.objects.exists()


def test_a_database_that_goes_away_is_waited_for_but_not_for_ever(
    binh: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: Any, **options: Any) -> Any:
        try:
            raise OperationalError("the connection is lost")
        except OperationalError as error:
            raise FileRefused(f"The database doesn't take it: {error}") from error

    run = received("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh)
    monkeypatch.setattr(engine, "load", gone)
    assert worked(run).state == "WAITING"
    assert not runs.work_waiting(clock=clock), "it pauses before the next try"
    for _try in range(4):
        ImportRun.objects.update(heartbeat_at=clock() - timedelta(seconds=11))
        worked(run)
    assert run.state == "FAILED"
    assert "the connection is lost" in run.failure


def test_a_database_that_comes_back_finishes_the_run(
    binh: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = received("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "load", lambda *args, **options: 1 / 0)
        assert worked(run).state == "WAITING"
    ImportRun.objects.update(heartbeat_at=clock() - timedelta(seconds=11))
    assert (worked(run).state, run.failure) == ("READY", "")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("took_place", [True, False])
def test_a_commit_that_fails_is_finished_or_done_again_whichever_took_place(
    binh: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, took_place: bool
) -> None:
    run = worked(received("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh))
    runs.confirm(run, by=binh, now=clock())
    load = engine.load

    def lost(*args: Any, within: Any, **options: Any) -> Any:
        def then_lose(outcome: engine.Outcome) -> None:
            within(outcome)
            if not took_place:
                raise OperationalError("the connection is lost")

        load(*args, within=then_lose, **options)
        raise OperationalError("the connection is lost")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "load", lost)
        assert worked(run).state == ("DONE" if took_place else "CONFIRMED")
    assert Customer.objects.exists() == took_place
    ImportRun.objects.update(heartbeat_at=clock() - timedelta(seconds=11))
    assert worked(run).state == "DONE"


def test_the_database_itself_keeps_two_runs_of_a_kind_apart(binh: User, tmp_path: Path) -> None:
    first = received("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh)
    second = received("customers", csv_file(tmp_path / "b.csv", [CUSTOMER]), binh)
    at_work(first, "CHECKING", clock())
    with pytest.raises(IntegrityError), transaction.atomic():
        at_work(second, "LOADING", clock())


def test_a_run_waits_while_a_command_loads_its_kind_and_others_go_on(binh: User, tmp_path: Path) -> None:
    factories.customer()
    command = received("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh)
    at_work(command, "LOADING", clock(), source="COMMAND_LINE")
    same = received("customers", csv_file(tmp_path / "b.csv", [CUSTOMER]), binh)
    other = received("debts", debts(tmp_path, range(1)), binh)
    assert worked(other).state == "READY"
    same.refresh_from_db()
    assert same.state == "WAITING"


def pulsing(monkeypatch: pytest.MonkeyPatch, run: ImportRun, until: Any) -> list[int]:
    """Have the engine read rows until a condition of the run as others see it holds; returns what it read."""
    monkeypatch.setattr(pulse, "PULSE_SECONDS", 0.02)
    read = []

    def load(*args: Any, progress: Any, **options: Any) -> Any:
        for rows in range(1, 500):
            progress(rows)
            read.append(rows)
            time.sleep(0.01)
            if until(ImportRun.objects.get(pk=run.pk)):
                break
        raise FileRefused("read enough")

    monkeypatch.setattr(engine, "load", load)
    return read


@pytest.mark.django_db(transaction=True)
def test_others_see_the_pulse_and_the_progress_of_a_worker(
    binh: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = received("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh)
    began = clock()
    read = pulsing(monkeypatch, run, lambda seen: seen.rows_read >= 5 and seen.heartbeat_at > began)
    worked(run)
    assert run.failure == "read enough"
    assert 5 <= len(read) < 499


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_run_is_dropped_while_it_is_read(
    binh: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = received("customers", csv_file(tmp_path / "a.csv", [CUSTOMER]), binh)

    def cancel(seen: ImportRun) -> bool:
        if seen.state == "CHECKING":
            runs.cancel(seen)
        return False

    read = pulsing(monkeypatch, run, cancel)
    assert worked(run).state == "CANCELLED"
    assert len(read) < 499


# What is kept


def test_files_and_samples_of_old_runs_are_let_go_and_their_counts_kept(binh: User, tmp_path: Path) -> None:
    run = loaded("customers", csv_file(tmp_path / "a.csv", [CUSTOMER, CUSTOMER | {"MA_KHANG": "PP1"}]), binh)
    kept, rejects = run.path, run.rejects_path
    runs.forget_old(now=clock() + timedelta(days=29))
    assert kept.exists()
    runs.forget_old(now=clock() + timedelta(days=32))
    run.refresh_from_db()
    assert not kept.exists()
    assert not rejects.exists()
    assert (run.sample, run.rows) == ({}, 2)


@pytest.mark.parametrize("write", [csv_file, gzip_file, xlsx_file])
def test_the_number_of_rows_is_estimated_for_every_kind_of_file(tmp_path: Path, write: Any) -> None:
    rows = [CUSTOMER | {"MA_KHANG": f"PP{number:011}"} for number in range(9000)]
    assert estimate.rows_in(write(tmp_path / "file", rows)) == pytest.approx(9000, rel=0.03)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"\x1f\x8bbroken", b"\0" * 999])
def test_a_damaged_file_has_no_estimate(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert estimate.rows_in(tmp_path / "file") == 0
