"""Where a request goes: explicit models, aliases, capability requests, and what is offered instead."""

import pytest

from heliograph.domain.ids import ModelId
from heliograph.domain.model_card import Catalogue, EngineKind
from heliograph.domain.views import FleetView, ModelQueue, QueueView, ReplicaState
from heliograph.routing.route import LOAD_FAILURES_MAX, WAIT_S_UNKNOWN, NoRoute, Route, expected_wait_s, route
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
    assert (chosen(found), found) == ("slow", Route(card=CATALOGUE.cards[ModelId("slow")], wait_s=1_060.0, alias=None))


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
