"""The words of every reply: unaccented, GSM-7, never more than three segments. Pure.

The published replies are exact to the character; the others speak in the same voice, and each names the
command that would have worked or the hotline.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TypeVar

from evncare.text import unaccent
from sms import gsm7

MOST_SEGMENTS = 3

# Keyed by question and case. A text made of parts (registers, debts, outages) has a wording for the part too.
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


def fill(key: str, **facts: object) -> str:
    """The wording with its placeholders replaced. What GSM-7 lacks is unaccented, or else shown as "?"."""
    text = WORDINGS[key].format(**facts)
    if gsm7.is_gsm7(text):
        return text
    return "".join(c if gsm7.is_gsm7(c) else "?" for c in unaccent(text))


def fit(word: Callable[[Sequence[Item], int], str], items: Sequence[Item]) -> str:
    """The reply that tells as many of the items as three segments hold, and how many it leaves out.

    ``word`` gets the items to tell and the number left out.
    """
    for told in range(len(items), 1, -1):
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
