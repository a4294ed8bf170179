"""What an operator pauses, drains and resumes: models, pools and the whole system, with what runs and what waits."""

import pytest

from heliograph.domain.ids import JobId
from heliograph.domain.orders import Halt, Orders, Scope
from heliograph.domain.views import Phase
from heliograph.scheduling import Scheduler
from tests.builders import (
    a_gpu,
    a_request,
    a_scheduler,
    clock_ticked,
    halts_set,
    images_ready,
    in_words,
    outputs_stored,
    play,
    replica_requested,
    run_paused,
    run_started,
    submitted,
    worker_ready,
)

ALL = Halt(scope=Scope.SYSTEM)
PAINTER = Halt(scope=Scope.MODEL, name="painter")
POOL = Halt(scope=Scope.POOL, name="h100")


def drain(halt: Halt, *, lets_finish: bool = True) -> Halt:
    return Halt(scope=halt.scope, name=halt.name, is_drain=True, lets_finish=lets_finish)


def two_models(*, can_resume: bool = True) -> Scheduler:
    """`w0` holds painter on an H100, `w1` sketcher on a CPU; both run a job."""
    scheduler = a_scheduler(workers=0, gpus=[a_gpu("gpu0", gpu_class="h100"), a_gpu("gpu1")])
    play(
        scheduler,
        replica_requested("w0", gpu="gpu0", model="painter"),
        replica_requested("w1", gpu="gpu1", model="sketcher"),
        worker_ready("w0", can_resume=can_resume),
        worker_ready("w1", can_resume=can_resume),
        submitted("cat", request=a_request(model="painter"), sequence=1),
        submitted("dog", request=a_request(model="sketcher"), sequence=2),
        run_started("cat"),
        run_started("dog"),
    )
    return scheduler


@pytest.mark.parametrize(
    ("halt", "expected"),
    [
        pytest.param(PAINTER, ["w0 pauses cat#1"], id="a model"),
        pytest.param(POOL, ["w0 pauses cat#1"], id="a pool"),
        pytest.param(ALL, ["w0 pauses cat#1", "w1 pauses dog#1"], id="everything"),
        pytest.param(Halt(scope=Scope.MODEL, name="nobody"), [], id="what is not there"),
        pytest.param(Halt(scope=Scope.SYSTEM, lets_finish=True), [], id="what runs may finish"),
        pytest.param(drain(ALL), [], id="a drain lets finish, and stops who is free"),
        pytest.param(drain(PAINTER, lets_finish=False), ["w0 pauses cat#1"], id="a drain that does not wait"),
    ],
)
def test_a_halt_is_felt_by_what_runs_at_its_next_step(halt: Halt, expected: list[str]) -> None:
    scheduler = two_models()
    assert in_words(play(scheduler, halts_set(halt), now_s=1.0)) == expected
    assert play(scheduler, halts_set(halt), now_s=1.0) == [], "saying it again changes nothing"


def test_a_worker_that_cannot_take_a_run_up_again_finishes_it() -> None:
    scheduler = two_models(can_resume=False)
    assert play(scheduler, halts_set(ALL)) == []
    assert in_words(play(scheduler, images_ready("cat"))) == ["cat post_processing (images_ready)", "finish cat#1"]


def test_what_was_paused_waits_and_goes_on_where_it_was_when_the_halt_is_over() -> None:
    scheduler = two_models()
    play(scheduler, halts_set(PAINTER), now_s=1.0)
    assert in_words(play(scheduler, run_paused("cat", 5), now_s=2.0)) == ["cat pending (paused)"]
    assert play(scheduler, clock_ticked(), submitted("owl", sequence=3), now_s=3.0)[1:] == [], "accepted, and waits"
    resumed = play(scheduler, halts_set(), now_s=9.0)
    assert in_words(resumed) == ["cat dispatched (dispatched)", "w0 runs cat#2"]
    assert resumed[1].order.first_step == 5


def test_a_halt_does_not_count_as_making_way() -> None:
    scheduler = two_models()
    for attempt in range(1, 9):
        play(scheduler, halts_set(PAINTER), run_paused("cat", 5, attempt=attempt), halts_set())
        play(scheduler, run_started("cat", attempt=attempt + 1))
    assert scheduler._open[JobId("cat")].pauses == 0


def test_other_models_go_on() -> None:
    scheduler = two_models()
    play(scheduler, halts_set(PAINTER))
    commands = play(scheduler, submitted("owl", request=a_request(model="sketcher"), sequence=3), images_ready("dog"))
    assert in_words(commands)[-2:] == ["owl dispatched (dispatched)", "w1 runs owl#1"]


def test_a_model_goes_on_outside_the_halted_pool() -> None:
    scheduler = two_models()
    play(scheduler, replica_requested("w2", gpu="gpu1", model="painter"), worker_ready("w2"), halts_set(POOL))
    waiting = play(scheduler, submitted("owl", sequence=3))
    assert in_words(waiting) == ["owl pending (submitted)"], "gpu1 is busy with the other model"
    assert in_words(play(scheduler, images_ready("dog")))[-1] == "w2 runs owl#1"


def test_what_is_drained_is_unloaded_as_soon_as_it_is_free() -> None:
    scheduler = two_models()
    assert play(scheduler, halts_set(drain(PAINTER))) == []
    words = in_words(play(scheduler, images_ready("cat")))
    assert words == ["cat post_processing (images_ready)", "finish cat#1", "stop w0"]
    play(scheduler, outputs_stored("cat"), replica_requested("w9", gpu="gpu0", model="painter"))
    assert in_words(play(scheduler, worker_ready("w9"))) == ["stop w9"], "one that was on its way, too"
    assert not scheduler.is_open(JobId("cat"))


def test_an_idle_worker_is_unloaded_at_once_by_a_drain_and_kept_by_a_pause() -> None:
    idle = a_scheduler(workers=1)
    assert play(idle, halts_set(ALL)) == []
    assert in_words(play(idle, halts_set(drain(ALL)))) == ["stop w0"]


def test_whoever_waits_for_a_halted_model_sees_that_and_no_promise() -> None:
    scheduler = two_models()
    play(scheduler, submitted("owl", sequence=3), halts_set(PAINTER))
    view = scheduler.view(JobId("owl"), now_s=1.0)
    assert view is not None
    assert (view.phase, view.eta_s, view.eta) == (Phase.HALTED, None, None)
    running = scheduler.view(JobId("dog"), now_s=1.0)
    assert running is not None
    assert running.phase is Phase.GENERATING
    play(scheduler, halts_set())
    again = scheduler.view(JobId("owl"), now_s=1.0)
    assert again is not None
    assert again.eta_s is not None


def test_a_deadline_goes_by_during_a_halt() -> None:
    scheduler = two_models()
    play(scheduler, halts_set(PAINTER), submitted("owl", sequence=3, deadline_at_s=20.0))
    assert in_words(play(scheduler, clock_ticked(), now_s=21.0)) == ["owl expired (deadline_exceeded)"]


def test_a_drain_stands_before_a_pause() -> None:
    orders = Orders(halts=(PAINTER, drain(ALL)))
    assert orders.halt_of("painter") == drain(ALL)
    assert Orders(halts=(POOL,)).halt_of("painter") is None
    assert Orders(halts=(POOL,)).halt_of("painter", "h100") == POOL
