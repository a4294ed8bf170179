"""Workers as the scheduler sees them: loading, stopping, and models that cannot be loaded."""

import pytest

from heliograph.domain.commands import RecordJob
from heliograph.domain.events import Event, LossReason
from heliograph.domain.ids import ModelId
from heliograph.domain.views import ReplicaState
from heliograph.scheduling import Scheduler
from heliograph.scheduling.scheduler import OVERDUE_MAX
from tests.builders import (
    MODEL,
    a_replica,
    a_scheduler,
    cancelled,
    clock_ticked,
    images_ready,
    in_words,
    play,
    recovered,
    replica_requested,
    replica_stop_requested,
    run_aborted,
    run_failed,
    submitted,
    worker_lost,
    worker_ready,
)


def fail_to_load(scheduler: Scheduler, worker: str, *, model: str = MODEL, now_s: float = 0.0) -> list[str]:
    events = [replica_requested(worker, model=model), worker_lost(worker, LossReason.LOAD_FAILED)]
    return in_words(play(scheduler, *events, now_s=now_s))


def test_a_worker_takes_jobs_once_it_has_loaded() -> None:
    scheduler = a_scheduler(workers=0)
    assert in_words(play(scheduler, submitted("cat"), replica_requested("w0"))) == ["cat pending (submitted)"]
    assert in_words(play(scheduler, worker_ready("w0"))) == ["cat dispatched (dispatched)", "w0 runs cat#1"]


def test_a_worker_nobody_asked_for_is_not_known() -> None:
    scheduler = a_scheduler(workers=0)
    assert play(scheduler, worker_ready("w0")) == []
    assert scheduler.fleet_view().replicas == ()


def test_the_fleet_view_shows_what_each_worker_does_and_since_when() -> None:
    scheduler = a_scheduler(workers=2)
    play(scheduler, submitted("cat"), now_s=3.0)
    play(scheduler, replica_requested("w2"), replica_requested("w3"), replica_stop_requested("w3"), now_s=4.0)
    assert scheduler.fleet_view().replicas == (
        a_replica("w0", state=ReplicaState.BUSY, since_s=3.0, job="cat", loaded_at_s=0.0),
        a_replica("w1", state=ReplicaState.READY, since_s=0.0, loaded_at_s=0.0),
        a_replica("w2", state=ReplicaState.LOADING, since_s=4.0),
        a_replica("w3", state=ReplicaState.STOPPING, since_s=4.0),
    )


# --- stopping --------------------------------------------------------------------------------------------------------


def test_an_idle_worker_is_stopped_at_once_and_gets_no_more_jobs() -> None:
    scheduler = a_scheduler(workers=1)
    assert in_words(play(scheduler, replica_stop_requested("w0"))) == ["stop w0"]
    assert in_words(play(scheduler, submitted("cat"), clock_ticked())) == ["cat pending (submitted)"]
    assert play(scheduler, worker_lost("w0", LossReason.STOPPED)) == []
    assert scheduler.fleet_view().replicas == ()


@pytest.mark.parametrize(
    "last_word",
    [images_ready("cat"), run_failed("cat"), run_aborted("cat")],
    ids=str,
)
def test_a_busy_worker_is_stopped_after_its_run_and_gets_no_more_jobs(last_word: Event) -> None:
    scheduler = a_scheduler(workers=1)
    play(scheduler, submitted("cat"), submitted("dog"))
    assert play(scheduler, replica_stop_requested("w0")) == []
    words = in_words(play(scheduler, last_word))
    assert "stop w0" in words
    assert not any("runs" in word for word in words)


def test_a_worker_that_is_stopping_with_a_cancelled_run_stops_when_that_run_has_ended() -> None:
    scheduler = a_scheduler(workers=1)
    play(scheduler, submitted("cat"), replica_stop_requested("w0"))
    assert in_words(play(scheduler, cancelled("cat"))) == ["cat cancelled (cancelled)", "w0 aborts cat#1"]
    assert in_words(play(scheduler, run_aborted("cat"))) == ["stop w0"]


def test_a_stopping_worker_that_dies_gives_its_job_back() -> None:
    scheduler = a_scheduler(workers=2)
    play(scheduler, submitted("cat"), replica_stop_requested("w0"))
    assert in_words(play(scheduler, worker_lost("w0")))[-1] == "w1 runs cat#2"


