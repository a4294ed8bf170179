"""An operator's orders in the running pipeline: durable first, then felt by what runs and what waits."""

import asyncio

import pytest

from heliograph.domain.errors import Unavailable
from heliograph.domain.job import JobState
from heliograph.domain.orders import Halt, Orders, Scope
from heliograph.domain.views import Phase, ReplicaState
from tests.builders import MODEL
from tests.test_pipeline import ALICE, World, until

PAUSE = Halt(scope=Scope.SYSTEM)
DRAIN = Halt(scope=Scope.MODEL, name=MODEL, is_drain=True, lets_finish=True)


class Kept:
    """Where orders are kept, and how many workers had been told to pause when they were."""

    def __init__(self, world: World) -> None:
        self.orders: list[Orders] = []
        self.told: list[int] = []
        self.is_full = False
        self._world = world
        world.pipeline._keep_orders = self.keep

    async def keep(self, orders: Orders) -> None:
        if self.is_full:
            raise Unavailable("no room", code="orders_not_kept")
        assert self._world.fleet is not None
        self.told.append(len(self._world.fleet.paused))
        self.orders.append(orders)


async def a_running_job(world: World) -> str:
    job_id = await world.submit()
    await until(lambda: world.states_of(job_id)[-1] is JobState.RUNNING)
    return job_id


async def test_a_pause_stops_what_runs_and_resuming_goes_on_where_it_was() -> None:
    world = World(holds=True)
    async with world.running():
        assert world.fleet is not None
        world.fleet.can_resume = True
        kept = Kept(world)
        job_id = await a_running_job(world)
        await world.pipeline.order(lambda orders: orders.with_halt(PAUSE))
        assert (kept.orders, kept.told) == ([Orders(halts=(PAUSE,))], [0]), "kept before it is carried out"
        assert world.fleet.paused == [(job_id, 1)], "its worker was told before the order was answered"
        await until(lambda: world.states_of(job_id)[-1] is JobState.PENDING)
        waiting = await world.service.status(job_id, caller=ALICE)
        assert (waiting.view.phase, waiting.view.eta) == (Phase.HALTED, None)
        second = await world.submit()
        await asyncio.sleep(0.3)
        assert len(world.orders) == 1, "nothing begins while it lasts"
        await world.pipeline.order(lambda orders: orders.without_halt(PAUSE.target))
        await until(lambda: len(world.orders) == 2)
        assert (world.orders[1].job_id, world.orders[1].first_step) == (job_id, 1)
        world.fleet.finish(world.orders[1])
        await until(lambda: len(world.orders) == 3)
        world.fleet.finish(world.orders[2])
        await until(lambda: not world.pipeline.scheduler.is_open(second))


async def test_a_drained_model_finishes_is_unloaded_and_not_loaded_again() -> None:
    world = World(holds=True)
    async with world.running():
        assert world.fleet is not None
        job_id = await a_running_job(world)
        await world.pipeline.order(lambda orders: orders.with_halt(DRAIN))
        with pytest.raises(Unavailable, match="out of service"):
            await world.submit()
        world.fleet.finish(world.orders[0])
        await until(lambda: not world.pipeline.scheduler.is_open(job_id))
        await until(lambda: not world.pipeline.scheduler.fleet_view().replicas)
        await asyncio.sleep(0.3)
        assert len(world.fleet.workers) == 1
        status = world.service.fleet()
        assert [(model.model_id, model.halt) for model in status.models] == [(MODEL, DRAIN)]
        await world.service.order(lambda orders: orders.without_halt(DRAIN.target))
        assert await world.submit()


async def test_a_drained_system_is_not_ready() -> None:
    async with World().running() as world:
        assert world.service.readiness().is_ready
        await world.pipeline.order(lambda orders: orders.with_halt(Halt(scope=Scope.SYSTEM, is_drain=True)))
        assert dict(world.service.readiness().problems) == {
            "operator": "the operator has taken the system out of service"
        }


async def test_an_order_that_cannot_be_kept_changes_nothing() -> None:
    world = World(holds=True)
    async with world.running():
        assert world.fleet is not None
        world.fleet.can_resume = True
        kept = Kept(world)
        kept.is_full = True
        await a_running_job(world)
        with pytest.raises(Unavailable):
            await world.pipeline.order(lambda orders: orders.with_halt(PAUSE))
        assert world.pipeline.orders == Orders()
        assert world.fleet.paused == []


async def test_orders_of_an_earlier_process_hold_from_the_first_turn() -> None:
    world = World()
    world.pipeline.orders = Orders(halts=(PAUSE,))
    async with world.running():
        job_id = await world.submit()
        await asyncio.sleep(0.3)
        assert world.states_of(job_id) == [JobState.PENDING]


async def test_a_model_is_loaded_ahead_and_shows_why_it_is_there() -> None:
    async with World().running() as world:
        assert not world.service.fleet().replicas
        until_s = world.pipeline.now_s() + 60.0
        await world.pipeline.order(lambda orders: orders.with_wanted(MODEL, until_s, now_s=0.0))
        await until(lambda: [each.view.state for each in world.service.fleet().replicas] == [ReplicaState.READY])
        (replica,) = world.service.fleet().replicas
        assert replica.standing.why == "the operator keeps it always warm"
        assert (replica.memory_bytes, replica.last_used_s) == (1, None)
