"""Workers and GPUs that should not be trusted for now, from how their runs end.

One failure says little: most are the job's. A worker whose runs fail for `FAILED_JOBS_MAX` different jobs in a row is
another matter (weights that were damaged in memory, a heap in pieces, a library in a bad state): it is replaced. One
that names its weights or its device as the reason is replaced at once.

A GPU whose driver was lost gets a fresh process, which is what usually helps. Lost again within `LOSSES_FORGIVEN_S`, it
rests: nothing is loaded on it for `REST_S`, then for twice as long each time, `REST_S_MAX` at most. A run that succeeds
on it clears it. A job that brings a GPU's driver down wherever it runs ends after its attempts, so that it cannot put a
whole fleet to rest: a loss counts once per job.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from heliograph.domain.errors import EngineErrorKind
from heliograph.domain.ids import GpuId, JobId, WorkerId

FAILED_JOBS_MAX = 3
LOSSES_FORGIVEN_S = 3_600.0
REST_S = 30.0
REST_S_MAX = 1_800.0

_REPLACED_AT_ONCE = {
    EngineErrorKind.BAD_WEIGHTS: "its weights are damaged",
    EngineErrorKind.DEVICE_LOST: "its GPU's driver was lost",
}
_THE_CALLERS = frozenset({EngineErrorKind.BAD_INPUT, EngineErrorKind.UNSUPPORTED_PARAMETER})
"""These say nothing of the worker."""


@dataclass(slots=True)
class _Losses:
    """How often in a row a GPU's driver was lost, and until when it rests; times in seconds since the epoch."""

    number: int = 0
    last_s: float = 0.0
    rests_until_s: float = 0.0


@dataclass(slots=True)
class Health:
    """What is held against workers and GPUs."""

    _failed_jobs: dict[WorkerId, set[JobId]] = field(default_factory=dict[WorkerId, set[JobId]])
    _losses: dict[GpuId, _Losses] = field(default_factory=dict[GpuId, _Losses])
    _blamed: set[JobId] = field(default_factory=set[JobId])

    def succeeded(self, worker_id: WorkerId, gpu_ids: Iterable[GpuId]) -> None:
        """A run ended well."""
        self._failed_jobs.pop(worker_id, None)
        if self._losses:
            for gpu_id in gpu_ids:
                self._losses.pop(gpu_id, None)

    def failed(
        self, worker_id: WorkerId, gpu_ids: Iterable[GpuId], job_id: JobId, kind: EngineErrorKind, *, now_s: float
    ) -> str | None:
        """A run failed; returns why the worker is to be replaced, or None where it may go on."""
        if kind in _THE_CALLERS:
            return None
        if kind is EngineErrorKind.DEVICE_LOST:
            for gpu_id in gpu_ids:
                self._lose(gpu_id, job_id, now_s)
        if kind in _REPLACED_AT_ONCE:
            return _REPLACED_AT_ONCE[kind]
        jobs = self._failed_jobs.setdefault(worker_id, set())
        jobs.add(job_id)
        return f"it failed {len(jobs)} jobs in a row" if len(jobs) >= FAILED_JOBS_MAX else None

    def _lose(self, gpu_id: GpuId, job_id: JobId, now_s: float) -> None:
        losses = self._losses.setdefault(gpu_id, _Losses())
        if job_id in self._blamed:
            return  # it has brought one down before: that says more of the job than of this GPU
        self._blamed.add(job_id)
        if now_s - losses.last_s > LOSSES_FORGIVEN_S:
            losses.number = 0
        losses.number += 1
        losses.last_s = now_s
        if losses.number > 1:
            losses.rests_until_s = now_s + min(REST_S * 2.0 ** min(losses.number - 2, 30), REST_S_MAX)

    def forget_worker(self, worker_id: WorkerId) -> None:
        """The worker is gone."""
        self._failed_jobs.pop(worker_id, None)

    def forget_job(self, job_id: JobId) -> None:
        """The job has ended."""
        self._blamed.discard(job_id)

    def resting(self, *, now_s: float) -> Collection[GpuId]:
        """GPUs on which nothing is loaded for now."""
        if not self._losses:
            return ()
        return frozenset(gpu_id for gpu_id, losses in self._losses.items() if losses.rests_until_s > now_s)

    def clock_set_back(self, *, now_s: float) -> None:
        """No loss lies in the future, and no GPU rests for longer than the longest rest."""
        for losses in self._losses.values():
            losses.last_s = min(losses.last_s, now_s)
            losses.rests_until_s = min(losses.rests_until_s, now_s + REST_S_MAX)
