"""What a request asks for besides a picture: when, by which model, and whether another will do."""

import pytest

from heliograph.domain.accounts import Caller
from heliograph.domain.errors import HeliographError, InvalidRequest, Overloaded, Unavailable
from heliograph.domain.ids import TenantId
from heliograph.domain.model_card import Catalogue, EngineKind, ModelCard, Timing
from heliograph.domain.orders import Halt, Orders, Scope
from heliograph.domain.request import VIDEO_FORMATS, OutputFormat
from heliograph.domain.tiers import Tier
from heliograph.domain.views import Market
from heliograph.gateway.errors import problem
from heliograph.prompts.policy import AllowAll
from heliograph.prompts.raw import RawRequest
from heliograph.scheduling import Profiles, Scheduler, SchedulerPolicy
from heliograph.service import PipelineService
from tests.builders import a_card, a_catalogue, a_gpu, a_timing
from tests.intakes import an_intake
from tests.test_pipeline import ALICE, World, a_desk, compared, look, until


def seconds(number: float) -> Timing:
    """For a picture of the default size and effort."""
    return a_timing(seconds=number, steps=10, width_px=256, height_px=256)


SLOW, QUICK = (
    a_card("slow", timings=(seconds(100.0),), load_s=1.0, alternatives=["quick"]),
    a_card("quick", timings=(seconds(1.0),), load_s=1.0),
)
A_CAT = "a cat"


class Choice(World):
    """A pipeline with several models whose times are known; their workers hold on to what they get."""

    def __init__(
        self, *cards: ModelCard, policy: SchedulerPolicy | None = None, market: Market = Market.RESERVED
    ) -> None:
        super().__init__(holds=True)
        cards = cards or (SLOW, QUICK)
        gpus = [a_gpu(f"gpu{index}", market=market) for index in range(len(cards))]
        profiles = Profiles()
        for card in cards:
            profiles.set_prior(card, gpu_classes={"cpu"})
        self.pipeline.scheduler = Scheduler(gpus=gpus, policy=policy or SchedulerPolicy(), profiles=profiles)
        self.pipeline._gpus = {gpu.gpu_id: gpu for gpu in gpus}
        self.pipeline._cards = {card.model_id: card for card in cards}
        catalogue: Catalogue = a_catalogue(*cards)
        self.service = PipelineService(
            pipeline=self.pipeline,
            store=self.store,
            blobs=self.blobs,
            intake=an_intake(store=self.store),
            catalogue=catalogue,
            engines=frozenset({EngineKind.FAKE}),
            presets={},
            policy=AllowAll(),
            readers={},
            formats=frozenset(OutputFormat) - VIDEO_FORMATS,
            draw_contact_sheet=lambda _clip, _format: b"a sheet",
            compare=compared,
            last_sequence=1_000,
            idempotency_ttl_s=60.0,
            inspect=look,
            files=a_desk(self.store, self.blobs),
            random_int=lambda _bound: 5,
            new_id=self.pipeline._new_id,
        )

    async def ask(self, model: str | None = None, *, steps: int | None = None, **more: object) -> str:
        """The model that takes it."""
        job_id = await self.submit(raw=RawRequest(prompt=A_CAT, model=model, steps=steps), **more)
        status = self.pipeline.status_of_open(job_id)
        assert status is not None
        return status.view.job.request.model_id

    async def refused(self, model: str | None = None, **more: object) -> HeliographError:
        with pytest.raises(HeliographError) as caught:
            await self.ask(model, **more)
        return caught.value


@pytest.mark.parametrize("wants", [{"deadline_s": 20.0}, {"deadline_s": 20.0, "may_substitute": False}])
async def test_a_deadline_the_named_model_cannot_meet_is_refused_at_once_with_the_one_that_can(
    wants: dict[str, object],
) -> None:
    async with Choice().running() as world:
        error = await world.refused("slow", **wants)
    assert isinstance(error, Overloaded)
    assert (error.code, error.param) == ("deadline_unreachable", "model")
    assert error.retry_after_s is not None
    body = problem(error, instance="/v1/jobs", request_id="req_1")
    assert body.status == 429
    assert int(body.headers["Retry-After"]) >= 1
    (offer,) = body.body["error"]["alternatives"]  # type: ignore[index]
    assert offer["model"] == "quick"
    assert 0 < offer["eta"]["low_s"] < offer["eta"]["expected_s"] < offer["eta"]["high_s"] < 20


