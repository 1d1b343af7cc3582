"""The typed columns of an export: how a cell's text becomes a value, and a value text again.

A column is declared with the name that the billing system writes and the model field that it fills. What the model
already says (length, range, choices, whether it may be empty) is taken from there, so a column is one line.

`Column.read` is what a cell means. `Column.reader` gives the same for thousands of cells at once, many times faster:
by a pattern for all of them where cells are plain, or by memory where few are distinct.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property, partial
from typing import Any, ClassVar, Self
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext as _

from evncare.phones import canonical
from evncare.text import fold

LOCAL_TIME = ZoneInfo("Asia/Ho_Chi_Minh")

# What a spreadsheet would take for a formula gets an apostrophe in front on the way out, and loses it on the way in.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED_FORMULA = re.compile(r"'+[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?[\d.,]+")

MOST_REMEMBERED = 8192

# The value of each cell; and why cells can't be taken, by their place: their value is None then.
Read = tuple[Sequence[Any], dict[int, str]]


class ColumnError(ValueError):
    """Why a cell can't be taken, in words for the person who mends the file."""


class Memory(dict[Any, Any]):
    """What a function returned for each argument so far, looked up without a call; it forgets when it gets large."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __missing__(self, argument: Any) -> Any:
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        value = self[argument] = self._function(argument)
        return value


def guarded(text: str) -> str:
    """``text`` in a form that no spreadsheet runs as a formula; numbers stay as they are."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


@dataclass(frozen=True)
class Column:
    """One column. ``optional`` ones may be missing from a file: what is stored in their field then stays as it is.

    ``summed`` ones are those whose sum the billing system prints, to be compared with ours.
    """

    name: str
    field: str
    aliases: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)
    optional: bool = dataclasses.field(default=False, kw_only=True)
    summed: bool = dataclasses.field(default=False, kw_only=True)
    # Filled in from the model.
    blank: bool = dataclasses.field(default=False, kw_only=True)
    default: Any = dataclasses.field(default=None, kw_only=True)

    # Few distinct values per file, so that remembering the parsed ones beats parsing again.
    repeats: ClassVar[bool] = False
    # Whether a database makes the same of a plain cell's text as of its value.
    stored_as_written: ClassVar[bool] = False

    def fitted_to(self, field: "models.Field[Any, Any]") -> Self:
        """This column with the limits of the model field that it fills."""
        empty = None if field.null else ""
        return dataclasses.replace(
            self,
            blank=field.blank or field.has_default(),
            default=field.get_default() if field.has_default() else empty,
            **self.limits(field.target_field if isinstance(field, models.ForeignKey) else field),
        )

    def limits(self, field: "models.Field[Any, Any]") -> dict[str, Any]:
        return {}

    def read(self, cell: str) -> Any:
        """The value of a cell; raises ColumnError."""
        text = cell.strip()
        if not text:
            if self.blank:
                return self.default
            raise ColumnError(_("is empty"))
        if text[0] == "'" and _GUARDED_FORMULA.match(text):
            text = text[1:]
        return self.parse(text)

    def parse(self, text: str) -> Any:
        """The value of a text that isn't empty."""
        raise NotImplementedError

    @property
    def plain(self) -> str | None:
        """A pattern, without line feeds, of cells for which `convert` gives what `read` would; most cells, at best."""
        return None

    @property
    def convert(self) -> Callable[[str], Any] | None:
        """What makes the value of a plain cell, where it isn't its own value."""
        return None

    def reader(self, *, typed: bool = True) -> Callable[[Sequence[str]], Read]:
        """A function that reads many cells as `read` does each. It remembers, so take a new one for each file.

        Unless ``typed``, a plain cell may stay text where a database takes it for the value.
        """
        read = Memory(self.read).__getitem__ if self.repeats else self.read
        if self.plain is None:
            return partial(_read_each, read)
        empty = "|" if self.blank else ""
        one = re.compile(f"(?:{self.plain}){empty}")
        # A cell a line, and nothing tried twice: possessive, so that no number of cells makes it track back.
        all_plain = re.compile(f"(?>(?:{self.plain}{empty})\n)*+")
        default = self.default
        convert = None if self.stored_as_written and not typed else self.convert

        def values(cells: Sequence[str]) -> Sequence[Any]:
            if self.blank and (convert or default != "") and "" in cells:
                return [(convert(cell) if convert else cell) if cell else default for cell in cells]
            return list(map(convert, cells)) if convert else cells

        def read_one(cell: str) -> Any:
            return values((cell,))[0] if one.fullmatch(cell) else read(cell)

        def read_all(cells: Sequence[str]) -> Read:
            text = "\n".join(cells) + "\n"
            if text.count("\n") == len(cells) and all_plain.fullmatch(text):
                return values(cells), {}
            return _read_each(read_one, cells)

        return read_all

    def write(self, value: Any) -> str:
        """The text that reads back as ``value``, safe to open in a spreadsheet."""
        return "" if value is None or value == "" else guarded(self.format(value))

    def format(self, value: Any) -> str:
        return str(value)


