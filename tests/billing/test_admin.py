from datetime import date
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from billing.models import Customer, Debt, Invoice, MeterReading, ReadingSchedule
from evncare.admin import BoundedPaginator, grouped, typed_code, typed_phone
from tests import factories

pytestmark = pytest.mark.django_db

CODE = factories.CODE
OTHER = "PC05II0730790"
MODELS = (Customer, ReadingSchedule, MeterReading, Invoice, Debt)


def listed(client, model, **query):
    response = client.get(reverse(f"admin:billing_{model._meta.model_name}_changelist"), query)
    assert response.status_code == 200, (query, response.status_code, response.headers)
    return [row.pk for row in response.context["cl"].result_list]


@pytest.mark.parametrize(
    "typed",
    [
        CODE,
        "pp05000974006",
        "PP 0500 0974 006",
        "PP05",
        "0905123456",
        "+84 905 123 456",
        "0084905123456",
        "nguyen van an",
        "Nguyễn",
        "duy tan",
        "da nang an",
    ],
)
def test_a_customer_is_found_by_code_phone_name_or_address_as_staff_type_them(admin_client, typed):
    factories.customer()
    factories.customer(OTHER, name="Lê Thị Hoa", address="12 Lê Lợi, Huế", phones="84914000111")

    assert listed(admin_client, Customer, q=typed) == [CODE]


def test_an_old_eleven_digit_number_finds_its_new_form(admin_client):
    factories.customer(phones="84914000111 84779123456")

    assert listed(admin_client, Customer, q="0122 9123456") == [CODE]


def test_a_customer_is_found_by_a_phone_or_meter_of_which_the_beginning_is_typed(admin_client):
    factories.customer()
    factories.customer(OTHER, phones="84914000111")
    factories.reading(meter="CT00451234")

    assert listed(admin_client, Customer, q="0905 12") == listed(admin_client, Customer, q="ct0045") == [CODE]


def test_a_search_lists_no_more_customers_than_anybody_reads_and_says_so(admin_client, monkeypatch):
    monkeypatch.setattr("billing.admin.MOST_FOUND", 3)
    for number in range(5):
        factories.customer(f"PP0500{number:07}", name="Lê An" if number else "Võ An")
    admin_client.cookies["django_language"] = "en"

    page = admin_client.get(reverse("admin:billing_customer_changelist"), {"q": "le an"})
    assert len(page.context["cl"].result_list) == 3
    assert "Only 3 of the customers found are listed" in page.content.decode()
    page = admin_client.get(reverse("admin:billing_customer_changelist"), {"q": "vo an"})
    assert "are listed" not in page.content.decode()


def test_a_customers_page_links_to_what_there_is_of_them_and_keeps_the_code(admin_client):
    factories.everything_published()
    address = reverse("admin:billing_customer_change", args=[CODE])

    page = admin_client.get(address).content.decode()
    for model in MODELS[1:]:
        assert f"{reverse(f'admin:billing_{model._meta.model_name}_changelist')}?q={CODE}" in page
    assert 'name="code"' not in page

    form = {"name": "Nguyễn Văn Bình", "address": "Huế", "phones": "0914 000 111", "unit": "PP0500", "email": ""}
    assert admin_client.post(address, form | {"code": OTHER}).status_code == 200
    assert Customer.objects.get().name == "Nguyễn Văn An", "0914 000 111 is three words, none of them a number"
    assert admin_client.post(address, form | {"phones": "0914000111, 01229123456", "code": OTHER}).status_code == 302
    customer = Customer.objects.get()
    assert (customer.code, customer.phones) == (CODE, "84914000111 84779123456")
    assert customer.search_text == "nguyen van binh hue"


def test_a_new_customer_may_be_typed_in_lower_case(admin_client):
    form = {"code": OTHER.lower(), "name": "Hoa", "unit": "PC05II"}

    assert admin_client.post(reverse("admin:billing_customer_add"), form).status_code == 302
    assert Customer.objects.get().code == OTHER


@pytest.mark.parametrize("model", MODELS[1:])
def test_what_belongs_to_a_customer_is_found_by_the_code(admin_client, model):
    factories.everything_published()
    factories.customer(OTHER, book="S02")
    factories.schedule(book="S02")
    factories.reading(OTHER)
    factories.invoice(OTHER)
    factories.debt(OTHER)

    assert len(listed(admin_client, model)) == 2
    [found] = listed(admin_client, model, q="pp0500 0974006")
    row = model.objects.get(pk=found)
    assert row.customer_id == CODE if hasattr(row, "customer_id") else row.book == "S01"


