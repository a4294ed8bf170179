"""The simulated world: a virtual clock, a heap of what happens next, and everything that carries commands out.

Theory of operation. The world knows the truth (how long a run really takes, which worker hangs), the decider knows what
it is told. One loop takes the earliest of three things: the next arrival (streamed, never on the heap), the next entry
of the heap, the next tick. Whatever reaches the decider goes through `_fold`, which carries the commands out in order,
like a turn of the pipeline in which nothing has to be waited for. Reports of workers go through `_report`, where
messages are lost, repeated and delayed. Entries at the same time come in the order in which they were made.

A job that has ended is forgotten; memory grows with open jobs, GPUs and buckets only. `check` asserts the invariants
and may run after every step.
"""

import heapq
from collections.abc import Callable, Iterator
from itertools import count
from typing import assert_never

from heliograph.billing.fleet_meter import FleetMeter, closing_of
from heliograph.domain.billing_records import Account
from heliograph.domain.commands import (
    AbortRun,
    BuyGpu,
    Command,
    Dispatch,
    PauseRun,
    PostProcess,
    RecordJob,
    RefuseJob,
    ReleaseGpu,
    SaveJob,
    StartReplica,
    StopReplica,
)
from heliograph.domain.errors import EngineErrorKind
from heliograph.domain.events import (
    CancelRequested,
    CheckpointKept,
    ClockTicked,
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
    ReplicaRequested,
    ReplicaStopRequested,
    RunAborted,
    RunFailed,
    RunPaused,
    RunStarted,
    StepDone,
    WorkerLost,
    WorkerReady,
)
from heliograph.domain.ids import GpuId, JobId, ModelId, TenantId, WorkerId
from heliograph.domain.job import Job, JobState
from heliograph.domain.model_card import ModelCard
from heliograph.domain.orders import Halt, Scope
from heliograph.domain.pictures import Decision, Verdict
from heliograph.domain.request import GenerationRequest, OutputFormat, Quality
from heliograph.domain.run import RunOrder
from heliograph.domain.sketch import Sketch
from heliograph.domain.views import Gpu, Market
from heliograph.fleet.capacity import Arriving
from heliograph.simulation.arrivals import Arrival
from heliograph.simulation.books import Asked, Books
from heliograph.simulation.chance import Chance
from heliograph.simulation.decider import Decider, Holdings, Present
from heliograph.simulation.hardware import Term
from heliograph.simulation.incidents import Incident, IncidentKind, Incidents
from heliograph.simulation.machines import Machined, Machines, Replica, Run
from heliograph.simulation.measures import Measures
from heliograph.simulation.scenario import Scenario
from heliograph.simulation.spot import Availability
from heliograph.simulation.truth import Truth

ETA_SAMPLE = 20
"""Of so many submissions one is asked for its expected delivery."""
DECISION_SAMPLE = 5
"""Of so many decisions one is timed."""
DRAIN_S_MAX = 4 * 3600.0
"""So long after the last arrival, jobs that are still open are given up as unfinished."""
BUCKETS = 288
SETTLE_EVERY_S = 300.0
"""How often the meter of GPU time is read."""
TRADE_EVERY_S = 15.0
"""How often the capacity plan is asked."""
LOST_NOTICE_S = 10.0
"""A worker's end cannot go unnoticed for longer: the driver looks after its processes."""

VIDEO_TASKS = frozenset({"t2v", "i2v"})
_KILLING = {"out_of_memory": LossReason.OUT_OF_MEMORY, "crashed": LossReason.CRASHED}
"""Faults of a run that end its worker."""
_REJECTED = Verdict(decision=Decision.REGENERATE, reasons=("simulated",))


