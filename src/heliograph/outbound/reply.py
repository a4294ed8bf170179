"""The port of guarded calls: `http.py` makes them, tests bring receivers of their own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from heliograph.outbound.guard import Destination


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back, or `status` None and in `reason` a sentence that says why nothing did.

    `body` is cut at the caller's bound; header names are in lower case.
    """

    status: int | None
    duration_s: float
    reason: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


class Outbound(Protocol):
    """Calls what users name, within the bounds of an `OutboundPolicy`."""

    async def call(
        self,
        destination: Destination,
        *,
        method: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_s: float,
        bytes_max: int,
    ) -> Reply:
        """The answer within `timeout_s` seconds in all, its body cut at `bytes_max`. Never raises for the world's
        faults."""
        ...
