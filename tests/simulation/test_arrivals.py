"""Traffic: traces by path, superposed and scaled; synthetic arrivals with the wanted rate, burstiness and day."""

import statistics
from itertools import islice, pairwise

import pytest

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.tiers import Tier
from heliograph.simulation.arrivals import Arrival, Arrivals, day_factor
from heliograph.simulation.chance import Chance
from heliograph.simulation.scenario import SpotKind, SpotSource, WorkloadKind
from heliograph.simulation.spot import availability, read_availability
from heliograph.simulation.traces import Seen, read_trace, read_wishes
from tests.simulation.worlds import a_scenario, around

GENTD26 = """gmt_create,predict_type,predict_status,exec_time_seconds,groupId,prompt_length,\
negative_prompt_length,num_images_per_prompt,num_inference_steps,checkpoint_model_version_id,num_lora
2024-11-15 10:00:10,TXT_2_IMG,SUCCEED,43.0,G1,93.0,,8.0,40.0,M7,0
2024-11-15 10:00:00,TXT_2_IMG,SUCCEED,32.0,G0,63.0,26.0,1.0,30.0,M0,0
2024-11-16 10:00:05,IMG_2_IMG,FAILED,53.0,G1,93.0,,4.0,25.0,M7,0
"""
AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n"
)
HETU = (
    "Request(request_id=0, timestamp=0.0, height=256, width=512, num_frames=1, prompt='A city', "
    "negative_prompt='low quality, blurry', num_inference_steps=28)\n"
    "Request(request_id=1, timestamp=0.666667, height=2048, width=2048, num_frames=1, prompt='(', "
    "negative_prompt='', num_inference_steps=20)\n"
)
RECORDED = (
    "at_s,model,width_px,height_px,steps,images,tier,tenant,end_user,deadline_s,cancelled_after_s\n"
    "0.000,sdxl-base,1024,1024,30,1,pro,t001,u00001,30.000,\n4.500,z-image-turbo,512,512,9,2,free,t002,,,3.000\n"
)


@pytest.mark.parametrize(
    ("kind", "text", "rows"),
    [
        (
            WorkloadKind.GENTD26,
            GENTD26,
            [
                Seen(at_s=0, model="M0", steps=30, images=1, user="G0"),
                Seen(at_s=10, model="M7", steps=40, images=8, user="G1"),
                Seen(at_s=86_405, model="M7", steps=25, images=4, user="G1"),
            ],
        ),
        (WorkloadKind.DIFFSERVE, "111.0,3971\n36.0,3132\n", [Seen(at_s=0), Seen(at_s=pytest.approx(0.075))]),
        (WorkloadKind.AZURE_LLM, AZURE, [Seen(at_s=0), Seen(at_s=pytest.approx(4.314579, abs=1e-5))]),
        (
            WorkloadKind.HETU,
            HETU,
            [
                Seen(at_s=0, size=(512, 256), steps=28, images=1),
                Seen(at_s=0.666667, size=(2048, 2048), steps=20, images=1),
            ],
        ),
        (
            WorkloadKind.RECORDED,
            RECORDED,
            [
                Seen(0, "sdxl-base", (1024, 1024), 30, 1, Tier.PRO, "t001", "u00001", 30.0, None),
                Seen(4.5, "z-image-turbo", (512, 512), 9, 2, Tier.FREE, "t002", None, None, 3.0),
            ],
        ),
    ],
)
def test_each_trace_format_is_read(kind: WorkloadKind, text: str, rows: list[Seen]) -> None:
    assert read_trace(kind, text, origin="trace") == rows


@pytest.mark.parametrize("kind", [kind for kind in WorkloadKind if kind is not WorkloadKind.SYNTHETIC])
@pytest.mark.parametrize("text", ["", "something else\nentirely\n"])
def test_a_file_of_another_kind_is_refused_by_name(kind: WorkloadKind, text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"some/file\.csv"):
        read_trace(kind, text, origin="some/file.csv")


def test_a_file_of_parameters_is_read() -> None:
    text = "width_px,height_px,steps,guidance_scale,images,prompt_words\n512,768,50,7.0,9,27\n512,512,,,,8\n,,,,,\n"
    wishes = read_wishes(text, origin="krea")
    assert [(wish.size, wish.steps, wish.images) for wish in wishes] == [((512, 768), 50, 9), ((512, 512), None, None)]


