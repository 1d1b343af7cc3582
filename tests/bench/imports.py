"""How fast invoices load: ours, what others do, and the database's own limit. `python -m tests.bench.imports --help`.

Every way is a process of its own, so that its peak memory is its own, and starts with the same customers and an empty
or equally filled table of invoices. Servers and files live under var/bench.
"""

import argparse
import csv
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

from evncare.embedded import postgres_server

DIRECTORY = Path(__file__).resolve().parent.parent.parent / "var" / "bench"
HEADER = (
    "ID_HDON", "MA_KHANG", "KY", "THANG", "NAM", "LOAI_HDON", "DIEN_TTHU", "SO_TIEN", "TIEN_GTGT", "TONG_TIEN",
    "NGAY_PHANH", "ID_HDON_GOC", "LOAI_DCHINH",
)  # fmt: skip
COLUMNS = (
    "bill_id", "customer_id", "ky", "month", "year", "kind", "consumption", "amount", "tax", "total", "issue_date",
    "original_id", "adjustment",
)  # fmt: skip
UNIT_SIZE = 50_000
BILL = 10_000_000
# The ways that aren't ours run on fewer rows, for they would take hours.
ORM_ROWS, TUNED_ROWS, DEFAULT_ROWS = 50_000, 10_000, 2_000


def code(number: int) -> str:
    return f"PP{500 + number // UNIT_SIZE:04}{number:07}"


def bills(rows: int, *, changed: bool = False) -> Iterator[list[Any]]:
    """One bill a customer, unit by unit, the customers of a unit in any order; of the changed ones 1 % differ."""
    chance = random.Random(8088)
    for start in range(0, rows, UNIT_SIZE):
        customers = list(range(start, min(rows, start + UNIT_SIZE)))
        chance.shuffle(customers)
        for place, customer in enumerate(customers, start):
            consumption, day = chance.randint(10, 900), chance.randint(1, 28)
            amount = consumption * 1678 + (1 if changed and place % 100 == 0 else 0)
            yield [
                BILL + place, code(customer), 1, 10, 2016, "TD", consumption, amount, amount // 10,
                amount + amount // 10, f"{day:02}/10/2016", "", "",
            ]  # fmt: skip


def file_of(rows: int, *, changed: bool = False) -> Path:
    path = DIRECTORY / f"invoices-{rows}{'-changed' if changed else ''}.csv"
    if not path.exists():
        with path.with_suffix(".part").open("w", newline="") as file:
            csv.writer(file).writerows([HEADER])
            csv.writer(file).writerows(bills(rows, changed=changed))
        path.with_suffix(".part").rename(path)
    return path


def records(rows: int, *, changed: bool = False) -> Iterator[tuple[Any, ...]]:
    """The bills as the table has them, for the ways that don't validate."""
    for bill in bills(rows, changed=changed):
        day, month, year = bill[10].split("/")
        yield (str(bill[0]), *bill[1:10], f"{year}-{month}-{day}", None, "")


# The ways. Each returns the seconds of a first load, the same again, and 1 % changed, as far as it can tell them apart.

Seconds = dict[str, float]


def timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def three_loads(load: Callable[[bool], Any]) -> Seconds:
    return {
        "first": timed(lambda: load(False)),
        "again": timed(lambda: load(False)),
        "1 % changed": timed(lambda: load(True)),
    }


