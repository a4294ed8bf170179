"""When a worker on this machine has been silent for too long, from what was last heard of it and what time it is.

A worker that has loaded holds a lease: it is pinged every third of it and must answer before it ends, in the middle of
a step, too. So a process that is stopped, or gets no time, is found long before `step_timeout_s`, which is there for
one that answers and makes no step.
"""

from dataclasses import dataclass
from enum import Enum, auto

from heliograph.domain.events import LossReason


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLimits:
    """How long to wait for a worker, in seconds, and how much memory it may hold.

    `step_timeout_s` is the longest silence within a run whose own limit is not known yet; the time in which our own
    side does not listen does not count.
    Beyond `lease_s` without an answer a worker has lost its lease. `memory_bytes_max` is resident memory. The worker is
    looked at every `poll_interval_s`, and condemned for silence only in two looks running.
    """

    load_timeout_s: float = 120.0
    step_timeout_s: float = 60.0
    abort_grace_s: float = 2.0
    stop_grace_s: float = 2.0
    lease_s: float = 10.0
    poll_interval_s: float = 0.2
    memory_bytes_max: int = 2 * 1024**3

    @property
    def ping_interval_s(self) -> float:
        """Time from one sign of life to the next question for one."""
        return self.lease_s / 3


class Phase(Enum):
    """What a worker is doing."""

    LOADING = auto()
    IDLE = auto()
    RUNNING = auto()
    STOPPING = auto()


@dataclass(slots=True, kw_only=True)
class Vitals:
    """What is known of a worker's health. Times are seconds of one monotonic clock.

    `heard_s`: the last progress, or the last command that calls for some. `alive_s`: the last frame of any kind.
    `abort_s`: when the run was told to abort. `ping_s`: when an unanswered ping was sent. `stall_limit_s`: how long
    this run may go without a step, where that has been learned.
    """

    phase: Phase = Phase.LOADING
    heard_s: float
    alive_s: float
    abort_s: float | None = None
    ping_s: float | None = None
    stall_limit_s: float | None = None


def is_ping_due(vitals: Vitals, limits: LocalLimits, now_s: float) -> bool:
    """The worker should be asked for a sign of life."""
    is_loaded = vitals.phase in (Phase.IDLE, Phase.RUNNING)
    return is_loaded and vitals.ping_s is None and now_s - vitals.alive_s > limits.ping_interval_s


def judge(vitals: Vitals, limits: LocalLimits, now_s: float) -> tuple[LossReason, str] | None:
    """Why a worker must be killed for its silence, or None while it has time left."""
    silence_s = now_s - vitals.heard_s
    if vitals.phase is Phase.LOADING and silence_s > limits.load_timeout_s:
        return LossReason.LOAD_FAILED, f"the model was not loaded within {limits.load_timeout_s:g} s"
    step_timeout_s = limits.step_timeout_s if vitals.stall_limit_s is None else vitals.stall_limit_s
    if vitals.phase is Phase.RUNNING and silence_s > step_timeout_s:
        return LossReason.SILENT, f"no step for {step_timeout_s:.3g} s"
    if vitals.abort_s is not None and now_s - vitals.abort_s > limits.abort_grace_s:
        return LossReason.SILENT, f"the run did not stop within {limits.abort_grace_s:g} s"
    if vitals.ping_s is not None and now_s - vitals.ping_s > limits.lease_s - limits.ping_interval_s:
        return LossReason.SILENT, f"no sign of life for {limits.lease_s:g} s"
    if vitals.phase is Phase.STOPPING and silence_s > limits.stop_grace_s:
        return LossReason.SILENT, f"the process did not end within {limits.stop_grace_s:g} s"
    return None
