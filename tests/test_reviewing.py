"""From a flagged prompt or an unsafe picture to a case, through the pipeline."""

import asyncio
from dataclasses import replace

import pytest

from heliograph.domain.ids import JobId
from heliograph.domain.lifecycle import CaseOpened
from heliograph.domain.moderation import CaseDeed, CaseState, CaseSubject, ReviewPolicy
from heliograph.domain.pictures import Availability, Decision, Safety, Verdict
from heliograph.domain.prompt_verdict import Category
from heliograph.live import PreviewUpdate, StatusUpdate
from heliograph.prompts.policy import PolicyDecision, PolicyVerdict
from heliograph.quality.safety import UNSAFE, SafetyLimits, SafetyPolicy
from tests.test_pipeline import ALICE, BOB, SMALL, World

UNSURE = Safety(score=0.6, decision=Decision.FLAG, judge="opennsfw")
UNSAFE_PICTURE = Verdict(
    decision=Decision.BLOCK, reasons=(UNSAFE,), safety=replace(UNSURE, score=0.9, decision=Decision.BLOCK)
)


class FlagsKnights:
    appeal = "appeal"

    def judge(self, prompt: str, negative_prompt: str, *, tenant_id: str | None = None) -> PolicyVerdict:
        decision = PolicyDecision.FLAG if "knight" in prompt else PolicyDecision.ALLOW
        return PolicyVerdict(decision=decision, category=Category.VIOLENCE, score=0.6, evidence=("sword",))


def cases_told(world: World) -> list[str]:
    return [event.case.case_id for event in world.events if isinstance(event, CaseOpened)]


@pytest.mark.parametrize("holds", [False, True])
async def test_a_flagged_prompt_runs_and_is_a_case_from_the_moment_its_job_is_durable(holds: bool) -> None:
    reviews = ReviewPolicy(holds=holds)
    async with World(policy_of_prompts=FlagsKnights(), reviews=reviews).running() as world:
        job_id = JobId(await world.submit(raw=replace(SMALL, prompt="a knight", negative_prompt="")))
        (case,) = await world.store.cases_of_job(job_id)
        together = next(commit for commit in world.store.commits if len(commit) > 1)
        assert {type(write).__name__ for write in together} >= {"PutJob", "OpenCase"}
        done = await world.service.wait(job_id, caller=ALICE, timeout_s=5)
        plain = JobId(await world.submit())
        await world.service.wait(plain, caller=ALICE, timeout_s=5)
        assert await world.store.cases_of_job(plain) == ()
    assert (case.subject, case.state, case.category) == (CaseSubject.PROMPT, CaseState.OPEN, "violence")
    assert (case.prompt, case.is_holding, case.findings[0].evidence) == ("a knight", holds, ("sword",))
    expected = Availability.HELD if holds else Availability.DELIVERED
    assert [output.availability for output in done.outputs] == [expected]
    assert cases_told(world) == [case.case_id]


async def test_what_is_held_shows_no_previews_either() -> None:
    updates = []
    async with World(policy_of_prompts=FlagsKnights(), reviews=ReviewPolicy(holds=True)).running() as world:
        for prompt in ("a knight", "a cat"):
            job_id = JobId(await world.submit(raw=replace(SMALL, prompt=prompt)))
            async with world.service.watch(job_id, caller=ALICE) as found:
                updates.append([type(update) async for update in found])
    held, plain = updates
    assert StatusUpdate in held
    assert PreviewUpdate not in held
    assert PreviewUpdate in plain


@pytest.mark.parametrize("holds", [False, True])
async def test_an_unsure_picture_is_delivered_or_held_and_becomes_a_case(holds: bool) -> None:
    limits = SafetyLimits(review_min=0.4)
    async with World(safety=SafetyPolicy(limits=limits), reviews=ReviewPolicy(holds=holds)).running() as world:
        world.finisher.safety = UNSURE
        done = await world.service.wait(await world.submit(), caller=ALICE, timeout_s=5)  # type: ignore[arg-type]
        (output,) = done.outputs
        (case,) = await world.store.cases_of_job(done.view.job.job_id)
    assert world.finisher.limits == [limits]
    assert (output.safety, output.availability) == (UNSURE, Availability.HELD if holds else Availability.DELIVERED)
    assert (case.output_id, case.score, case.is_holding) == (output.output_id, 0.6, holds)
    assert cases_told(world) == [case.case_id]
    assert done.cost_micros > 0 or done.view.job.state == "completed"


async def test_an_unsafe_picture_fails_its_job_free_of_charge_and_is_not_stored() -> None:
    async with World(safety=SafetyPolicy()).running() as world:
        world.finisher.verdicts = [UNSAFE_PICTURE]
        done = await world.service.wait(await world.submit(), caller=ALICE, timeout_s=5)  # type: ignore[arg-type]
        job = done.view.job
        assert job.failure is not None
        assert (job.failure.code, done.outputs, done.cost_micros) == ("picture_blocked", (), 0)
        assert f"/v1/jobs/{job.job_id}/appeal" in job.failure.message
        (case,) = await world.store.cases_of_job(job.job_id)
        (line,) = await world.store.case_actions(case.case_id)
    assert (case.state, case.score, case.output_id) == (CaseState.UPHELD, 0.9, None)
    assert (line.deed, line.actor) == (CaseDeed.UPHELD, "filter")


async def test_tenants_have_limits_and_rules_of_their_own() -> None:
    own = SafetyLimits(review_min=0.9, block_min=1.0)
    safety = SafetyPolicy(tenants={BOB.tenant_id: own})
    reviews = ReviewPolicy(holds=True, tenants={BOB.tenant_id: False})
    async with World(safety=safety, reviews=reviews).running() as world:
        world.finisher.safety = UNSURE
        for caller, availability in ((ALICE, Availability.HELD), (BOB, Availability.DELIVERED)):
            job_id = await world.submit(caller=caller)
            done = await world.service.wait(job_id, caller=caller, timeout_s=5)  # type: ignore[arg-type]
            assert [output.availability for output in done.outputs] == [availability]
    assert world.finisher.limits == [SafetyLimits(), own]


async def test_a_case_is_taken_back_with_a_submission_that_could_not_be_stored() -> None:
    async with World(policy_of_prompts=FlagsKnights()).running() as world:
        world.store.is_cut_off = True
        with pytest.raises(Exception, match="carried out, and nobody was told"):
            await world.submit(raw=replace(SMALL, prompt="a knight"))
        world.store.is_cut_off = False
        async with asyncio.timeout(5):
            while await world.store.cases(CaseState.OPEN, limit=9):
                await asyncio.sleep(0.01)
    assert cases_told(world) == []
