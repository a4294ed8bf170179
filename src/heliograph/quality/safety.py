"""What follows from how sure a classifier is that a picture is not safe for work."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from heliograph.domain.pictures import Decision, Safety

UNSAFE = "unsafe"
"""The reason in the verdict on a picture that is not delivered because of what it shows."""
UNJUDGED = "safety_unknown"
"""The reason where a picture had to be judged and could not be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyLimits:
    """Scores, 0 to 1, from which a picture is looked at by a person and from which it is not delivered.

    With `is_required`, a picture that nothing could judge is not delivered either.
    """

    review_min: float = 0.5
    block_min: float = 0.8
    is_required: bool = False

    def judged(self, score: float, judge: str) -> Safety:
        """What follows from a score."""
        if score >= self.block_min:
            decision = Decision.BLOCK
        else:
            decision = Decision.FLAG if score >= self.review_min else Decision.ACCEPT
        return Safety(score=score, decision=decision, judge=judge)


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyPolicy:
    """The limits in general, and those of single tenants."""

    limits: SafetyLimits = SafetyLimits()
    tenants: Mapping[str, SafetyLimits] = field(default_factory=dict[str, SafetyLimits])

    def limits_for(self, tenant_id: str) -> SafetyLimits:
        """The limits of a tenant."""
        return self.tenants.get(tenant_id, self.limits)
