"""Runs that make way for short jobs: when they do, when they do not, and how they go on."""

from dataclasses import replace

import pytest

from heliograph.domain.commands import Command, Dispatch, RecordJob
from heliograph.domain.errors import EngineErrorKind
from heliograph.domain.events import Event
from heliograph.domain.ids import JobId, WorkerId
from heliograph.domain.job import AttemptOutcome, JobState
from heliograph.scheduling import Profiles, Scheduler, SchedulerPolicy
from heliograph.scheduling.preemption import Pausable, makes_way
from tests.builders import (
    a_card,
    a_job,
    a_place,
    a_request,
    a_scheduler,
    a_timing,
    cancelled,
    checkpoint_kept,
    clock_ticked,
    gate_rejected,
    images_ready,
    in_words,
    play,
    post_processing_failed,
    recovered,
    replica_requested,
    run_aborted,
    run_failed,
    run_paused,
    run_started,
    step_done,
    submitted,
    worker_lost,
    worker_ready,
)


def seconds(steps: int, *, model: str = "painter") -> object:
    """A request of so many steps of one second each."""
    return a_request(width_px=1_000, height_px=1_000, steps=steps, model=model)


def a_resuming_scheduler(**policy: object) -> Scheduler:
    """One worker that can pause; a step on one megapixel takes a second."""
    profiles = Profiles()
    for model in ("painter", "another"):
        profiles.set_prior(a_card(model, timings=(a_timing(seconds=10.0, steps=10),)), gpu_classes={"cpu"})
    scheduler = a_scheduler(workers=0, profiles=profiles, **policy)
    play(scheduler, replica_requested("w0"), worker_ready("w0", can_resume=True))
    return scheduler


def with_a_long_run(scheduler: Scheduler, **fields: object) -> Scheduler:
    play(scheduler, submitted("film", request=seconds(100), **fields), run_started("film"))
    return scheduler


# --- who makes way for whom ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("newcomer", "run", "pauses", "is_paused"),
    [
        pytest.param({}, {}, 0, True, id="short before long"),
        pytest.param({}, {}, 3, False, id="but not for ever"),
        pytest.param({"estimate_s": 30.0}, {}, 0, False, id="not much shorter"),
        pytest.param({"weight": 1.0}, {"weight": 3.0}, 0, False, id="the run is worth more"),
        pytest.param({}, {"latest_start_s": 2.9}, 0, False, id="the run's own deadline would pass"),
        pytest.param({}, {"latest_start_s": 3.0}, 0, True, id="the run's own deadline holds"),
        pytest.param({"offset_s": 101.0}, {}, 0, False, id="the run has more right to go on"),
        pytest.param({"offset_s": 101.0, "latest_start_s": 99.0}, {}, 0, True, id="unless a deadline would pass"),
        pytest.param({"offset_s": 101.0, "latest_start_s": 100.0}, {}, 0, False, id="which it would not"),
        pytest.param(
            {"estimate_s": 60.0, "latest_start_s": 9.0}, {"latest_start_s": 61.0}, 9, True, id="who has time gives it"
        ),
        pytest.param(
            {"estimate_s": 60.0, "latest_start_s": 9.0}, {"latest_start_s": 60.9}, 0, False, id="who has not keeps it"
        ),
        pytest.param(
            {"weight": 1.0, "latest_start_s": 9.0},
            {"weight": 3.0, "latest_start_s": 9.0},
            0,
            True,
            id="also where the run is worth more, for its deadline holds",
        ),
        pytest.param(
            {"latest_start_s": 1.0}, {"estimate_s": 3.9, "latest_start_s": 9.0}, 0, False, id="not worth a pause"
        ),
    ],
)
def test_when_a_run_makes_way(newcomer: dict[str, float], run: dict[str, float], pauses: int, is_paused: bool) -> None:
    short = a_place("short", **({"estimate_s": 2.0, "offset_s": 2.0} | newcomer))
    rest = a_place("long", **({"estimate_s": 100.0, "offset_s": 100.0} | run))
    runs = [Pausable(worker_id=WorkerId("w0"), rest=rest, pauses=pauses)]
    assert makes_way(short, runs, policy=SchedulerPolicy(), now_s=0.0) == ("w0" if is_paused else None)


