"""The price book: what a GPU-hour costs the operator, and what a tier pays for it.

The built-in prices are public on-demand prices per card in US dollars, before tax, as listed in the SkyPilot catalogue
(github.com/skypilot-org/skypilot-catalog) in 2026: `verda/vms.csv` at 000c1d0b, and `aws/vms.csv` at e385a0d3 for L4
(g6.xlarge) and L40S (g6e.2xlarge). They are a starting point for estimates; an operator who knows better overrides
them.

`cpu` has no market price: five cents per core-hour is an assumption, about what a small cloud machine costs per core.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType

from heliograph.domain.billing_records import Component
from heliograph.domain.errors import InvalidRequest
from heliograph.domain.money import Micros, to_micros
from heliograph.domain.tiers import Tier

GPU_HOUR_MICROS: Mapping[str, Micros] = MappingProxyType(
    {
        "cpu": Micros(50_000),
        "L4": Micros(804_800),
        "L40S": Micros(2_242_080),
        "RTX 6000 Ada": Micros(826_000),
        "RTX PRO 6000": Micros(1_690_000),
        "A100-80G": Micros(1_290_000),
        "A100-80G:spot": Micros(451_500),
        "H100": Micros(2_290_000),
        "H100:spot": Micros(801_500),
        "H200": Micros(3_390_000),
        "B200": Micros(4_890_000),
        "B300": Micros(6_990_000),
    }
)

_SEPARATOR = ":"
_OWNED = "reserved"


def gpu_label(gpu_class: str, market: str = _OWNED, zone: str = "") -> str:
    """What a price is kept under: `H100`, `H100:spot`, `H100:spot:us-east-1c`; the same for what it costs in a ledger.

    A market is only named where it is not `reserved`, a zone only with a market or where there is one.
    """
    parts = [gpu_class, market if market != _OWNED or zone else "", zone]
    return _SEPARATOR.join(parts).rstrip(_SEPARATOR)


UNIT_OF: Mapping[Component, tuple[str, int]] = MappingProxyType(
    {
        Component.API_CPU: ("core-hour", 3_600_000_000),
        Component.QUEUE_CPU: ("core-hour", 3_600_000_000),
        Component.SAFETY_CPU: ("core-hour", 3_600_000_000),
        Component.POSTPROCESS_CPU: ("core-hour", 3_600_000_000),
        Component.STORAGE: ("GB-month", 1_000_000_000 * 730),
        Component.EGRESS: ("GB", 1_000_000_000),
        Component.MODERATION: ("hour", 3_600_000),
    }
)
"""The unit a price is for, and how much of what is counted it is: microseconds of a core, byte-hours (a month has 730
hours), bytes, milliseconds of a reviewer."""

SERVICE_MICROS: Mapping[Component, Micros] = MappingProxyType(
    {
        Component.API_CPU: Micros(50_000),
        Component.QUEUE_CPU: Micros(50_000),
        Component.SAFETY_CPU: Micros(50_000),
        Component.POSTPROCESS_CPU: Micros(50_000),
        Component.STORAGE: Micros(23_000),
        Component.EGRESS: Micros(85_000),
        Component.MODERATION: Micros(20_000_000),
    }
)
"""Per unit: storage and egress are list prices of Amazon S3 Standard and CloudFront's first tier in 2026. Cores cost
what a worker slot costs, and an hour of a reviewer 20 dollars: both are assumptions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """Prices in force.

    `gpu_hour_micros` is the operator's cost of one hour of one GPU by `gpu_label`; of class `cpu`, of one worker slot.
    `service_micros` is that of one unit of everything else. `tier_factor` is what a tenant pays per dollar of GPU cost,
    from 0 on; a tier that is not listed pays 1.
    """

    gpu_hour_micros: Mapping[str, Micros] = field(default_factory=lambda: GPU_HOUR_MICROS)
    service_micros: Mapping[Component, Micros] = field(default_factory=lambda: SERVICE_MICROS)
    tier_factor: Mapping[Tier, Decimal] = field(default_factory=dict[Tier, Decimal])

    def of_gpu(self, gpu_class: str, market: str = _OWNED, zone: str = "") -> Micros:
        """Price of an hour on a GPU of that class, as exactly as there is one: for its market and zone, for its market,
        for its class. Raises `InvalidRequest` for a class without any.
        """
        return self.of_label(gpu_label(gpu_class, market, zone))

    def of_label(self, label: str) -> Micros:
        """The same of a `gpu_label`."""
        price, name = self.gpu_hour_micros.get(label), label
        while price is None and _SEPARATOR in name:
            name = name.rpartition(_SEPARATOR)[0].rstrip(_SEPARATOR)
            price = self.gpu_hour_micros.get(name)
        if price is None:
            gpu_class = name
            raise InvalidRequest(
                f"no price for GPU class {gpu_class!r}; set prices.gpu_hour_usd for it (known: "
                f"{', '.join(sorted(self.gpu_hour_micros))})",
                param="prices.gpu_hour_usd",
                code="unknown_gpu_class",
            )
        return price

    def require(self, gpu_classes: Iterable[str]) -> None:
        """Raise `InvalidRequest` unless every class has a price. Asked at start, so that metering cannot fail later."""
        for gpu_class in gpu_classes:
            self.of_gpu(gpu_class)

    def factor_of(self, tier: Tier) -> Decimal:
        """What the tier pays per dollar of GPU cost."""
        return self.tier_factor.get(tier, Decimal(1))

    def overridden(
        self,
        *,
        gpu_hour_usd: Mapping[str, float] | None = None,
        service_usd: Mapping[Component, float] | None = None,
        tier_factor: Mapping[Tier, float] | None = None,
    ) -> "PriceBook":
        """This book with an operator's entries added or replaced. `InvalidRequest` names one that is no price."""
        gpu_hour_micros = {
            name: to_micros(_amount(usd, f"prices.gpu_hour_usd.{name}")) for name, usd in (gpu_hour_usd or {}).items()
        }
        service_micros = {
            name: to_micros(_amount(usd, f"prices.service_usd.{name.value}"))
            for name, usd in (service_usd or {}).items()
        }
        factors = {
            tier: _amount(factor, f"prices.tier_factor.{tier.value}") for tier, factor in (tier_factor or {}).items()
        }
        return replace(
            self,
            gpu_hour_micros={**self.gpu_hour_micros, **gpu_hour_micros},
            service_micros={**self.service_micros, **service_micros},
            tier_factor={**self.tier_factor, **factors},
        )


def _amount(value: float, param: str) -> Decimal:
    """The decimal number a person wrote, not the binary one nearest to it."""
    if not math.isfinite(value) or value < 0:
        raise InvalidRequest(f"{param} is {value}; it must be a finite number from 0 on", param=param)
    return Decimal(str(value))
