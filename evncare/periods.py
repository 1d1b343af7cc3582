"""A billing period as customers and the billing system name it: kỳ, month, year."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Period:
    """One billing period.

    ``ky`` is 1 for households and up to 9 for large users; ``None`` means the asker named only the month,
    which is enough where that month has exactly one kỳ. ``month`` is 1-12, ``year`` has four digits.
    """

    ky: int | None
    month: int
    year: int

    def __str__(self) -> str:
        """1/10/2016, or 10/2016 where no kỳ is named."""
        return "/".join(str(part) for part in (self.ky, self.month, self.year) if part)

    @property
    def sort_key(self) -> tuple[int, int, int]:
        """Order in time; a period without kỳ sorts before those of its month that have one."""
        return self.year, self.month, self.ky or 0

    def covers(self, other: "Period") -> bool:
        """Whether ``other`` is this period, or one of this month's when no kỳ was named."""
        return (self.year, self.month) == (other.year, other.month) and self.ky in (None, other.ky)

    @classmethod
    def before(cls, day: date) -> "Period":
        """The first kỳ of the month before ``day``: the one a customer most often asks about."""
        year, month = (day.year, day.month - 1) if day.month > 1 else (day.year - 1, 12)
        return cls(ky=1, month=month, year=year)