def test_the_run_with_most_time_to_spare_makes_way() -> None:
    rests = {"w0": (100.0, 50.0), "w1": (100.0, 90.0), "w2": (100.0, None), "w3": (200.0, None)}
    runs = [
        Pausable(
            worker_id=WorkerId(worker),
            rest=a_place(worker, estimate_s=estimate_s, offset_s=estimate_s, latest_start_s=latest_start_s),
            pauses=0,
        )
        for worker, (estimate_s, latest_start_s) in rests.items()
    ]
    short = a_place("short", estimate_s=2.0, offset_s=2.0)
    chosen = [makes_way(short, runs[:number], policy=SchedulerPolicy(), now_s=0.0) for number in (1, 2, 3, 4)]
    assert chosen == ["w0", "w1", "w2", "w3"]


# --- how it goes -----------------------------------------------------------------------------------------------------


def test_a_short_job_pauses_a_long_run_which_goes_on_where_it_stopped() -> None:
    scheduler = with_a_long_run(a_resuming_scheduler())
    play(scheduler, step_done("film", 10, steps=100), now_s=10.0)
    late = submitted("icon", request=seconds(2), sequence=1, created_at_s=10.0)
    assert in_words(play(scheduler, late, now_s=10.0)) == ["icon pending (submitted)", "w0 pauses film#1"]
    commands = play(scheduler, run_paused("film", 11), now_s=11.0)
    assert in_words(commands) == ["film pending (paused)", "icon dispatched (dispatched)", "w0 runs icon#1"]
    (record,) = [command for command in commands if isinstance(command, RecordJob) and command.cause == "paused"]
    assert record.ended_attempt is not None
    assert (record.ended_attempt.outcome, record.ended_attempt.gpu_s) == (AttemptOutcome.PAUSED, 11.0)
    assert record.job.failures == 0
    (*_, resumed) = play(scheduler, images_ready("icon"), now_s=13.0)
    assert isinstance(resumed, Dispatch)
    assert (resumed.order.job_id, resumed.order.attempt) == ("film", 2)
    assert (resumed.order.resume_from, resumed.order.first_step) == ("film after 11", 11)
    view = scheduler.view(resumed.order.job_id, now_s=13.0)
    assert view is not None
    assert view.step == 11
    assert view.eta_s == pytest.approx(89.0, abs=0.1)


def test_a_job_is_paused_for_once() -> None:
    scheduler = with_a_long_run(a_resuming_scheduler())
    play(scheduler, submitted("icon", request=seconds(2), sequence=1))
    assert play(scheduler, clock_ticked(), clock_ticked(), now_s=1.0) == []


def test_an_engine_that_cannot_resume_is_left_alone() -> None:
    profiles = Profiles()
    profiles.set_prior(a_card(timings=(a_timing(seconds=10.0, steps=10),)), gpu_classes={"cpu"})
    scheduler = with_a_long_run(a_scheduler(workers=1, profiles=profiles))
    assert in_words(play(scheduler, submitted("icon", request=seconds(2), sequence=1))) == ["icon pending (submitted)"]


def test_a_run_pauses_only_so_often() -> None:
    scheduler = with_a_long_run(a_resuming_scheduler(preemptions_max=2))
    pauses = 0
    for number in range(4):
        name = f"icon{number}"
        words = in_words(play(scheduler, submitted(name, request=seconds(1), sequence=1 + number)))
        if f"w0 pauses film#{1 + pauses}" not in words:
            continue
        play(scheduler, run_paused("film", 1 + number, attempt=1 + pauses), images_ready(name))
        pauses += 1
    assert pauses == 2


def test_replicas_of_one_gpu_pause_for_one_another() -> None:
    scheduler = a_resuming_scheduler()
    play(scheduler, replica_requested("w1", gpu="gpu0", model="another"), worker_ready("w1"))
    with_a_long_run(scheduler)
    icon = submitted("icon", request=seconds(2, model="another"), sequence=1)
    assert in_words(play(scheduler, icon))[-1] == "w0 pauses film#1"
    assert in_words(play(scheduler, run_paused("film")))[-1] == "w1 runs icon#1"
    assert in_words(play(scheduler, images_ready("icon")))[-1] == "w0 runs film#2"


