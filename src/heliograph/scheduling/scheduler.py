"""The scheduler: one state machine for jobs and workers. Events in, commands out; no I/O, no clock, no chance.

Theory of operation. An open job is in exactly one place: a waiting line (`PendingLine`, one per model), the back-off
heap, a worker, or post-processing. A worker holds at most one run, named by (job, attempt). Every message about a run
carries that pair: it frees the worker that holds the pair, and it moves the job only while the pair is still the job's
current attempt. So late, repeated and reordered messages change nothing, and a worker that is still busy with a
cancelled job is simply not free yet.

Order of commands within one `handle`: a job's `RecordJob` comes before whatever acts on it. The pipeline makes all
records of a batch durable before it carries the rest out.

Bounds: `pending_max` jobs wait (beyond it a new one gets `RefuseJob`; what was accepted is always taken back),
`post_processing_max` finished jobs are held in memory (beyond it nothing is dispatched), `attempts_max` failed attempts
end a job, `reseeds_max` gate rejections end a job. Cost per event is O(log n) in the number of open jobs and linear in
workers and models. When the time of thousands of jobs comes at once (deadlines, back-off, a model that cannot be
loaded), `OVERDUE_MAX` are dealt with per event and the rest with the events that follow; while `is_behind`, whoever
drives the scheduler lets the next tick come soon.
"""

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from heliograph.domain.commands import (
    AbortRun,
    Command,
    Dispatch,
    PauseRun,
    PostProcess,
    RecordJob,
    RefuseJob,
    SaveJob,
    StopReplica,
)
from heliograph.domain.errors import RETRYABLE_ENGINE_ERRORS, EngineErrorKind
from heliograph.domain.events import (
    CancelRequested,
    CheckpointKept,
    ClockTicked,
    DrainRequested,
    Event,
    GateRejected,
    GpuArrived,
    GpuGone,
    GpuNotice,
    HaltsSet,
    ImagesReady,
    JobRecovered,
    JobSubmitted,
    LossReason,
    OutputsStored,
    PostProcessingFailed,
    ReplicaRequested,
    ReplicaStopRequested,
    RunAborted,
    RunFailed,
    RunPaused,
    RunStarted,
    StepDone,
    SubmissionAbandoned,
    WeightsProgressed,
    WorkerLost,
    WorkerReady,
)
from heliograph.domain.ids import GpuId, JobId, ModelId, WorkerId
from heliograph.domain.job import ON_WORKER, Attempt, AttemptOutcome, Failure, Job, JobState
from heliograph.domain.model_card import ModelCard
from heliograph.domain.orders import Halt, Orders
from heliograph.domain.pictures import Decision
from heliograph.domain.request import SEED_MAX, GenerationRequest, Inputs
from heliograph.domain.run import RunInputs, RunOrder
from heliograph.domain.tiers import Tier
from heliograph.domain.views import (
    FleetView,
    Gpu,
    JobView,
    Market,
    ModelQueue,
    Phase,
    QueueView,
    ReplicaState,
    ReplicaView,
)
from heliograph.domain.weights import Fetching
from heliograph.scheduling.admission import Forecast, refusal, too_large
from heliograph.scheduling.census import Count, held_back
from heliograph.scheduling.eta import Promise, Situation, Trust, situation_of
from heliograph.scheduling.fairness import Held, Place
from heliograph.scheduling.health import Health
from heliograph.scheduling.memory import RunMemory
from heliograph.scheduling.pending import LOOKED_AT_MAX, PendingLine, choose_among
from heliograph.scheduling.policy import SchedulerPolicy
from heliograph.scheduling.preemption import Pausable, makes_way, rest_s_min
from heliograph.scheduling.priority import place_of
from heliograph.scheduling.profiles import RUN_S_UNKNOWN, Profiles
from heliograph.scheduling.ranking import Ranking
from heliograph.scheduling.stalls import Stalls

RESEED_STRIDE = 10_007
"""Distance between the seeds of two tries: far enough that the pictures of a batch never meet."""

DEADLINES_KEPT = 1_000
"""Deadlines of jobs that have ended are forgotten once there are this many more than twice the open jobs."""

OVERDUE_MAX = 24
"""Jobs whose time has come that are dealt with per event."""

TICK_S_MAX = 60.0
"""More than this from one tick to the next is a machine that slept or a clock that jumped; no run is blamed for it."""

PROMISES_EVERY = 8
"""While many wait, the promise to every eighth newcomer is enough to learn from."""

BEREFT_S = 60.0
"""For so long a GPU that lost a replica in the middle of a run counts as one that should have it again."""

SERVING = frozenset({ReplicaState.READY, ReplicaState.BUSY})
"""A worker in one of these holds its model."""

Run = tuple[JobId, int]


@dataclass(slots=True)
class _Open:
    """An open job and what is known of it only here."""

    job: Job
    estimate_s: float
    worker_id: WorkerId | None = None
    dispatched_at_s: float = 0.0
    dispatched_lived_s: float = 0.0
    succeeded: Attempt | None = None
    step: int = 0
    steps: int = 0
    step_at_s: float = 0.0
    first_step: int = 0
    silence_s: float = 0.0
    pauses: int = 0
    is_paused: bool = False
    memory_floor_bytes: int = 0
    promises: tuple[Promise, ...] = ()
    length_ticket: int = 0


@dataclass(slots=True)
class _Worker:
    worker_id: WorkerId
    gpu: Gpu
    model_id: ModelId
    state: ReplicaState
    since_s: float
    run: Run | None = None
    loaded_at_s: float | None = None
    can_resume: bool = False
    is_pausing: bool = False
    is_overdue: bool = False
    pauses_for: JobId | None = None
    more_gpu_ids: tuple[GpuId, ...] = ()
    held_bytes: int = 0
    fetching: Fetching | None = None
    view: ReplicaView | None = None

    @property
    def gpu_ids(self) -> tuple[GpuId, ...]:
        """Every GPU it holds."""
        return (self.gpu.gpu_id, *self.more_gpu_ids)

    def enter(self, state: ReplicaState, now_s: float) -> None:
        """It is in this state from now on."""
        self.state, self.since_s, self.view, self.fetching = state, now_s, None, None

    def holds(self, run: Run | None) -> None:
        """It has this run, or none."""
        self.run, self.view = run, None

    def viewed(self) -> ReplicaView:
        """As others see it; made once per change."""
        if self.view is None:
            self.view = ReplicaView(
                worker_id=self.worker_id,
                gpu_id=self.gpu.gpu_id,
                model_id=self.model_id,
                state=self.state,
                since_s=self.since_s,
                job_id=self.run[0] if self.run is not None else None,
                loaded_at_s=self.loaded_at_s,
                more_gpu_ids=self.more_gpu_ids,
                fetching=self.fetching,
            )
        return self.view


