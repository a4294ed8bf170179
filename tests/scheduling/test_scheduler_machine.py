"""Random histories, faults and nonsense included, against the scheduler's invariants.

The machine plays the world: a small fleet that carries the scheduler's commands out and reports back, badly. It checks
every command against what the world knows, and at the end, with all faults over, that everybody's job ends.

GPUs come and go (one of them is spot, where the paid tiers may not run), hold up to two workers that take turns, and
two of them make a gang. The wall clock is set forth and back. An operator pauses, drains and resumes.
"""

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from heliograph.domain.commands import (
    AbortRun,
    Command,
    Dispatch,
    PauseRun,
    PostProcess,
    RecordJob,
    RefuseJob,
    SaveJob,
    StartReplica,
    StopReplica,
)
from heliograph.domain.errors import EngineErrorKind
from heliograph.domain.events import (
    Event,
    GpuArrived,
    GpuGone,
    GpuNotice,
    HaltsSet,
    ImagesReady,
    JobRecovered,
    JobSubmitted,
    LossReason,
    ReplicaRequested,
    RunAborted,
    RunFailed,
    RunPaused,
)
from heliograph.domain.ids import GpuId, JobId, ModelId, WorkerId
from heliograph.domain.job import LEGAL_MOVES, JobState
from heliograph.domain.orders import Halt, Orders, Scope
from heliograph.domain.pictures import Decision
from heliograph.domain.tiers import Tier
from heliograph.domain.views import Market
from tests.builders import (
    a_gpu,
    a_job,
    a_request,
    a_scheduler,
    abandoned,
    cancelled,
    checkpoint_kept,
    clock_ticked,
    gate_rejected,
    gpu_gone,
    gpu_notice,
    halts_set,
    images_ready,
    outputs_stored,
    post_processing_failed,
    recovered,
    replica_requested,
    replica_stop_requested,
    run_aborted,
    run_failed,
    run_paused,
    run_started,
    step_done,
    submitted,
    worker_lost,
    worker_ready,
)

Run = tuple[JobId, int]
Item = TypeVar("Item")

GPUS = {
    gpu.gpu_id: gpu
    for gpu in (
        a_gpu("gpu0", gpu_class="big", node="n0"),
        a_gpu("gpu1", gpu_class="big", node="n0"),
        a_gpu("gpu2", gpu_class="small", node="n1", market=Market.SPOT),
    )
}
RESIDENTS_MAX = 2
HALTS = st.lists(
    st.builds(
        lambda what, lets_finish, is_drain: Halt(
            scope=what[0], name=what[1], lets_finish=lets_finish, is_drain=is_drain
        ),
        st.sampled_from(
            [
                (Scope.SYSTEM, ""),
                (Scope.MODEL, "painter"),
                (Scope.MODEL, "sketcher"),
                (Scope.POOL, "big"),
                (Scope.POOL, "small"),
            ]
        ),
        st.booleans(),
        st.booleans(),
    ),
    max_size=2,
    unique_by=lambda halt: halt.target,
)
MODELS = ("painter", "sketcher")
SOME = st.integers(0, 999)
"""Which of the things there are: the index, wrapped around."""


