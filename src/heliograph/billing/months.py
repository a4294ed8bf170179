"""Calendar months of UTC: what quotas are counted in."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """`name` is `2026-11`; it lasts from `begin_s` until before `end_s`, in seconds since the epoch."""

    name: str
    begin_s: float
    end_s: float


def month_of(now_s: float) -> Month:
    """The month in which a time lies."""
    now = datetime.fromtimestamp(now_s, UTC)
    begin = datetime(now.year, now.month, 1, tzinfo=UTC)
    end = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
    return Month(name=f"{begin:%Y-%m}", begin_s=begin.timestamp(), end_s=end.timestamp())
