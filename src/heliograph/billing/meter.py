"""Metering: from the seconds a GPU was held to micro-dollars."""

import math
from decimal import Decimal

from heliograph.billing.prices import PriceBook
from heliograph.domain.job import Attempt
from heliograph.domain.money import MICROS_PER_USD, Micros, to_micros
from heliograph.domain.tiers import Tier

_MICRO_SECONDS_PER_HOUR = Decimal(3600 * MICROS_PER_USD)


def gpu_cost_micros(attempt: Attempt, prices: PriceBook) -> Micros:
    """What the attempt cost the operator. An unmeasured attempt (0 s) costs nothing, whatever its GPU was."""
    return to_micros(_gpu_cost_usd(attempt, prices))


def tenant_price_micros(attempt: Attempt, tier: Tier, prices: PriceBook) -> Micros:
    """What a tenant of `tier` pays for the attempt: rounded once, from the exact cost and the tier's factor."""
    return to_micros(_gpu_cost_usd(attempt, prices) * prices.factor_of(tier))


def _gpu_cost_usd(attempt: Attempt, prices: PriceBook) -> Decimal:
    """Exact to 28 digits: the seconds enter as the shortest decimal that names their float, so nothing drifts."""
    assert math.isfinite(attempt.gpu_s), f"job {attempt.job_id} attempt {attempt.number}: {attempt.gpu_s} GPU-seconds"
    assert attempt.gpu_s >= 0, f"job {attempt.job_id} attempt {attempt.number}: {attempt.gpu_s} GPU-seconds"
    if attempt.gpu_s == 0:
        return Decimal(0)
    hour_micros = prices.of_gpu(attempt.gpu_class, attempt.market, attempt.zone)
    return Decimal(str(attempt.gpu_s)) * hour_micros / _MICRO_SECONDS_PER_HOUR
