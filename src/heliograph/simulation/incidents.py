"""Incidents planted at a time, for a while, with one cause each: what a diagnosis is judged on.

`Faults` happen everywhere at random; an incident happens to one model, GPU or zone. Whoever plays the world asks here
what is in force now.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class IncidentKind(StrEnum):
    """What goes wrong."""

    LOAD_FAILURES = "load_failures"
    RUN_FAILURES = "run_failures"
    GATE_REJECTS = "gate_rejects"
    BAD_GPU = "bad_gpu"
    SLOW_GPU = "slow_gpu"
    ZONE_LOSS = "zone_loss"
    SLOW_FINISH = "slow_finish"
    SLOW_COMMITS = "slow_commits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """From `at_s`, for `duration_s` seconds. What `target` and `size` mean depends on the kind:

    `load_failures`, `run_failures`, `gate_rejects`: the model, and the probability (0 to 1) per load, run or job.
    `bad_gpu`: the GPU, and the probability that a run on it kills its worker. `slow_gpu`: the GPU, and how many times
    as long runs take on it. `zone_loss`: the zone, and the share of its spot GPUs that is taken back. `slow_finish`: no
    target, and how many times as long post-processing takes. `slow_commits`: no target, and the seconds each commit
    takes; submissions and dispatches wait for it.
    """

    kind: IncidentKind
    at_s: float
    duration_s: float
    target: str = ""
    size: float = 1.0

    def __post_init__(self) -> None:
        if self.at_s < 0 or self.duration_s <= 0 or self.size <= 0:
            raise ValueError("needs at_s from 0 on, duration_s and size above 0")

    def is_on(self, now_s: float) -> bool:
        """It is in force."""
        return self.at_s <= now_s < self.at_s + self.duration_s


class Incidents:
    """All of a scenario's; false where there are none."""

    def __init__(self, incidents: tuple[Incident, ...]) -> None:
        self._incidents = incidents

    def __bool__(self) -> bool:
        return bool(self._incidents)

    def of(self, kind: IncidentKind) -> tuple[Incident, ...]:
        """Those of one kind."""
        return tuple(incident for incident in self._incidents if incident.kind is kind)

    def size(self, kind: IncidentKind, targets: Iterable[str], now_s: float, *, default: float) -> float:
        """The largest size in force that one of the targets is met by, or the default."""
        names = frozenset(targets)
        sizes = [each.size for each in self.of(kind) if each.target in names and each.is_on(now_s)]
        return max(sizes, default=default)
