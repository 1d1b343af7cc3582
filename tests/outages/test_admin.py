from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests import factories

pytestmark = pytest.mark.django_db

LIST = reverse("admin:outages_outage_changelist")
HOUR = timedelta(hours=1)


def listed(client, **query):
    response = client.get(LIST, query)
    assert response.status_code == 200, response.headers
    return {row.pk for row in response.context["cl"].result_list}


def test_outages_are_running_coming_or_past_now(admin_client):
    now = timezone.now()
    running = factories.outage(start_at=now - HOUR, end_at=now + HOUR).pk
    endless = factories.outage(start_at=now - HOUR, end_at=None, station="T002").pk
    coming = factories.outage(start_at=now + HOUR, end_at=None, station="T003").pk
    past = factories.outage(start_at=now - 2 * HOUR, end_at=now - HOUR).pk
    cancelled = factories.outage(start_at=now - HOUR, end_at=now + HOUR, status="CANCELLED").pk

    assert listed(admin_client) == {running, endless, coming, past, cancelled}
    assert listed(admin_client, stage="running") == {running, endless}
    assert listed(admin_client, stage="coming") == {coming}
    assert listed(admin_client, stage="past") == {past}
    page = admin_client.get(LIST).content.decode()
    assert page.count("tag-running") == 2
    assert page.count("tag-coming") == page.count("tag-past") == 1


def test_what_is_wrong_with_an_outage_is_said_in_words(admin_client):
    wrong = {"code": "L1", "kind": "KH", "status": "APPROVED", "start_at_0": "02/10/2016", "start_at_1": "08:00"}
    page = admin_client.post(LIST + "add/", wrong | {"end_at_0": "01/10/2016", "end_at_1": "08:00"}).content.decode()

    assert "Thời điểm kết thúc phải sau thời điểm bắt đầu." in page
    assert "Hãy ghi trạm hoặc khách hàng bị ngừng điện." in page
    assert "outage_ends_after_its_start" not in page


def test_outages_are_filtered_by_status_and_kind(admin_client):
    pending = factories.outage(status="PENDING").pk
    sudden = factories.outage(kind="DX").pk

    assert listed(admin_client, status__exact="PENDING") == {pending}
    assert listed(admin_client, kind__exact="DX") == {sudden}


@pytest.mark.parametrize(
    ("typed", "found"),
    [("t00", "station"), ("T001", "station"), ("lich-1", "station"), ("pp05000974006", "customer"), ("x", None)],
)
def test_outages_are_found_by_code_station_or_customer(admin_client, typed, found):
    rows = {
        "station": factories.outage(code="LICH-1").pk,
        "customer": factories.outage(code="L2", station="", customer_code=factories.CODE).pk,
    }

    assert listed(admin_client, q=typed) == ({rows[found]} if found else set())


def test_a_page_takes_the_same_few_queries_however_many_rows_it_shows(admin_client, django_assert_max_num_queries):
    for number in range(30):
        factories.outage(station=f"T{number}")

    with django_assert_max_num_queries(5):
        listed(admin_client)
