"""Jobs on their way in: admission, the first dispatch, submissions that fail, recovery after a restart, drain."""

import pytest

from heliograph.domain.commands import Dispatch, RecordJob, RefuseJob
from heliograph.domain.ids import WorkerId
from heliograph.domain.job import Attempt, AttemptOutcome, JobState, Moment
from heliograph.scheduling import Profiles
from heliograph.scheduling.scheduler import DEADLINES_KEPT
from tests.builders import (
    a_card,
    a_job,
    a_scheduler,
    a_timing,
    abandoned,
    an_order,
    cancelled,
    clock_ticked,
    drain_requested,
    images_ready,
    in_words,
    outputs_stored,
    play,
    post_processing_failed,
    recovered,
    replica_requested,
    run_aborted,
    run_started,
    submitted,
    worker_lost,
    worker_ready,
)


def test_a_submission_to_an_idle_worker_is_recorded_and_dispatched_in_one_fold() -> None:
    commands = a_scheduler(workers=1).handle(submitted("cat"), now_s=3.0)

    pending, dispatched = Moment(state=JobState.PENDING, at_s=3.0), Moment(state=JobState.DISPATCHED, at_s=3.0)
    assert commands == [
        RecordJob(job=a_job("cat", timeline=(pending,)), cause="submitted"),
        RecordJob(
            job=a_job("cat", state=JobState.DISPATCHED, attempt=1, timeline=(pending, dispatched)), cause="dispatched"
        ),
        Dispatch(worker_id=WorkerId("w0"), order=an_order("cat", attempt=1)),
    ]


def test_a_submission_waits_while_every_worker_is_busy() -> None:
    scheduler = a_scheduler(workers=1)
    play(scheduler, submitted("cat"))
    assert in_words(play(scheduler, submitted("dog"))) == ["dog pending (submitted)"]


def test_a_submission_waits_for_a_worker_of_its_model() -> None:
    scheduler = a_scheduler(workers=1, model="another")
    assert in_words(play(scheduler, submitted("cat"), clock_ticked())) == ["cat pending (submitted)"]


def test_a_submission_that_is_repeated_while_the_job_is_open_changes_nothing() -> None:
    scheduler = a_scheduler(workers=1)
    play(scheduler, submitted("cat"))
    assert play(scheduler, submitted("cat")) == []
    assert scheduler.open_jobs() == 1


def test_as_many_jobs_as_workers_run_at_once() -> None:
    scheduler = a_scheduler(workers=2)
    commands = play(scheduler, submitted("a"), submitted("b"), submitted("c"))
    assert [line for line in in_words(commands) if "runs" in line] == ["w0 runs a#1", "w1 runs b#1"]
    assert (scheduler.open_jobs(), scheduler.running_jobs()) == (3, 2)


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_beyond_the_bound_a_submission_is_refused_until_somebody_leaves_the_line() -> None:
    scheduler = a_scheduler(workers=0, pending_max=2)
    play(scheduler, submitted("a"), submitted("b"))
    assert in_words(play(scheduler, submitted("c"))) == ["refuse c (queue_full)"]
    assert not scheduler.is_open(a_job("c").job_id)
    play(scheduler, cancelled("a"))
    assert in_words(play(scheduler, submitted("c"))) == ["c pending (submitted)"]


def test_one_tenant_cannot_fill_the_line() -> None:
    scheduler = a_scheduler(workers=0, pending_max_per_tenant=1)
    play(scheduler, submitted("a", tenant="acme"))
    assert in_words(play(scheduler, submitted("b", tenant="acme"))) == ["refuse b (tenant_queue_full)"]
    assert in_words(play(scheduler, submitted("c", tenant="zeta"))) == ["c pending (submitted)"]


def test_jobs_that_are_backing_off_count_as_waiting() -> None:
    scheduler = a_scheduler(workers=1, pending_max=1, backoff_s=(5.0,))
    play(scheduler, submitted("cat"), worker_lost("w0"))
    assert in_words(play(scheduler, submitted("dog"))) == ["refuse dog (queue_full)"]


def test_a_job_that_comes_back_from_a_worker_is_taken_even_when_the_line_is_full() -> None:
    scheduler = a_scheduler(workers=1, pending_max=1)
    play(scheduler, submitted("cat"), submitted("dog"))
    assert in_words(play(scheduler, worker_lost("w0"))) == ["cat pending (worker_lost)"]
    assert scheduler.open_jobs() == 2


