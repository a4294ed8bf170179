"""Both meters of an installation, settled together."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from heliograph.billing.fleet_meter import FleetMeter
from heliograph.billing.usage_meter import UsageMeter
from heliograph.domain.billing_records import Component, LedgerLine


@dataclass(slots=True, kw_only=True)
class Meters:
    """`cpu_s` gives the CPU seconds of this process so far, `thread_cpu_s` those of the calling thread, `store_cpu_s`
    those of the store's writer. Deciding and writing is what queue and orchestration cost; the rest is the API's.
    """

    fleet: FleetMeter
    usage: UsageMeter
    cpu_s: Callable[[], float]
    thread_cpu_s: Callable[[], float] = lambda: 0.0
    store_cpu_s: Callable[[], float] = lambda: 0.0
    _decided_s: float = 0.0
    _counted_us: int = 0
    _queue_counted_us: int = 0

    @contextmanager
    def deciding(self) -> Generator[None]:
        """What is done within costs queue and orchestration; nothing may be awaited there."""
        began_s = self.thread_cpu_s()
        try:
            yield
        finally:
            self._decided_s += self.thread_cpu_s() - began_s

    def settle(self, *, name: str, now_s: float) -> tuple[tuple[LedgerLine, ...], ...]:
        """The postings of everything since the last settlement; `name` is new each time."""
        cpu_us, queue_us = int(self.cpu_s() * 1e6), int((self._decided_s + self.store_cpu_s()) * 1e6)
        passed_us, queued_us = max(cpu_us - self._counted_us, 0), max(queue_us - self._queue_counted_us, 0)
        self.usage.add(Component.QUEUE_CPU, min(queued_us, passed_us))
        self.usage.add(Component.API_CPU, max(passed_us - queued_us, 0))
        self._counted_us, self._queue_counted_us = cpu_us, queue_us
        postings = (
            self.fleet.settle(posting_id=f"fleet:{name}", now_s=now_s),
            self.usage.settle(posting_id=f"usage:{name}", now_s=now_s),
        )
        return tuple(posting for posting in postings if posting)
