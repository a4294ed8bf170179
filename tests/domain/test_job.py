"""The table of legal moves, and the record that moves."""

from dataclasses import MISSING, fields, replace

import pytest

from heliograph.domain.ids import JobId
from heliograph.domain.job import LEGAL_MOVES, ON_WORKER, Failure, Job, JobState, Moment
from heliograph.domain.webhooks import JOB_EVENTS, JobWebhook
from tests.builders import a_job

DEFAULTS = {field.name: field.default for field in fields(Job) if field.default is not MISSING}
TERMINAL = {JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}


def test_the_table_names_every_state() -> None:
    assert set(LEGAL_MOVES) == set(JobState)


def test_exactly_the_endings_are_terminal_and_have_no_moves() -> None:
    assert {state for state in JobState if state.is_terminal} == TERMINAL
    assert {state for state, moves in LEGAL_MOVES.items() if not moves} == TERMINAL


def test_every_state_is_reachable_from_pending() -> None:
    reached, frontier = {JobState.PENDING}, [JobState.PENDING]
    while frontier:
        found = LEGAL_MOVES[frontier.pop()] - reached
        reached |= found
        frontier += found
    assert reached == set(JobState)


@pytest.mark.parametrize("state", sorted(set(JobState) - TERMINAL))
def test_every_open_job_can_fail_be_cancelled_and_expire(state: JobState) -> None:
    assert LEGAL_MOVES[state] >= {JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}


@pytest.mark.parametrize("state", sorted(ON_WORKER | {JobState.POST_PROCESSING}))
def test_work_that_came_to_nothing_goes_back_in_line(state: JobState) -> None:
    assert JobState.PENDING in LEGAL_MOVES[state]


def test_pictures_are_delivered_only_after_post_processing() -> None:
    assert [state for state, moves in LEGAL_MOVES.items() if JobState.COMPLETED in moves] == [JobState.POST_PROCESSING]


def test_no_state_moves_to_itself() -> None:
    assert not [state for state, moves in LEGAL_MOVES.items() if state in moves]


@pytest.mark.parametrize("to", JobState)
@pytest.mark.parametrize("state", JobState)
def test_a_job_makes_legal_moves_and_no_others(state: JobState, to: JobState) -> None:
    job = a_job("cat", state=state)
    if to in LEGAL_MOVES[state]:
        moved = job.moved(to, now_s=5.0)
        assert moved.state is to
        assert moved.timeline == (*job.timeline, Moment(state=to, at_s=5.0))
    else:
        with pytest.raises(AssertionError, match=f"job cat: {state} -> {to} is not a legal move"):
            job.moved(to, now_s=5.0)


def test_a_move_keeps_whatever_it_does_not_change() -> None:
    hook = JobWebhook(url="https://example.com", events=JOB_EVENTS)
    job = replace(
        a_job("cat", end_user="ann", webhook=hook), deadline_at_s=9.0, failures=1, reseeds=2, not_before_s=3.0
    )
    setback = Failure(code="worker_lost", message="The worker crashed.")
    job = replace(job, checkpoint="kept", steps_done=5, setback=setback, spares_memory=True, on_review=True)
    job = replace(job, remixed_from=JobId("first"), reproduces=JobId("first"))
    job = job.moved(JobState.DISPATCHED, now_s=1.0, attempt=4)
    others = {field.name for field in fields(Job)} - {"state", "timeline"}
    as_made = {name for name, default in DEFAULTS.items() if getattr(job, name) == default}
    assert as_made == {"failure"}, "give the job above a value of its own for every field"
    back = job.moved(JobState.PENDING, now_s=2.0)
    assert {name: getattr(back, name) for name in others} == {name: getattr(job, name) for name in others}
    assert job.moved(JobState.PENDING, now_s=2.0, not_before_s=7.0) == replace(back, not_before_s=7.0)
    assert job.submitted(now_s=5.0) == replace(
        job, state=JobState.PENDING, timeline=(Moment(state=JobState.PENDING, at_s=5.0),)
    )


def test_an_ended_job_knows_when_and_why() -> None:
    job = a_job(created_at_s=1.0)
    failure = Failure(code="cancelled", message="Cancelled on request.")
    ended = job.moved(JobState.CANCELLED, now_s=4.0, failure=failure)
    assert (job.finished_at_s, ended.finished_at_s, ended.failure) == (None, 4.0, failure)


def test_time_in_a_state_adds_up_over_all_stays() -> None:
    job = a_job(created_at_s=0.0)
    path = [
        (1.0, JobState.DISPATCHED),
        (3.0, JobState.PENDING),
        (7.0, JobState.DISPATCHED),
        (15.0, JobState.RUNNING),
    ]
    for at_s, state in path:
        job = job.moved(state, now_s=at_s)
    assert job.stage_seconds() == {JobState.PENDING: 1.0 + 4.0, JobState.DISPATCHED: 2.0 + 8.0}
    assert a_job().stage_seconds() == {}
