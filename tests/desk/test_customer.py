"""One customer's page: it says what SMS says, to those who may see it, at a bounded cost."""

import json
import re
from datetime import date, timedelta
from decimal import Decimal
from html import unescape
from io import StringIO

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from billing.models import Customer, Invoice
from evncare.admin import grouped
from evncare.desk import customer as customers
from evncare.phones import masked
from sms.syntaxes import SYNTAXES
from tests import factories
from tests.factories import CODE, NOW

pytestmark = pytest.mark.django_db

PAGE = reverse("admin:billing_customer_change", args=[CODE])
FORM = reverse("admin:billing_customer_edit", args=[CODE])
OTHER = "PP05000974007"
PHONE = "84905123456"
ANSWERED = {"state": "ANSWERED", "outcome": "answered", "concluded_at": NOW}
ADJUSTMENT = Invoice.Adjustment


@pytest.fixture(autouse=True)
def on_the_published_day():
    with time_machine.travel(NOW, tick=False):
        yield


def page(client, address=PAGE, status=200):
    response = client.get(address)
    assert response.status_code == status
    return response.content.decode()


def text(html):
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def rows(html):
    """The cells of every table's rows."""
    return [
        [text(cell) for cell in re.findall(r"<t[dh]\b.*?</t[dh]>", row, re.DOTALL)]
        for row in re.findall(r"<tr>.*?</tr>", html, re.DOTALL)
    ]


def charts(html):
    return [json.loads(unescape(value)) for value in re.findall(r'data-value="([^"]*)"', html)]


def sms(question):
    """What a customer would be answered."""
    out = StringIO()
    call_command("answer", "--at", "2016-10-05T08:00", question, stdout=out)
    return out.getvalue()


def a_large_account():
    """Adjustments, several registers of two meters, kỳ, debts and outages."""
    factories.customer()
    factories.schedule(reading_date=date(2016, 10, 12))
    factories.schedule(month=9, reading_date=date(2016, 9, 12))
    for ky, month in ((1, 10), (2, 10), (1, 9)):
        bill = factories.invoice(ky=ky, month=month, total=500_000 + 1000 * ky + month)
        factories.adjustment(bill, ADJUSTMENT.REFUND, 20_000)
        reissue = factories.adjustment(bill, ADJUSTMENT.SURCHARGE, 7_000)
        factories.adjustment(reissue, ADJUSTMENT.REFUND, -400)
        factories.invoice(ky=ky, month=month, kind=Invoice.Kind.REACTIVE, total=12_345)
        for register in ("BT", "CD", "TD", "SG", "VC"):
            old, used = Decimal("9618.5") + ky, Decimal(300 + month)
            factories.reading(
                ky=ky, month=month, register=register, meter="CT9", old_reading=old, new_reading=old + used,
                consumption=used, multiplier=Decimal("1.5"),
            )  # fmt: skip
    factories.reading(meter="CT8", consumption=Decimal("0.25"))
    factories.debt(month=10, amount=100_000, tax=10_000)
    factories.debt(month=9, amount=200_000, tax=20_001, due_date=date(2016, 10, 1))
    factories.debt(month=8, kind=Invoice.Kind.REACTIVE, amount=3_000, tax=0)
    factories.outage()
    factories.outage(start_at=NOW + timedelta(days=3), end_at=None, reason="Bảo trì")
    factories.outage(station="", customer_code=CODE, start_at=NOW + timedelta(days=9), end_at=NOW + timedelta(days=10))


def as_written(number):
    return grouped(Decimal(number))


def test_the_page_says_what_sms_says_of_bills(admin_client):
    a_large_account()
    shown = rows(page(admin_client))

    for period in ("1 10 2016", "2 10 2016", "1 9 2016"):
        total, reactive = re.search(r"la (\d+) dong.* la (\d+) dong", sms(f"TD {CODE} {period}")).groups()
        assert [period.replace(" ", "/"), as_written(total), as_written(reactive)] in shown


