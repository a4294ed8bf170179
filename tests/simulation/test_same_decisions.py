"""The simulator and the live pipeline give the same decisions for the same event log: there is only one scheduler.

A live pipeline over in-memory twins is recorded, event by event with its clock, while jobs succeed, are cancelled, lose
their worker and are sent back by a gate. The log is then played to the decider of a simulation. The other way around, a
simulated run with faults is played to a scheduler of the live kind.
"""

import asyncio
from dataclasses import dataclass, field

from heliograph.domain.commands import Command
from heliograph.domain.events import Event, JobSubmitted, OutputsStored, WorkerLost
from heliograph.domain.pictures import Decision, Verdict
from heliograph.scheduling import Profiles, Scheduler, SchedulerPolicy
from heliograph.simulation import PolicySet, simulate
from heliograph.simulation.decider import Making, Production
from tests.builders import a_card, a_gpu
from tests.simulation.test_simulate import FAULTS, SPOT, STORM
from tests.simulation.worlds import a_scenario, around
from tests.test_pipeline import ALICE, BOB, World, until


@dataclass
class Log:
    """What was asked of a decider and what it answered."""

    entries: list[tuple[Event, float, list[Command]]] = field(default_factory=list)

    def played_to(self, decider: Scheduler | Production) -> None:
        assert len(self.entries) > 10
        for event, now_s, commands in self.entries:
            assert decider.handle(event, now_s=now_s) == commands


class RecordedScheduler(Scheduler):
    """The production scheduler, with a log."""

    log: Log

    def handle(self, event: Event, *, now_s: float) -> list[Command]:
        commands = super().handle(event, now_s=now_s)
        self.log.entries.append((event, now_s, commands))
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


async def test_what_the_live_pipeline_decided_the_simulator_decides() -> None:
    policy = SchedulerPolicy(backoff_s=(0.0, 0.05))
    world = World(holds=True)
    scheduler = RecordedScheduler(gpus=[a_gpu()], policy=policy, profiles=Profiles())
    scheduler.log = Log()
    world.pipeline.scheduler = scheduler
    async with world.running():
        world.finisher.verdicts = [Verdict(decision=Decision.REGENERATE, reasons=("blank",))]
        first = await world.submit()
        await until(lambda: len(world.orders) == 1)
        second = await world.submit(BOB)
        third = await world.submit()
        world.fleet.finish(world.orders[0])
        await until(lambda: len(world.orders) == 2)
        await world.service.cancel(third, caller=ALICE)
        world.fleet.lose(world.fleet.workers[-1])
        done = 1
        while not all(world.pipeline.scheduler.is_open(job_id) is False for job_id in (first, second, third)):
            while done < len(world.orders):
                world.fleet.finish(world.orders[done])
                done += 1
            await asyncio.sleep(0.01)
    kinds = {type(event) for event, _, _ in scheduler.log.entries}
    assert {JobSubmitted, OutputsStored, WorkerLost} <= kinds
    card = a_card()
    making = Making(
        present=[a_gpu()], possible=[a_gpu()], cards={card.model_id: card}, policies=PolicySet(scheduler=policy)
    )
    simulated = Production(making)
    scheduler.log.played_to(simulated)


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
