"""Jobs on workers and after: fencing of stale messages, failures, cancelling, deadlines, the gates."""

from typing import Any

import pytest

from heliograph.domain.commands import Command, Dispatch, RecordJob
from heliograph.domain.errors import RETRYABLE_ENGINE_ERRORS, EngineErrorKind
from heliograph.domain.events import Event, LossReason
from heliograph.domain.job import Attempt, AttemptOutcome, Failure, JobState
from heliograph.domain.pictures import Decision
from heliograph.domain.request import SEED_MAX
from heliograph.scheduling import Scheduler
from heliograph.scheduling.scheduler import RESEED_STRIDE
from tests.builders import (
    a_request,
    a_scheduler,
    an_output,
    cancelled,
    clock_ticked,
    gate_rejected,
    images_ready,
    in_words,
    outputs_stored,
    play,
    post_processing_failed,
    replica_requested,
    replica_stop_requested,
    run_aborted,
    run_failed,
    run_started,
    step_done,
    submitted,
    worker_lost,
    worker_ready,
)

LEADING_TO: dict[JobState, list[Event]] = {
    JobState.DISPATCHED: [],
    JobState.RUNNING: [run_started("cat"), step_done("cat", 3)],
    JobState.POST_PROCESSING: [run_started("cat"), images_ready("cat")],
}
ENDINGS: dict[JobState, list[Event]] = {
    JobState.COMPLETED: [images_ready("cat"), outputs_stored("cat")],
    JobState.FAILED: [run_failed("cat", EngineErrorKind.BAD_INPUT)],
    JobState.CANCELLED: [cancelled("cat")],
}
LATE_MESSAGES: list[Event] = [
    run_started("cat"),
    step_done("cat", 9),
    images_ready("cat"),
    run_failed("cat"),
    run_failed("cat", EngineErrorKind.BAD_INPUT),
    run_aborted("cat"),
    outputs_stored("cat"),
    gate_rejected("cat"),
    gate_rejected("cat", Decision.BLOCK),
    post_processing_failed("cat"),
]


def with_cat(state: JobState, *, workers: int = 1, **policy: Any) -> Scheduler:
    """A scheduler whose first job, `cat`, is in `state` on (or done by) worker `w0`."""
    scheduler = a_scheduler(workers=workers, **policy)
    play(scheduler, submitted("cat", deadline_at_s=60.0), *LEADING_TO[state])
    return scheduler


def records(commands: list[Command]) -> list[RecordJob]:
    return [command for command in commands if isinstance(command, RecordJob)]


def attempt_of(commands: list[Command]) -> Attempt:
    (ended,) = [record.ended_attempt for record in records(commands) if record.ended_attempt is not None]
    return ended


# --- the straight way ------------------------------------------------------------------------------------------------


def test_from_dispatch_to_delivery() -> None:
    scheduler = a_scheduler(workers=1)
    outputs = (an_output("one"), an_output("two", index=1))
    at_s: dict[float, tuple[Event, list[str]]] = {
        1.0: (submitted("cat"), ["cat pending (submitted)", "cat dispatched (dispatched)", "w0 runs cat#1"]),
        2.0: (run_started("cat"), ["cat running (started)"]),
        3.0: (step_done("cat", 5), []),
        4.0: (images_ready("cat"), ["cat post_processing (images_ready)", "finish cat#1"]),
        5.0: (outputs_stored("cat", outputs=outputs), ["cat completed (completed)"]),
    }
    seen: list[RecordJob] = []
    for now_s, (event, words) in at_s.items():
        commands = play(scheduler, event, now_s=now_s)
        seen += records(commands)
        assert in_words(commands) == words
    *_, running, finishing, done = seen
    assert not running.must_wait
    assert not finishing.must_wait
    assert done.must_wait
    ended = finishing.ended_attempt
    assert ended is not None
    assert (ended.number, ended.worker_id, ended.gpu_s, ended.outcome) == (1, "w0", 3.0, AttemptOutcome.SUCCEEDED)
    assert done.charged_attempt == ended, "the tenant pays for the attempt that made the pictures"
    assert done.outputs == outputs
    assert done.job.finished_at_s == 5.0
    assert scheduler.open_jobs() == 0


