"""GPUs that come and go: what runs on them, what happens on notice, and when they are gone."""

import pytest

from heliograph.domain.commands import Dispatch, RecordJob
from heliograph.domain.events import LossReason
from heliograph.domain.job import AttemptOutcome
from heliograph.domain.views import Market
from heliograph.scheduling import Profiles, Scheduler
from tests.builders import (
    MODEL,
    a_card,
    a_gpu,
    a_request,
    a_scheduler,
    a_timing,
    clock_ticked,
    gpu_arrived,
    gpu_gone,
    gpu_notice,
    images_ready,
    in_words,
    play,
    replica_requested,
    run_paused,
    run_started,
    submitted,
    worker_lost,
    worker_ready,
)


def a_spot_scheduler(*, can_resume: bool = False, **policy: object) -> Scheduler:
    """`w0` on a spot GPU; a step on one megapixel takes a second."""
    profiles = Profiles()
    profiles.set_prior(a_card(timings=(a_timing(seconds=10.0, steps=10),)), gpu_classes={"cpu"})
    gpus = [a_gpu("gpu0", market=Market.SPOT), a_gpu("gpu1")]
    scheduler = a_scheduler(workers=0, gpus=gpus, profiles=profiles, **policy)
    play(scheduler, replica_requested("w0"), worker_ready("w0", can_resume=can_resume))
    return scheduler


def seconds(steps: int) -> object:
    return a_request(width_px=1_000, height_px=1_000, steps=steps)


# --- who runs where --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tier", "is_run"), [("free", True), ("standard", True), ("pro", False)])
def test_latency_sensitive_tiers_stay_off_spot(tier: str, is_run: bool) -> None:
    scheduler = a_spot_scheduler()
    commands = play(scheduler, submitted("cat", tier=tier), clock_ticked())
    assert any(isinstance(command, Dispatch) for command in commands) == is_run
    assert scheduler.queue_of(a_request().model_id).off_spot_pending == (not is_run)
    if not is_run:
        assert in_words(play(scheduler, replica_requested("w1"), worker_ready("w1")))[-1] == "w1 runs cat#1"


def test_a_job_that_must_wait_for_another_gpu_does_not_hold_up_who_may_run_here() -> None:
    scheduler = a_spot_scheduler()
    commands = play(scheduler, submitted("pro", tier="pro"), submitted("free", tier="free", sequence=1))
    assert in_words(commands)[-1] == "w0 runs free#1"


# --- coming and going ------------------------------------------------------------------------------------------------


def test_a_gpu_that_arrives_can_hold_replicas() -> None:
    scheduler = a_spot_scheduler()
    play(scheduler, gpu_arrived("gpu9"), gpu_arrived("gpu9"))
    assert [gpu.gpu_id for gpu in scheduler.fleet_view().gpus] == ["gpu0", "gpu1", "gpu9"]
    play(scheduler, replica_requested("w9", gpu="gpu9"), worker_ready("w9"), submitted("a"), submitted("b", sequence=1))
    assert scheduler.running_jobs() == 2


def test_on_notice_an_idle_replica_stops_and_nothing_new_is_planned_there() -> None:
    scheduler = a_spot_scheduler()
    assert in_words(play(scheduler, gpu_notice("gpu0"))) == ["stop w0"]
    assert play(scheduler, gpu_notice("gpu0"), gpu_notice("unheard of")) == []
    view = scheduler.fleet_view()
    assert ([gpu.gpu_id for gpu in view.gpus], view.replicas) == (["gpu1"], ())
    assert in_words(play(scheduler, submitted("cat"))) == ["cat pending (submitted)"]


@pytest.mark.parametrize(
    ("can_resume", "steps", "words"),
    [
        pytest.param(True, 200, ["w0 pauses film#1"], id="it would not end in time"),
        pytest.param(True, 100, [], id="it ends in time"),
        pytest.param(False, 200, [], id="it cannot pause; perhaps it is faster than thought"),
    ],
)
def test_on_notice_a_run_pauses_or_may_finish(can_resume: bool, steps: int, words: list[str]) -> None:
    scheduler = a_spot_scheduler(can_resume=can_resume)
    play(scheduler, submitted("film", request=seconds(steps)), run_started("film"))
    assert in_words(play(scheduler, gpu_notice("gpu0", leaves_at_s=120.0))) == words


def test_a_run_that_paused_on_notice_goes_on_elsewhere() -> None:
    scheduler = a_spot_scheduler(can_resume=True)
    play(scheduler, submitted("film", request=seconds(200)), run_started("film"), gpu_notice("gpu0"))
    assert in_words(play(scheduler, run_paused("film", 7))) == ["film pending (paused)", "stop w0"]
    play(scheduler, worker_lost("w0", LossReason.STOPPED), gpu_gone("gpu0"))
    (*_, resumed) = play(scheduler, replica_requested("w1"), worker_ready("w1"))
    assert isinstance(resumed, Dispatch)
    assert (resumed.order.resume_from, resumed.order.first_step) == ("film after 7", 7)


def test_a_run_that_finishes_after_the_notice_stops_its_worker() -> None:
    scheduler = a_spot_scheduler()
    play(scheduler, submitted("cat"), run_started("cat"), gpu_notice("gpu0"))
    assert in_words(play(scheduler, images_ready("cat")))[-1] == "stop w0"


def test_a_gpu_that_is_gone_takes_its_runs_with_it_through_no_fault_of_theirs() -> None:
    scheduler = a_spot_scheduler(attempts_max=1)
    play(scheduler, submitted("cat"), run_started("cat"))
    (record,) = play(scheduler, gpu_gone("gpu0"), worker_lost("w0"), gpu_gone("gpu0"), now_s=4.0)
    assert isinstance(record, RecordJob)
    assert (record.cause, record.job.failures, record.job.not_before_s) == ("gpu_reclaimed", 0, 4.0)
    assert record.ended_attempt is not None
    assert (record.ended_attempt.outcome, record.ended_attempt.gpu_s) == (AttemptOutcome.WORKER_LOST, 4.0)


def test_a_load_that_is_interrupted_by_the_market_is_no_failed_load() -> None:
    scheduler = a_spot_scheduler()
    play(scheduler, gpu_arrived("gpu9"), replica_requested("w9", gpu="gpu9"), gpu_gone("gpu9"))
    assert scheduler.queue_of(a_request(model=MODEL).model_id).load_failures == 0


def test_a_replica_that_was_asked_for_on_a_gpu_that_is_gone_is_never_there() -> None:
    scheduler = a_spot_scheduler()
    play(scheduler, gpu_gone("gpu1"), replica_requested("w1"), worker_ready("w1"))
    assert [replica.worker_id for replica in scheduler.fleet_view().replicas] == ["w0"]
