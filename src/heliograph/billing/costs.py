"""What it all cost, and for what: the ledger's totals as one table a person reads. Pure.

The ledger is double entry, so the table cannot disagree with the bill: what left `provider` is the bill, what reached
`gpu_cost` and `service_cost` is what was used, and what is still on `fleet` are runs that have not ended yet. Every row
below is a sum of ledger lines, to the micro-dollar.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from heliograph.billing.ledger import CHARGE_COMPONENT
from heliograph.domain.billing_records import NO_TENANT, Account, Component, LedgerTotal
from heliograph.domain.money import Micros, format_usd

_USED = frozenset({Account.GPU_COST, Account.SERVICE_COST})
OPERATOR = "(operator)"
NO_MODEL = "(no model)"
NO_TIER = "(no tier)"


class CostShare(StrEnum):
    """The five parts that published cost breakdowns of picture services use."""

    GPU = "gpu"
    STORAGE_CDN = "storage_cdn"
    QUEUE = "queue_orchestration"
    SAFETY = "safety_moderation"
    API = "api_serving"


class By(StrEnum):
    """What the rows of a report stand for."""

    MODEL = "model"
    TENANT = "tenant"
    TIER = "tier"
    COMPONENT = "component"


SHARE_OF: Mapping[str, CostShare] = MappingProxyType(
    {
        Component.STORAGE.value: CostShare.STORAGE_CDN,
        Component.EGRESS.value: CostShare.STORAGE_CDN,
        Component.QUEUE_CPU.value: CostShare.QUEUE,
        Component.SAFETY_CPU.value: CostShare.SAFETY,
        Component.MODERATION.value: CostShare.SAFETY,
        Component.API_CPU.value: CostShare.API,
        Component.POSTPROCESS_CPU.value: CostShare.API,
    }
)
"""Which part a component belongs to; all that is not listed is GPU time."""

WASTE: Mapping[str, str] = MappingProxyType(
    {
        "gpu_idle": "a model was loaded and nobody asked for it",
        "gpu_empty": "no model was loaded",
        "gpu_load": "models were being loaded",
        "gpu_retry": "runs that failed and were tried again",
        "gpu_lost": "runs lost with their worker, server or spot GPU",
        "gpu_cancelled": "runs that were called off",
        "gpu_stopping": "workers still busy with what was called off",
        "gpu_unmetered": "bought by a server that was killed before it could say for what",
    }
)
"""GPU time that made no picture, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """One model, tenant, tier or component.

    `direct` is what ledger lines say of it by name. `shared` is its part of what belongs to nobody in particular (idle
    GPUs, the API), handed out in proportion to `direct`, so that rows add up to the bill; 0 by component. `parts` is
    `direct` by component. Amounts are micro-dollars.
    """

    key: str
    pictures: int
    direct: Micros
    shared: Micros
    revenue: Micros
    parts: Mapping[str, Micros]

    @property
    def cost(self) -> Micros:
        """Direct and shared."""
        return Micros(self.direct + self.shared)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReport:
    """The costs of some time, in micro-dollars. `pictures` were delivered and charged for (or given away).

    `bill` = `used` + `running`: what is owed for machines, storage and people; what of it has an owner; what belongs to
    runs that had not ended. A negative `running` means that runs ended whose GPU time was bought before. `waste` is the
    part of `used` that made no picture, by reason; `components` is `used` by component. `revenue` is what tenants owe
    for it, refunds taken off.
    """

    since_s: float
    until_s: float
    by: By
    bill: Micros
    used: Micros
    running: Micros
    revenue: Micros
    pictures: int
    rows: tuple[CostRow, ...]
    components: Mapping[str, Micros]
    quantities: Mapping[str, int]
    shares: Mapping[CostShare, Micros]
    waste: Mapping[str, Micros]

    def per_picture_usd(self, micros: int, pictures: int | None = None) -> float | None:
        """An amount in dollars per delivered picture; None where there was none."""
        count = self.pictures if pictures is None else pictures
        return micros / count / 1e6 if count else None


def cost_report(totals: Sequence[LedgerTotal], *, by: By, since_s: float, until_s: float) -> CostReport:
    """The report of `Store.ledger_totals` for the same time. An installation without a single line has one of zeros."""
    used = [total for total in totals if total.account in _USED]
    components = _sums((total.component, total.amount_micros) for total in used)
    shares = dict.fromkeys(CostShare, Micros(0))
    for component, amount in components.items():
        share = SHARE_OF.get(component, CostShare.GPU)
        shares[share] = Micros(shares[share] + amount)
    return CostReport(
        since_s=since_s,
        until_s=until_s,
        by=by,
        bill=Micros(-_balance(totals, Account.PROVIDER)),
        used=Micros(sum(total.amount_micros for total in used)),
        running=_balance(totals, Account.FLEET),
        revenue=_balance(totals, Account.REVENUE),
        pictures=sum(total.quantity for total in totals if _is_charge(total)),
        rows=_rows(totals, used, by),
        components=components,
        quantities=dict(_sums((total.component, total.quantity) for total in used)),
        shares=shares,
        waste={name: components[name] for name in WASTE if name in components},
    )


