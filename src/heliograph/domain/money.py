"""Money is an integer number of micro-dollars (10⁻⁶ USD): a GPU-second is a few hundred of them, so sums stay exact."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import NewType

Micros = NewType("Micros", int)

MICROS_PER_USD = 1_000_000


def to_micros(usd: Decimal) -> Micros:
    """`usd` dollars in micro-dollars, rounded half to even.

    Half to even, because many tiny charges are rounded and always rounding up would overcharge by half a micro-dollar
    each on average. This is the only place where money is rounded.
    """
    return Micros(int((usd * MICROS_PER_USD).to_integral_value(rounding=ROUND_HALF_EVEN)))


def format_usd(micros: Micros) -> str:
    """`micros` as dollars for people: two decimals from one cent on, else as many as it takes to show the amount."""
    sign = "-" if micros < 0 else ""
    usd = abs(Decimal(micros)) / MICROS_PER_USD
    if usd >= Decimal("0.01") or micros == 0:
        return f"{sign}${usd:.2f}"
    return f"{sign}${usd:.6f}".rstrip("0")
