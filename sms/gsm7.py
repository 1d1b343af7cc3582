"""GSM 03.38: which encoding a text needs and how many segments it costs. Pure; source: 3GPP TS 23.038."""

from dataclasses import dataclass

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = frozenset("\f^{}\\[~]|€")  # each takes an escape and itself
ALL = BASIC | EXTENDED

GSM_7 = "GSM-7"
UCS_2 = "UCS-2"


@dataclass(frozen=True)
class Size:
    """What a text costs on the air: its encoding, its length in that encoding's units, its segments."""

    encoding: str
    units: int
    segments: int

    @property
    def left(self) -> int:
        """The units that its last segment still holds."""
        one, each = (160, 153) if self.encoding == GSM_7 else (70, 67)
        return max((one if self.segments == 1 else each * self.segments) - self.units, 0)


def is_gsm7(text: str) -> bool:
    return ALL.issuperset(text)


def measure(text: str) -> Size:
    """The encoding, units (septets or UTF-16 code units) and segments of a text; an empty one takes one segment.

    One GSM-7 segment holds 160 septets, of several each holds 153; UCS-2 70 and 67 code units.
    """
    if is_gsm7(text):
        units = len(text) + sum(map(text.count, EXTENDED))
        # An escape pair is never split, so each full segment may leave one septet empty.
        return Size(GSM_7, units, 1 if units <= 160 else _segments(text, 153))
    units = len(text.encode("utf-16-be", "surrogatepass")) // 2
    return Size(UCS_2, units, 1 if units <= 70 else _segments(text, 67, gsm7=False))


def _segments(text: str, capacity: int, gsm7: bool = True) -> int:
    segments, used = 1, 0
    for c in text:
        width = (2 if c in EXTENDED else 1) if gsm7 else (2 if ord(c) > 0xFFFF else 1)
        if used + width > capacity:
            segments, used = segments + 1, 0
        used += width
    return segments
