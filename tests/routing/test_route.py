"""Where a request goes: explicit models, aliases, capability requests, and what is offered instead."""

import pytest

from heliograph.domain.model_card import Catalogue, EngineKind
from heliograph.domain.orders import Halt, Orders, Scope
from heliograph.domain.views import FleetView, Interval, Market, ModelQueue, QueueView, ReplicaState
from heliograph.routing.route import (
    DRAINED_RETRY_S,
    LOAD_FAILURES_MAX,
    WAIT_S_UNKNOWN,
    Answer,
    NoRoute,
    Route,
    Wants,
    expected_wait_s,
    route,
)
from heliograph.routing.tasks import task_for
from tests.builders import EMPTY_QUEUE, a_card, a_catalogue, a_fleet, a_gpu, a_queue, a_replica

FAKE = frozenset({EngineKind.FAKE})
CATALOGUE = a_catalogue(
    a_card("slow", load_s=60.0, family="old"),
    a_card("quick", load_s=5.0, family="new"),
    a_card("twin", load_s=5.0, family="new"),
    a_card("huge", vram_bytes=10_001, family="new", alternatives=["slow"]),
    a_card("foreign", engine=EngineKind.ONNX, family="new", alternatives=["twin", "huge"]),
    a_card("listed", engine=None, family="none"),
    a_card("film", tasks=["t2v", "i2v"], family="old"),
    aliases={"dall-e-3": "quick", "gone": "nowhere"},
)


def routed(
    name: str | None,
    *,
    task: str = "t2i",
    catalogue: Catalogue = CATALOGUE,
    fleet: FleetView | None = None,
    queue: QueueView = EMPTY_QUEUE,
) -> Route | NoRoute:
    return route(name, task=task, catalogue=catalogue, engines=FAKE, fleet=fleet or a_fleet(gpus=1), queue=queue)


def chosen(found: Route | NoRoute) -> str:
    assert isinstance(found, Route)
    return found.card.model_id


def refused(found: Route | NoRoute) -> NoRoute:
    assert isinstance(found, NoRoute)
    return found


# --- stills and clips -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tasks", "task"),
    [
        (None, "t2i"),
        (["t2i"], "t2i"),
        (["t2v"], "t2v"),
        (["t2v", "t2i"], "t2i"),
        (["i2v", "t2v"], "t2v"),
        (["i2v"], "t2i"),
    ],
)
def test_what_a_request_is_for_follows_from_the_model_it_names(tasks: list[str] | None, task: str) -> None:
    assert task_for(None if tasks is None else a_card(tasks=tasks)) == task


def test_a_model_that_makes_clips_is_reached_by_its_name_alone() -> None:
    assert chosen(routed("film", task=task_for(CATALOGUE.resolve("film")))) == "film"
    assert all(chosen(routed(None)) != "film" for _ in range(3))
    assert refused(routed("film")).alternatives[0] == "slow", "a still was asked for: the same family first"


def test_a_tool_is_no_answer_to_a_prompt() -> None:
    built_in = a_card("judge", tasks=["alignment"], engine=None, weights="judge")
    catalogue = a_catalogue(a_card("enlarger", tasks=["upscale"]), built_in, a_card("quick"))
    for name, reason in (
        ("enlarger", "enlarger does not do t2i; it does upscale."),
        ("judge", "judge is a tool for finished pictures and takes no prompts."),
    ):
        found = refused(routed(name, task=task_for(catalogue.resolve(name)), catalogue=catalogue))
        assert (found.reason, found.alternatives) == (reason, ("quick",))


def test_a_model_for_those_who_name_it_never_stands_in() -> None:
    catalogue = a_catalogue(a_card("rough", load_s=1.0, is_by_name_only=True), a_card("quick", load_s=5.0))
    assert chosen(routed(None, catalogue=catalogue)) == "quick"
    assert chosen(routed("rough", catalogue=catalogue)) == "rough"
    alone = a_catalogue(a_card("rough", is_by_name_only=True))
    assert refused(routed(None, catalogue=alone)).alternatives == ("rough",)


def test_a_model_whose_weights_are_not_there_is_not_offered() -> None:
    catalogue = a_catalogue(a_card("gone", is_installed=False, alternatives=["quick"]), a_card("quick"))
    assert chosen(routed(None, catalogue=catalogue)) == "quick"
    found = refused(routed("gone", catalogue=catalogue))
    assert "its weights are not installed" in found.reason
    assert found.alternatives == ("quick",)