class Scheduler:
    """Owns every open job and every worker. One task calls it; nobody else may."""

    def __init__(
        self, *, gpus: Iterable[Gpu], policy: SchedulerPolicy, profiles: Profiles, memory: RunMemory | None = None
    ) -> None:
        self._gpus: dict[GpuId, Gpu] = {gpu.gpu_id: gpu for gpu in gpus}
        self._bereft: dict[GpuId, tuple[ModelId, float]] = {}
        self._policy = policy
        self._profiles = profiles
        self._open: dict[JobId, _Open] = {}
        self._workers: dict[WorkerId, _Worker] = {}
        self._leaving: dict[GpuId, float] = {}
        self._off_spot = frozenset(Tier) - policy.spot_tiers
        self._on_gpu: dict[GpuId, list[_Worker]] = {}
        self._of_model: dict[ModelId, list[_Worker]] = {}
        self._runs: dict[Run, WorkerId] = {}
        self._lines: dict[ModelId, PendingLine] = {}
        self._delayed: list[tuple[float, int, JobId]] = []
        self._deadlines: list[tuple[float, int, JobId]] = []
        self._dooms: list[tuple[float, int, JobId]] = []
        self._given_up: deque[JobId] = deque()
        self._is_behind = False
        self._pending = Count()
        self._running = Count()
        self._longest_runs: Ranking[_Open] = Ranking()
        self._is_hold_over = False
        self._load_failures: Counter[ModelId] = Counter()
        self._load_failed_at_s: dict[ModelId, float] = {}
        self._post_processing = 0
        self._is_draining = False
        self._orders = Orders()
        self._ticked_at_s = float("-inf")
        self._lived_s = 0.0
        self._trust = Trust()
        self._health = Health()
        self._stalls = Stalls()
        self._memory = RunMemory() if memory is None else memory

    # --- events ------------------------------------------------------------------------------------------------------

    def handle(self, event: Event, *, now_s: float) -> list[Command]:
        """Fold one event into the state and return what should happen next, in order."""
        commands = self._fold(event, now_s)
        if self._is_behind and not isinstance(event, ClockTicked):
            commands += self._catch_up(now_s)
        if self._is_hold_over:
            self._is_hold_over = False
            for model_id in self._lines:
                commands += self._fill(model_id, now_s)
        return commands

    def _fold(self, event: Event, now_s: float) -> list[Command]:
        match event:  # the commonest first: each case costs a look
            case StepDone():
                return self._note_step(event, now_s)
            case JobSubmitted(job=job):
                return self._admit(job, now_s)
            case RunStarted(job_id=job_id, attempt=attempt):
                return self._start_running(job_id, attempt, now_s)
            case ImagesReady():
                return self._images_ready(event, now_s)
            case OutputsStored():
                return self._complete(event, now_s)
            case ClockTicked():
                return self._tick(now_s)
            case JobRecovered(job=job):
                return self._recover(job, now_s)
            case SubmissionAbandoned(job_id=job_id):
                return self._abandon(job_id, now_s)
            case CancelRequested(job_id=job_id):
                return self._end_early(job_id, JobState.CANCELLED, "cancelled", "Cancelled on request.", now_s)
            case ReplicaRequested():
                return self._expect_worker(event, now_s)
            case ReplicaStopRequested(worker_id=worker_id, reason=reason):
                return self._stop_worker(worker_id, reason, now_s)
            case WeightsProgressed(worker_id=worker_id, fetching=fetching):
                return self._note_fetching(worker_id, fetching, now_s)
            case WorkerReady():
                return self._welcome(event, now_s)
            case WorkerLost():
                return self._lose(event, now_s)
            case CheckpointKept():
                return self._checkpoint_kept(event)
            case RunFailed():
                return self._run_failed(event, now_s)
            case RunAborted(job_id=job_id, attempt=attempt):
                return self._run_aborted(job_id, attempt, now_s)
            case RunPaused():
                return self._run_paused(event, now_s)
            case GateRejected():
                return self._gate_rejected(event, now_s)
            case PostProcessingFailed():
                return self._post_processing_failed(event, now_s)
            case GpuArrived(gpu=gpu):
                self._gpus.setdefault(gpu.gpu_id, gpu)
                return []
            case GpuNotice(gpu_id=gpu_id, leaves_at_s=leaves_at_s):
                return self._give_notice(gpu_id, leaves_at_s, now_s)
            case GpuGone(gpu_id=gpu_id):
                return self._lose_gpu(gpu_id, now_s)
            case DrainRequested():
                self._is_draining = True
                return []
            case HaltsSet(halts=halts):
                return self._halt(halts, now_s)
            case _:
                assert_never(event)

    def _admit(self, job: Job, now_s: float) -> list[Command]:
        if job.job_id in self._open:
            return []
        if self._is_hopeless(job.request, now_s):
            return [RefuseJob(job_id=job.job_id, error=too_large(job.request))]
        overload = refusal(
            job,
            pending=self._pending,
            forecast=lambda: self._forecast(job, now_s),
            policy=self._policy,
            now_s=now_s,
        )
        if overload is not None:
            return [RefuseJob(job_id=job.job_id, error=overload)]
        job = job.submitted(now_s=now_s)
        entry = self._enter(job)
        commands = [RecordJob(job=job, cause="submitted"), *self._wait(entry, now_s)]
        is_long = self._pending.total > LOOKED_AT_MAX
        if entry.job.state is JobState.PENDING and not (is_long and job.sequence % PROMISES_EVERY):
            self._promise(entry, now_s)
        return commands

    def _promise(self, entry: _Open, now_s: float) -> None:
        """Remember what is promised now, to learn from how it turns out."""
        if self._is_halted(entry.job.request.model_id):
            return
        situation, eta_s = self._eta(entry, now_s)
        entry.promises = (*entry.promises, Promise(situation=situation, eta_s=eta_s, at_s=now_s))

    def _forecast(self, job: Job, now_s: float) -> Forecast:
        """What awaits the new job."""
        model_id, request = job.request.model_id, job.request
        line = self._lines.get(model_id)
        running_s, replicas = self._running_work(model_id)
        servers = max(replicas, 1)
        backlog_s = ((line.total_s if line is not None else 0.0) + running_s) / servers
        if not self._profiles.is_known(request):
            return Forecast(backlog_s=backlog_s)
        place = self._place_in_line(job, self._profiles.run_s(request))
        begins_s = self._worker_free_in_s(model_id, now_s)
        ahead_s = line.ahead_of_newcomer_s(place) if line is not None else 0.0
        firm_s = line.firm_s(place) if line is not None else 0.0
        return Forecast(
            backlog_s=backlog_s,
            wait_s=(ahead_s + running_s) / servers + (0.0 if self._is_loaded(model_id) else begins_s),
            earliest_start_s=begins_s + firm_s / servers,
            shortest_run_s=self._policy.doomed_fraction * place.estimate_s + self._profiles.finish_s(model_id),
        )

    def _worker_free_in_s(self, model_id: ModelId, now_s: float) -> float:
        """Expected seconds until the first worker of the model is free; a load that is not under way begins now."""
        load_s = self._profiles.load_s(model_id)
        free_in_s = [
            self._free_in_s(worker, load_s, now_s)
            for worker in self._of_model.get(model_id, ())
            if worker.state is not ReplicaState.STOPPING
        ]
        return min(free_in_s, default=load_s)

    def _free_in_s(self, worker: _Worker, load_s: float, now_s: float) -> float:
        if worker.state is ReplicaState.LOADING:
            fetch_s = 0.0 if worker.fetching is None else worker.fetching.left_s or 0.0
            return max(fetch_s + load_s - (now_s - worker.since_s), 0.0)
        entry = self._running_on(worker)
        return 0.0 if entry is None else self._rest_s(entry, now_s)

    def _recover(self, job: Job, now_s: float) -> list[Command]:
        if job.job_id in self._open or job.state.is_terminal:
            return []
        # The wall clock may have been set back since: nobody waits longer than the longest back-off.
        latest_s = now_s + max(self._policy.backoff_s, default=0.0)
        if job.not_before_s > latest_s:
            job = replace(job, not_before_s=latest_s)
        if job.state is JobState.PENDING:
            return self._wait(self._enter(job), now_s)
        lost = None
        if job.state in ON_WORKER:
            nowhere = GpuId("unknown")
            lost = Attempt(
                job_id=job.job_id,
                number=job.attempt,
                worker_id=WorkerId("unknown"),
                gpu_id=nowhere,
                gpu_class="unknown",
                model_id=job.request.model_id,
                dispatched_at_s=max(moment.at_s for moment in job.timeline if moment.state is JobState.DISPATCHED),
                ended_at_s=now_s,
                gpu_s=0.0,
                outcome=AttemptOutcome.SERVER_LOST,
            )
        entry = self._enter(job.moved(JobState.PENDING, now_s=now_s))
        record = RecordJob(job=entry.job, cause="server_restarted", ended_attempt=lost)
        return [record, *self._wait(entry, now_s)]

    def _abandon(self, job_id: JobId, now_s: float) -> list[Command]:
        """Forget the job and free the worker that was to run it, though the job may have ended: neither was told."""
        entry = self._open.get(job_id)
        if entry is not None:
            self._leave(entry)
        untold = [run for run in self._runs if run[0] == job_id]
        return [command for run in untold for command in self._free(run, now_s)]

    def _expect_worker(self, event: ReplicaRequested, now_s: float) -> list[Command]:
        is_there = all(gpu_id in self._gpus for gpu_id in (event.gpu_id, *event.more_gpu_ids))
        if event.worker_id not in self._workers and is_there:
            worker = _Worker(
                worker_id=event.worker_id,
                gpu=self._gpus[event.gpu_id],
                model_id=event.model_id,
                state=ReplicaState.LOADING,
                since_s=now_s,
                more_gpu_ids=event.more_gpu_ids,
            )
            self._workers[event.worker_id] = worker
            self._of_model.setdefault(worker.model_id, []).append(worker)
            for gpu_id in worker.gpu_ids:
                self._on_gpu.setdefault(gpu_id, []).append(worker)
                self._bereft.pop(gpu_id, None)
        return []

    def _stop_worker(self, worker_id: WorkerId, reason: str, now_s: float) -> list[Command]:
        worker = self._workers.get(worker_id)
        if worker is None or worker.state is ReplicaState.STOPPING:
            return []
        worker.enter(ReplicaState.STOPPING, now_s)
        return [StopReplica(worker_id=worker_id, reason=reason)] if worker.run is None else []

    def _note_fetching(self, worker_id: WorkerId, fetching: Fetching, now_s: float) -> list[Command]:
        """The load itself begins when the last byte is here, and counts from then on."""
        worker = self._workers.get(worker_id)
        if worker is not None and worker.state is ReplicaState.LOADING:
            is_here = fetching.done_bytes >= fetching.total_bytes
            worker.fetching, worker.since_s, worker.view = None if is_here else fetching, now_s, None
        return []

    def _welcome(self, event: WorkerReady, now_s: float) -> list[Command]:
        worker = self._workers.get(event.worker_id)
        if worker is None or worker.state is not ReplicaState.LOADING:
            return []
        worker.enter(ReplicaState.READY, now_s)
        worker.loaded_at_s, worker.can_resume, worker.held_bytes = now_s, event.can_resume, event.memory_bytes
        self._memory.loaded(worker.model_id, worker.gpu.gpu_class, event.memory_bytes)
        self._profiles.observe_load(worker.model_id, event.load_s)
        self._load_failures[worker.model_id] = 0
        halt = self._halt_of(worker)
        if halt is not None and halt.is_drain:
            return self._stop_worker(worker.worker_id, _UNLOADED, now_s)
        return self._fill(worker.model_id, now_s)

    def _lose(self, event: WorkerLost, now_s: float) -> list[Command]:
        worker = self._workers.pop(event.worker_id, None)
        if worker is None:
            return []
        self._of_model[worker.model_id].remove(worker)
        for gpu_id in worker.gpu_ids:
            self._on_gpu[gpu_id].remove(worker)
        return [*self._lose_worker(worker, event, now_s), *self._fill_gpus(worker, now_s)]

    def _lose_worker(self, worker: _Worker, event: WorkerLost, now_s: float) -> list[Command]:
        is_our_doing = event.reason in (LossReason.STOPPED, LossReason.RECLAIMED)
        self._health.forget_worker(worker.worker_id)
        if worker.state is ReplicaState.LOADING and not is_our_doing:
            self._load_failures[worker.model_id] += 1
            if event.reason is LossReason.BAD_WEIGHTS:  # they will be no better the next time
                failures = max(self._load_failures[worker.model_id], self._policy.load_failures_max)
                self._load_failures[worker.model_id] = failures
            self._load_failed_at_s[worker.model_id] = now_s
            if self._load_failures[worker.model_id] >= self._policy.load_failures_max:
                self._give_up_on(worker.model_id)
        if worker.run is None:
            return []
        run = worker.run
        worker.holds(None)
        self._runs.pop(run, None)
        if not is_our_doing:
            self._bereave(worker, now_s)
        entry = self._current(*run, *ON_WORKER)
        if entry is None:
            return []
        ended = self._ended_attempt(entry, worker, AttemptOutcome.WORKER_LOST, now_s)
        if event.reason is LossReason.RECLAIMED:
            return self._requeue(entry, "gpu_reclaimed", now_s, ended, delay_s=0.0)
        is_stuck = entry.first_step > 0 and entry.step <= entry.first_step
        if is_stuck and entry.job.failures + 2 >= self._policy.attempts_max:
            entry.job = entry.job.starting_afresh()  # the last attempt does not rely on what no run got past
        cause = "worker_lost"
        if event.reason is LossReason.OUT_OF_MEMORY:
            cause = "out_of_memory"
            self._spare_memory(entry, worker, now_s)
        return self._retry_or_fail(entry, cause, _LOSS_IN_WORDS[event.reason], now_s, ended)

    def _bereave(self, worker: _Worker, now_s: float) -> None:
        """The worker goes through a fault in the middle of its work: had it lived, it would have stayed."""
        if not worker.more_gpu_ids and worker.gpu.gpu_id in self._gpus:
            self._bereft[worker.gpu.gpu_id] = (worker.model_id, now_s)

    def _give_notice(self, gpu_id: GpuId, leaves_at_s: float, now_s: float) -> list[Command]:
        """Clear the GPU: what is idle stops, what would not end in time pauses, the rest may finish."""
        if gpu_id not in self._gpus or gpu_id in self._leaving:
            return []
        self._leaving[gpu_id] = leaves_at_s
        commands: list[Command] = []
        for worker in self._on_gpu.get(gpu_id, ()):
            entry = self._running_on(worker)
            commands += self._stop_worker(worker.worker_id, "its GPU will be taken back", now_s)
            if entry is None or not worker.can_resume or worker.is_pausing:
                continue
            if now_s + self._rest_of(entry, now_s).estimate_s > leaves_at_s:
                commands += self._pause(worker, None)
        return commands

    def _halt(self, halts: tuple[Halt, ...], now_s: float) -> list[Command]:
        """What is halted now pauses or finishes, and is unloaded where the halt says so; what is not goes on."""
        if halts == self._orders.halts:
            return []
        self._orders = Orders(halts=halts)
        for entry in self._open.values():
            entry.promises = ()  # nothing is to be learned of how long a halt lasts
        commands: list[Command] = []
        for worker in self._workers.values():
            halt = self._halt_of(worker)
            if halt is None:
                continue
            entry = self._running_on(worker)
            if halt.is_drain:
                commands += self._stop_worker(worker.worker_id, _UNLOADED, now_s)
            if entry is not None and worker.can_resume and not worker.is_pausing and not halt.lets_finish:
                commands += self._pause(worker, None)
        for model_id in self._lines:
            commands += [*self._fill(model_id, now_s), *self._preempt(model_id, now_s)]
        return commands

    def _halt_of(self, worker: _Worker) -> Halt | None:
        return self._orders.halt_of(worker.model_id, worker.gpu.gpu_class) if self._orders.halts else None

    def _is_halted(self, model_id: ModelId) -> bool:
        """The model runs nowhere now, by the operator's order."""
        return bool(self._orders.halts) and self._orders.halt_of(model_id) is not None

    def _lose_gpu(self, gpu_id: GpuId, now_s: float) -> list[Command]:
        """The GPU is gone: every worker on it is lost, through no fault of its job."""
        self._leaving.pop(gpu_id, None)
        self._gpus.pop(gpu_id, None)
        self._bereft.pop(gpu_id, None)
        return [
            command
            for worker in tuple(self._on_gpu.get(gpu_id, ()))
            for command in self._lose(WorkerLost(worker_id=worker.worker_id, reason=LossReason.RECLAIMED), now_s)
        ]

    def _give_up_on(self, model_id: ModelId) -> None:
        """The model cannot be loaded: fail everybody who waits for it, rather than let them wait for nothing.

        While another replica of it is left, they wait for something.
        """
        if self._states_of(model_id) - {ReplicaState.STOPPING}:
            return
        line = self._lines.get(model_id)
        waiting = line.job_ids() if line is not None else ()
        delayed = [
            job_id
            for _, _, job_id in sorted(self._delayed)
            if self._is_delayed(job_id) and self._open[job_id].job.request.model_id == model_id
        ]
        self._given_up.extend((*waiting, *delayed))
        self._is_behind |= bool(self._given_up)

    def _fail_given_up(self, job_id: JobId, now_s: float) -> list[Command]:
        """The job waits for a model that cannot be loaded, unless it has ended or the model has a replica since."""
        entry = self._open.get(job_id)
        if entry is None or entry.job.state is not JobState.PENDING:
            return []
        model_id = entry.job.request.model_id
        if self._states_of(model_id) - {ReplicaState.STOPPING}:
            return []
        message = f"The model {model_id} could not be loaded; choose another model or tell the operator."
        return self._end(entry, JobState.FAILED, "model_load_failed", message, now_s)

    def _start_running(self, job_id: JobId, attempt: int, now_s: float) -> list[Command]:
        entry = self._current(job_id, attempt, JobState.DISPATCHED)
        if entry is None:
            return []
        entry.job = entry.job.moved(JobState.RUNNING, now_s=now_s)
        entry.step_at_s = now_s
        return [RecordJob(job=entry.job, cause="started", must_wait=False)]

    def _note_step(self, event: StepDone, now_s: float) -> list[Command]:
        entry = self._current(event.job_id, event.attempt, JobState.RUNNING)
        if entry is not None and event.step > entry.step:
            entry.silence_s = max(entry.silence_s, now_s - entry.step_at_s)
            entry.step, entry.steps, entry.step_at_s = event.step, event.steps, now_s
        return []

    def _checkpoint_kept(self, event: CheckpointKept) -> list[Command]:
        entry = self._current(event.job_id, event.attempt, JobState.RUNNING)
        if entry is None or event.step <= entry.job.steps_done:
            return []
        entry.job = replace(entry.job, checkpoint=event.checkpoint, steps_done=event.step)
        return [SaveJob(job=entry.job)]

    def _images_ready(self, event: ImagesReady, now_s: float) -> list[Command]:
        run = (event.job_id, event.attempt)
        worker = self._worker_of(run)
        started = self._start_running(event.job_id, event.attempt, now_s)
        entry = self._current(event.job_id, event.attempt, JobState.RUNNING)
        if entry is None or worker is None:
            return self._free(run, now_s)
        self._health.succeeded(worker.worker_id, worker.gpu_ids)
        silence_s = max(entry.silence_s, now_s - entry.step_at_s)
        self._stalls.observe(entry.job.request, worker.gpu.gpu_class, silence_s)
        if not worker.more_gpu_ids:
            self._memory.observe(
                entry.job.request,
                worker.gpu.gpu_class,
                peak_bytes=event.peak_bytes,
                free_bytes=self._free_bytes(worker),
                spares=entry.job.spares_memory,
            )
        if not entry.first_step:
            self._profiles.observe_run(entry.job.request, event.run_s, worker.gpu.gpu_class)
        ended = self._ended_attempt(entry, worker, AttemptOutcome.SUCCEEDED, now_s)
        entry.job = entry.job.moved(JobState.POST_PROCESSING, now_s=now_s)
        entry.worker_id, entry.succeeded = None, ended
        self._post_processing += 1
        self._count_run_out(entry)
        record = RecordJob(job=entry.job, cause="images_ready", ended_attempt=ended, must_wait=False)
        return [*started, record, PostProcess(job=entry.job), *self._free(run, now_s)]

    def _run_failed(self, event: RunFailed, now_s: float) -> list[Command]:
        run = (event.job_id, event.attempt)
        worker = self._worker_of(run)
        if worker is not None and worker.state is not ReplicaState.STOPPING:
            why = self._health.failed(worker.worker_id, worker.gpu_ids, event.job_id, event.kind, now_s=now_s)
            if why is not None:
                worker.enter(ReplicaState.STOPPING, now_s)  # freed now, it ends
                self._bereave(worker, now_s)
        freed = self._free(run, now_s)
        entry = self._current(event.job_id, event.attempt, *ON_WORKER)
        if entry is None or worker is None:
            return freed
        ended = self._ended_attempt(entry, worker, AttemptOutcome.ENGINE_FAILED, now_s)
        cause = f"engine_{event.kind.value}"
        if event.kind not in _KEEPS_CHECKPOINT:
            entry.job = entry.job.starting_afresh()
        if event.kind not in RETRYABLE_ENGINE_ERRORS:
            return [*self._end(entry, JobState.FAILED, cause, event.message, now_s, ended), *freed]
        if event.kind is EngineErrorKind.BAD_CHECKPOINT and entry.first_step:
            return [*self._requeue(entry, cause, now_s, ended, delay_s=0.0), *freed]
        if event.kind is EngineErrorKind.OUT_OF_MEMORY:
            self._spare_memory(entry, worker, now_s)
        if event.kind is EngineErrorKind.NAN:
            entry.job = replace(entry.job, reseeds=entry.job.reseeds + 1)
        return [*self._retry_or_fail(entry, cause, event.message, now_s, ended), *freed]

    def _spare_memory(self, entry: _Open, worker: _Worker, now_s: float) -> None:
        """The next attempts do with less memory, and on a larger GPU where a worker of their model is there."""
        if not worker.more_gpu_ids:
            self._memory.ran_out(
                entry.job.request,
                worker.gpu.gpu_class,
                job_id=entry.job.job_id,
                free_bytes=self._free_bytes(worker),
                spares=entry.job.spares_memory,
                now_s=now_s,
            )
        entry.job = replace(entry.job, spares_memory=True)
        entry.memory_floor_bytes = max(entry.memory_floor_bytes, worker.gpu.memory_bytes)

    def _run_aborted(self, job_id: JobId, attempt: int, now_s: float) -> list[Command]:
        """Frees the worker of a run that was called off; one that nobody called off is a failure of the engine.

        A run that was to pause and was aborted instead left nothing to take up: it begins again, through no fault.
        """
        worker = self._worker_of((job_id, attempt))
        if worker is not None and worker.is_pausing:
            return self._run_paused(RunPaused(job_id=job_id, attempt=attempt, step=0, checkpoint=""), now_s)
        kind, message = EngineErrorKind.INTERNAL, "The worker stopped without being told to."
        if worker is not None and worker.is_overdue:
            kind, message = EngineErrorKind.TIMEOUT, "The run took many times as long as such runs take."
        return self._run_failed(RunFailed(job_id=job_id, attempt=attempt, kind=kind, message=message), now_s)

    def _run_paused(self, event: RunPaused, now_s: float) -> list[Command]:
        """The run goes back in line with what it has done; its worker takes whom it made way for."""
        run = (event.job_id, event.attempt)
        worker = self._worker_of(run)
        entry = self._current(event.job_id, event.attempt, *ON_WORKER)
        if worker is None or entry is None:
            return self._free(run, now_s)
        ended = self._ended_attempt(entry, worker, AttemptOutcome.PAUSED, now_s)
        if event.checkpoint:
            entry.job = replace(entry.job, checkpoint=event.checkpoint, steps_done=event.step)
        favoured = worker.pauses_for
        entry.pauses += favoured is not None
        stopped = self._let_go(worker, run, now_s)
        served = [] if favoured is None else self._serve_beside(worker, favoured, now_s)
        entry.is_paused = True
        requeued = self._requeue(entry, "paused", now_s, ended, delay_s=0.0)
        return [*requeued[:1], *stopped, *served, *requeued[1:], *self._fill_gpus(worker, now_s)]

    def _serve_beside(self, paused: _Worker, job_id: JobId, now_s: float) -> list[Command]:
        """Give the GPU of the paused worker to this job, if it still waits and may run."""
        entry = self._open.get(job_id)
        if entry is None or self._is_draining or self._post_processing >= self._policy.post_processing_max:
            return []
        line = self._lines.get(entry.job.request.model_id)
        if line is None or job_id not in line or self._held().holds(self._place_of(entry)):
            return []
        mates = [mate for gpu_id in paused.gpu_ids for mate in self._on_gpu.get(gpu_id, ())]
        for worker in mates:
            is_free = worker.state is ReplicaState.READY and not self._is_taken(worker)
            is_free = is_free and self._halt_of(worker) is None
            is_barred = worker.gpu.market is Market.SPOT and entry.job.tier in self._off_spot
            if is_free and not is_barred and worker.model_id == entry.job.request.model_id:
                self._charge_elsewhere(line.serve(job_id, now_s=now_s), worker, now_s)
                return self._dispatch(entry, worker, now_s)
        return []

    def _preempt(self, model_id: ModelId, now_s: float) -> list[Command]:
        """Pause a long run for whoever is next in the model's line, where there is reason to."""
        line = self._lines.get(model_id)
        if not line or self._is_draining or self._post_processing >= self._policy.post_processing_max:
            return []
        long_s = rest_s_min(0.0 if line.has_deadlines else line.shortest_s, self._policy)
        if not self._longest_runs or self._longest_runs.first.estimate_s < long_s:
            return []  # nothing on any worker is long enough to make way
        gpus = {
            worker.gpu.gpu_id
            for worker in self._of_model.get(model_id, ())
            if worker.state in SERVING and not worker.more_gpu_ids and self._halt_of(worker) is None
        }
        runs = self._pausable_on(gpus)
        if not any(self._rest_s(entry, now_s) >= long_s for _, entry in runs):
            return []
        job_id = line.choose(free_in_s=lambda: self._free_in([model_id], now_s), now_s=now_s, held=self._held())
        if job_id is None or any(mate.pauses_for == job_id for mate, _ in runs):
            return []
        newcomer = self._place_of(self._open[job_id])
        pausable = [
            Pausable(worker_id=mate.worker_id, rest=self._rest_of(entry, now_s), pauses=entry.pauses)
            for mate, entry in runs
            if not mate.is_pausing
        ]
        chosen = makes_way(newcomer, pausable, policy=self._policy, now_s=now_s)
        return [] if chosen is None else self._pause(self._workers[chosen], job_id)

    def _pausable_on(self, gpu_ids: Iterable[GpuId]) -> list[tuple[_Worker, _Open]]:
        """What runs on these GPUs and can be taken up again; what runs on several of them comes once."""
        runs: dict[WorkerId, tuple[_Worker, _Open]] = {}
        for gpu_id in gpu_ids:
            for mate in self._on_gpu[gpu_id]:
                if mate.can_resume and mate.state is ReplicaState.BUSY:
                    entry = self._running_on(mate)
                    if entry is not None:
                        runs[mate.worker_id] = (mate, entry)
        return list(runs.values())

    def _pause(self, worker: _Worker, favoured: JobId | None) -> list[Command]:
        assert worker.run is not None, f"worker {worker.worker_id} has nothing to pause"
        worker.is_pausing, worker.pauses_for = True, favoured
        job_id, attempt = worker.run
        return [PauseRun(worker_id=worker.worker_id, job_id=job_id, attempt=attempt)]

    def _complete(self, event: OutputsStored, now_s: float) -> list[Command]:
        entry = self._current(event.job_id, event.attempt, JobState.POST_PROCESSING)
        if entry is None:
            return []
        self._profiles.observe_finish(entry.job.request.model_id, now_s - entry.job.timeline[-1].at_s)
        for promise in entry.promises:
            self._trust.observe(promise, delivered_at_s=now_s)
        done = entry.job.moved(JobState.COMPLETED, now_s=now_s)
        self._leave(entry)
        record = RecordJob(job=done, cause="completed", charged_attempt=entry.succeeded, outputs=event.outputs)
        return [record, *self._fill(done.request.model_id, now_s)]

    def _gate_rejected(self, event: GateRejected, now_s: float) -> list[Command]:
        entry = self._current(event.job_id, event.attempt, JobState.POST_PROCESSING)
        if entry is None:
            return []
        reasons = ", ".join(event.verdict.reasons)
        if event.verdict.decision is Decision.REGENERATE and entry.job.reseeds < self._policy.reseeds_max:
            entry.job = replace(entry.job.starting_afresh(), reseeds=entry.job.reseeds + 1)
            return self._requeue(entry, "gate_regenerate", now_s, None, delay_s=0.0)
        if event.verdict.safety is not None:
            message = "The safety check takes the picture for sexual content; another seed or prompt may do. POST "
            message += f"/v1/jobs/{event.job_id}/appeal says that it was fine."
            return self._end(entry, JobState.FAILED, "picture_blocked", message, now_s)
        message = f"The picture did not pass the quality gates ({reasons}); try another seed or prompt."
        return self._end(entry, JobState.FAILED, "quality_blocked", message, now_s)

    def _post_processing_failed(self, event: PostProcessingFailed, now_s: float) -> list[Command]:
        entry = self._current(event.job_id, event.attempt, JobState.POST_PROCESSING)
        if entry is None:
            return []
        if event.is_retryable:
            entry.job = entry.job.starting_afresh()
            return self._retry_or_fail(entry, "post_processing_failed", event.message, now_s)
        return self._end(entry, JobState.FAILED, "post_processing_failed", event.message, now_s)

    def _tick(self, now_s: float) -> list[Command]:
        if now_s < self._ticked_at_s:
            self._clock_set_back(now_s)
        self._lived_s += min(max(now_s - self._ticked_at_s, 0.0), TICK_S_MAX)
        self._ticked_at_s = now_s
        if self._bereft:
            bereft = self._bereft.items()
            self._bereft = {gpu_id: lost for gpu_id, lost in bereft if 0 <= now_s - lost[1] <= BEREFT_S}
        commands = self._catch_up(now_s)
        for model_id, failed_at_s in self._load_failed_at_s.items():
            if now_s - failed_at_s >= self._policy.load_forgiven_s:
                self._load_failures[model_id] = 0
        for run in tuple(self._runs):
            commands += self._call_off_if_overdue(run, now_s)
        for model_id in self._lines:
            commands += [*self._fill(model_id, now_s), *self._preempt(model_id, now_s)]
        return commands

    def _call_off_if_overdue(self, run: Run, now_s: float) -> list[Command]:
        """A run that takes many times as long as its model usually does hangs, though it may make steps."""
        entry, worker = self._current(*run, JobState.RUNNING), self._worker_of(run)
        if entry is None or worker is None or worker.is_overdue or not self._profiles.is_known(entry.job.request):
            return []
        limit_s = max(self._policy.overdue_s_min, self._policy.overdue_factor * entry.estimate_s)
        if self._lived_s - entry.dispatched_lived_s <= limit_s:
            return []
        worker.is_overdue = True
        return [AbortRun(worker_id=worker.worker_id, job_id=run[0], attempt=run[1])]

    def _catch_up(self, now_s: float) -> list[Command]:
        """Deal with jobs whose time has come, `OVERDUE_MAX` of them at most."""
        commands: list[Command] = []
        for _ in range(OVERDUE_MAX):
            if self._given_up:
                commands += self._fail_given_up(self._given_up.popleft(), now_s)
            elif (job_id := _due(self._deadlines, now_s)) is not None:
                message = "The deadline passed before the job was done."
                commands += self._end_early(job_id, JobState.EXPIRED, "deadline_exceeded", message, now_s)
            elif (job_id := _due(self._dooms, now_s)) is not None:
                entry = self._open.get(job_id)
                if entry is not None and entry.job.state is JobState.PENDING:
                    message = "The job could no longer be done before its deadline."
                    commands += self._end_early(job_id, JobState.EXPIRED, "deadline_unreachable", message, now_s)
            elif (job_id := _due(self._delayed, now_s)) is not None:
                if self._is_delayed(job_id):
                    self._join_line(self._open[job_id])
            else:
                self._is_behind = False
                return commands
        self._is_behind = True
        return commands

    def _clock_set_back(self, now_s: float) -> None:
        """Nobody pauses for longer than the longest pause, and no failure lies in the future."""
        latest_s = now_s + max(self._policy.backoff_s, default=0.0)
        self._delayed = [(min(at_s, latest_s), sequence, job_id) for at_s, sequence, job_id in self._delayed]
        heapq.heapify(self._delayed)
        self._health.clock_set_back(now_s=now_s)
        self._memory.clock_set_back(now_s=now_s)
        failed_at_s = self._load_failed_at_s
        self._load_failed_at_s = {model_id: min(at_s, now_s) for model_id, at_s in failed_at_s.items()}

    # --- moves of a job ----------------------------------------------------------------------------------------------

    def _enter(self, job: Job) -> _Open:
        estimate_s = self._profiles.run_s(job.request)
        entry = _Open(job=job, estimate_s=estimate_s, step=job.steps_done, steps=job.request.steps)
        self._open[job.job_id] = entry
        if job.deadline_at_s is not None:
            self._remind(self._deadlines, job.deadline_at_s, job)
        return entry

    def _remind(self, heap: list[tuple[float, int, JobId]], at_s: float, job: Job) -> None:
        """Look at the job again at `at_s`."""
        if len(heap) > 2 * len(self._open) + DEADLINES_KEPT:
            heap[:] = [each for each in heap if each[2] in self._open]
            heapq.heapify(heap)
        heapq.heappush(heap, (at_s, job.sequence, job.job_id))

    def _wait(self, entry: _Open, now_s: float) -> list[Command]:
        """Put a pending job in line, or on the back-off heap until its time comes."""
        job = entry.job
        self._pending.change(job, 1)
        doomed_at_s = self._doomed_at_s(entry)
        if doomed_at_s is not None:
            self._remind(self._dooms, doomed_at_s, job)
        if job.not_before_s > now_s:
            heapq.heappush(self._delayed, (job.not_before_s, job.sequence, job.job_id))
            return []
        served = self._serve_at_once(entry, now_s)
        if served:
            return served
        self._join_line(entry)
        model_id = job.request.model_id
        if not self._of_model.get(model_id):
            return []  # after a restart that is so a hundred thousand times
        return [*self._fill(model_id, now_s), *self._preempt(model_id, now_s)]

    def _doomed_at_s(self, entry: _Open) -> float | None:
        """From when on the job cannot be done before its deadline even if it begins at once; None: not known."""
        job = entry.job
        if job.deadline_at_s is None or not self._profiles.is_known(job.request):
            return None
        needed_s = self._policy.doomed_fraction * self._remaining_s(entry) + self._profiles.finish_s(
            job.request.model_id
        )
        return job.deadline_at_s - needed_s

    def _serve_at_once(self, entry: _Open, now_s: float) -> list[Command]:
        """What the line would come to when nobody stands in it and a worker is free, without standing in it."""
        model_id = entry.job.request.model_id
        line = self._line_of(model_id)
        if line or self._may_not_dispatch(model_id):
            return []
        workers = self._of_model.get(model_id, ())
        for worker in workers:
            if not self._has_time(worker):
                continue
            held = self._held(is_spot=worker.gpu.market is Market.SPOT)
            if not held or not held.holds(self._place_of(entry)):
                line.pass_by()
                return self._dispatch(entry, self._roomier(entry, worker, workers, now_s), now_s)
        return []

    def _may_not_dispatch(self, model_id: ModelId) -> bool:
        is_full = self._post_processing >= self._policy.post_processing_max
        return is_full or self._is_draining or self._is_halted(model_id)

    def _line_of(self, model_id: ModelId) -> PendingLine:
        line = self._lines.get(model_id)
        if line is None:
            line = PendingLine(price=self._policy.fairness_price, weight_of=self._tenant_weight)
            self._lines[model_id] = line
        return line

    def _join_line(self, entry: _Open) -> None:
        self._line_of(entry.job.request.model_id).add(self._place_of(entry))

    def _place_of(self, entry: _Open) -> Place:
        """The job in line, with what is left of it to do."""
        return self._place_in_line(entry.job, self._remaining_s(entry))

    def _rest_of(self, entry: _Open, now_s: float) -> Place:
        """The running job as if it stood in line with what is left of it to do now."""
        return self._place_in_line(entry.job, self._rest_s(entry, now_s))

    def _place_in_line(self, job: Job, estimate_s: float) -> Place:
        return place_of(
            job,
            estimate_s=estimate_s,
            policy=self._policy,
            finish_s=self._profiles.finish_s(job.request.model_id),
            is_known=self._profiles.is_known(job.request),
        )

    def _tenant_weight(self, place: Place) -> float:
        return self._policy.tenant_weight.get(place.tenant_id, 1.0)

    def _held(self, *, is_spot: bool = False) -> Held:
        """Who may not run now, on a spot GPU or elsewhere."""
        return held_back(self._running, self._policy, tiers=self._off_spot if is_spot else ())

    def _fill(self, model_id: ModelId, now_s: float) -> list[Command]:
        """Give waiting jobs to idle workers of their model."""
        line = self._lines.get(model_id)
        if not line or self._may_not_dispatch(model_id):
            return []
        commands: list[Command] = []
        workers = self._of_model.get(model_id, ())
        ready = [worker for worker in workers if worker.state is ReplicaState.READY and self._halt_of(worker) is None]
        for worker in ready:
            if not line:
                break
            if not self._has_time(worker):
                continue
            held = self._held(is_spot=worker.gpu.market is Market.SPOT)
            mates = self._mates(worker)
            if len(mates) > 1:
                commands += self._serve_shared(mates, held, now_s)
                continue
            job_id = line.choose(free_in_s=lambda: self._free_in([model_id], now_s), now_s=now_s, held=held)
            if job_id is not None:
                place, entry = line.serve(job_id, now_s=now_s), self._open[job_id]
                chosen = self._roomier(entry, worker, ready, now_s)
                self._charge_elsewhere(place, chosen, now_s)
                commands += self._dispatch(entry, chosen, now_s)
        return commands

    def _charge_elsewhere(self, place: Place, worker: _Worker, now_s: float) -> None:
        """The other lines that want this GPU, too, learn that the job's tenant and end user have had a turn.

        Those are the lines of models that are loaded on it as well, and of models that are loaded nowhere.
        """
        if len(self._lines) == 1:
            return
        mates = {mate.model_id for gpu_id in worker.gpu_ids for mate in self._on_gpu[gpu_id]}
        for model_id, line in self._lines.items():
            if line and model_id != worker.model_id and (model_id in mates or not self._of_model.get(model_id)):
                line.charge(place, now_s=now_s)

    def _mates(self, worker: _Worker) -> list[_Worker]:
        """The idle worker, and the idle ones on the same GPU for whose models somebody waits; one of them may run."""
        there = self._on_gpu[worker.gpu.gpu_id]
        if len(there) < 2 or worker.more_gpu_ids:
            return [worker]
        return [mate for mate in there if mate is worker or self._is_wanted(mate)]

    def _is_wanted(self, worker: _Worker) -> bool:
        """The worker is idle on its one GPU, may run, and somebody waits for its model."""
        is_idle = worker.state is ReplicaState.READY and not worker.more_gpu_ids and self._halt_of(worker) is None
        return is_idle and bool(self._lines.get(worker.model_id)) and not self._is_halted(worker.model_id)

    def _serve_shared(self, mates: list[_Worker], held: Held, now_s: float) -> list[Command]:
        """Give the GPU that the idle `mates` share to whoever is next in all of their lines."""
        by_line = {id(line): (line, mate) for mate in mates if (line := self._lines.get(mate.model_id))}
        lines = [line for line, _ in by_line.values()]
        models = [mate.model_id for mate in mates]
        found = choose_among(lines, free_in_s=lambda: self._free_in(models, now_s), now_s=now_s, held=held)
        if found is None:
            return []
        line, job_id = found
        place = line.serve(job_id, now_s=now_s)
        for other in lines:
            if other is not line and place.latest_start_s is not None:
                other.passed_over()
        entry, mate = self._open[job_id], by_line[id(line)][1]
        ready = (each for each in self._of_model.get(mate.model_id, ()) if each.state is ReplicaState.READY)
        chosen = self._roomier(entry, mate, ready, now_s)
        self._charge_elsewhere(place, chosen, now_s)
        return self._dispatch(entry, chosen, now_s)

    def _free_in(self, models: Iterable[ModelId], now_s: float) -> list[float]:
        """Expected seconds until each GPU that serves one of these models is free."""
        free_in_s: dict[GpuId, float] = {}
        for model_id in models:
            for worker in self._of_model.get(model_id, ()):
                gpu_id = worker.gpu.gpu_id
                if worker.state in SERVING and gpu_id not in free_in_s:
                    mates = self._on_gpu[gpu_id] if not worker.more_gpu_ids else [worker]
                    free_in_s[gpu_id] = max((self._free_in_s(mate, 0.0, now_s) for mate in mates), default=0.0)
        return list(free_in_s.values())

    def _roomier(self, entry: _Open, worker: _Worker, others: Iterable[_Worker], now_s: float) -> _Worker:
        """Another idle worker on a GPU with more room, for a job that ran out on one like this, or is expected to."""
        if self._has_room(entry, worker, now_s):
            return worker
        for other in others:
            is_free = self._has_time(other)
            is_barred = other.gpu.market is Market.SPOT and entry.job.tier in self._off_spot
            if is_free and not is_barred and self._has_room(entry, other, now_s):
                return other
        return worker

    def _has_room(self, entry: _Open, worker: _Worker, now_s: float) -> bool:
        """As far as anybody knows, the job's run fits beside what its GPU holds."""
        is_large = worker.gpu.memory_bytes > entry.memory_floor_bytes
        return is_large and self._is_expected_to_fit(entry.job, worker, now_s)

    def _is_expected_to_fit(self, job: Job, worker: _Worker, now_s: float) -> bool:
        if worker.more_gpu_ids:
            return True
        free_bytes = self._free_bytes(worker)
        return self._memory.fits(
            job.request, worker.gpu.gpu_class, free_bytes=free_bytes, spares=job.spares_memory, now_s=now_s
        )

    def _free_bytes(self, worker: _Worker) -> int:
        """What the worker may take of its GPU: all that the others there do not hold."""
        there = self._on_gpu.get(worker.gpu.gpu_id, ())
        return worker.gpu.memory_bytes - sum(mate.held_bytes for mate in there if mate is not worker)

    def _is_hopeless(self, request: GenerationRequest, now_s: float) -> bool:
        """No GPU here has enough memory for such a run, as lately was tried."""
        kinds = {(gpu.gpu_class, gpu.memory_bytes) for gpu in self._gpus.values()}
        return bool(kinds) and all(
            self._memory.is_hopeless(request, gpu_class, memory_bytes=memory_bytes, now_s=now_s)
            for gpu_class, memory_bytes in kinds
        )

    def _has_time(self, worker: _Worker) -> bool:
        """The worker could begin a run now."""
        return worker.state is ReplicaState.READY and not self._is_taken(worker) and self._halt_of(worker) is None

    def _is_taken(self, worker: _Worker) -> bool:
        """A replica on one of the worker's GPUs runs a job; they take turns."""
        return any(mate.run is not None for gpu_id in worker.gpu_ids for mate in self._on_gpu.get(gpu_id, ()))

    def _fill_gpus(self, worker: _Worker, now_s: float) -> list[Command]:
        """The GPUs of the worker have time."""
        if not worker.more_gpu_ids:
            return self._fill_gpu(worker.gpu.gpu_id, now_s)
        return [command for gpu_id in worker.gpu_ids for command in self._fill_gpu(gpu_id, now_s)]

    def _fill_gpu(self, gpu_id: GpuId, now_s: float) -> list[Command]:
        """The GPU has time: whoever is first in the lines of its replicas has it."""
        models = dict.fromkeys(
            worker.model_id for worker in self._on_gpu.get(gpu_id, ()) if worker.state is ReplicaState.READY
        )
        lines = [
            (self._lines[model_id].front().rank(0.0), model_id) for model_id in models if self._lines.get(model_id)
        ]
        return [command for _, model_id in sorted(lines) for command in self._fill(model_id, now_s)]

    def _dispatch(self, entry: _Open, worker: _Worker, now_s: float) -> list[Command]:
        if not entry.job.spares_memory and not self._is_expected_to_fit(entry.job, worker, now_s):
            entry.job = replace(entry.job, spares_memory=True)
        job = entry.job.moved(JobState.DISPATCHED, now_s=now_s, attempt=entry.job.attempt + 1)
        self._pending.change(job, -1)
        entry.job, entry.worker_id, entry.dispatched_at_s = job, worker.worker_id, now_s
        entry.estimate_s = self._profiles.run_s(job.request, worker.gpu.gpu_class)
        self._count_run_in(entry)
        entry.dispatched_lived_s = self._lived_s
        entry.first_step, entry.is_paused, entry.silence_s = job.steps_done, False, 0.0
        entry.step, entry.steps, entry.step_at_s = job.steps_done, max(entry.steps, job.request.steps), now_s
        run = (job.job_id, job.attempt)
        worker.enter(ReplicaState.BUSY, now_s)
        worker.holds(run)
        self._runs[run] = worker.worker_id
        if job.attempt == 1:
            self._promise(entry, now_s)
        order = run_order(
            job, preview_every=self._policy.preview_every, checkpoint=job.checkpoint, steps_done=job.steps_done
        )
        order = replace(order, stall_limit_s=self._stalls.limit_s(job.request, worker.gpu.gpu_class))
        return [RecordJob(job=job, cause="dispatched"), Dispatch(worker_id=worker.worker_id, order=order)]

    def _retry_or_fail(
        self, entry: _Open, cause: str, message: str, now_s: float, ended: Attempt | None = None
    ) -> list[Command]:
        failures = entry.job.failures + 1
        entry.job = replace(entry.job, failures=failures, setback=Failure(code=cause, message=message))
        if failures >= self._policy.attempts_max:
            return self._end(
                entry, JobState.FAILED, cause, f"Gave up after {failures} attempts. {message}", now_s, ended
            )
        return self._requeue(entry, cause, now_s, ended, delay_s=self._policy.backoff_after(failures))

    def _requeue(
        self, entry: _Open, cause: str, now_s: float, ended: Attempt | None, *, delay_s: float
    ) -> list[Command]:
        self._leave_post_processing(entry.job)
        if entry.job.state in ON_WORKER:
            self._count_run_out(entry)
        entry.worker_id, entry.step = None, entry.job.steps_done
        entry.job = entry.job.moved(JobState.PENDING, now_s=now_s, not_before_s=now_s + delay_s)
        record = RecordJob(job=entry.job, cause=cause, ended_attempt=ended)
        return [record, *self._wait(entry, now_s)]

    def _end(
        self, entry: _Open, state: JobState, code: str, message: str, now_s: float, ended: Attempt | None = None
    ) -> list[Command]:
        over = entry.job.moved(state, now_s=now_s, failure=Failure(code=code, message=message))
        self._leave(entry)
        return [RecordJob(job=over, cause=code, ended_attempt=ended)]

    def _end_early(self, job_id: JobId, state: JobState, code: str, message: str, now_s: float) -> list[Command]:
        """End an open job wherever it is; one that has ended already stays as it is."""
        entry = self._open.get(job_id)
        if entry is None:
            return []
        job = entry.job
        worker = self._worker_of((job_id, job.attempt)) if job.state in ON_WORKER else None
        if worker is None:
            return self._end(entry, state, code, message, now_s)
        outcome = AttemptOutcome.EXPIRED if state is JobState.EXPIRED else AttemptOutcome.CANCELLED
        ended = self._ended_attempt(entry, worker, outcome, now_s)
        abort = AbortRun(worker_id=worker.worker_id, job_id=job_id, attempt=job.attempt)
        return [*self._end(entry, state, code, message, now_s, ended), abort]

    def _leave(self, entry: _Open) -> None:
        """Forget a job: it has ended, or never began."""
        job = entry.job
        del self._open[job.job_id]
        self._health.forget_job(job.job_id)
        if job.state is JobState.PENDING:
            self._pending.change(job, -1)
            line = self._lines.get(job.request.model_id)
            if line is not None:
                line.remove(job.job_id)
        elif job.state in ON_WORKER:
            self._count_run_out(entry)
        self._leave_post_processing(job)

    def _leave_post_processing(self, job: Job) -> None:
        if job.state is JobState.POST_PROCESSING:
            self._is_hold_over |= self._post_processing >= self._policy.post_processing_max
            self._post_processing -= 1

    def _count_run_in(self, entry: _Open) -> None:
        """The job is on a worker."""
        self._running.change(entry.job, 1)
        entry.length_ticket = self._longest_runs.add((-entry.estimate_s, 0.0, entry.job.sequence), entry)

    def _count_run_out(self, entry: _Open) -> None:
        """The job is on no worker any more; others of its tenant or end user may have been held back by it."""
        self._is_hold_over |= self._policy.running_max_per_tenant is not None
        self._is_hold_over |= self._policy.running_max_per_user is not None
        self._running.change(entry.job, -1)
        self._longest_runs.drop(entry.length_ticket)

    # --- look-ups ----------------------------------------------------------------------------------------------------

    def _current(self, job_id: JobId, attempt: int, *states: JobState) -> _Open | None:
        """The open job, if `attempt` is its current one and it is in one of `states`."""
        entry = self._open.get(job_id)
        if entry is None or entry.job.attempt != attempt or entry.job.state not in states:
            return None
        return entry

    def _running_on(self, worker: _Worker) -> _Open | None:
        """The open job that the worker runs; None while it has none, or works on what was called off or has ended."""
        if worker.run is None:
            return None
        job_id, attempt = worker.run
        entry = self._open.get(job_id)
        if entry is None or entry.job.attempt != attempt or entry.job.state not in ON_WORKER:
            return None
        return entry

    def _worker_of(self, run: Run) -> _Worker | None:
        worker_id = self._runs.get(run)
        return None if worker_id is None else self._workers.get(worker_id)

    def _free(self, run: Run, now_s: float) -> list[Command]:
        """The worker that holds `run` is idle again."""
        worker = self._worker_of(run)
        if worker is None:
            self._runs.pop(run, None)
            return []
        return [*self._let_go(worker, run, now_s), *self._fill_gpus(worker, now_s)]

    def _let_go(self, worker: _Worker, run: Run, now_s: float) -> list[Command]:
        """The worker's run is over; one that is to stop does so now."""
        self._runs.pop(run, None)
        worker.holds(None)
        worker.is_pausing, worker.is_overdue, worker.pauses_for = False, False, None
        if worker.state is ReplicaState.STOPPING:
            return [StopReplica(worker_id=worker.worker_id, reason="its last run has ended")]
        worker.enter(ReplicaState.READY, now_s)
        return []

    def _is_delayed(self, job_id: JobId) -> bool:
        """The job waits, and not in line; False for what the back-off heap still names although it has ended."""
        entry = self._open.get(job_id)
        if entry is None or entry.job.state is not JobState.PENDING:
            return False
        line = self._lines.get(entry.job.request.model_id)
        return line is None or job_id not in line

    def _states_of(self, model_id: ModelId) -> set[ReplicaState]:
        return {worker.state for worker in self._of_model.get(model_id, ())}

    def _is_loaded(self, model_id: ModelId) -> bool:
        return any(worker.state in SERVING for worker in self._of_model.get(model_id, ()))

    def _ended_attempt(self, entry: _Open, worker: _Worker, outcome: AttemptOutcome, now_s: float) -> Attempt:
        return Attempt(
            job_id=entry.job.job_id,
            number=entry.job.attempt,
            worker_id=worker.worker_id,
            gpu_id=worker.gpu.gpu_id,
            gpu_class=worker.gpu.gpu_class,
            model_id=worker.model_id,
            dispatched_at_s=entry.dispatched_at_s,
            ended_at_s=now_s,
            gpu_s=max(now_s - entry.dispatched_at_s, 0.0) * len(worker.gpu_ids),
            outcome=outcome,
            market=worker.gpu.market.value,
            zone=worker.gpu.zone,
        )

    # --- views -------------------------------------------------------------------------------------------------------

    def delivery_s(self, card: ModelCard) -> float | None:
        """Expected seconds from the beginning of a run to delivery, for one picture as the card's defaults have it."""
        return self._profiles.picture_s(card)

    def is_behind(self) -> bool:
        """The time of more jobs has come than were dealt with: let the next tick come soon."""
        return self._is_behind

    @property
    def spot_tiers(self) -> frozenset[Tier]:
        """The tiers whose jobs may run on spot GPUs."""
        return self._policy.spot_tiers

    def open_jobs(self) -> int:
        """Number of jobs that have not ended."""
        return len(self._open)

    def input_blobs(self) -> frozenset[str]:
        """The files of pictures that open jobs start from."""
        inputs = (entry.job.request.inputs for entry in self._open.values())
        return frozenset(blob for each in inputs if each is not None for blob in each.blobs)

    def is_open(self, job_id: JobId) -> bool:
        """The job has not ended."""
        return job_id in self._open

    def is_current(self, job_id: JobId, attempt: int) -> bool:
        """News of this attempt counts: the job is open and no newer one has begun."""
        entry = self._open.get(job_id)
        return entry is not None and entry.job.attempt == attempt

    def load_failures(self, model_id: ModelId) -> int:
        """How many loads of the model in a row have failed."""
        return self._load_failures[model_id]

    def running_jobs(self) -> int:
        """Number of jobs on workers or in post-processing."""
        return len(self._open) - self._pending.total

    def fleet_view(self) -> FleetView:
        """GPUs and workers now, without those of GPUs that are about to be taken back."""
        leaving = self._leaving.keys()
        workers = [worker for worker in self._workers.values() if not leaving or leaving.isdisjoint(worker.gpu_ids)]
        return FleetView(
            gpus=tuple(gpu for gpu_id, gpu in self._gpus.items() if gpu_id not in leaving),
            replicas=tuple([worker.viewed() for worker in workers]),
            resting=self._health.resting(now_s=self._ticked_at_s),
            bereft={gpu_id: model_id for gpu_id, (model_id, _) in self._bereft.items() if gpu_id not in leaving},
        )

    def queue_of(self, model_id: ModelId) -> ModelQueue:
        """Open work of one model."""
        line = self._lines.get(model_id)
        running_s, replicas = self._running_work(model_id)
        pending_s = line.total_s if line is not None else 0.0
        situation = situation_of(
            is_running=False,
            is_loaded=self._is_loaded(model_id),
            wait_s=(pending_s + running_s) / max(replicas, 1),
            run_s=pending_s / len(line) if line else RUN_S_UNKNOWN,
        )
        return ModelQueue(
            pending=len(line) if line is not None else 0,
            pending_s=pending_s,
            waiting_since_s=self._open[line.front().place.job_id].job.timeline[-1].at_s if line else None,
            turn_since_s=line.front().since_s if line else None,
            running_s=running_s,
            replicas=replicas,
            load_s=self._profiles.load_s(model_id),
            off_spot_pending=line.number_of(self._off_spot) if line is not None else 0,
            load_failures=self._load_failures[model_id],
            load_failed_at_s=self._load_failed_at_s.get(model_id, 0.0),
            trust=self._trust.interval(situation, 1.0),
        )

    def _running_work(self, model_id: ModelId) -> tuple[float, int]:
        """GPU-seconds left of what the model's workers run, and how many of them stay."""
        workers = self._of_model.get(model_id, ())
        running_s, staying = 0.0, 0
        for worker in workers:
            staying += worker.state is not ReplicaState.STOPPING
            entry = self._running_on(worker)
            if entry is not None:
                running_s += self._remaining_s(entry)
        return running_s, staying

    def queue_view(self) -> QueueView:
        """Open work by model."""
        models = dict.fromkeys((*self._lines, *(model_id for model_id, workers in self._of_model.items() if workers)))
        return QueueView(models={model_id: self.queue_of(model_id) for model_id in models})

    def view(self, job_id: JobId, *, now_s: float) -> JobView | None:
        """An open job as its owner sees it, or None."""
        entry = self._open.get(job_id)
        if entry is None:
            return None
        line = self._lines.get(entry.job.request.model_id)
        waits = line is not None and job_id in line
        situation, eta_s = self._eta(entry, now_s)
        phase = self._phase(entry)
        eta = None if phase is Phase.HALTED else self._trust.interval(situation, eta_s)
        return JobView(
            job=entry.job,
            phase=phase,
            queue_position=line.position(job_id, now_s=now_s) if line is not None and waits else None,
            eta_s=None if eta is None else eta.expected_s if eta_s > 0 else 0.0,
            step=entry.step,
            steps=entry.steps,
            eta=eta,
            attempts_max=self._policy.attempts_max,
        )

    def _phase(self, entry: _Open) -> Phase:
        match entry.job.state:
            case JobState.PENDING if self._is_halted(entry.job.request.model_id):
                return Phase.HALTED
            case JobState.PENDING if entry.is_paused:
                return Phase.PAUSED
            case JobState.PENDING if entry.job.attempt > 0:
                return Phase.RETRYING
            case JobState.PENDING:
                return Phase.WAITING if self._is_loaded(entry.job.request.model_id) else Phase.LOADING_MODEL
            case JobState.POST_PROCESSING:
                return Phase.FINISHING
            case _:
                return Phase.GENERATING

    def _eta(self, entry: _Open, now_s: float) -> tuple[Situation, float]:
        """Expected seconds until delivery: work ahead shared by the replicas, own run, finishing."""
        job = entry.job
        finish_s = self._profiles.finish_s(job.request.model_id)
        if job.state is JobState.POST_PROCESSING:
            return Situation.RUNNING, finish_s
        if job.state in ON_WORKER:
            return Situation.RUNNING, self._rest_s(entry, now_s) + finish_s
        model_id = job.request.model_id
        line = self._lines.get(model_id)
        ahead_s = line.ahead_s(job.job_id, now_s=now_s) if line is not None and job.job_id in line else 0.0
        running_s, replicas = self._running_work(model_id)
        wait_s = (ahead_s + running_s + self._work_beside_s(entry)) / max(replicas, 1)
        is_loaded, run_s = self._is_loaded(model_id), self._remaining_s(entry)
        load_s = 0.0 if is_loaded else self._worker_free_in_s(model_id, now_s)
        situation = situation_of(is_running=False, is_loaded=is_loaded, wait_s=wait_s, run_s=run_s)
        return situation, max(wait_s + load_s, job.not_before_s - now_s) + run_s + finish_s

    def _work_beside_s(self, entry: _Open) -> float:
        """GPU-seconds ahead of a waiting job that other models have on the GPUs of its own: running, and in line."""
        mates = [
            mate
            for worker in self._of_model.get(entry.job.request.model_id, ())
            if worker.state is not ReplicaState.STOPPING and len(self._on_gpu[worker.gpu.gpu_id]) > 1
            for mate in self._on_gpu[worker.gpu.gpu_id]
            if mate is not worker
        ]
        if not mates:
            return 0.0
        place = self._place_of(entry)
        running = (self._running_on(mate) for mate in mates)
        others = (self._lines.get(model_id) for model_id in dict.fromkeys(mate.model_id for mate in mates))
        running_s = sum(self._remaining_s(run) for run in running if run is not None)
        return running_s + sum(line.ahead_of_newcomer_s(place) for line in others if line)

    def _rest_s(self, entry: _Open, now_s: float) -> float:
        """Expected seconds left of a run."""
        return max(self._remaining_s(entry) - (now_s - entry.step_at_s), 0.0)

    def _remaining_s(self, entry: _Open) -> float:
        return entry.estimate_s * max(1 - entry.step / max(entry.steps, 1), 0.0)

    def check(self) -> None:
        """Assert what must hold after every event: no job in two places or in none, no worker with two runs."""
        waiting = [job_id for line in self._lines.values() for job_id in line.job_ids()]
        assert len(waiting) == len(set(waiting)), "a job waits twice"
        delayed = {job_id for _, _, job_id in self._delayed if self._is_delayed(job_id)}
        pending = {job_id for job_id, entry in self._open.items() if entry.job.state is JobState.PENDING}
        assert pending == set(waiting) | delayed, "a pending job is nowhere, or a job that is not pending waits"
        _check_count(self._pending, [self._open[job_id].job for job_id in pending], "pending")
        on_workers = [entry.job for entry in self._open.values() if entry.job.state in ON_WORKER]
        _check_count(self._running, on_workers, "running")
        of_tenant, of_user = self._policy.running_max_per_tenant, self._policy.running_max_per_user
        assert of_tenant is None or max(self._running.by_tenant.values(), default=0) <= of_tenant, "a tenant runs more"
        assert of_user is None or max(self._running.by_user.values(), default=0) <= of_user, "an end user runs more"
        assert len(self._longest_runs) == len(on_workers), "runs are ranked that are over, or some are not"
        finishing = sum(entry.job.state is JobState.POST_PROCESSING for entry in self._open.values())
        assert finishing == self._post_processing, "post-processing is miscounted"
        by_model = [worker.worker_id for workers in self._of_model.values() for worker in workers]
        assert sorted(by_model) == sorted(self._workers), "workers are listed under the wrong model"
        held = {worker.run: worker.worker_id for worker in self._workers.values() if worker.run is not None}
        assert held == self._runs, "runs and workers disagree"
        taken = [gpu_id for worker in self._workers.values() if worker.run is not None for gpu_id in worker.gpu_ids]
        assert len(taken) == len(set(taken)), "two replicas of a GPU run at once"
        for job_id, entry in self._open.items():
            on_worker = entry.job.state in ON_WORKER
            assert on_worker == ((job_id, entry.job.attempt) in self._runs), f"job {job_id} and its worker disagree"
            assert not entry.job.state.is_terminal, f"job {job_id} has ended and is still open"


