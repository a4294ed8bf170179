"""Baselines re-implemented from their descriptions, as deciders of a simulation. They are labelled so in every table.

All of them prefer a free worker that has the model already, else load the model where there is room or in place of the
replica that has been idle for longest, and look past a job that cannot start (up to `LOOK_AHEAD` jobs). They get the
same profiles as production, learn from the same runs, and may refuse and pause as it may. As described, a GPU holds one
replica; with `shares_gpus` as many as its bytes allow, which take turns.

    fcfs      first come, first served
    sjf       shortest job first, by estimated GPU-seconds
    srtf      shortest remaining time first: a run makes way at a step boundary for one that is shorter than its rest
    edf       earliest deadline first with admission (Clockwork++): a request is refused when wait, load and run would
              end after its deadline, and dropped before it starts when it can no longer make it
    genserve  pictures before clips; a picture that finds no free GPU pauses the clip with the highest slack (deadline -
              now - what is left to do) at its next step. Clips go by the dynamic program that maximises how many of
              them survive the next `ROUND_S`: with one GPU per clip, which is all that a run of this world can have,
              it gives GPUs to those that would not survive without one, least slack first, and then to the others. It
              may drop what can no longer make it, as EDF may. Pictures are not batched: a worker runs one job
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from sortedcontainers import SortedDict

from benchmarks.policies.spot_hedge import Buyer
from heliograph.domain.commands import (
    AbortRun,
    CapacityCommand,
    Command,
    Dispatch,
    FleetCommand,
    PauseRun,
    PostProcess,
    RecordJob,
    RefuseJob,
    StartReplica,
    StopReplica,
)
from heliograph.domain.errors import Overloaded
from heliograph.domain.events import (
    CancelRequested,
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
    WorkerLost,
    WorkerReady,
)
from heliograph.domain.ids import GpuId, JobId, ModelId, WorkerId
from heliograph.domain.job import ON_WORKER, Attempt, AttemptOutcome, Failure, Job, JobState, Moment
from heliograph.domain.tiers import Tier
from heliograph.domain.views import Gpu, Interval
from heliograph.scheduling import Profiles
from heliograph.scheduling.scheduler import run_order
from heliograph.simulation.decider import Holdings, Making, Present

LOOK_AHEAD = 64
ATTEMPTS_MAX = 3
NO_DEADLINE_S = 1e12
ROUND_S = 10.0
CLIPS_AFTER_S = 1e13
"""Added to the key of a clip where pictures go first."""
CLIP_TASKS = frozenset({"t2v", "i2v"})


class Order(StrEnum):
    """Who goes first."""

    FCFS = "fcfs"
    SJF = "sjf"
    SRTF = "srtf"
    EDF = "edf"
    GENSERVE = "genserve"


DROPS_LATE = frozenset({Order.EDF, Order.GENSERVE})
PAUSES = frozenset({Order.SRTF, Order.GENSERVE})


@dataclass(slots=True)
class Worker:
    """One replica as the baselines see it; `since_s` is since when it has been idle."""

    worker_id: WorkerId
    gpu: Gpu
    model_id: ModelId
    is_ready: bool = False
    is_stopping: bool = False
    is_pausing: bool = False
    job_id: JobId | None = None
    began_s: float = 0.0
    since_s: float = 0.0


class Baseline:
    """One of the orders above. Repeated and late events change nothing: runs are named by (job, attempt).

    `buyer` trades GPUs, None: the fleet is what the scenario gives. Every GPU loads `eager` as soon as it is there, as
    the replicas of a service with one model do. With `shares_gpus` a GPU holds several models.
    """

    def __init__(
        self,
        order: Order,
        making: Making,
        *,
        buyer: Buyer | None = None,
        eager: ModelId | None = None,
        shares_gpus: bool = False,
    ) -> None:
        self._order = order
        self._buyer = buyer
        self._eager = eager
        self._shares_gpus = shares_gpus
        self._profiles = Profiles()
        classes = frozenset(gpu.gpu_class for gpu in making.possible)
        for card in making.cards.values():
            self._profiles.set_prior(card, gpu_classes=classes)
        self._cards = making.cards
        self._sizes = {model_id: card.vram_bytes or 0 for model_id, card in making.cards.items()}
        self._largest = max(gpu.memory_bytes for gpu in making.possible)
        self._gpus: dict[GpuId, Gpu] = {gpu.gpu_id: gpu for gpu in making.present}
        self._jobs: dict[JobId, Job] = {}
        self._done_steps: dict[JobId, int] = {}
        self._workers: dict[WorkerId, Worker] = {}
        self._holders: dict[tuple[JobId, int], Worker] = {}
        self._line: SortedDict[tuple[float, int], JobId] = SortedDict()
        self._keys: dict[JobId, tuple[float, int]] = {}
        self._charged: dict[JobId, Attempt] = {}
        self._refused: dict[ModelId, None] = {}

    # --- what a decider answers --------------------------------------------------------------------------------------

    def why_not(self, model_id: ModelId, tier: Tier) -> str | None:
        """Only what fits no GPU is refused."""
        del tier
        return "model_unavailable" if (self._cards[model_id].vram_bytes or 0) > self._largest else None

    def pending_jobs(self) -> int:
        """Jobs in line."""
        return len(self._line)

    def is_behind(self) -> bool:
        """They do everything at once."""
        return False

    def is_open(self, job_id: JobId) -> bool:
        """The job has not ended."""
        return job_id in self._jobs

    def open_jobs(self) -> int:
        """Jobs that have not ended."""
        return len(self._jobs)

    def eta(self, job_id: JobId, *, now_s: float) -> Interval | None:
        """They promise nothing."""
        return None

    def purchases(self, holdings: Holdings, *, now_s: float) -> Sequence[CapacityCommand]:
        """What the buyer says; without one they hold what the scenario gives them."""
        if self._buyer is None:
            return ()
        ready = frozenset(gpu.gpu_id for gpu in holdings.gpus)
        if self._eager is not None:
            ready = frozenset(w.gpu.gpu_id for w in self._workers.values() if w.is_ready)
        busy = {w.gpu.gpu_id for w in self._workers.values() if w.job_id is not None}
        idle = frozenset(gpu.gpu_id for gpu in holdings.gpus if gpu.gpu_id not in busy)
        return self._buyer.trade(holdings, ready=ready, idle=idle, now_s=now_s)

    def check(self) -> None:
        """Everybody who waits is in line, and every run has its worker."""
        pending = {job_id for job_id, job in self._jobs.items() if job.state is JobState.PENDING}
        assert pending == set(self._keys) == set(self._line.values()), "a pending job is nowhere"
        for run, worker in self._holders.items():
            assert worker.job_id == run[0], "runs and workers disagree"

    def wishes(self, present: Present, *, now_s: float) -> Sequence[FleetCommand]:
        """Load what the first in line need: where there is room, else in place of the longest idle replica."""
        rooms = self._rooms(present)
        idle = sorted(
            (w for w in self._workers.values() if w.is_ready and w.job_id is None and not w.is_stopping),
            key=lambda worker: (worker.since_s, worker.worker_id),
        )
        coming: dict[ModelId, int] = {}
        for worker in self._workers.values():
            if not worker.is_ready and not worker.is_stopping:
                coming[worker.model_id] = coming.get(worker.model_id, 0) + 1
        leaving = sum(worker.is_stopping for worker in self._workers.values())
        commands: list[FleetCommand] = []
        asked = [self._jobs[job_id].request.model_id for job_id in self._line.values()[:LOOK_AHEAD]]
        asked += self._refused  # a model that is asked for is loaded, though this request could not wait for that
        self._refused.clear()
        for model_id in asked:
            if coming.get(model_id, 0) > 0:
                coming[model_id] -= 1
                continue
            size = self._cards[model_id].vram_bytes or 0
            gpu = next((gpu for gpu, free in rooms if free >= size and not self._holds(gpu, model_id)), None)
            if gpu is not None:
                rooms = [(each, 0 if each is gpu else free) for each, free in rooms]
                commands.append(StartReplica(gpu_id=gpu.gpu_id, model_id=model_id))
            elif leaving > 0:
                leaving -= 1
            else:
                victim = next((w for w in idle if self._makes_room(w, model_id, rooms)), None)
                if victim is None:
                    continue
                idle.remove(victim)
                commands.append(StopReplica(worker_id=victim.worker_id, reason=f"makes room for {model_id}"))
        if self._eager is not None:
            empty = [gpu for gpu, free in rooms if free == gpu.memory_bytes]
            commands += [StartReplica(gpu_id=gpu.gpu_id, model_id=self._eager) for gpu in empty]
        return commands

    def _rooms(self, present: Present) -> list[tuple[Gpu, int]]:
        """Free bytes of every GPU that is there, those without a run first."""
        busy, held = set[GpuId](), dict[GpuId, int]()
        for worker in self._workers.values():
            gpu_id = worker.gpu.gpu_id
            size = (self._cards[worker.model_id].vram_bytes or 0) if self._shares_gpus else worker.gpu.memory_bytes
            held[gpu_id] = held.get(gpu_id, 0) + size
            if worker.job_id is not None:
                busy.add(gpu_id)
        there = [gpu for gpu in self._gpus.values() if gpu.gpu_id in present.gpus]
        there.sort(key=lambda gpu: gpu.gpu_id in busy)
        return [(gpu, max(gpu.memory_bytes - held.get(gpu.gpu_id, 0), 0)) for gpu in there]

    def _holds(self, gpu: Gpu, model_id: ModelId) -> bool:
        return any(w.gpu.gpu_id == gpu.gpu_id and w.model_id == model_id for w in self._workers.values())

    def _makes_room(self, worker: Worker, model_id: ModelId, rooms: Sequence[tuple[Gpu, int]]) -> bool:
        """With this one gone, the model could be loaded on its GPU."""
        if worker.model_id == model_id or self._holds(worker.gpu, model_id):
            return False
        size, own = (self._cards[each].vram_bytes or 0 for each in (model_id, worker.model_id))
        if not self._shares_gpus:
            return worker.gpu.memory_bytes >= size
        free = next((free for gpu, free in rooms if gpu.gpu_id == worker.gpu.gpu_id), 0)
        return free + own >= size

    # --- events ------------------------------------------------------------------------------------------------------

    def handle(self, event: Event, *, now_s: float) -> list[Command]:
        """Fold the event, then give waiting jobs to free workers."""
        commands = self._fold(event, now_s)
        return [*commands, *self._assign(now_s)]

    def _fold(self, event: Event, now_s: float) -> list[Command]:
        match event:
            case JobSubmitted(job=job):
                return self._submit(job, now_s)
            case JobRecovered(job=job):
                return self._recover(job, now_s)
            case CancelRequested(job_id=job_id):
                return self._end_early(job_id, JobState.CANCELLED, "cancelled", now_s)
            case ReplicaRequested(worker_id=worker_id, gpu_id=gpu_id, model_id=model_id):
                self._workers[worker_id] = Worker(worker_id, self._gpus[gpu_id], model_id, since_s=now_s)
            case ReplicaStopRequested(worker_id=worker_id):
                worker = self._workers.get(worker_id)
                if worker is not None and not worker.is_stopping and worker.job_id is None:
                    worker.is_stopping = True
                    return [StopReplica(worker_id=worker_id, reason="planned")]
            case WorkerReady(worker_id=worker_id, load_s=load_s):
                worker = self._workers.get(worker_id)
                if worker is not None and not worker.is_ready:
                    worker.is_ready, worker.since_s = True, now_s
                    self._profiles.observe_load(worker.model_id, load_s)
            case WorkerLost(worker_id=worker_id):
                return self._lose(worker_id, now_s)
            case RunStarted(job_id=job_id, attempt=attempt):
                job = self._current(job_id, attempt, JobState.DISPATCHED)
                if job is not None:
                    return [self._record(job.moved(JobState.RUNNING, now_s=now_s), "started")]
            case ImagesReady():
                return self._finish_run(event, now_s)
            case RunFailed(job_id=job_id, attempt=attempt):
                return self._fail_run(job_id, attempt, now_s)
            case RunAborted(job_id=job_id, attempt=attempt):
                return self._fail_run(job_id, attempt, now_s)
            case RunPaused(job_id=job_id, attempt=attempt, step=step):
                self._done_steps[job_id] = step
                return self._free_and_requeue(job_id, attempt, AttemptOutcome.PAUSED, "paused", now_s)
            case OutputsStored(job_id=job_id, attempt=attempt, outputs=outputs):
                job = self._current(job_id, attempt, JobState.POST_PROCESSING)
                if job is not None:
                    done = job.moved(JobState.COMPLETED, now_s=now_s)
                    self._forget(job_id)
                    charged = self._charged.pop(job_id)
                    return [RecordJob(job=done, cause="completed", outputs=outputs, charged_attempt=charged)]
            case GateRejected(job_id=job_id, attempt=attempt):
                job = self._current(job_id, attempt, JobState.POST_PROCESSING)
                if job is not None:
                    return [self._wait(job, "gate_regenerate", None, now_s)]
            case GpuArrived(gpu=gpu):
                self._gpus[gpu.gpu_id] = gpu
            case GpuGone(gpu_id=gpu_id):
                self._gpus.pop(gpu_id, None)
                gone = [w.worker_id for w in self._workers.values() if w.gpu.gpu_id == gpu_id]
                return [command for worker_id in gone for command in self._lose(worker_id, now_s)]
            case ClockTicked():
                return self._expire(now_s)
            case (
                SubmissionAbandoned()
                | StepDone()
                | PostProcessingFailed()
                | DrainRequested()
                | HaltsSet()
                | GpuNotice()
            ):  # none of the baselines heeds them
                pass
            case _:
                assert_never(event)
        return []

    def _submit(self, job: Job, now_s: float) -> list[Command]:
        if self._buyer is not None:
            self._buyer.note(now_s)
        if self._order is Order.EDF and not self._makes_it(job, now_s):
            self._refused[job.request.model_id] = None
            error = Overloaded("It would be late.", code="deadline_unreachable", retry_after_s=10.0)
            return [RefuseJob(job_id=job.job_id, error=error)]
        job = replace(job, timeline=(Moment(state=JobState.PENDING, at_s=now_s),))
        return [self._enqueue(job, "submitted", None)]

    def _makes_it(self, job: Job, now_s: float) -> bool:
        """Whether wait, load and run would end before the deadline, were the work due earlier shared evenly."""
        if job.deadline_at_s is None:
            return True
        key = self._key(job)
        ahead = self._line.bisect_left(key)
        near = self._line.values()[: min(ahead, LOOK_AHEAD)]
        near_s = sum(self._rest_s(self._jobs[job_id]) for job_id in near)
        ahead_s = near_s * (ahead / len(near) if near else 0.0)
        running_s = sum(
            max(self._rest_s(self._jobs[w.job_id]) - (now_s - w.began_s), 0.0)
            for w in self._workers.values()
            if w.job_id is not None and w.job_id in self._jobs
        )
        model_id = job.request.model_id
        is_warm = any(w.model_id == model_id and w.is_ready for w in self._workers.values())
        load_s = 0.0 if is_warm else self._profiles.load_s(model_id)
        is_free = any(w.model_id == model_id and w.is_ready and w.job_id is None for w in self._workers.values())
        wait_s = 0.0 if is_free else (ahead_s + running_s) / max(len(self._gpus), 1)
        return now_s + wait_s + load_s + self._rest_s(job) <= job.deadline_at_s

    def _recover(self, job: Job, now_s: float) -> list[Command]:
        if job.state is JobState.PENDING:
            self._enqueue(job, "", None)
            return []
        return [self._wait(job, "server_restarted", None, now_s)]

    def _assign(self, now_s: float) -> list[Command]:
        """First in line first; who has no free worker of the right model is looked past."""
        busy = {worker.gpu.gpu_id for worker in self._workers.values() if worker.job_id is not None}
        free = [w for w in self._workers.values() if w.is_ready and not w.is_stopping and w.gpu.gpu_id not in busy]
        commands: list[Command] = []
        served = sum(worker.is_pausing for worker in self._workers.values())  # those who wait for a pause under way
        for job_id in list(self._line.values()[:LOOK_AHEAD]) if free or self._order in PAUSES else ():
            job = self._jobs[job_id]
            if self._order in DROPS_LATE and self._is_doomed(job, now_s):
                self._refused[job.request.model_id] = None
                commands += self._end_early(job_id, JobState.EXPIRED, "deadline_unreachable", now_s)
                continue
            worker = next((each for each in free if each.model_id == job.request.model_id), None)
            if worker is not None:
                commands += self._dispatch(job, worker, now_s)
                free = [each for each in free if each.gpu.gpu_id != worker.gpu.gpu_id]
            elif served > 0:
                served -= 1
            elif self._order in PAUSES:
                commands += self._preempt_for(job, now_s)
        return commands

    def _is_doomed(self, job: Job, now_s: float) -> bool:
        return job.deadline_at_s is not None and now_s + self._rest_s(job) > job.deadline_at_s

    def _preempt_for(self, job: Job, now_s: float) -> list[Command]:
        """Pause a run on a GPU that holds the job's model: for SRTF the one with the longest rest, if that is longer
        than all of this job; for GenServe the clip with the highest slack."""
        there = {w.gpu.gpu_id for w in self._workers.values() if w.model_id == job.request.model_id and w.is_ready}
        found: list[tuple[float, WorkerId, Worker, Job]] = []
        for worker in self._workers.values():
            held = self._jobs.get(worker.job_id) if worker.job_id is not None else None
            if held is None or held.state is not JobState.RUNNING:
                continue
            if worker.is_pausing or worker.gpu.gpu_id not in there:
                continue
            rest_s = self._rest_s(held) - (now_s - worker.began_s)
            if self._order is Order.SRTF and rest_s > self._rest_s(job) + 1.0:
                found.append((rest_s, worker.worker_id, worker, held))
            elif self._order is Order.GENSERVE and self._is_clip(held):
                slack_s = (held.deadline_at_s or NO_DEADLINE_S) - now_s - rest_s
                if not self._is_clip(job) or self._slack_s(job, now_s) < ROUND_S < slack_s:
                    found.append((slack_s, worker.worker_id, worker, held))
        if not found:
            return []
        _, _, longest, held = max(found, key=lambda each: each[:2])
        longest.is_pausing = True
        return [PauseRun(worker_id=longest.worker_id, job_id=held.job_id, attempt=held.attempt)]

    def _is_clip(self, job: Job) -> bool:
        return not self._cards[job.request.model_id].tasks.isdisjoint(CLIP_TASKS)

    def _slack_s(self, job: Job, now_s: float) -> float:
        """Seconds for which a waiting job can wait on and still meet its deadline."""
        return (job.deadline_at_s or NO_DEADLINE_S) - now_s - self._rest_s(job)

    def _dispatch(self, job: Job, worker: Worker, now_s: float) -> list[Command]:
        self._leave_line(job.job_id)
        job = replace(job.moved(JobState.DISPATCHED, now_s=now_s), attempt=job.attempt + 1)
        worker.job_id, worker.began_s, worker.is_pausing = job.job_id, now_s, False
        self._holders[job.job_id, job.attempt] = worker
        steps = self._done_steps.get(job.job_id, 0)
        order = run_order(job, preview_every=0, checkpoint="kept" if steps else None, steps_done=steps)
        return [self._record(job, "dispatched"), Dispatch(worker_id=worker.worker_id, order=order)]

    def _finish_run(self, event: ImagesReady, now_s: float) -> list[Command]:
        worker = self._release(event.job_id, event.attempt, now_s)
        job = self._current(event.job_id, event.attempt, *ON_WORKER)
        if job is None or worker is None:
            return []
        if not self._done_steps.get(job.job_id):
            self._profiles.observe_run(job.request, event.run_s, worker.gpu.gpu_class)
        commands: list[Command] = []
        if job.state is JobState.DISPATCHED:
            job = job.moved(JobState.RUNNING, now_s=now_s)
            commands.append(self._record(job, "started"))
        attempt = self._attempt(job, worker, AttemptOutcome.SUCCEEDED, now_s)
        job = job.moved(JobState.POST_PROCESSING, now_s=now_s)
        self._charged[job.job_id] = attempt
        return [*commands, self._record(job, "images_ready", attempt), PostProcess(job=job)]

    def _fail_run(self, job_id: JobId, number: int, now_s: float) -> list[Command]:
        return self._free_and_requeue(job_id, number, AttemptOutcome.ENGINE_FAILED, "engine_internal", now_s)

    def _free_and_requeue(
        self, job_id: JobId, number: int, outcome: AttemptOutcome, cause: str, now_s: float
    ) -> list[Command]:
        worker = self._release(job_id, number, now_s)
        job = self._current(job_id, number, *ON_WORKER)
        if job is None or worker is None:
            return []
        return self._retry(job, worker, outcome, cause, now_s)

    def _retry(self, job: Job, worker: Worker, outcome: AttemptOutcome, cause: str, now_s: float) -> list[Command]:
        attempt = self._attempt(job, worker, outcome, now_s)
        if outcome is AttemptOutcome.ENGINE_FAILED:
            job = replace(job, failures=job.failures + 1)
            if job.failures >= ATTEMPTS_MAX:
                return self._end(job, JobState.FAILED, cause, now_s, attempt)
        return [self._wait(job, cause, attempt, now_s)]

    def _lose(self, worker_id: WorkerId, now_s: float) -> list[Command]:
        worker = self._workers.pop(worker_id, None)
        if worker is None or worker.job_id is None:
            return []
        job = self._jobs.get(worker.job_id)
        self._holders = {run: holder for run, holder in self._holders.items() if holder is not worker}
        if job is None or job.state not in ON_WORKER:
            return []
        self._done_steps.pop(job.job_id, None)
        return self._retry(job, worker, AttemptOutcome.WORKER_LOST, "worker_lost", now_s)

    def _expire(self, now_s: float) -> list[Command]:
        late = [j for j in self._jobs.values() if j.deadline_at_s is not None and j.deadline_at_s <= now_s]
        return [
            command
            for job in late
            for command in self._end_early(job.job_id, JobState.EXPIRED, "deadline_exceeded", now_s)
        ]

    # --- moves -------------------------------------------------------------------------------------------------------

    def _key(self, job: Job) -> tuple[float, int]:
        match self._order:
            case Order.FCFS:
                return (job.created_at_s, job.sequence)
            case Order.SJF | Order.SRTF:
                return (self._rest_s(job), job.sequence)
            case Order.EDF:
                return (job.deadline_at_s or NO_DEADLINE_S, job.sequence)
            case Order.GENSERVE:
                return (self._slack_s(job, 0.0) + (CLIPS_AFTER_S if self._is_clip(job) else 0.0), job.sequence)
            case _:
                assert_never(self._order)

    def _rest_s(self, job: Job) -> float:
        """Estimated GPU-seconds of what has not been done."""
        done = self._done_steps.get(job.job_id, 0) / max(job.request.steps, 1)
        return self._profiles.run_s(job.request) * (1.0 - done)

    def _enqueue(self, job: Job, cause: str, attempt: Attempt | None) -> RecordJob:
        key = self._key(job)
        self._line[key] = job.job_id
        self._keys[job.job_id] = key
        return self._record(job, cause, attempt)

    def _wait(self, job: Job, cause: str, attempt: Attempt | None, now_s: float) -> RecordJob:
        return self._enqueue(job.moved(JobState.PENDING, now_s=now_s), cause, attempt)

    def _leave_line(self, job_id: JobId) -> None:
        key = self._keys.pop(job_id, None)
        if key is not None:
            del self._line[key]

    def _record(self, job: Job, cause: str, attempt: Attempt | None = None) -> RecordJob:
        self._jobs[job.job_id] = job
        return RecordJob(job=job, cause=cause, ended_attempt=attempt)

    def _end_early(self, job_id: JobId, state: JobState, code: str, now_s: float) -> list[Command]:
        job = self._jobs.get(job_id)
        if job is None:
            return []
        worker = self._holders.get((job_id, job.attempt)) if job.state in ON_WORKER else None
        if worker is None:
            return self._end(job, state, code, now_s, None)
        outcome = AttemptOutcome.EXPIRED if state is JobState.EXPIRED else AttemptOutcome.CANCELLED
        ended = self._end(job, state, code, now_s, self._attempt(job, worker, outcome, now_s))
        return [*ended, AbortRun(worker_id=worker.worker_id, job_id=job_id, attempt=job.attempt)]

    def _end(self, job: Job, state: JobState, code: str, now_s: float, attempt: Attempt | None) -> list[Command]:
        over = job.moved(state, now_s=now_s, failure=Failure(code=code, message=code))
        self._forget(job.job_id)
        self._charged.pop(job.job_id, None)
        return [RecordJob(job=over, cause=code, ended_attempt=attempt)]

    def _forget(self, job_id: JobId) -> None:
        self._leave_line(job_id)
        self._jobs.pop(job_id, None)
        self._done_steps.pop(job_id, None)

    def _current(self, job_id: JobId, attempt: int, *states: JobState) -> Job | None:
        job = self._jobs.get(job_id)
        return job if job is not None and job.attempt == attempt and job.state in states else None

    def _release(self, job_id: JobId, attempt: int, now_s: float) -> Worker | None:
        worker = self._holders.pop((job_id, attempt), None)
        if worker is not None:
            worker.job_id, worker.is_pausing, worker.since_s = None, False, now_s
        return worker

    def _attempt(self, job: Job, worker: Worker, outcome: AttemptOutcome, now_s: float) -> Attempt:
        return Attempt(
            job_id=job.job_id,
            number=job.attempt,
            worker_id=worker.worker_id,
            gpu_id=worker.gpu.gpu_id,
            gpu_class=worker.gpu.gpu_class,
            model_id=worker.model_id,
            dispatched_at_s=worker.began_s,
            ended_at_s=now_s,
            gpu_s=max(now_s - worker.began_s, 0.0),
            outcome=outcome,
            market=worker.gpu.market.value,
            zone=worker.gpu.zone,
        )
