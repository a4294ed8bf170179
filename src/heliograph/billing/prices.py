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
        "H100": Micros(2_290_000),
        "H200": Micros(3_390_000),
        "B200": Micros(4_890_000),
        "B300": Micros(6_990_000),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """Prices in force.

    `gpu_hour_micros` is the operator's cost of one hour of one GPU by GPU class; of class `cpu`, of one worker slot.
    `tier_factor` is what a tenant pays per dollar of GPU cost, from 0 on; a tier that is not listed pays 1.
    """

    gpu_hour_micros: Mapping[str, Micros] = field(default_factory=lambda: GPU_HOUR_MICROS)
    tier_factor: Mapping[Tier, Decimal] = field(default_factory=dict[Tier, Decimal])

    def of_gpu(self, gpu_class: str) -> Micros:
        """Price of an hour on a GPU of that class. Raises `InvalidRequest` for a class without one."""
        price = self.gpu_hour_micros.get(gpu_class)
        if price is None:
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
        self, *, gpu_hour_usd: Mapping[str, float] | None = None, tier_factor: Mapping[Tier, float] | None = None
    ) -> "PriceBook":
        """This book with an operator's entries added or replaced. `InvalidRequest` names one that is no price."""
        gpu_hour_micros = {
            name: to_micros(_amount(usd, f"prices.gpu_hour_usd.{name}")) for name, usd in (gpu_hour_usd or {}).items()
        }
        factors = {
            tier: _amount(factor, f"prices.tier_factor.{tier.value}") for tier, factor in (tier_factor or {}).items()
        }
        return replace(
            self,
            gpu_hour_micros={**self.gpu_hour_micros, **gpu_hour_micros},
            tier_factor={**self.tier_factor, **factors},
        )


def _amount(value: float, param: str) -> Decimal:
    """The decimal number a person wrote, not the binary one nearest to it."""
    if not math.isfinite(value) or value < 0:
        raise InvalidRequest(f"{param} is {value}; it must be a finite number from 0 on", param=param)
    return Decimal(str(value))
