"""The pages of the wordings: who may read and who may edit them, what they refuse, and that nothing typed is lost."""

import pytest
from django.urls import reverse

from sms import syntaxes, versions
from sms.models import WordingVersion
from sms.parser import parse
from sms.wording import WORDINGS
from tests import factories
from tests.factories import CODE, NOW

pytestmark = pytest.mark.django_db

LIST = reverse("admin:sms_wordingversion_changelist")
KEY = "NTD.none"
EDIT = reverse("admin:sms_wordingversion_edit", args=[KEY])
EFFECT = reverse("admin:sms_wordingversion_effect", args=[KEY])
TEXT = "EVNCPC: khach hang {customer} khong no."


@pytest.fixture(autouse=True)
def in_english(client):
    client.cookies["django_language"] = "en"


@pytest.fixture
def supervisor(client):
    return signed_in(client, "supervisor")


def signed_in(client, role):
    client.force_login(factories.staff(role))
    return client


def version(text: str = TEXT, **fields) -> WordingVersion:
    return WordingVersion.objects.create(**{"key": KEY, "text": text, "by": "other", "at": NOW} | fields)


def save(client, text: str = TEXT, started_from: int = 0, address: str = EDIT, **fields):
    form = {"text": text, "note": "", "started_from": started_from, "save": "1"}
    return client.post(address, form | fields)


def page(response) -> str:
    assert response.status_code == 200
    return response.content.decode()


def test_the_list_shows_each_wording_with_its_text_and_who_changed_it(supervisor):
    version()
    shown = page(supervisor.get(LIST))
    for key in WORDINGS:
        assert reverse("admin:sms_wordingversion_edit", args=[key]) in shown
    assert TEXT in shown
    assert "by other" in shown
    assert WORDINGS[KEY] not in shown


def test_the_list_takes_the_same_queries_however_many_versions_there_are(supervisor, django_assert_max_num_queries):
    for key in WORDINGS:
        for _ in range(5):
            version(WORDINGS[key], key=key)
    with django_assert_max_num_queries(6):  # session; user, its rights twice; versions
        page(supervisor.get(LIST))
    with django_assert_max_num_queries(8):
        page(supervisor.get(EDIT))


def test_a_wording_that_no_longer_fits_is_marked_in_the_list(supervisor):
    assert "no longer fits" not in page(supervisor.get(LIST))
    version("{gone}")
    assert "no longer fits" in page(supervisor.get(LIST))


@pytest.mark.parametrize("key", WORDINGS)
def test_every_wording_has_a_title_placeholders_with_a_meaning_and_examples(supervisor, key):
    response = supervisor.get(reverse("admin:sms_wordingversion_edit", args=[key]))
    assert response.context["title"] != f"{key}: {key}"
    assert all(meaning for _written, meaning, _value in response.context["placeholders"])
    assert response.context["examples"]
    assert "usual case" in page(response)
    assert "worst case" in page(response)


def test_a_supervisor_saves_a_text_and_the_next_reply_says_it(supervisor):
    factories.customer()
    response = save(supervisor, note="ngắn hơn")
    assert (response.status_code, response["Location"]) == (302, EDIT)
    saved = WordingVersion.objects.get()
    assert (saved.key, saved.text, saved.by, saved.note) == (KEY, TEXT, "supervisor", "ngắn hơn")
    [answer] = syntaxes.answer([parse(f"NTD {CODE}", syntaxes.grammar())], NOW)
    assert answer.text == f"EVNCPC: khach hang {CODE} khong no."
    shown = page(supervisor.get(EDIT))
    assert "ngắn hơn" in shown
    assert "in force" in shown


@pytest.mark.parametrize(
    "text", ["", "Quý khách {customer}", "{cust}", "{customer.x}", "{customer", "x" * 500 + "{customer}", "x" * 5000]
)
def test_what_the_proof_is_against_is_not_saved_and_stays_in_the_form(supervisor, text):
    shown = page(save(supervisor, text))
    assert "Can’t be saved" in shown
    assert not text or text in shown
    assert not WordingVersion.objects.exists()


def test_line_breaks_are_stored_as_one_character(supervisor):
    save(supervisor, "EVNCPC\r\n{customer}")
    assert WordingVersion.objects.get().text == "EVNCPC\n{customer}"


def test_a_leading_space_is_kept(supervisor):
    address = reverse("admin:sms_wordingversion_edit", args=["existing"])
    save(supervisor, " Da co: {periods}.", address=address)
    assert WordingVersion.objects.get().text == " Da co: {periods}."


def test_leaving_out_what_the_delivered_text_tells_has_to_be_meant(supervisor):
    shown = page(save(supervisor, "EVNCPC: khong no."))
    assert "Leave out {customer} on purpose" in shown
    assert not WordingVersion.objects.exists()
    assert save(supervisor, "EVNCPC: khong no.", leave_out=["customer"]).status_code == 302
    assert WordingVersion.objects.get().text == "EVNCPC: khong no."