def test_what_the_other_models_of_a_shared_gpu_have_to_do_is_part_of_the_expected_time() -> None:
    scheduler = a_resuming_scheduler(preemptions_max=0)
    play(scheduler, replica_requested("w1", gpu="gpu0", model="another"), worker_ready("w1"))

    def eta_s() -> float:
        view = scheduler.view(JobId("mine"), now_s=0.0)
        assert view is not None
        assert view.eta_s is not None
        return view.eta_s

    play(scheduler, submitted("running", request=seconds(9, model="another")))
    play(scheduler, submitted("mine", request=seconds(5), sequence=2))
    alone_s = eta_s()
    assert alone_s > 9 + 5, "another model's run has the GPU"
    play(scheduler, submitted("theirs", request=seconds(3, model="another"), sequence=1))
    assert eta_s() == pytest.approx(alone_s + 3), "and so has its line, as far as it comes first"
    play(scheduler, submitted("later", request=seconds(7, model="another"), sequence=3))
    assert eta_s() < alone_s + 3 + 7


def test_a_shared_gpu_goes_to_the_nearest_deadline_of_all_its_models() -> None:
    scheduler = a_resuming_scheduler()
    play(scheduler, replica_requested("w1", gpu="gpu0", model="another"), worker_ready("w1"))
    play(
        scheduler,
        submitted("first", request=seconds(9)),
        submitted("own", request=seconds(5), deadline_at_s=40.0, sequence=1),
        submitted("other", request=seconds(5, model="another"), deadline_at_s=20.0, sequence=2),
    )
    assert in_words(play(scheduler, images_ready("first"), now_s=9.0))[-1] == "w1 runs other#1"
    assert in_words(play(scheduler, images_ready("other"), now_s=14.0))[-1] == "w0 runs own#1"


@pytest.mark.parametrize(
    ("events", "last"),
    [
        pytest.param([images_ready("film")], "w0 runs icon#1", id="the run ends before it can pause"),
        pytest.param([cancelled("icon"), run_paused("film")], "w0 runs film#2", id="nobody waits any more"),
        pytest.param([cancelled("film"), run_paused("film")], "w0 runs icon#1", id="the run is cancelled"),
        pytest.param([run_aborted("film")], "w0 runs icon#1", id="the worker could only abort"),
        pytest.param([run_paused("film"), run_paused("film")], "w0 runs icon#1", id="told twice"),
    ],
)
def test_whatever_happens_while_a_run_pauses(events: list[object], last: str) -> None:
    scheduler = with_a_long_run(a_resuming_scheduler())
    play(scheduler, submitted("icon", request=seconds(2), sequence=1))
    assert in_words(play(scheduler, *events))[-1] == last


def test_a_run_that_was_aborted_instead_begins_again_through_no_fault() -> None:
    scheduler = with_a_long_run(a_resuming_scheduler(attempts_max=1))
    play(scheduler, submitted("icon", request=seconds(2), sequence=1), run_aborted("film"))
    (*_, again) = play(scheduler, images_ready("icon"))
    assert isinstance(again, Dispatch)
    assert (again.order.job_id, again.order.resume_from, again.order.first_step) == ("film", None, 0)


@pytest.mark.parametrize(
    ("end", "resume_from"),
    [
        pytest.param(run_failed("film", attempt=2), None, id="the checkpoint may be at fault"),
        pytest.param(worker_lost("w0"), "film after 5", id="the checkpoint is still there"),
    ],
)
def test_after_a_resumed_attempt_fails(end: object, resume_from: str | None) -> None:
    scheduler = with_a_long_run(a_resuming_scheduler(backoff_s=(0.0,)))
    play(scheduler, submitted("icon", request=seconds(2), sequence=1), run_paused("film"), images_ready("icon"))
    play(scheduler, replica_requested("w1"))
    commands = play(scheduler, end, worker_ready("w1"))
    order = next(command.order for command in commands if isinstance(command, Dispatch))
    assert (order.job_id, order.attempt, order.resume_from) == ("film", 3, resume_from)


def test_half_a_run_teaches_nothing_about_whole_ones() -> None:
    scheduler = with_a_long_run(a_resuming_scheduler())
    play(
        scheduler,
        submitted("icon", request=seconds(2), sequence=1),
        run_paused("film", 50),
        images_ready("icon", run_s=2.0),
    )
    play(scheduler, images_ready("film", attempt=2, run_s=50.0))
    play(scheduler, submitted("next", request=seconds(100), sequence=2))
    view = scheduler.view(scheduler._open[next(iter(scheduler._open))].job.job_id, now_s=0.0)
    assert view is not None
    assert scheduler._profiles.run_s(view.job.request) == pytest.approx(100.0)
    assert view.job.state is JobState.POST_PROCESSING


