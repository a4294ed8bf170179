"""What things take and cost: sizes, scaled timings, loads, prices."""

import pytest

from heliograph.cli_simulate import DATA_DIR
from heliograph.domain.errors import InvalidRequest
from heliograph.domain.ids import ModelId
from heliograph.simulation.chance import Chance
from heliograph.simulation.hardware import GPU_CLASSES, Term, read_prices
from heliograph.simulation.machines import Cache
from heliograph.simulation.simulate import known_cards
from heliograph.simulation.truth import Truth, as_believed, size_factor
from tests.builders import a_card, a_timing
from tests.simulation.worlds import a_scenario, around

SPEEDS = {"H100": 1.0, "L4": 0.125}


@pytest.mark.parametrize(("side", "factor"), [(1024, 1.0), (512, 0.275), (256, 0.110), (2048, 4.947)])
def test_work_grows_faster_than_pixels(side: int, factor: float) -> None:
    assert size_factor(side * side) == pytest.approx(factor, abs=0.001)


def test_a_class_without_a_timing_is_scaled_by_speed() -> None:
    card = as_believed(a_card(timings=(a_timing(seconds=2.0, gpu="H100"),), load_s=20), ["H100", "L4"], SPEEDS)
    assert [(timing.gpu, timing.seconds) for timing in card.timings] == [("H100", 2.0), ("L4", 16.0)]
    with pytest.raises(InvalidRequest, match="painter has no timing"):
        as_believed(a_card(timings=(a_timing(seconds=2.0, gpu="abacus"),)), ["H100"], SPEEDS)


def test_what_a_card_does_not_say_follows_from_its_weights() -> None:
    timings = (a_timing(seconds=2.0, gpu="H100"),)
    card = as_believed(a_card(timings=timings, vram_bytes=None, disk_bytes=10 * 10**9), ["H100"], SPEEDS)
    assert card.load_s == pytest.approx(18.7 + 4.2)
    assert card.vram_bytes == 12 * 10**9


def test_the_truth_is_off_by_at_most_the_profile_error() -> None:
    def seconds(error: float) -> list[float]:
        file = a_scenario(more=f"profile_error = {error}")
        names = [ModelId(name) for name in ("sdxl-base", "z-image-turbo", "flux1-dev", "qwen-image")]
        cards = known_cards(file.scenario, file.catalogue(around().shipped), names)
        truth = Truth(cards, file.scenario, Chance(1, "truth"))
        return [
            truth.run_s(name, "H100", size=(1024, 1024), steps=card.timings[0].steps, images=1)
            / card.timings[0].seconds
            for name, card in cards.items()
        ]

    assert seconds(0.0) == pytest.approx([1.0] * 4)
    wrong = seconds(0.2)
    assert all(0.8 <= factor <= 1.2 for factor in wrong)
    assert max(wrong) - min(wrong) > 0.05


def test_a_cache_keeps_what_was_used_last() -> None:
    cache = Cache(10)
    for name in ("a", "b", "a", "c"):
        cache.use(ModelId(name), 4)
    assert ("a" in cache, "b" in cache, "c" in cache) == (True, False, True)
    cache.use(ModelId("huge"), 11)
    assert "huge" not in cache
    assert "a" in cache


def test_prices_are_the_median_of_the_best_trusted_quotes() -> None:
    header = "provider,gpu,vram_gb,term,usd_per_gpu_hour,unit_note,as_of,source,trust\n"
    rows = (
        "P,H100 SXM 80GB,80,on-demand,2.00,,,,B\nQ,H100,80,on-demand,4.00,,,,B\nR,H100,80,on-demand,9.00,,,,C\n"
        "P,A100 80GB,80,on-demand,1.0-2.0,,,,A\nQ,A100 80GB,80,on-demand,8.00,,,,B\nZ,Abacus,1,spot,0.01,,,,A\n"
    )
    prices = read_prices(header + rows)
    assert prices.of("H100", Term.ON_DEMAND) == 3.0
    assert prices.of("A100-80G", Term.ON_DEMAND) == 1.5
    assert prices.of("H100", Term.SPOT) == pytest.approx(3.0 * 0.425)
    assert prices.sources["H100", Term.ON_DEMAND] == "P, Q"
    with pytest.raises(InvalidRequest, match="L4"):
        prices.of("L4", Term.SPOT)


def test_every_class_has_a_price_in_the_shipped_list() -> None:
    prices = read_prices((DATA_DIR / "gpu_prices.csv").read_text(encoding="utf-8"))
    for name in GPU_CLASSES:
        spot, on_demand = prices.of(name, Term.SPOT), prices.of(name, Term.ON_DEMAND)
        assert 0 < spot < on_demand, name