async def test_whoever_allows_it_gets_the_other_model_and_is_told() -> None:
    async with Choice().running() as world:
        job_id = await world.submit(raw=RawRequest(prompt=A_CAT, model="slow"), deadline_s=20.0, may_substitute=True)
        status = world.pipeline.status_of_open(job_id)
        assert status is not None
        request = status.view.job.request
        assert request.model_id == "quick"
        (change,) = [each for each in request.adjustments if each.parameter == "model"]
        assert (change.requested, change.used) == ("slow", "quick")
        assert await world.ask("slow", may_substitute=True) == "slow", "nothing stands against it"


async def test_a_request_for_less_than_the_default_is_not_refused_for_what_the_default_takes() -> None:
    async with Choice().running() as world:
        assert (await world.refused("slow", deadline_s=20.0)).code == "deadline_unreachable"
        assert await world.ask("slow", steps=1, deadline_s=20.0) == "slow"


async def test_a_wait_longer_than_the_request_allows_is_refused_with_the_model_that_begins_sooner() -> None:
    async with Choice().running() as world:
        for _ in range(3):
            await world.ask("slow")
        await until(lambda: world.orders)
        error = await world.refused("slow", wait_s_max=30.0)
        assert (error.code, [each.model_id for each in error.alternatives]) == ("wait_too_long", ["quick"])
        assert await world.ask("slow", wait_s_max=30.0, may_substitute=True) == "quick"
        assert await world.ask("slow", wait_s_max=3_600.0) == "slow"


async def test_a_refusal_by_the_queue_names_what_is_sooner_too() -> None:
    """The router thinks in means, the queue knows: its refusal carries the alternatives as well."""
    async with Choice(policy=SchedulerPolicy(wait_s_max={Tier.FREE: 10.0, Tier.STANDARD: 10.0})).running() as world:
        await world.ask("slow")
        error = await world.refused("slow")
    assert (error.code, [each.model_id for each in error.alternatives]) == ("wait_too_long", ["quick"])


async def test_whatever_can_do_the_task_is_taken_without_a_name() -> None:
    clips = a_card("film", tasks=["t2v"], is_by_name_only=True)
    async with Choice(SLOW, QUICK, clips).running() as world:
        assert await world.ask() == "quick", "the first to deliver"
        assert await world.ask(task="t2i") == "quick"
        assert await world.ask(task="t2v") == "film"
        error = await world.refused(task="i2v")
        assert (error.code, error.param) == ("invalid_task", "task")


async def test_what_this_fleet_can_never_do_is_said_at_once() -> None:
    huge = a_card("huge", vram_bytes=10**12)
    async with Choice(QUICK, huge).running() as world:
        error = await world.refused("huge")
    assert isinstance(error, InvalidRequest)
    assert (error.code, [each.model_id for each in error.alternatives]) == ("model_unavailable", ["quick"])


async def test_a_tier_that_may_not_run_on_spot_is_told_where_there_is_nothing_else() -> None:
    pro = Caller(tenant_id=TenantId("payer"), tier=Tier.PRO)
    async with Choice(QUICK, market=Market.SPOT).running() as world:
        with pytest.raises(InvalidRequest, match="fits only spot GPUs") as caught:
            await world.submit(caller=pro, raw=RawRequest(prompt=A_CAT, model="quick"))
        assert caught.value.code == "model_unavailable"
        assert await world.submit(caller=ALICE, raw=RawRequest(prompt=A_CAT, model="quick"))


async def test_a_drained_model_refuses_with_what_else_there_is() -> None:
    async with Choice().running() as world:
        world.pipeline.orders = Orders(halts=(Halt(scope=Scope.MODEL, name="quick", is_drain=True),))
        error = await world.refused("quick")
        assert isinstance(error, Unavailable)
        assert (error.code, [each.model_id for each in error.alternatives]) == ("model_drained", ["slow"])
        assert error.retry_after_s is not None
        assert await world.ask() == "slow"


@pytest.mark.parametrize(
    ("wants", "param"),
    [
        ({"wait_s_max": 0}, "wait_s_max"),
        ({"wait_s_max": "10"}, "wait_s_max"),
        ({"may_substitute": "yes"}, "may_substitute"),
        ({"may_substitute": 1}, "may_substitute"),
        ({"task": "fly"}, "task"),
        ({"task": 7}, "task"),
    ],
)
async def test_a_bad_wish_is_refused_by_name(wants: dict[str, object], param: str) -> None:
    async with Choice().running() as world:
        error = await world.refused("quick", **wants)
    assert isinstance(error, InvalidRequest)
    assert (error.param, error.code) == (param, f"invalid_{param}")