def ours(rows: int) -> Seconds:
    from evncare.imports import engine
    from evncare.imports.declarations import declared_exports

    runs = iter(range(1, 4))

    def load(changed: bool) -> None:
        outcome = engine.load(declared_exports()["invoices"], file_of(rows, changed=changed), run=next(runs))
        expected = (0, rows // 100) if changed else (outcome.rows - outcome.unchanged, 0)
        assert (outcome.new, outcome.changed, outcome.rejected) == (*expected, 0), outcome

    return three_loads(load)


def copy(rows: int) -> Seconds:
    """The limit: COPY of ready-made text into the same table, with all its indexes and constraints."""
    from django.db import connection

    path = DIRECTORY / f"invoices-{rows}.copy"
    with path.open("w") as file:
        for record in records(rows):
            file.write("\t".join(r"\N" if value is None else str(value) for value in record) + "\n")

    def load() -> None:
        with (
            path.open("rb") as file,
            connection.cursor() as cursor,
            cursor.copy(f"COPY billing_invoice ({', '.join(COLUMNS)}) FROM STDIN") as copying,
        ):
            while block := file.read(1 << 16):
                copying.write(block)

    seconds = timed(load)
    path.unlink()
    return {"first": seconds}


def upsert(rows: int) -> Seconds:
    """SQLite's limit: raw upserts of ready-made rows."""
    from django.db import connection, transaction

    updates = ", ".join(f"{column} = excluded.{column}" for column in COLUMNS[1:])
    statement = (
        f"INSERT INTO billing_invoice ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))}) "
        f"ON CONFLICT (bill_id) DO UPDATE SET {updates}"
    )

    ready = {changed: list(records(rows, changed=changed)) for changed in (False, True)}

    def load(changed: bool) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(statement, ready[changed])

    return three_loads(load)


def bulk_create(rows: int) -> Seconds:
    from django.db import transaction

    from billing.models import Invoice

    names = [field.attname for column in COLUMNS for field in Invoice._meta.fields if field.column == column]

    ready = {changed: list(records(rows, changed=changed)) for changed in (False, True)}

    def load(changed: bool) -> None:
        invoices = (Invoice(**dict(zip(names, record, strict=True))) for record in ready[changed])
        with transaction.atomic():
            while batch := list(islice(invoices, 5000)):
                Invoice.objects.bulk_create(
                    batch, update_conflicts=True, unique_fields=["bill_id"],
                    update_fields=[name for name in names if name != "bill_id"],
                )  # fmt: skip

    return three_loads(load)


def import_export(rows: int, **tuning: Any) -> Seconds:
    """django-import-export, as its documentation has it; or in bulk, comparing, the customers known beforehand."""
    import tablib
    from import_export.fields import Field
    from import_export.resources import ModelResource
    from import_export.widgets import DateWidget, ForeignKeyWidget

    from billing.models import Customer, Invoice

    class Bills(ModelResource):  # type: ignore[misc]
        customer = (
            Field("customer_id", "MA_KHANG")
            if tuning
            else Field("customer", "MA_KHANG", widget=ForeignKeyWidget(Customer, "code"))
        )
        issue_date = Field("issue_date", "NGAY_PHANH", widget=DateWidget("%d/%m/%Y"))
        bill_id = Field("bill_id", "ID_HDON")
        ky = Field("ky", "KY")
        month = Field("month", "THANG")
        year = Field("year", "NAM")
        kind = Field("kind", "LOAI_HDON")
        consumption = Field("consumption", "DIEN_TTHU")
        amount = Field("amount", "SO_TIEN")
        tax = Field("tax", "TIEN_GTGT")
        total = Field("total", "TONG_TIEN")

        class Meta:
            model = Invoice
            import_id_fields = ("bill_id",)
            fields = (
                "customer", "issue_date", "bill_id", "ky", "month", "year", "kind", "consumption", "amount", "tax",
                "total",
            )  # fmt: skip

    for name, value in tuning.items():
        setattr(Bills._meta, name, value)

    def load(changed: bool) -> None:
        with file_of(rows, changed=changed).open() as file:
            result = Bills().import_data(tablib.Dataset().load(file, format="csv"), raise_errors=True)
        assert not result.has_errors()

    return three_loads(load)


def import_export_tuned(rows: int) -> Seconds:
    return import_export(rows, use_bulk=True, batch_size=1000, skip_unchanged=True, skip_diff=True)


def answers(rows: int) -> Seconds:
    """How long a customer's answer takes before and while the file is loaded by another process, in milliseconds."""
    from django.utils import timezone

    from sms import parser, syntaxes

    amounts = {bill[1]: bill[9] for bill in bills(rows)}
    customers = list(amounts)
    switched = 0
    wrong = []

    def ask(chance: random.Random, until: Callable[[], bool]) -> float:
        nonlocal switched
        seconds = []
        while not until():
            customer = chance.choice(customers)
            question = parser.parse(f"TD {customer} 1 10 2016", syntaxes.grammar())
            started = time.perf_counter()
            (answer,) = syntaxes.answer([question], timezone.now())
            seconds.append(time.perf_counter() - started)
            loaded = f"la {amounts[customer]} dong" in answer.text
            if loaded:
                switched = switched or len(seconds)
            elif switched or "dong" in answer.text:
                wrong.append(answer.text)
            time.sleep(0.002)
        return statistics.median(seconds) * 1000

    chance, end = random.Random(1), time.monotonic() + 5
    before = ask(chance, lambda: time.monotonic() > end)
    with subprocess.Popen([*WAY, "load_once", str(rows)], env=os.environ, stdout=subprocess.DEVNULL) as loading:
        meanwhile = ask(chance, lambda: loading.poll() is not None)
    assert loading.returncode == 0
    assert not wrong, wrong[:3]
    return {"ms before": before, "ms meanwhile": meanwhile, "times as long": meanwhile / before}


def load_once(rows: int) -> Seconds:
    from evncare.imports import engine
    from evncare.imports.declarations import declared_exports

    return {"first": timed(lambda: engine.load(declared_exports()["invoices"], file_of(rows), run=1))}


WAYS: dict[str, Callable[[int], Seconds]] = {
    way.__name__: way
    for way in (ours, copy, upsert, bulk_create, import_export, import_export_tuned, answers, load_once)
}
WAY = [sys.executable, "-m", "tests.bench.imports", "--way"]


# Running them


def prepare(rows: int, existing: int) -> None:
    """Customers, and bills of earlier months, one a customer; nothing else."""
    from django.core.management import call_command
    from django.db import connection, transaction

    call_command("migrate", verbosity=0)
    postgres = connection.vendor == "postgresql"
    with transaction.atomic(), connection.cursor() as cursor:
        for table in ("imports_beforeimage", "billing_invoice"):
            cursor.execute(f"{'TRUNCATE' if postgres else 'DELETE FROM'} {table}")
        cursor.execute("SELECT count(*) FROM billing_customer")
        if cursor.fetchone()[0] != rows:
            cursor.execute("TRUNCATE billing_customer CASCADE" if postgres else "DELETE FROM billing_customer")
            columns = "code, name, address, phones, email, unit, book, station, search_text"
            customers = (
                (
                    code(n),
                    "Nguyễn Văn An",
                    "78A Duy Tân",
                    "84905123456",
                    "",
                    code(n)[:6],
                    f"S{n % 900}",
                    f"T{n % 5000}",
                    "",
                )
                for n in range(rows)
            )
            if postgres:
                with cursor.copy(f"COPY billing_customer ({columns}) FROM STDIN") as copying:
                    for customer in customers:
                        copying.write_row(customer)
            else:
                cursor.executemany(
                    f"INSERT INTO billing_customer ({columns}) VALUES ({', '.join(['%s'] * 9)})",
                    list(customers),
                )
        for month in range(-(-existing // rows)):
            cursor.execute(
                f"INSERT INTO billing_invoice ({', '.join(COLUMNS)}) "
                "SELECT 'A' || CAST(%s AS text) || '-' || code, code, 1, %s, %s, 'TD', 1, 1, 1, 1, NULL, NULL, '' "
                "FROM billing_customer LIMIT %s",
                [month, month % 12 + 1, 2010 + month // 12, min(rows, existing - month * rows)],
            )
    if postgres:
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE billing_customer, billing_invoice")


def run_way(way: str, rows: int, existing: int) -> None:
    import django

    django.setup()
    if way != "load_once":
        prepare(rows, existing)
    result = WAYS[way](rows)
    print(json.dumps({"seconds": result, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}))


def measured(way: str, rows: int, existing: int, times: int, url: str) -> dict[str, Any]:
    """The medians of so many runs."""
    results = []
    for _time in range(times):
        environment = os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "evncare.settings"}
        command = [*WAY, way, str(rows), "--existing", str(existing)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        results.append(json.loads(done.stdout))
    return {
        "seconds": {load: statistics.median(r["seconds"][load] for r in results) for load in results[0]["seconds"]},
        "megabytes": max(result["megabytes"] for result in results),
    }


def compare(ways: Iterable[tuple[str, int]], limit: str, existing: int, times: int, url: str) -> None:
    """Measure and print each of the ways beside the limit, which comes first."""
    top = 0.0
    print(f"{'':22}{'rows':>10}{'rows/s':>30}{'of the limit':>15}{'MB':>6}")
    for way, rows in ways:
        result = measured(way, rows, existing, times, url)
        for load, seconds in result["seconds"].items():
            speed = rows / seconds
            top = top or speed
            label = f"{way} (limit)" if way == limit else way
            print(f"{label:22}{rows:10,}{load:>16}{speed:14,.0f}{speed / top:15.3f}{result['megabytes']:6}", flush=True)


@contextmanager
def sqlite_url() -> Iterator[str]:
    yield f"sqlite:///{DIRECTORY / 'bench.sqlite3'}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="of the file; the slow ways take fewer")
    parser.add_argument("--existing", type=int, default=0, help="rows of earlier months in the table, on PostgreSQL")
    parser.add_argument("--times", type=int, default=1, help="how often each is measured; the median counts")
    parser.add_argument("--only", nargs="*", default=[], metavar="WAY", help=", ".join(WAYS))
    parser.add_argument("--database", choices=["postgresql", "sqlite"], help="only this one")
    parser.add_argument("--url", help="a PostgreSQL other than the embedded one; its tables are emptied")
    parser.add_argument("--way", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    if options.way:
        run_way(options.way[0], int(options.way[1]), options.existing)
        return
    rows = options.rows
    others = [
        ("bulk_create", min(rows, ORM_ROWS)),
        ("import_export_tuned", min(rows, TUNED_ROWS)),
        ("import_export", min(rows, DEFAULT_ROWS)),
    ]

    def chosen(ways: list[tuple[str, int]]) -> list[tuple[str, int]]:
        return [way for way in ways if not options.only or way[0] in options.only]

    if options.database != "sqlite":
        with nullcontext(options.url) if options.url else postgres_server(DIRECTORY / "postgres") as url:
            print(f"\nPostgreSQL, {options.existing:,} rows in the table before\n")
            compare(chosen([("copy", rows), ("ours", rows), *others]), "copy", options.existing, options.times, url)
            if chosen([("answers", rows)]):
                asked = measured("answers", rows, options.existing, 1, url)["seconds"]
                print("\nA customer's answer: " + ", ".join(f"{name} {value:.2f}" for name, value in asked.items()))
    if options.database != "postgresql":
        with sqlite_url() as url:
            print("\nSQLite\n")
            compare(chosen([("upsert", rows), ("ours", rows), *others]), "upsert", 0, options.times, url)


if __name__ == "__main__":
    main()
