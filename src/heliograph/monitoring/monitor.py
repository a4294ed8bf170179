"""The observer of a running server: recent evidence, and what the latest look at it found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from heliograph.domain.lifecycle import LifecycleEvent
from heliograph.domain.orders import Halt
from heliograph.domain.views import FleetView, QueueView
from heliograph.monitoring.diagnosis import Cause, DiagnosisPolicy, Finding, describe_calm, diagnose
from heliograph.monitoring.evidence import Evidence
from heliograph.monitoring.recent import Recent

FORGOTTEN_S = 900.0
"""A finding that was not made for so long is a new one when it is made again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReading:
    """One GPU as its driver tells. `utilisation` from 0 to 1; what the driver does not tell is None."""

    name: str
    utilisation: float | None
    memory_used_bytes: int
    memory_total_bytes: int
    temperature_c: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is wrong at `at_s`, the likely cause first, each with the time since when; `summary` says it in a sentence.

    `observed_s` seconds of the last half hour were observed: with little of it, little can be found.
    """

    at_s: float
    observed_s: float
    summary: str
    findings: tuple[tuple[Finding, float], ...]


class Monitor:
    """A sink of lifecycle events. `look` is wanted every few seconds; `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float], policy: DiagnosisPolicy | None = None) -> None:
        self._clock = clock
        self._policy = policy or DiagnosisPolicy()
        self._recent = Recent(clock)
        self.gpus: tuple[GpuReading, ...] = ()
        """The latest readings of this machine's GPUs; nothing where no driver tells."""
        self._since: dict[tuple[Cause, str | None], tuple[float, float]] = {}

    def __call__(self, event: LifecycleEvent) -> None:
        """Take note of one event."""
        self._recent(event)

    def look(self, fleet: FleetView, queue: QueueView, halts: tuple[Halt, ...] = ()) -> None:
        """Take note of how things are now."""
        self._recent.look(fleet, queue, halts)

    def seen(self) -> Evidence | None:
        """What was counted and seen of late; None before the first look."""
        return self._recent.evidence()

    def diagnosis(self, problems: Mapping[str, str] | None = None) -> Diagnosis:
        """What is wrong now; `problems` are parts that fail, with the reason."""
        now_s = self._clock()
        evidence = self._recent.evidence(problems)
        if evidence is None:
            return Diagnosis(at_s=now_s, observed_s=0.0, summary="Nothing was observed yet.", findings=())
        findings = diagnose(evidence, self._policy)
        observed_s = evidence.longer.seconds
        if findings:
            summary = findings[0].summary
        elif observed_s < self._policy.warm_up_s:
            summary = f"Too early to say: a diagnosis needs {self._policy.warm_up_s / 60:.0f} minutes of observation."
        else:
            summary = describe_calm(evidence)
        return Diagnosis(
            at_s=now_s,
            observed_s=observed_s,
            summary=summary,
            findings=tuple((finding, self._noted(finding, now_s)) for finding in findings),
        )

    def _noted(self, finding: Finding, now_s: float) -> float:
        """Since when the finding is made."""
        self._since = {key: times for key, times in self._since.items() if now_s - times[1] <= FORGOTTEN_S}
        key = (finding.cause, finding.subject)
        since_s, _ = self._since.get(key, (now_s, now_s))
        self._since[key] = (since_s, now_s)
        return since_s
