"""What a request is expected to cost its tenant, said before it is made."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from heliograph.billing.prices import PriceBook
from heliograph.domain.money import MICROS_PER_USD, Micros, to_micros
from heliograph.domain.request import GenerationRequest
from heliograph.domain.tiers import Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Micro-dollars: the mean over the GPUs it may run on, and the cheapest and dearest of them.

    The charge is what the run really took, so it can lie outside.
    """

    expected: Micros
    low: Micros
    high: Micros


_MICRO_SECONDS_PER_HOUR = Decimal(3600 * MICROS_PER_USD)

FREE_OF_CHARGE = Quote(expected=Micros(0), low=Micros(0), high=Micros(0))


def free(_request: GenerationRequest, _tier: Tier) -> Quote:
    """Where nothing is charged."""
    return FREE_OF_CHARGE


def quote(runs: Iterable[tuple[str, str, str, float]], tier: Tier, prices: PriceBook) -> Quote:
    """The quote of a request that takes so many GPU-seconds on each GPU: (class, market, zone, GPU-seconds).

    Without any GPU it is zero: nothing can be charged for what cannot run.
    """
    factor = prices.factor_of(tier)
    costs = [
        to_micros(Decimal(str(gpu_s)) * prices.of_gpu(gpu_class, market, zone) * factor / _MICRO_SECONDS_PER_HOUR)
        for gpu_class, market, zone, gpu_s in runs
    ]
    if not costs:
        return FREE_OF_CHARGE
    mean = Micros(round(sum(costs) / len(costs)))
    return Quote(expected=mean, low=min(costs), high=max(costs))
