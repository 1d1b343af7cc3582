"""One canonical form for Vietnamese phone numbers: 84 and the national number without its zero."""

import phonenumbers

# The renumbering of 2018: eleven-digit mobile numbers became ten-digit ones. Older exports and logs have both.
RENUMBERED = {
    "120": "70", "121": "79", "122": "77", "126": "76", "128": "78",
    "123": "83", "124": "84", "125": "85", "127": "81", "129": "82",
    "162": "32", "163": "33", "164": "34", "165": "35", "166": "36", "167": "37", "168": "38", "169": "39",
    "186": "56", "188": "58",
    "199": "59",
}  # fmt: skip

# Digits after the country's code: what a beginning needs to tell numbers apart, and the most that a number has.
SHORTEST, LONGEST = 4, 10


def canonical(number: str) -> str | None:
    """The canonical form (``84905123456``) of a phone number written in any usual way, or None if it is none.

    Foreign numbers are kept in their international form without the plus sign.
    """
    if any(c.isalpha() for c in number):
        return None  # letters are a name, and a keypad's letters would make it somebody's number
    bare = "".join(c for c in number if c.isdecimal())
    for lead in ("0084", "84", "0"):
        if bare.startswith(lead):
            national = bare.removeprefix(lead).removeprefix("0")
            if len(national) == 10 and national[:3] in RENUMBERED:
                return f"84{RENUMBERED[national[:3]]}{national[3:]}"
    try:
        parsed = phonenumbers.parse(number, "VN")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")


def beginning(number: str) -> str:
    """The canonical form of a number of which the rest may still be missing: ``0905123`` as ``84905123``.

    Empty if neither a zero nor the country's code tells where it begins, or if fewer than SHORTEST digits follow.
    """
    if any(c.isalpha() for c in number):
        return ""
    bare = "".join(c for c in number if c.isdecimal())
    for lead in ("0084", "84", "0"):
        national = bare.removeprefix(lead).removeprefix("0")
        if bare.startswith(lead) and len(national) <= LONGEST:
            renumbered = RENUMBERED.get(national[:3])
            national = f"{renumbered}{national[3:]}" if renumbered else national
            return f"84{national}" if len(national) >= SHORTEST else ""
    return (canonical(number) or "") if len(bare) >= 9 else ""


def is_whole(number: str) -> bool:
    """Whether a canonical number is more than the beginning of one."""
    return len(number) >= 11


def masked(number: str) -> str:
    """A number for those who needn't know it: 84905123456 as 8490•••••56."""
    return number[:4] + "•" * (len(number) - 6) + number[-2:] if len(number) > 6 else "•" * len(number)