def _read_each(read: Callable[[str], Any], cells: Sequence[str]) -> Read:
    try:
        return list(map(read, cells)), {}
    except ColumnError:
        pass  # one of them; it is told with all others
    values: list[Any] = []
    problems = {}
    for place, cell in enumerate(cells):
        try:
            values.append(read(cell))
        except ColumnError as error:
            values.append(None)
            problems[place] = str(error)
    return values, problems


@dataclass(frozen=True)
class Text(Column):
    """Free text in composed Unicode, on one line, without doubled spaces."""

    max_length: int | None = dataclasses.field(default=None, kw_only=True)

    def limits(self, field: "models.Field[Any, Any]") -> dict[str, Any]:
        return {"max_length": field.max_length}

    @property
    def plain(self) -> str | None:
        # Composed letters of Latin scripts, Vietnamese included, with single spaces inside.
        letter = r"0-9A-Za-z\u00c0-\u024f\u1ea0-\u1ef9"
        word = rf"[{letter},./()-]++"
        return rf"(?=[^\n]{{1,{self.max_length or ''}}}+(?:\n|\Z))[{letter}](?:{word})?(?: {word})*+"

    def parse(self, text: str) -> str:
        if not text.isascii():
            text = unicodedata.normalize("NFC", text)
        if not text.isprintable() or "  " in text:
            text = " ".join(text.split())
            if any(unicodedata.category(character) == "Cc" for character in text):
                raise ColumnError(_("contains a control character"))
        if self.max_length and len(text) > self.max_length:
            raise ColumnError(_("is longer than %(limit)s characters") % {"limit": self.max_length})
        return text


@dataclass(frozen=True)
class Code(Text):
    """An identifier of the billing system: upper-case, every digit kept."""

    _ROUNDED: ClassVar = re.compile(r"\d(?:[.,]\d+)?E\+\d+")
    _POSSIBLE: ClassVar = re.compile(r"[^\W_][\w./-]*")
    _NUMBER_CELL: ClassVar = re.compile(r"\d+\.0")

    @property
    def plain(self) -> str | None:
        longest = "" if self.max_length is None else self.max_length - 1
        return rf"[0-9A-Z][0-9A-Z_/-]{{0,{longest}}}+"

    def parse(self, text: str) -> str:
        text = text.upper()
        if not self._POSSIBLE.fullmatch(text):
            if self._ROUNDED.fullmatch(text):
                raise ColumnError(_("was rounded by a spreadsheet: format the column as text and fill it anew"))
            raise ColumnError(_("is not a code"))
        if self._NUMBER_CELL.fullmatch(text):
            text = text[:-2]
        if self.max_length and len(text) > self.max_length:
            raise ColumnError(_("is longer than %(limit)s characters") % {"limit": self.max_length})
        return text