# --- what is kept while a run goes on --------------------------------------------------------------------------------


def order_of(commands: list[Command]) -> tuple[int, str | None, int]:
    """Attempt, checkpoint and first step of the run that begins."""
    (order,) = [command.order for command in commands if isinstance(command, Dispatch)]
    return order.attempt, order.resume_from, order.first_step


def test_what_is_kept_of_a_run_is_made_durable_and_announced_to_nobody() -> None:
    scheduler = with_a_long_run(a_resuming_scheduler())
    assert in_words(play(scheduler, checkpoint_kept("film", 5))) == ["keep film after 5"]
    late = [checkpoint_kept("film", 5), checkpoint_kept("film", 4), checkpoint_kept("film", 9, attempt=0)]
    assert play(scheduler, *late, checkpoint_kept("nobody")) == []


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        pytest.param([worker_lost("w0")], (2, "film after 5", 5), id="the worker is lost"),
        pytest.param([run_failed("film", EngineErrorKind.OUT_OF_MEMORY)], (2, "film after 5", 5), id="out of memory"),
        pytest.param([run_failed("film", EngineErrorKind.TIMEOUT)], (2, "film after 5", 5), id="timeout"),
        pytest.param([run_failed("film", EngineErrorKind.NAN)], (2, None, 0), id="NaN: other seeds"),
        pytest.param([run_failed("film", EngineErrorKind.INTERNAL)], (2, None, 0), id="a bug: it may be in there"),
        pytest.param([images_ready("film"), gate_rejected("film")], (2, None, 0), id="the gate: other seeds"),
        pytest.param([images_ready("film"), post_processing_failed("film")], (2, None, 0), id="no picture to encode"),
    ],
)
def test_where_the_next_attempt_begins(end: list[Event], expected: tuple[int, str | None, int]) -> None:
    scheduler = with_a_long_run(a_resuming_scheduler(backoff_s=(0.0,)))
    play(scheduler, checkpoint_kept("film", 5), replica_requested("w1"))
    assert order_of([*play(scheduler, *end), *play(scheduler, worker_ready("w1"), clock_ticked())]) == expected


def test_a_bad_checkpoint_is_no_failure_of_the_job() -> None:
    scheduler = with_a_long_run(a_resuming_scheduler(attempts_max=2, backoff_s=(0.0,)))
    play(scheduler, checkpoint_kept("film", 5), worker_lost("w0"), replica_requested("w1"), worker_ready("w1"))
    again = play(scheduler, run_failed("film", EngineErrorKind.BAD_CHECKPOINT, attempt=2))
    assert in_words(again)[0] == "film pending (engine_bad_checkpoint)"
    assert order_of(again) == (3, None, 0)


def test_the_last_attempt_does_not_rely_on_what_no_run_got_past() -> None:
    scheduler = with_a_long_run(a_resuming_scheduler(attempts_max=3, backoff_s=(0.0,)))
    play(scheduler, checkpoint_kept("film", 5))
    begins: list[tuple[int, str | None, int]] = []
    for number in (0, 1):
        play(scheduler, worker_lost(f"w{number}"), replica_requested(f"w{number + 1}"))
        begins.append(order_of(play(scheduler, worker_ready(f"w{number + 1}"))))
    assert begins == [(2, "film after 5", 5), (3, None, 0)]


def test_after_a_restart_of_the_server_the_run_goes_on_where_it_was() -> None:
    job = a_job("film", request=seconds(100), state=JobState.RUNNING, attempt=1)
    job = replace(job, checkpoint="kept", steps_done=40)
    scheduler = a_resuming_scheduler()
    commands = play(scheduler, recovered(job))
    assert order_of(commands) == (job.attempt + 1, "kept", 40)
    view = scheduler.view(job.job_id, now_s=0.0)
    assert view is not None
    assert view.step == 40
    assert view.eta_s == pytest.approx(60.0, abs=1.0)


def test_a_pause_that_keeps_nothing_leaves_what_was_kept_before() -> None:
    scheduler = with_a_long_run(a_resuming_scheduler())
    play(scheduler, checkpoint_kept("film", 5), submitted("icon", request=seconds(2), sequence=1), run_aborted("film"))
    assert order_of(play(scheduler, images_ready("icon"))) == (2, "film after 5", 5)
