"""Who looked at whose data: nothing is shown unrecorded, and the auditor finds it."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.urls import reverse
from django.utils import timezone

from billing.exports import CUSTOMERS
from evncare.desk import looks
from evncare.desk.models import AccessRecord
from evncare.looks import looked
from sms.models import InboundMessage
from tests import factories
from tests.factories import CODE, NOW

pytestmark = pytest.mark.django_db

OTHER = "PP05000974007"
PAGE = reverse("admin:billing_customer_change", args=[CODE])
EXPORT = reverse("admin:billing_customer_export")
RECORDS = reverse("admin:desk_accessrecord_changelist")


def recorded():
    return list(AccessRecord.objects.order_by("pk").values_list("user__username", "kind", "subject"))


@pytest.fixture
def agent(client):
    factories.everything_published()
    client.force_login(factories.staff("agent"))
    return client


def test_each_opening_of_a_customers_page_is_recorded(agent):
    before = timezone.now()
    agent.get(PAGE, REMOTE_ADDR="10.1.2.3")
    agent.get(PAGE, REMOTE_ADDR="")

    assert recorded() == [("agent", "CUSTOMER", CODE)] * 2
    first, second = AccessRecord.objects.order_by("pk")
    assert (first.address, second.address) == ("10.1.2.3", None)
    assert before <= first.at <= timezone.now()


def test_opening_the_form_is_recorded_and_what_was_refused_is_not(agent):
    form = reverse("admin:billing_customer_edit", args=[CODE])
    agent.get(form)
    agent.get(reverse("admin:billing_customer_change", args=[OTHER]))
    agent.logout()
    agent.get(PAGE)
    assert recorded() == []

    agent.force_login(factories.staff("billing"))
    agent.get(form)
    assert recorded() == [("billing", "CUSTOMER", CODE)]


def test_what_cannot_be_recorded_is_not_shown(agent, monkeypatch):
    def fail(*_args, **_kwargs):
        raise DatabaseError

    monkeypatch.setattr(AccessRecord.objects, "create", fail)
    agent.raise_request_exception = False
    for address in (PAGE, reverse("admin:sms_inboundmessage_change", args=[factories.inbound().pk])):
        response = agent.get(address)
        assert response.status_code == 500
        assert CODE not in response.content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_look_stays_recorded_whatever_fails_afterwards(client, monkeypatch):
    factories.customer()
    client.force_login(factories.User.objects.create_superuser("chief"))
    client.raise_request_exception = False

    def fail(*_args, **_kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr("evncare.desk.customer.facts_for", fail)
    assert client.get(PAGE).status_code == 500
    assert recorded() == [("chief", "CUSTOMER", CODE)]


@pytest.mark.django_db(transaction=True)
def test_a_look_is_never_recorded_inside_what_may_be_rolled_back(rf):
    request = rf.get("/")
    request.user = factories.User.objects.create_user("agent")
    with pytest.raises(RuntimeError), transaction.atomic():
        looks.record(request, AccessRecord.Kind.CUSTOMER, CODE)
    assert recorded() == []


def test_a_look_of_an_unknown_kind_is_an_error(rf):
    request = rf.get("/")
    request.user = factories.staff()
    with pytest.raises(ValueError, match="GUESS"):
        looked.send(sender=None, request=request, kind="GUESS", subject=CODE)


def test_each_opening_of_a_messages_page_is_recorded(agent):
    message = InboundMessage.objects.create(
        carrier="memory", message_id="M", sender="84905123456", payload=b"", received_at=NOW
    )
    agent.get(reverse("admin:sms_inboundmessage_change", args=[message.pk]))
    assert recorded() == [("agent", "MESSAGE", str(message.pk))]


def test_a_trial_that_names_a_customer_is_recorded(agent):
    agent.get(reverse("admin:sms_try"), {"text": f"NTD {CODE}"})
    assert ("agent", "TRIAL", CODE) in recorded()


def exported(client, query="", **data):
    fields = {f"customerresource_{column.field}": "on" for column in CUSTOMERS.columns[:2]}
    return client.post(f"{EXPORT}{query}", {"format": 0, "resource": "0", **fields, **data})


def test_each_export_is_recorded_with_its_columns_filters_and_number_of_rows(client):
    factories.customer()
    factories.customer(OTHER, name="Lê Thị Hoa")
    client.force_login(factories.staff("auditor"))

    assert client.get(EXPORT).status_code == 200
    assert recorded() == [], "the form exports nothing"
    exported(client)
    exported(client, f"?q={CODE}")
    exported(client, "?q=0905123456&p=2")
    exported(client, export_items=[OTHER])
    assert exported(client, format=1)["Content-Type"].startswith("application/vnd")

    assert recorded() == [("auditor", "EXPORT", "customers")] * 5
    every, of_code, of_phone, ticked, workbook = AccessRecord.objects.order_by("pk")
    assert [look.rows for look in (every, of_code, of_phone, ticked, workbook)] == [2, 1, 2, 1, 2]
    assert all("MA_KHANG, TEN_KHANG" in look.detail for look in (every, of_code, ticked))
    assert f"q={CODE}" in of_code.detail
    assert "q=8490•••••56" in of_phone.detail
    assert "p=2" not in of_phone.detail
    assert OTHER in ticked.detail
    assert workbook.detail.startswith("XLSX")


def test_an_export_of_many_ticked_rows_is_recorded_as_far_as_there_is_room(client):
    codes = [f"PP0500{number:07}" for number in range(50)]
    for code in codes:
        factories.customer(code)
    client.force_login(factories.staff("auditor"))
    exported(client, export_items=codes)
    look = AccessRecord.objects.get()
    assert (look.rows, len(look.detail)) == (50, 500)


def test_an_export_that_is_refused_is_not_recorded(agent):
    assert exported(agent).status_code == 403
    assert recorded() == []


@pytest.fixture
def auditor(client):
    client.force_login(factories.staff("auditor"))
    return client


def look(user, subject=CODE, kind="CUSTOMER", at=NOW, **fields):
    return AccessRecord.objects.create(user=user, kind=kind, subject=subject, at=at, **fields)


def listed(client, **query):
    response = client.get(RECORDS, query)
    assert response.status_code == 200
    return [row.pk for row in response.context["cl"].result_list]


def test_the_auditor_finds_looks_by_customer_message_and_member_of_staff(auditor):
    lan, binh = factories.staff("agent", "lan", last_name="Trần"), factories.staff("billing", "binh")
    customers = look(lan).pk
    message = look(lan, "4711", "MESSAGE", NOW + timedelta(seconds=1)).pk
    export = look(binh, "customers", "EXPORT", NOW + timedelta(seconds=2), rows=1234567).pk

    assert listed(auditor) == [export, message, customers], "the latest first"
    assert listed(auditor, q="pp0500 0974006") == listed(auditor, q="PP05") == [customers]
    assert listed(auditor, q=" 4711 ") == [message]
    assert listed(auditor, q="lan") == listed(auditor, q="Trần") == [message, customers]
    assert listed(auditor, q="customers") == [export]
    assert listed(auditor, q=OTHER) == []
    assert listed(auditor, kind="EXPORT") == [export]
    assert "1.234.567" in auditor.get(RECORDS).content.decode()


def test_looks_are_filtered_by_day_and_link_to_what_was_seen(auditor):
    lan = factories.staff("agent", "lan")
    first = look(lan).pk
    look(lan, "4711", "MESSAGE", NOW + timedelta(days=1))

    assert listed(auditor, day="2016-10-05") == [first]
    html = auditor.get(RECORDS).content.decode()
    assert PAGE in html
    assert reverse("admin:sms_inboundmessage_change", args=["4711"]) in html


def test_nobody_writes_or_removes_records(admin_client):
    one = look(factories.staff("agent"))
    for name, arguments in (("add", []), ("change", [one.pk]), ("delete", [one.pk])):
        address = reverse(f"admin:desk_accessrecord_{name}", args=arguments)
        assert admin_client.post(address, {"post": "yes"}).status_code == 403
    assert AccessRecord.objects.count() == 1


def test_the_list_takes_the_same_few_queries_however_many_looks_there_are(auditor, django_assert_max_num_queries):
    people = [factories.staff("agent", f"lan{number}") for number in range(10)]
    for number in range(60):
        look(people[number % 10], at=NOW + timedelta(seconds=number))
    # session, user, device, two for rights, count, page; the people of a name
    for query in ({}, {"q": CODE}, {"q": "lan"}, {"kind": "CUSTOMER", "day": "2016-10-05"}):
        with django_assert_max_num_queries(11):
            listed(auditor, **query)
