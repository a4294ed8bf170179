"""Enlarging a picture to the size that was asked for: from what the model made, by which factor, by which method.

The built-in upscaler enlarges by a fixed factor, so 4 times is 2 times twice. Where it cannot be used, or its factor
does not divide the one wanted, a Lanczos filter does the whole of it: softer, but never a reason to fail a job.
"""

from dataclasses import dataclass
from enum import StrEnum

from heliograph.domain.model_card import UPSCALER


class UpscaleMethod(StrEnum):
    """What enlarges a picture."""

    NETWORK = UPSCALER
    LANCZOS = "lanczos"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscalePlan:
    """Enlarge to exactly `width_px` x `height_px`, the network in `passes` runs (0 for Lanczos)."""

    method: UpscaleMethod
    passes: int
    width_px: int
    height_px: int


def plan_upscale(
    *, made_width_px: int, made_height_px: int, factor: int, network_factor: int | None
) -> UpscalePlan | None:
    """How to enlarge a picture that was made at this size, or None when it is to stay as it is.

    `network_factor` is the factor of one run of the upscaler, None when it cannot be used.
    """
    assert factor >= 1, f"a picture cannot be enlarged {factor} times"
    if factor == 1:
        return None
    passes = None if network_factor is None else _passes(factor, network_factor)
    return UpscalePlan(
        method=UpscaleMethod.LANCZOS if passes is None else UpscaleMethod.NETWORK,
        passes=passes or 0,
        width_px=made_width_px * factor,
        height_px=made_height_px * factor,
    )


def _passes(factor: int, network_factor: int) -> int | None:
    """How many runs multiply to `factor`, or None if no number of them does."""
    passes, reached = 0, 1
    while reached < factor and network_factor > 1:
        passes, reached = passes + 1, reached * network_factor
    return passes if reached == factor else None