@dataclass(frozen=True)
class CustomerCode(Code):
    """A MaKH: a prefix of the corporation, its unit's four characters, seven digits."""

    _SHAPE: ClassVar = re.compile(r"([A-Z]{2})\d\d[0-9A-Z]{2}\d{7}", re.ASCII)

    @property
    def plain(self) -> str | None:
        return rf"(?:{'|'.join(settings.CUSTOMER_CODE_PREFIXES)})[0-9]{{2}}[0-9A-Z]{{2}}[0-9]{{7}}"

    def parse(self, text: str) -> str:
        text = text.upper()
        match = self._SHAPE.fullmatch(text)
        if not match:
            raise ColumnError(_("is not a customer code like PP05000974006"))
        if match[1] not in settings.CUSTOMER_CODE_PREFIXES:
            prefixes = ", ".join(settings.CUSTOMER_CODE_PREFIXES)
            raise ColumnError(_("is not a customer code beginning with %(prefixes)s") % {"prefixes": prefixes})
        return text


@dataclass(frozen=True)
class Integer(Column):
    minimum: int | None = dataclasses.field(default=None, kw_only=True)
    maximum: int | None = dataclasses.field(default=None, kw_only=True)

    repeats: ClassVar = True
    _WHOLE: ClassVar = re.compile(r"([+-]?\d{1,18})(?:\.0+)?", re.ASCII)

    def limits(self, field: "models.Field[Any, Any]") -> dict[str, Any]:
        # The database's own range comes as validators too: the narrowest holds.
        lows = [v.limit_value for v in field.validators if isinstance(v, MinValueValidator)]
        highs = [v.limit_value for v in field.validators if isinstance(v, MaxValueValidator)]
        return {"minimum": max(lows, default=None), "maximum": min(highs, default=None)}

    def parse(self, text: str) -> int:
        match = self._WHOLE.fullmatch(text)
        if not match:
            raise ColumnError(_("is not a whole number"))
        value = int(match[1])
        if (self.minimum is not None and value < self.minimum) or (self.maximum is not None and value > self.maximum):
            raise ColumnError(_("is not between %(low)s and %(high)s") % {"low": self.minimum, "high": self.maximum})
        return value


@dataclass(frozen=True)
class Money(Column):
    """Whole VND. Separators are taken only where they can't be mistaken: 1.234.567 or 500.550,00 but not 500.550."""

    stored_as_written: ClassVar = True

    _PLAIN: ClassVar = re.compile(r"[+-]?\d{1,15}", re.ASCII)
    _GROUPED: ClassVar = re.compile(
        r"([+-]?\d{1,3})(?:([., \u00a0\u202f'])(\d{3}))((?:\2\d{3})*)(?:(?!\2)([.,])(\d+))?", re.ASCII
    )
    _DECIMAL: ClassVar = re.compile(r"([+-]?\d+)[.,](\d+)", re.ASCII)

    @property
    def plain(self) -> str | None:
        return "-?[0-9]{1,15}+"

    @property
    def convert(self) -> Callable[[str], int]:
        return int

    def parse(self, text: str) -> int:
        if self._PLAIN.fullmatch(text):
            return int(text)
        if match := self._GROUPED.fullmatch(text):
            first, separator, second, more, _point, decimals = match.groups()
            if separator in ".," and not more and decimals is None and first.lstrip("+-0"):
                raise ColumnError(_("could mean thousands or decimals: write it without separators"))
            whole = first + second + more.replace(separator, "")
            if first.lstrip("+-0") and len(whole) <= 16:
                return self._exact(whole, decimals or "")
        if match := self._DECIMAL.fullmatch(text):
            return self._exact(*match.groups())
        raise ColumnError(_("is not an amount in whole VND"))

    def _exact(self, whole: str, decimals: str) -> int:
        if decimals.strip("0"):
            raise ColumnError(_("has decimals, but VND has none"))
        if len(whole.lstrip("+-")) > 15:
            raise ColumnError(_("is not an amount in whole VND"))
        return int(whole)


