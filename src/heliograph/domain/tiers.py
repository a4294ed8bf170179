"""Service tiers: what a tenant pays for. Policies map a tier to weights; nothing else depends on the order here."""

from enum import StrEnum


class Tier(StrEnum):
    """From the patient to the pressed."""

    FREE = "free"
    STANDARD = "standard"
    PRO = "pro"