def test_a_worker_stopped_while_loading_stays_stopped_and_is_no_failure_of_the_model() -> None:
    scheduler = a_scheduler(workers=0)
    play(scheduler, replica_requested("w0"))
    assert in_words(play(scheduler, replica_stop_requested("w0"))) == ["stop w0"]
    play(scheduler, worker_ready("w0"), worker_lost("w0", LossReason.STOPPED))
    assert scheduler.queue_of(ModelId(MODEL)).load_failures == 0


def test_stopping_an_unknown_worker_changes_nothing() -> None:
    assert play(a_scheduler(workers=0), replica_stop_requested("w9")) == []


# --- models that cannot be loaded ------------------------------------------------------------------------------------


def test_a_model_that_cannot_be_loaded_fails_everybody_who_waits_for_it_and_nobody_else() -> None:
    scheduler = a_scheduler(workers=1, load_failures_max=2, gpus=8)
    play(scheduler, submitted("running"))
    play(
        scheduler,
        submitted("a", model="broken", sequence=1),
        submitted("b", model="broken", sequence=2),
        recovered("later", model="broken", not_before_s=99.0, attempt=1),
        submitted("other", sequence=3),
        recovered("other_later", not_before_s=99.0),
    )
    assert fail_to_load(scheduler, "w1", model="broken") == []
    assert fail_to_load(scheduler, "w2", model="broken") == [
        "a failed (model_load_failed)",
        "b failed (model_load_failed)",
        "later failed (model_load_failed)",
    ]
    assert scheduler.open_jobs() == 3
    assert play(scheduler, clock_ticked(), now_s=98.0) == []


def test_who_has_not_been_told_yet_profits_from_a_replica_that_loads_after_all() -> None:
    scheduler = a_scheduler(workers=0, load_failures_max=1, gpus=8)
    jobs = [submitted(f"job{index}", model="broken", sequence=index) for index in range(OVERDUE_MAX + 10)]
    play(scheduler, *jobs)
    assert len(fail_to_load(scheduler, "w1", model="broken")) == OVERDUE_MAX
    play(scheduler, replica_requested("w2", model="broken"))
    assert play(scheduler, clock_ticked()) == []
    assert in_words(play(scheduler, worker_ready("w2")))[-1] == f"w2 runs job{OVERDUE_MAX}#1"
    assert scheduler.open_jobs() == 10


def test_the_failed_loads_of_a_model_are_counted_in_a_row() -> None:
    scheduler = a_scheduler(workers=0, load_failures_max=2)
    fail_to_load(scheduler, "w0")
    play(scheduler, replica_requested("w1"), worker_ready("w1"), worker_lost("w1"))
    play(scheduler, submitted("cat"))
    assert fail_to_load(scheduler, "w2", now_s=7.0) == []
    queue = scheduler.queue_of(ModelId(MODEL))
    assert (queue.load_failures, queue.load_failed_at_s) == (1, 7.0)


@pytest.mark.parametrize(
    ("reason", "failures"),
    [(LossReason.LOAD_FAILED, 1), (LossReason.CRASHED, 1), (LossReason.SILENT, 1), (LossReason.STOPPED, 0)],
)
def test_a_worker_that_dies_while_loading_counts_unless_it_was_told_to(reason: LossReason, failures: int) -> None:
    scheduler = a_scheduler(workers=0)
    play(scheduler, replica_requested("w0"), worker_lost("w0", reason))
    assert scheduler.queue_of(ModelId(MODEL)).load_failures == failures


def test_jobs_wait_on_while_another_replica_of_the_model_serves_them() -> None:
    scheduler = a_scheduler(workers=1, load_failures_max=1)
    play(scheduler, submitted("cat"), submitted("dog"))
    assert fail_to_load(scheduler, "w1") == []
    assert in_words(play(scheduler, images_ready("cat")))[-1] == "w0 runs dog#1"


def test_jobs_wait_on_while_another_replica_of_the_model_is_loading() -> None:
    scheduler = a_scheduler(workers=0, load_failures_max=1)
    play(scheduler, submitted("cat"), replica_requested("w0"))
    assert fail_to_load(scheduler, "w1") == []
    assert in_words(play(scheduler, worker_lost("w0"))) == ["cat failed (model_load_failed)"]


