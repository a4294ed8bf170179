"""The simulator and the live pipeline give the same decisions for the same event log: scheduler, fleet plan, routes.

A live pipeline over in-memory twins is recorded, event by event with its clock, and so is each fleet plan and each
route, while jobs succeed, fail, are cancelled, lose their worker, are sent back by a gate and are halted by an
operator, and while workers repeat themselves and speak of attempts that are over. The log is then played to the decider
of a simulation. The other way around, a simulated run with faults is played to a scheduler of the live kind.
"""

import asyncio
from dataclasses import dataclass, field

from heliograph.domain.accounts import Caller
from heliograph.domain.commands import Command, StartReplica, StopReplica
from heliograph.domain.errors import EngineErrorKind, InvalidRequest
from heliograph.domain.events import (
    Event,
    GateRejected,
    HaltsSet,
    ImagesReady,
    JobSubmitted,
    OutputsStored,
    ReplicaStopRequested,
    RunFailed,
    RunPaused,
    RunStarted,
    StepDone,
    WorkerLost,
)
from heliograph.domain.ids import JobId, ModelId
from heliograph.domain.orders import Halt, Scope
from heliograph.domain.pictures import Decision, Verdict
from heliograph.domain.tiers import Tier
from heliograph.pipeline import Pipeline
from heliograph.prompts.raw import RawRequest
from heliograph.scheduling import Profiles, Scheduler, SchedulerPolicy
from heliograph.simulation import PolicySet, simulate
from heliograph.simulation.decider import Making, Present, Production
from tests.builders import a_card, a_catalogue, a_gpu
from tests.simulation.test_simulate import FAULTS, SPOT, STORM
from tests.simulation.worlds import a_scenario, around
from tests.test_pipeline import ALICE, BOB, World, until


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What the live fleet plan wanted at a time, loads and unloads apart."""

    now_s: float
    starts: tuple[StartReplica, ...]
    stops: tuple[StopReplica, ...]


@dataclass(frozen=True, kw_only=True)
class Routed:
    """What the live router said to a request of this tier for a model: a code, or None where it took it."""

    model_id: ModelId
    tier: Tier
    code: str | None


Told = tuple[Event, float, list[Command]]


@dataclass
class Log:
    """What was asked and what was answered, in order."""

    entries: list[Told | Planned | Routed] = field(default_factory=list)

    def told(self) -> list[Told]:
        return [entry for entry in self.entries if isinstance(entry, tuple)]

    def played_to(self, decider: Scheduler | Production) -> None:
        assert len(self.entries) > 10
        for entry in self.entries:
            match entry:
                case Planned(now_s=now_s, starts=starts, stops=stops):
                    assert isinstance(decider, Production)
                    gpus = [gpu.gpu_id for gpu in decider.scheduler.fleet_view().gpus]
                    wishes = decider.wishes(Present(gpus=gpus, in_host_memory={}), now_s=now_s)
                    assert tuple(wish for wish in wishes if isinstance(wish, StartReplica)) == starts
                    assert tuple(wish for wish in wishes if isinstance(wish, StopReplica)) == stops
                case Routed(model_id=model_id, tier=tier, code=code):
                    assert isinstance(decider, Production)
                    assert decider.why_not(model_id, tier) == code
                case (event, now_s, commands):
                    assert decider.handle(event, now_s=now_s) == commands


class RecordedScheduler(Scheduler):
    """The production scheduler, with a log."""

    log: Log

    def handle(self, event: Event, *, now_s: float) -> list[Command]:
        commands = super().handle(event, now_s=now_s)
        self.log.entries.append((event, now_s, commands))
        return commands


class RecordedPipeline(Pipeline):
    """The live pipeline, which notes what its fleet plan wants."""

    def _planned(self, now_s: float) -> list[Command]:
        assert isinstance(self.scheduler, RecordedScheduler)
        entries = self.scheduler.log.entries
        before = len(entries)
        commands = super()._planned(now_s)
        told = [entry[0] for entry in entries[before:] if isinstance(entry, tuple)]
        planned = Planned(
            now_s=now_s,
            starts=tuple(command for command in commands if isinstance(command, StartReplica)),
            stops=tuple(
                StopReplica(worker_id=event.worker_id, reason=event.reason)
                for event in told
                if isinstance(event, ReplicaStopRequested)
            ),
        )
        entries.insert(before, planned)
        return commands


class RecordedProduction(Production):
    """A simulation's decider, with a log and what it was made of."""

    def __init__(self, log: Log, making: Making) -> None:
        super().__init__(making)
        self._log = log

    def handle(self, event: Event, *, now_s: float) -> list[Command]:
        commands = super().handle(event, now_s=now_s)
        self._log.entries.append((event, now_s, commands))
        return commands


HUGE = a_card("huge", vram_bytes=10**12)


