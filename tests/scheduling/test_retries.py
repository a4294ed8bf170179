"""What comes after an attempt that failed, cause by cause, and what its owner sees."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from heliograph.domain.commands import AbortRun, Command, Dispatch
from heliograph.domain.errors import EngineErrorKind
from heliograph.domain.events import Event, LossReason
from heliograph.domain.job import Failure
from heliograph.domain.run import RunOrder
from heliograph.domain.views import JobView, Market, Phase
from heliograph.scheduling import Profiles, Scheduler, SchedulerPolicy
from tests.builders import (
    a_card,
    a_gpu,
    a_job,
    a_request,
    a_scheduler,
    a_timing,
    cancelled,
    clock_ticked,
    images_ready,
    in_words,
    play,
    recovered,
    replica_requested,
    run_aborted,
    run_failed,
    run_paused,
    run_started,
    submitted,
    worker_lost,
    worker_ready,
)

NO_PAUSES = {"backoff_s": (0.0,)}
OUT_OF_MEMORY = EngineErrorKind.OUT_OF_MEMORY


def order_in(commands: Sequence[Command]) -> RunOrder:
    (order,) = [command.order for command in commands if isinstance(command, Dispatch)]
    return order


def view_of(scheduler: Scheduler, job: str = "cat", *, now_s: float = 0.0) -> JobView:
    view = scheduler.view(a_job(job).job_id, now_s=now_s)
    assert view is not None
    return view


@pytest.mark.parametrize(
    ("failure", "spares_memory", "has_other_seeds"),
    [
        pytest.param(run_failed("cat", OUT_OF_MEMORY), True, False, id="the engine ran out of memory"),
        pytest.param(worker_lost("w0", LossReason.OUT_OF_MEMORY), True, False, id="the worker was too large"),
        pytest.param(run_failed("cat", EngineErrorKind.NAN), False, True, id="not a number"),
        pytest.param(run_failed("cat", EngineErrorKind.TIMEOUT), False, False, id="timeout"),
        pytest.param(run_failed("cat", EngineErrorKind.INTERNAL), False, False, id="a bug in the engine"),
        pytest.param(run_failed("cat", EngineErrorKind.BAD_WEIGHTS), False, False, id="damaged weights"),
        pytest.param(run_failed("cat", EngineErrorKind.DEVICE_LOST), False, False, id="the driver was lost"),
        pytest.param(worker_lost("w0"), False, False, id="the worker crashed"),
        pytest.param(worker_lost("w0", LossReason.SILENT), False, False, id="the worker fell silent"),
        pytest.param(worker_lost("w0", LossReason.RECLAIMED), False, False, id="its GPU was taken back"),
    ],
)
def test_what_the_next_attempt_does_differently(failure: Event, spares_memory: bool, has_other_seeds: bool) -> None:
    scheduler = a_scheduler(**NO_PAUSES)
    first = order_in(play(scheduler, submitted("cat")))
    play(scheduler, replica_requested("w1"))
    second = order_in(play(scheduler, run_started("cat"), failure, worker_ready("w1")))
    assert (second.attempt, second.spares_memory) == (2, spares_memory)
    assert (second.seeds != first.seeds) == has_other_seeds


def test_who_ran_out_of_memory_once_spares_it_to_the_end() -> None:
    scheduler = a_scheduler(**NO_PAUSES)
    play(scheduler, submitted("cat"), run_failed("cat", OUT_OF_MEMORY))
    assert order_in(play(scheduler, run_failed("cat", attempt=2))).spares_memory
    play(scheduler, images_ready("cat", attempt=3), submitted("dog"))
    assert not order_in(play(scheduler, submitted("owl"), images_ready("dog"))).spares_memory, "others need not"


@pytest.mark.parametrize(
    ("other", "worker"),
    [
        pytest.param(a_gpu("gpu1", memory_bytes=20_000), "w1", id="a larger one is idle"),
        pytest.param(a_gpu("gpu1", memory_bytes=10_000), "w0", id="the other is no larger"),
        pytest.param(a_gpu("gpu1", memory_bytes=20_000, market=Market.SPOT), "w0", id="the larger is spot"),
    ],
)
def test_out_of_memory_goes_on_on_a_larger_gpu_where_one_is_idle(other: object, worker: str) -> None:
    gpus = [a_gpu("gpu0", memory_bytes=10_000), other]
    policy = SchedulerPolicy(**NO_PAUSES, spot_tiers=frozenset())
    scheduler = Scheduler(gpus=gpus, policy=policy, profiles=Profiles())  # type: ignore[list-item]
    play(scheduler, replica_requested("w0"), replica_requested("w1"), worker_ready("w0"), submitted("cat"))
    play(scheduler, worker_ready("w1"))
    assert in_words(play(scheduler, run_failed("cat", OUT_OF_MEMORY)))[-1] == f"{worker} runs cat#2"


# --- workers and GPUs that are sick ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "is_replaced"),
    [
        (EngineErrorKind.BAD_WEIGHTS, True),
        (EngineErrorKind.DEVICE_LOST, True),
        (EngineErrorKind.OUT_OF_MEMORY, False),
        (EngineErrorKind.NAN, False),
        (EngineErrorKind.INTERNAL, False),
        (EngineErrorKind.UNSUPPORTED_PARAMETER, False),
    ],
)
def test_which_failure_costs_the_worker_its_place(kind: EngineErrorKind, is_replaced: bool) -> None:
    scheduler = a_scheduler(**NO_PAUSES)
    play(scheduler, submitted("cat"), submitted("dog"))
    words = in_words(play(scheduler, run_failed("cat", kind)))
    assert ("stop w0" in words) == is_replaced
    assert any(word.startswith("w0 runs") for word in words) != is_replaced, "nothing new runs on what is to go"


def test_a_worker_that_fails_everybody_is_replaced() -> None:
    scheduler = a_scheduler(**NO_PAUSES, attempts_max=9)
    play(scheduler, submitted("cat"))
    for attempt in (1, 2, 3, 4):
        assert "stop w0" not in in_words(play(scheduler, run_failed("cat", attempt=attempt))), "it may be the job"
    play(scheduler, images_ready("cat", attempt=5), submitted("dog"), submitted("owl"), submitted("fox"))
    words = [in_words(play(scheduler, run_failed(each))) for each in ("dog", "owl", "fox")]
    assert [("stop w0" in each) for each in words] == [False, False, True]


def lose_driver(scheduler: Scheduler, job: str, worker: str, *, now_s: float) -> None:
    """The worker on `gpu0` loses its driver over the job and is gone."""
    play(scheduler, replica_requested(worker, gpu="gpu0"), worker_ready(worker), submitted(job), now_s=now_s)
    play(scheduler, run_failed(job, EngineErrorKind.DEVICE_LOST), worker_lost(worker, LossReason.STOPPED), now_s=now_s)
    play(scheduler, cancelled(job), clock_ticked(), now_s=now_s)


def test_a_gpu_that_loses_its_driver_again_and_again_rests_for_longer_each_time() -> None:
    scheduler = a_scheduler(workers=0, gpus=2)
    rests: list[bool] = []
    for number, at_s in enumerate((0.0, 10.0, 100.0)):
        lose_driver(scheduler, f"cat{number}", f"v{number}", now_s=at_s)
        rests.append("gpu0" in scheduler.fleet_view().resting)
    assert rests == [False, True, True]
    for at_s, is_resting in ((159.0, True), (161.0, False)):
        play(scheduler, clock_ticked(), now_s=at_s)
        assert ("gpu0" in scheduler.fleet_view().resting) == is_resting
    play(scheduler, replica_requested("w9", gpu="gpu0"), worker_ready("w9"), submitted("owl"), now_s=162.0)
    play(scheduler, images_ready("owl"), now_s=163.0)
    lose_driver(scheduler, "fox", "u1", now_s=164.0)
    assert "gpu0" not in scheduler.fleet_view().resting, "a run that succeeds clears it"


def test_one_job_cannot_put_a_fleet_to_rest() -> None:
    scheduler = a_scheduler(workers=2, **NO_PAUSES, attempts_max=9)
    play(scheduler, submitted("cat"))
    for attempt in range(1, 5):
        worker = f"w{attempt - 1}"
        commands = play(scheduler, run_failed("cat", EngineErrorKind.DEVICE_LOST, attempt=attempt), clock_ticked())
        assert f"stop {worker}" in in_words(commands)
        fresh = f"w{attempt + 1}"  # it comes once the other has the job
        play(scheduler, worker_lost(worker, LossReason.STOPPED))
        play(scheduler, replica_requested(fresh, gpu=f"gpu{(attempt + 1) % 2}"), worker_ready(fresh))
    assert scheduler.fleet_view().resting == frozenset()


def test_weights_that_are_damaged_are_not_loaded_thrice() -> None:
    scheduler = a_scheduler(workers=0)
    play(scheduler, submitted("cat"), replica_requested("w0"))
    commands = play(scheduler, worker_lost("w0", LossReason.BAD_WEIGHTS), clock_ticked())
    assert in_words(commands) == ["cat failed (model_load_failed)"]


# --- runs that take too long -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "is_bereft"),
    [
        (worker_lost("w0"), True),
        (worker_lost("w0", LossReason.OUT_OF_MEMORY), True),
        (run_failed("cat", EngineErrorKind.DEVICE_LOST), True),
        (worker_lost("w0", LossReason.STOPPED), False),
        (run_failed("cat", EngineErrorKind.NAN), False),
    ],
)
def test_a_gpu_whose_replica_went_in_a_run_is_known_until_something_is_loaded_there(
    lost: Event, is_bereft: bool
) -> None:
    scheduler = a_scheduler(workers=1, **NO_PAUSES)
    play(scheduler, submitted("cat"), run_started("cat"), lost)
    bereft = scheduler.fleet_view().bereft
    assert list(bereft) == (["gpu0"] if is_bereft else [])
    play(scheduler, worker_lost("w0", LossReason.STOPPED), replica_requested("w1", gpu="gpu0"))
    assert not scheduler.fleet_view().bereft


def test_an_idle_replica_that_goes_is_not_missed_and_a_lost_one_not_for_ever() -> None:
    scheduler = a_scheduler(workers=2)
    play(scheduler, submitted("cat"), run_started("cat"), worker_lost("w1"), worker_lost("w0"), now_s=10.0)
    scheduler.handle(clock_ticked(), now_s=69.0)
    assert list(scheduler.fleet_view().bereft) == ["gpu0"]
    scheduler.handle(clock_ticked(), now_s=71.0)
    assert not scheduler.fleet_view().bereft


def with_a_known_run(*, is_known: bool = True) -> Scheduler:
    """One that is expected to take 10 s, begun at 0."""
    profiles = Profiles()
    if is_known:
        profiles.set_prior(a_card("painter", timings=(a_timing(seconds=10.0, steps=10),)), gpu_classes={"cpu"})
    scheduler = a_scheduler(profiles=profiles, **NO_PAUSES)
    request = a_request(width_px=1_000, height_px=1_000, steps=10)
    play(scheduler, clock_ticked(), submitted("cat", request=request), run_started("cat"))
    return scheduler


def passed(scheduler: Scheduler, until_s: float) -> list[Command]:
    """The clock ticks up to `until_s`."""
    times = [*range(0, int(until_s), 10), until_s]
    return [command for now_s in times for command in play(scheduler, clock_ticked(), now_s=now_s)]


@pytest.mark.parametrize(
    ("is_known", "after_s", "words"),
    [
        pytest.param(True, 100.0, [], id="ten times as long"),
        pytest.param(True, 100.1, ["w0 aborts cat#1"], id="more than that"),
        pytest.param(False, 1_000.0, [], id="nobody knows how long it should take"),
    ],
)
def test_a_run_that_takes_many_times_as_long_as_others_is_called_off(
    is_known: bool, after_s: float, words: list[str]
) -> None:
    scheduler = with_a_known_run(is_known=is_known)
    assert in_words(passed(scheduler, after_s)) == words


def test_no_run_is_blamed_for_a_clock_that_jumps() -> None:
    scheduler = with_a_known_run()
    assert play(scheduler, clock_ticked(), now_s=10_000.0) == []


@pytest.mark.parametrize(
    ("end", "words"),
    [
        pytest.param(run_aborted("cat"), ["cat pending (engine_timeout)", "cat dispatched (dispatched)"], id="obeys"),
        pytest.param(worker_lost("w0", LossReason.SILENT), ["cat pending (worker_lost)"], id="had to be killed"),
        pytest.param(images_ready("cat"), ["cat post_processing (images_ready)", "finish cat#1"], id="just made it"),
    ],
)
def test_how_a_run_ends_that_was_called_off(end: Event, words: list[str]) -> None:
    scheduler = with_a_known_run()
    assert len(passed(scheduler, 101.0)) == 1
    assert play(scheduler, clock_ticked(), now_s=102.0) == [], "told once"
    assert in_words(play(scheduler, end, now_s=103.0))[:2] == words
    more = play(scheduler, clock_ticked(), now_s=104.0)
    assert not any(isinstance(command, AbortRun) for command in more), "the next run has time of its own"


# --- what its owner sees ---------------------------------------------------------------------------------------------


def test_the_owner_sees_which_attempt_comes_next_and_why() -> None:
    scheduler = a_scheduler(backoff_s=(5.0,), attempts_max=3)
    play(scheduler, submitted("cat"))
    assert view_of(scheduler).job.setback is None
    play(scheduler, run_failed("cat", message="It broke."))
    view = view_of(scheduler)
    assert (view.phase, view.attempts_max, view.job.failures) == (Phase.RETRYING, 3, 1)
    assert view.job.setback == Failure(code="engine_internal", message="It broke.")
    play(scheduler, clock_ticked(), now_s=6.0)
    again = view_of(scheduler, now_s=6.0)
    assert (again.phase, again.job.attempt, again.job.setback) == (Phase.GENERATING, 2, view.job.setback)


def test_a_run_that_made_way_is_paused_and_not_retried() -> None:
    scheduler = a_scheduler(workers=0)
    play(scheduler, replica_requested("w0"), worker_ready("w0", can_resume=True), submitted("cat"), run_started("cat"))
    assert in_words(play(scheduler, run_paused("cat")))[-1] == "w0 runs cat#2"
    play(scheduler, submitted("dog", sequence=1), worker_lost("w0"))
    assert view_of(scheduler).phase is Phase.RETRYING
    play(scheduler, replica_requested("w1"), worker_ready("w1", can_resume=True))
    assert view_of(scheduler).job.setback == Failure(code="worker_lost", message="The worker crashed.")


def test_after_a_restart_the_owner_still_sees_why() -> None:
    setback = Failure(code="worker_lost", message="The worker crashed.")
    job = replace(a_job("cat", attempt=1, failures=1), setback=setback, spares_memory=True)
    scheduler = a_scheduler(workers=0)
    play(scheduler, recovered(job))
    view = view_of(scheduler)
    assert (view.phase, view.job.setback) == (Phase.RETRYING, setback)
    play(scheduler, replica_requested("w0"))
    assert order_in(play(scheduler, worker_ready("w0"))).spares_memory