def test_pictures_before_the_start_message_start_the_run() -> None:
    scheduler = with_cat(JobState.DISPATCHED)
    assert in_words(play(scheduler, images_ready("cat"))) == [
        "cat running (started)",
        "cat post_processing (images_ready)",
        "finish cat#1",
    ]
    assert play(scheduler, run_started("cat")) == []


def test_the_worker_is_free_before_the_pictures_are_finished() -> None:
    scheduler = with_cat(JobState.RUNNING)
    play(scheduler, submitted("dog"))
    assert in_words(play(scheduler, images_ready("cat")))[-1] == "w0 runs dog#1"


# --- fencing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", LATE_MESSAGES, ids=str)
def test_a_message_of_an_older_attempt_changes_nothing(event: Event) -> None:
    scheduler = with_cat(JobState.RUNNING, workers=2)
    play(scheduler, worker_lost("w0"))
    before = scheduler.view(submitted("cat").job.job_id, now_s=0.0)
    assert before is not None
    assert (before.job.state, before.job.attempt) == (JobState.DISPATCHED, 2)
    assert play(scheduler, event) == []
    assert scheduler.view(before.job.job_id, now_s=0.0) == before


@pytest.mark.parametrize("ending", ENDINGS, ids=str)
@pytest.mark.parametrize("event", LATE_MESSAGES, ids=str)
def test_a_message_after_the_end_moves_nothing(ending: JobState, event: Event) -> None:
    scheduler = with_cat(JobState.RUNNING)
    assert records(play(scheduler, *ENDINGS[ending]))[-1].job.state is ending
    assert play(scheduler, event) == []
    assert scheduler.open_jobs() == 0


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(run_started("cat"), id="started"),
        pytest.param(step_done("cat", 3), id="step"),
        pytest.param(images_ready("cat"), id="images"),
        pytest.param(run_failed("cat", EngineErrorKind.BAD_INPUT), id="failed"),
        pytest.param(cancelled("cat"), id="cancelled"),
        pytest.param(worker_lost("w0"), id="lost"),
        pytest.param(worker_ready("w0"), id="ready"),
        pytest.param(replica_requested("w0"), id="requested"),
        pytest.param(replica_stop_requested("w0"), id="stop"),
    ],
)
def test_a_repeated_event_changes_nothing(event: Event) -> None:
    scheduler = with_cat(JobState.RUNNING)
    play(scheduler, event)
    before = (scheduler.fleet_view(), scheduler.queue_view())
    assert play(scheduler, event) == []
    assert (scheduler.fleet_view(), scheduler.queue_view()) == before


@pytest.mark.parametrize("event", [outputs_stored("cat"), gate_rejected("cat", Decision.BLOCK)], ids=str)
def test_a_repeated_end_changes_nothing(event: Event) -> None:
    scheduler = with_cat(JobState.POST_PROCESSING)
    assert len(play(scheduler, event)) == 1
    assert play(scheduler, event) == []


def test_news_of_the_pictures_before_they_are_ready_is_not_believed() -> None:
    scheduler = with_cat(JobState.RUNNING)
    assert play(scheduler, outputs_stored("cat"), gate_rejected("cat"), post_processing_failed("cat")) == []


def test_steps_out_of_order_never_go_backwards() -> None:
    scheduler = with_cat(JobState.RUNNING)
    play(scheduler, step_done("cat", 7), step_done("cat", 5))
    view = scheduler.view(submitted("cat").job.job_id, now_s=0.0)
    assert view is not None
    assert (view.step, view.steps) == (7, 10)


# --- a worker is lost ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [JobState.DISPATCHED, JobState.RUNNING])
def test_the_job_of_a_lost_worker_goes_to_another_one(state: JobState) -> None:
    scheduler = with_cat(state, workers=2)
    commands = play(scheduler, worker_lost("w0"), now_s=4.0)
    assert in_words(commands) == ["cat pending (worker_lost)", "cat dispatched (dispatched)", "w1 runs cat#2"]
    ended = attempt_of(commands)
    assert (ended.number, ended.gpu_s, ended.outcome) == (1, 4.0, AttemptOutcome.WORKER_LOST)


