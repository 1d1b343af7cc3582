"""The one search box: what it finds, for whom, and how it is shown."""

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse

from evncare.desk import find
from tests import factories

pytestmark = pytest.mark.django_db

CODE = factories.CODE
OTHER = "PC05II0730790"
ANSWERED = {"state": "ANSWERED", "outcome": "answered", "concluded_at": factories.NOW}


def staff(role):
    user = User.objects.create_user(role, is_staff=True)
    user.groups.set([Group.objects.get(name=role)])
    return user


@pytest.fixture
def agent():
    return staff("agent")


@pytest.fixture
def customers():
    factories.customer()
    factories.customer(OTHER, name="Lê Thị Hoa", address="12 Lê Lợi, Huế", phones="84914000111 84779123456")


def links(term, user, limit=8):
    return [hit.link for group in find.find(find.cleaned(term), user, limit) for hit in group.hits]


def page_of(code):
    return reverse("admin:billing_customer_change", args=[code])


def message_page(message):
    return reverse("admin:sms_inboundmessage_change", args=[message.pk])


@pytest.mark.parametrize(
    "typed",
    [
        CODE,
        "pp05000974006",
        " PP 0500 0974 006 ",
        "PP05",
        "0905123456",
        "+84 905 123 456",
        "84905123456",
        "0905123",
        "0905123456, ",
        "+84 905 1",
        "nguyen van",
        "Nguyễn V",
        "an nguyen duy",
        "78a duy",
        "ct0045",
        "CT00451234",
    ],
)
def test_a_customer_is_found_by_whatever_the_agent_has(agent, customers, typed):
    factories.reading(meter="CT00451234")
    factories.reading(OTHER, meter="XY1")

    found = links(typed, agent)
    assert found[0] == page_of(CODE)
    assert page_of(OTHER) not in found


@pytest.mark.parametrize("typed", ["0122 9123456", "01229123456", "0122 912", "0779123456"])
def test_an_old_eleven_digit_number_finds_its_new_form_also_half_typed(agent, customers, typed):
    assert links(typed, agent)[0] == page_of(OTHER)


def test_a_message_is_found_by_every_id_it_has(agent):
    message = factories.inbound("Cup dien?", message_id="A-1", **ANSWERED)
    factories.reply(message, reference="9f" * 16, carrier_message_id="their-7")
    factories.inbound(sender="84914000111")

    for typed in (f"#{message.pk}", "A-1", "9F" * 16, "their-7"):
        [group, *_others] = find.find(typed, agent, 8)
        assert [hit.link for hit in group.hits] == [message_page(message)]
        assert group.hits[0].certain
    [group] = find.find(f"00{message.pk}", agent, 8)
    assert not group.hits[0].certain, "a number alone may be many things"


def test_a_phone_tells_its_newest_messages_and_leads_to_all(agent):
    messages = [factories.inbound(f"TC {number}") for number in range(5)]

    found = links("0905 123 456", agent)
    assert found[:3]
    assert set(found[:3]) <= {message_page(message) for message in messages}
    assert found[3] == f"{reverse('admin:sms_inboundmessage_changelist')}?q=0905+123+456"
    assert len(found) == 4


def test_what_is_certain_comes_first_and_only_if_it_is_one(agent, customers):
    assert find.find(CODE, agent, 8)[0].hits[0].certain
    assert find.find("0905123456", agent, 8)[0].hits[0].certain
    assert not find.find("PP05", agent, 8)[0].hits[0].certain, "only begun"
    assert not find.find("0905123", agent, 8)[0].hits[0].certain

    factories.customer("PP05000974007")
    assert not find.find("0905123456", agent, 8)[0].hits[0].certain, "two have this phone"


def test_names_that_begin_with_what_is_typed_come_before_others(agent):
    factories.customer("PP05000000001", name="Trần Văn Hoa")
    factories.customer("PP05000000002", name="Hoa Văn Trần")
    factories.customer("PP05000000003", name="Hoa Thị Văn")

    assert links("hoa van", agent)[:1] == [page_of("PP05000000002")]
    assert set(links("hoa van", agent)[:3]) == {page_of(f"PP0500000000{n}") for n in (1, 2, 3)}


