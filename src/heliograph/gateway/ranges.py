"""Conditional and partial reads of an immutable object (RFC 9110, sections 13 and 14)."""

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"bytes=\s*(\d*)-(\d*)\s*", re.ASCII)
_DIGITS_MAX = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """Bytes `start` to `end`, both included, of an object."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """How many bytes these are."""
        return self.end - self.start + 1


class RangeNotSatisfiable(Exception):
    """The range begins beyond the end."""


def requested_range(header: str | None, *, if_range: str | None, etag: str, size: int) -> ByteRange | None:
    """The part asked for of an object of `size` bytes, or None for the whole of it.

    Several ranges at once, other units and malformed headers get the whole, as the RFC permits. Raises
    `RangeNotSatisfiable`.
    """
    if header is None or (if_range is not None and if_range.strip() != etag):
        return None
    match = _ONE_RANGE.fullmatch(header.strip())
    if match is None or len(header) > 2 * _DIGITS_MAX:
        return None
    first, last = match.groups()
    if not first:
        return _suffix(last, size)
    start, end = int(first), int(last) if last else size - 1
    if last and end < start:
        return None
    if start >= size:
        raise RangeNotSatisfiable
    return ByteRange(start=start, end=min(end, size - 1))


def _suffix(last: str, size: int) -> ByteRange | None:
    if not last:
        return None
    if int(last) == 0 or size == 0:
        raise RangeNotSatisfiable
    return ByteRange(start=max(0, size - int(last)), end=size - 1)


def is_unchanged(if_none_match: str | None, *, etag: str) -> bool:
    """The client's copy is still good."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags
