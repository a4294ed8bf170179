from heliograph.prompts import AllowAll, PolicyDecision, PromptPolicy


def test_the_stand_in_policy_blocks_nothing() -> None:
    policy: PromptPolicy = AllowAll()
    verdict = policy.judge("anything at all", "")
    assert (verdict.decision, verdict.category, verdict.score) == (PolicyDecision.ALLOW, None, 0.0)