def played(workload: str, text: str, **options: object) -> list[Arrival]:
    """What the small scenario's second workload asks for; the first one hardly asks."""
    file = a_scenario(rate_per_hour=1e-9, workload=f"\n[[workload]]\n{workload}", **options)  # type: ignore[arg-type]
    surroundings = around(lambda _path: text)
    catalogue = file.catalogue(surroundings.shipped)
    chance = Chance(file.scenario.seed, "test")
    return list(
        Arrivals(file.scenario, catalogue, surroundings.shares, read_text=surroundings.read_text, chance=chance)
    )


MODELS = "[workload.models]\nck = 1.0\n[checkpoints.ck]\nbase = 'sdxl-base'\ncount = 3\n"


def test_a_trace_keeps_its_models_apart_and_fills_in_the_rest() -> None:
    found = played(f"kind = 'gentd26'\npath = 'x'\nname = 'g'\n{MODELS}", GENTD26, duration_s=90_000)
    assert [(each.at_s, each.model_id, each.steps, each.images) for each in found] == [
        (0.0, "ck-02", 30, 1),
        (10.0, "ck-01", 40, 8),  # asked for most often: the most popular checkpoint
        (86_405.0, "ck-01", 25, 4),
        (86_406.0, "ck-02", 30, 1),  # the trace is over and begins again
        (86_416.0, "ck-01", 40, 8),
    ]
    assert {each.size for each in found} == {(1024, 1024)}
    assert len({each.user for each in found}) == 2
    assert all(each.tenant.startswith("g-t") for each in found)


def test_copies_are_shifted_wrap_around_and_belong_to_others() -> None:
    text = "0.0,1\n60000.0,1\n99000.0,1\n"
    one = played(f"kind = 'diffserve'\npath = 'x'\n{MODELS}", text, duration_s=100)
    four = played(f"kind = 'diffserve'\npath = 'x'\ncopies = 4\nshift_s = 25\n{MODELS}", text, duration_s=100)
    fast = played(f"kind = 'diffserve'\npath = 'x'\nspeed = 2\n{MODELS}", text, duration_s=100)
    assert [each.at_s for each in one] == [0.0, 60.0, 99.0]
    assert [each.at_s for each in four] == [0, 10, 24, 25, 35, 49, 50, 60, 74, 75, 85, 99]
    assert [each.at_s for each in fast] == [0.0, 30.0, 49.5, 50.0, 80.0, 99.5]
    users = played(f"kind = 'gentd26'\npath = 'x'\ncopies = 2\nshift_s = 9\n{MODELS}", GENTD26, duration_s=100)
    assert {each.user for each in users} == {"G0", "G1", "G1/1"}


def test_days_of_a_trace_can_be_chosen() -> None:
    found = played(f"kind = 'gentd26'\npath = 'x'\nfrom_day = 1\nto_day = 2\n{MODELS}", GENTD26, duration_s=50)
    assert [each.at_s for each in found] == [5.0, 11.0, 17.0, 23.0, 29.0, 35.0, 41.0, 47.0]
    with pytest.raises(InvalidRequest, match="from_day"):
        played(f"kind = 'gentd26'\npath = 'x'\nfrom_day = 5\n{MODELS}", GENTD26)


def test_a_recorded_trace_asks_for_exactly_what_was_asked() -> None:
    found = played("kind = 'recorded'\npath = 'x'", RECORDED, duration_s=5)
    first, second = found
    assert first == Arrival(0.0, "sdxl-base", (1024, 1024), 30, 1, Tier.PRO, "t001", "u00001", 30.0, None)
    assert (second.tier, second.tenant, second.images, second.cancelled_after_s) == (Tier.FREE, "t002", 2, 3.0)
    with pytest.raises(InvalidRequest, match="unheard-of"):
        played("kind = 'recorded'\npath = 'x'", RECORDED.replace("sdxl-base", "unheard-of"))


def synthetic(workload: str, *, rate_per_hour: float = 36_000, duration_s: float = 7_200) -> list[Arrival]:
    file = a_scenario(rate_per_hour=rate_per_hour, duration_s=duration_s, workload=workload)
    surroundings = around()
    catalogue = file.catalogue(surroundings.shipped)
    return list(Arrivals(file.scenario, catalogue, surroundings.shares, read_text=str, chance=Chance(3, "test")))


@pytest.mark.parametrize("variation", [0.3, 1.0, 4.0, 13.0])
def test_gaps_vary_as_much_as_wanted(variation: float) -> None:
    chance = Chance(1, "gaps")
    gaps = [chance.gap(variation) for _ in range(400_000)]
    assert statistics.fmean(gaps) == pytest.approx(1.0, rel=0.1)
    assert statistics.pstdev(gaps) == pytest.approx(variation, rel=0.15)