@dataclass(frozen=True)
class Number(Column):
    """A decimal number. A lone point is the decimal point; a lone comma is one unless it could part thousands."""

    max_digits: int = dataclasses.field(default=15, kw_only=True)
    places: int = dataclasses.field(default=3, kw_only=True)

    stored_as_written: ClassVar = True
    _PLAIN: ClassVar = re.compile(r"[+-]?(\d+)(?:\.(\d+))?", re.ASCII)
    _COMMA: ClassVar = re.compile(r"([+-]?\d+),(\d+)", re.ASCII)
    _GROUPED: ClassVar = re.compile(r"[+-]?\d{1,3}([., \u00a0\u202f'])\d{3}(?:\1\d{3})*(?:(?!\1)[.,]\d+)?", re.ASCII)

    def limits(self, field: "models.Field[Any, Any]") -> dict[str, Any]:
        assert isinstance(field, models.DecimalField)
        return {"max_digits": field.max_digits, "places": field.decimal_places}

    @property
    def plain(self) -> str | None:
        return rf"-?[0-9]{{1,{self.max_digits - self.places}}}+(?:\.[0-9]{{1,{self.places}}}+)?"

    @property
    def convert(self) -> Callable[[str], Decimal]:
        return Decimal

    def parse(self, text: str) -> Decimal:
        match = self._PLAIN.fullmatch(text)
        if not match:
            text = self._with_point(text)
            match = self._PLAIN.fullmatch(text)
        if not match:
            raise ColumnError(_("is not a number"))
        whole, decimals = match[1].lstrip("0"), (match[2] or "").rstrip("0")
        if len(decimals) > self.places:
            raise ColumnError(_("has more than %(places)s decimals") % {"places": self.places})
        if len(whole) > self.max_digits - self.places:
            raise ColumnError(_("has more than %(digits)s digits") % {"digits": self.max_digits - self.places})
        return Decimal(text)

    def _with_point(self, text: str) -> str:
        if match := self._COMMA.fullmatch(text):
            whole, decimals = match.groups()
            if len(decimals) == 3 and len(whole.lstrip("+-")) <= 3 and whole.lstrip("+-0"):
                raise ColumnError(_("could mean thousands or decimals: write it with a decimal point"))
            return f"{whole}.{decimals}"
        if match := self._GROUPED.fullmatch(text):
            return text.replace(match[1], "").replace(",", ".")
        return text

    def format(self, value: Decimal) -> str:
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text


class _Moments:
    """Reading of days and times: dd/mm/yyyy, ISO, or a spreadsheet's count of days."""

    TIME = r"(?:[ T]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d{1,9})?)?)?"
    SHAPES = (
        re.compile(rf"(?P<day>\d{{1,2}})([/.-])(?P<month>\d{{1,2}})\2(?P<year>\d{{4}}){TIME}", re.ASCII),
        re.compile(
            rf"(?P<year>\d{{4}})([/.-]?)(?P<month>\d{{2}})\2(?P<day>\d{{2}}){TIME}(?P<zone>Z|[+-]\d{{2}}:?\d{{2}})?",
            re.ASCII,
        ),
    )
    SERIAL = re.compile(r"\d{5}(?:\.\d+)?", re.ASCII)
    SERIAL_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001 - a day as people write it
    YEARS = range(2000, 2100)

    @classmethod
    def read(cls, text: str) -> datetime:
        """The moment as written; aware only if the text names its offset."""
        for shape in cls.SHAPES:
            if match := shape.fullmatch(text):
                parts = {name: int(value or 0) for name, value in match.groupdict().items() if name != "zone"}
                try:
                    moment = datetime(**parts)  # type: ignore[arg-type]  # noqa: DTZ001
                except ValueError:
                    raise ColumnError(_("is not a day of the calendar")) from None
                if zone := match.groupdict().get("zone"):
                    moment = moment.replace(tzinfo=datetime.strptime(zone, "%z").tzinfo)
                break
        else:
            if not cls.SERIAL.fullmatch(text):
                raise ColumnError(_("is not a date like 31/12/2016"))
            moment = cls.SERIAL_ZERO + timedelta(seconds=round(float(text) * 86400))
        if moment.year not in cls.YEARS:
            raise ColumnError(_("is not in the years 2000 to 2099"))
        return moment


