"""Money: rounded once, half to even, and shown so that the amount can be seen."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.money import MICROS_PER_USD, Micros, format_usd, to_micros


@pytest.mark.parametrize(
    ("usd", "micros"),
    [
        ("0", 0),
        ("1", 1_000_000),
        ("0.000001", 1),
        ("0.0000004", 0),
        ("0.0000005", 0),
        ("0.0000015", 2),
        ("0.0000025", 2),
        ("0.00000251", 3),
        ("-0.0000005", 0),
        ("-0.0000015", -2),
        ("123456789.123456", 123_456_789_123_456),
    ],
)
def test_dollars_become_micro_dollars_half_to_even(usd: str, micros: int) -> None:
    assert to_micros(Decimal(usd)) == micros


@given(micros=st.integers(-(10**15), 10**15))
def test_whole_micro_dollars_survive_unchanged(micros: int) -> None:
    assert to_micros(Decimal(micros) / MICROS_PER_USD) == micros


def test_rounding_many_small_charges_does_not_drift() -> None:
    halves = [Decimal(2 * count + 1) / 2 / MICROS_PER_USD for count in range(1_000)]
    assert sum(map(to_micros, halves)) == sum(halves) * MICROS_PER_USD


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "$0.00"),
        (1, "$0.000001"),
        (700, "$0.0007"),
        (9_999, "$0.009999"),
        (10_000, "$0.01"),
        (1_234_567, "$1.23"),
        (2_000_000, "$2.00"),
        (-1_500_000, "-$1.50"),
        (-700, "-$0.0007"),
    ],
)
def test_amounts_for_people(micros: int, text: str) -> None:
    assert format_usd(Micros(micros)) == text