# --- a model by name -------------------------------------------------------------------------------------------------


def test_a_named_model_is_taken_however_long_it_takes() -> None:
    queue = a_queue(slow=ModelQueue(pending=9, pending_s=1_000.0, load_s=60.0))
    found = routed("slow", queue=queue)
    assert isinstance(found, Route)
    assert (found.card.model_id, found.wait_s, found.alias) == ("slow", 1_060.0, None)


def test_an_alias_is_followed_and_named() -> None:
    found = routed("dall-e-3")
    assert isinstance(found, Route)
    assert (found.card.model_id, found.alias) == ("quick", "dall-e-3")


@pytest.mark.parametrize("name", ["", "Quick", "gone", "stable-diffusion-9"])
def test_an_unknown_model_is_not_found_and_what_can_run_is_offered(name: str) -> None:
    found = refused(routed(name))
    assert found.code == "model_not_found"
    assert repr(name) in found.reason
    assert found.alternatives == ("slow", "quick", "twin")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("foreign", "foreign is in the catalogue, but this installation has no engine for it."),
        ("listed", "listed is in the catalogue, but this installation has no engine for it."),
        ("huge", "huge needs 10001 bytes of memory; the largest GPU here has 10000."),
        ("film", "film does not do t2i; it does i2v, t2v."),
    ],
)
def test_a_known_model_that_cannot_serve_the_request_says_why(name: str, reason: str) -> None:
    found = refused(routed(name))
    assert (found.code, found.reason) == ("model_unavailable", reason)


def test_without_a_gpu_nothing_can_run() -> None:
    found = refused(routed("quick", fleet=a_fleet(gpus=0)))
    assert found.reason == "quick needs 1000 bytes of memory; the largest GPU here has 0."
    assert found.alternatives == ()


def test_a_model_of_several_gpus_needs_a_node_that_has_them() -> None:
    catalogue = a_catalogue(a_card("pair", gpus=2))
    together = [a_gpu("gpu0", node="n0"), a_gpu("gpu1", node="n0")]
    apart = [a_gpu("gpu0", node="n0"), a_gpu("gpu1", node="n1")]
    assert chosen(routed("pair", catalogue=catalogue, fleet=a_fleet(gpus=together))) == "pair"
    for gpus in (apart, [a_gpu("gpu0"), a_gpu("gpu1")]):
        found = refused(routed("pair", catalogue=catalogue, fleet=a_fleet(gpus=gpus)))
        assert found.reason.startswith("pair needs 2 GPUs of one node")


def test_the_largest_gpu_counts() -> None:
    gpus = [a_gpu("gpu0", memory_bytes=10), a_gpu("gpu1", memory_bytes=10_001)]
    assert chosen(routed("huge", fleet=a_fleet(gpus=gpus))) == "huge"


def test_a_model_of_unknown_size_is_given_the_benefit_of_the_doubt() -> None:
    catalogue = a_catalogue(a_card("new", vram_bytes=None))
    assert chosen(routed("new", catalogue=catalogue)) == "new"


@pytest.mark.parametrize("failures", [LOAD_FAILURES_MAX - 1, LOAD_FAILURES_MAX])
def test_a_model_that_failed_to_load_too_often_is_refused(failures: int) -> None:
    found = routed("quick", queue=a_queue(quick=ModelQueue(load_failures=failures)))
    if failures < LOAD_FAILURES_MAX:
        assert chosen(found) == "quick"
    else:
        assert "could not be loaded 3 times in a row" in refused(found).reason
        assert refused(found).alternatives == ("twin", "slow")


def test_a_model_that_is_loaded_serves_whatever_happened_to_other_loads() -> None:
    queue = a_queue(quick=ModelQueue(load_failures=LOAD_FAILURES_MAX, replicas=1))
    fleet = a_fleet(a_replica("w0", model="quick", state=ReplicaState.BUSY))
    assert chosen(routed("quick", fleet=fleet, queue=queue)) == "quick"


def test_alternatives_are_the_card_s_own_then_the_family_then_the_rest() -> None:
    assert refused(routed("foreign")).alternatives == ("twin", "quick", "slow")
    assert refused(routed("huge")).alternatives == ("slow", "quick", "twin")
    assert refused(routed("listed")).alternatives == ("slow", "quick", "twin")


# --- whatever can do it ----------------------------------------------------------------------------------------------


