"""Who goes next and how long it takes: priority, ageing, ties, positions, ETA, and what is learned about durations."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.events import Event
from heliograph.domain.ids import JobId, ModelId
from heliograph.domain.model_card import FrameRule
from heliograph.domain.tiers import Tier
from heliograph.domain.views import JobView, Phase, ReplicaState
from heliograph.domain.weights import Fetching
from heliograph.scheduling import Profiles, Scheduler, SchedulerPolicy
from heliograph.scheduling.pending import LOOKED_AT_MAX, PendingLine
from heliograph.scheduling.priority import place_of
from heliograph.scheduling.profiles import FINISH_S_PRIOR, LEARNING_RATE, LOAD_S_UNKNOWN, RUN_S_UNKNOWN
from tests.builders import (
    MODEL,
    a_card,
    a_job,
    a_place,
    a_request,
    a_scheduler,
    a_timing,
    clock_ticked,
    images_ready,
    in_words,
    outputs_stored,
    play,
    recovered,
    replica_requested,
    replica_stop_requested,
    run_failed,
    run_started,
    step_done,
    submitted,
    weights_progressed,
    worker_ready,
)

MEGAPIXEL_STEP = a_request(width_px=1_000, height_px=1_000, steps=1)


def profiles_of_one_second_a_step() -> Profiles:
    profiles = Profiles()
    profiles.set_prior(a_card(timings=(a_timing(seconds=10.0, steps=10),), load_s=20.0), gpu_classes={"cpu"})
    return profiles


def order_of_dispatch(scheduler: Scheduler) -> list[str]:
    """Give the line one worker and write down who gets it."""
    waiting = play(scheduler, replica_requested("w0"), worker_ready("w0"))
    order: list[str] = []
    while waiting:
        name, attempt = in_words(waiting)[-1].removeprefix("w0 runs ").split("#")
        order.append(name)
        play(scheduler, run_started(name, attempt=int(attempt)))
        waiting = play(scheduler, images_ready(name, attempt=int(attempt)))[2:]
    return order


def view_of(scheduler: Scheduler, name: str, *, now_s: float = 0.0) -> JobView:
    view = scheduler.view(JobId(name), now_s=now_s)
    assert view is not None
    return view


# --- priority --------------------------------------------------------------------------------------------------------


def test_tiers_have_a_head_start_of_so_many_seconds_of_waiting() -> None:
    scheduler = a_scheduler(workers=0, tier_head_start_s={Tier.FREE: 0.0, Tier.STANDARD: 30.0, Tier.PRO: 120.0})
    arrivals = {"free": ("free", 0.0), "standard": ("standard", 29.0), "pro": ("pro", 118.0), "patient": ("free", 2.0)}
    for sequence, (name, (tier, at_s)) in enumerate(arrivals.items()):
        play(scheduler, submitted(name, tier=tier, created_at_s=at_s, sequence=sequence))
    assert order_of_dispatch(scheduler) == ["pro", "standard", "free", "patient"]


def test_whoever_has_waited_longer_than_the_head_start_goes_first() -> None:
    scheduler = a_scheduler(workers=0)
    play(scheduler, submitted("free", tier="free", created_at_s=0.0))
    play(scheduler, submitted("pro", tier="pro", created_at_s=120.5, sequence=1))
    assert order_of_dispatch(scheduler) == ["free", "pro"]


def test_short_work_goes_before_long_work() -> None:
    scheduler = a_scheduler(workers=0, profiles=profiles_of_one_second_a_step())
    play(scheduler, submitted("long", request=a_request(width_px=1_000, height_px=1_000, steps=50)))
    play(scheduler, submitted("short", request=MEGAPIXEL_STEP, sequence=1, created_at_s=10.0))
    assert order_of_dispatch(scheduler) == ["short", "long"]


def test_ties_go_by_order_of_submission_and_not_by_arrival_in_line() -> None:
    scheduler = a_scheduler(workers=0)
    for sequence in (2, 0, 1):
        play(scheduler, submitted(f"number{sequence}", sequence=sequence))
    assert order_of_dispatch(scheduler) == ["number0", "number1", "number2"]


def test_a_retried_job_keeps_its_place_in_line() -> None:
    scheduler = a_scheduler(workers=1, backoff_s=(2.0,))
    play(scheduler, submitted("first"), submitted("second", sequence=1), submitted("third", sequence=2))
    play(scheduler, run_failed("first"), clock_ticked(), now_s=0.0)
    play(scheduler, clock_ticked(), now_s=2.0)
    assert in_words(play(scheduler, images_ready("second"), now_s=2.0))[-1] == "w0 runs first#2"


class_of_job = st.tuples(st.sampled_from(Tier), st.floats(0.0, 1_000.0), st.floats(0.0, 300.0))


@given(early=class_of_job, late=class_of_job, cost_weight=st.floats(0.0, 2.0))
def test_nobody_is_overtaken_beyond_the_stated_bound(
    early: tuple[Tier, float, float], late: tuple[Tier, float, float], cost_weight: float
) -> None:
    policy = SchedulerPolicy(cost_weight=cost_weight)
    (tier, created_at_s, estimate_s), (other_tier, after_s, other_estimate_s) = early, late
    first = a_job("early", tier=tier, created_at_s=created_at_s)
    second = a_job("late", tier=other_tier, created_at_s=created_at_s + after_s, sequence=1)
    bound_s = policy.tier_head_start_s[other_tier] + cost_weight * estimate_s
    later = place_of(second, estimate_s=other_estimate_s, policy=policy)
    is_overtaken = later.virtual_arrival < place_of(first, estimate_s=estimate_s, policy=policy).virtual_arrival
    assert not is_overtaken or after_s <= bound_s + 1e-6


# --- the line itself -------------------------------------------------------------------------------------------------


@given(keys=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), seed=st.integers(0, 99))
def test_the_line_is_a_sorted_list(keys: list[float], seed: int) -> None:
    line = PendingLine()
    places = [
        a_place(f"job{sequence}", created_at_s=key, sequence=sequence, estimate_s=2.0)
        for sequence, key in enumerate(keys)
    ]
    random.Random(seed).shuffle(places)
    for place in places:
        line.add(place)
    for place in places[::3]:
        assert line.remove(place.job_id)
        assert not line.remove(place.job_id)
        assert place.job_id not in line
    left = sorted((place for index, place in enumerate(places) if index % 3), key=lambda place: place.virtual_arrival)
    expected = [place.job_id for place in left]
    assert line.job_ids() == tuple(expected)
    assert [line.position(job_id) for job_id in expected] == list(range(1, len(expected) + 1))
    assert [line.ahead_s(job_id) for job_id in expected] == [2.0 * index for index in range(len(expected))]
    assert (len(line), line.total_s) == (len(expected), 2.0 * len(expected))
    for job_id in expected:
        assert line.choose(free_in_s=lambda: [0.0], now_s=0.0) == job_id
        line.serve(job_id, now_s=-1e9)
    assert line.total_s == 0.0


def test_far_back_in_line_the_mean_stands_in_for_each_job_ahead() -> None:
    line = PendingLine()
    for index in range(2 * LOOKED_AT_MAX):
        estimate_s = 1.0 if index < LOOKED_AT_MAX else 3.0
        line.add(a_place(f"job{index}", created_at_s=float(index), sequence=index, estimate_s=estimate_s))
    assert line.ahead_s(JobId(f"job{LOOKED_AT_MAX}")) == LOOKED_AT_MAX
    assert line.ahead_s(JobId(f"job{LOOKED_AT_MAX + 10}")) == LOOKED_AT_MAX + 10 * 2.0


# --- positions and ETA -----------------------------------------------------------------------------------------------


def test_position_one_is_next_and_the_eta_grows_along_the_line() -> None:
    scheduler = a_scheduler(workers=1, profiles=profiles_of_one_second_a_step())
    names = [f"job{index}" for index in range(6)]
    for sequence, name in enumerate(names):
        request = a_request(width_px=1_000, height_px=1_000, steps=4 + sequence % 3)
        play(scheduler, submitted(name, request=request, sequence=sequence, tier="pro" if sequence % 2 else "free"))
    running, *waiting = sorted((view_of(scheduler, name) for name in names), key=lambda view: view.queue_position or 0)
    assert running.queue_position is None
    assert [view.queue_position for view in waiting] == [1, 2, 3, 4, 5]
    etas = [view.eta_s for view in (running, *waiting) if view.eta_s is not None]
    assert len(etas) == 6
    assert etas == sorted(etas)
    commands = play(scheduler, images_ready(running.job.job_id))
    assert in_words(commands)[-1] == f"w0 runs {waiting[0].job.job_id}#1"


def test_positions_count_within_the_line_of_a_model() -> None:
    scheduler = a_scheduler(workers=0)
    play(scheduler, submitted("a"), submitted("b", model="another"), submitted("c", sequence=1))
    assert [view_of(scheduler, name).queue_position for name in "abc"] == [1, 1, 2]


def test_the_eta_is_work_ahead_then_own_work_then_finishing() -> None:
    scheduler = a_scheduler(workers=1, profiles=profiles_of_one_second_a_step())
    ten_s = a_request(width_px=1_000, height_px=1_000, steps=10)
    play(scheduler, submitted("a", request=ten_s), submitted("b", request=ten_s, sequence=1))
    play(scheduler, submitted("c", request=ten_s, sequence=2), run_started("a"), step_done("a", 4))
    etas = [view_of(scheduler, name).eta_s for name in "abc"]
    assert etas == [pytest.approx(seconds + FINISH_S_PRIOR) for seconds in (6.0, 16.0, 26.0)]
    assert view_of(scheduler, "a", now_s=2.5).eta_s == pytest.approx(3.5 + FINISH_S_PRIOR)
    assert view_of(scheduler, "a", now_s=99.0).eta_s == pytest.approx(FINISH_S_PRIOR)


def test_replicas_share_the_work_ahead() -> None:
    scheduler = a_scheduler(workers=2, profiles=profiles_of_one_second_a_step())
    ten_s = a_request(width_px=1_000, height_px=1_000, steps=10)
    for sequence, name in enumerate("abc"):
        play(scheduler, submitted(name, request=ten_s, sequence=sequence))
    assert view_of(scheduler, "c").eta_s == pytest.approx(10.0 + 10.0 + FINISH_S_PRIOR)


@pytest.mark.parametrize(
    ("events", "phase", "load_s"),
    [
        pytest.param([], Phase.LOADING_MODEL, 20.0, id="nothing is there"),
        pytest.param([replica_requested("w0")], Phase.LOADING_MODEL, 20.0, id="loading"),
        pytest.param(
            [replica_requested("w0"), weights_progressed("w0", 3, of=10, left_s=70.0)],
            Phase.LOADING_MODEL,
            90.0,
            id="its weights are fetched",
        ),
        pytest.param(
            [replica_requested("w0"), weights_progressed("w0", 10, of=10, left_s=0.0)],
            Phase.LOADING_MODEL,
            20.0,
            id="its weights are here",
        ),
        pytest.param(
            [replica_requested("w0"), worker_ready("w0", load_s=20.0), replica_stop_requested("w0")],
            Phase.LOADING_MODEL,
            20.0,
            id="about to be unloaded",
        ),
        pytest.param(
            [replica_requested("w0"), worker_ready("w0", load_s=20.0), submitted("other", request=MEGAPIXEL_STEP)],
            Phase.WAITING,
            1.0,
            id="loaded, busy for a second",
        ),
    ],
)
def test_the_eta_includes_loading_while_nothing_is_loaded(events: list[Event], phase: Phase, load_s: float) -> None:
    scheduler = a_scheduler(workers=0, profiles=profiles_of_one_second_a_step())
    play(scheduler, *events)
    play(scheduler, submitted("cat", request=MEGAPIXEL_STEP, sequence=9))
    view = view_of(scheduler, "cat")
    assert (view.phase, view.queue_position) == (phase, 1)
    assert view.eta_s == pytest.approx(load_s + 1.0 + FINISH_S_PRIOR)


def test_a_fetch_is_seen_until_the_model_is_loaded() -> None:
    scheduler = a_scheduler(workers=0)
    play(scheduler, replica_requested("w0"), weights_progressed("w0", 3, of=10, left_s=70.0), now_s=5.0)
    (replica,) = scheduler.fleet_view().replicas
    assert replica.fetching == Fetching(done_bytes=3, total_bytes=10, left_s=70.0)
    play(scheduler, weights_progressed("w9", 1, of=2), worker_ready("w0"), weights_progressed("w0", 4, of=10))
    (replica,) = scheduler.fleet_view().replicas
    assert (replica.state, replica.fetching) == (ReplicaState.READY, None), "what comes late changes nothing"


def test_a_job_that_backs_off_has_no_position_and_an_eta_after_its_pause() -> None:
    scheduler = a_scheduler(workers=1, backoff_s=(50.0,))
    play(scheduler, submitted("cat"), run_failed("cat"), now_s=100.0)
    view = view_of(scheduler, "cat", now_s=110.0)
    assert (view.phase, view.queue_position) == (Phase.RETRYING, None)
    assert view.eta_s == pytest.approx(40.0 + RUN_S_UNKNOWN + FINISH_S_PRIOR)


def test_every_phase_has_its_word() -> None:
    scheduler = a_scheduler(workers=1, post_processing_max=1)
    phases: list[Phase] = []
    for event in (submitted("cat"), run_started("cat"), images_ready("cat"), submitted("dog", sequence=1)):
        play(scheduler, event)
        phases.append(view_of(scheduler, "cat").phase)
    assert phases == [Phase.GENERATING, Phase.GENERATING, Phase.FINISHING, Phase.FINISHING]
    assert view_of(scheduler, "dog").phase is Phase.WAITING


def test_there_is_no_view_of_a_job_that_has_ended() -> None:
    scheduler = a_scheduler(workers=1)
    play(scheduler, submitted("cat"), images_ready("cat"), outputs_stored("cat"))
    assert scheduler.view(JobId("cat"), now_s=0.0) is None
    assert not scheduler.is_open(JobId("cat"))


def test_a_recovered_job_that_was_tried_before_is_retrying() -> None:
    scheduler = a_scheduler(workers=0)
    play(scheduler, recovered("cat", attempt=1))
    assert view_of(scheduler, "cat").phase is Phase.RETRYING


# --- profiles --------------------------------------------------------------------------------------------------------


def test_without_facts_durations_are_guesses() -> None:
    profiles = Profiles()
    seconds = (profiles.run_s(a_request()), profiles.load_s(ModelId(MODEL)), profiles.finish_s(ModelId(MODEL)))
    assert seconds == (RUN_S_UNKNOWN, LOAD_S_UNKNOWN, FINISH_S_PRIOR)


def test_a_card_s_timing_scales_with_steps_pixels_and_pictures() -> None:
    profiles = profiles_of_one_second_a_step()
    assert profiles.run_s(a_request(width_px=500, height_px=1_000, steps=8, image_count=3)) == pytest.approx(12.0)
    assert profiles.load_s(ModelId(MODEL)) == 20.0


EIGHT_AT_MOST = FrameRule(minimum=2, maximum=8, default=5, per_second=8.0)


def test_every_frame_of_a_clip_is_work() -> None:
    profiles = Profiles()
    card = a_card(timings=(a_timing(seconds=20.0, steps=10, frames=5),), frames=EIGHT_AT_MOST)
    profiles.set_prior(card, gpu_classes={"cpu"})
    clip = a_request(width_px=1_000, height_px=1_000, steps=10, frames=8, frames_per_second=8)
    assert profiles.run_s(clip) == pytest.approx(32.0)
    assert profiles.picture_s(card) == pytest.approx(20.0 * 0.065536 + FINISH_S_PRIOR), "256 x 256, five frames"


def test_the_fastest_timing_of_a_card_counts() -> None:
    profiles = Profiles()
    profiles.set_prior(a_card(timings=(a_timing(seconds=30.0), a_timing(seconds=10.0))), gpu_classes={"cpu"})
    assert profiles.run_s(MEGAPIXEL_STEP) == pytest.approx(1.0)


def test_only_timings_of_the_fleet_s_own_gpus_count() -> None:
    profiles, card = Profiles(), a_card(timings=(a_timing(seconds=1.0, gpu="H100"),), load_s=3.0)
    profiles.set_prior(card, gpu_classes={"cpu"})
    assert profiles.picture_s(card) is None, "nothing is known of this model on a CPU"
    profiles.set_prior(card, gpu_classes={"cpu", "H100"})
    assert profiles.picture_s(card) == pytest.approx(1.0 * 0.065536 + FINISH_S_PRIOR), "256 x 256, ten steps"


def test_the_first_observation_replaces_a_guess_and_later_ones_move_it_less_and_less() -> None:
    profiles = Profiles()
    profiles.observe_run(MEGAPIXEL_STEP, 4.0)
    assert profiles.run_s(MEGAPIXEL_STEP) == pytest.approx(4.0)
    profiles.observe_run(MEGAPIXEL_STEP, 9.0)
    assert profiles.run_s(MEGAPIXEL_STEP) == pytest.approx(6.0), "the mean of two, in ratios"
    for _ in range(30):
        profiles.observe_run(MEGAPIXEL_STEP, 6.0)
    profiles.observe_run(MEGAPIXEL_STEP, 12.0)
    assert profiles.run_s(MEGAPIXEL_STEP) == pytest.approx(6.0 * 2**LEARNING_RATE, rel=1e-3)


def test_a_card_s_fact_counts_as_three_observations() -> None:
    profiles = profiles_of_one_second_a_step()
    profiles.observe_load(ModelId(MODEL), 80.0)
    profiles.observe_run(MEGAPIXEL_STEP, 4.0)
    seconds = (profiles.load_s(ModelId(MODEL)), profiles.run_s(MEGAPIXEL_STEP))
    assert seconds == (pytest.approx(20.0 * 4**0.25), pytest.approx(4**0.25))


@pytest.mark.parametrize("odd_s", [1e6, 1e-6, 0.0, -5.0])
def test_one_odd_observation_moves_an_estimate_by_a_seventh_at_most(odd_s: float) -> None:
    profiles = profiles_of_one_second_a_step()
    for _ in range(30):
        profiles.observe_run(MEGAPIXEL_STEP, 1.0)
    profiles.observe_run(MEGAPIXEL_STEP, odd_s)
    assert 0.87 < profiles.run_s(MEGAPIXEL_STEP) < 1.15


@given(seed=st.integers(0, 999), truth=st.floats(0.05, 50.0))
def test_noisy_runs_with_outliers_are_learned_within_a_fifth(seed: int, truth: float) -> None:
    chance, profiles = random.Random(seed), profiles_of_one_second_a_step()
    for number in range(80):
        noise = 30.0 if number % 20 == 19 else chance.uniform(0.9, 1.1)
        profiles.observe_run(MEGAPIXEL_STEP, truth * noise)
    for _ in range(5):
        profiles.observe_run(MEGAPIXEL_STEP, truth * chance.uniform(0.9, 1.1))
    assert profiles.run_s(MEGAPIXEL_STEP) == pytest.approx(truth, rel=0.2)


def test_gpu_classes_are_told_apart_and_an_unknown_one_borrows() -> None:
    profiles = Profiles()
    timings = (a_timing(seconds=10.0, gpu="H100"), a_timing(seconds=40.0, gpu="L4"))
    profiles.set_prior(a_card(timings=timings), gpu_classes={"H100", "L4"})
    seconds = [profiles.run_s(MEGAPIXEL_STEP, gpu_class) for gpu_class in ("H100", "L4", "A100", None)]
    assert seconds == [pytest.approx(value) for value in (1.0, 4.0, 1.0, 1.0)]
    profiles.observe_run(MEGAPIXEL_STEP, 8.0, "L4")
    assert profiles.run_s(MEGAPIXEL_STEP, "L4") == pytest.approx(4.0 * 2**0.25)
    assert profiles.run_s(MEGAPIXEL_STEP, "H100") == pytest.approx(1.0)


def test_the_scheduler_learns_from_what_happened() -> None:
    profiles = Profiles()
    scheduler = a_scheduler(workers=1, profiles=profiles)
    assert profiles.load_s(ModelId(MODEL)) == 1.0
    play(scheduler, submitted("cat", request=MEGAPIXEL_STEP), images_ready("cat", run_s=3.0))
    play(scheduler, outputs_stored("cat"), now_s=FINISH_S_PRIOR + 1.0)
    assert profiles.run_s(MEGAPIXEL_STEP) == 3.0
    assert profiles.finish_s(ModelId(MODEL)) == pytest.approx(FINISH_S_PRIOR * 4**0.25), "a surprise of four at most"
