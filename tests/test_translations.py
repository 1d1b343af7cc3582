"""Vietnamese is complete: of our own strings, and of what our libraries leave in English."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import polib
import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import NoReverseMatch, reverse

from sms.wording import WORDINGS
from tests import factories

CATALOGUE = Path(settings.LOCALE_PATHS[0]) / "vi" / "LC_MESSAGES" / "django.po"
ROOT = Path(settings.BASE_DIR)


@pytest.fixture(scope="module")
def catalogue():
    return polib.pofile(str(CATALOGUE))


def test_every_string_has_its_translation(catalogue):
    assert [entry.msgid for entry in catalogue if not entry.translated() or entry.obsolete] == []


def test_the_compiled_catalogue_is_the_one_that_is_read(catalogue):
    def texts(entries):
        return {(entry.msgctxt, entry.msgid): (entry.msgstr, entry.msgstr_plural) for entry in entries}

    assert texts(polib.mofile(str(CATALOGUE.with_suffix(".mo")))) == texts(catalogue), "run: make translations"


def test_a_translation_has_the_placeholders_of_its_string(catalogue):
    placeholder = re.compile(r"%\(\w+\)[a-z]|%[a-z]|\{\w*\}")
    for entry in catalogue:
        translated = entry.msgstr or entry.msgstr_plural[0]
        assert sorted(placeholder.findall(entry.msgid)) == sorted(placeholder.findall(translated)), entry.msgid


def test_the_catalogue_holds_exactly_our_strings(catalogue, tmp_path):
    """Asks Django's own makemessages, in a copy of the sources, whether it would change anything."""
    if not shutil.which("xgettext"):
        pytest.skip("xgettext is not installed: apt install gettext")
    for folder in ("billing", "evncare", "outages", "sms", "templates"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("samples", "locale", "__pycache__")
        )
    assert extracted(tmp_path) == keys(catalogue), "run: make translations"


def extracted(folder):
    """What Django's own makemessages finds in a folder."""
    locale = folder / "locale"
    locale.mkdir()
    (folder / "settings.py").write_text(f"LOCALE_PATHS = [{str(locale)!r}]")
    subprocess.run(
        [sys.executable, "-m", "django", "makemessages", "--locale=vi", "--no-location", "--no-obsolete"],
        cwd=folder,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(folder)},
        capture_output=True,
        check=True,
    )
    return keys(polib.pofile(str(locale / "vi" / "LC_MESSAGES" / "django.po")))


def keys(entries):
    """What gettext finds them by: one with a plural isn't found by one without."""
    return {(entry.msgid, entry.msgid_plural) for entry in entries}


def test_everything_of_import_export_has_its_vietnamese(catalogue):
    [folder] = find_spec("import_export").submodule_search_locations
    theirs = polib.mofile(str(Path(folder) / "locale" / "de" / "LC_MESSAGES" / "django.mo"))

    assert {entry.msgid for entry in theirs} <= {entry.msgid for entry in catalogue}, "see evncare/library_strings.py"


def test_everything_of_the_theme_has_its_vietnamese(catalogue, tmp_path):
    if not shutil.which("xgettext"):
        pytest.skip("xgettext is not installed: apt install gettext")
    [folder] = find_spec("unfold").submodule_search_locations
    unused = {path.name for path in Path(folder, "contrib").iterdir()} - {"filters", "import_export", "__init__.py"}
    ignored = shutil.ignore_patterns(*unused, "static", "unfold_crispy", "__pycache__")
    shutil.copytree(folder, tmp_path / "unfold", ignore=ignored)
    theirs = extracted(tmp_path)
    [django] = find_spec("django").submodule_search_locations
    djangos = map(polib.mofile, map(str, Path(django).rglob("locale/vi/LC_MESSAGES/django.mo")))
    assert theirs <= keys(catalogue).union(*map(keys, djangos)), "see evncare/library_strings.py"


class VisibleTexts(HTMLParser):
    """The texts of a page that a person sees or hears, in lower case. An icon is a word of its font, of no language."""

    def __init__(self, page):
        super().__init__()
        self.texts, self.hidden, self.spans = set(), 0, []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == "span":
            self.spans.append("material-symbols-outlined" in (dict(attributes).get("class") or ""))
            self.hidden += self.spans[-1]
        self.hidden += tag in ("script", "style")
        self.texts |= {text.lower() for name, text in attributes if name in ("title", "placeholder", "aria-label")}

    def handle_endtag(self, tag):
        if tag == "span" and self.spans:
            self.hidden -= self.spans.pop()
        self.hidden -= tag in ("script", "style")

    def handle_data(self, data):
        if not self.hidden:
            self.texts.add(" ".join(data.split()).rstrip(":").lower())


def admin_pages():
    yield reverse("admin:index")
    yield reverse("admin:password_change")
    yield reverse("admin:second_factor")
    yield reverse("admin:search") + "?s=nguyen"
    yield reverse("admin:search") + "?s=nobody"
    yield reverse("admin:sms_try") + f"?text=NTD+{factories.CODE}"
    yield reverse("admin:billing_customer_edit", args=[factories.CODE])
    yield from (reverse("admin:sms_wordingversion_edit", args=[key]) for key in WORDINGS)
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        yield reverse(f"{name}_change", args=[model._default_manager.latest("pk").pk])
        for page in ("add", "import", "export"):
            with contextlib.suppress(NoReverseMatch):
                yield reverse(f"{name}_{page}")


@pytest.mark.django_db
def test_no_page_of_the_admin_shows_english(admin_client, admin_user, catalogue):
    factories.a_row_of_every_page()
    Group.objects.create(name="Tổng đài")
    english = {entry.msgid.lower() for entry in catalogue if entry.msgid.lower() != entry.msgstr.lower()}
    english -= {group.name for group in Group.objects.all()}  # names in the data, as the roles'
    english -= {admin_user.username}
    english -= {"english"}  # the way to the other language is named in that language

    for address in admin_pages():
        response = admin_client.get(address, headers={"accept-language": "vi"}, follow=True)
        if response.status_code == 403 and address.endswith("/add/"):
            continue  # the log has no page to add
        assert response.status_code == 200, address
        assert VisibleTexts(response.content.decode()).texts & english == set(), address
        if address.endswith("/add/"):
            refused = admin_client.post(address, headers={"accept-language": "vi"}).content.decode()
            assert "errornote" in refused, address
            assert VisibleTexts(refused).texts & english == set(), address
