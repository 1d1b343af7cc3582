"""A month of a small office, told through the product's own functions: for browser tests and pictures of the pages."""

import tempfile
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path

from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.utils import timezone

from billing.models import Customer
from evncare.desk import samples
from evncare.desk.roles import ROLES
from sms import audit, inbox, moves, outbox, statistics
from sms.gateways.base import Fate, Received, Refused, Report, Unknown
from sms.gateways.memory import MemoryGateway
from sms.models import InboundMessage, OutboundMessage

CARRIER = "demo"
PASSWORD = "mat khau cua nhan vien"
DAYS = 30
# What customers write, well and badly; {code} is their customer code.
TEXTS = (
    "NTD {code}", "TD {code} 1 10 2016", "ntd.{code}", "LCD {code}", "CS {code} 1 10 2016", "LGD {code} 1 10 2016",
    "NTD {code}", "TC", "NTD PP0500097400", "hoa don thang nay bao nhieu", "TD {code} 1 12 2016", "NTD PP05009999999",
)  # fmt: skip


def tell(now: datetime | None = None) -> None:
    now = now or timezone.now()
    load_exports(now)
    create_staff()
    for day in range(DAYS - 1, -1, -1):
        a_day_of_messages(now - timedelta(days=day), messages=3 + (day * 7) % 5)
    what_went_wrong(now)
    while statistics.refresh(now=now):
        pass
    audit.audit_day(timezone.localdate(now) - timedelta(days=1), now=now)


def load_exports(now: datetime) -> None:
    with tempfile.TemporaryDirectory() as directory:
        outages = Path(directory, "LICH_CAT_DIEN.csv")
        samples.write_outages_around(timezone.localdate(now), outages)
        for kind, file in [*samples.FILES.items(), ("outages", outages)]:
            call_command("import_data", kind, file, json=True, stdout=StringIO())


def create_staff() -> None:
    """One of each role, named as it, and one without any."""
    for name in ROLES:
        user = User.objects.create_user(name, password=PASSWORD, is_staff=True)
        user.groups.set([Group.objects.get(name=name)])
    User.objects.create_user("nobody", password=PASSWORD, is_staff=True)


def a_day_of_messages(end: datetime, messages: int) -> None:
    """Messages through the hours before ``end``, answered and delivered at once."""
    customers = list(Customer.objects.exclude(phones="").order_by("code").values_list("code", "phones")[: messages * 3])
    for place in range(messages):
        code, phones = customers[(place * 3 + end.day) % len(customers)]
        if place == 0:
            code, phones = samples.EXAMPLE_CUSTOMER, "84" + samples.EXAMPLE_PHONE[1:]
        text = TEXTS[(place + end.day) % len(TEXTS)].format(code=code)
        at = end - timedelta(hours=(messages - place) * 2 + 1, minutes=(place * 17) % 60)
        receive(text, phones.split()[0], at)
        answer_and_deliver(at + timedelta(seconds=1))


def receive(text: str, sender: str, at: datetime) -> int:
    message_id = f"{at:%y%m%d%H%M%S}{sender[-4:]}"
    received = Received(message_id, sender, "8088", text, text.encode(), operator="VIETTEL", sent_at=at)
    return inbox.receive(CARRIER, received, now=at).id


def answer_and_deliver(at: datetime, *, report: bool = True) -> None:
    inbox.answer_waiting(now=at)
    outbox.deliver_waiting(now=at)
    if report:
        for reply in OutboundMessage.objects.filter(state=OutboundMessage.State.SENT):
            reported = Report(reply.reference, "", Fate.DELIVERED, at + timedelta(seconds=4))
            outbox.record_report(CARRIER, reported, now=at + timedelta(seconds=4))


def what_went_wrong(now: datetime) -> None:
    """One of each trouble that staff have to look at, and a message that waits."""
    code = samples.EXAMPLE_CUSTOMER
    MemoryGateway.failures |= {
        "84905777001": Refused("the subscriber is out of reach"),
        "84905777002": Unknown("no answer within 10 seconds"),
    }
    for place, sender in enumerate(MemoryGateway.failures, start=1):
        at = now - timedelta(minutes=20 * place)
        receive(f"TD {code} 1 10 2016", sender, at)
        answer_and_deliver(at, report=False)
    pk = receive(f"LCD {code}", "84905777003", now - timedelta(minutes=50))
    moves.move(
        InboundMessage.objects.filter(pk=pk), "SET_ASIDE", at=now, cause="ValueError in 3 attempts", attempts=3,
        failure='  File "sms/syntaxes.py", line 1, in answer_outages\nValueError',
    )  # fmt: skip
    receive(f"NTD {code}", "84905777004", now - timedelta(seconds=40))
