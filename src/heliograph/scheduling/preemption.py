"""Which run makes way for a short job that cannot wait: paused at a step boundary, taken up later where it stopped.

A run makes way only if its engine can take it up again, if it has more left than a pause is worth, and if its own
deadline still holds afterwards. The other job must have a reason: its deadline would pass while it waits, or it stands
before the rest of the run by priority. A deadline against a deadline is decided by that alone: who has time gives it.
Else the run must have paused less than `preemptions_max` times (so that a long job ends even while short ones never
do), its tier must not be worth more, and it must hold the GPU for much longer than the other job would
(`preempt_ratio`).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from heliograph.domain.ids import WorkerId
from heliograph.scheduling.fairness import Place
from heliograph.scheduling.policy import SchedulerPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Pausable:
    """A run whose engine can pause. `rest` is its job as if it stood in line with what is left to do."""

    worker_id: WorkerId
    rest: Place
    pauses: int


def makes_way(newcomer: Place, runs: Iterable[Pausable], *, policy: SchedulerPolicy, now_s: float) -> WorkerId | None:
    """The worker whose run pauses for the newcomer: of those that may, the one with most time to spare."""
    may = [run for run in runs if _may_pause(newcomer, run, policy, now_s)]
    if not may:
        return None
    return max(may, key=lambda run: (_slack_s(run.rest, now_s), run.rest.estimate_s, run.worker_id)).worker_id


def rest_s_min(estimate_s: float, policy: SchedulerPolicy) -> float:
    """What a run must have left at least to make way for a job of `estimate_s`."""
    return policy.preempt_ratio * (estimate_s + policy.pause_s)


def _may_pause(newcomer: Place, run: Pausable, policy: SchedulerPolicy, now_s: float) -> bool:
    rest = run.rest
    if rest.estimate_s < rest_s_min(0.0, policy) or _slack_s(rest, now_s) < newcomer.estimate_s + policy.pause_s:
        return False
    is_late = _slack_s(newcomer, now_s) < rest.estimate_s
    if rest.latest_start_s is not None and is_late:
        return True  # a run with a deadline has the time, and goes on as soon as that presses
    return (
        run.pauses < policy.preemptions_max
        and rest.weight <= newcomer.weight
        and rest.estimate_s >= rest_s_min(newcomer.estimate_s, policy)
        and (is_late or newcomer.virtual_arrival < rest.virtual_arrival)
    )


def _slack_s(place: Place, now_s: float) -> float:
    """Seconds until the job must go on to meet its deadline; infinite without one."""
    return float("inf") if place.latest_start_s is None else place.latest_start_s - now_s
