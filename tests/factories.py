"""Plain factories: each makes one valid row, with the published example's values unless told otherwise."""

import gzip
from datetime import date, datetime
from decimal import Decimal
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.auth.models import Group, User
from django.utils import timezone

from billing.models import Customer, Debt, Invoice, MeterReading, ReadingSchedule
from evncare.desk.models import AccessRecord, FailedSignIn, SignIn
from evncare.imports.models import ImportRun
from outages.models import Outage
from sms import audit, gsm7, reconciliation
from sms.models import (
    BlockedSender,
    CarrierState,
    Handling,
    InboundMessage,
    OutboundMessage,
    PrivacyAction,
    ReconciliationRun,
    WordingVersion,
)
from sms.wording import WORDINGS

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
CODE = "PP05000974006"
NOW = datetime(2016, 10, 5, 8, 0, tzinfo=VIETNAM)
PERIOD = {"ky": 1, "month": 10, "year": 2016}

_numbers = count(1)


def customer(code: str = CODE, **fields: Any) -> Customer:
    defaults = {
        "name": "Nguyễn Văn An",
        "address": "78A Duy Tân, Hải Châu, Đà Nẵng",
        "phones": "84905123456",
        "unit": "PP0500",
        "book": "S01",
        "station": "T001",
    }
    return Customer.objects.create(code=code, **defaults | fields)


def schedule(**fields: Any) -> ReadingSchedule:
    defaults = PERIOD | {"unit": "PP0500", "book": "S01", "reading_date": date(2016, 6, 10)}
    return ReadingSchedule.objects.create(**defaults | fields)


def reading(customer: str | Customer = CODE, **fields: Any) -> MeterReading:
    defaults = PERIOD | {
        "meter": "CT001",
        "register": "KT",
        "multiplier": Decimal(1),
        "old_reading": Decimal(9618),
        "new_reading": Decimal(10004),
        "consumption": Decimal(386),
    }
    return MeterReading.objects.create(customer_id=_code(customer), **defaults | fields)


def invoice(customer: str | Customer = CODE, **fields: Any) -> Invoice:
    defaults = PERIOD | {
        "bill_id": f"HD{next(_numbers):08}",
        "kind": Invoice.Kind.ENERGY,
        "consumption": Decimal(386),
        "amount": 455045,
        "tax": 45505,
        "total": 500550,
    }
    return Invoice.objects.create(customer_id=_code(customer), **defaults | fields)


def adjustment(original: Invoice, kind: str, total: int, **fields: Any) -> Invoice:
    defaults = {"customer": original.customer_id, "original": original, "adjustment": kind, "total": total, "month": 11}
    return invoice(**defaults | fields)


def debt(customer: str | Customer = CODE, **fields: Any) -> Debt:
    defaults = PERIOD | {
        "bill_id": f"NO{next(_numbers):08}",
        "kind": Invoice.Kind.ENERGY,
        "amount": 650000,
        "tax": 65000,
    }
    return Debt.objects.create(customer_id=_code(customer), **defaults | fields)


def outage(**fields: Any) -> Outage:
    defaults = {
        "code": f"L{next(_numbers):06}",
        "station": "T001",
        "start_at": datetime(2016, 10, 1, 9, 30, tzinfo=VIETNAM),
        "end_at": datetime(2016, 10, 20, 15, 0, tzinfo=VIETNAM),
        "kind": Outage.Kind.PLANNED,
        "status": Outage.Status.APPROVED,
    }
    return Outage.objects.create(**defaults | fields)


def inbound(text: str = f"NTD {CODE}", **fields: Any) -> InboundMessage:
    defaults = {
        "carrier": "memory",
        "message_id": f"M{next(_numbers)}",
        "sender": "84905123456",
        "short_code": "8088",
        "payload": text.encode("utf-8", "surrogatepass"),
        "received_at": NOW,
    }
    return InboundMessage.objects.create(text=text, **defaults | fields)


def reply(message: InboundMessage | None = None, text: str = "Xin cam on quy khach.", **fields: Any) -> OutboundMessage:
    message = message or inbound(state=InboundMessage.State.ANSWERED, outcome="answered", concluded_at=NOW)
    size = gsm7.measure(text)
    defaults = {
        "carrier": message.carrier,
        "recipient": message.sender,
        "short_code": message.short_code,
        "wording": "NTD.answered",
        "encoding": size.encoding,
        "segments": size.segments,
        "charge": True,
        "created_at": NOW,
        "send_after": NOW,
    }
    return OutboundMessage.objects.create(inbound=message, text=text, **defaults | fields)


def _code(customer: str | Customer) -> str:
    return customer if isinstance(customer, str) else customer.code


def everything_published() -> None:
    """The example customer with the values of the announcement."""
    customer()
    schedule()
    reading()
    invoice()
    debt()
    outage()


def import_run(kind: str = "customers", **fields: Any) -> ImportRun:
    """A file that was loaded, on the command line."""
    now = timezone.now()
    times = {"created_at": now, "checked_at": now, "loaded_at": now, "seconds": 1.5}
    file = {"file_name": "KH.csv", "file_size": 1000, "sha256": "0" * 64}
    counts = {"rows": 10, "new": 4, "changed": 3, "unchanged": 2, "rejected": 1}
    defaults = {"source": "COMMAND_LINE", "state": "DONE", **times, **file, **counts}
    return ImportRun.objects.create(kind=kind, **defaults | fields)


def staff(role: str = "", name: str = "", **fields: Any) -> User:
    """A member of staff with this role, or with none."""
    user = User.objects.create_user(name or role or "staff", is_staff=True, **fields)
    if role:
        user.groups.add(Group.objects.get(name=role))
    return user


def a_row_of_every_page() -> None:
    """Something to see on every page of the admin."""
    everything_published()
    reply()
    BlockedSender.objects.create(sender="84905999999", reason="a machine")
    CarrierState.objects.create(carrier="memory", refilled_at=NOW)
    audit.audit_day(NOW.date(), now=NOW)
    ReconciliationRun.objects.create(
        carrier="memory",
        month=NOW.date(),
        within_tolerance=True,
        percent=0.0,
        summary=reconciliation.Reconciliation(
            "memory", NOW.date(), dict.fromkeys(reconciliation.KINDS, reconciliation.Part()), {}, 1.0
        ).as_json(),
        differences=gzip.compress(b""),
    )
    PrivacyAction.objects.create(kind="RETENTION", reason="730 days", by="admin", at=NOW)
    import_run()
    WordingVersion.objects.create(key="NTD.none", text=WORDINGS["NTD.none"], by="supervisor", at=NOW)
    settled = inbound(state=InboundMessage.State.SET_ASIDE, settled_at=NOW)
    Handling.objects.create(message=settled, kind=Handling.Kind.SETTLED, by="agent", reason="called", at=NOW)
    looker = User.objects.create_user("looker", is_staff=True)
    SignIn.objects.create(username="looker", ip_address="10.0.0.1", user_agent="Firefox")
    FailedSignIn.objects.create(username="looker", ip_address="10.0.0.1", user_agent="Firefox", locked_out=True)
    AccessRecord.objects.create(user=looker, kind=AccessRecord.Kind.CUSTOMER, subject=CODE, at=NOW)
