"""Times as other people's APIs write them; ours are seconds since the epoch."""

from datetime import UTC, datetime


def iso(at_s: float) -> str:
    """RFC 3339 in UTC with milliseconds, for example `2026-09-21T14:13:20.250Z`."""
    text = datetime.fromtimestamp(at_s, tz=UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def iso_or_none(at_s: float | None) -> str | None:
    """The same, and None for no time."""
    return None if at_s is None else iso(at_s)
