"""Netting, settling and picking: what billing says of an account."""

import pytest

from billing import queries
from billing.models import Invoice
from evncare.periods import Period
from tests import factories
from tests.factories import CODE, NOW

pytestmark = pytest.mark.django_db

OTHER = "PP05000974007"
Adjustment = Invoice.Adjustment


def account(code: str = CODE) -> queries.Account:
    return queries.accounts([code])[code]


def bill(month: int = 10) -> queries.Bill | None:
    asked = queries.AccountMonth(account(), 2016, month)
    bills = queries.bills([asked]).get(asked, [])
    return bills[0] if bills else None


def test_an_unknown_code_has_no_account():
    factories.customer(phones="84905123456 842363821999")
    assert queries.accounts([CODE, OTHER]) == {
        CODE: queries.Account(CODE, "PP0500", "S01", "T001", ("84905123456", "842363821999"))
    }


@pytest.mark.parametrize(
    ("adjustments", "net"),
    [
        ([], 500_000),
        ([(Adjustment.SURCHARGE, 20_000)], 520_000),
        ([(Adjustment.REFUND, 20_000)], 480_000),
        ([(Adjustment.REFUND, -20_000)], 480_000),
        ([(Adjustment.CANCELLATION, -500_000), (Adjustment.REISSUE, 450_000)], 450_000),
        ([(Adjustment.CANCELLATION, 500_000), (Adjustment.REISSUE, 450_000)], 450_000),
        ([(Adjustment.SURCHARGE, 1), (Adjustment.SURCHARGE, 2), (Adjustment.REFUND, 3)], 500_000),
    ],
)
def test_adjustments_are_netted_by_their_kind_with_or_without_a_sign(adjustments, net):
    factories.customer()
    original = factories.invoice(total=500_000)
    for kind, total in adjustments:
        factories.adjustment(original, kind, total)
    assert bill() == queries.Bill(Period(1, 10, 2016), net, 0)


def test_an_adjustment_of_an_adjustment_counts_for_the_first_bill():
    factories.customer()
    original = factories.invoice(total=500_000)
    factories.adjustment(original, Adjustment.CANCELLATION, -500_000)
    reissue = factories.adjustment(original, Adjustment.REISSUE, 450_000)
    factories.adjustment(reissue, Adjustment.REFUND, -50_000)
    assert bill().total == 400_000


def test_an_adjustment_is_not_a_bill_of_the_period_it_carries():
    factories.customer()
    factories.adjustment(factories.invoice(total=500_000), Adjustment.SURCHARGE, 20_000)
    assert bill(month=11) is None


def test_bills_of_one_period_are_added_and_reactive_ones_apart():
    factories.customer()
    factories.invoice(total=300_000)
    factories.invoice(total=200_000)
    factories.invoice(total=7_000, kind=Invoice.Kind.REACTIVE)
    assert bill() == queries.Bill(Period(1, 10, 2016), 500_000, 7_000)


def test_a_reactive_bill_alone_is_no_bill_for_energy():
    factories.customer()
    factories.invoice(kind=Invoice.Kind.REACTIVE)
    assert bill() is None
    assert queries.billed_periods([account()]).get(account()) is None


def test_debts_are_added_by_period_latest_first_without_the_settled_ones():
    factories.customer()
    factories.debt(month=9, amount=10, tax=1)
    factories.debt(month=10, amount=20, tax=2)
    factories.debt(month=10, amount=30, tax=3)
    factories.debt(month=11, settled_at=NOW)
    assert queries.unpaid([CODE]) == {
        CODE: [queries.Owed(Period(1, 10, 2016), 50, 5), queries.Owed(Period(1, 9, 2016), 10, 1)]
    }


def test_what_one_customer_has_is_never_told_of_another():
    factories.everything_published()
    factories.customer(OTHER, book="S02", station="T002")
    asked = queries.AccountMonth(account(OTHER), 2016, 10)
    for look_up in (queries.reading_dates, queries.readings, queries.bills):
        assert not look_up([asked]).get(asked)
    assert not queries.unpaid([OTHER])


def test_two_customers_of_one_book_share_its_dates():
    factories.customer()
    factories.customer(OTHER)
    factories.schedule()
    asked = [queries.AccountMonth(account(code), 2016, 10) for code in (CODE, OTHER)]
    assert set(queries.reading_dates(asked)) == set(asked)
    assert set(queries.scheduled_periods([account(CODE), account(OTHER)])) == {account(CODE), account(OTHER)}


def test_existing_periods_come_latest_first_and_once():
    factories.customer()
    for month, ky in [(8, 1), (10, 2), (10, 1), (10, 1)]:
        factories.invoice(month=month, ky=ky)
    assert queries.billed_periods([account()])[account()] == [
        Period(2, 10, 2016), Period(1, 10, 2016), Period(1, 8, 2016),
    ]  # fmt: skip


def test_customers_are_found_by_their_first_phone_in_order_and_then_by_others():
    phones = ("84905200000 84905100000", "84905100000", "84905300000", "84914000111 84905100001")
    for number, known in enumerate(phones):
        factories.customer(f"PP0500000000{number}", phones=known)

    def called(start: str, limit: int = 8) -> str:
        return "".join(customer.code[-1] for customer in queries.customers_called(start, limit))

    assert called("84905") == "1023"
    assert called("849051") == "103"
    assert called("84905100001") == "3"
    assert called("84905", limit=2) == "10"
    assert called("849051", limit=2) == "10"
    assert called("84906") == ""
