"""What was seen in the last minutes and in the hour before: all that a diagnosis may look at.

A tally counts by name and labels: `("arrived", "sdxl-base")`. Names and their labels:

| name               | labels        | counts |
|--------------------|---------------|--------|
| `arrived`          | model         | jobs submitted |
| `asked_by`         | tenant        | the same, by who asked |
| `refused`          | stage         | requests refused |
| `run_ended`        | model         | attempts that ended on a worker by themselves, well or not |
| `run_ended_on`     | GPU           | the same, by GPU |
| `run_failed`       | model         | those that ended with an engine's error |
| `run_failed_on`    | GPU           | the same, by GPU |
| `gate_rejected`    | model         | attempts whose pictures a gate sent back or blocked |
| `work_s`           | GPU class     | GPU-seconds of attempts that succeeded |
| `slow_ratio`       | GPU           | sum over runs of their time relative to what is usual for the same work |
| `slow_runs`        | GPU           | how many those were |
| `load_started`     | model         | loads begun |
| `load_done`        | model         | loads that came to their end |
| `load_failed`      | model         | loads that did not |
| `worker_lost_on`   | GPU           | workers that crashed, fell silent or ran out of memory |
| `memory_lost`      | model         | those of them that ran out of memory |
| `memory_lost_on`   | model, GPU    | the same, by GPU, too |
| `finish_s`, `finished` | none      | seconds and number of stays in post-processing |
| `commit_s`, `commits`, `commit_failed` | none | seconds and number of commits; those that failed |
| `gpu_gone`         | zone, market  | GPUs that were there at one look and not at the next |
| `webhook_tried`, `webhook_failed` | none | tries to deliver webhooks |
| `look_gpus`, `look_busy`, `look_loading` | none | sums over looks; divided by `looks` they are means |
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from heliograph.domain.ids import ModelId
from heliograph.domain.orders import Halt

Tally = Mapping[tuple[str, ...], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineLook:
    """One model's queue at one moment: how many wait, with how many GPU-seconds of work, the next one since when.

    `replicas` are its workers, `load_s` what one more would take to load.
    """

    pending: int
    pending_s: float
    oldest_s: float
    replicas: int
    load_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetLook:
    """The fleet and the queue at one moment. A GPU is busy while a run is on it, else loading while a load is.

    `gpus`, `busy` and `loading` count GPUs by class. `markets` counts them by zone and market. `finishing` jobs are
    being post-processed.
    """

    at_s: float
    gpus: Mapping[str, int]
    busy: Mapping[str, int]
    loading: Mapping[str, int]
    markets: Mapping[tuple[str, str], int]
    lines: Mapping[ModelId, LineLook]
    finishing: int = 0
    halts: tuple[Halt, ...] = ()

    @property
    def total(self) -> int:
        """GPUs there are."""
        return sum(self.gpus.values())

    @property
    def busy_total(self) -> int:
        """GPUs with a run."""
        return sum(self.busy.values())

    @property
    def loading_total(self) -> int:
        """GPUs that only load."""
        return sum(self.loading.values())

    @property
    def pending_s(self) -> float:
        """GPU-seconds of work that wait."""
        return sum(line.pending_s for line in self.lines.values())

    @property
    def pending(self) -> int:
        """Jobs that wait."""
        return sum(line.pending for line in self.lines.values())

    @property
    def oldest_s(self) -> float:
        """How long the job that is next in its line has waited, of all models the longest."""
        return max((line.oldest_s for line in self.lines.values() if line.pending), default=0.0)

    @property
    def drain_s(self) -> float:
        """How long the fleet would take to work off what waits, if nothing came any more."""
        return self.pending_s / max(self.total, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Counts over `seconds` seconds that were observed."""

    seconds: float
    tally: Tally

    def of(self, name: str, *labels: str) -> float:
        """One count; 0 where nothing was counted."""
        return self.tally.get((name, *labels), 0.0)

    def by(self, name: str) -> Mapping[str, float]:
        """Counts of one name by its first label."""
        return dict(self._by(name))

    def total(self, name: str) -> float:
        """All counts of one name together."""
        return sum(count for _, count in self._by(name))

    def mean(self, sum_name: str, count_name: str) -> float | None:
        """A mean from two counts; None where there was nothing."""
        count = self.of(count_name)
        return self.of(sum_name) / count if count else None

    def _by(self, name: str) -> Iterator[tuple[str, float]]:
        return ((key[1] if len(key) > 1 else "", count) for key, count in self.tally.items() if key[0] == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The last minutes in short and longer windows, the hour before them, and how things looked along the way.

    `recent` covers about five minutes, `longer` half an hour up to now, `before` up to two hours before `recent`.
    `looks` are of the last quarter of an hour, oldest first. `problems` are parts that fail now, with the reason.
    """

    now_s: float
    recent: Window
    longer: Window
    before: Window
    looks: tuple[FleetLook, ...]
    problems: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def last(self) -> FleetLook:
        """The newest look."""
        return self.looks[-1]

    def look_before(self, seconds: float) -> FleetLook:
        """The newest look that is at least so old, or the oldest there is."""
        wanted_s = self.last.at_s - seconds
        for look in reversed(self.looks):
            if look.at_s <= wanted_s:
                return look
        return self.looks[0]

    def looks_within(self, seconds: float) -> tuple[FleetLook, ...]:
        """Looks of the last so many seconds."""
        return tuple(look for look in self.looks if look.at_s >= self.last.at_s - seconds)