@dataclass(frozen=True)
class Date(Column):
    """A day. A time beside it is allowed, for some systems always write one, and means nothing."""

    repeats: ClassVar = True

    def parse(self, text: str) -> date:
        return _Moments.read(text).date()

    def format(self, value: date) -> str:
        return f"{value:%d/%m/%Y}"


@dataclass(frozen=True)
class DateTime(Column):
    """A moment, in Vietnamese time unless the text says otherwise."""

    repeats: ClassVar = True

    def parse(self, text: str) -> datetime:
        moment = _Moments.read(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=LOCAL_TIME)).astimezone(UTC)

    def format(self, value: datetime) -> str:
        local = value.astimezone(LOCAL_TIME)
        if local.time().replace(microsecond=0) == time():
            return f"{local:%d/%m/%Y}"
        return f"{local:%d/%m/%Y %H:%M:%S}"


@dataclass(frozen=True)
class Choice(Column):
    """One of the model field's choices, by its value or another spelling; case and accents don't matter."""

    spellings: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict, kw_only=True)
    choices: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)

    repeats: ClassVar = True

    def limits(self, field: "models.Field[Any, Any]") -> dict[str, Any]:
        return {"choices": tuple(value for value, label in field.choices or ())}

    @cached_property
    def _values(self) -> dict[str, str]:
        known = {self._key(value): value for value in self.choices}
        return known | {self._key(word): value for value, words in self.spellings.items() for word in words}

    @staticmethod
    def _key(text: str) -> str:
        return " ".join(fold(text).replace("_", " ").split())

    def parse(self, text: str) -> str:
        try:
            return self._values[self._key(text)]
        except KeyError:
            known = ", ".join(self.format(value) for value in self.choices)
            raise ColumnError(_("is none of: %(known)s") % {"known": known}) from None

    def format(self, value: str) -> str:
        return self.spellings.get(value, (value,))[0]


@dataclass(frozen=True)
class Phones(Column):
    """Any number of phone numbers, kept in their canonical form with one space between them."""

    max_length: int | None = dataclasses.field(default=None, kw_only=True)

    _USUAL: ClassVar = re.compile(r"(?:84|0)?([35789]\d{8})", re.ASCII)

    def limits(self, field: "models.Field[Any, Any]") -> dict[str, Any]:
        return {"max_length": field.max_length}

    @property
    def plain(self) -> str | None:
        return "0[35789][0-9]{8}"

    @property
    def convert(self) -> Callable[[str], str]:
        return lambda cell: f"84{cell[1:]}"

    def parse(self, text: str) -> str:
        if match := self._USUAL.fullmatch(text):
            return f"84{match[1]}"
        numbers: dict[str, None] = {}
        for part in re.split(r"[;,/|\n]", text):
            if part.strip():
                numbers.update(dict.fromkeys(self._numbers(part.strip())))
        joined = " ".join(numbers)
        if not joined:
            raise ColumnError(_("is not a phone number"))
        if self.max_length and len(joined) > self.max_length:
            raise ColumnError(_("is longer than %(limit)s characters") % {"limit": self.max_length})
        return joined

    def _numbers(self, part: str) -> list[str]:
        # Spaces part the digits of one number as often as two numbers: one number is tried first.
        for parts in ([part], part.split()):
            numbers = [self._number(number) for number in parts]
            if all(numbers):
                return [number for number in numbers if number]
        raise ColumnError(_("%(number)s is not a phone number") % {"number": part})

    def _number(self, text: str) -> str | None:
        return canonical(text) if len(text) <= 30 else None

    def format(self, value: str) -> str:
        return "; ".join(value.split())
