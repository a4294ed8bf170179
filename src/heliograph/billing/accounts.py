"""Plans and accounts: what a tenant may still order, decided before anything is made. Pure; owned by the event loop.

A tenant's plan may bound the pictures and the dollars of a calendar month (UTC), and may be prepaid: then no more is
sold than there is credit for. A submission *holds* its expected price and its pictures until the job has ended, so that
a burst of jobs cannot order more than one after the other could. What is charged in the end is the ledger's; the price
of a run is only known afterwards, so an account can end a little beyond its limit, by what its last jobs took longer
than expected. A soft limit refuses nothing: passing it is told once a month.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from heliograph.billing.ledger import CHARGE_COMPONENT
from heliograph.billing.months import Month, month_of
from heliograph.domain.billing_records import NO_TENANT, Account, LedgerTotal
from heliograph.domain.errors import Overloaded
from heliograph.domain.ids import JobId, TenantId
from heliograph.domain.money import Micros, format_usd

UNLIMITED = "unlimited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a tenant may order in a month; None bounds nothing. `soft_micros` is what is told, `hard_micros` refused."""

    name: str = UNLIMITED
    pictures_max: int | None = None
    soft_micros: Micros | None = None
    hard_micros: Micros | None = None
    is_prepaid: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A tenant's account now. Amounts are micro-dollars; `balance` is credit less charges of all time.

    `held` and `pictures_held` belong to jobs that have not ended. The month's figures start anew at `resets_at_s`.
    """

    tenant_id: TenantId
    plan: Plan
    month: str
    resets_at_s: float
    charged: Micros
    held: Micros
    pictures: int
    pictures_held: int
    balance: Micros

    @property
    def is_past_soft_limit(self) -> bool:
        """What was charged has passed the plan's soft limit."""
        return self.plan.soft_micros is not None and self.charged >= self.plan.soft_micros


@dataclass(slots=True)
class _Use:
    """Of one tenant: the month's charges and pictures, the balance of all time, what open jobs hold."""

    month: str = ""
    charged: int = 0
    pictures: int = 0
    balance: int = 0
    is_told: bool = False
    holds: dict[JobId, tuple[int, int]] = field(default_factory=dict[JobId, tuple[int, int]])


class AccountBook:
    """Every tenant's account, in memory: each submission asks it. `plan_of` names plans by tenant."""

    def __init__(
        self,
        plans: Mapping[str, Plan] | None = None,
        plan_of: Mapping[TenantId, str] | None = None,
        default_plan: str | None = None,
    ) -> None:
        self._plans = plans or {}
        self._plan_of = plan_of or {}
        self._default = self._plans[default_plan] if default_plan is not None else Plan()
        self._used: dict[TenantId, _Use] = {}

    @property
    def has_plans(self) -> bool:
        """Somebody may be bounded."""
        return bool(self._plans)

    def open(self, *, month: Iterable[LedgerTotal], ever: Iterable[LedgerTotal], now_s: float) -> None:
        """Take over what the ledger holds: its totals of this month so far, and of all time."""
        name = month_of(now_s).name
        for total in month:
            if total.tenant_id != NO_TENANT and total.account is Account.REVENUE:
                use = self._use(total.tenant_id, name)
                use.charged += total.amount_micros
                use.pictures += total.quantity if total.component == CHARGE_COMPONENT else 0
        for total in ever:
            if total.tenant_id != NO_TENANT and total.account is Account.TENANT:
                self._use(total.tenant_id, name).balance += total.amount_micros

    def plan_of(self, tenant_id: TenantId) -> Plan:
        """The tenant's plan."""
        name = self._plan_of.get(tenant_id)
        return self._default if name is None else self._plans[name]

    def hold(self, job_id: JobId, tenant_id: TenantId, *, price: Micros, pictures: int, now_s: float) -> None:
        """Set aside what the job is expected to cost. Raises `Overloaded` (`insufficient_quota`) when that is too much;
        then nothing is held.
        """
        plan, month = self.plan_of(tenant_id), month_of(now_s)
        standing = self.standing(tenant_id, now_s=now_s)
        asked = standing.pictures + standing.pictures_held + pictures
        if plan.pictures_max is not None and asked > plan.pictures_max:
            raise _refusal(
                f"Plan {plan.name} has {plan.pictures_max:,} pictures a month; {standing.pictures:,} are made and "
                f"{standing.pictures_held:,} on order, and this asks for {pictures:,} more.",
                month,
            )
        spent = standing.charged + standing.held
        if plan.hard_micros is not None and spent + price > plan.hard_micros:
            raise _refusal(
                f"Plan {plan.name} is limited to {format_usd(plan.hard_micros)} a month; "
                f"{format_usd(standing.charged)} are charged and {format_usd(standing.held)} on order, and "
                f"this is expected to cost {format_usd(price)}.",
                month,
            )
        if plan.is_prepaid and standing.balance - standing.held < max(price, 1):
            raise Overloaded(
                f"Plan {plan.name} is prepaid: the credit of {format_usd(standing.balance)} less "
                f"{format_usd(standing.held)} on order does not cover the {format_usd(price)} that this is expected to "
                "cost. Buy credit and send it again.",
                code="insufficient_quota",
            )
        self._use(tenant_id, month.name).holds[job_id] = (price, pictures)

    def release(self, job_id: JobId, tenant_id: TenantId) -> None:
        """The job has ended, or never began: it holds nothing any more."""
        use = self._used.get(tenant_id)
        if use is not None:
            use.holds.pop(job_id, None)

    def charged(self, tenant_id: TenantId, amount: Micros, *, pictures: int, now_s: float) -> bool:
        """A job was charged, or given back where `amount` is negative. True when that passed the plan's soft limit,
        the first time in the month.
        """
        use = self._use(tenant_id, month_of(now_s).name)
        use.charged += amount
        use.pictures += pictures
        use.balance -= amount
        soft = self.plan_of(tenant_id).soft_micros
        if soft is None or use.is_told or use.charged < soft:
            return False
        use.is_told = True
        return True

    def credited(self, tenant_id: TenantId, amount: Micros, *, now_s: float) -> None:
        """The tenant paid, or was given, so much; negative: it was taken back."""
        self._use(tenant_id, month_of(now_s).name).balance += amount

    def standing(self, tenant_id: TenantId, *, now_s: float) -> Standing:
        """The tenant's account now."""
        month = month_of(now_s)
        use = self._use(tenant_id, month.name)
        return Standing(
            tenant_id=tenant_id,
            plan=self.plan_of(tenant_id),
            month=month.name,
            resets_at_s=month.end_s,
            charged=Micros(use.charged),
            held=Micros(sum(price for price, _ in use.holds.values())),
            pictures=use.pictures,
            pictures_held=sum(pictures for _, pictures in use.holds.values()),
            balance=Micros(use.balance),
        )

    def tenants(self) -> tuple[TenantId, ...]:
        """Whoever was charged, credited or asked about, and whoever has a plan of their own."""
        return tuple(sorted({*self._used, *self._plan_of}))

    def _use(self, tenant_id: TenantId, month: str) -> _Use:
        use = self._used.setdefault(tenant_id, _Use(month=month))
        if month > use.month:  # a clock that was set back stays in the month that it was
            use.month, use.charged, use.pictures, use.is_told = month, 0, 0, False
        return use


def _refusal(message: str, month: Month) -> Overloaded:
    begins = f"{month_of(month.end_s).name}-01"
    return Overloaded(f"{message} It starts anew on {begins} (UTC).", code="insufficient_quota")
