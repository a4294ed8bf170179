"""What happens to a picture, and when: the retention policy as a table."""

from dataclasses import replace

import pytest

from heliograph.delivery.retention import KEEP_FOR_EVER, RetentionPolicy, RetentionRule, Step, due, next_step
from heliograph.domain.ids import JobId, ModelId, OutputId, TenantId
from heliograph.domain.keeping import Keeping, StorageTier
from heliograph.domain.tiers import Tier

HOT, COOL, ARCHIVE, RECIPE = StorageTier
RULE = RetentionRule(cool_after_s=10, archive_after_s=20, recipe_after_s=30, delete_after_s=40)
PICTURE = Keeping(
    output_id=OutputId("o"),
    job_id=JobId("j"),
    tenant_id=TenantId("ada"),
    plan=Tier.FREE,
    model_id=ModelId("painter"),
    created_at_s=100.0,
    size_bytes=1,
)
STARRED, HELD = replace(PICTURE, starred_at_s=101.0), replace(PICTURE, held_at_s=0.0)


@pytest.mark.parametrize(
    ("keeping", "rule", "expected"),
    [
        (PICTURE, KEEP_FOR_EVER, None),
        (PICTURE, RULE, Step(at_s=110.0, to=COOL)),
        (replace(PICTURE, storage_tier=COOL), RULE, Step(at_s=120.0, to=ARCHIVE)),
        (replace(PICTURE, storage_tier=ARCHIVE), RULE, Step(at_s=130.0, to=RECIPE)),
        (replace(PICTURE, storage_tier=RECIPE), RULE, Step(at_s=140.0, to=None)),
        (PICTURE, RetentionRule(delete_after_s=5), Step(at_s=105.0, to=None)),
        (STARRED, RetentionRule(delete_after_s=5), None),
        (HELD, RetentionRule(recipe_after_s=5, delete_after_s=9), None),
        (STARRED, RULE, Step(at_s=110.0, to=COOL)),
        (replace(STARRED, storage_tier=ARCHIVE), RULE, None),
    ],
)
def test_the_next_step(keeping: Keeping, rule: RetentionRule, expected: Step | None) -> None:
    assert next_step(keeping, rule) == expected


@pytest.mark.parametrize(
    ("now_s", "is_reproducible", "expected"),
    [
        (109.9, True, None),
        (110.0, True, COOL),
        (125.0, True, ARCHIVE),
        (135.0, True, RECIPE),
        (135.0, False, ARCHIVE),
        (900.0, False, "deleted"),
    ],
)
def test_what_is_due_is_the_last_step_whose_time_has_come(
    now_s: float, is_reproducible: bool, expected: StorageTier | str | None
) -> None:
    step = due(PICTURE, RULE, now_s=now_s, is_reproducible=lambda _: is_reproducible)
    assert (step and (step.to or "deleted")) == expected


def test_a_tenant_s_rule_comes_before_its_plan_s() -> None:
    free, own = RetentionRule(delete_after_s=5), RetentionRule(cool_after_s=3)
    policy = RetentionPolicy(plans={Tier.FREE: free}, tenants={TenantId("bob"): own})
    assert policy.rule_for(TenantId("ada"), Tier.FREE) is free
    assert policy.rule_for(TenantId("bob"), Tier.FREE) is own
    assert policy.rule_for(TenantId("ada"), Tier.PRO) is KEEP_FOR_EVER
    assert policy.youngest_s == 3
    assert RetentionPolicy().youngest_s is None
