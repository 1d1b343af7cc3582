"""The export of supply interruptions: one line a column."""

from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from evncare.imports.columns import Choice, Code, CustomerCode, DateTime, Text
from evncare.imports.declarations import Check, Export
from outages.models import Outage


def end_problem(end_at: datetime | None, start_at: datetime) -> str | None:
    return _("is not after TU_NGAY") if end_at is not None and end_at <= start_at else None


def reach_problem(station: str, customer_code: str) -> str | None:
    return None if station or customer_code else _("MA_TRAM and MA_KHANG are both empty: the outage reaches nobody")


OUTAGES = Export(
    name="outages",
    model=Outage,
    key=("code", "station", "customer_code"),
    columns=(
        Code("MA_LICH", "code"),
        Code("MA_TRAM", "station"),
        CustomerCode("MA_KHANG", "customer_code"),
        DateTime("TU_NGAY", "start_at"),
        DateTime("DEN_NGAY", "end_at"),
        Choice(
            "LOAI",
            "kind",
            spellings={Outage.Kind.PLANNED: ("KH", "kế hoạch"), Outage.Kind.SUDDEN: ("DX", "đột xuất")},
        ),
        Text("LY_DO", "reason", optional=True),
        Choice(
            "TRANG_THAI",
            "status",
            spellings={
                Outage.Status.APPROVED: ("duyệt", "đã duyệt"),
                Outage.Status.PENDING: ("chờ duyệt", "chưa duyệt"),
                Outage.Status.CANCELLED: ("huỷ", "hủy", "đã huỷ"),
            },
        ),
    ),
    checks=(
        Check(("end_at", "start_at"), end_problem),
        Check(("station", "customer_code"), reach_problem),
    ),
    due_after=timedelta(days=2),  # our assumption: outages are planned and changed every day
)

EXPORTS = (OUTAGES,)