class World(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.scheduler = a_scheduler(
            workers=0,
            gpus=tuple(GPUS.values()),
            spot_tiers=frozenset({Tier.FREE}),
            pending_max=6,
            pending_max_per_tenant=4,
            pending_max_per_user=3,
            running_max_per_tenant=2,
            running_max_per_user=1,
            wait_s_max={Tier.FREE: 8.0},
            post_processing_max=2,
            backoff_s=(0.0, 3.0),
        )
        self.states: dict[JobId, JobState | None] = {}  # None: submitted, nothing recorded yet
        self.owners: dict[JobId, tuple[str, str | None]] = {}
        self.attempts: Counter[JobId] = Counter()
        self.refused: set[JobId] = set()
        self.models: dict[WorkerId, str] = {}  # of living workers
        self.places: dict[WorkerId, tuple[GpuId, ...]] = {}
        self.there: dict[GpuId, None] = dict.fromkeys(GPUS)
        self.leaving: set[GpuId] = set()
        self.tiers: dict[JobId, Tier] = {}
        self.orders = Orders()
        self.ready: set[WorkerId] = set()
        self.resuming: set[WorkerId] = set()
        self.runs: dict[WorkerId, Run] = {}
        self.pauses: Counter[JobId] = Counter()
        self.finishing: list[Run] = []
        self.history: list[Event] = []
        self.names = 0

    # --- carrying commands out -------------------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        self.history.append(event)
        for command in self.scheduler.handle(event, now_s=self.now_s):
            self.obey(command)

    def obey(self, command: Command) -> None:
        match command:
            case RecordJob(job=job, cause=cause):
                before = self.states[job.job_id]
                assert job.state in (LEGAL_MOVES[before] if before is not None else {JobState.PENDING})
                self.attempts[job.job_id] += cause == "dispatched"
                assert job.attempt == self.attempts[job.job_id], "attempts grow by one per dispatch"
                if cause == "deadline_unreachable":
                    assert job.deadline_at_s is not None
                    assert before is JobState.PENDING, "a running job has until its deadline"
                self.states[job.job_id] = job.state
            case Dispatch(worker_id=worker_id, order=order):
                assert worker_id in self.ready, "a worker that has not loaded, or stops, gets no job"
                assert worker_id not in self.runs, "a worker makes one job at a time"
                assert order.model_id == self.models[worker_id]
                self.check_place_of(worker_id, order.job_id)
                assert order.attempt == self.attempts[order.job_id]
                assert self.states[order.job_id] is JobState.DISPATCHED, "recorded first"
                if order.resume_from is not None:
                    assert order.resume_from == f"{order.job_id} after {order.first_step}"
                else:
                    assert order.first_step == 0
                self.runs[worker_id] = (order.job_id, order.attempt)
            case AbortRun(worker_id=worker_id, job_id=job_id, attempt=attempt):
                assert self.runs[worker_id] == (job_id, attempt)
            case PauseRun(worker_id=worker_id, job_id=job_id, attempt=attempt):
                assert self.runs[worker_id] == (job_id, attempt)
                assert worker_id in self.resuming, "only who can take a run up again is paused"
                self.pauses[job_id] += 1
            case PostProcess(job=job):
                self.finishing.append((job.job_id, job.attempt))
            case StopReplica(worker_id=worker_id):
                assert worker_id not in self.runs, "a busy worker finishes first"
                self.ready.discard(worker_id)
            case SaveJob(job=job):
                assert job.state is JobState.RUNNING, "only a run that goes on is kept so"
                assert self.states[job.job_id] is job.state
            case RefuseJob(job_id=job_id, error=error):
                assert error.message, "every refusal is explained"
                assert error.retry_after_s is not None
                assert 1.0 <= error.retry_after_s <= 120.0
                del self.states[job_id]
                self.refused.add(job_id)
            case StartReplica():
                raise AssertionError("the fleet plan starts replicas, not the scheduler")

    def check_place_of(self, worker_id: WorkerId, job_id: JobId) -> None:
        """The job may run on the worker's GPUs, and nobody else does now."""
        places = self.places[worker_id]
        assert not self.leaving.intersection(places), "nothing begins on a GPU that is about to go"
        markets = {GPUS[gpu_id].market for gpu_id in places}
        assert Market.SPOT not in markets or self.tiers[job_id] is Tier.FREE, "a paid job runs on spot"
        taken = {gpu_id for other in self.runs for gpu_id in self.places[other]}
        assert taken.isdisjoint(places), "two workers of a GPU run at once"
        gpu_class = GPUS[places[0]].gpu_class
        assert self.orders.halt_of(ModelId(self.models[worker_id]), gpu_class) is None, "it was halted"

    def new_name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    # --- jobs ------------------------------------------------------------------------------------------------------

    @initialize(states=st.lists(st.sampled_from([state for state in JobState if not state.is_terminal]), max_size=3))
    def recover(self, states: list[JobState]) -> None:
        for state in states:
            job = a_job(self.new_name("old"), state=state, attempt=1, sequence=self.names)
            self.states[job.job_id], self.attempts[job.job_id] = state, 1
            self.owners[job.job_id], self.tiers[job.job_id] = ("acme", None), job.tier
            self.tell(recovered(job))

    @rule(
        tier=st.sampled_from(Tier),
        tenant=st.sampled_from(["acme", "zeta"]),
        end_user=st.sampled_from([None, "ann", "bob"]),
        model=st.sampled_from(MODELS),
        steps=st.sampled_from([10, 10, 400]),
        patience_s=st.none() | st.floats(0.0, 30.0),
        is_stored=st.booleans() | st.just(True),
    )
    def submit(
        self,
        tier: Tier,
        tenant: str,
        end_user: str | None,
        model: str,
        steps: int,
        patience_s: float | None,
        is_stored: bool,
    ) -> None:
        job = a_job(
            self.new_name("job"),
            tier=tier,
            tenant=tenant,
            end_user=end_user,
            request=a_request(model=model, steps=steps),
            sequence=self.names,
            created_at_s=self.now_s,
            deadline_at_s=None if patience_s is None else self.now_s + patience_s,
        )
        self.owners[job.job_id], self.tiers[job.job_id] = (tenant, end_user), tier
        if is_stored:
            self.states[job.job_id] = None
            self.tell(submitted(job))
        else:
            self.scheduler.handle(submitted(job), now_s=self.now_s)
            self.tell(abandoned(job.job_id))

    @precondition(lambda self: self.states)
    @rule(which=SOME)
    def cancel(self, which: int) -> None:
        self.tell(cancelled(pick(list(self.states), which)))

    # --- workers ---------------------------------------------------------------------------------------------------

    def free_gpus(self) -> list[GpuId]:
        held = Counter(gpu_id for places in self.places.values() for gpu_id in places)
        return [gpu_id for gpu_id in self.there if gpu_id not in self.leaving and held[gpu_id] < RESIDENTS_MAX]

    @precondition(lambda self: self.free_gpus())
    @rule(model=st.sampled_from(MODELS), which=SOME, is_gang=st.sampled_from([False, False, True]))
    def start_replica(self, model: str, which: int = 0, is_gang: bool = False) -> None:
        worker_id, free = WorkerId(self.new_name("w")), self.free_gpus()
        node = [gpu_id for gpu_id in free if GPUS[gpu_id].node_id == "n0"]
        places = tuple(node) if is_gang and len(node) == 2 else (pick(free, which),)
        self.places[worker_id], self.models[worker_id] = places, model
        first, *more = places
        self.tell(replica_requested(worker_id, gpu=first, model=model, more_gpus=tuple(more)))

    @precondition(lambda self: self.models)
    @rule(which=SOME, can_resume=st.booleans())
    def finish_loading(self, which: int, can_resume: bool = False) -> None:
        worker_id = pick(list(self.models), which)
        if self.scheduler._workers[worker_id].state == "loading":
            halt = self.orders.halt_of(ModelId(self.models[worker_id]), GPUS[self.places[worker_id][0]].gpu_class)
            if halt is None or not halt.is_drain:
                self.ready.add(worker_id)
            if can_resume:
                self.resuming.add(worker_id)
        self.tell(worker_ready(worker_id, can_resume=can_resume))

    @precondition(lambda self: self.models)
    @rule(which=SOME, reason=st.sampled_from(LossReason))
    def lose_worker(self, which: int, reason: LossReason) -> None:
        worker_id = pick(list(self.models), which)
        self.forget_worker(worker_id)
        self.tell(worker_lost(worker_id, reason))

    def forget_worker(self, worker_id: WorkerId) -> None:
        for known in (self.models, self.places, self.runs):
            known.pop(worker_id, None)
        self.ready.discard(worker_id)

    @precondition(lambda self: self.models)
    @rule(which=SOME)
    def stop_worker(self, which: int) -> None:
        worker_id = pick(list(self.models), which)
        self.ready.discard(worker_id)
        self.tell(replica_stop_requested(worker_id))

    # --- GPUs and orders -------------------------------------------------------------------------------------------

    @precondition(lambda self: self.there)
    @rule(which=SOME, leaves_in_s=st.floats(0.0, 30.0))
    def announce_that_a_gpu_goes(self, which: int, leaves_in_s: float) -> None:
        gpu_id = pick(list(self.there), which)
        self.leaving.add(gpu_id)
        for worker_id, places in self.places.items():
            if gpu_id in places:
                self.ready.discard(worker_id)
        self.tell(gpu_notice(gpu_id, leaves_at_s=self.now_s + leaves_in_s))

    @precondition(lambda self: self.there)
    @rule(which=SOME, is_told=st.booleans())
    def lose_gpu(self, which: int, is_told: bool) -> None:
        """With the workers on it, whose ends are reported as well, or not."""
        gpu_id = pick(list(self.there), which)
        del self.there[gpu_id]
        self.leaving.discard(gpu_id)
        gone = [worker_id for worker_id, places in self.places.items() if gpu_id in places]
        for worker_id in gone:
            self.forget_worker(worker_id)
        self.tell(gpu_gone(gpu_id))
        for worker_id in gone if is_told else ():
            self.tell(worker_lost(worker_id, LossReason.CRASHED))

    @precondition(lambda self: len(self.there) < len(GPUS))
    @rule()
    def bring_gpu(self) -> None:
        gpu_id = next(gpu_id for gpu_id in GPUS if gpu_id not in self.there)
        self.there[gpu_id] = None
        self.tell(GpuArrived(gpu=GPUS[gpu_id]))

    @rule(halts=HALTS)
    def halt(self, halts: list[Halt]) -> None:
        """An operator pauses, drains or resumes."""
        self.orders = Orders(halts=tuple(halts))
        for worker_id in list(self.ready):
            halt = self.orders.halt_of(ModelId(self.models[worker_id]), GPUS[self.places[worker_id][0]].gpu_class)
            if halt is not None and halt.is_drain:
                self.ready.discard(worker_id)
        self.tell(halts_set(*halts))

    # --- runs ------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.runs)
    @rule(which=SOME, step=st.integers(0, 10))
    def make_progress(self, which: int, step: int) -> None:
        job_id, attempt = pick(list(self.runs.values()), which)
        self.tell(run_started(job_id, attempt=attempt) if step == 0 else step_done(job_id, step, attempt=attempt))

    @precondition(lambda self: self.runs)
    @rule(which=SOME, how=st.sampled_from([None, *EngineErrorKind]) | st.none())
    def end_run(self, which: int, how: EngineErrorKind | None) -> None:
        worker_id = pick(list(self.runs), which)
        job_id, attempt = self.runs.pop(worker_id)
        self.tell(images_ready(job_id, attempt=attempt) if how is None else run_failed(job_id, how, attempt=attempt))

    @precondition(lambda self: self.runs)
    @rule(which=SOME)
    def stop_run(self, which: int) -> None:
        """The worker stops as it was told to, or although it was not."""
        job_id, attempt = self.runs.pop(pick(list(self.runs), which))
        self.tell(run_aborted(job_id, attempt=attempt))

    @precondition(lambda self: self.runs)
    @rule(which=SOME, step=st.integers(1, 9))
    def pause_run(self, which: int, step: int) -> None:
        """The worker pauses as it was told to, or although it was not."""
        job_id, attempt = self.runs.pop(pick(list(self.runs), which))
        self.tell(run_paused(job_id, step, attempt=attempt))

    @precondition(lambda self: self.runs)
    @rule(which=SOME, step=st.integers(1, 9))
    def keep_checkpoint(self, which: int, step: int) -> None:
        job_id, attempt = pick(list(self.runs.values()), which)
        self.tell(checkpoint_kept(job_id, step, attempt=attempt))

    @precondition(lambda self: self.finishing)
    @rule(which=SOME, how=st.sampled_from(["stored", "stored", "regenerate", "block", "broken"]))
    def finish(self, which: int, how: str) -> None:
        job_id, attempt = pick(self.finishing, which)
        self.finishing.remove((job_id, attempt))
        match how:
            case "stored":
                self.tell(outputs_stored(job_id, attempt=attempt))
            case "broken":
                self.tell(post_processing_failed(job_id, attempt=attempt))
            case _:
                self.tell(gate_rejected(job_id, Decision(how), attempt=attempt))

    # --- time and nonsense -----------------------------------------------------------------------------------------

    @rule(passed_s=st.floats(0.0, 3.0) | st.sampled_from([1_000.0, -1.0, -500.0]))
    def tick(self, passed_s: float) -> None:
        """Time passes, or somebody sets the clock."""
        self.now_s += passed_s
        self.tell(clock_ticked())

    @precondition(lambda self: self.history)
    @rule(which=SOME)
    def repeat_an_old_event(self, which: int) -> None:
        event = pick(self.history, which)
        if isinstance(event, JobSubmitted | JobRecovered | ReplicaRequested | GpuArrived | GpuNotice | GpuGone):
            return  # names of jobs and workers are never used twice; those of GPUs mean another stay
        if isinstance(event, HaltsSet):
            return  # what an operator said last holds
        if not self.would_end_a_run(event):
            self.tell(event)

    @precondition(lambda self: self.states)
    @rule(
        which=SOME,
        age=st.integers(-1, 2),
        make=st.sampled_from(
            [run_started, step_done, images_ready, run_failed, run_aborted, run_paused, checkpoint_kept]
        ),
    )
    def talk_of_another_attempt(self, which: int, age: int, make: Callable[..., Event]) -> None:
        job_id = pick(list(self.states), which)
        event = make(job_id, attempt=self.attempts[job_id] - age)
        if not self.would_end_a_run(event):
            self.tell(event)

    @rule()
    def talk_of_nobody(self) -> None:
        of_workers = (worker_ready("nobody"), worker_lost("nobody"), replica_stop_requested("nobody"))
        assert self.scheduler.handle(gpu_notice("nothing"), now_s=self.now_s) == []
        assert self.scheduler.handle(gpu_gone("nothing"), now_s=self.now_s) == []
        assert self.scheduler.handle(halts_set(*self.orders.halts), now_s=self.now_s) == []
        of_jobs = (cancelled("nobody"), abandoned("nobody"), images_ready("nobody"), outputs_stored("nobody"))
        for event in (*of_workers, *of_jobs):
            assert self.scheduler.handle(event, now_s=self.now_s) == []

    def would_end_a_run(self, event: Event) -> bool:
        """It says that a run is over that is still going on: a lie no worker tells."""
        match event:
            case ImagesReady() | RunFailed() | RunAborted() | RunPaused():
                return (event.job_id, event.attempt) in self.runs.values()
            case _:
                return False

    # --- what always holds -----------------------------------------------------------------------------------------

    @invariant()
    def the_scheduler_is_consistent(self) -> None:
        self.scheduler.check()

    @invariant()
    def every_job_is_refused_open_or_ended(self) -> None:
        for job_id, state in self.states.items():
            assert state is not None, "a submission was neither recorded nor refused"
            assert self.scheduler.is_open(job_id) != state.is_terminal
        assert not any(self.scheduler.is_open(job_id) for job_id in self.refused)
        assert self.scheduler.open_jobs() == sum(not (state and state.is_terminal) for state in self.states.values())

    @invariant()
    def world_and_scheduler_agree_on_who_runs_what(self) -> None:
        workers = self.scheduler._workers
        assert set(workers) == set(self.models)
        serving = {worker_id for worker_id, worker in workers.items() if worker.state in ("ready", "busy")}
        assert serving == self.ready, "who has loaded serves until told to stop, and never again"
        held = {worker_id: worker.run for worker_id, worker in workers.items() if worker.run is not None}
        assert held == self.runs
        shown = {replica.worker_id for replica in self.scheduler.fleet_view().replicas}
        staying = {worker_id for worker_id, places in self.places.items() if self.leaving.isdisjoint(places)}
        assert shown == staying, "the fleet plan sees who stays"
        assert {gpu.gpu_id for gpu in self.scheduler.fleet_view().gpus} == self.there.keys() - self.leaving

    @invariant()
    def no_worker_idles_while_somebody_may_run_on_it(self) -> None:
        if sum(state is JobState.POST_PROCESSING for state in self.states.values()) >= 2:
            return
        taken = {gpu_id for worker_id in self.runs for gpu_id in self.places[worker_id]}
        idle = {
            (ModelId(self.models[worker_id]), GPUS[self.places[worker_id][0]].market is Market.SPOT)
            for worker_id in self.ready - set(self.runs)
            if taken.isdisjoint(self.places[worker_id])
            and self.orders.halt_of(ModelId(self.models[worker_id]), GPUS[self.places[worker_id][0]].gpu_class) is None
        }
        running = self.running()
        by_tenant = Counter(tenant for tenant, _ in running.elements())
        for job_id, entry in self.scheduler._open.items():
            tenant, end_user = self.owners[job_id]
            is_free = by_tenant[tenant] < 2 and (end_user is None or running[(tenant, end_user)] < 1)
            line = self.scheduler._lines.get(entry.job.request.model_id)
            waits = line is not None and job_id in line
            spots = (False, True) if self.tiers[job_id] is Tier.FREE else (False,)
            may_run = waits and is_free and any((entry.job.request.model_id, spot) in idle for spot in spots)
            assert not may_run, f"{job_id} waits for nothing"

    @invariant()
    def nobody_runs_more_than_it_may(self) -> None:
        running = self.running()
        assert all(number <= 1 for (_, end_user), number in running.items() if end_user is not None)
        assert all(number <= 2 for number in Counter(tenant for tenant, _ in running.elements()).values())

    def running(self) -> Counter[tuple[str, str | None]]:
        on_worker = (JobState.DISPATCHED, JobState.RUNNING)
        return Counter(self.owners[job_id] for job_id, state in self.states.items() if state in on_worker)

    def teardown(self) -> None:
        """All faults and halts are over: with one healthy worker per model everybody's job ends."""
        for _ in list(self.models):
            self.lose_worker(0, LossReason.STOPPED)
        for gpu_id in list(self.leaving):
            self.lose_gpu(list(self.there).index(gpu_id), is_told=False)
        while len(self.there) < len(GPUS):
            self.bring_gpu()
        self.halt([])
        for model in MODELS:
            self.start_replica(model, which=self.free_gpus().index(GpuId("gpu0")))
        for index, _ in enumerate(MODELS):
            self.finish_loading(index)
        turns = 0
        while self.scheduler.open_jobs():
            turns += 1
            assert turns <= 100, "a job never ends"
            for _ in list(self.runs):
                self.end_run(0, None)
            while self.finishing:
                self.finish(0, "stored")
            self.tick(20.0)
            self.the_scheduler_is_consistent()
        assert all(state is not None and state.is_terminal for state in self.states.values())
        assert self.scheduler.running_jobs() == 0
        assert self.scheduler.queue_of(ModelId(MODELS[0])).pending_s == 0.0


def pick(things: list[Item], which: int) -> Item:
    return things[which % len(things)]


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=60, stateful_step_count=40)