def test_without_a_name_the_shortest_wait_wins_and_ties_go_by_the_catalogue() -> None:
    assert chosen(routed(None)) == "quick"


@pytest.mark.parametrize(
    ("fleet", "queue", "model"),
    [
        pytest.param(a_fleet(a_replica(model="slow")), EMPTY_QUEUE, "slow", id="what is loaded needs no load"),
        pytest.param(
            a_fleet(a_replica(model="slow", state=ReplicaState.LOADING)), EMPTY_QUEUE, "quick", id="not loaded yet"
        ),
        pytest.param(
            a_fleet(a_replica(model="slow", state=ReplicaState.STOPPING)), EMPTY_QUEUE, "quick", id="not for long"
        ),
        pytest.param(
            a_fleet(a_replica(model="slow", state=ReplicaState.BUSY)),
            a_queue(slow=ModelQueue(running_s=4.0, replicas=1)),
            "slow",
            id="busy for a moment",
        ),
        pytest.param(
            a_fleet(a_replica(model="slow", state=ReplicaState.BUSY)),
            a_queue(slow=ModelQueue(pending_s=2.0, running_s=4.0, replicas=1)),
            "quick",
            id="busy for longer than a load takes",
        ),
        pytest.param(a_fleet(), a_queue(quick=ModelQueue(load_failures=3)), "twin", id="not what cannot be loaded"),
    ],
)
def test_the_wait_counts_backlog_and_loading(fleet: FleetView, queue: QueueView, model: str) -> None:
    assert chosen(routed(None, fleet=fleet, queue=queue)) == model


def test_a_task_goes_to_a_model_that_does_it() -> None:
    assert chosen(routed(None, task="t2v")) == "film"


def test_a_task_nobody_does_has_no_route() -> None:
    found = refused(routed(None, task="upscale"))
    assert (found.code, found.reason) == ("model_unavailable", "No model here can do upscale.")


@pytest.mark.parametrize(
    ("queue", "card_load_s", "wait_s"),
    [
        (EMPTY_QUEUE, None, WAIT_S_UNKNOWN),
        (EMPTY_QUEUE, 7.0, 7.0),
        (a_queue(m=ModelQueue(load_s=9.0)), 7.0, 9.0),
        (a_queue(m=ModelQueue(load_s=9.0, pending_s=30.0, running_s=10.0, replicas=2)), 7.0, 29.0),
    ],
)
def test_the_expected_wait(queue: QueueView, card_load_s: float | None, wait_s: float) -> None:
    assert expected_wait_s(a_card("m", load_s=card_load_s), fleet=a_fleet(), queue=queue) == wait_s


# --- in time or not --------------------------------------------------------------------------------------------------

EXACT = Interval(low_s=1.0, expected_s=1.0, high_s=1.0)
WORK = a_queue(
    slow=ModelQueue(pending=9, pending_s=100.0, replicas=1, load_s=60.0, trust=EXACT),
    quick=ModelQueue(load_s=5.0, replicas=1, trust=Interval(low_s=0.5, expected_s=1.0, high_s=2.0)),
    twin=ModelQueue(load_s=5.0, trust=EXACT),
)
THERE = a_fleet(a_replica("w0", model="slow", state=ReplicaState.BUSY), a_replica("w1", model="quick"), gpus=3)
RUN_S = {"slow": 20.0, "quick": 10.0, "twin": 10.0}


def answered(name: str | None, *, fleet: FleetView = THERE, **wants: object) -> Route | NoRoute:
    """The answer while `slow` has 100 s of work in line, `quick` is free and `twin` needs a load of 5 s."""
    given = Wants(delivery_s=lambda card: RUN_S.get(card.model_id), **wants)
    return route(name, task="t2i", catalogue=CATALOGUE, engines=FAKE, fleet=fleet, queue=WORK, wants=given)


def offered(found: Route | NoRoute) -> list[tuple[str, float | None]]:
    return [(offer.model_id, None if offer.eta is None else offer.eta.expected_s) for offer in found.offers]