@pytest.mark.parametrize(
    ("run_s", "workers", "retry_after_s"),
    [
        pytest.param(100.0, 1, 20.0, id="a tenth of the backlog of 200 s"),
        pytest.param(100.0, 2, 15.0, id="shared by two workers: a tenth of 300 s / 2"),
        pytest.param(0.5, 1, 1.0, id="at least a second"),
        pytest.param(9_000.0, 1, 120.0, id="at most two minutes"),
    ],
)
def test_a_refusal_says_when_to_try_again(run_s: float, workers: int, retry_after_s: float) -> None:
    profiles = Profiles()
    profiles.set_prior(
        a_card(timings=(a_timing(seconds=run_s / 0.065536),)), gpu_classes={"cpu"}
    )  # 256 x 256 pixels, as many steps
    scheduler = a_scheduler(workers=workers, profiles=profiles, pending_max=1)
    for index in range(workers + 1):
        play(scheduler, submitted(f"job{index}"))
    (refused,) = play(scheduler, submitted("late"))
    assert isinstance(refused, RefuseJob)
    assert refused.error.retry_after_s == pytest.approx(retry_after_s)


def test_finished_pictures_that_are_still_held_stop_the_dispatch() -> None:
    scheduler = a_scheduler(workers=1, post_processing_max=1)
    play(scheduler, submitted("cat"), submitted("dog"))
    assert in_words(play(scheduler, images_ready("cat"))) == [
        "cat running (started)",
        "cat post_processing (images_ready)",
        "finish cat#1",
    ]
    assert play(scheduler, clock_ticked()) == []
    assert in_words(play(scheduler, outputs_stored("cat"))) == [
        "cat completed (completed)",
        "dog dispatched (dispatched)",
        "w0 runs dog#1",
    ]


def test_whatever_makes_room_for_finished_pictures_wakes_every_line() -> None:
    for end in (outputs_stored("cat"), post_processing_failed("cat", is_retryable=False), cancelled("cat")):
        scheduler = a_scheduler(workers=1, post_processing_max=1)
        play(scheduler, replica_requested("w1", model="another"), worker_ready("w1"))
        play(scheduler, submitted("cat"), images_ready("cat"), submitted("dog", model="another", sequence=1))
        assert in_words(play(scheduler, end))[-1] == "w1 runs dog#1"


# --- submissions that could not be stored ----------------------------------------------------------------------------


def test_an_abandoned_submission_leaves_the_line() -> None:
    scheduler = a_scheduler(workers=0)
    assert in_words(play(scheduler, submitted("cat"), abandoned("cat"))) == ["cat pending (submitted)"]
    assert scheduler.open_jobs() == 0


def test_an_abandoned_submission_gives_its_worker_to_the_next_in_line() -> None:
    scheduler = a_scheduler(workers=1)
    play(scheduler, submitted("cat"), submitted("dog"))
    assert in_words(play(scheduler, abandoned("cat"))) == ["dog dispatched (dispatched)", "w0 runs dog#1"]


def test_an_abandoned_submission_that_was_cancelled_before_its_dispatch_was_carried_out_frees_the_worker() -> None:
    scheduler = a_scheduler(workers=1)
    play(scheduler, submitted("cat"), cancelled("cat"), abandoned("cat"))
    assert in_words(play(scheduler, submitted("dog")))[-1] == "w0 runs dog#1"


@pytest.mark.parametrize("name", ["never heard of", "done"])
def test_abandoning_a_job_that_is_not_open_changes_nothing(name: str) -> None:
    scheduler = a_scheduler(workers=1)
    play(scheduler, submitted("done"), images_ready("done"), outputs_stored("done"))
    assert play(scheduler, abandoned(name)) == []


# --- recovery --------------------------------------------------------------------------------------------------------


def test_a_pending_job_is_recovered_as_it_was() -> None:
    assert play(a_scheduler(workers=0), recovered("cat", state=JobState.PENDING)) == []


@pytest.mark.parametrize("state", [JobState.DISPATCHED, JobState.RUNNING])
def test_a_job_that_was_on_a_worker_goes_back_in_line_and_its_attempt_is_closed_unmeasured(state: JobState) -> None:
    (record,) = play(a_scheduler(workers=0), recovered("cat", state=state, attempt=2, created_at_s=1.0), now_s=9.0)
    assert isinstance(record, RecordJob)
    assert (record.job.state, record.cause, record.job.failures) == (JobState.PENDING, "server_restarted", 0)
    ended = record.ended_attempt
    assert isinstance(ended, Attempt)
    assert (ended.number, ended.outcome, ended.gpu_s) == (2, AttemptOutcome.SERVER_LOST, 0.0)
    assert (ended.dispatched_at_s, ended.ended_at_s) == (1.0, 9.0)


