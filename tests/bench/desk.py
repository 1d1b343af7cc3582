"""How fast the desk answers on a corporation's data, beside the plain admin: ``make bench ARGS=desk``.

Whole pages, from the request to the last byte, in one process on the embedded PostgreSQL. Rounds go through all pages,
so that a slow moment of the machine falls on ours and on the plain ones alike. The exit code is 1 if a goal is missed.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import time_machine

from evncare.embedded import postgres_server

DIRECTORY = Path(__file__).resolve().parent.parent.parent / "var" / "bench"
WARM_UPS, PLAIN_EVERY = 3, 5
CARRIERS = {name: {"BACKEND": "memory"} for name in ("viettel", "vinaphone", "mobifone")}

# The goals: of every page, and how many times as fast as the plain admin it has to be, by what is looked for.
MILLISECONDS, QUERIES = 100, 30
TIMES = {"name": 5, "phone": 20, "code": 20, "miss": 20}


@dataclass
class Page:
    """One page to measure: where it is, what it has to show, and the same with the plain admin.

    ``kind`` is one of TIMES, if the goal is to be so much faster.
    """

    what: str
    address: str
    plain: str = ""
    kind: str = ""
    shows: str = ""
    queries: int = 0
    wrong: str = ""
    ours: list[float] = field(default_factory=list)
    work: list[float] = field(default_factory=list)
    plains: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.ours) if self.ours else 0.0

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.ours, n=20)[-1] if len(self.ours) > 1 else self.median

    @property
    def worked(self) -> float:
        return statistics.median(self.work) if self.work else 0.0

    @property
    def plain_median(self) -> float | None:
        return statistics.median(self.plains) if self.plains else None

    @property
    def times(self) -> float | None:
        return self.plain_median / self.median if self.plain_median else None

    @property
    def misses(self) -> list[str]:
        """The goals that the page misses."""
        if self.wrong:
            return [self.wrong]
        found = [f"{self.median:.0f} ms"] if self.median > MILLISECONDS else []
        if self.queries > QUERIES:
            found.append(f"{self.queries} queries")
        if self.times is not None and self.times < TIMES.get(self.kind, 0):
            found.append(f"{self.times:.1f} times, not {TIMES[self.kind]}")
        return found


# What is looked for


def pages() -> list[Page]:
    """The pages, about a customer who has everything: phone, adjusted bill, meter, messages."""
    from django.urls import reverse

    from billing.models import Customer, MeterReading
    from sms.models import InboundMessage

    customer = busy_customer()
    code, phone = customer.code, customer.phones.split()[0]
    national = f"0{phone[2:]}"
    words = customer.name.split()
    street = next(c for c in Customer.objects.filter(search_text__words="bach dang")[:1])
    meter = MeterReading.objects.filter(customer=code, year=2026, month=10).values_list("meter", flat=True)[0]
    message = InboundMessage.objects.filter(customer_code=code, state="ANSWERED").latest("pk")
    surname, accented = "nguyen", "Nguyễn"

    customers, readings, messages = (
        reverse(f"plain:{model}_changelist")
        for model in ("billing_customer", "billing_meterreading", "sms_inboundmessage")
    )
    box, log = reverse("admin:search"), reverse("admin:sms_inboundmessage_changelist")
    customers_list, replies = (
        reverse("admin:billing_customer_changelist"),
        reverse("admin:sms_outboundmessage_changelist"),
    )

    def at(address: str, **query: str | int) -> str:
        return f"{address}?{urlencode(query)}"

    # What, typed at the desk, typed at the plain admin (which needs accents and no spaces), kind, what is found.
    about_customers = (
        ("full code", code, code, "code", code),
        ("half a code", f"{code[:2]} {code[2:6]} {code[6:9]}".lower(), code[:9], "code", code[:9]),
        ("phone 0...", national, phone[2:], "phone", code),
        ("phone +84 with spaces", f"+84 {phone[2:5]} {phone[5:8]} {phone[8:]}", phone[2:], "phone", code),
        ("phone 84...", phone, phone, "phone", code),
        ("half a phone", national[:7], phone[:8], "phone", ""),
        ("common surname", surname, accented, "name", accented),
        ("full name", _plain(customer.name), customer.name, "name", words[-1]),
        ("two letters", "ng", "ng", "name", "Ng"),
        (
            "name and street",
            f"{_plain(street.name.split()[-1])} bach dang",
            f"{street.name.split()[-1]} Bạch Đằng",
            "name",
            "Bạch Đằng",
        ),
        ("nothing found", "xqzw kkkq", "xqzw kkkq", "miss", ""),
    )
    found = []
    for what, ours, plain, kind, shows in about_customers:
        compared = at(customers, q=plain)
        found.append(Page(f"search: {what}", at(box, s=ours, extended=1), compared, kind, shows))
    found += [
        Page("search: meter number", at(box, s=meter, extended=1), at(readings, q=meter), "code", code),
        Page(
            "search: carrier's message id",
            at(box, s=message.message_id, extended=1),
            at(messages, q=message.message_id),
            "code",
            "",
        ),
        Page("search: no such phone", at(box, s="0999 000 111", extended=1), at(customers, q="999000111"), "miss"),
        Page("search: no such code", at(box, s="PP05009999999", extended=1), at(customers, q="PP05009999999"), "miss"),
    ]
    for what, ours, plain, kind, shows in about_customers:
        found.append(Page(f"customers: {what}", at(customers_list, q=ours), at(customers, q=plain), kind, shows))
    found += [
        Page("customers: first page", customers_list, customers, "", "PC01"),
        Page("customer's page", reverse("admin:billing_customer_change", args=[code]), "", "", code),
        Page("messages: first page", log, messages),
        Page("messages: page 20", at(log, p=20), at(messages, p=20)),
        Page("messages: phone", at(log, q=national), at(messages, q=phone), "phone", code),
        Page("messages: half a phone", at(log, q=national[:7]), at(messages, q=phone[:8]), "phone"),
        Page("messages: code", at(log, q=code), at(messages, q=code), "code", code),
        Page("messages: id", at(log, q=message.message_id), at(messages, q=message.message_id), "code", code),
        Page("messages: common word", at(log, q="ntd"), at(messages, q="ntd"), "", "NTD"),
        Page("messages: words without accents", at(log, q="mat dien"), at(messages, q="mat dien"), "name", "mat dien"),
        Page("messages: rare word", at(log, q="boi thuong"), at(messages, q="Bồi thường"), "name", "Bồi thường"),
        Page("messages: nothing found", at(log, q="xqzwkkk"), at(messages, q="xqzwkkk"), "miss"),
        Page("messages: today", at(log, day="today")),
        Page("messages: past 30 days", at(log, day="month")),
        Page("messages: day of a storm", at(log, day="2026-10-14")),
        Page("messages: a day a year ago", at(log, day="2025-11-20")),
        Page("messages: outcome", at(log, outcome__exact="no_data")),
        Page("messages: refused", at(log, outcome__exact="refused")),
        Page("messages: set aside", at(log, state__exact="SET_ASIDE")),
        Page("messages: question", at(log, keyword="LGD")),
        Page("messages: question on a day", at(log, keyword="LGD", day="2026-10-14")),
        *(
            Page(f"messages: {value}", at(log, attention=value))
            for value in ("set_aside", "failed", "unknown", "waiting")
        ),
        Page("message's page", reverse("admin:sms_inboundmessage_change", args=[message.pk]), "", "", code),
        Page("replies: first page", replies),
        Page("replies: phone", at(replies, q=national)),
        Page("replies: today", at(replies, day="today")),
        Page("replies: failed", at(replies, state__exact="FAILED")),
        Page("replies: free", at(replies, charge__exact="0")),
        Page("start page", reverse("admin:index")),
    ]
    return found


def busy_customer() -> Any:
    """Of those who asked lately, one with phone and adjusted bill who asked most often."""
    from collections import Counter

    from billing.models import Customer, Invoice
    from sms.models import InboundMessage

    recent = InboundMessage.objects.filter(keyword="TD", outcome="answered").order_by("-pk")
    asked = set(recent.values_list("customer_code", flat=True)[:2000])
    adjusted = set(
        Invoice.objects.filter(original__isnull=False, customer__in=asked).values_list("customer", flat=True)
    )
    with_phone = Customer.objects.filter(code__in=adjusted).exclude(phones="")
    codes = set(with_phone.values_list("code", flat=True))
    counts = Counter(InboundMessage.objects.filter(customer_code__in=codes).values_list("customer_code", flat=True))
    return Customer.objects.get(code=counts.most_common(1)[0][0])


def _plain(text: str) -> str:
    from evncare.text import fold

    return fold(text)


# Measuring


class WrongPage(Exception):
    """What came is not what the page has to be."""


def measure(found: list[Page], runs: int, tell: Callable[[str], Any]) -> None:
    from django.contrib.auth.models import Group, User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    clients = []
    for name, is_superuser in (("bench-agent", False), ("bench-root", True)):
        user, _ = User.objects.get_or_create(username=name, defaults={"is_staff": True, "is_superuser": is_superuser})
        if not is_superuser:
            user.groups.set([Group.objects.get(name="agent")])
        client = Client(SERVER_NAME="localhost")
        client.force_login(user, "django.contrib.auth.backends.ModelBackend")
        clients.append(client)
    agent, root = clients

    for page in found:
        tell(page.what)
        try:
            for _warm_up in range(WARM_UPS):
                fetch(agent, page.address, page.shows)
            with CaptureQueriesContext(connection) as queries:
                fetch(agent, page.address, page.shows)
            page.queries = len(queries)
            if page.plain:
                fetch(root, page.plain, page.shows)
        except WrongPage as error:
            page.wrong = str(error)
    for run in range(runs):
        for page in found:
            if page.wrong:
                continue
            before = worked()
            page.ours.append(fetch(agent, page.address, page.shows))
            page.work.append(worked() - before)
            if page.plain and run % PLAIN_EVERY == 0:
                page.plains.append(fetch(root, page.plain, page.shows))
        tell(f"round {run + 1} of {runs}")


def fetch(client: Any, address: str, shows: str = "") -> float:
    """The milliseconds that a page takes, with nothing cached of what was asked before."""
    from django.core.cache import cache

    cache.clear()
    started = time.perf_counter()
    response = client.get(address)
    content = response.content
    milliseconds = (time.perf_counter() - started) * 1000
    if response.status_code != 200:
        raise WrongPage(f"{address}: HTTP {response.status_code}")
    if shows not in content.decode():
        raise WrongPage(f"{address} does not show {shows!r}")
    return milliseconds


def worked() -> float:
    """The milliseconds that processors spent for us so far, here and in our session of the embedded database.

    This hardly depends on what else runs. What the database's helpers, or a database elsewhere, spend is not seen.
    """
    from django.db import connection

    session = Path(f"/proc/{connection.connection.info.backend_pid}/schedstat")
    in_database = int(session.read_text().split()[0]) / 1e6 if session.exists() else 0.0
    return time.process_time() * 1000 + in_database


def report(found: list[Page]) -> bool:
    """Print the table; returns whether all goals are met."""
    print(f"\n{'ms':34}{'median':>8}{'p95':>8}{'work':>8}{'queries':>9}{'plain':>9}{'times':>8}  goal missed")
    for page in found:
        plain = f"{page.plain_median:9.0f}{page.times:8.1f}" if page.times else f"{'':17}"
        ours = f"{page.median:8.1f}{page.p95:8.1f}{page.worked:8.1f}{page.queries:9}"
        print(f"{page.what:34}{ours}{plain}  {', '.join(page.misses)}")
    missed = sum(bool(page.misses) for page in found)
    busy = f" The machine had {os.getloadavg()[0]:.0f} things to do at once on {os.cpu_count()} processors."
    print(f"\n{len(found) - missed} of {len(found)} meet their goals.{busy}")
    return missed == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS=desk", description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--bills-per-customer", type=int, default=12)
    parser.add_argument("--messages", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=30, help="of each page; of the plain admin's, a fifth")
    parser.add_argument("--only", default="", help="the pages whose name contains this")
    parser.add_argument("--url", help="a PostgreSQL other than the embedded one; its tables are emptied")
    options = parser.parse_args()
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    if options.url:
        return run(options, options.url)
    with postgres_server(DIRECTORY / "desk") as url:
        return run(options, url)


def run(options: argparse.Namespace, url: str) -> int:
    os.environ |= {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "evncare.settings",
        "SMS_CARRIERS": json.dumps(CARRIERS),
        "LOG_LEVEL": "ERROR",
    }
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.test.utils import override_settings

    from tests.bench import plain
    from tests.bench.population import UNTIL, Size, is_filled, populate

    call_command("migrate", verbosity=0)
    size = Size(options.customers, options.bills_per_customer, options.messages)
    if not is_filled(size):
        populate(size)
    with (
        time_machine.travel(UNTIL, tick=True),
        override_settings(ROOT_URLCONF=plain.__name__, TEMPLATES=[*settings.TEMPLATES, plain.TEMPLATES]),
    ):
        found = [page for page in pages() if options.only in page.what]
        measure(found, options.runs, lambda line: print(f"\r{line:40}", end="", file=sys.stderr, flush=True))
    met = report(found)
    results = [
        {
            "page": page.what, "median": page.median, "p95": page.p95, "work": page.worked, "queries": page.queries,
            "plain": page.plain_median, "times": page.times, "missed": page.misses,
        }
        for page in found
    ]  # fmt: skip
    (DIRECTORY / "desk.json").write_text(json.dumps(results, indent=1))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
