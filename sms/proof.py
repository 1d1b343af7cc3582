"""What speaks against a wording: nothing is put in force that could leave GSM-7, fail, or exceed three segments."""

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from evncare.text import unaccent
from sms import examples, gsm7
from sms.examples import Example
from sms.wording import MOST_CHARACTERS, MOST_SEGMENTS, WORDINGS

LONGEST_TEXT = 1000
MOST_NAMED = 8  # of the characters that don't fit


@dataclass(frozen=True)
class Proof:
    """``problems``, translated, forbid a text. ``left_out`` are the delivered text's placeholders that it lacks,
    which somebody has to mean. ``examples`` are the replies that would hold it; none if it can't be filled."""

    problems: list[str]
    left_out: list[str]
    examples: list[Example]


def prove(key: str, text: str, in_force: Mapping[str, str]) -> Proof:
    """Check a text for a wording beside the others as they are ``in_force``, by key."""
    left_out = [name for name in placeholders_in(WORDINGS[key]) if f"{{{name}}}" not in text]
    if problem := _unusable(text):
        return Proof([problem], left_out, [])
    problems = _outside_gsm7(text)
    if unknown := unfillable(key, text):
        return Proof([*problems, *unknown], left_out, [])
    shown = examples.run({**in_force, key: text}, examples.saying(key))
    return Proof(problems + _too_long(shown), left_out, shown)


def typed(text: str) -> str:
    """A text as it came from a form: browsers send line breaks as two characters."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def placeholders_in(text: str) -> list[str]:
    """The placeholders of a sound text, in order, each once."""
    return list(dict.fromkeys(name for _literal, name, _spec, _conversion in string.Formatter().parse(text) if name))


def _unusable(text: str) -> str | None:
    """Why a text isn't even looked into."""
    if not text.strip():
        return _("The text is empty.")
    if len(text) > LONGEST_TEXT:
        return _("The text has %(length)s characters; at most %(limit)s are taken.") % {
            "length": len(text),
            "limit": LONGEST_TEXT,
        }
    return None


def _outside_gsm7(text: str) -> list[str]:
    places: dict[str, list[int]] = {}
    for place, character in enumerate(text, start=1):
        if not gsm7.is_gsm7(character):
            places.setdefault(character, []).append(place)
    if not places:
        return []
    named = [
        _("“%(character)s” at %(places)s") % {"character": character, "places": ", ".join(map(str, where[:MOST_NAMED]))}
        for character, where in list(places.items())[:MOST_NAMED]
    ]
    plain = "".join(character for character in unaccent(text) if gsm7.is_gsm7(character))
    return [
        _("Not in the alphabet of plain SMS (GSM-7): %(characters)s. It would read: %(plain)s")
        % {"characters": "; ".join(named), "plain": plain}
    ]


def unfillable(key: str, text: str) -> list[str]:
    """Why the placeholders of a text can't be filled with the facts of this wording."""
    allowed = examples.placeholders()[key]
    listed = ", ".join(f"{{{name}}}" for name in allowed) or _("none")
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        return [_("A brace is missing or too many. A placeholder is a name in braces; write a brace itself twice.")]
    problems = []
    for _literal, name, spec, conversion in parts:
        if name is None or (name in allowed and not spec and not conversion):
            continue
        written = "{" + name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "") + "}"
        if re.fullmatch(r"\w+", name) and not spec and not conversion and not name.isdigit():
            problem = _("There is no placeholder %(written)s here. Allowed: %(allowed)s.")
        else:
            problem = _("%(written)s is not a plain name in braces. Allowed: %(allowed)s.")
        problems.append(problem % {"written": written, "allowed": listed})
    return problems


def _too_long(shown: list[Example]) -> list[str]:
    return [
        ngettext(
            "Too long in the case “%(case)s”: %(segments)s segments, %(over)s character more than %(most)s hold.",
            "Too long in the case “%(case)s”: %(segments)s segments, %(over)s characters more than %(most)s hold.",
            over,
        )
        % {"case": example.scenario.title, "segments": example.size.segments, "over": over, "most": MOST_SEGMENTS}
        for example in shown
        if not example.fits
        for over in [max(example.size.units - MOST_CHARACTERS, 1)]
    ]