@pytest.mark.parametrize(
    ("name", "answer", "wait_s", "eta"),
    [
        ("quick", Answer.RUN, 0.0, Interval(low_s=5.0, expected_s=10.0, high_s=20.0)),
        ("twin", Answer.WAIT, 5.0, Interval(low_s=15.0, expected_s=15.0, high_s=15.0)),
        ("slow", Answer.WAIT, 100.0, Interval(low_s=120.0, expected_s=120.0, high_s=120.0)),
        (None, Answer.RUN, 0.0, Interval(low_s=5.0, expected_s=10.0, high_s=20.0)),
    ],
)
def test_run_or_wait_with_an_interval(name: str | None, answer: Answer, wait_s: float, eta: Interval) -> None:
    found = answered(name)
    assert isinstance(found, Route)
    assert (found.answer, found.wait_s, found.eta, found.stands_in_for) == (answer, wait_s, eta, None)


def test_without_durations_there_is_no_eta_and_no_deadline_is_judged() -> None:
    wants = Wants(deadline_s=1.0)
    found = route("slow", task="t2i", catalogue=CATALOGUE, engines=FAKE, fleet=THERE, queue=WORK, wants=wants)
    assert isinstance(found, Route)
    assert (found.eta, found.answer) == (None, Answer.WAIT)


@pytest.mark.parametrize(
    ("deadline_s", "offers"),
    [
        pytest.param(119.0, [("quick", 10.0), ("twin", 15.0)], id="both others are in time"),
        pytest.param(14.0, [("quick", 10.0)], id="one is"),
        pytest.param(4.0, [], id="none is"),
    ],
)
def test_a_deadline_that_the_named_model_cannot_meet_brings_those_that_can(
    deadline_s: float, offers: list[tuple[str, float]]
) -> None:
    found = refused(answered("slow", deadline_s=deadline_s))
    assert found.code == "deadline_unreachable"
    assert found.reason == f"slow would deliver in 120 to 120 s, the deadline is in {deadline_s:g} s."
    assert offered(found) == offers
    assert found.answer is (Answer.ALTERNATIVES if offers else Answer.IMPOSSIBLE)


def test_a_deadline_that_holds_with_luck_is_not_refused() -> None:
    assert chosen(answered("quick", deadline_s=5.0)) == "quick"
    assert refused(answered("quick", deadline_s=4.9)).code == "deadline_unreachable"


def test_a_request_that_allows_it_gets_the_closest_model_that_is_in_time_and_is_told() -> None:
    found = answered("slow", deadline_s=60.0, may_substitute=True)
    assert isinstance(found, Route)
    assert (found.card.model_id, found.stands_in_for) == ("quick", "slow")
    elsewhere = answered("foreign", may_substitute=True)
    assert isinstance(elsewhere, Route)
    assert (elsewhere.card.model_id, elsewhere.stands_in_for) == ("twin", "foreign"), "the card's own alternative"
    assert chosen(answered("slow", may_substitute=True)) == "slow", "there is no reason to"


def test_a_wait_that_is_longer_than_the_request_allows_brings_those_that_begin_sooner() -> None:
    found = refused(answered("slow", wait_s_max=30.0))
    assert (found.code, found.retry_after_s) == ("wait_too_long", 70.0)
    assert found.reason == "slow would begin in 100 s, the request waits 30 s at most."
    assert offered(found) == [("quick", 10.0), ("twin", 15.0)]
    assert chosen(answered("slow", wait_s_max=100.0)) == "slow"
    elsewhere = answered("slow", wait_s_max=30.0, may_substitute=True)
    assert isinstance(elsewhere, Route)
    assert (elsewhere.card.model_id, elsewhere.stands_in_for) == ("quick", "slow")


def test_a_request_without_a_model_is_told_when_even_the_first_is_too_late() -> None:
    assert chosen(answered(None, deadline_s=5.0)) == "quick"
    found = refused(answered(None, deadline_s=4.0))
    assert (found.code, found.alternatives) == ("deadline_unreachable", ())


def test_whatever_does_the_task_includes_what_else_has_to_be_named() -> None:
    catalogue = a_catalogue(a_card("film", tasks=["t2v"], is_by_name_only=True))
    plain = route(None, task="t2v", catalogue=catalogue, engines=FAKE, fleet=THERE, queue=EMPTY_QUEUE)
    assert refused(plain).alternatives == ("film",)
    wants = Wants(is_for_any=True)
    anything = route(None, task="t2v", catalogue=catalogue, engines=FAKE, fleet=THERE, queue=EMPTY_QUEUE, wants=wants)
    assert chosen(anything) == "film"


# --- what the operator halted ---------------------------------------------------------------------------------------


