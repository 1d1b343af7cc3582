"""The made-up messages, their replies and what became of both, as lines of COPY: day by day, in the order of time."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import accumulate
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sms.gsm7 import measure
from sms.syntaxes import catalogue_text
from sms.wording import WORDINGS
from tests.bench.population.accounts import DIALLING_CODES, People, price, used, weighted
from tests.bench.population.filling import text as copied

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
# So many days before the last one a storm cut the power, and so many times as many asked.
STORMS, STORM = (37, 379), 12
# Moves of older messages would be twenty million rows that no page lists.
DAYS_WITH_MOVES = 7
# What failed earlier was settled by staff.
DAYS_UNSETTLED = 2

HOTLINE = "19001909"
BY_HOUR = (4, 2, 1, 1, 3, 12, 30, 55, 80, 85, 75, 60, 50, 50, 60, 65, 60, 55, 55, 65, 60, 45, 25, 12)
QUESTIONS = {"NTD": 44, "TD": 24, "LCD": 14, "CS": 9, "LGD": 6, "TC": 3}
IN_A_STORM = {"LCD": 80, "NTD": 12, "TD": 5, "TC": 3}
# How customers type a keyword and a code, and a period; mostly as published.
ASKED = (
    *["{k} {c}"] * 12, *["{l} {d}"] * 3, "{k}_{c}", "{k}{c}", "{k}.{c}", "{k} <{c}>", "{k} {o}", "{l} {s}",
    "EVNCPC {k} {c}", "Tra cuu {k} {c}",
)  # fmt: skip
WHEN = (
    *[" 1 {m} {y}"] * 8, "_1_{m}_{y}", " ky 1 thang {m} nam {y}", " Kỳ 1 Tháng {m} Năm {y}", " 1/{m}/{y}",
    " k1 t{m} n{y}",
)  # fmt: skip
CHATTER = (
    "Alo", "Xin chào", "Cho hỏi tiền điện tháng này", "mat dien tu sang den gio chua co", "Khi nào có điện lại vậy",
    "nha toi mat dien", "Cúp điện hoài vậy", "sao tien dien cao qua", "Cam on", "ok", "?", "so dien thoai tong dai",
    "Dong ho dien bi hong nho kiem tra giup", "dien yeu qua may lanh khong chay", "toi da dong tien roi",
    "ma khach hang",
)  # fmt: skip
SELDOM = ("Tôi muốn khiếu nại về hóa đơn", "Bồi thường thiết bị hư hỏng do chập điện", "Xin hoãn nợ vì lũ lụt")
ADVERTISEMENT = "Khuyen mai 50% gia tri the nap"
OPERATORS = {"viettel": "Viettel", "vinaphone": "Vinaphone", "mobifone": "MobiFone"}
CARRIER_OF = {
    **dict.fromkeys(("8490", "8493", "8489", "8470", "8476"), "mobifone"),
    **dict.fromkeys(("8491", "8494", "8488", "8481", "8485"), "vinaphone"),
}

INBOUND = (
    "id carrier message_id sender short_code text operator sent_at payload received_at state attempts failure keyword "
    "customer_code ky month year outcome refusal repeats_id concluded_at settled_at"
)
OUTBOUND = (
    "id inbound_id reference carrier recipient short_code wording text encoding segments charge created_at state "
    "attempts send_after claimed_at sent_at reported_at carrier_message_id failure settled_at"
)
MOVES = "inbound_id outbound_id before after at cause"
CLOCK = [f"{h:02}:{m:02}:{s:02}" for h in range(24) for m in range(60) for s in range(60)]
NULL = r"\N"
# An odd factor makes of rising numbers others that look like chance, each once.
FACTOR, ALL_BITS = 0x9E3779B97F4A7C15F39CC0605CEDC835, (1 << 128) - 1


class Exchange(NamedTuple):
    """What was asked, understood and replied; without a reply where a rule is against it."""

    text: str
    keyword: str
    customer: str
    period: str
    outcome: str
    wording: str
    reply: str
    refusal: str = ""


@dataclass
class Day:
    """The lines of one day, by table."""

    inbound: list[str] = field(default_factory=list)
    outbound: list[str] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)


def days(messages: int, number: int, seed: int, people: People, until: datetime) -> Iterator[Day]:
    """So many messages over a number of days, the last of them just before ``until``, in Vietnamese time."""
    chance = random.Random(seed + 1)
    agos = range(number - 1, -1, -1)
    weights = [_weight(ago, until) for ago in agos]
    total, before = sum(weights), 0
    for ago, so_far in zip(agos, accumulate(weights), strict=True):
        end = round(messages * so_far / total)
        yield _day(chance, people, until, ago, range(before + 1, end + 1))
        before = end


def _weight(ago: int, until: datetime) -> float:
    """How many messages a day has beside others: fewer on Sundays, more when bills go out, very many in a storm."""
    day = until.date() - timedelta(days=ago)
    weight = (0.7 if day.weekday() == 6 else 1) * (1.4 if 8 <= day.day <= 15 else 1) * (STORM if ago in STORMS else 1)
    return weight if ago else weight * sum(BY_HOUR[: until.hour]) / sum(BY_HOUR)


def _day(chance: random.Random, people: People, until: datetime, ago: int, ids: range) -> Day:
    roll = chance.random
    found = Day()
    day = until.date() - timedelta(days=ago)
    storm = ago in STORMS
    hours = range(24 if ago else until.hour)
    # Until seven minutes before midnight, so that all of a message's life is of its day.
    moments = sorted(
        min(86_000, (hour + roll()) * 3600)
        for hour in chance.choices(hours, cum_weights=list(accumulate(BY_HOUR[: len(hours)])), k=len(ids))
    )
    if not ago:
        now = (until - datetime.combine(day, time(), VIETNAM)).total_seconds()
        moments[-5:] = [now - 10 * left for left in range(len(moments[-5:]), 0, -1)]
    questions = weighted(chance, IN_A_STORM if storm else QUESTIONS)
    dialling = weighted(chance, DIALLING_CODES)
    customers = len(people.codes)
    sender, exchange = "", None
    for pk, at in zip(ids, moments, strict=True):
        repeats = NULL
        if exchange and exchange.outcome != "refused" and roll() < 0.004:
            repeats = str(pk - 1)
            exchange = exchange._replace(outcome="refused", reply="", refusal="RESENT")
        else:
            # A few ask again and again: every second question is of a tenth of the customers.
            n = int(roll() * customers)
            n = n if roll() < 0.5 else n // 10 * 10
            sender = people.phones[n] if roll() < 0.85 else ""
            sender = sender or f"{next(dialling)}{int(roll() * 10_000_000):07}"
            exchange = _exchange(chance, people, n, next(questions), day)
            if exchange.refusal == "UNANSWERABLE_SENDER":
                sender = "QUANGCAO"
        carrier = CARRIER_OF.get(sender[:4], "viettel")
        waits = not ago and pk > ids[-1] - 2
        set_aside = not waits and not exchange.refusal and roll() < 0.0001
        took = 0.2 + roll() * (120 if storm and roll() < 0.3 else 2)

        def stamp(seconds: float, day: date = day) -> str:
            return f"{day} {CLOCK[int(seconds)]}.{int(seconds * 1000) % 1000:03}+07"

        received, concluded = stamp(at), stamp(at + took)
        settled = stamp(at + 200) if ago > DAYS_UNSETTLED else NULL
        if waits or set_aside:
            state = "WAITING\t0\t" if waits else "SET_ASIDE\t3\tDatabaseError"
            conclusion = f"{state}\t\t\t{NULL}\t{NULL}\t{NULL}\t\t\t{NULL}\t{NULL}\t{settled if set_aside else NULL}"
        else:
            conclusion = (
                f"{'ANSWERED' if exchange.reply else 'REFUSED'}\t0\t\t{exchange.keyword}\t{exchange.customer}\t"
                f"{exchange.period}\t{exchange.outcome}\t{exchange.refusal}\t{repeats}\t{concluded}\t{NULL}"
            )
        number = f"{carrier[:2].upper()}{pk:010}"
        payload = f"id={number}&from={sender}&to=8088&text={exchange.text}".encode().hex()
        found.inbound.append(
            f"{pk}\t{carrier}\t{number}\t{sender}\t8088\t{exchange.text}\t{OPERATORS[carrier]}\t"
            f"{stamp(max(0, at - 2))}\t\\\\x{payload}\t{received}\t{conclusion}"
        )
        moves = ago < DAYS_WITH_MOVES and not waits
        if moves:
            after = "SET_ASIDE" if set_aside else "ANSWERED" if exchange.reply else "REFUSED"
            found.moves.append(f"{pk}\t{NULL}\tWAITING\t{after}\t{concluded}\tanswering")
        if not exchange.reply or waits or set_aside:
            continue
        fate, failure = _fate(roll())
        sent, reported = at + took + 0.1 + roll() * 2, at + took + 3 + roll() * 30
        if not ago and reported > now:
            fate, failure = "SENT", ""
        tried = NULL if fate == "UNKNOWN" else stamp(sent)
        told = NULL if fate in ("SENT", "UNKNOWN") else stamp(reported)
        text = exchange.reply
        found.outbound.append(
            f"{pk}\t{pk}\t{pk * FACTOR & ALL_BITS:032x}\t{carrier}\t{sender}\t8088\t{exchange.wording}\t{text}\tGSM-7\t"
            f"{1 if len(text) <= 160 else 2}\t{exchange.outcome == 'answered'}\t{concluded}\t{fate}\t1\t{concluded}\t"
            f"{stamp(at + took + 0.1)}\t{tried}\t{told}\t{number[:2]}{pk * FACTOR & 0xFFFFFFFFFF:010x}\t{failure}\t"
            f"{settled if failure else NULL}"
        )
        if moves:
            found.moves.append(f"{NULL}\t{pk}\tWAITING\tSENDING\t{stamp(at + took + 0.1)}\tclaimed for {carrier}")
            if fate == "UNKNOWN":
                found.moves.append(f"{NULL}\t{pk}\tSENDING\tUNKNOWN\t{stamp(sent)}\t{carrier}: timed out")
                continue
            found.moves.append(f"{NULL}\t{pk}\tSENDING\tSENT\t{stamp(sent)}\t{carrier} took it")
            if fate != "SENT":
                found.moves.append(f"{NULL}\t{pk}\tSENT\t{fate}\t{stamp(reported)}\treported {fate.lower()}")
    return found


def _fate(share: float) -> tuple[str, str]:
    """The state a reply came to, and the failure."""
    if share < 0.967:
        return "DELIVERED", ""
    if share < 0.998:
        return "SENT", ""
    if share < 0.9988:
        return "EXPIRED", "reported expired"
    if share < 0.9998:
        return "FAILED", "reported failed: absent subscriber"
    return "UNKNOWN", "timed out"


def _exchange(chance: random.Random, people: People, n: int, keyword: str, day: date) -> Exchange:
    roll, pick = chance.random, chance.choice
    share = roll()
    none = f"{NULL}\t{NULL}\t{NULL}"
    if share < 0.04:
        chatter = pick(SELDOM) if roll() < 0.001 else pick(CHATTER)
        return Exchange(chatter, "", "", none, "bad_syntax", "bad_syntax", CATALOGUE)
    if share < 0.045:
        return Exchange(ADVERTISEMENT, "", "", none, "refused", "", "", "UNANSWERABLE_SENDER")
    if keyword == "TC":
        return Exchange(pick(("TC", "tc", "Tc", "TC.")), "TC", "", none, "answered", "TC.answered", CATALOGUE)
    code = people.codes[n]
    if share < 0.055:
        return Exchange(
            f"{keyword} {code}", keyword, code, none, "refused", "", "", pick(("TOO_MANY", "BLOCKED", "TOO_MANY_CODES"))
        )  # without a period also where one is due: what is refused is not looked at more closely
    # Mostly the month before, sometimes the running one, which has no bill yet.
    months_ago = 0 if share > 0.93 else 1 + int(roll() ** 3 * 6)
    year, month = divmod(day.year * 12 + day.month - 1 - months_ago, 12)
    month += 1
    period = f"1\t{month}\t{year}" if keyword in ("TD", "CS", "LGD") else none
    if share < 0.08:
        text = f"{keyword} {code[:12]}"
        reply = BAD_CODE.format(command=f"{keyword} MaKH ky thang nam" if period != none else f"{keyword} MaKH")
        return Exchange(text, keyword, "", none, "bad_syntax", "bad_code", reply)
    unknown = share < 0.105
    if unknown:
        code = f"{code[:6]}99{int(roll() * 100_000):05}"
    text = pick(ASKED).format(
        k=keyword, c=code, l=keyword.lower(), d=code.lower(), o=code[:6] + code[6:].replace("0", "O"),
        s=f"{code[:2]} {code[2:6]} {code[6:]}".lower(),
    )  # fmt: skip
    if period != none:
        text += pick(WHEN).format(m=month, y=year)
    if unknown:
        reply = UNKNOWN_CUSTOMER.format(customer=code)
        return Exchange(text, keyword, code, period, "unknown_customer", "unknown_customer", reply)
    outcome, wording, reply = ANSWERS[keyword](n, code, year, month, months_ago, roll())
    return Exchange(text, keyword, code, period, outcome, wording, reply)


# The replies, with our wordings. Of each: the outcome, the wording and the text.

Told = tuple[str, str, str]


def _wording(key: str) -> str:
    """The wording as COPY has it, with what is the same in all replies."""
    known = {"hotline": HOTLINE, "prefixes": "PP, PQ, PC", "short_code": "8088", "existing": "", "register": "KT"}
    text = WORDINGS[key]
    for name, value in known.items():
        text = text.replace(f"{{{name}}}", value)
    return text


CATALOGUE = copied(catalogue_text())
BAD_CODE, UNKNOWN_CUSTOMER = _wording("bad_code"), _wording("unknown_customer")
NO_DATA = {keyword: _wording(f"{keyword}.no_data") for keyword in ("TD", "CS", "LGD")}
ANSWERED = {keyword: _wording(f"{keyword}.answered") for keyword in QUESTIONS if keyword != "TC"}
NO_DEBT, NO_OUTAGE = _wording("NTD.none"), _wording("LCD.none")


def _no_data(keyword: str, code: str, year: int, month: int) -> Told:
    period = f"Ky 1 Thang {month} Nam {year}"
    return "no_data", f"{keyword}.no_data", NO_DATA[keyword].format(period=period, customer=code)


def _amount(n: int, code: str, year: int, month: int, months_ago: int, share: float) -> Told:
    if not months_ago:
        return _no_data("TD", code, year, month)
    text = ANSWERED["TD"].format(period=f"Ky 1 Thang {month} Nam {year}", total=sum(price(used(n, month))))
    return "answered", "TD.answered", text


def _reading(n: int, code: str, year: int, month: int, months_ago: int, share: float) -> Told:
    if not months_ago:
        return _no_data("CS", code, year, month)
    kwh = used(n, month)
    old = n % 9_000 + kwh * month
    text = ANSWERED["CS"].format(customer=code, multiplier=1, old=old, new=old + kwh, consumption=kwh)
    return "answered", "CS.answered", text


def _reading_date(n: int, code: str, year: int, month: int, months_ago: int, share: float) -> Told:
    text = ANSWERED["LGD"].format(ky=1, month=month, year=year, date=f"{n % 20 + 6}/{month}/{year}")
    return "answered", "LGD.answered", text


def _debt(n: int, code: str, year: int, month: int, months_ago: int, share: float) -> Told:
    if share > 0.3:
        return "answered", "NTD.none", NO_DEBT.format(customer=code)
    amount, tax = price(used(n, month))
    period = f"Ky 1 Thang {month} Nam {year}"
    return (
        "answered",
        "NTD.answered",
        ANSWERED["NTD"].format(period=period, amount=amount, tax=tax, total=amount + tax),
    )


def _outage(n: int, code: str, year: int, month: int, months_ago: int, share: float) -> Told:
    if share > 0.3:
        return "answered", "LCD.none", NO_OUTAGE.format(customer=code)
    hours = f"tu: {n % 28 + 1:02}/{month:02}/{year} {n % 12 + 5}:30 den: {n % 28 + 1:02}/{month:02}/{year} 19:00"
    return "answered", "LCD.answered", ANSWERED["LCD"].format(outages=hours)


ANSWERS: dict[str, Callable[[int, str, int, int, int, float], Told]] = {
    "TD": _amount, "CS": _reading, "LGD": _reading_date, "NTD": _debt, "LCD": _outage,
}  # fmt: skip

# Each reply is of one or two segments, which is all that is counted above.
assert all(measure(text).segments <= 2 for text in (*NO_DATA.values(), *ANSWERED.values(), BAD_CODE, NO_OUTAGE))