def test_the_same_text_makes_no_new_version(supervisor):
    assert save(supervisor, WORDINGS[KEY]).status_code == 302
    assert not WordingVersion.objects.exists()


def test_who_comes_second_sees_the_others_version_and_keeps_what_was_typed(supervisor):
    theirs = version("EVNCPC: {customer} theirs")
    shown = page(save(supervisor, "EVNCPC: {customer} ours", started_from=0))
    assert "Somebody else saved this wording meanwhile" in shown
    assert "EVNCPC: {customer} theirs" in shown
    assert "EVNCPC: {customer} ours" in shown
    assert WordingVersion.objects.count() == 1
    assert f'name="started_from" value="{theirs.pk}"' in shown
    assert save(supervisor, "EVNCPC: {customer} ours", started_from=theirs.pk).status_code == 302
    assert versions.texts()[KEY] == "EVNCPC: {customer} ours"


def test_showing_the_effect_without_scripts_saves_nothing(supervisor):
    shown = page(supervisor.post(EDIT, {"text": TEXT, "note": "", "started_from": 0, "show": "1"}))
    assert "EVNCPC: khach hang PP05000974006 khong no." in shown
    assert "<del>" in shown
    assert not WordingVersion.objects.exists()


def test_a_form_that_was_tampered_with_saves_nothing(supervisor):
    page(save(supervisor, started_from="x"))
    page(save(supervisor, note="x" * 201))
    assert not WordingVersion.objects.exists()


def test_the_effect_is_shown_while_typing(supervisor):
    shown = page(supervisor.post(EFFECT, {"text": TEXT}))
    assert "<html" not in shown
    assert "EVNCPC: khach hang PP05000974006 khong no." in shown
    assert "GSM-7" in shown
    assert "Can’t be saved" in page(supervisor.post(EFFECT, {"text": "ệ"}))
    assert "checked" in page(supervisor.post(EFFECT, {"text": "EVNCPC", "leave_out": "customer"}))
    assert supervisor.get(EFFECT).status_code == 405


def test_what_was_typed_is_shown_as_text_and_never_as_markup(supervisor):
    for address in (EDIT, EFFECT):
        form = {"text": "<b>{customer}</b>", "note": "", "started_from": 0, "show": "1"}
        assert "<b>" not in page(supervisor.post(address, form))


def test_an_older_version_and_the_delivered_text_are_brought_back_through_the_editor(supervisor):
    older, newer = version("EVNCPC: {customer} cu"), version("EVNCPC: {customer} moi")
    shown = page(supervisor.get(EDIT))
    assert f"?restore={older.pk}" in shown
    assert "?restore=delivered" in shown
    form = supervisor.get(EDIT, {"restore": older.pk}).context["form"]
    assert form.initial["text"] == older.text
    assert "Restored the version of" in form.initial["note"]
    assert supervisor.get(EDIT, {"restore": "delivered"}).context["form"].initial["text"] == WORDINGS[KEY]
    assert supervisor.get(EDIT, {"restore": "999999"}).context["form"].initial["text"] == newer.text
    save(supervisor, older.text, newer.pk)
    assert [one.text for one in versions.history(KEY)] == [older.text, newer.text, older.text]


def test_who_may_only_look_sees_everything_and_saves_nothing(client):
    agent = signed_in(client, "agent")
    version()
    shown = page(agent.get(EDIT))
    assert TEXT in shown
    assert "<textarea" not in shown
    assert "restore=" not in shown
    assert save(agent, "EVNCPC {customer}", versions.history(KEY)[0].pk).status_code == 403
    assert agent.post(EFFECT, {"text": TEXT}).status_code == 403
    assert WordingVersion.objects.count() == 1


def test_who_may_not_look_sees_nothing(client):
    billing = signed_in(client, "billing")
    change = reverse("admin:sms_wordingversion_change", args=[version().pk])
    for address in (LIST, EDIT, change, EFFECT):
        assert (billing.post if address == EFFECT else billing.get)(address).status_code == 403


def test_a_versions_own_address_leads_to_its_wording_and_none_is_added_or_deleted_by_a_plain_form(supervisor):
    one = version()
    response = supervisor.get(reverse("admin:sms_wordingversion_change", args=[one.pk]))
    assert (response.status_code, response["Location"]) == (302, EDIT)
    assert supervisor.get(reverse("admin:sms_wordingversion_change", args=["x"])).status_code == 404
    assert supervisor.get(reverse("admin:sms_wordingversion_change", args=["9" * 30])).status_code == 404
    assert supervisor.get(reverse("admin:sms_wordingversion_add")).status_code == 403
    assert (
        supervisor.post(reverse("admin:sms_wordingversion_delete", args=[one.pk]), {"post": "yes"}).status_code == 403
    )
    assert supervisor.get(reverse("admin:sms_wordingversion_edit", args=["nothing"])).status_code == 404
