"""A refused prompt over the wire: one body that says why, whatever the protocol."""

import httpx
import pytest

from heliograph.domain.errors import PromptRefused
from heliograph.domain.prompt_verdict import Category, PolicyDecision, PolicyVerdict, Span
from tests.gateway.conftest import Gateway

VERDICT = PolicyVerdict(
    decision=PolicyDecision.BLOCK,
    category=Category.VIOLENCE,
    score=0.98761,
    scores={Category.VIOLENCE: 0.98761},
    span=Span(start=2, end=7, text="gory!"),
    evidence=("violence.gore", "the word gory"),
)
MINORS = PolicyVerdict(decision=PolicyDecision.BLOCK, category=Category.SEXUAL_MINORS, score=1.0)
CALLS = (
    ("/v1/jobs", {"prompt": "a gory! cat"}),
    ("/v1/images/generations", {"prompt": "a gory! cat", "model": "helio-base"}),
    ("/v1/predictions", {"version": "helio-base", "input": {"prompt": "a gory! cat"}}),
)


@pytest.mark.parametrize(("path", "body"), CALLS)
async def test_every_protocol_says_stage_category_place_and_appeal(
    gateway: Gateway, client: httpx.AsyncClient, path: str, body: dict[str, object]
) -> None:
    gateway.service.error = PromptRefused(VERDICT, refusal_id="ref_1", appeal="Ring twice.")
    answer = await client.post(path, json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == (
        "image_generation_user_error",
        "moderation_blocked",
        "prompt",
    )
    assert "safety_violations=[violence] Ring twice." in error["message"]
    assert error["moderation_details"] == {
        "moderation_stage": "input",
        "categories": ["violence"],
        "score": 0.9876,
        "span": {"start": 2, "end": 7, "text": "gory!"},
        "evidence": ["violence.gore", "the word gory"],
        "refusal_id": "ref_1",
        "appeal": "Ring twice.",
    }


async def test_nothing_but_the_category_is_told_where_minors_are_concerned(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    gateway.service.error = PromptRefused(MINORS, refusal_id="ref_1", appeal="Ring twice.")
    details = (await client.post("/v1/jobs", json={"prompt": "x"})).json()["error"]["moderation_details"]
    assert (details["categories"], details["span"], details["evidence"]) == (["sexual_minors"], None, [])
