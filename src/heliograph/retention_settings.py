"""The retention policy that the settings describe."""

from heliograph.delivery.retention import RetentionPolicy, RetentionRule
from heliograph.domain.ids import TenantId
from heliograph.settings import RetentionRuleSettings, RetentionSettings

DAY_S = 86_400.0


def retention_policy(settings: RetentionSettings) -> RetentionPolicy:
    """Days as seconds, names as tenants."""
    return RetentionPolicy(
        plans={plan: _rule(rule) for plan, rule in settings.plans.items()},
        tenants={TenantId(name): _rule(rule) for name, rule in settings.tenants.items()},
    )


def _rule(settings: RetentionRuleSettings) -> RetentionRule:
    return RetentionRule(
        delete_after_s=_seconds(settings.delete_after_days),
    )


def _seconds(days: float | None) -> float | None:
    return None if days is None else days * DAY_S
