"""What people see when a page can't be shown: in their language, with a way on."""

import pytest
from django.test import Client

from tests import factories

TO_THE_START = '<a href="/admin/">Về trang đầu'


@pytest.fixture
def billing(db):
    client = Client(raise_request_exception=False)
    client.force_login(factories.staff("billing"))
    return client


def text(response):
    return response.content.decode()


def test_what_is_not_there(billing):
    response = billing.get("/admin/nowhere/")
    assert response.status_code == 404
    assert "Không có trang này" in text(response)
    assert TO_THE_START in text(response)


def test_what_one_may_not_see(billing):
    message = factories.inbound()
    response = billing.get(f"/admin/sms/inboundmessage/{message.pk}/change/")
    assert response.status_code == 403
    assert "Bạn không có quyền" in text(response)
    assert TO_THE_START in text(response)


def test_a_form_of_a_page_from_before_somebody_signed_in(db):
    response = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "binh", "password": "x"})
    assert response.status_code == 403
    assert "chưa có gì được thực hiện" in text(response)
    assert TO_THE_START in text(response)


def test_what_failed_needs_nothing_that_may_have_failed(billing, monkeypatch):
    monkeypatch.setattr("evncare.desk.start.page.context", lambda request, context: 1 / 0)
    response = billing.get("/admin/")
    assert response.status_code == 500
    assert "Hệ thống gặp lỗi" in text(response)
    assert "Something failed here" in text(response)
    assert TO_THE_START in text(response)
    assert "<link" not in text(response)
