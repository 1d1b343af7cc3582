"""The words of the replies, for supervisors to edit: what each says, in which cases, and every version of it."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from evncare.admin import RecordAdmin, day_and_time
from sms import examples, proof, versions
from sms.admin.prices import price
from sms.examples import Example
from sms.models import WordingVersion
from sms.syntaxes import SYNTAXES
from sms.wording import WORDINGS

# What each wording is for, by its key or by what follows the question in it.
TITLES = {
    "answered": _("the answer"),
    "no_data": _("nothing stored for the period"),
    "several": _("several in one answer"),
    "register": _("one register of several"),
    "meter": _("a register, where there are several meters"),
    "left_out": _("more than three segments hold"),
    "with_reactive": _("the answer, with a bill for reactive power"),
    "none": _("nothing to tell"),
    "hours": _("from when to when"),
    "running": _("an interruption that runs already"),
    "end_unknown": _("an end that nobody knows"),
    "period": _("a period"),
    "NTD.period": _("one unpaid period of several"),
    "period.without_ky": _("a month without kỳ"),
    "existing": _("the periods that have data"),
    "which_ky": _("a month with several kỳ"),
    "unknown_customer": _("a code that no customer has"),
    "foreign_code": _("another corporation's code"),
    "bad_code": _("a code that can't be read"),
    "several_codes": _("two codes"),
    "bad_period": _("a period that can't be read"),
    "refused.TOO_MANY": _("too many messages in an hour"),
    "refused.TOO_MANY_CODES": _("too many customers' codes in a day"),
    "refused.NOT_REGISTERED": _("the phone is not registered on the account"),
}

PLACEHOLDERS = {
    "amount": _("amount owed before tax, in VND"),
    "command": _("the command that would have worked"),
    "consumption": _("consumption"),
    "customer": _("customer code"),
    "date": _("the day, as in 10/6/2016"),
    "end": _("when it ends"),
    "existing": _("the sentence on the periods that have data, if there are any"),
    "hotline": _("the hotline's number"),
    "hours": _("from when to when"),
    "ky": _("kỳ"),
    "kys": _("the month's kỳ"),
    "left_out": _("how many are left out"),
    "meter": _("meter number"),
    "month": _("month"),
    "multiplier": _("multiplier (HSN)"),
    "new": _("new reading"),
    "old": _("old reading"),
    "outages": _("the interruptions"),
    "period": _("the period in words"),
    "periods": _("the periods"),
    "prefixes": _("how our customer codes begin"),
    "reactive": _("billed for reactive power, in VND"),
    "register": _("register (BCS), or its text"),
    "registers": _("the registers"),
    "short_code": _("our number"),
    "start": _("when it starts"),
    "tax": _("tax owed, in VND"),
    "total": _("the whole sum, in VND"),
    "year": _("year"),
}


def title_of(key: str) -> str | Promise:
    return TITLES.get(key) or TITLES.get(key.partition(".")[2]) or key


@dataclass(frozen=True)
class Line:
    """One wording in the list. ``usual`` are the fewest, ``worst`` the most segments of a reply that holds it."""

    key: str
    title: str | Promise
    text: str
    is_part: bool
    usual: int
    worst: int
    version: WordingVersion | None
    fits: bool


@dataclass(frozen=True)
class Piece:
    """A stretch of two texts: in both, or deleted, or inserted (``del`` and ``ins`` as in HTML)."""

    mark: str
    text: str


class WordingForm(forms.Form):
    """``started_from`` is the version that was edited, as `State.number` names it."""

    text = forms.CharField(
        label=_("text"), strip=False, required=False, widget=forms.Textarea(attrs={"rows": 6, "class": "field"})
    )
    note = forms.CharField(
        label=_("why, for those who read the versions later"),
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"class": "field"}),
    )
    started_from = forms.IntegerField(min_value=0)

    def clean_text(self) -> str:
        return proof.typed(self.cleaned_data["text"])


@admin.register(WordingVersion)
class WordingVersionAdmin(RecordAdmin):
    """The list has a line for each wording, not for each version; a version's address leads to its wording."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<str:key>/edit/", view(self.edit_view), name="sms_wordingversion_edit"),
            path("<str:key>/effect/", view(require_POST(self.effect_view)), name="sms_wordingversion_effect"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = self._page(request, _("Wordings")) | {"groups": grouped_lines()}
        return TemplateResponse(request, "admin/sms/wordings.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if not object_id.isdecimal():
            raise Http404
        version = get_object_or_404(WordingVersion, pk=object_id)
        return redirect("admin:sms_wordingversion_edit", version.key)

    def edit_view(self, request: HttpRequest, key: str) -> HttpResponse:
        """The wording's page: its text to edit, what that would do, and all its versions."""
        self._check(request, key)
        if request.method == "POST":
            return self._submitted(request, key)
        now = State.read(key)
        form = WordingForm(initial={"text": now.text} | restored(request, key, now))
        return self._render(request, now, form, form.initial["text"], ())

    def _submitted(self, request: HttpRequest, key: str) -> HttpResponse:
        if not may_edit(request):
            raise PermissionDenied
        now = State.read(key)
        form, ticked = WordingForm(request.POST), request.POST.getlist("leave_out")
        if not form.is_valid():
            return self._render(request, now, form, None, ticked)
        text, started_from = form.cleaned_data["text"], form.cleaned_data["started_from"]
        if "save" in request.POST and started_from == now.number:
            proved = proof.prove(key, text, now.texts)
            if proved.problems or set(proved.left_out) - set(ticked):
                form.add_error("text", _("It was not saved: see what is marked below."))
            elif text == now.text:
                messages.info(request, _("This text is in force already."))
                return redirect("admin:sms_wordingversion_edit", key)
            else:
                try:
                    versions.save(
                        key,
                        text,
                        by=request.user.get_username(),
                        note=form.cleaned_data["note"],
                        started_from=started_from,
                        now=timezone.now(),
                    )
                except versions.SavedMeanwhile:
                    now = State.read(key)
                else:
                    messages.success(request, _("Saved. The next reply says it like this."))
                    return redirect("admin:sms_wordingversion_edit", key)
        return self._render(request, now, form, text, ticked)

    def effect_view(self, request: HttpRequest, key: str) -> HttpResponse:
        """What a text would do, as a piece of the page, while it is being typed."""
        self._check(request, key)
        if not may_edit(request):
            raise PermissionDenied
        text = proof.typed(request.POST.get("text", ""))
        context = effect(State.read(key), text, request.POST.getlist("leave_out")) | {"may_edit": True}
        return TemplateResponse(request, "admin/sms/wording_effect.html", context)

    def _check(self, request: HttpRequest, key: str) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if key not in WORDINGS:
            raise Http404

    def _render(
        self, request: HttpRequest, now: "State", form: WordingForm, text: str | None, ticked: Any
    ) -> HttpResponse:
        started_from = form.cleaned_data.get("started_from", now.number) if form.is_bound else now.number
        context = {
            "key": now.key,
            "form": form,
            "may_edit": may_edit(request),
            # The form then names their version: saving once more is on purpose.
            "meanwhile": now.versions[0] if now.versions and started_from != now.number else None,
            "number": now.number,
            "delivered": WORDINGS[now.key],
            "is_delivered": not now.versions,
            "versions": now.versions,
            "placeholders": explained(now.key),
            "effect_address": reverse("admin:sms_wordingversion_effect", args=[now.key]),
        }
        if text is not None:
            context |= effect(now, text, ticked)
        page = self._page(request, f"{now.key}: {title_of(now.key)}")
        return TemplateResponse(request, "admin/sms/wording.html", page | context)

    def _page(self, request: HttpRequest, title: str | Promise) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "title": title}


def may_edit(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("sms.add_wordingversion"))


@dataclass(frozen=True)
class State:
    """A wording as it is now: its versions, the latest first, and what all wordings say instead of as delivered."""

    key: str
    versions: list[WordingVersion]
    texts: Mapping[str, str]

    @classmethod
    def read(cls, key: str) -> "State":
        return cls(key, versions.history(key), versions.texts())

    @property
    def text(self) -> str:
        return self.versions[0].text if self.versions else WORDINGS[self.key]

    @property
    def number(self) -> int:
        """The version in force, as a form names it that starts from it: 0 is the delivered text."""
        return self.versions[0].pk if self.versions else 0


def restored(request: HttpRequest, key: str, now: State) -> dict[str, str]:
    """Text and note of the version that the address asks to bring back."""
    wanted = request.GET.get("restore")
    if wanted == "delivered":
        return {"text": WORDINGS[key], "note": gettext("Restored as delivered")}
    for version in now.versions:
        if str(version.pk) == wanted:
            at = {"at": day_and_time(version.at)}
            return {"text": version.text, "note": gettext("Restored the version of %(at)s") % at}
    return {}


def effect(now: State, text: str, ticked: Any) -> dict[str, Any]:
    """What a text would do, for the template: what speaks against it, what changes, and the replies."""
    proved = proof.prove(now.key, text, now.texts)
    return {
        "problems": proved.problems,
        "left_out": [(name, f"{{{name}}}", name in ticked) for name in proved.left_out],
        "changes": list(differences(now.text, text)) if len(text) <= proof.LONGEST_TEXT and text != now.text else [],
        "examples": [(example, price(charged=example.answer.charge)) for example in ordered(proved.examples)],
    }


def ordered(shown: list[Example]) -> list[Example]:
    """Ordinary cases first."""
    return sorted(shown, key=lambda example: example.scenario.worst)


def differences(before: str, after: str) -> Iterator[Piece]:
    """How one text became the other, word by word."""
    old, new = (re.findall(r"\{\w+\}|\w+|\s|[^\w\s]", text) for text in (before, after))
    for kind, old_start, old_end, new_start, new_end in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
        if kind == "equal":
            yield Piece("", "".join(old[old_start:old_end]))
            continue
        if old_start < old_end:
            yield Piece("del", "".join(old[old_start:old_end]))
        if new_start < new_end:
            yield Piece("ins", "".join(new[new_start:new_end]))


def explained(key: str) -> list[tuple[str, str | Promise, str]]:
    """The placeholders that a wording may have, with their meaning and an ordinary value."""
    values: dict[str, object] = {}
    for example in ordered(examples.run({}, examples.saying(key))):
        for filled, facts in example.filled:
            if filled == key:
                values = dict(facts) | values
    return [(f"{{{name}}}", PLACEHOLDERS[name], str(values[name]).strip()) for name in examples.placeholders()[key]]


def grouped_lines() -> list[tuple[str | Promise, list[Line]]]:
    """All wordings, by question."""
    in_force = versions.latest()
    texts = {key: version.text for key, version in in_force.items()}
    shown = examples.run(texts, examples.SCENARIOS)
    replies = {example.answer.wording for example in shown}
    groups: dict[str | Promise, list[Line]] = {}
    for key, delivered in WORDINGS.items():
        syntax = SYNTAXES.get(key.partition(".")[0])
        group = f"{syntax.keyword}: {syntax.title}" if syntax else _("Errors, refusals and common parts")
        saying = examples.saying(key)
        holding = [example for example in shown if example.scenario in saying]
        segments = [example.size.segments for example in holding]
        line = Line(
            key,
            title_of(key),
            texts.get(key, delivered),
            key not in replies,
            min(segments),
            max(segments),
            in_force.get(key),
            fits=all(example.fits for example in holding) and not proof.unfillable(key, texts.get(key, delivered)),
        )
        groups.setdefault(group, []).append(line)
    return list(groups.items())
