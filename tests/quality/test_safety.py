import pytest

from heliograph.domain.pictures import Decision
from heliograph.quality.safety import SafetyLimits, SafetyPolicy


@pytest.mark.parametrize(
    ("score", "decision"),
    [
        (0.0, Decision.ACCEPT),
        (0.4999, Decision.ACCEPT),
        (0.5, Decision.FLAG),
        (0.7999, Decision.FLAG),
        (0.8, Decision.BLOCK),
        (1.0, Decision.BLOCK),
    ],
)
def test_a_score_leads_to_a_decision_at_its_limit(score: float, decision: Decision) -> None:
    safety = SafetyLimits().judged(score, "opennsfw")
    assert (safety.decision, safety.score, safety.judge) == (decision, score, "opennsfw")


def test_a_tenant_has_its_own_limits_or_the_general_ones() -> None:
    own = SafetyLimits(review_min=0.9, block_min=1.0)
    policy = SafetyPolicy(tenants={"museum": own})
    assert policy.limits_for("museum") is own
    assert policy.limits_for("acme").judged(0.85, "x").decision is Decision.BLOCK
    assert policy.limits_for("museum").judged(0.85, "x").decision is Decision.ACCEPT