def test_the_queue_of_a_model_sums_its_open_work() -> None:
    scheduler = a_scheduler(workers=2)
    empty = scheduler.queue_of(ModelId(MODEL))
    assert (empty.pending, empty.pending_s, empty.waiting_since_s, empty.running_s) == (0, 0.0, None, 0.0)
    play(scheduler, submitted("a"), submitted("b"), submitted("c", sequence=1), now_s=1.0)
    play(scheduler, submitted("d", sequence=2), replica_stop_requested("w1"), now_s=2.0)
    queue = scheduler.queue_of(ModelId(MODEL))
    assert (queue.pending, queue.pending_s, queue.waiting_since_s) == (2, 10.0, 1.0)
    assert (queue.running_s, queue.replicas, queue.load_s) == (10.0, 1, 1.0)
    assert list(scheduler.queue_view().models) == [MODEL]


def test_a_model_that_failed_to_load_may_be_tried_again_after_a_while() -> None:
    scheduler = a_scheduler(workers=0, load_failures_max=1, load_forgiven_s=300.0)
    play(scheduler, replica_requested("w0"), worker_lost("w0"), now_s=7.0)
    play(scheduler, clock_ticked(), now_s=306.0)
    assert scheduler.queue_of(ModelId(MODEL)).load_failures == 1
    play(scheduler, clock_ticked(), now_s=307.0)
    assert scheduler.queue_of(ModelId(MODEL)).load_failures == 0


# --- several models on one GPU ---------------------------------------------------------------------------------------


def two_models_on_one_gpu() -> Scheduler:
    scheduler = a_scheduler(workers=1)
    play(scheduler, replica_requested("w1", gpu="gpu0", model="another"), worker_ready("w1"))
    return scheduler


def test_replicas_of_one_gpu_run_one_job_at_a_time() -> None:
    scheduler = two_models_on_one_gpu()
    commands = play(scheduler, submitted("cat"), submitted("dog", model="another", sequence=1))
    assert in_words(commands)[-1] == "dog pending (submitted)"
    assert in_words(play(scheduler, images_ready("cat")))[-1] == "w1 runs dog#1"


def test_a_gpu_that_has_time_goes_to_whoever_is_first_in_any_line_of_its_models() -> None:
    scheduler = two_models_on_one_gpu()
    play(scheduler, submitted("running"), submitted("late", sequence=2, created_at_s=5.0))
    play(scheduler, submitted("early", model="another", sequence=1, created_at_s=1.0))
    assert in_words(play(scheduler, images_ready("running")))[-1] == "w1 runs early#1"


def test_a_replica_of_several_gpus_runs_while_nobody_runs_on_any_of_them() -> None:
    scheduler = a_scheduler(workers=2)
    gang = replica_requested("w9", gpu="gpu0", model="another", more_gpus=["gpu1"])
    play(scheduler, gang, worker_ready("w9"), submitted("a"), submitted("b", sequence=1))
    play(scheduler, submitted("film", model="another", sequence=2))
    assert "w9 runs film#1" not in in_words(play(scheduler, images_ready("a")))
    assert in_words(play(scheduler, images_ready("b")))[-1] == "w9 runs film#1"
    assert in_words(play(scheduler, submitted("c", sequence=3))) == ["c pending (submitted)"]
    commands = play(scheduler, images_ready("film"), now_s=10.0)
    assert in_words(commands)[-1] == "w0 runs c#1"
    ended = next(
        command.ended_attempt for command in commands if isinstance(command, RecordJob) and command.ended_attempt
    )
    assert ended.gpu_s == 20.0, "two GPUs for ten seconds"


def test_a_gpu_whose_busy_replica_is_lost_or_stops_is_free_for_the_others() -> None:
    for end in ([worker_lost("w0")], [replica_stop_requested("w0"), images_ready("cat")]):
        scheduler = two_models_on_one_gpu()
        play(scheduler, submitted("cat"), submitted("dog", model="another", sequence=1))
        assert "w1 runs dog#1" in in_words(play(scheduler, *end))