def test_the_recovered_attempt_began_with_its_latest_dispatch() -> None:
    path = [JobState.PENDING, JobState.DISPATCHED, JobState.PENDING, JobState.DISPATCHED, JobState.RUNNING]
    timeline = tuple(Moment(state=state, at_s=float(at_s)) for at_s, state in enumerate(path))
    job = a_job("cat", state=JobState.RUNNING, attempt=2, timeline=timeline)
    (record,) = play(a_scheduler(workers=0), recovered(job), now_s=9.0)
    assert isinstance(record, RecordJob)
    assert record.ended_attempt is not None
    assert record.ended_attempt.dispatched_at_s == 3.0


def test_a_job_whose_pictures_were_not_stored_goes_back_in_line() -> None:
    (record,) = play(a_scheduler(workers=0), recovered("cat", state=JobState.POST_PROCESSING, attempt=1))
    assert isinstance(record, RecordJob)
    assert (record.job.state, record.ended_attempt) == (JobState.PENDING, None)


@pytest.mark.parametrize("state", [state for state in JobState if state.is_terminal])
def test_a_job_that_has_ended_is_not_recovered(state: JobState) -> None:
    scheduler = a_scheduler(workers=1)
    assert play(scheduler, recovered("cat", state=state)) == []
    assert scheduler.open_jobs() == 0


def test_a_recovered_job_takes_the_next_attempt_number_so_that_late_results_are_fenced_off() -> None:
    scheduler = a_scheduler(workers=1)
    assert in_words(play(scheduler, recovered("cat", state=JobState.RUNNING, attempt=1))) == [
        "cat pending (server_restarted)",
        "cat dispatched (dispatched)",
        "w0 runs cat#2",
    ]
    assert play(scheduler, images_ready("cat", attempt=1)) == []


def test_recovering_twice_changes_nothing() -> None:
    scheduler = a_scheduler(workers=0)
    play(scheduler, recovered("cat"))
    assert play(scheduler, recovered("cat")) == []


def test_a_recovered_job_keeps_its_pause_and_its_deadline() -> None:
    scheduler = a_scheduler(workers=1)
    play(scheduler, recovered("cat", not_before_s=5.0), recovered("dog", not_before_s=50.0, deadline_at_s=7.0))
    assert play(scheduler, clock_ticked(), now_s=4.9) == []
    assert in_words(play(scheduler, clock_ticked(), now_s=5.0))[-1] == "w0 runs cat#1"
    assert in_words(play(scheduler, clock_ticked(), now_s=7.0)) == ["dog expired (deadline_exceeded)"]


def test_recovery_is_not_bounded_by_admission() -> None:
    scheduler = a_scheduler(workers=0, pending_max=1)
    play(scheduler, recovered("a"), recovered("b"))
    assert scheduler.open_jobs() == 2


# --- drain -----------------------------------------------------------------------------------------------------------


def test_while_draining_what_runs_may_finish_and_nothing_new_starts() -> None:
    scheduler = a_scheduler(workers=1)
    play(scheduler, submitted("cat"), submitted("dog"), drain_requested())
    assert scheduler.running_jobs() == 1
    commands = play(scheduler, run_started("cat"), images_ready("cat"), outputs_stored("cat"), clock_ticked())
    assert in_words(commands)[-1] == "cat completed (completed)"
    assert (scheduler.open_jobs(), scheduler.running_jobs()) == (1, 0)


def test_while_draining_a_run_that_was_called_off_frees_its_worker_for_nobody() -> None:
    scheduler = a_scheduler(workers=1)
    play(scheduler, submitted("cat"), submitted("dog"), drain_requested(), cancelled("cat"))
    assert play(scheduler, run_aborted("cat")) == []


def test_deadlines_of_ended_jobs_do_not_pile_up() -> None:
    scheduler = a_scheduler(workers=0)
    for number in range(5_000):
        name = f"job{number}"
        play(scheduler, submitted(a_job(name, sequence=number, deadline_at_s=1e6)), cancelled(name))
    assert len(scheduler._deadlines) <= DEADLINES_KEPT + 2


def test_a_back_off_that_lies_far_ahead_after_a_restart_is_shortened() -> None:
    """The wall clock was set back while the server was down."""
    scheduler = a_scheduler(workers=1, backoff_s=(2.0,))
    play(scheduler, recovered(a_job("cat", attempt=1, not_before_s=9_000.0)), now_s=10.0)
    assert play(scheduler, clock_ticked(), now_s=11.9) == []
    assert "w0 runs cat#2" in in_words(play(scheduler, clock_ticked(), now_s=12.0))