def test_the_page_says_what_sms_says_of_readings(admin_client):
    a_large_account()
    shown = rows(page(admin_client))

    told = 0
    for period in ("2 10 2016", "1 9 2016"):
        reply = sms(f"CS {CODE} {period}")
        for register, *figures in re.findall(r"(\w+): HSN (\S+), cu (\S+), moi (\S+), tieu thu ([\d.]+\d)", reply):
            assert [period.replace(" ", "/"), "CT9", register, *map(as_written, figures)] in shown
            told += 1
    assert told == 10
    assert ["1/10/2016", "CT8", "KT", "1", "9.618", "10.004", "0,25"] in shown


def test_the_page_says_what_sms_says_of_debts(admin_client):
    a_large_account()
    html = page(admin_client)

    reply = sms(f"NTD {CODE}")
    periods = re.findall(r"Ky (\d+/\d+/\d+): (\d+)", reply)
    shown = {row[0]: row[3] for row in rows(html) if len(row) == 4}
    assert len(periods) == 3
    assert all(shown[period] == as_written(total) for period, total in periods)
    [total] = re.findall(r"Tong cong: (\d+)", reply)
    assert f"{as_written(total)} VND" in text(html)


def test_the_page_says_what_sms_says_of_a_single_debt_with_its_tax(admin_client):
    factories.everything_published()
    html = page(admin_client)

    figures = re.search(r"Tien no: (\d+), thue no: (\d+), tong cong: (\d+)", sms(f"NTD {CODE}")).groups()
    assert ["1/10/2016", *map(as_written, figures)] in rows(html)


def test_the_page_says_what_sms_says_of_outages_and_of_the_next_reading(admin_client):
    a_large_account()
    shown = text(page(admin_client))

    hours = re.findall(r"tu: (\S+ \S+) den: (\d\S+ [\d:]+)?", sms(f"LCD {CODE}"))
    assert len(hours) == 3
    for start, end in hours:
        assert f"{start} – {end}" in shown
    assert "Bảo trì" in shown
    day = re.search(r"ngay: (\S+)\. ", sms(f"LGD {CODE} 1 10 2016"))[1]
    assert day == "12/10/2016"
    assert day in shown


def test_charts_draw_what_the_tables_say(admin_client):
    a_large_account()
    bills, consumption = charts(page(admin_client))

    assert bills["labels"] == ["1/9/2016", "1/10/2016", "2/10/2016"], "in time"
    assert [series["data"] for series in bills["datasets"]] == [[487_609, 487_610, 488_610], [12_345] * 3]
    assert consumption["labels"] == bills["labels"]
    drawn = {series["label"]: series["data"] for series in consumption["datasets"]}
    assert drawn["KT (kWh)"] == [None, 0.25, None]
    assert drawn["SG (kWh)"] == drawn["VC (kvarh)"] == [309, 310, 310]


def test_two_years_are_shown_back_from_today(admin_client):
    factories.customer()
    for year, month in ((2014, 10), (2014, 11), (2016, 10)):
        factories.invoice(year=year, month=month)
        factories.reading(year=year, month=month)

    bills, consumption = charts(page(admin_client))
    assert bills["labels"] == consumption["labels"] == ["1/11/2014", "1/10/2016"]


def test_two_years_are_shown_back_from_the_newest_bill_where_all_are_older(admin_client):
    factories.customer()
    for year, month in ((2009, 2), (2009, 3), (2011, 2)):
        factories.invoice(year=year, month=month)

    [bills] = charts(page(admin_client))
    assert bills["labels"] == ["1/3/2009", "1/2/2011"]


def account():
    return customers.billing.accounts([CODE])[CODE]


def test_the_next_reading_is_the_first_from_today_on():
    factories.customer()
    for month, day in ((9, 6), (10, 5), (11, 8), (12, 9)):
        factories.schedule(month=month, reading_date=date(2016, month, day))

    assert customers.next_reading(account(), NOW).reading_date == date(2016, 10, 5)
    found = customers.next_reading(account(), NOW + timedelta(days=1))
    assert (found.reading_date, found.is_coming, str(found.period)) == (date(2016, 11, 8), True, "1/11/2016")


def test_without_a_coming_reading_the_last_known_one_is_told_with_its_period(admin_client):
    factories.customer()
    assert customers.next_reading(account(), NOW) is None
    factories.schedule(month=8, reading_date=date(2016, 8, 6))
    factories.schedule(month=9, reading_date=date(2016, 9, 6))

    found = customers.next_reading(account(), NOW)
    assert (found.reading_date, found.is_coming, str(found.period)) == (date(2016, 9, 6), False, "1/9/2016")
    assert "06/09/2016" in page(admin_client)


