"""What the benchmark of the desk is measured on holds together."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Sum

from billing.models import Customer, Debt, Invoice
from sms import audit, statistics
from sms.models import HourlyCount, InboundMessage, OutboundMessage
from sms.parser import parse
from sms.syntaxes import grammar
from tests.bench.population import UNTIL, Size, is_filled, populate

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="the generator writes PostgreSQL's COPY"),
]
SIZE = Size(customers=500, messages=2_000, days=40)


def test_a_population_is_consistent_found_and_noted():
    indexes = definitions()
    populate(SIZE, tell=lambda _line: None)

    assert definitions() == indexes
    assert is_filled(SIZE)
    assert not is_filled(Size())
    assert Customer.objects.count() == 500
    assert Invoice.objects.filter(original__isnull=True).count() == 500 * 12
    assert 0 < Invoice.objects.filter(original__isnull=False).count() < 500 * 12 * 0.02
    assert Debt.objects.filter(settled_at__isnull=True).values("customer").distinct().count() == 40
    assert InboundMessage.objects.count() == 2_000
    assert OutboundMessage.objects.count() > 1_800

    nguyens = Customer.objects.filter(search_text__words="nguyen")
    assert 150 < nguyens.count() < 250
    customer = nguyens[0]
    assert customer in Customer.objects.filter(search_text__words=customer.name)
    assert customer.search_text.startswith("nguyen ")

    # The books of the messages balance, and their lives are explained.
    week = audit.audit(audit.Span(UNTIL - timedelta(days=6), UNTIL), now=UNTIL)
    assert week.books.balanced
    assert week.books.received > 20
    assert 0 < week.books.waiting <= 2
    assert {finding.name for finding in week.findings} <= {"set_aside", "unknown", "failed", "expired", "unsent_long"}

    # They are counted.
    total = HourlyCount.objects.aggregate(Sum("messages"))["messages__sum"]
    statistics.refresh(now=UNTIL)
    assert total == HourlyCount.objects.aggregate(Sum("messages"))["messages__sum"] == 2_000

    # They are understood as they are noted.
    for message in InboundMessage.objects.filter(state="ANSWERED"):
        question = parse(message.text, grammar())
        assert (question.keyword or "", question.problem and "bad_syntax") == (
            message.keyword,
            "bad_syntax" if message.outcome == "bad_syntax" else None,
        ), message.text
        if message.customer_code:
            assert question.customer == message.customer_code
        if message.period:
            assert question.period == message.period


def definitions() -> set[str]:
    """Every index and constraint of the database, without their conditions, which PostgreSQL words anew."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT split_part(indexdef, ' WHERE ', 1) FROM pg_indexes WHERE schemaname = 'public' UNION ALL "
            "SELECT format('%s %s %s %s', conrelid::regclass, conname, contype, condeferrable) FROM pg_constraint"
        )
        return {row[0] for row in cursor.fetchall()}