def test_the_loss_of_a_worker_whose_pictures_left_it_harms_nobody() -> None:
    scheduler = with_cat(JobState.POST_PROCESSING)
    assert play(scheduler, worker_lost("w0")) == []
    assert in_words(play(scheduler, outputs_stored("cat"))) == ["cat completed (completed)"]


def test_the_loss_of_an_idle_or_unknown_worker_moves_no_job() -> None:
    assert play(a_scheduler(workers=1), worker_lost("w0"), worker_lost("w9")) == []


def test_too_little_memory_is_told_apart() -> None:
    commands = play(with_cat(JobState.RUNNING), worker_lost("w0", LossReason.OUT_OF_MEMORY))
    assert in_words(commands) == ["cat pending (out_of_memory)"]


# --- failures and retries --------------------------------------------------------------------------------------------


def test_retries_back_off_and_a_poisonous_job_is_given_up() -> None:
    scheduler = a_scheduler(workers=1, attempts_max=4, backoff_s=(0.0, 2.0, 10.0))
    play(scheduler, submitted("cat"))
    at_once = play(scheduler, run_failed("cat", attempt=1), now_s=1.0)
    assert in_words(at_once) == ["cat pending (engine_internal)", "cat dispatched (dispatched)", "w0 runs cat#2"]
    assert in_words(play(scheduler, run_failed("cat", attempt=2), now_s=2.0)) == ["cat pending (engine_internal)"]
    assert play(scheduler, clock_ticked(), now_s=3.9) == []
    assert in_words(play(scheduler, clock_ticked(), now_s=4.0))[-1] == "w0 runs cat#3"
    assert in_words(play(scheduler, run_failed("cat", attempt=3), now_s=5.0)) == ["cat pending (engine_internal)"]
    assert play(scheduler, clock_ticked(), now_s=14.9) == []
    assert in_words(play(scheduler, clock_ticked(), now_s=15.0))[-1] == "w0 runs cat#4"
    (given_up,) = records(play(scheduler, run_failed("cat", attempt=4, message="It broke."), now_s=16.0))
    assert given_up.job.state is JobState.FAILED
    assert given_up.job.failure == Failure(code="engine_internal", message="Gave up after 4 attempts. It broke.")


def test_the_last_pause_repeats() -> None:
    scheduler = a_scheduler(workers=1, attempts_max=9, backoff_s=(1.0,))
    play(scheduler, submitted("cat"))
    for attempt in range(1, 5):
        play(scheduler, run_failed("cat", attempt=attempt), now_s=2.0 * attempt)
        commands = play(scheduler, clock_ticked(), now_s=2.0 * attempt + 1.0)
        assert in_words(commands)[-1] == f"w0 runs cat#{attempt + 1}"


def test_without_pauses_retries_are_immediate() -> None:
    scheduler = with_cat(JobState.RUNNING, backoff_s=())
    assert in_words(play(scheduler, run_failed("cat")))[-1] == "w0 runs cat#2"


@pytest.mark.parametrize("kind", EngineErrorKind)
def test_only_what_trying_again_can_mend_is_tried_again(kind: EngineErrorKind) -> None:
    commands = play(with_cat(JobState.RUNNING), run_failed("cat", kind, message="It broke."))
    state = JobState.PENDING if kind in RETRYABLE_ENGINE_ERRORS else JobState.FAILED
    assert in_words(commands)[0] == f"cat {state} (engine_{kind})"
    assert attempt_of(commands).outcome is AttemptOutcome.ENGINE_FAILED


def test_failures_of_different_kinds_count_together() -> None:
    scheduler = a_scheduler(workers=2, attempts_max=3, backoff_s=())
    play(scheduler, submitted("cat"), worker_lost("w0"), run_failed("cat", attempt=2), images_ready("cat", attempt=3))
    commands = play(scheduler, post_processing_failed("cat", attempt=3))
    assert in_words(commands) == ["cat failed (post_processing_failed)"]


def test_a_failed_run_lets_the_next_in_line_go_first() -> None:
    scheduler = with_cat(JobState.RUNNING)
    play(scheduler, submitted("dog"))
    assert in_words(play(scheduler, run_failed("cat"))) == [
        "cat pending (engine_internal)",
        "dog dispatched (dispatched)",
        "w0 runs dog#1",
    ]