def test_synthetic_arrivals_have_the_rate_the_order_and_the_mix_that_was_asked_for() -> None:
    found = synthetic("")
    assert len(found) == pytest.approx(72_000, rel=0.05)
    assert all(first.at_s <= second.at_s for first, second in pairwise(found))
    share = statistics.fmean(each.model_id == "sdxl-base" for each in found)
    assert share == pytest.approx(0.7, abs=0.15)  # twelve users, each loyal to their last model
    assert statistics.fmean(each.images == 4 for each in found) == pytest.approx(0.2, abs=0.01)
    assert {each.tier for each in found} == set(Tier)


def test_users_come_back_to_their_last_model() -> None:
    last: dict[str, str] = {}
    repeated = 0
    found = synthetic("")
    for each in found:
        repeated += last.get(each.user) == each.model_id
        last[each.user] = each.model_id
    by_chance = 0.7**2 + 0.3**2
    assert repeated / len(found) == pytest.approx(0.5 + 0.5 * by_chance, abs=0.03)


def test_the_day_swings_around_its_mean() -> None:
    factors = [day_factor(hour * 3600.0, 0.8) for hour in range(24)]
    assert statistics.fmean(factors) == pytest.approx(1.0)
    assert min(factors) == pytest.approx(0.2)
    assert factors.index(min(factors)) == 4
    assert factors.index(max(factors)) == 16


def test_shipped_aggregates_shape_popularity_and_mix() -> None:
    file = a_scenario(
        rate_per_hour=1e-9,
        duration_s=3_600,
        workload=f"\n[[workload]]\nrate_per_hour = 20000\nmix = 'gentd26'\n{MODELS}",
    )
    surroundings = around()
    assert surroundings.shares.popularity[:2] == (0.30726, 0.14971)
    arrivals = Arrivals(
        file.scenario, file.catalogue(surroundings.shipped), surroundings.shares, read_text=str, chance=Chance(1, "t")
    )
    found = list(islice(arrivals, 15_000))
    first = statistics.fmean(each.model_id == "ck-01" for each in found)
    assert first == pytest.approx(0.30726 / (0.30726 + 0.14971 + 0.0937), abs=0.02)
    assert statistics.fmean(each.steps == 30 for each in found) > 0.85


# --- spot -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "steps"),
    [
        (
            SpotKind.SKYPILOT,
            '{"metadata": {"gap_seconds": 100}, "data": [0, 1, 1, 0]}',
            [(0, 1.0), (100, 0.0), (200, 0.0), (300, 1.0), (400, 1.0)],
        ),
        (
            SpotKind.BAMBOO_EVENTS,
            "480000,add,node1\n500000,add,node2\n600000,remove,node1\n",
            [(0, 0.5), (20, 1.0), (120, 0.5)],
        ),
        (
            SpotKind.BAMBOO_SIZES,
            "2021-12-10, 13:08:45, 40\n2021-12-10, 13:07:45, 80\n",
            [(0, 1.0), (60, 0.5)],
        ),
    ],
)
def test_each_spot_format_is_read(kind: SpotKind, text: str, steps: list[tuple[float, float]]) -> None:
    assert read_availability(kind, text, origin="spot") == steps
    with pytest.raises(InvalidRequest, match="spot"):
        read_availability(kind, "[]", origin="spot")


def test_a_spot_trace_is_repeated_from_an_offset_on() -> None:
    text = '{"metadata": {"gap_seconds": 100}, "data": [0, 1, 1, 0]}'
    source = SpotSource(kind=SpotKind.SKYPILOT, path="x", offset_s=150)
    steps = availability(source, duration_s=700, read_text=lambda _path: text, chance=Chance(1, "spot"))
    assert steps == [(0.0, 0.0), (150.0, 1.0), (350.0, 0.0), (550.0, 1.0)]


def test_a_synthetic_zone_is_up_as_often_as_it_should_be() -> None:
    source = SpotSource(up_s=3_000, down_s=1_000)
    steps = availability(source, duration_s=4e6, read_text=str, chance=Chance(1, "spot"))
    up_s = sum(later[0] - step[0] for step, later in pairwise(steps) if step[1])
    assert up_s / steps[-1][0] == pytest.approx(0.75, abs=0.03)
    assert all(step[1] != later[1] for step, later in pairwise(steps))
