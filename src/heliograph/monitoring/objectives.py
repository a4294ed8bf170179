"""Service level objectives: what share of jobs has to go well, how much of the error budget is left, how fast it burns.

Each objective counts good and bad jobs by the minute for six hours and by the hour for thirty days. A burn rate is the
share of bad jobs within a window over the share that is allowed: at 1 the budget lasts exactly thirty days. It pages
when a long and a short window both burn fast (the long one says that it matters, the short one that it is still going
on), and asks for a ticket when both burn slowly: the pairs of windows and their rates are those of Google's SRE
workbook. Two hours with hardly a job say nothing: a window with fewer than `events_min` jobs does not burn.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from heliograph.domain.job import Job, JobState
from heliograph.domain.lifecycle import JobMoved, LifecycleEvent

MINUTE_S, MINUTES = 60.0, 6 * 60
HOUR_S, HOURS = 3_600.0, 30 * 24
WINDOWS = {"5m": 300.0, "30m": 1_800.0, "1h": 3_600.0, "6h": 21_600.0, "3d": 259_200.0}


class Kind(StrEnum):
    """What makes a job a good one. `availability`: it was completed. `latency`: within `threshold_s` as well; jobs that
    fail count as late."""

    AVAILABILITY = "availability"
    LATENCY = "latency"


class Alarm(StrEnum):
    """How urgent it is."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """`target` (0 to 1) of the jobs of `tier` and `model` (None: any) are to be good, over thirty days."""

    name: str
    kind: Kind
    target: float
    threshold_s: float | None = None
    tier: str | None = None
    model: str | None = None

    def judge(self, job: Job) -> bool | None:
        """Whether a job that has ended was good; None for one that does not count."""
        if self.tier not in (None, job.tier.value) or self.model not in (None, job.request.model_id):
            return None
        if job.state is JobState.CANCELLED:
            return None  # its owner changed their mind
        if job.state is not JobState.COMPLETED:
            return False
        return self.threshold_s is None or job.timeline[-1].at_s - job.created_at_s <= self.threshold_s


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnPolicy:
    """Pairs of windows with the rate above which both have to burn, and how many jobs a window needs."""

    pages: tuple[tuple[str, str, float], ...] = (("1h", "5m", 14.4), ("6h", "30m", 6.0))
    tickets: tuple[tuple[str, str, float], ...] = (("3d", "6h", 1.0),)
    events_min: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an objective stands. `budget_left` is 1 with no bad job and negative when it is overspent; None, and None for
    a burn rate, without enough jobs to say."""

    objective: Objective
    good: int
    bad: int
    budget_left: float | None
    burn: Mapping[str, float | None]
    alarm: Alarm | None


@dataclass(slots=True)
class _Counts:
    minutes: deque[list[int]] = field(default_factory=lambda: deque[list[int]](maxlen=MINUTES))
    hours: deque[list[int]] = field(default_factory=lambda: deque[list[int]](maxlen=HOURS))

    def add(self, now_s: float, *, is_good: bool) -> None:
        for series, length_s in ((self.minutes, MINUTE_S), (self.hours, HOUR_S)):
            index = int(now_s // length_s)
            if not series or index > series[-1][0]:
                series.append([index, 0, 0])
            series[-1][1 if is_good else 2] += 1

    def within(self, now_s: float, window_s: float) -> tuple[int, int]:
        series, length_s = (self.minutes, MINUTE_S) if window_s <= MINUTES * MINUTE_S else (self.hours, HOUR_S)
        least = int((now_s - window_s) // length_s)
        kept = [each for each in series if each[0] > least]
        return sum(each[1] for each in kept), sum(each[2] for each in kept)


class Objectives:
    """A sink of lifecycle events. `clock` gives seconds since the epoch; `publish` hears of each job that counts."""

    def __init__(
        self,
        objectives: Sequence[Objective],
        *,
        clock: Callable[[], float],
        publish: Callable[[str, bool], None] | None = None,
        policy: BurnPolicy | None = None,
    ) -> None:
        self._objectives = tuple(objectives)
        self._clock = clock
        self._publish = publish
        self._policy = policy or BurnPolicy()
        self._counts = {objective.name: _Counts() for objective in objectives}

    def __call__(self, event: LifecycleEvent) -> None:
        """Take note of a job that ended."""
        if not isinstance(event, JobMoved) or not event.record.job.state.is_terminal:
            return
        for objective in self._objectives:
            is_good = objective.judge(event.record.job)
            if is_good is not None:
                self._counts[objective.name].add(self._clock(), is_good=is_good)
                if self._publish is not None:
                    self._publish(objective.name, is_good)

    def standings(self) -> tuple[Standing, ...]:
        """How each objective stands now."""
        return tuple(map(self._standing, self._objectives))

    def state(self) -> Mapping[str, list[list[int]]]:
        """What has to be kept over a restart: by objective, hours since the epoch with good and bad jobs."""
        return {name: [list(hour) for hour in counts.hours] for name, counts in self._counts.items()}

    def restore(self, state: Mapping[str, Sequence[Sequence[int]]]) -> None:
        """Take up what `state` gave; objectives that are gone are left out, and what is malformed."""
        for name, hours in state.items():
            if name in self._counts:
                self._counts[name].hours.extend([int(each) for each in hour] for hour in hours if len(hour) == 3)

    def _standing(self, objective: Objective) -> Standing:
        counts, now_s = self._counts[objective.name], self._clock()
        good, bad = counts.within(now_s, HOURS * HOUR_S)
        allowed = 1 - objective.target
        burn: dict[str, float | None] = {}
        for name, window_s in WINDOWS.items():
            fine, wrong = counts.within(now_s, window_s)
            enough = fine + wrong >= self._policy.events_min
            burn[name] = wrong / (fine + wrong) / allowed if enough else None
        return Standing(
            objective=objective,
            good=good,
            bad=bad,
            budget_left=1 - bad / ((good + bad) * allowed) if good + bad else None,
            burn=burn,
            alarm=self._alarm(burn),
        )

    def _alarm(self, burn: Mapping[str, float | None]) -> Alarm | None:
        for pairs, alarm in ((self._policy.pages, Alarm.PAGE), (self._policy.tickets, Alarm.TICKET)):
            for long, short, rate in pairs:
                if (burn[long] or 0.0) > rate and (burn[short] or 0.0) > rate:
                    return alarm
        return None