def test_a_long_list_is_cut_and_leads_to_the_whole(agent):
    for number in range(12):
        factories.customer(f"PP0500{number:07}")

    found = links("nguyen", agent, limit=5)
    assert found[5] == f"{reverse('admin:billing_customer_changelist')}?q=nguyen"
    assert page_of("PP05000000000") in found


def test_each_sees_only_what_their_role_may(customers):
    message = factories.inbound(f"NTD {CODE}", message_id="A-1")
    billing, agent, nobody = staff("billing"), staff("agent"), User.objects.create_user("nobody", is_staff=True)

    assert links("A-1", billing) == []
    assert links(CODE, billing) == [page_of(CODE)]
    assert links("0905123456", billing) == [page_of(CODE)]
    assert message_page(message) in links("A-1", agent)
    assert links(CODE, nobody) == links("0905123456", nobody) == []


def test_phones_are_masked_for_those_who_need_not_see_them(customers):
    factories.inbound("TC")
    auditor = staff("auditor")

    for typed in (CODE, "nguyen", "0905123456"):
        shown = str(find.find(typed, auditor, 8))
        assert "84905123456" not in shown
        assert "8490•••••56" in shown
    assert "84905123456" in str(find.find(CODE, staff("agent"), 8))


def test_nobody_can_feel_their_way_along_a_number_that_is_masked(customers):
    factories.inbound("TC")
    auditor = staff("auditor")

    assert links("090512345", auditor) == []
    assert links("+84 905 123", auditor) == []
    assert page_of(CODE) in links("0905123456", auditor)


@pytest.mark.parametrize(
    "typed", ["", "x", "?", "zzzz", "'", "\\", "\0\0", "%%", "a" * 5000, "中文", "0" * 30, "'; --"]
)
def test_nothing_that_is_typed_breaks_anything(client, agent, customers, typed):
    client.force_login(agent)

    for query in ({"s": typed}, {"s": typed, "extended": "1"}):
        response = client.get(reverse("admin:search"), query)
        assert response.status_code == 200
        assert page_of(CODE) not in response.content.decode()


def test_the_box_gets_a_fragment_and_the_address_alone_a_page(client, agent, customers):
    client.force_login(agent)

    fragment = client.get(reverse("admin:search"), {"s": "nguyen van", "extended": "1"})
    page = client.get(reverse("admin:search"), {"s": "nguyen van"})
    for response in (fragment, page):
        assert "no-store" in response.headers["Cache-Control"]
        assert page_of(CODE) in response.content.decode()
    assert "<html" not in fragment.content.decode()
    assert 'role="option"' in fragment.content.decode()
    assert 'value="nguyen van"' in page.content.decode()


def test_who_finds_nothing_is_told_what_can_be_searched(client, agent):
    client.force_login(agent)
    client.cookies["django_language"] = "en"

    for query in ({"s": "<zzzz>"}, {"s": "<zzzz>", "extended": "1"}):
        page = client.get(reverse("admin:search"), query).content.decode()
        assert "Nothing found for “&lt;zzzz&gt;”" in page
        assert "a meter number or its beginning" in page


def test_the_search_box_stands_on_every_page_of_those_who_may_search(client, agent):
    client.force_login(agent)
    for name in ("index", "billing_customer_changelist", "search"):
        assert 'id="search-field"' in client.get(reverse(f"admin:{name}")).content.decode()

    client.force_login(User.objects.create_user("nobody", is_staff=True))
    assert 'id="search-field"' not in client.get(reverse("admin:index")).content.decode()
    assert client.get(reverse("admin:search"), {"s": "nguyen"}).status_code == 403


def test_a_stranger_is_sent_to_sign_in(client):
    assert client.get(reverse("admin:search"), {"s": "nguyen", "extended": "1"}).status_code == 302


@pytest.mark.parametrize("rows", [1, 40])
def test_an_answer_takes_few_queries_however_much_there_is(client, agent, django_assert_max_num_queries, rows):
    for number in range(rows):
        code = f"PP0500{number:07}"
        factories.customer(code)
        factories.reading(code, meter=f"CT{number:04}")
        factories.reply(factories.inbound(f"NTD {code}", **ANSWERED))
    client.force_login(agent)

    for typed in ("nguyen", "van an", "zzzz", "PP05", "PP05000000000", "0905123456", "0905123", "CT00", "12345678"):
        with django_assert_max_num_queries(19):  # 4 for the session and the user
            client.get(reverse("admin:search"), {"s": typed, "extended": "1"})
