"""The made-up customers and what the billing system knows of them, as lines of COPY."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import accumulate

from billing.models import search_text

# Shares of the names are in thousandths.
FAMILIES = {
    "Nguyễn": 384, "Trần": 121, "Lê": 95, "Phạm": 70, "Huỳnh": 38, "Hoàng": 13, "Phan": 45, "Võ": 28, "Vũ": 11,
    "Đặng": 21, "Bùi": 20, "Đỗ": 14, "Hồ": 13, "Ngô": 13, "Dương": 10, "Lý": 5, "Trương": 22, "Đinh": 10, "Đoàn": 9,
    "Mai": 9, "Cao": 8, "Lương": 7, "Hà": 6, "Thái": 5, "Châu": 4, "Tạ": 4, "Văn": 4, "Kiều": 3, "Tôn Nữ": 2,
    "Rơ Châm": 2, "Y Blô": 1, "Alăng": 1, "Ksor": 1, "Ung": 1,
}  # fmt: skip
MIDDLES = {
    "Thị": 300, "Văn": 210, "Thị Thanh": 30, "Thị Mỹ": 25, "Thị Kim": 25, "Thị Thu": 25, "Ngọc": 60, "Đức": 40,
    "Minh": 45, "Quốc": 35, "Hữu": 40, "Xuân": 30, "Đình": 30, "Công": 25, "Thanh": 40, "Bảo": 15, "Hoàng": 20,
    "Tấn": 15, "Bá": 10, "Viết": 10,
}  # fmt: skip
GIVENS = (
    "An", "Anh", "Ánh", "Bình", "Bích", "Châu", "Chi", "Chung", "Cường", "Dung", "Dũng", "Duy", "Dương", "Đạt",
    "Điệp", "Đông", "Đức", "Giang", "Hà", "Hải", "Hạnh", "Hằng", "Hậu", "Hiền", "Hiệp", "Hiếu", "Hoa", "Hòa",
    "Hoàng", "Hồng", "Huệ", "Hùng", "Hưng", "Hương", "Hường", "Huy", "Khanh", "Khánh", "Khoa", "Kiên", "Lan", "Lâm",
    "Liên", "Linh", "Loan", "Lộc", "Long", "Lợi", "Ly", "Mai", "Mạnh", "Minh", "My", "Nam", "Nga", "Ngân", "Nghĩa",
    "Ngọc", "Nguyên", "Nhân", "Nhi", "Nhung", "Oanh", "Phát", "Phong", "Phú", "Phúc", "Phương", "Phượng", "Quân",
    "Quang", "Quý", "Quyên", "Sang", "Sơn", "Sương", "Tâm", "Tân", "Thanh", "Thảo", "Thắng", "Thành", "Thi",
    "Thịnh", "Thoa", "Thu", "Thủy", "Thúy", "Tiên", "Tiến", "Tín", "Toàn", "Trang", "Trí", "Trinh", "Trung",
    "Trường", "Tú", "Tuấn", "Tùng", "Tuyết", "Tường", "Uyên", "Vân", "Việt", "Vinh", "Vũ", "Vương", "Vy", "Xuân",
    "Ý", "Yến",
)  # fmt: skip
FIRMS = ("Công ty TNHH", "Công ty CP", "Khách sạn", "Hợp tác xã", "Nhà hàng", "Trường tiểu học", "Xưởng gỗ", "Quán")
STREETS = (
    "Trần Phú", "Lê Duẩn", "Nguyễn Văn Linh", "Hùng Vương", "Phan Châu Trinh", "Bạch Đằng", "Điện Biên Phủ", "Lê Lợi",
    "Hoàng Diệu", "Nguyễn Tất Thành", "Lý Thường Kiệt", "Quang Trung", "Ông Ích Khiêm", "Tôn Đức Thắng", "Duy Tân",
    "Trưng Nữ Vương", "Nguyễn Hữu Thọ", "Núi Thành", "2 Tháng 9", "30 Tháng 4", "Cách Mạng Tháng Tám", "Hàm Nghi",
    "Nguyễn Chí Thanh", "Phan Đăng Lưu", "Trần Cao Vân", "Trần Hưng Đạo", "Nguyễn Huệ", "Lê Hồng Phong",
    "Phạm Văn Đồng", "Võ Nguyên Giáp", "Ngô Quyền", "Nguyễn Công Trứ", "Hải Phòng", "Thái Phiên", "Nguyễn Du",
    "Hà Huy Tập", "Đống Đa", "Huỳnh Thúc Kháng", "Phan Bội Châu", "Y Jút", "Nơ Trang Long", "Tăng Bạt Hổ",
    "Mai Xuân Thưởng", "Bùi Thị Xuân",
)  # fmt: skip
VILLAGES = (
    "Hòa",
    "Bình",
    "Tam",
    "Đại",
    "Điện",
    "Quế",
    "Phú",
    "Cam",
    "Gio",
    "Vĩnh",
    "Ia",
    "Ea",
    "Phước",
    "Nhơn",
    "Tịnh",
)
VILLAGE_ENDS = (
    "Tiến",
    "Phước",
    "Sơn",
    "An",
    "Thọ",
    "Lộc",
    "Hưng",
    "Trung",
    "Mỹ",
    "Thạnh",
    "Kênh",
    "Kao",
    "Hiệp",
    "Châu",
)
# Province -> its management units and its wards.
PROVINCES = {
    "Đà Nẵng": (["PP0100", "PP0300", "PP0500", "PP0700", "PP0900"], "Hải Châu,Thanh Khê,Sơn Trà,Liên Chiểu,Cẩm Lệ"),
    "Quảng Nam": ([f"PQ{n:02}00" for n in range(1, 18, 2)], "Tam Kỳ,Hội An,Điện Bàn,Duy Xuyên,Đại Lộc,Núi Thành"),
    "Quảng Bình": (["PC01AA", "PC01BB", "PC01CC", "PC01DD", "PC01EE"], "Đồng Hới,Ba Đồn,Lệ Thủy,Bố Trạch"),
    "Quảng Trị": (["PC02AA", "PC02BB", "PC02CC", "PC02DD"], "Đông Hà,Gio Linh,Hải Lăng,Cam Lộ"),
    "Thừa Thiên Huế": (["PC03AA", "PC03BB", "PC03CC", "PC03DD", "PC03EE"], "Thuận Hóa,Phú Xuân,Hương Thủy,Phú Vang"),
    "Quảng Ngãi": (["PC04AA", "PC04BB", "PC04CC", "PC04DD", "PC04EE"], "Trần Phú,Nghĩa Lộ,Bình Sơn,Sơn Tịnh,Lý Sơn"),
    "Bình Định": (["PC06AA", "PC06BB", "PC06CC", "PC06DD", "PC06EE", "PC06FF"], "Quy Nhơn,An Nhơn,Tuy Phước,Phù Cát"),
    "Phú Yên": (["PC07AA", "PC07BB", "PC07CC", "PC07DD"], "Tuy Hòa,Sông Cầu,Đông Hòa,Tuy An"),
    "Kon Tum": (["PC08AA", "PC08BB", "PC08CC"], "Quyết Thắng,Đăk Hà,Ngọc Hồi"),
    "Gia Lai": (["PC05GG", "PC05HH", "PC05II", "PC05KK", "PC05LL"], "Pleiku,An Khê,Chư Sê,Ayun Pa"),
    "Đắk Lắk": (["PC10AA", "PC10BB", "PC10CC", "PC10DD", "PC10EE", "PC10FF"], "Tân Lợi,Ea Tam,Krông Pắc,Buôn Hồ"),
    "Đắk Nông": (["PC11AA", "PC11BB", "PC11CC"], "Nghĩa Tân,Đắk Mil,Cư Jút"),
}
UNITS = [(unit, province, wards.split(",")) for province, (units, wards) in PROVINCES.items() for unit in units]
BOOK_SIZE, STATION_SIZE = 300, 150
DIALLING_CODES = {
    "8490": 10, "8493": 8, "8489": 3, "8491": 10, "8494": 8, "8488": 3, "8496": 8, "8497": 10, "8498": 10, "8486": 4,
    "8432": 3, "8433": 4, "8435": 5, "8438": 4, "8470": 3, "8476": 2, "8481": 2, "8485": 3,
}  # fmt: skip


@dataclass
class People:
    """What else has to know the customers, by their place among all."""

    codes: list[str] = field(default_factory=list)
    phones: list[str] = field(default_factory=list)  # the first of each; empty for those without one
    books: list[tuple[str, str]] = field(default_factory=list)  # each unit's
    stations: list[str] = field(default_factory=list)


def weighted(chance: random.Random, shares: dict[str, int]) -> Iterator[str]:
    names, weights = list(shares), list(accumulate(shares.values()))
    while True:
        yield from chance.choices(names, cum_weights=weights, k=1000)


CUSTOMERS = "code name address phones email unit book station search_text"


def customers(number: int, seed: int, people: People) -> Iterator[str]:
    """Unit by unit, as the billing system exports them, their codes rising with gaps. Notes them in ``people``."""
    chance = random.Random(seed)
    roll, pick = chance.random, chance.choice
    family, middle, dialling = (weighted(chance, shares) for shares in (FAMILIES, MIDDLES, DIALLING_CODES))
    of_unit = math.ceil(number / len(UNITS))
    step = 9_900_000 // of_unit

    def phone() -> str:
        return f"{next(dialling)}{int(roll() * 10_000_000):07}"

    for n in range(number):
        place, (unit, province, wards) = n % of_unit, UNITS[n // of_unit]
        code = f"{unit}{place * step + int(roll() * step):07}"
        person = f"{next(family)} {next(middle)} {pick(GIVENS)}"
        name = f"{pick(FIRMS)} {person}" if is_firm(n) else person
        house = f"K{int(roll() * 400) + 1}/{int(roll() * 60) + 1}" if roll() < 0.2 else str(int(roll() * 600) + 1)
        if roll() < 0.5:
            address = f"{house} {pick(STREETS)}, {pick(wards)}, {province}"
        else:
            address = (
                f"Thôn {int(roll() * 12) + 1}, xã {pick(VILLAGES)} {pick(VILLAGE_ENDS)}, {pick(wards)}, {province}"
            )
        share = roll()
        phones = "" if share < 0.05 else f"{phone()} {phone()}" if share > 0.75 else phone()
        email = f"{code.lower()}@example.com" if share > 0.9 else ""
        book, station = f"{place // BOOK_SIZE + 101:04}", f"{unit[2:]}-{place // STATION_SIZE + 101}"
        people.codes.append(code)
        people.phones.append(phones[:11])
        if place % BOOK_SIZE == 0:
            people.books.append((unit, book))
        if place % STATION_SIZE == 0:
            people.stations.append(station)
        yield f"{code}\t{name}\t{address}\t{phones}\t{email}\t{unit}\t{book}\t{station}\t{search_text(name, address)}"


def is_firm(n: int) -> bool:
    return n % 50 == 7


# A customer's number and a month decide what they used, wherever that is told.


def months_before(day: date, count: int) -> list[tuple[int, int]]:
    """So many whole months before the day's, as year and month, the earliest first."""
    end = day.year * 12 + day.month - 1
    return [(month // 12, month % 12 + 1) for month in range(end - count, end)]


def used(n: int, month: int) -> int:
    """kWh of the customer in a month 1-12."""
    spread = (n * 2_654_435_761 + month * 40_503_001 >> 5) & 0xFF
    return 15 + spread * spread // (20 if is_firm(n) else 160)


def price(kwh: int) -> tuple[int, int]:
    """What that costs, and the tax on it."""
    amount = kwh * 1984 + max(0, kwh - 50) * 66 + max(0, kwh - 100) * 330 + max(0, kwh - 200) * 618
    return amount, amount * 8 // 100


def bill_id(n: int, year: int, month: int) -> str:
    return f"{year % 100:02}{month:02}{n:08}"


INVOICES = "bill_id customer_id year month ky kind consumption amount tax total issue_date original_id adjustment"


def invoices(people: People, months: list[tuple[int, int]]) -> Iterator[str]:
    """Month by month, as they are loaded; one bill in 67 is adjusted."""
    for year, month in months:
        period = f"{year}\t{month}\t1"
        for n, code in enumerate(people.codes):
            bill, kwh = bill_id(n, year, month), used(n, month)
            amount, tax = price(kwh)
            issued = f"{year}-{month:02}-{n % 20 + 8:02}"
            yield f"{bill}\t{code}\t{period}\tTD\t{kwh}\t{amount}\t{tax}\t{amount + tax}\t{issued}\t\\N\t"
            if (n * 31 + month * 7) % 67 == 0:
                kind = ("TH", "TT", "HB", "LL")[n % 4]
                kwh, amount, tax = kwh // 10, amount // 10, tax // 10
                yield (
                    f"{bill}{kind}\t{code}\t{period}\tTD\t{kwh}\t{amount}\t{tax}\t{amount + tax}\t{issued}\t"
                    f"{bill}\t{kind}"
                )


READINGS = (
    "customer_id year month ky meter register reading_kind multiplier old_reading new_reading consumption reading_date"
)


def readings(people: People, months: list[tuple[int, int]]) -> Iterator[str]:
    """Single-rate meters, but for the three-price ones of firms."""
    for year, month in months:
        for n, code in enumerate(people.codes):
            kwh = used(n, month)
            old = n % 9_000 + kwh * month
            reading = f"{code}\t{year}\t{month}\t1\t{meter(n)}"
            read = f"{year}-{month:02}-{n % 20 + 6:02}"
            if not is_firm(n):
                yield f"{reading}\tKT\tDDK\t1\t{old}\t{old + kwh}\t{kwh}\t{read}"
                continue
            for register, share in (("BT", kwh // 2), ("CD", kwh // 4), ("TD", kwh // 5)):
                yield f"{reading}\t{register}\tDDK\t20\t{old}\t{old + share}\t{share * 20}\t{read}"


def meter(n: int) -> str:
    """The number of a customer's meter: in no order, and nobody else's."""
    return f"{18 + n % 9}{n * 7_368_787 % 100_000_000:08}"


DEBTS = "bill_id customer_id year month ky kind amount tax due_date settled_at"


def debts(people: People, months: list[tuple[int, int]]) -> Iterator[str]:
    """Of the latest month 8 % of the customers owe, of the one before 2 %; as many paid what they owed earlier."""
    for ago, (year, month) in enumerate(reversed(months)):
        due = date(year, month, 28)
        settled = r"\N" if ago < 2 else f"{due + timedelta(days=9)} 08:00:00+07"
        for n, code in enumerate(people.codes):
            if (n * 37 + (0 if ago < 2 else month * 13)) % 100 < (2 if ago == 1 else 8):
                amount, tax = price(used(n, month))
                yield f"{bill_id(n, year, month)}\t{code}\t{year}\t{month}\t1\tTD\t{amount}\t{tax}\t{due}\t{settled}"


SCHEDULES = "unit book year month ky reading_date"


def schedules(people: People, months: list[tuple[int, int]]) -> Iterator[str]:
    for year, month in months:
        for unit, book in people.books:
            yield f"{unit}\t{book}\t{year}\t{month}\t1\t{year}-{month:02}-{int(book) % 20 + 6:02}"


OUTAGES = "code station start_at end_at kind reason status"
REASONS = (
    "Bảo trì đường dây",
    "Nâng cấp trạm biến áp",
    "Thay máy biến áp",
    "Cải tạo lưới điện",
    "Cây đổ vào đường dây",
)


def outages(people: People, seed: int, until: datetime) -> Iterator[str]:
    """Two a station over the year and the weeks to come, a few of them running or still to be approved."""
    chance = random.Random(seed)
    for place in range(2 * len(people.stations)):
        start = until + timedelta(minutes=15 * chance.randint(-365 * 96, 20 * 96))
        sudden = start <= until and chance.random() < 0.4
        end = start + timedelta(minutes=30 * chance.randint(1, 12))
        known_end = r"\N" if sudden and end > until else end
        status = "APPROVED" if sudden else chance.choices(("APPROVED", "PENDING", "CANCELLED"), (90, 6, 4))[0]
        yield (
            f"L{place:07}\t{people.stations[place // 2]}\t{start}\t{known_end}\t{'DX' if sudden else 'KH'}\t"
            f"{'Sự cố' if sudden else chance.choice(REASONS)}\t{status}"
        )