def test_a_run_that_stops_without_being_told_to_is_tried_again() -> None:
    commands = play(with_cat(JobState.RUNNING), run_aborted("cat"))
    assert in_words(commands)[0] == "cat pending (engine_internal)"
    assert in_words(commands)[-1] == "w0 runs cat#2"


def test_a_clip_is_ordered_with_its_frames() -> None:
    clip = a_request(frames=12, frames_per_second=8)
    (order,) = [
        command.order
        for command in play(a_scheduler(), submitted("cat", request=clip))
        if isinstance(command, Dispatch)
    ]
    assert order.frames == 12


def seeds_of(commands: list[Command]) -> tuple[int, ...]:
    (order,) = [command.order for command in commands if isinstance(command, Dispatch)]
    return order.seeds


def test_after_a_crash_the_seeds_stay_and_after_a_nan_they_move_on() -> None:
    scheduler = a_scheduler(workers=1, backoff_s=())
    seeds = seeds_of(play(scheduler, submitted("cat", request=a_request(seed=SEED_MAX, image_count=2))))
    assert seeds == (SEED_MAX, 0)
    assert seeds_of(play(scheduler, run_failed("cat", EngineErrorKind.CRASH, attempt=1))) == seeds
    moved_on = seeds_of(play(scheduler, run_failed("cat", EngineErrorKind.NAN, attempt=2)))
    assert moved_on == (RESEED_STRIDE - 1, RESEED_STRIDE)


# --- the gates -------------------------------------------------------------------------------------------------------


def test_the_gate_gets_other_seeds_and_the_job_does_not_pay_with_its_retries() -> None:
    scheduler = with_cat(JobState.POST_PROCESSING)
    commands = play(scheduler, gate_rejected("cat"))
    assert in_words(commands) == ["cat pending (gate_regenerate)", "cat dispatched (dispatched)", "w0 runs cat#2"]
    assert seeds_of(commands) == (7 + RESEED_STRIDE,)
    job = records(commands)[-1].job
    assert (job.reseeds, job.failures) == (1, 0)


def test_the_gate_may_ask_for_other_seeds_a_bounded_number_of_times() -> None:
    scheduler = with_cat(JobState.POST_PROCESSING, reseeds_max=2)
    for attempt in (1, 2):
        commands = play(scheduler, gate_rejected("cat", attempt=attempt), images_ready("cat", attempt=attempt + 1))
        assert in_words(commands)[-1] == f"finish cat#{attempt + 1}"
    (failed,) = records(play(scheduler, gate_rejected("cat", attempt=3, reasons=("blank",))))
    assert failed.job.state is JobState.FAILED
    assert failed.job.failure is not None
    assert failed.job.failure.code == "quality_blocked"
    assert "blank" in failed.job.failure.message


def test_a_blocked_picture_fails_the_job_at_once() -> None:
    commands = play(with_cat(JobState.POST_PROCESSING), gate_rejected("cat", Decision.BLOCK))
    assert in_words(commands) == ["cat failed (quality_blocked)"]


def test_only_the_attempt_that_was_delivered_is_charged() -> None:
    scheduler = with_cat(JobState.POST_PROCESSING)
    play(scheduler, gate_rejected("cat"), now_s=1.0)
    play(scheduler, images_ready("cat", attempt=2), now_s=4.0)
    (done,) = records(play(scheduler, outputs_stored("cat", attempt=2), now_s=5.0))
    assert done.charged_attempt is not None
    assert (done.charged_attempt.number, done.charged_attempt.gpu_s) == (2, 3.0)


def test_post_processing_that_breaks_is_tried_again() -> None:
    commands = play(with_cat(JobState.POST_PROCESSING), post_processing_failed("cat"))
    assert in_words(commands)[0] == "cat pending (post_processing_failed)"
    assert in_words(commands)[-1] == "w0 runs cat#2"


def test_pictures_that_would_break_the_encoder_again_fail_at_once() -> None:
    commands = play(with_cat(JobState.POST_PROCESSING), post_processing_failed("cat", is_retryable=False))
    assert in_words(commands) == ["cat failed (post_processing_failed)"]


