"""The words of every reply: unaccented, GSM-7, never more than three segments. Pure.

The published replies are exact to the character; the others speak in the same voice, and each names the
command that would have worked or the hotline. What staff made of them is laid over by `sms/versions.py`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TypeVar

from evncare.text import unaccent
from sms import gsm7

logger = logging.getLogger(__name__)

MOST_SEGMENTS = 3
MOST_CHARACTERS = MOST_SEGMENTS * 153

# As delivered, keyed by question and case. A text made of parts (registers, debts, outages) has a wording for the
# part too. What may stand in a placeholder's stead is shown, and its worst case proved, by sms/examples.py.
WORDINGS = {
    "LGD.answered": (
        "EVNCPC thong bao lich ghi dien Ky: {ky}, Thang: {month}, Nam: {year} cua khach hang la ngay: {date}. "
        "Cam on quy khach da su dung dich vu cua chung toi."
    ),
    "LGD.no_data": "EVNCPC chua co lich ghi dien {period} cua khach hang {customer}.{existing} Chi tiet goi {hotline}.",
    "CS.answered": (
        "EVNCPC thong bao chi so cua khach hang {customer}, BCS: {register}, HSN: {multiplier}, chi so cu: {old}, "
        "chi so moi: {new}, dien nang tieu thu: {consumption}. Xin cam on quy khach."
    ),
    "CS.several": (
        "EVNCPC thong bao chi so Ky {ky}/{month}/{year} cua khach hang {customer}: {registers}. Xin cam on quy khach."
    ),
    "CS.register": "{register}: HSN {multiplier}, cu {old}, moi {new}, tieu thu {consumption}",
    "CS.meter": "Cong to {meter} {register}",
    "CS.left_out": "{registers}; con {left_out} bo chi so, goi {hotline}",
    "CS.no_data": "EVNCPC chua co chi so {period} cua khach hang {customer}.{existing} Chi tiet goi {hotline}.",
    "TD.answered": (
        "EVNCPC thong bao tien dien {period} cua khach hang la {total} dong. "
        "Cam on quy khach da su dung dich vu cua chung toi."
    ),
    "TD.with_reactive": (
        "EVNCPC thong bao tien dien {period} cua khach hang la {total} dong, tien cong suat phan khang la {reactive} "
        "dong. Cam on quy khach da su dung dich vu cua chung toi."
    ),
    "TD.no_data": "EVNCPC chua co tien dien {period} cua khach hang {customer}.{existing} Chi tiet goi {hotline}.",
    "NTD.answered": (
        "EVNCPC thong bao no tien dien cua khach hang {period}: Tien no: {amount}, thue no: {tax}, "
        "tong cong: {total}. Xin cam on quy khach."
    ),
    "NTD.none": "EVNCPC thong bao khach hang {customer} khong con no tien dien. Xin cam on quy khach.",
    "NTD.several": (
        "EVNCPC thong bao no tien dien cua khach hang: {periods}. Tong cong: {total} dong. Xin cam on quy khach."
    ),
    "NTD.period": "Ky {ky}/{month}/{year}: {total}",
    "NTD.left_out": "{periods}; va {left_out} ky truoc",
    "LCD.answered": (
        "EVNCPC thong bao lich tam ngung cung cap dien cua quy khach la {outages}. "
        "Cam on quy khach da su dung dich vu cua chung toi."
    ),
    "LCD.none": (
        "EVNCPC thong bao hien khong co lich tam ngung cung cap dien cua khach hang {customer}. Chi tiet goi {hotline}."
    ),
    "LCD.hours": "tu: {start} den: {end}",
    "LCD.running": "dang ngung {hours}",
    "LCD.end_unknown": "khi co thong bao moi",
    "LCD.left_out": "{outages}; va {left_out} lan sau do",
    "period": "Ky {ky} Thang {month} Nam {year}",
    "period.without_ky": "Thang {month} Nam {year}",
    "existing": " Ky/thang/nam da co: {periods}.",
    "which_ky": (
        "EVNCPC: thang {month}/{year} co cac ky {kys}. Quy khach vui long soan: {command} gui {short_code}. "
        "Chi tiet goi {hotline}."
    ),
    "unknown_customer": (
        "EVNCPC khong tim thay khach hang {customer}. Quy khach vui long kiem tra ma khach hang tren hoa don "
        "hoac goi {hotline}."
    ),
    "foreign_code": (
        "Ma {customer} khong phai cua EVNCPC. Ma khach hang EVNCPC gom 13 ky tu, bat dau bang {prefixes}. "
        "Chi tiet goi {hotline}."
    ),
    "bad_code": (
        "EVNCPC: ma khach hang gom 13 ky tu, bat dau bang {prefixes}. Quy khach vui long soan: {command} "
        "gui {short_code}. Chi tiet goi {hotline}."
    ),
    "several_codes": (
        "EVNCPC: moi tin nhan chi tra cuu mot ma khach hang. Quy khach vui long soan: {command} gui {short_code}. "
        "Chi tiet goi {hotline}."
    ),
    "bad_period": (
        "EVNCPC: can ky, thang, nam hop le sau ma khach hang. Quy khach vui long soan: {command} gui {short_code}. "
        "Chi tiet goi {hotline}."
    ),
    "refused.TOO_MANY": (
        "EVNCPC: so dien thoai nay da gui qua nhieu tin nhan trong mot gio. Quy khach vui long thu lai sau mot gio "
        "hoac goi {hotline}."
    ),
    "refused.TOO_MANY_CODES": (
        "EVNCPC: so dien thoai nay da tra cuu qua nhieu ma khach hang trong ngay. Quy khach vui long thu lai ngay mai "
        "hoac goi {hotline}."
    ),
    "refused.NOT_REGISTERED": (
        "EVNCPC: so dien thoai nay chua dang ky voi ma khach hang {customer}. Quy khach vui long goi {hotline} de "
        "dang ky hoac tra cuu."
    ),
}

Item = TypeVar("Item")
Filled = tuple[str, Mapping[str, object]]  # a wording's key and the facts that it was given

_in_force: ContextVar[Mapping[str, str] | None] = ContextVar("in_force", default=None)
_traced: ContextVar[list[Filled] | None] = ContextVar("traced", default=None)


@contextmanager
def using(texts: Mapping[str, str]) -> Iterator[None]:
    """Have these texts, by key, said instead of those delivered."""
    token = _in_force.set(MappingProxyType(dict(texts)))
    try:
        yield
    finally:
        _in_force.reset(token)


def in_force() -> Mapping[str, str] | None:
    """The texts that stand in for delivered ones; None where nobody has said which (`using`)."""
    return _in_force.get()


@contextmanager
def tracing() -> Iterator[list[Filled]]:
    """What is filled meanwhile, in order."""
    filled: list[Filled] = []
    token = _traced.set(filled)
    try:
        yield filled
    finally:
        _traced.reset(token)


def fill(key: str, **facts: object) -> str:
    """The wording with its placeholders replaced. What GSM-7 lacks is unaccented, or else shown as "?"."""
    traced = _traced.get()
    if traced is not None:
        traced.append((key, facts))
    text = _filled(key, facts)
    if gsm7.is_gsm7(text):
        return text
    return "".join(c if gsm7.is_gsm7(c) else _plain(c) for c in text)


def _filled(key: str, facts: Mapping[str, object]) -> str:
    text = (_in_force.get() or {}).get(key)
    if text is not None:
        try:
            return text.format(**facts)
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            # Saved under a release that told more facts. A customer had better hear the delivered text than nothing.
            logger.error("wording %s is in force but can't be filled (%s): said as delivered", key, error)
    return WORDINGS[key].format(**facts)


def _plain(character: str) -> str:
    return "".join(c if gsm7.is_gsm7(c) else "?" for c in unaccent(character))


def fit(word: Callable[[Sequence[Item], int], str], items: Sequence[Item]) -> str:
    """The reply that tells as many of the items as three segments hold, and how many it leaves out.

    ``word`` gets the items to tell and the number left out.
    """
    for told in range(min(len(items), MOST_CHARACTERS), 1, -1):  # each takes a character at least
        text = word(items[:told], len(items) - told)
        if gsm7.measure(text).segments <= MOST_SEGMENTS:
            return text
    return word(items[:1], len(items) - 1)


def number(value: Decimal) -> str:
    """9618.000 as 9618, 9618.500 as 9618.5."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def day(value: date) -> str:
    """10 June 2016 as 10/6/2016."""
    return f"{value.day}/{value.month}/{value.year}"


def moment(value: datetime) -> str:
    """01/10/2016 9:30; the caller passes local time."""
    return f"{value:%d/%m/%Y} {value.hour}:{value:%M}"
