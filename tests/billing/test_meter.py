"""GPU-seconds to micro-dollars, without drift."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.billing import PriceBook
from heliograph.billing.meter import gpu_cost_micros, tenant_price_micros
from heliograph.domain.money import Micros
from heliograph.domain.tiers import Tier
from tests.builders import an_attempt


@pytest.mark.parametrize(
    ("gpu_s", "gpu_class", "micros"),
    [
        (3600.0, "H100", 2_290_000),
        (1.0, "H100", 636),
        (0.2, "cpu", 3),
        (0.036, "cpu", 0),  # exactly half a micro-dollar: to even
        (0.108, "cpu", 2),  # one and a half: to even
        (0.0, "cpu", 0),
        (0.0, "unknown", 0),  # an attempt that ended with the server has neither time nor class
    ],
)
def test_the_cost_of_an_attempt(gpu_s: float, gpu_class: str, micros: int) -> None:
    assert gpu_cost_micros(an_attempt(gpu_s=gpu_s, gpu_class=gpu_class), PriceBook()) == micros


def test_the_tenants_price_is_rounded_once() -> None:
    book = PriceBook(gpu_hour_micros={"cpu": Micros(3600)}, tier_factor={Tier.PRO: Decimal(10)})
    attempt = an_attempt(gpu_s=0.4)
    assert gpu_cost_micros(attempt, book) == 0
    assert tenant_price_micros(attempt, Tier.PRO, book) == 4
    assert tenant_price_micros(attempt, Tier.FREE, book) == 0


@given(seconds=st.floats(0, 1e6), price=st.integers(0, 10**8))
def test_the_cost_is_the_exact_product_to_half_a_micro_dollar(seconds: float, price: int) -> None:
    micros = gpu_cost_micros(an_attempt(gpu_s=seconds), PriceBook(gpu_hour_micros={"cpu": Micros(price)}))
    assert abs(micros - Fraction(seconds) * price / 3600) <= Fraction(1, 2) + Fraction(1, 10**3)


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_impossible_times_are_our_bug(seconds: float) -> None:
    with pytest.raises(AssertionError, match="GPU-seconds"):
        gpu_cost_micros(an_attempt(gpu_s=seconds), PriceBook())