@pytest.mark.parametrize("model", MODELS[1:])
def test_periods_are_filtered_by_year_month_and_ky(admin_client, model):
    factories.everything_published()
    make = {
        ReadingSchedule: factories.schedule,
        MeterReading: factories.reading,
        Invoice: factories.invoice,
        Debt: factories.debt,
    }[model]
    later = make(year=2017, month=2, ky=3).pk

    assert listed(admin_client, model)[0] == later, "the latest comes first"
    for query in ({"year": 2017}, {"month": 2}, {"ky": 3}, {"year": 2017, "month": 2, "ky": 3}):
        assert listed(admin_client, model, **query) == [later]
    assert listed(admin_client, model, year=2017, month=10) == []
    assert len(listed(admin_client, model, year="x", month="99")) == 2, "a filter that isn't offered is none"


def test_bills_are_found_by_the_beginning_of_their_number(admin_client):
    factories.customer()
    invoice = factories.invoice(bill_id="HD77001")
    debt = factories.debt(bill_id="HD77001")
    factories.invoice(bill_id="HD9"), factories.debt(bill_id="HD9")

    assert listed(admin_client, Invoice, q="hd770") == [invoice.pk]
    assert listed(admin_client, Debt, q="HD77001") == [debt.pk]
    assert listed(admin_client, Invoice, q="HD78") == []


def test_a_meter_is_found_in_the_latest_month_or_the_chosen_one(admin_client):
    factories.customer()
    old = factories.reading(meter="CT0045", year=2015).pk
    new = factories.reading(meter="CT0045").pk
    factories.reading(meter="CT0050")

    assert listed(admin_client, MeterReading, q="ct004") == [new]
    assert listed(admin_client, MeterReading, q="ct004", year=2015, month=10) == [old]
    page = admin_client.get(reverse("admin:billing_meterreading_changelist"), {"q": "ct004"}).content.decode()
    assert "10/2016" in page


def test_debts_are_filtered_by_what_is_still_owed(admin_client):
    factories.customer()
    unpaid = factories.debt().pk
    settled = factories.debt(settled_at=timezone.now()).pk

    assert listed(admin_client, Debt, settled="0") == [unpaid]
    assert listed(admin_client, Debt, settled="1") == [settled]


def test_money_and_readings_are_written_the_vietnamese_way(admin_client):
    factories.everything_published()
    MeterReading.objects.update(old_reading=Decimal("9618.500"))

    page = admin_client.get(reverse("admin:billing_invoice_changelist")).content.decode()
    assert '<span class="number">500.550</span>' in page
    assert "1/10/2016" in page
    page = admin_client.get(reverse("admin:billing_meterreading_changelist")).content.decode()
    assert '<span class="number">9.618,5</span>' in page
    assert grouped(-1234567) == "-1.234.567"


@pytest.mark.parametrize("model", MODELS)
def test_a_page_takes_the_same_few_queries_however_many_rows_it_shows(
    admin_client, django_assert_max_num_queries, model
):
    for number in range(30):
        code = f"PP0500{number:07}"
        factories.customer(code)
        factories.schedule(book=f"S{number}")
        factories.reading(code)
        factories.invoice(code, issue_date=date(2016, 10, 12))
        factories.debt(code)

    in_month = {} if model is Customer else {"year": "2016", "month": "10"}
    for query in ({}, {"q": "PP05000000003"}, {"q": "x"}, in_month):
        with django_assert_max_num_queries(9):  # 2 for the session and user, 2 for the years, 2 for the period
            listed(admin_client, model, **query)


def test_counting_stops_at_its_bound_and_says_so(admin_client, monkeypatch):
    monkeypatch.setattr(BoundedPaginator, "most", 3)
    for number in range(5):
        factories.customer(f"PP0500{number:07}")

    page = admin_client.get(reverse("admin:billing_customer_changelist")).content.decode()
    assert "hơn 3 khách hàng" in page
    page = admin_client.get(reverse("admin:billing_customer_changelist"), {"q": "PP05000000004"}).content.decode()
    assert "1 khách hàng" in page
    assert "hơn" not in page


def test_a_customer_is_completed_while_a_code_is_typed(admin_client):
    factories.customer()
    query = {"term": "pp05", "app_label": "billing", "model_name": "invoice", "field_name": "customer"}

    assert admin_client.get(reverse("admin:autocomplete"), query).json()["results"] == [
        {"id": CODE, "text": f"{CODE} Nguyễn Văn An"}
    ]


def test_only_what_looks_like_a_code_or_a_phone_is_searched_as_one():
    assert typed_code("pp 05-00") == "PP0500"
    assert typed_code("pham van") == typed_code("PA05000974006") == typed_code(CODE + "1") == ""
    assert typed_phone("(0905) 123.456") == "84905123456"
    assert typed_phone("nha 0905123456") == typed_phone("12") == ""