def _due(heap: list[tuple[float, int, JobId]], now_s: float) -> JobId | None:
    """Takes whoever's time has come off the heap."""
    return heapq.heappop(heap)[2] if heap and heap[0][0] <= now_s else None


def _check_count(counted: Count, jobs: list[Job], what: str) -> None:
    expected = Count()
    for job in jobs:
        expected.change(job, 1)
    assert counted == expected, f"{what} jobs are miscounted"


def run_order(job: Job, *, preview_every: int, checkpoint: str | None = None, steps_done: int = 0) -> RunOrder:
    """What a worker has to do for the job's current attempt; each reseed moves on to fresh seeds."""
    request = job.request
    shift = job.reseeds * RESEED_STRIDE
    return RunOrder(
        job_id=job.job_id,
        attempt=job.attempt,
        model_id=request.model_id,
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        width_px=request.engine_width_px,
        height_px=request.engine_height_px,
        steps=request.steps,
        guidance=request.guidance,
        seeds=tuple((seed + shift) % (SEED_MAX + 1) for seed in request.seeds()),
        preview_every=preview_every,
        frames=request.frames,
        resume_from=checkpoint,
        first_step=steps_done,
        spares_memory=job.spares_memory,
        inputs=None if request.inputs is None else _run_inputs(request.inputs),
    )


def _run_inputs(inputs: Inputs) -> RunInputs:
    mask = None if inputs.mask is None else inputs.mask.blob
    return RunInputs(images=tuple(each.blob for each in inputs.images), mask=mask, strength=inputs.strength)


_UNLOADED = "the operator has it unloaded"

_KEEPS_CHECKPOINT = frozenset({EngineErrorKind.OUT_OF_MEMORY, EngineErrorKind.TIMEOUT, EngineErrorKind.DEVICE_LOST})
"""Failures that say nothing against what was done before them; after any other the run starts afresh."""

_LOSS_IN_WORDS: Mapping[LossReason, str] = {
    LossReason.CRASHED: "The worker crashed.",
    LossReason.SILENT: "The worker stopped answering.",
    LossReason.OUT_OF_MEMORY: "The worker ran out of memory; a smaller picture or fewer of them may fit.",
    LossReason.LOAD_FAILED: "The worker could not load the model.",
    LossReason.BAD_WEIGHTS: "The model's weights are damaged.",
    LossReason.DEVICE_LOST: "The GPU's driver was lost.",
    LossReason.STOPPED: "The worker was stopped.",
    LossReason.RECLAIMED: "The GPU was taken back.",
}