def recorded(policy: SchedulerPolicy) -> tuple[World, Log]:
    """A world whose pipeline notes everything it decides."""
    world, log = World(holds=True), Log()
    scheduler = RecordedScheduler(gpus=[a_gpu()], policy=policy, profiles=Profiles())
    scheduler.log = log
    world.pipeline.scheduler = scheduler
    world.pipeline.__class__ = RecordedPipeline
    world.pipeline._cards = {card.model_id: card for card in (a_card(), HUGE)}
    world.service._catalogue = a_catalogue(a_card(), HUGE)
    return world, log


async def asked(world: World, log: Log, model_id: ModelId, caller: Caller = ALICE) -> str | None:
    """The job, or None; the router's answer goes into the log."""
    raw = RawRequest(prompt="a cat", model=model_id)
    try:
        job_id = await world.submit(caller, raw=raw)
    except InvalidRequest as error:
        log.entries.append(Routed(model_id=model_id, tier=caller.tier, code=error.code))
        return None
    # The route was asked for before the submission reached the scheduler.
    index = next(
        number
        for number, entry in enumerate(log.entries)
        if isinstance(entry, tuple) and isinstance(entry[0], JobSubmitted) and entry[0].job.job_id == job_id
    )
    log.entries.insert(index, Routed(model_id=model_id, tier=caller.tier, code=None))
    return job_id


async def test_what_the_live_pipeline_decided_the_simulator_decides() -> None:
    policy = SchedulerPolicy(backoff_s=(0.0, 0.05))
    world, log = recorded(policy)
    painter = a_card().model_id
    async with world.running():
        assert world.fleet is not None
        world.fleet.can_resume = True
        world.finisher.verdicts = [Verdict(decision=Decision.REGENERATE, reasons=("blank",))]
        first = await asked(world, log, painter)
        await until(lambda: len(world.orders) == 1)
        second = await asked(world, log, painter, BOB)
        assert await asked(world, log, HUGE.model_id) is None
        third = await asked(world, log, painter)
        fourth = await asked(world, log, painter)
        assert None not in (first, second, third, fourth)
        world.fleet.finish(world.orders[0])
        await until(lambda: len(world.orders) == 2)
        for event in (  # a worker that repeats itself, and one that speaks of an attempt that is over
            RunStarted(job_id=world.orders[1].job_id, attempt=world.orders[1].attempt),
            ImagesReady(job_id=world.orders[0].job_id, attempt=world.orders[0].attempt, run_s=1.0, images=()),
            StepDone(job_id=world.orders[0].job_id, attempt=99, step=1, steps=2),
        ):
            await world.pipeline.emit(event)
            await world.pipeline.emit(event)
        await world.service.cancel(JobId(str(third)), caller=ALICE)
        await world.pipeline.order(lambda orders: orders.with_halt(Halt(scope=Scope.SYSTEM)))
        await world.pipeline.order(lambda orders: orders.without_halt((Scope.SYSTEM, "")))
        await until(lambda: len(world.orders) >= 3)
        failing = world.orders[2]
        failed = RunFailed(
            job_id=failing.job_id, attempt=failing.attempt, kind=EngineErrorKind.NAN, message="not a number"
        )
        await world.pipeline.emit(failed)
        await world.pipeline.emit(failed)
        await until(lambda: len(world.orders) >= 4)
        world.fleet.lose(world.fleet.workers[-1])
        done = 3
        while any(world.pipeline.scheduler.is_open(JobId(str(job_id))) for job_id in (first, second, fourth)):
            while done < len(world.orders):
                world.fleet.finish(world.orders[done])
                done += 1
            await asyncio.sleep(0.01)
    kinds = {type(event) for event, _, _ in log.told()}
    assert {JobSubmitted, OutputsStored, WorkerLost, HaltsSet, RunFailed, RunPaused, GateRejected} <= kinds
    plans = [entry for entry in log.entries if isinstance(entry, Planned)]
    assert sum(len(entry.starts) for entry in plans) >= 2
    assert {entry.code for entry in log.entries if isinstance(entry, Routed)} == {None, "model_unavailable"}
    making = Making(
        present=[a_gpu()],
        possible=[a_gpu()],
        cards={card.model_id: card for card in (a_card(), HUGE)},
        policies=PolicySet(scheduler=policy, forecasts=False),
    )
    log.played_to(Production(making))


def test_what_the_simulator_decided_the_live_scheduler_decides() -> None:
    log = Log()
    makings: list[Making] = []

    def make(making: Making) -> RecordedProduction:
        makings.append(making)
        return RecordedProduction(log, making)

    faults = FAULTS.replace("restarts_per_hour = 3", "")  # one scheduler, one log
    simulate(a_scenario(tables=faults + STORM, fleet=SPOT, workload="cancels = 0.1"), around(), make_decider=make)
    (making,) = makings
    profiles = Profiles()
    for card in making.cards.values():
        profiles.set_prior(card, gpu_classes={gpu.gpu_class for gpu in making.possible})
    log.played_to(Scheduler(gpus=[], policy=making.policies.scheduler, profiles=profiles))
