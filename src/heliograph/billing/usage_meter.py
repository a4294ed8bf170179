"""The meter of everything that is no GPU: cores, storage, traffic and people's time.

Amounts are rounded on running totals, so that millions of small uses cost exactly what their sum costs.
"""

from decimal import ROUND_HALF_EVEN, Decimal

from heliograph.billing.prices import UNIT_OF, PriceBook
from heliograph.domain.billing_records import NO_JOB, NO_TENANT, Account, Component, LedgerLine
from heliograph.domain.ids import ModelId, TenantId
from heliograph.domain.money import Micros
from heliograph.domain.tiers import Tier

_Owner = tuple[Component, TenantId, ModelId | None, Tier | None]


class UsageMeter:
    """Adds up what was used since the process began, by component and owner."""

    def __init__(self, prices: PriceBook) -> None:
        self._prices = prices
        self._used: dict[_Owner, int] = {}
        self._posted: dict[_Owner, tuple[int, int]] = {}

    def add(
        self,
        component: Component,
        quantity: int,
        *,
        tenant_id: TenantId = NO_TENANT,
        model_id: ModelId | None = None,
        tier: Tier | None = None,
    ) -> None:
        """So much was used, in what `prices.UNIT_OF` counts: microseconds of a core, byte-hours, bytes, milliseconds of
        a reviewer. Without a tenant it is the operator's own.
        """
        assert quantity >= 0, f"{component}: {quantity} cannot be used"
        owner = (component, tenant_id, model_id, tier)
        self._used[owner] = self._used.get(owner, 0) + quantity

    def settle(self, *, posting_id: str, now_s: float) -> tuple[LedgerLine, ...]:
        """The posting of what came together since the last one; what is worth less than a micro-dollar waits."""
        lines: list[LedgerLine] = []
        for owner, used in self._used.items():
            component, tenant_id, model_id, tier = owner
            posted_quantity, posted = self._posted.get(owner, (0, 0))
            price = Decimal(self._prices.service_micros[component])
            total = int((used * price / UNIT_OF[component][1]).to_integral_value(rounding=ROUND_HALF_EVEN))
            if total == posted:
                continue
            self._posted[owner] = (used, total)
            for account, sign in ((Account.PROVIDER, -1), (Account.SERVICE_COST, 1)):
                line = LedgerLine(
                    posting_id=posting_id,
                    line=len(lines),
                    job_id=NO_JOB,
                    tenant_id=tenant_id,
                    account=account,
                    component=component.value,
                    amount_micros=Micros(sign * (total - posted)),
                    at_s=now_s,
                    model_id=model_id,
                    tier=tier,
                    quantity=used - posted_quantity,
                )
                lines.append(line)
        return tuple(lines)