def test_debts_are_told_since_their_oldest_period_and_first_due_date():
    factories.customer()
    assert customers.debts(account(), NOW).total == 0
    factories.debt(month=9, due_date=date(2016, 10, 5))
    factories.debt(month=9, due_date=date(2016, 10, 4))
    factories.debt(month=8)
    factories.debt(month=7, settled_at=NOW)

    owed = customers.debts(account(), NOW)
    assert (str(owed.since), owed.due_date, owed.is_overdue) == ("1/8/2016", date(2016, 10, 4), True)
    assert not customers.debts(account(), NOW - timedelta(days=1)).is_overdue


def test_a_page_costs_the_same_few_queries_however_much_a_customer_has(admin_client, django_assert_max_num_queries):
    factories.everything_published()
    adjusted = factories.adjustment(factories.invoice(month=9), ADJUSTMENT.SURCHARGE, 1)
    factories.adjustment(adjusted, ADJUSTMENT.REFUND, 1)
    factories.reply(factories.inbound(customer_code=CODE, **ANSWERED))
    factories.import_run("customers")
    Customer.objects.update(phones=" ".join(f"8490512345{n}" for n in range(8)))
    # session, user, device, two for rights, account, customer; three to record; 13 of parts; one for all loads
    most = 30
    with django_assert_max_num_queries(most) as few:
        page(admin_client)
    for number in range(24):
        month = {"year": 2016 - number // 12, "month": 12 - number % 12}
        for ky in range(1, 4):
            bill = factories.invoice(**month, ky=ky + 3)
            factories.adjustment(bill, ADJUSTMENT.SURCHARGE, 1)
            factories.debt(**month, ky=ky)
            for register in ("BT", "CD", "TD", "VC"):
                factories.reading(**month, ky=ky, register=register)
            factories.schedule(**month, ky=ky + 3)
            factories.outage(start_at=NOW + timedelta(hours=number))
            factories.reply(factories.inbound(sender=f"8490512345{ky}", **ANSWERED))
    for kind in ("debts", "invoices", "outages"):
        factories.import_run(kind)
    with django_assert_max_num_queries(most) as many:
        page(admin_client)
    assert len(many) == len(few)


def test_messages_are_those_about_the_account_and_those_of_its_phones_latest_first(admin_client):
    factories.customer(phones=f"{PHONE} 84914000111")

    def message(words, minutes, **fields):
        at = NOW - timedelta(minutes=minutes)
        return factories.inbound(words, received_at=at, **ANSWERED | {"concluded_at": at} | fields)

    theirs = message("NTD cua toi", 3, sender="84900000001", customer_code=CODE, keyword="NTD")
    factories.reply(theirs, "Ban no 715000 dong", state="UNKNOWN", claimed_at=NOW)
    message("TC", 2, sender="84914000111", keyword="TC")
    message("nguoi khac", 1, sender="84900000002", customer_code=OTHER, keyword="NTD")
    message("gop y", 4, sender=PHONE, state="REFUSED", outcome="refused", refusal="BLOCKED")

    html = page(admin_client)
    assert "nguoi khac" not in html
    order = [html.index(words) for words in (">TC<", "NTD cua toi", "gop y")]
    assert order == sorted(order)
    assert "Ban no 715000 dong" in html
    assert "tag-unknown" in html
    assert reverse("admin:sms_inboundmessage_change", args=[theirs.pk]) in html
    assert f"{reverse('admin:sms_inboundmessage_changelist')}?q={CODE}" in html


def test_no_more_messages_are_shown_than_an_agent_reads(admin_client):
    factories.customer()
    for minute in range(customers.MOST_MESSAGES + 1):
        factories.inbound(f"so {minute}", received_at=NOW - timedelta(minutes=minute), customer_code=CODE)

    html = page(admin_client)
    assert ">so 0<" in html
    assert f">so {customers.MOST_MESSAGES}<" not in html


def test_every_kind_of_data_says_how_fresh_it_is(client):
    factories.customer()
    binh = factories.staff("billing", "binh")
    at = timezone.now() - timedelta(days=2)
    older = factories.import_run("debts", loaded_at=at - timedelta(days=1))
    run = factories.import_run(
        "debts", loaded_at=at, created_by=binh, file_name="NO.csv", snapshot_date=date(2016, 10, 2)
    )
    factories.import_run("debts", loaded_at=at + timedelta(days=1), state="UNDONE")

    client.force_login(factories.staff("agent"))
    fresh = {row[0]: row[1:] for row in rows(page(client))}
    assert fresh["Công nợ"][0].startswith("03/10/2016 08:00")
    assert "02/10/2016" in fresh["Công nợ"][0]
    assert fresh["Công nợ"][1:] == ["binh", "NO.csv"]
    assert len(fresh["Hóa đơn"]) == 1, "never loaded"
    address = reverse("admin:imports_importrun_change", args=[run.pk])
    assert address not in page(client), "an agent may not see runs"
    client.force_login(binh)
    assert address in page(client)
    assert reverse("admin:imports_importrun_change", args=[older.pk]) not in page(client)
    assert reverse("admin:billing_invoice_import") in page(client), "and what was never loaded can be"


def test_a_customer_of_whom_nothing_is_known_says_so_and_where_to_look(admin_client):
    factories.customer(phones="", book="", station="")
    html = page(admin_client)

    assert not charts(html)
    assert html.count('href="#fresh"') == 3


PARTS = {
    "view_debt": "owed",
    "view_readingschedule": "next-reading",
    "view_outage": "outages",
    "view_invoice": "bills",
    "view_meterreading": "readings",
    "view_inboundmessage": "messages",
}


def test_each_part_is_shown_to_those_with_its_right_only(client):
    a_large_account()
    user = factories.staff()
    client.force_login(user)

    def parts():
        return set(re.findall(r'<h2 id="([^"]+)"', page(client))) - {"who", "fresh"}

    view = Permission.objects.get(codename="view_customer")
    user.user_permissions.set([view])
    assert parts() == set()
    for right, part in PARTS.items():
        user.user_permissions.set([view, Permission.objects.get(codename=right)])
        assert parts() == {part}


def test_phone_numbers_are_masked_for_those_who_need_not_see_them(client):
    factories.customer()
    factories.inbound("TC", **ANSWERED)

    client.force_login(factories.staff("agent"))
    assert page(client).count(PHONE) == 2
    client.force_login(factories.staff("auditor"))
    assert PHONE not in page(client)
    assert page(client).count(masked(PHONE)) == 2


def test_a_code_that_does_not_exist_offers_the_search(client):
    address = reverse("admin:billing_customer_change", args=[OTHER])
    client.force_login(factories.staff("agent"))

    html = page(client, address, status=404)
    assert f'action="{reverse("admin:billing_customer_changelist")}"' in html
    assert f'value="{OTHER}"' in html
    client.force_login(factories.staff())
    page(client, address, status=403)


def test_the_form_has_an_address_of_its_own_for_those_who_may_change(client):
    factories.customer()
    form = {"name": "Nguyễn Văn Bình", "address": "Huế", "phones": "0914000111", "unit": "PP0500", "email": ""}

    client.force_login(factories.staff("agent"))
    assert FORM not in page(client)
    page(client, FORM, status=403)
    for address in (PAGE, FORM):
        assert client.post(address, form).status_code == 403
    client.force_login(factories.staff("billing"))
    assert FORM in page(client)
    assert 'name="name"' not in page(client)
    assert 'name="name"' in page(client, FORM)
    assert 'name="name"' in page(client, f"{PAGE}?_popup=1"), "beside another form it is the form"
    page(client, reverse("admin:billing_customer_edit", args=[OTHER]), status=404)
    assert client.post(FORM, form | {"name": ""}).status_code == 200
    assert client.post(FORM, form)["Location"] == PAGE
    assert Customer.objects.get().name == "Nguyễn Văn Bình"


def test_an_agent_tries_a_message_for_this_customer(client):
    factories.customer()
    trying = f"{reverse('admin:sms_try')}?text=NTD+{CODE}"
    assert "NTD" in SYNTAXES

    client.force_login(factories.staff("agent"))
    assert trying in page(client)
    client.force_login(factories.staff("billing"))
    assert trying not in page(client)
