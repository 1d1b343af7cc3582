"""Sample exports as the billing system writes them, each kind in another of the file formats that occur.

Made up, but for the published example customer. ``python -m evncare.desk.samples`` writes them anew. Only outages
depend on the day: ``write_outages_around`` makes the file of a day from a template, so that one is always running.
"""

import csv
import re
from datetime import date, timedelta
from pathlib import Path

DIRECTORY = Path(__file__).parent

# In the order in which they have to be loaded.
FILES = {
    "customers": DIRECTORY / "customers.csv",
    "schedules": DIRECTORY / "schedules.txt",
    "readings": DIRECTORY / "readings.xlsx",
    "invoices": DIRECTORY / "invoices.csv",
    "debts": DIRECTORY / "debts.csv",
    "outages": DIRECTORY / "outages.csv",
}
OUTAGES_TEMPLATE = DIRECTORY / "outages-of-a-day.csv"

EXAMPLE_CUSTOMER = "PP05000974006"
EXAMPLE_STATION = "0500-118"
EXAMPLE_PHONE = "0905123456"
OUTAGES_QUESTION = f"LCD {EXAMPLE_CUSTOMER}"

# The six messages and replies that EVNCPC published; they hold for the files above, asked in October 2016.
PUBLISHED = {
    f"LGD {EXAMPLE_CUSTOMER} 1 10 2016": (
        "EVNCPC thong bao lich ghi dien Ky: 1, Thang: 10, Nam: 2016 cua khach hang la ngay: 10/6/2016. "
        "Cam on quy khach da su dung dich vu cua chung toi."
    ),
    f"CS {EXAMPLE_CUSTOMER} 1 10 2016": (
        "EVNCPC thong bao chi so cua khach hang PP05000974006, BCS: KT, HSN: 1, chi so cu: 9618, "
        "chi so moi: 10004, dien nang tieu thu: 386. Xin cam on quy khach."
    ),
    f"TD {EXAMPLE_CUSTOMER} 1 10 2016": (
        "EVNCPC thong bao tien dien Ky 1 Thang 10 Nam 2016 cua khach hang la 500550 dong. "
        "Cam on quy khach da su dung dich vu cua chung toi."
    ),
    f"NTD {EXAMPLE_CUSTOMER}": (
        "EVNCPC thong bao no tien dien cua khach hang Ky 1 Thang 10 Nam 2016: Tien no: 650000, thue no: 65000, "
        "tong cong: 715000. Xin cam on quy khach."
    ),
    OUTAGES_QUESTION: (
        "EVNCPC thong bao lich tam ngung cung cap dien cua quy khach la tu: 01/10/2016 9:30 den: 20/10/2016 15:00. "
        "Cam on quy khach da su dung dich vu cua chung toi."
    ),
    "TC": (
        "1.LichGhiDien\nLGD_MaKH_ky_thang_nam\n2.ChiSoTieuThu\nCS_MaKH_ky_thang_nam\n3.TienDien\n"
        "TD_MaKH_ky_thang_nam\n4.NoTienDien\nNTD_MaKH\n5.LichCatDien\nLCD_MaKH"
    ),
}


def write_outages_around(day: date, path: Path) -> None:
    """Write the outages export of that day, in which the example customer has exactly one, running.

    The template says ``today-1 07:30`` for half past seven the day before. Codes stay the same from day to day, so
    that loading the file of another day moves the outages instead of adding some.
    """

    def dated(match: re.Match[str]) -> str:
        return f"{day + timedelta(days=int(match[1])):%d/%m/%Y}"

    text = OUTAGES_TEMPLATE.read_bytes().decode("utf-8-sig")
    path.write_bytes(re.sub(r"today([+-]\d+)", dated, text).encode("utf-8-sig"))


def published_around(outages_file: Path) -> dict[str, str]:
    """The published replies, with the hours that ``write_outages_around`` wrote in place of those of October 2016."""
    with outages_file.open(encoding="utf-8-sig", newline="") as file:
        [outage] = [row for row in csv.DictReader(file, delimiter=";") if row["MA_TRAM"] == EXAMPLE_STATION]
    start, end = (re.sub(r" 0(?=\d:)", " ", outage[column]) for column in ("TU_NGAY", "DEN_NGAY"))
    reply = PUBLISHED[OUTAGES_QUESTION].replace("01/10/2016 9:30", start).replace("20/10/2016 15:00", end)
    return PUBLISHED | {OUTAGES_QUESTION: reply}
