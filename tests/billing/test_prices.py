"""The price book and what operators may write into it."""

from decimal import Decimal

import pytest

from heliograph.billing import PriceBook
from heliograph.domain.errors import InvalidRequest
from heliograph.domain.tiers import Tier


def test_the_laptop_has_a_price_without_any_setting() -> None:
    assert PriceBook().of_gpu("cpu") == 50_000
    PriceBook().require(["cpu", "H100"])


def test_a_class_without_a_price_is_named_with_the_setting_that_mends_it() -> None:
    with pytest.raises(InvalidRequest, match=r"'TPU'.*prices\.gpu_hour_usd") as caught:
        PriceBook().require(["cpu", "TPU"])
    assert caught.value.code == "unknown_gpu_class"


def test_an_operator_replaces_and_adds_prices_and_keeps_the_rest() -> None:
    book = PriceBook().overridden(gpu_hour_usd={"cpu": 0.1, "TPU": 3.2}, tier_factor={Tier.PRO: 1.5})
    assert (book.of_gpu("cpu"), book.of_gpu("TPU"), book.of_gpu("L4")) == (100_000, 3_200_000, 804_800)
    assert (book.factor_of(Tier.PRO), book.factor_of(Tier.FREE)) == (Decimal("1.5"), 1)
    assert PriceBook().of_gpu("cpu") == 50_000


@pytest.mark.parametrize("price", [-0.01, float("nan"), float("inf")])
def test_what_is_no_price_is_refused_by_name(price: float) -> None:
    with pytest.raises(InvalidRequest) as of_gpu:
        PriceBook().overridden(gpu_hour_usd={"L4": price})
    with pytest.raises(InvalidRequest) as of_tier:
        PriceBook().overridden(tier_factor={Tier.FREE: price})
    assert (of_gpu.value.param, of_tier.value.param) == ("prices.gpu_hour_usd.L4", "prices.tier_factor.free")
