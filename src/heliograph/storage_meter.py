"""What lies there, metered: byte-hours by tenant and plan.

What is held is counted every few minutes, and each count stands for the time since the one before; a picture that came
in between counts from that one on. While the server is down nothing is metered.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from heliograph.billing.usage_meter import UsageMeter
from heliograph.domain.billing_records import Component
from heliograph.domain.errors import Unavailable
from heliograph.domain.ids import TenantId
from heliograph.domain.keeping import Holding
from heliograph.domain.tiers import Tier
from heliograph.storage.store import Store

EVERY_S = 600.0


async def meter_storage(store: Store, usage: UsageMeter, *, clock: Callable[[], float]) -> None:
    """Do so for ever. A count that fails is made up for by the next one."""
    counted_at_s = clock()
    while True:
        await asyncio.sleep(EVERY_S)
        try:
            holdings = await store.holdings(now_s=clock())
        except Unavailable as error:
            structlog.get_logger().warning("stored bytes are not counted now", reason=error.message)
            continue
        now_s = clock()
        add_held(usage, holdings, hours=(now_s - counted_at_s) / 3600.0)
        counted_at_s = now_s


def add_held(usage: UsageMeter, holdings: Sequence[Holding], *, hours: float) -> None:
    """So much lay there for so many hours."""
    held: Counter[tuple[TenantId, Tier]] = Counter()
    for holding in holdings:
        held[holding.tenant_id, holding.plan] += holding.size_bytes
    for (tenant_id, plan), size_bytes in sorted(held.items()):
        usage.add(Component.STORAGE, round(size_bytes * hours), tenant_id=tenant_id, tier=plan)