def halted(*names: str, is_drain: bool = False) -> Orders:
    return Orders(halts=tuple(Halt(scope=Scope.MODEL, name=name, is_drain=is_drain) for name in names))


def test_a_paused_model_is_waited_for_by_those_who_name_it_and_not_offered_to_others() -> None:
    assert chosen(answered("quick", orders=halted("quick"))) == "quick"
    assert chosen(answered(None, orders=halted("quick"))) == "twin"
    assert offered(refused(answered("slow", deadline_s=60.0, orders=halted("quick")))) == [("twin", 15.0)]


def test_a_drained_model_takes_nobody_in_and_says_what_else_there_is() -> None:
    found = refused(answered("quick", orders=halted("quick", is_drain=True)))
    assert (found.code, found.retry_after_s) == ("model_drained", DRAINED_RETRY_S)
    assert found.alternatives[0] == "twin"
    elsewhere = answered("quick", orders=halted("quick", is_drain=True), may_substitute=True)
    assert isinstance(elsewhere, Route)
    assert (elsewhere.card.model_id, elsewhere.stands_in_for) == ("twin", "quick")


@pytest.mark.parametrize(
    ("wants", "answer"),
    [
        pytest.param({"wait_s_max": 95.0, "capacity_s": 30.0}, Answer.BUY, id="30 s to come, 60 s to load"),
        pytest.param({"wait_s_max": 95.0, "capacity_s": 50.0}, Answer.ALTERNATIVES, id="it would come too late"),
        pytest.param({"wait_s_max": 200.0, "capacity_s": 0.0}, Answer.WAIT, id="the wait is not too long"),
        pytest.param({"deadline_s": 115.0, "capacity_s": 30.0}, Answer.BUY, id="in time for the deadline"),
        pytest.param({"deadline_s": 105.0, "capacity_s": 30.0}, Answer.ALTERNATIVES, id="not in time for it"),
        pytest.param({"wait_s_max": 95.0}, Answer.ALTERNATIVES, id="nothing can be bought"),
    ],
)
def test_capacity_is_bought_when_that_helps(wants: dict[str, float], answer: Answer) -> None:
    assert answered("slow", **wants).answer is answer


def test_whoever_may_not_run_on_spot_waits_for_another_replica() -> None:
    gpus = [a_gpu("gpu0", market=Market.SPOT), a_gpu("gpu1")]
    fleet = a_fleet(a_replica("w0", model="quick"), gpus=gpus)
    anywhere, elsewhere = answered("quick", fleet=fleet), answered("quick", fleet=fleet, is_off_spot=True)
    assert isinstance(anywhere, Route)
    assert isinstance(elsewhere, Route)
    assert (anywhere.answer, anywhere.wait_s, elsewhere.answer, elsewhere.wait_s) == (Answer.RUN, 0.0, Answer.WAIT, 5.0)


def test_what_nothing_here_can_do_is_impossible() -> None:
    assert refused(answered("quick", fleet=a_fleet(gpus=0))).answer is Answer.IMPOSSIBLE


# --- spot -----------------------------------------------------------------------------------------------------------


def test_a_tier_that_may_not_run_on_spot_hears_at_once_that_nothing_else_fits() -> None:
    """Found by a simulated seed: such a job used to wait for ever."""
    fleet = a_fleet(
        gpus=[
            a_gpu("gpu0"),
            a_gpu("gpu1", memory_bytes=20_000, market=Market.SPOT),
            a_gpu("gpu2", memory_bytes=20_000, market=Market.SPOT),
        ]
    )
    assert chosen(routed("huge", fleet=fleet)) == "huge"
    wants = Wants(is_off_spot=True)
    found = refused(
        route("huge", task="t2i", catalogue=CATALOGUE, engines=FAKE, fleet=fleet, queue=EMPTY_QUEUE, wants=wants)
    )
    assert found.code == "model_unavailable"
    assert "fits only spot GPUs" in found.reason
    assert "slow" in found.alternatives
    assert "huge" not in found.alternatives
    listed = route("listed", task="t2i", catalogue=CATALOGUE, engines=FAKE, fleet=fleet, queue=EMPTY_QUEUE, wants=wants)
    assert "no engine" in refused(listed).reason, "what is wrong anyhow is said as ever"
    anything = route(None, task="t2i", catalogue=CATALOGUE, engines=FAKE, fleet=fleet, queue=EMPTY_QUEUE, wants=wants)
    assert chosen(anything) != "huge"
