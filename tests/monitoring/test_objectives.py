"""Error budgets, and burn rates over several windows."""

import json

import pytest

from heliograph.domain.job import JobState
from heliograph.monitoring import Objective, Objectives
from heliograph.monitoring.objectives import Alarm, Kind
from tests.monitoring.lives import Clock, a_life

COMPLETED = Objective(name="completed", kind=Kind.AVAILABILITY, target=0.99)
FAST = Objective(name="fast", kind=Kind.LATENCY, target=0.9, threshold_s=10.0, tier="pro")


def end(
    objectives: Objectives, clock: Clock, count: int, state: JobState = JobState.COMPLETED, **fields: object
) -> None:
    for number in range(count):
        *_, last = a_life(f"{state}{number}", at_s=clock.now_s, end=state, **fields)  # type: ignore[arg-type]
        objectives(last)


@pytest.mark.parametrize(
    ("state", "tier", "run_s", "completed", "fast"),
    [
        (JobState.COMPLETED, "pro", 1.0, True, True),
        (JobState.COMPLETED, "pro", 100.0, True, False),
        (JobState.COMPLETED, "free", 100.0, True, None),
        (JobState.FAILED, "pro", 1.0, False, False),
        (JobState.EXPIRED, "pro", 1.0, False, False),
        (JobState.CANCELLED, "pro", 1.0, None, None),
    ],
)
def test_which_jobs_are_good(
    state: JobState, tier: str, run_s: float, completed: bool | None, fast: bool | None
) -> None:
    *_, last = a_life("cat", at_s=0.0, end=state, tier=tier, run_s=run_s)
    job = last.record.job
    assert (COMPLETED.judge(job), FAST.judge(job)) == (completed, fast)


def test_the_budget_is_what_is_left_of_thirty_days() -> None:
    clock = Clock()
    heard: list[tuple[str, bool]] = []
    objectives = Objectives([COMPLETED], clock=clock, publish=lambda name, is_good: heard.append((name, is_good)))
    end(objectives, clock, 995)
    end(objectives, clock, 5, JobState.FAILED)
    (standing,) = objectives.standings()
    assert (standing.good, standing.bad, standing.budget_left) == (995, 5, pytest.approx(0.5))
    assert standing.burn["5m"] == pytest.approx(0.5)
    assert standing.alarm is None
    assert heard.count(("completed", False)) == 5


def test_no_data_says_nothing() -> None:
    (standing,) = Objectives([COMPLETED], clock=Clock()).standings()
    assert (standing.budget_left, standing.alarm, set(standing.burn.values())) == (None, None, {None})


def test_a_fast_burn_pages_while_it_lasts() -> None:
    clock = Clock()
    objectives = Objectives([COMPLETED], clock=clock)
    end(objectives, clock, 70)
    end(objectives, clock, 30, JobState.FAILED)
    assert objectives.standings()[0].alarm is Alarm.PAGE
    for _ in range(35):  # it is over, and the hour still looks bad
        clock.now_s += 60
        end(objectives, clock, 1)
    (standing,) = objectives.standings()
    assert standing.burn["1h"] is not None
    assert standing.burn["1h"] > 14.4
    assert standing.alarm is not Alarm.PAGE


def test_a_slow_burn_asks_for_a_ticket() -> None:
    clock = Clock()
    objectives = Objectives([COMPLETED], clock=clock)
    for _ in range(80):
        clock.now_s += 3_600
        end(objectives, clock, 97)
        end(objectives, clock, 3, JobState.FAILED)
    assert objectives.standings()[0].alarm is Alarm.TICKET


def test_a_few_jobs_at_night_raise_nothing() -> None:
    clock = Clock()
    objectives = Objectives([COMPLETED], clock=clock)
    end(objectives, clock, 2, JobState.FAILED)
    assert objectives.standings()[0].alarm is None


def test_a_restart_keeps_the_budget_and_forgets_objectives_that_are_gone() -> None:
    clock = Clock()
    before = Objectives([COMPLETED, FAST], clock=clock)
    end(before, clock, 5, JobState.FAILED)
    after = Objectives([COMPLETED], clock=clock)
    after.restore(json.loads(json.dumps(before.state())))
    assert [(each.objective.name, each.bad) for each in after.standings()] == [("completed", 5)]