# --- cancelling and deadlines ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "now_s", "outcome", "word"),
    [
        pytest.param(cancelled("cat"), 4.0, AttemptOutcome.CANCELLED, "cancelled (cancelled)", id="cancelled"),
        pytest.param(clock_ticked(), 60.0, AttemptOutcome.EXPIRED, "expired (deadline_exceeded)", id="expired"),
    ],
)
class TestEndingEarly:
    @pytest.mark.parametrize("state", [JobState.DISPATCHED, JobState.RUNNING])
    def test_on_a_worker(self, state: JobState, event: Event, now_s: float, outcome: AttemptOutcome, word: str) -> None:
        scheduler = with_cat(state)
        commands = play(scheduler, event, now_s=now_s)
        assert in_words(commands) == [f"cat {word}", "w0 aborts cat#1"]
        ended = attempt_of(commands)
        assert (ended.outcome, ended.gpu_s) == (outcome, now_s)

    def test_in_post_processing(self, event: Event, now_s: float, outcome: AttemptOutcome, word: str) -> None:
        scheduler = with_cat(JobState.POST_PROCESSING)
        assert in_words(play(scheduler, event, now_s=now_s)) == [f"cat {word}"]
        assert play(scheduler, outputs_stored("cat"), now_s=now_s) == []

    def test_in_line(self, event: Event, now_s: float, outcome: AttemptOutcome, word: str) -> None:
        scheduler = a_scheduler(workers=0)
        play(scheduler, submitted("cat", deadline_at_s=60.0))
        assert in_words(play(scheduler, event, now_s=now_s)) == [f"cat {word}"]

    def test_while_backing_off(self, event: Event, now_s: float, outcome: AttemptOutcome, word: str) -> None:
        scheduler = with_cat(JobState.RUNNING, backoff_s=(100.0,))
        play(scheduler, run_failed("cat"))
        assert in_words(play(scheduler, event, now_s=now_s)) == [f"cat {word}"]
        assert play(scheduler, clock_ticked(), now_s=101.0) == []

    @pytest.mark.parametrize(
        "last_word",
        [run_aborted("cat"), images_ready("cat"), run_failed("cat"), run_failed("cat", EngineErrorKind.BAD_INPUT)],
        ids=str,
    )
    def test_the_worker_is_free_once_it_says_so_and_only_once(
        self, last_word: Event, event: Event, now_s: float, outcome: AttemptOutcome, word: str
    ) -> None:
        scheduler = with_cat(JobState.RUNNING)
        play(scheduler, submitted("dog"), submitted("owl"))
        assert "w0 runs dog#1" not in in_words(play(scheduler, event, now_s=now_s))
        assert in_words(play(scheduler, last_word)) == ["dog dispatched (dispatched)", "w0 runs dog#1"]
        assert play(scheduler, run_aborted("cat"), images_ready("cat"), run_failed("cat")) == []


def test_a_worker_that_is_lost_after_its_job_was_cancelled_brings_nothing_back() -> None:
    scheduler = with_cat(JobState.RUNNING)
    play(scheduler, cancelled("cat"))
    assert play(scheduler, worker_lost("w0")) == []
    assert scheduler.open_jobs() == 0


def test_a_cancelled_place_in_post_processing_is_given_back() -> None:
    scheduler = with_cat(JobState.POST_PROCESSING, post_processing_max=1)
    play(scheduler, submitted("dog"))
    assert in_words(play(scheduler, cancelled("cat")))[-1] == "w0 runs dog#1"


def test_a_deadline_is_met_until_it_has_come() -> None:
    assert play(with_cat(JobState.RUNNING), clock_ticked(), now_s=59.9) == []


def test_deadlines_expire_in_their_order() -> None:
    scheduler = a_scheduler(workers=0)
    play(scheduler, submitted("b", deadline_at_s=2.0), submitted("a", deadline_at_s=1.0), submitted("c"))
    assert in_words(play(scheduler, clock_ticked(), now_s=5.0)) == [
        "a expired (deadline_exceeded)",
        "b expired (deadline_exceeded)",
    ]
