"""Both meters of an installation, settled together."""

from collections.abc import Callable
from dataclasses import dataclass

from heliograph.billing.fleet_meter import FleetMeter
from heliograph.billing.usage_meter import UsageMeter
from heliograph.domain.billing_records import Component, LedgerLine


@dataclass(slots=True, kw_only=True)
class Meters:
    """`cpu_s` gives the CPU seconds of this process so far: what the API and all deciding cost."""

    fleet: FleetMeter
    usage: UsageMeter
    cpu_s: Callable[[], float]
    _counted_us: int = 0

    def settle(self, *, name: str, now_s: float) -> tuple[tuple[LedgerLine, ...], ...]:
        """The postings of everything since the last settlement; `name` is new each time."""
        cpu_us = int(self.cpu_s() * 1e6)
        self.usage.add(Component.API_CPU, max(cpu_us - self._counted_us, 0))
        self._counted_us = cpu_us
        postings = (
            self.fleet.settle(posting_id=f"fleet:{name}", now_s=now_s),
            self.usage.settle(posting_id=f"usage:{name}", now_s=now_s),
        )
        return tuple(posting for posting in postings if posting)
