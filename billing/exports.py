"""The billing system's exports: one line a column. docs/add-an-export-column.md tells how to add one."""

from datetime import timedelta
from decimal import Decimal

from django.utils.translation import gettext as _

from billing.models import Customer, Debt, Invoice, MeterReading, ReadingSchedule, search_text
from evncare.imports.columns import Choice, Code, Column, CustomerCode, Date, Integer, Money, Number, Phones, Text
from evncare.imports.declarations import Check, Derived, Export, Snapshot

# Our assumption: what follows the reading of meters is exported once a month, debts every working day.
MONTHLY = timedelta(days=35)
DAILY = timedelta(days=2)

PERIOD: tuple[Column, ...] = (
    Integer("KY", "ky"),
    Integer("THANG", "month"),
    Integer("NAM", "year"),
)

CUSTOMERS = Export(
    name="customers",
    model=Customer,
    key=("code",),
    columns=(
        CustomerCode("MA_KHANG", "code"),
        Text("TEN_KHANG", "name"),
        Text("DIA_CHI", "address"),
        Phones("DTHOAI", "phones"),
        Text("EMAIL", "email", optional=True),
        Code("MA_DVIQLY", "unit"),
        Code("MA_SOGCS", "book"),
        Code("MA_TRAM", "station"),
    ),
    derived=(Derived("search_text", ("name", "address"), search_text),),
    due_after=MONTHLY,
)

SCHEDULES = Export(
    name="schedules",
    model=ReadingSchedule,
    key=("year", "month", "ky", "unit", "book"),
    columns=(
        Code("MA_DVIQLY", "unit"),
        Code("MA_SOGCS", "book"),
        *PERIOD,
        Date("NGAY_GHI", "reading_date"),
    ),
    due_after=MONTHLY,
)


def consumption_doubt(consumption: Decimal, old: Decimal, new: Decimal, multiplier: Decimal) -> str | None:
    """Meter swaps, direct amounts and roll-over make the sum differ rightly, so it is a doubt and no error."""
    if (new - old) * multiplier == consumption:
        return None
    return _("differs from the readings' difference times the multiplier")


READINGS = Export(
    name="readings",
    model=MeterReading,
    key=("year", "month", "ky", "customer", "meter", "register", "reading_kind"),
    columns=(
        CustomerCode("MA_KHANG", "customer"),
        *PERIOD,
        Code("SO_CTO", "meter", aliases=("MA_CTO",)),
        Code("BCS", "register"),
        Code("LOAI_CHISO", "reading_kind", optional=True),
        Number("HS_NHAN", "multiplier", aliases=("HSN",)),
        Number("CHISO_CU", "old_reading", aliases=("CS_CU",)),
        Number("CHISO_MOI", "new_reading", aliases=("CS_MOI",)),
        Number("SAN_LUONG", "consumption", aliases=("DIEN_TTHU",), summed=True),
        Date("NGAY_CKY", "reading_date", optional=True),
    ),
    checks=(Check(("consumption", "old_reading", "new_reading", "multiplier"), consumption_doubt, warning=True),),
    due_after=MONTHLY,
)


def adjustment_problem(original: str | None, adjustment: str, bill_id: str) -> str | None:
    if bool(original) != bool(adjustment):
        return _("an adjustment needs both ID_HDON_GOC and LOAI_DCHINH, another bill neither")
    return _("a bill can't adjust itself") if original == bill_id else None


INVOICES = Export(
    name="invoices",
    model=Invoice,
    key=("bill_id",),
    columns=(
        Code("ID_HDON", "bill_id"),
        CustomerCode("MA_KHANG", "customer"),
        *PERIOD,
        Choice("LOAI_HDON", "kind"),
        Number("DIEN_TTHU", "consumption"),
        Money("SO_TIEN", "amount", summed=True),
        Money("TIEN_GTGT", "tax", summed=True),
        Money("TONG_TIEN", "total", summed=True),
        Date("NGAY_PHANH", "issue_date"),
        Code("ID_HDON_GOC", "original"),
        Choice("LOAI_DCHINH", "adjustment"),
    ),
    checks=(Check(("original", "adjustment", "bill_id"), adjustment_problem),),
    due_after=MONTHLY,
)

DEBTS = Export(
    name="debts",
    model=Debt,
    key=("bill_id",),
    columns=(
        Code("ID_HDON", "bill_id"),
        CustomerCode("MA_KHANG", "customer"),
        *PERIOD,
        Choice("LOAI_HDON", "kind"),
        Money("TIEN_NO", "amount", summed=True),
        Money("THUE_NO", "tax", summed=True),
        Date("HAN_TTOAN", "due_date", optional=True),
    ),
    # A listed debt is owed, whatever was settled before.
    derived=(Derived("settled_at", (), lambda: None),),
    snapshot=Snapshot(settled_at="settled_at", link="customer", part="unit"),
    due_after=DAILY,
)

EXPORTS = (CUSTOMERS, SCHEDULES, READINGS, INVOICES, DEBTS)
