"""What keeping pictures costs by the place where they lie, and what keeping fewer, or elsewhere, would save."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from heliograph.domain.ids import TenantId
from heliograph.domain.keeping import Holding, StorageTier
from heliograph.domain.money import Micros

GB = 1_000_000_000
AGES_DAYS = (7, 30, 90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What lies in one tier. `month_micros` is what a month of it costs, None where nobody said a price."""

    tier: StorageTier
    outputs: int
    size_bytes: int
    month_micros: Micros | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantShare:
    """What one tenant has, wherever it lies; `kept` are the pictures with a star or a hold."""

    tenant_id: TenantId
    outputs: int
    size_bytes: int
    kept: int
    month_micros: Micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """What a month would cost less, had everything older than some days without a star or a hold moved there.

    `to` is None for deleting it.
    """

    older_than_days: int
    to: StorageTier | None
    outputs: int
    size_bytes: int
    month_micros: Micros


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageReport:
    """Everything that lies there, by place and tenant, and what could be saved."""

    places: tuple[Place, ...]
    tenants: tuple[TenantShare, ...]
    savings: tuple[Saving, ...]

    @property
    def outputs(self) -> int:
        """All pictures."""
        return sum(place.outputs for place in self.places)

    @property
    def size_bytes(self) -> int:
        """All their bytes."""
        return sum(place.size_bytes for place in self.places)

    @property
    def month_micros(self) -> Micros:
        """What a month of all of it costs, as far as there are prices."""
        return Micros(sum(place.month_micros or 0 for place in self.places))


def storage_report(holdings: Sequence[Holding], gb_month_micros: Mapping[StorageTier, Micros]) -> StorageReport:
    """Count what lies there; `gb_month_micros` are the prices of a GB for a month by tier, as far as they are known."""
    return StorageReport(
        places=tuple(_place(tier, holdings, gb_month_micros) for tier in StorageTier),
        tenants=tuple(
            sorted(
                (_tenant(tenant_id, holdings, gb_month_micros) for tenant_id in {each.tenant_id for each in holdings}),
                key=lambda share: (-share.size_bytes, share.tenant_id),
            )
        ),
        savings=tuple(
            saving
            for days in AGES_DAYS
            for to in (StorageTier.COOL, StorageTier.ARCHIVE, None)
            if (saving := _saving(days, to, holdings, gb_month_micros)) is not None
        ),
    )


def month_micros(size_bytes: int, gb_month: Micros) -> Micros:
    """What so many bytes cost for a month, rounded to the nearest micro-dollar, halves up."""
    return Micros((size_bytes * gb_month * 2 + GB) // (2 * GB))


def _place(tier: StorageTier, holdings: Sequence[Holding], prices: Mapping[StorageTier, Micros]) -> Place:
    here = [each for each in holdings if each.storage_tier is tier]
    size_bytes = sum(each.size_bytes for each in here)
    cost = month_micros(size_bytes, prices[tier]) if tier in prices else None if size_bytes else Micros(0)
    return Place(tier=tier, outputs=sum(each.outputs for each in here), size_bytes=size_bytes, month_micros=cost)


def _tenant(tenant_id: TenantId, holdings: Sequence[Holding], prices: Mapping[StorageTier, Micros]) -> TenantShare:
    own = [each for each in holdings if each.tenant_id == tenant_id]
    return TenantShare(
        tenant_id=tenant_id,
        outputs=sum(each.outputs for each in own),
        size_bytes=sum(each.size_bytes for each in own),
        kept=sum(each.outputs for each in own if each.is_kept),
        month_micros=Micros(sum(_price(each, prices) for each in own)),
    )


def _saving(
    days: int, to: StorageTier | None, holdings: Sequence[Holding], prices: Mapping[StorageTier, Micros]
) -> Saving | None:
    """None where there is no price, or nothing to save."""
    if to is not None and to not in prices:
        return None
    order = list(StorageTier)
    moved = [
        each
        for each in holdings
        if each.age_days_min >= days
        and not each.is_kept
        and (to is None or order.index(each.storage_tier) < order.index(to))
    ]
    size_bytes = sum(each.size_bytes for each in moved)
    after = 0 if to is None else month_micros(size_bytes, prices[to])
    saved = sum(_price(each, prices) for each in moved) - after
    if saved <= 0:
        return None
    return Saving(
        older_than_days=days,
        to=to,
        outputs=sum(each.outputs for each in moved),
        size_bytes=size_bytes,
        month_micros=Micros(saved),
    )


def _price(holding: Holding, prices: Mapping[StorageTier, Micros]) -> Micros:
    return month_micros(holding.size_bytes, prices.get(holding.storage_tier, Micros(0)))
