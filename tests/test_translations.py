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
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("samples", "__pycache__"))
    (tmp_path / "settings.py").write_text(f"LOCALE_PATHS = [{str(tmp_path / 'evncare' / 'locale')!r}]")
    subprocess.run(
        [sys.executable, "-m", "django", "makemessages", "--locale=vi", "--no-location", "--no-obsolete"],
        cwd=tmp_path,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    extracted = polib.pofile(str(tmp_path / CATALOGUE.relative_to(ROOT)))
    assert {entry.msgid for entry in extracted} == {entry.msgid for entry in catalogue}, "run: make translations"


def test_everything_of_import_export_has_its_vietnamese(catalogue):
    [folder] = find_spec("import_export").submodule_search_locations
    theirs = polib.mofile(str(Path(folder) / "locale" / "de" / "LC_MESSAGES" / "django.mo"))

    assert {entry.msgid for entry in theirs} <= {entry.msgid for entry in catalogue}, "see evncare/library_strings.py"


class VisibleTexts(HTMLParser):
    """The texts of a page that a person sees, in lower case."""

    def __init__(self, page):
        super().__init__()
        self.texts, self.hidden = set(), 0
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.hidden += tag in ("script", "style")
        self.texts |= {text.lower() for name, text in attributes if name in ("title", "placeholder", "aria-label")}

    def handle_endtag(self, tag):
        self.hidden -= tag in ("script", "style")

    def handle_data(self, data):
        if not self.hidden:
            self.texts.add(" ".join(data.split()).rstrip(":").lower())


def admin_pages():
    yield reverse("admin:index")
    yield reverse("admin:password_change")
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
        response = admin_client.get(address, headers={"accept-language": "vi"})
        if response.status_code == 403 and address.endswith("/add/"):
            continue  # the log has no page to add
        assert response.status_code == 200, address
        assert VisibleTexts(response.content.decode()).texts & english == set(), address
