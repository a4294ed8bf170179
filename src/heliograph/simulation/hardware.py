"""What a GPU class is, and what an hour of it costs: figures to start from, each overridable in a scenario.

`speed` is relative to one H100 and only stands in where a model has no timing of its own on the class. A100 and L40S
follow from the catalogue's models that were measured on both (Wan 2.x and CogVideoX on A100, FLUX.1-dev and SDXL on
L40S), B200 from FLUX.1-dev; the others are ratios of the vendor's dense 16-bit peak, which flatters small cards.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from heliograph.domain.errors import InvalidRequest


class Term(StrEnum):
    """How a GPU is paid for."""

    RESERVED = "reserved"
    ON_DEMAND = "on_demand"
    SPOT = "spot"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuClass:
    """Memory in gigabytes (10⁹ bytes) and speed relative to one H100."""

    memory_gb: float
    speed: float


GPU_CLASSES: Mapping[str, GpuClass] = {
    "L4": GpuClass(memory_gb=24, speed=0.12),
    "L40S": GpuClass(memory_gb=48, speed=0.35),
    "RTX 6000 Ada": GpuClass(memory_gb=48, speed=0.35),
    "RTX PRO 6000": GpuClass(memory_gb=96, speed=0.5),
    "A100-80G": GpuClass(memory_gb=80, speed=0.5),
    "H100": GpuClass(memory_gb=80, speed=1.0),
    "H200": GpuClass(memory_gb=141, speed=1.0),
    "B200": GpuClass(memory_gb=180, speed=1.8),
    "B300": GpuClass(memory_gb=262, speed=1.8),
}

OTHER_SPEEDS: Mapping[str, float] = {"A100": 0.5, "RTX 4090": 0.5, "MI300X": 0.44, "RTX 5090": 0.36, "L20": 0.29}
"""Classes that only occur in timings, as measured on models that were timed on an H100 or A100 as well."""

_CLASS_BY_PREFIX: Mapping[str, str] = {
    "RTX PRO 6000": "RTX PRO 6000",
    "RTX 6000 Ada": "RTX 6000 Ada",
    "L40S": "L40S",
    "L4 ": "L4",
    "A100 80GB": "A100-80G",
    "H100": "H100",
    "H200": "H200",
    "B200": "B200",
    "B300": "B300",
}

RESERVED_DISCOUNT = 0.375
SPOT_DISCOUNT = 0.575
"""Off the on-demand price where the price list has no quote: the middle of its rules of thumb (35-40%, 50-65%)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuPrices:
    """Dollars per GPU-hour by class and term, and where each comes from."""

    usd_per_hour: Mapping[tuple[str, Term], float]
    sources: Mapping[tuple[str, Term], str]

    def of(self, gpu_class: str, term: Term) -> float:
        """The price; a discount on the on-demand price where nobody quotes the term. `InvalidRequest` without any."""
        known = self.usd_per_hour.get((gpu_class, term))
        if known is not None:
            return known
        on_demand = self.usd_per_hour.get((gpu_class, Term.ON_DEMAND))
        if on_demand is None:
            raise InvalidRequest(
                f"There is no price for GPU class {gpu_class!r}; set price_usd_per_hour in its fleet entry.",
                param="fleet",
                code="unknown_gpu_class",
            )
        return on_demand * (1.0 - (RESERVED_DISCOUNT if term is Term.RESERVED else SPOT_DISCOUNT))


def read_prices(text: str) -> GpuPrices:
    """The shipped price list (`data/gpu_prices.csv`).

    Per class and term, the best-trusted quotes count (A before B; C, hearsay, never), and of those the median: a fleet
    is bought neither at the cheapest reseller nor at the dearest cloud. A range counts with its middle.
    """
    quotes: dict[tuple[str, Term], dict[str, list[tuple[float, str]]]] = {}
    for row in csv.DictReader(io.StringIO(text)):
        gpu_class = next((name for prefix, name in _CLASS_BY_PREFIX.items() if row["gpu"].startswith(prefix)), None)
        term = _TERMS.get(row["term"])
        if gpu_class is None or term is None or row["trust"] == "C" or not row["usd_per_gpu_hour"]:
            continue
        bounds = [float(bound) for bound in row["usd_per_gpu_hour"].split("-")]
        by_trust = quotes.setdefault((gpu_class, term), {})
        by_trust.setdefault(row["trust"], []).append((sum(bounds) / len(bounds), row["provider"]))
    prices: dict[tuple[str, Term], float] = {}
    sources: dict[tuple[str, Term], str] = {}
    for key, by_trust in quotes.items():
        best = by_trust[min(by_trust)]
        prices[key] = median(price for price, _ in best)
        sources[key] = ", ".join(dict.fromkeys(provider for _, provider in best))
    return GpuPrices(usd_per_hour=prices, sources=sources)


_TERMS = {"on-demand": Term.ON_DEMAND, "spot": Term.SPOT, "1yr-reserved": Term.RESERVED, "reserved": Term.RESERVED}
