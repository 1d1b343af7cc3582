"""Which interruptions reach whom, and in which order they are told."""

from datetime import timedelta

import pytest

from outages.models import Outage
from outages.queries import HORIZON, Reach, interruptions
from tests import factories
from tests.factories import CODE, NOW

pytestmark = pytest.mark.django_db

US = Reach(CODE, "T001")


def hours(reach: Reach = US) -> list:
    return [(i.start_at, i.end_at) for i in interruptions([reach], NOW).get(reach, [])]


def test_an_outage_reaches_its_station_or_its_customer_and_nobody_else():
    by_station = factories.outage(station="T001")
    by_customer = factories.outage(station="", customer_code=CODE, end_at=NOW + timedelta(hours=1))
    factories.outage(station="T002")
    factories.outage(station="", customer_code="PP05000974007")
    assert set(hours()) == {(o.start_at, o.end_at) for o in (by_station, by_customer)}


def test_a_row_that_names_a_customer_does_not_reach_the_rest_of_its_station():
    factories.outage(station="T001", customer_code="PP05000974007")
    assert hours() == []


def test_a_customer_without_a_station_is_reached_by_no_station():
    factories.outage(station="T001")
    assert hours(Reach(CODE, "")) == []


@pytest.mark.parametrize("status", [Outage.Status.PENDING, Outage.Status.CANCELLED])
def test_only_approved_outages_are_told(status):
    factories.outage(status=status)
    assert hours() == []


def test_an_outage_is_told_until_its_end():
    factories.outage(start_at=NOW - timedelta(hours=2), end_at=NOW)
    assert hours() == []
    factories.outage(start_at=NOW - timedelta(hours=2), end_at=NOW + timedelta(seconds=1))
    assert len(hours()) == 1


def test_a_coming_outage_is_told_from_two_months_before():
    factories.outage(start_at=NOW + HORIZON, end_at=NOW + timedelta(days=90))
    factories.outage(start_at=NOW + HORIZON + timedelta(seconds=1), end_at=NOW + timedelta(days=91))
    assert [start for start, _ in hours()] == [NOW + HORIZON]


def test_running_ones_come_first_then_coming_ones_by_their_start():
    later = factories.outage(start_at=NOW + timedelta(days=2), end_at=NOW + timedelta(days=3))
    soon = factories.outage(start_at=NOW + timedelta(days=1), end_at=NOW + timedelta(days=4))
    endless = factories.outage(start_at=NOW, end_at=None)
    assert [start for start, _ in hours()] == [o.start_at for o in (endless, soon, later)]


def test_the_same_hours_announced_twice_count_once():
    factories.outage(station="T001")
    factories.outage(station="", customer_code=CODE)
    assert len(hours()) == 1