def running_words(report: CostReport) -> str:
    """What separates the bill from what was used, for people: GPUs are billed every few minutes, runs as they end."""
    if report.running < 0:
        return f"{format_usd(Micros(-report.running))} of what ended lately is not on the bill yet"
    return f"{format_usd(report.running)} of it belongs to runs that have not ended"


def report_json(report: CostReport) -> dict[str, object]:
    """The report as the API and the command line show it; `difference_micros` is what does not add up, always 0."""
    return {
        "since_s": report.since_s,
        "until_s": report.until_s,
        "by": report.by.value,
        "pictures": report.pictures,
        "bill_micros": report.bill,
        "used_micros": report.used,
        "running_micros": report.running,
        "difference_micros": report.bill - report.used - report.running,
        "revenue_micros": report.revenue,
        "usd_per_picture": report.per_picture_usd(report.bill),
        "rows": [
            {
                "key": row.key,
                "pictures": row.pictures,
                "cost_micros": row.cost,
                "direct_micros": row.direct,
                "shared_micros": row.shared,
                "revenue_micros": row.revenue,
                "usd_per_picture": report.per_picture_usd(row.cost, row.pictures),
                "parts_micros": dict(row.parts),
            }
            for row in report.rows
        ],
        "components_micros": dict(report.components),
        "shares": {
            part.value: {
                "micros": amount,
                "share": amount / report.used if report.used else None,
                "usd_per_picture": report.per_picture_usd(amount),
            }
            for part, amount in report.shares.items()
        },
        "waste_micros": dict(report.waste),
    }


def _rows(totals: Sequence[LedgerTotal], used: Sequence[LedgerTotal], by: By) -> tuple[CostRow, ...]:
    parts: dict[str, dict[str, int]] = {}
    for total in used:
        own = parts.setdefault(_key(total, by), {})
        own[total.component] = own.get(total.component, 0) + total.amount_micros
    owed, pictures = _owed(totals, by), _delivered(totals, by)
    nobody = parts.pop(_NOBODY[by], {}) if by is not By.COMPONENT else {}
    keys = sorted({*parts, *owed, *pictures})
    direct = {key: sum(parts.get(key, {}).values()) for key in keys}
    shared = dict(zip(keys, _handed_out(sum(nobody.values()), list(direct.values())), strict=True))
    if nobody and not any(direct.values()):
        keys, parts[_NOBODY[by]], direct[_NOBODY[by]] = [*keys, _NOBODY[by]], nobody, sum(nobody.values())
        shared = dict.fromkeys(keys, 0)
    rows = [
        CostRow(
            key=key,
            pictures=pictures.get(key, 0),
            direct=Micros(direct[key]),
            shared=Micros(shared[key]),
            revenue=Micros(owed.get(key, 0)),
            parts={name: Micros(amount) for name, amount in sorted(parts.get(key, {}).items())},
        )
        for key in keys
    ]
    return tuple(sorted(rows, key=lambda row: (-row.cost, row.key)))


_NOBODY: Mapping[By, str] = MappingProxyType({By.MODEL: NO_MODEL, By.TENANT: OPERATOR, By.TIER: NO_TIER})


def _key(total: LedgerTotal, by: By) -> str:
    match by:
        case By.MODEL:
            return total.model_id or NO_MODEL
        case By.TENANT:
            return OPERATOR if total.tenant_id == NO_TENANT else total.tenant_id
        case By.TIER:
            return NO_TIER if total.tier is None else total.tier.value
        case By.COMPONENT:
            return total.component


def _handed_out(amount: int, weights: Sequence[int]) -> list[int]:
    """`amount` in whole parts in proportion to the weights, adding up to it exactly: the largest remainders get the
    odd micro-dollars (Hamilton's method). All zeros where nothing has a weight.
    """
    whole = sum(max(weight, 0) for weight in weights)
    if not whole:
        return [0] * len(weights)
    sign, amount = (-1, -amount) if amount < 0 else (1, amount)
    shares = [divmod(amount * max(weight, 0), whole) for weight in weights]
    parts = [part for part, _ in shares]
    order = sorted(range(len(weights)), key=lambda index: -shares[index][1])
    for index in order[: amount - sum(parts)]:
        parts[index] += 1
    return [sign * part for part in parts]


def _owed(totals: Iterable[LedgerTotal], by: By) -> dict[str, int]:
    if by is By.COMPONENT:
        return {}
    return dict(_sums((_key(each, by), each.amount_micros) for each in totals if each.account is Account.REVENUE))


def _delivered(totals: Iterable[LedgerTotal], by: By) -> dict[str, int]:
    if by is By.COMPONENT:
        return {}
    return dict(_sums((_key(each, by), each.quantity) for each in totals if _is_charge(each)))


def _is_charge(total: LedgerTotal) -> bool:
    return total.account is Account.REVENUE and total.component == CHARGE_COMPONENT


def _balance(totals: Iterable[LedgerTotal], account: Account) -> Micros:
    return Micros(sum(total.amount_micros for total in totals if total.account is account))


def _sums(items: Iterable[tuple[str, int]]) -> dict[str, Micros]:
    sums: dict[str, Micros] = {}
    for key, amount in items:
        sums[key] = Micros(sums.get(key, 0) + amount)
    return dict(sorted(sums.items()))