class World:
    """One simulation. Everything it needs is handed in; `run` plays it to its end."""

    def __init__(
        self,
        *,
        scenario: Scenario,
        cards: dict[ModelId, ModelCard],
        machines: Machines,
        make_decider: Callable[[list[Gpu]], Decider],
        truth: Truth,
        books: Books,
        availability: dict[str, Availability],
        chance: Chance,
        clock_ns: Callable[[], int] | None,
        check_every: int,
        capacity: bool = False,
        make_meter: Callable[[list[Gpu], float], FleetMeter] | None = None,
        watch: Callable[[float, "World"], None] | None = None,
    ) -> None:
        self.now_s = 0.0
        self.scenario = scenario
        self.books = books
        self.machines = machines
        self.measures = Measures(buckets=BUCKETS, bucket_s=scenario.duration_s / BUCKETS)
        self.decision_us = Sketch()
        self.events = 0
        self.loads = 0
        self.stops = 0
        self._cards = cards
        self._kinds = {model_id: "video" if card.tasks & VIDEO_TASKS else "image" for model_id, card in cards.items()}
        self._make_decider = make_decider
        self._decider: Decider | None = make_decider([])
        self._truth = truth
        self._faults = scenario.faults
        self._incidents = Incidents(scenario.incident)
        self._machine = scenario.machine
        self._availability = availability
        self._luck = chance.fork("faults")
        self._clock_ns = clock_ns
        self._check_every = check_every
        self._watch = watch
        self._bucket_s = scenario.duration_s / BUCKETS
        self._heap: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._order = count()
        self._workers = count(1)
        self._sequence = 0
        self._offset_s = 0.0
        self._make_meter = make_meter
        self._meter = make_meter and make_meter([], scenario.start_s)
        self._settled_s = 0.0
        self._settlements = count()
        self._next_tick_s = 0.0
        self._last_tick_s = -1.0
        self._looked_s = 0.0
        self._present: dict[GpuId, None] = {}
        self._capacity = capacity
        self._halts: tuple[Halt, ...] = ()
        self._arriving: dict[GpuId, Arriving] = {}
        self._taken_back: dict[str, int] = {}
        self._refused_at_s: dict[str, float] = {}
        self._alone: dict[tuple[ModelId, tuple[int, int], int, int], float] = {}
        self._has_message_faults = bool(
            self._faults.lost_messages or self._faults.duplicates or self._faults.late_messages
        )

    # --- the loop ---------------------------------------------------------------------------------------------------

    def run(self, arrivals: Iterator[Arrival]) -> None:
        """Play everything: the scenario's duration, and then until every job has ended (or `DRAIN_S_MAX` passed)."""
        self._set_up()
        heap, end_s = self._heap, self.scenario.duration_s
        arrival = next(arrivals, None)
        steps = 0
        while True:
            tick_s = self._next_tick_s
            first_s = heap[0][0] if heap else tick_s
            if arrival is not None and arrival.at_s <= first_s and arrival.at_s <= tick_s:
                self.now_s = arrival.at_s
                self._arrive(arrival)
                arrival = next(arrivals, None)
            elif heap and first_s <= tick_s:
                at_s, _, act, args = heapq.heappop(heap)
                self.now_s = at_s
                act(*args)
            else:
                self.now_s = tick_s
                self._tick()
                if arrival is None and self.now_s >= end_s and self._is_over():
                    break
            steps += 1
            if self._check_every and steps % self._check_every == 0:
                self.check()
            if self._watch is not None and not steps & 0x3FF:
                self._watch(self.now_s, self)
        self._finish()

    def _is_over(self) -> bool:
        return not self.books.open or self.now_s >= self.scenario.duration_s + DRAIN_S_MAX

    def _set_up(self) -> None:
        for index, machined in enumerate(self.machines.gpus.values()):
            name = machined.group.availability
            steps = self._availability[name] if name is not None else [(0.0, 1.0)]
            notice_s = self.scenario.spot[name].notice_s if name is not None else 0.0
            place = index - self._first_of(machined)
            share = (place + 0.5) / machined.group.count
            machined.is_owned = not self._buys(machined)
            for at_s, available in steps:
                if available < share and notice_s > 0:
                    self._at(max(at_s - notice_s, 0.0), self._announce, machined, at_s)
                self._at(at_s, self._set_present, machined, available >= share, at_s > 0)
            if self._faults.gpu_failures_per_hour:
                self._at(self._wait_s(self._faults.gpu_failures_per_hour), self._break_gpu, machined)
        for incident in self._incidents.of(IncidentKind.ZONE_LOSS):
            self._at(incident.at_s, self._take_zone_back, incident)
        if self._capacity:
            self._at(0.0, self._trade)
        if self._faults.clock_jumps_per_hour:
            self._at(self._wait_s(self._faults.clock_jumps_per_hour), self._jump)
        if self._faults.restarts_per_hour:
            self._at(self._wait_s(self._faults.restarts_per_hour), self._kill_server)
        if self._faults.halts_per_hour:
            self._at(self._wait_s(self._faults.halts_per_hour), self._halt)

    def _size(self, kind: IncidentKind, *targets: str, default: float) -> float:
        """How large an incident of this kind is that is in force, or the default."""
        return self._incidents.size(kind, targets, self.now_s, default=default) if self._incidents else default

    def _dispatch_s(self) -> float:
        """From the decision to the worker: what is decided is made durable first."""
        return self._machine.dispatch_s + self._size(IncidentKind.SLOW_COMMITS, "", default=0.0)

    def _take_zone_back(self, incident: Incident) -> None:
        """The market takes a share of a zone's spot GPUs back, all at once, and has none until the incident is over."""
        spot = [
            machined
            for machined in self.machines.gpus.values()
            if machined.group.zone == incident.target and machined.group.term is Term.SPOT and machined.is_available
        ]
        taken = spot[: round(incident.size * len(spot))]
        for machined in taken:
            self._set_present(machined, False, True)
            self._at(self.now_s + incident.duration_s, self._set_present, machined, True, True)

    def _first_of(self, machined: Machined) -> int:
        return next(i for i, other in enumerate(self.machines.gpus.values()) if other.group is machined.group)

    def _finish(self) -> None:
        for asked in self.books.open.values():
            self._miss(asked, "unfinished")
        for machined in self.machines.gpus.values():
            self._settle(machined)
        self._settle_meter()
        self.check()
        if not self.books.open and self._decider is not None:
            rest = self.books.balance(Account.FLEET)
            assert rest == 0, f"{rest} micro-dollars of GPU time have no owner"

    def _at(self, at_s: float, act: Callable[..., None], *args: object) -> None:
        heapq.heappush(self._heap, (at_s, next(self._order), act, args))

    def _wait_s(self, per_hour: float) -> float:
        return self.now_s + self._luck.exponential(3600.0 / per_hour)

    # --- the decider -----------------------------------------------------------------------------------------------

    def _fold(self, event: Event) -> None:
        decider = self._decider
        if decider is None:
            return  # the server is down; who reports to it finds nobody
        self.events += 1
        now_s = self.scenario.start_s + self.now_s + self._offset_s
        if self._clock_ns is None or self.events % DECISION_SAMPLE:
            commands = decider.handle(event, now_s=now_s)
        else:
            begun_ns = self._clock_ns()
            commands = decider.handle(event, now_s=now_s)
            self.decision_us.add((self._clock_ns() - begun_ns) / 1_000)
        if self._meter is not None:
            self._meter.note(event, commands, now_s=now_s)
        for command in commands:
            self._obey(command)

    def _settle_meter(self) -> None:
        """Post what the meter of GPU time has seen, as the server does now and then."""
        self._settled_s = self.now_s
        if self._meter is not None:
            now_s = self.scenario.start_s + self.now_s + self._offset_s
            self.books.post(self._meter.settle(posting_id=f"fleet:{next(self._settlements)}", now_s=now_s))

    def _tick(self) -> None:
        decider = self._decider
        if self.now_s - self._settled_s >= SETTLE_EVERY_S:
            self._settle_meter()
        if decider is not None:
            self._fold(ClockTicked())
            while decider.is_behind():
                self._fold(ClockTicked())
            self._plan(decider)
            pending = decider.pending_jobs()
            running = decider.open_jobs() - pending
            passed_s = self.now_s - self._looked_s
            if self.now_s <= self.scenario.duration_s and passed_s > 0:
                self.measures.look(self._looked_s, passed_s, pending=pending, running=running)
            self._looked_s = self.now_s
        else:
            pending = 0
        self._last_tick_s = self.now_s
        is_quiet = not pending
        self._next_tick_s = self.now_s + (self.scenario.quiet_tick_s if is_quiet else self.scenario.tick_s)

    def _plan(self, decider: Decider) -> None:
        now_s = self.scenario.start_s + self.now_s + self._offset_s
        present = Present(gpus=self._present, in_host_memory=self.machines.in_host_memory())
        for wish in decider.wishes(present, now_s=now_s):
            match wish:
                case StartReplica():
                    self._obey(wish)
                case StopReplica(worker_id=worker_id, reason=reason):
                    self._fold(ReplicaStopRequested(worker_id=worker_id, reason=reason))
                case _:
                    assert_never(wish)

    def _obey(self, command: Command) -> None:
        match command:
            case RecordJob():
                self._record(command)
            case SaveJob(job=job):
                self.books.save(job)
            case Dispatch(worker_id=worker_id):
                self._at(self.now_s + self._dispatch_s(), self._begin, worker_id, command.order)
                replica = self.machines.replicas.get(worker_id)
                if replica is not None and not replica.is_hanging:
                    assert replica.is_ready, f"worker {worker_id} has not loaded and gets job {command.order.job_id}"
            case PostProcess(job=job):
                finish_s = self._machine.finish_s * self._truth.noise()
                finish_s *= self._size(IncidentKind.SLOW_FINISH, "", default=1.0)
                self._at(self.now_s + finish_s, self._deliver, job)
            case AbortRun(worker_id=worker_id, job_id=job_id, attempt=attempt):
                self._call_off(worker_id, job_id, attempt, is_kept=False)
            case PauseRun(worker_id=worker_id, job_id=job_id, attempt=attempt):
                self._call_off(worker_id, job_id, attempt, is_kept=True)
            case StartReplica():
                self._start(command)
            case StopReplica(worker_id=worker_id):
                replica = self.machines.replicas.get(worker_id)
                if replica is not None and not replica.is_stopping:
                    replica.is_stopping = True
                    self.stops += 1
                    self._at(self.now_s + self._machine.stop_s, self._lose, replica, LossReason.STOPPED)
            case RefuseJob(job_id=job_id, error=error):
                asked = self.books.refuse(job_id, error.code)
                self._miss(asked, "refused")
            case _:
                assert_never(command)

    def _miss(self, asked: Asked, outcome: str) -> None:
        if asked.at_s >= self.scenario.warm_up_s:
            self.measures.miss(asked, outcome, waited_s=self.now_s - asked.at_s)

    def _record(self, record: RecordJob) -> None:
        job = record.job
        asked = self.books.record(record)
        if asked.at_s < self.scenario.warm_up_s:
            return
        if job.state is JobState.COMPLETED:
            self.measures.complete(asked, self.now_s, job.stage_seconds())
        elif job.state.is_terminal:
            self._miss(asked, job.state.value)

    # --- requests --------------------------------------------------------------------------------------------------

    def _arrive(self, arrival: Arrival) -> None:
        self._sequence += 1
        job_id = JobId(f"job_{self._sequence:08d}")
        kind = self._kinds[arrival.model_id]
        target_s = self.scenario.targets.get(kind, {}).get(arrival.tier)
        alone_s = self._alone_s(arrival)
        if target_s is not None:
            target_s += self.scenario.target_stretch * alone_s
        asked = Asked(
            at_s=self.now_s,
            kind=kind,
            tier=arrival.tier,
            tenant=arrival.tenant,
            images=arrival.images,
            target_s=target_s,
            alone_s=alone_s,
            is_cold=not self.machines.loaded.get(arrival.model_id),
        )
        self.measures.arrive(self.now_s)
        self.books.submit(job_id, asked)
        decider = self._decider
        refusal = "server_down" if decider is None else decider.why_not(arrival.model_id, arrival.tier)
        if decider is None or refusal is not None:
            self.books.refuse(job_id, refusal or "")
            self._miss(asked, "refused")
            return
        now_s = self.scenario.start_s + self.now_s + self._offset_s
        deadline_s = arrival.deadline_s or (target_s if self.scenario.deadlines else None)
        self._fold(JobSubmitted(job=_job(arrival, job_id, self._sequence, now_s, deadline_s)))
        if arrival.cancelled_after_s is not None:
            self._at(self.now_s + arrival.cancelled_after_s, self._fold, CancelRequested(job_id=job_id))
        if self._sequence % ETA_SAMPLE == 0 and job_id in self.books.open:
            asked.eta = decider.eta(job_id, now_s=now_s)
        # The pipeline plans in the turn of the submission; here a tick comes at once, unless one has just been.
        self._next_tick_s = min(self._next_tick_s, max(self.now_s, self._last_tick_s + self.scenario.tick_s))

    def _alone_s(self, arrival: Arrival) -> float:
        """How long the request would take on the fastest GPU that has its model loaded and nothing else to do."""
        key = (arrival.model_id, arrival.size, arrival.steps, arrival.images)
        known = self._alone.get(key)
        if known is None:
            if len(self._alone) > 10_000:
                self._alone.clear()
            run_s = min(
                self._truth.run_s(
                    arrival.model_id, timing.gpu, size=arrival.size, steps=arrival.steps, images=arrival.images
                )
                for timing in self._cards[arrival.model_id].timings
            )
            known = self._alone[key] = run_s + self._machine.dispatch_s + self._machine.finish_s
        return known

    def _deliver(self, job: Job) -> None:
        rejects = self._size(IncidentKind.GATE_REJECTS, job.request.model_id, default=self._faults.gate_rejects)
        if self._luck.happens(rejects):
            self._internal(GateRejected(job_id=job.job_id, attempt=job.attempt, verdict=_REJECTED))
        else:
            self._internal(OutputsStored(job_id=job.job_id, attempt=job.attempt, outputs=()))

    def _internal(self, event: Event) -> None:
        """An event of the server's own: it may come twice, but it does not get lost on the way."""
        self._fold(event)
        if self._luck.happens(self._faults.duplicates):
            self._at(self.now_s + self._luck.uniform() * self._faults.late_s, self._fold, event)

    # --- workers ---------------------------------------------------------------------------------------------------

    def _start(self, command: StartReplica) -> None:
        model_id = command.model_id
        gpus = tuple(self.machines.gpus[gpu_id] for gpu_id in (command.gpu_id, *command.more_gpu_ids))
        if not all(machined.is_up for machined in gpus):
            return
        assert len({machined.gpu.node_id for machined in gpus}) == 1, f"{model_id} is spread over nodes"
        machined = gpus[0]
        worker_id = WorkerId(f"worker_{next(self._workers):06d}")
        self._fold(
            ReplicaRequested(
                worker_id=worker_id,
                gpu_id=command.gpu_id,
                model_id=model_id,
                more_gpu_ids=command.more_gpu_ids,
            )
        )
        card = self._cards[model_id]
        self.loads += 1
        size_gb = self._truth.weights_gb[model_id]
        node = machined.node
        load_s = self._truth.load_s(
            model_id,
            from_memory=model_id in node.memory,
            fetches=model_id not in node.disk and model_id not in node.memory,
        )
        node.disk.use(model_id, size_gb)
        node.memory.use(model_id, size_gb)
        replica = Replica(worker_id=worker_id, gpus=gpus, model_id=model_id, memory_bytes=card.vram_bytes or 0)
        self.machines.add(replica)
        self._settle_all(replica)
        fails = self._size(IncidentKind.LOAD_FAILURES, model_id, default=self._faults.load_failures)
        if self._luck.happens(fails):
            self._at(self.now_s + load_s * self._luck.uniform(), self._lose, replica, LossReason.LOAD_FAILED)
        else:
            self._at(self.now_s + load_s, self._ready, replica, load_s)
        for per_hour, act in (
            (self._faults.worker_crashes_per_hour, self._crash),
            (self._faults.worker_hangs_per_hour, self._hang),
        ):
            if per_hour:
                self._at(self._wait_s(per_hour), act, replica)

    def _is_there(self, replica: Replica) -> bool:
        return self.machines.replicas.get(replica.worker_id) is replica

    def _ready(self, replica: Replica, load_s: float) -> None:
        if not self._is_there(replica) or replica.is_hanging:
            return
        self.machines.ready(replica)
        self._settle_all(replica)
        event = WorkerReady(
            worker_id=replica.worker_id,
            load_s=load_s,
            memory_bytes=replica.memory_bytes,
            can_resume=self._machine.can_resume,
        )
        if not self._report(event):
            self._at(self.now_s + self._faults.silence_s, self._lose_if_waiting, replica)

    def _lose_if_waiting(self, replica: Replica) -> None:
        """Its report was lost: from outside it has been silent since."""
        if self._is_there(replica) and replica.run is None:
            self._lose(replica, LossReason.SILENT)

    def _crash(self, replica: Replica) -> None:
        if self._is_there(replica):
            self._lose(replica, LossReason.CRASHED)

    def _hang(self, replica: Replica) -> None:
        if self._is_there(replica):
            replica.is_hanging = True
            self._at(self.now_s + self._faults.silence_s, self._lose, replica, LossReason.SILENT)

    def _lose(self, replica: Replica, reason: LossReason) -> None:
        """The worker is gone, and whatever it did with it."""
        if not self._is_there(replica):
            return
        run = replica.run
        if run is not None:
            self._leave_gpu(replica, run, is_lost=True)
        self.machines.remove(replica)
        self._settle_all(replica)
        event = WorkerLost(worker_id=replica.worker_id, reason=reason)
        if not self._report(event):
            self._at(self.now_s + LOST_NOTICE_S, self._fold, event)

    # --- runs --------------------------------------------------------------------------------------------------------

    def _begin(self, worker_id: WorkerId, order: RunOrder) -> None:
        replica = self.machines.replicas.get(worker_id)
        if replica is None or replica.is_stopping:
            return  # a command for a worker that is gone does nothing; its loss is reported anyhow
        assert replica.run is None, f"worker {worker_id} is given job {order.job_id} while it has one"
        work_s = self._truth.noise() * self._truth.run_s(
            order.model_id,
            replica.gpu.gpu.gpu_class,
            size=(order.width_px, order.height_px),
            steps=order.steps,
            images=len(order.seeds),
        )
        on_gpus = [machined.gpu.gpu_id for machined in replica.gpus]
        work_s *= self._size(IncidentKind.SLOW_GPU, *on_gpus, default=1.0)
        left_s = work_s * (1.0 - order.first_step / max(order.steps, 1))
        if order.first_step:
            left_s += self._machine.resume_s
        run = Run(order=order, work_s=work_s, left_s=left_s, begun_s=self.now_s, updated_s=self.now_s, has_begun=True)
        run.kept_s = self.now_s
        for probability, fault in (
            (self._size(IncidentKind.RUN_FAILURES, order.model_id, default=self._faults.run_failures), "failed"),
            (self._faults.out_of_memory, "out_of_memory"),
            (self._size(IncidentKind.BAD_GPU, *on_gpus, default=0.0), "crashed"),
        ):
            if self._luck.happens(probability):
                run.fault, run.left_s = fault, left_s * self._luck.uniform()
                run.beyond_s = left_s - run.left_s
                break
        replica.run = run
        for machined in replica.gpus:
            machined.active += 1
        self._settle_all(replica)
        self._report(RunStarted(job_id=order.job_id, attempt=order.attempt))
        if replica.run is not run:
            return
        if replica.pace() < 1.0:
            for machined in replica.gpus:
                self._share(machined)
        else:
            self._at(self.now_s + run.left_s, self._end, replica, run, 0)
        if run.left_s > self.scenario.step_reports_s:
            self._at(self.now_s + self.scenario.step_reports_s, self._step, replica, run)

    def _share(self, machined: Machined) -> None:
        """The runs on the GPU share it evenly from now on."""
        for replica in machined.replicas:
            run = replica.run
            if run is not None and run.has_begun:
                run.advance(self.now_s)
                run.pace = replica.pace()
                run.token += 1
                self._at(self.now_s + run.left_s / run.pace, self._end, replica, run, run.token)

    def _step(self, replica: Replica, run: Run) -> None:
        if replica.run is not run or replica.is_hanging:
            return
        run.advance(self.now_s)
        order = run.order
        step = run.steps_done
        self._report(StepDone(job_id=order.job_id, attempt=order.attempt, step=step, steps=order.steps))
        if 0 < self._machine.checkpoint_every_s <= self.now_s - run.kept_s and order.first_step < step < order.steps:
            run.kept_s = self.now_s
            name = f"{order.job_id}:{order.attempt}"
            self._report(CheckpointKept(job_id=order.job_id, attempt=order.attempt, step=step, checkpoint=name))
        self._at(self.now_s + self.scenario.step_reports_s, self._step, replica, run)

    def _end(self, replica: Replica, run: Run, token: int) -> None:
        """The run's work is done, unless it was shared, lost or called off since."""
        if replica.run is not run or run.token != token or replica.is_hanging:
            return
        order = run.order
        if run.fault in _KILLING:
            self._lose(replica, _KILLING[run.fault])
            return
        self._leave_gpu(replica, run, is_lost=run.fault is not None)
        event: Event
        if run.fault is None:
            run_s = self.now_s - run.begun_s
            event = ImagesReady(job_id=order.job_id, attempt=order.attempt, run_s=run_s, images=())
        else:
            kind = EngineErrorKind.NAN if self._luck.happens(0.5) else EngineErrorKind.INTERNAL
            event = RunFailed(job_id=order.job_id, attempt=order.attempt, kind=kind, message="simulated fault")
        self._settle_all(replica)
        if not self._report(event):
            self._at(self.now_s + self._faults.silence_s, self._lose_if_waiting, replica)

    def _call_off(self, worker_id: WorkerId, job_id: JobId, attempt: int, *, is_kept: bool) -> None:
        """Stop the attempt at its next step boundary; with `is_kept` what it has done is not lost."""
        replica = self.machines.replicas.get(worker_id)
        if replica is None:
            return
        run = replica.run
        if run is None or (run.order.job_id, run.order.attempt) != (job_id, attempt):
            # It has just ended, or its order is still on its way and is called off when it comes.
            self._at(self.now_s + self._machine.dispatch_s, self._call_off_late, replica, job_id, attempt, is_kept)
            return
        run.advance(self.now_s)
        step_s = run.work_s / max(run.order.steps, 1)
        into_step_s = (run.work_s - run.left_s) % step_s if step_s > 0 else 0.0
        wait_s = min(step_s - into_step_s, run.left_s) / run.pace
        run.token += 1
        self._at(self.now_s + wait_s, self._called_off, replica, run, is_kept)

    def _call_off_late(self, replica: Replica, job_id: JobId, attempt: int, is_kept: bool) -> None:
        run = replica.run
        if run is not None and (run.order.job_id, run.order.attempt) == (job_id, attempt):
            run.token += 1
            self._called_off(replica, run, is_kept)

    def _called_off(self, replica: Replica, run: Run, is_kept: bool) -> None:
        if replica.run is not run or replica.is_hanging:
            return
        run.advance(self.now_s)
        order = run.order
        self._leave_gpu(replica, run, is_lost=not is_kept)
        self._settle_all(replica)
        event: Event
        if is_kept:
            name = f"{order.job_id}:{order.attempt}"
            event = RunPaused(job_id=order.job_id, attempt=order.attempt, step=run.steps_done, checkpoint=name)
        else:
            event = RunAborted(job_id=order.job_id, attempt=order.attempt)
        if not self._report(event):
            self._at(self.now_s + self._faults.silence_s, self._lose_if_waiting, replica)

    def _leave_gpu(self, replica: Replica, run: Run, *, is_lost: bool) -> None:
        replica.run = None
        if is_lost:
            self.machines.lost_s += (self.now_s - run.kept_s) * run.pace * len(replica.gpus)
        for machined in replica.gpus:
            machined.active -= 1
            if machined.active:
                self._share(machined)

    def _settle_all(self, replica: Replica) -> None:
        for machined in replica.gpus:
            self._settle(machined)

    def _settle(self, machined: Machined) -> None:
        self.machines.settle(machined, self.now_s, self.scenario.duration_s, self.measures, self._bucket_s)

    # --- messages, GPUs, clocks, servers ---------------------------------------------------------------------------

    def _report(self, event: Event) -> bool:
        """A worker's report on its way to the scheduler; False when it is lost."""
        if not self._has_message_faults:
            self._fold(event)
            return True
        faults, luck = self._faults, self._luck
        if luck.happens(faults.lost_messages):
            return False
        if luck.happens(faults.late_messages):
            self._at(self.now_s + luck.uniform() * faults.late_s, self._fold, event)
        else:
            self._fold(event)
        if luck.happens(faults.duplicates):
            self._at(self.now_s + luck.uniform() * faults.late_s, self._fold, event)
        return True

    def _set_present(self, machined: Machined, is_available: bool, boots: bool) -> None:
        """The market has this GPU for us, or takes it back."""
        machined.is_available = is_available
        if not is_available:
            if machined.is_up and machined.group.term is Term.SPOT:
                zone = machined.group.zone
                self._taken_back[zone] = self._taken_back.get(zone, 0) + 1
            machined.is_owned = machined.is_owned and not self._buys(machined)
            self._take_down(machined, LossReason.RECLAIMED)
        elif machined.is_owned:
            self._at(self.now_s + (self._machine.boot_s if boots else 0.0), self._bring_up, machined)

    def _announce(self, machined: Machined, leaves_at_s: float) -> None:
        """The market says that it will take the GPU back."""
        if machined.is_up:
            clock_s = self.scenario.start_s + self._offset_s
            self._fold(GpuNotice(gpu_id=machined.gpu.gpu_id, leaves_at_s=clock_s + leaves_at_s))

    def _buys(self, machined: Machined) -> bool:
        """The GPU is had only when it is bought, and not simply whenever the market has it."""
        return self._capacity and machined.group.term is not Term.RESERVED

    def _bring_up(self, machined: Machined) -> None:
        self._arriving.pop(machined.gpu.gpu_id, None)
        if machined.is_up or not machined.is_available or not machined.is_owned:
            return
        machined.is_up = True
        self._present[machined.gpu.gpu_id] = None
        self._settle(machined)
        self._fold(GpuArrived(gpu=machined.gpu))

    def _take_down(self, machined: Machined, reason: LossReason) -> None:
        self._arriving.pop(machined.gpu.gpu_id, None)
        if not machined.is_up:
            return
        self._present.pop(machined.gpu.gpu_id, None)
        if reason is LossReason.RECLAIMED:
            self._fold(GpuGone(gpu_id=machined.gpu.gpu_id))
        for replica in list(machined.replicas):
            self._lose(replica, reason)
        if reason is not LossReason.RECLAIMED:
            self._fold(GpuGone(gpu_id=machined.gpu.gpu_id))
        machined.is_up = False
        machined.node.memory.clear()
        self._settle(machined)

    def _break_gpu(self, machined: Machined) -> None:
        if machined.is_up:
            self._take_down(machined, LossReason.CRASHED)
            self._at(self.now_s + self._faults.gpu_repair_s, self._bring_up, machined)
        self._at(self._wait_s(self._faults.gpu_failures_per_hour), self._break_gpu, machined)

    def _trade(self) -> None:
        """Ask what to buy and to give back, and do it as far as the market allows."""
        decider = self._decider
        if decider is not None:
            now_s = self.scenario.start_s + self.now_s + self._offset_s
            holdings = Holdings(
                gpus=tuple(self.machines.gpus[gpu_id].gpu for gpu_id in self._present),
                arriving=tuple(self._arriving.values()),
                taken_back=dict(self._taken_back),
                refused_at_s=dict(self._refused_at_s),
            )
            for command in decider.purchases(holdings, now_s=now_s):
                match command:
                    case BuyGpu(gpu_class=gpu_class, market=market, zone=zone):
                        self._buy(gpu_class, market, zone, now_s)
                    case ReleaseGpu(gpu_id=gpu_id):
                        machined = self.machines.gpus[gpu_id]
                        if not machined.active:
                            machined.is_owned = False
                            self._take_down(machined, LossReason.RECLAIMED)
                    case _:
                        assert_never(command)
        if self.now_s < self.scenario.duration_s + DRAIN_S_MAX:
            self._at(self.now_s + TRADE_EVERY_S, self._trade)

    def _buy(self, gpu_class: str, market: Market, zone: str, now_s: float) -> None:
        for machined in self.machines.gpus.values():
            gpu, group = machined.gpu, machined.group
            if (gpu.gpu_class, gpu.market, group.zone) != (gpu_class, market, zone) or machined.is_owned:
                continue
            if machined.is_available:
                machined.is_owned = True
                self._arriving[gpu.gpu_id] = Arriving(market=market, zone=zone, since_s=now_s)
                self._at(self.now_s + self._machine.boot_s, self._bring_up, machined)
                return
        self._refused_at_s[zone] = now_s

    def _jump(self) -> None:
        """Somebody sets the wall clock."""
        self._offset_s = self._luck.between(-self._faults.clock_jump_s, self._faults.clock_jump_s)
        if self.now_s < self.scenario.duration_s:
            self._at(self._wait_s(self._faults.clock_jumps_per_hour), self._jump)

    def _halt(self) -> None:
        """An operator pauses or drains something, one thing at a time."""
        pick = self._luck.index
        scope = list(Scope)[pick(len(Scope))]
        pools = list(dict.fromkeys(machined.gpu.gpu_class for machined in self.machines.gpus.values()))
        names = {Scope.MODEL: list(self._cards), Scope.POOL: pools, Scope.SYSTEM: [""]}[scope]
        halt = Halt(
            scope=scope,
            name=names[pick(len(names))],
            lets_finish=self._luck.happens(0.5),
            is_drain=self._luck.happens(0.5),
        )
        self._halts = (halt,)
        self._fold(HaltsSet(halts=self._halts))
        self._at(self.now_s + self._faults.halt_s, self._resume)

    def _resume(self) -> None:
        self._halts = ()
        self._fold(HaltsSet(halts=()))
        if self.now_s < self.scenario.duration_s:
            self._at(self._wait_s(self._faults.halts_per_hour), self._halt)

    def _kill_server(self) -> None:
        """The server process and its workers die; what was recorded is durable."""
        self._decider = None
        self._meter = None
        for replica in list(self.machines.replicas.values()):
            if replica.run is not None:
                self._leave_gpu(replica, replica.run, is_lost=True)
            self.machines.remove(replica)
            self._settle_all(replica)
        self._at(self.now_s + self._faults.restart_s, self._recover_server)

    def _recover_server(self) -> None:
        self._decider = self._make_decider([self.machines.gpus[gpu_id].gpu for gpu_id in self._present])
        if self._make_meter is not None:
            now_s = self.scenario.start_s + self.now_s + self._offset_s
            self._meter = self._make_meter([self.machines.gpus[gpu_id].gpu for gpu_id in self._present], now_s)
            rest = self.books.balance(Account.FLEET)
            self.books.post(closing_of(rest, posting_id=f"closing:{next(self._settlements)}", now_s=now_s))
        if self._halts:
            self._fold(HaltsSet(halts=self._halts))
        for job_id in list(self.books.open):
            job = self.books.open[job_id].job
            if job is not None:
                self._fold(JobRecovered(job=job))
        if self.now_s < self.scenario.duration_s:
            self._at(self._wait_s(self._faults.restarts_per_hour), self._kill_server)

    def check(self) -> None:
        """Assert what must hold after every step: nobody lost or served twice, no GPU overfull, a balanced ledger."""
        self.books.check()
        self.machines.check()
        if self._decider is not None:
            self._decider.check()
            assert self._decider.open_jobs() == len(self.books.open), (
                "the scheduler and the books disagree on who waits"
            )
            for job_id in self.books.open:
                assert self._decider.is_open(job_id), f"job {job_id} was lost"


def _job(arrival: Arrival, job_id: JobId, sequence: int, now_s: float, deadline_s: float | None) -> Job:
    width_px, height_px = arrival.size
    request = GenerationRequest(
        model_id=arrival.model_id,
        prompt="",
        raw_prompt="",
        negative_prompt="",
        width_px=width_px,
        height_px=height_px,
        steps=arrival.steps,
        guidance=1.0,
        seed=sequence % 2**32,
        image_count=arrival.images,
        quality=Quality.STANDARD,
        style=None,
        output_format=OutputFormat.PNG,
        output_quality=None,
        prompt_tokens=0,
        adjustments=(),
    )
    return Job(
        job_id=job_id,
        tenant_id=TenantId(arrival.tenant),
        end_user=arrival.user,
        tier=arrival.tier,
        request=request,
        sequence=sequence,
        created_at_s=now_s,
        deadline_at_s=None if deadline_s is None else now_s + deadline_s,
    )
