"""How long pictures stay, and when they move to a cheaper place: rules by plan, and by tenant where one has its own.

All times count from the moment a picture was delivered. A star keeps a picture from being deleted or made a recipe, a
hold as well; both may still move to a cheaper medium, where nothing of them is lost.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from heliograph.domain.ids import ModelId, TenantId
from heliograph.domain.keeping import Keeping, StorageTier
from heliograph.domain.tiers import Tier

ORDER = tuple(StorageTier)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRule:
    """Seconds after which a picture moves on; None: never."""

    cool_after_s: float | None = None
    archive_after_s: float | None = None
    recipe_after_s: float | None = None
    delete_after_s: float | None = None

    @property
    def steps(self) -> tuple[tuple[float, StorageTier | None], ...]:
        """What happens when, in order of age; None stands for deletion."""
        named = (
            (self.cool_after_s, StorageTier.COOL),
            (self.archive_after_s, StorageTier.ARCHIVE),
            (self.recipe_after_s, StorageTier.RECIPE),
            (self.delete_after_s, None),
        )
        return tuple((after_s, where) for after_s, where in named if after_s is not None)


KEEP_FOR_EVER = RetentionRule()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """Whose pictures follow which rule: the tenant's own, else the plan's, else they stay."""

    plans: Mapping[Tier, RetentionRule] = field(default_factory=dict[Tier, RetentionRule])
    tenants: Mapping[TenantId, RetentionRule] = field(default_factory=dict[TenantId, RetentionRule])

    def rule_for(self, tenant_id: TenantId, plan: Tier) -> RetentionRule:
        """The rule that counts."""
        return self.tenants.get(tenant_id) or self.plans.get(plan, KEEP_FOR_EVER)

    @property
    def youngest_s(self) -> float | None:
        """The age below which nothing happens to any picture; None where nothing ever does."""
        rules = (*self.plans.values(), *self.tenants.values())
        return min((after_s for rule in rules for after_s, _ in rule.steps), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happens to a picture, and when: it moves `to` a tier, or is deleted (None)."""

    at_s: float
    to: StorageTier | None


def next_step(
    keeping: Keeping, rule: RetentionRule, *, is_reproducible: Callable[[ModelId], bool] = lambda _model_id: True
) -> Step | None:
    """The next thing that is to happen to a picture, however long ago it was due; None when it stays as it is.

    Steps that later ones overtake are left out: of a picture that is long past several ages only the last one counts
    when the caller asks with `due`.
    """
    here = ORDER.index(keeping.storage_tier)
    for after_s, to in rule.steps:
        if to is None:
            if not keeping.is_kept:
                return Step(at_s=keeping.created_at_s + after_s, to=None)
        elif ORDER.index(to) > here:
            if to is StorageTier.RECIPE and (keeping.is_kept or not is_reproducible(keeping.model_id)):
                continue
            return Step(at_s=keeping.created_at_s + after_s, to=to)
    return None


def due(
    keeping: Keeping, rule: RetentionRule, *, now_s: float, is_reproducible: Callable[[ModelId], bool]
) -> Step | None:
    """The last step whose time has come: what is to be done now, without stopping on the way."""
    found: Step | None = None
    at = keeping
    while (step := next_step(at, rule, is_reproducible=is_reproducible)) is not None and step.at_s <= now_s:
        found = step
        if step.to is None:
            break
        at = replace(at, storage_tier=step.to)
    return found
