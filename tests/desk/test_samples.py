"""The sample exports: they load whole through the real command, and give the published answers."""

import json
import zipfile
from datetime import date, datetime
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.db.models import Count

from billing.models import Customer, Debt, Invoice, MeterReading
from evncare.desk import samples
from evncare.desk.samples.__main__ import write_samples
from outages.models import Outage

OCTOBER_2016 = datetime(2016, 10, 5, 8, tzinfo=ZoneInfo("Asia/Ho_Chi_Minh"))


def load(kind, file):
    """Load a file by the real command, which raises on any rejected row, and return its result."""
    result = StringIO()
    call_command("import_data", kind, str(file), json=True, stdout=result)
    return json.loads(result.getvalue())


def load_all():
    return {kind: load(kind, file) for kind, file in samples.FILES.items()}


def reply_to(text, at=OCTOBER_2016):
    result = StringIO()
    call_command("answer", text, at=f"{at:%Y-%m-%dT%H:%M}", json=True, stdout=result)
    return json.loads(result.getvalue())["reply"]


@pytest.mark.django_db
def test_every_row_is_taken_and_a_second_load_changes_nothing():
    for kind, result in load_all().items():
        assert result["new"] == result["rows"] > 0, kind
    for kind, result in load_all().items():
        assert result["unchanged"] == result["rows"], kind
        assert result["removed"] == 0, kind


@pytest.mark.django_db
def test_the_published_questions_get_the_published_answers():
    load_all()
    assert {question: reply_to(question) for question in samples.PUBLISHED} == samples.PUBLISHED


@pytest.mark.django_db
def test_one_outage_runs_for_the_example_customer_on_whatever_day(tmp_path):
    load("customers", samples.FILES["customers"])
    for day in (date(2027, 2, 28), date(2027, 3, 1)):
        file = tmp_path / "outages.csv"
        samples.write_outages_around(day, file)
        load("outages", file)
        for hour in (0, 23):
            at = datetime(day.year, day.month, day.day, hour, 59)  # noqa: DTZ001 - local time, as the command takes it
            expected = samples.published_around(file)[samples.OUTAGES_QUESTION]
            assert reply_to(samples.OUTAGES_QUESTION, at) == expected
    assert "tu: 28/02/2027 7:30 den: 02/03/2027 17:00." in expected
    assert Outage.objects.count() == 8, "the second day's outages came on top of the first's"


@pytest.mark.django_db
def test_the_samples_hold_what_makes_exports_hard():
    load_all()
    assert 300 < Customer.objects.count() < 400
    assert {code[:2] for code in Customer.objects.values_list("unit", flat=True)} == {"PP", "PQ", "PC"}
    assert Customer.objects.filter(name__contains="Nguyễn", book__startswith="0").exists()
    assert set(MeterReading.objects.values_list("register", flat=True)) == {"KT", "BT", "CD", "TD", "SG", "VC"}
    assert set(MeterReading.objects.values_list("ky", flat=True)) == {1, 2, 3}
    meters = MeterReading.objects.values("customer", "year", "month", "ky").annotate(
        meters=Count("meter", distinct=True)
    )
    assert meters.filter(meters=2).exists(), "no meter was swapped"
    assert set(Invoice.objects.values_list("adjustment", flat=True)) == {"", *Invoice.Adjustment.values}
    assert set(Invoice.objects.values_list("kind", flat=True)) == set(Invoice.Kind.values)
    assert Customer.objects.alias(debts_number=Count("debts")).filter(debts_number__gt=1).exists()
    assert Debt.objects.exclude(bill_id__in=Invoice.objects.values("bill_id")).exists(), "every debt's bill is loaded"


def test_the_generator_writes_the_very_files_that_are_shipped(tmp_path):
    write_samples(tmp_path)
    for file in (*samples.FILES.values(), samples.OUTAGES_TEMPLATE):
        assert content(tmp_path / file.name) == content(file), file.name


def content(file):
    """A file's bytes; a workbook's parts, since compression differs from machine to machine."""
    if file.suffix != ".xlsx":
        return file.read_bytes()
    with zipfile.ZipFile(file) as parts:
        return {name: parts.read(name) for name in parts.namelist()}
