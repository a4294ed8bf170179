"""The gates: what to do with a picture, given its facts.

| finding                                    | while reseeds are left | afterwards             |
|--------------------------------------------|------------------------|------------------------|
| `nan`: a value is not a number             | regenerate             | block                  |
| `blank`: one colour all over               | regenerate             | flag, and deliver      |
| `wrong_aspect_ratio`: not the shape wanted | block                  | block                  |
| `wrong_size`: the right shape, another size| flag, and deliver      | flag, and deliver      |
| `low_alignment`: unlike its prompt         | flag, or as the policy | flag, and deliver      |
|                                            | says regenerate        |                        |
| `noisy`, `blurred`, ...: looks broken      | flag, or as the policy | as the policy says, but|
|                                            | says                   | flag for regenerate    |

A blank picture is usually an accident of its seed, so others are tried. But "a black square" is a fair prompt: a
picture that stays blank is what the model makes of it, and whoever asked gets it, flagged. A picture that is not a
number cannot be encoded, so it is never delivered. The shape does not depend on the seed: trying again would spend GPU
time on the same mistake. A picture unlike its prompt may be all that its model can make of it, and the judge of
likeness errs, too: it is delivered, flagged, unless the operator wants to pay for more attempts.

A picture that looks broken beside its model's own ones has the way in which it does as its reason; the ways are the
classes of the network of `damage.py`. What is taken for broken may be what was asked for ("out of focus"), so it is
delivered, flagged, unless the operator wants more.

`flagged` adds two more: `duplicate` for a picture that repeats an earlier one of its batch, and `lanczos_upscale`, a
shortcoming of delivery: the picture was enlarged by plain filtering, because the upscaler could not be used.

The severest finding decides; all of them are the verdict's reasons, in the order of this table.
"""

from dataclasses import dataclass
from enum import StrEnum

from heliograph.domain.pictures import Decision, Verdict
from heliograph.quality.damage import Damage
from heliograph.quality.facts import ImageFacts


class DamagedPictures(StrEnum):
    """What becomes of pictures that look broken."""

    IGNORE = "ignore"
    FLAG = "flag"
    REGENERATE = "regenerate"
    BLOCK = "block"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePolicy:
    """Where the gates draw their lines.

    `reseeds_max` bounds how often one job is made again with other seeds. A picture is blank when its channels deviate
    by at most `blank_spread_max` levels (of 255) or when at least `blank_share_min` of it (0-1) is one colour: low
    enough for a dead decoder's faint ripple, high enough to pass a bird in a clear sky. The aspect ratio may be off by
    the factor `aspect_tolerance`, the rounding of sides to a model's multiples. A picture is unlike its prompt when its
    alignment (0-1) is below `alignment_min`; with None, below what its judge was calibrated to. `reseeds_low_alignment`
    spends reseeds on it. `damaged` is what becomes of one that looks broken; regenerating it spends reseeds, too.
    """

    reseeds_max: int = 2
    blank_spread_max: float = 2.0
    blank_share_min: float = 0.998
    aspect_tolerance: float = 0.02
    alignment_min: float | None = None
    reseeds_low_alignment: bool = False
    damaged: DamagedPictures = DamagedPictures.FLAG


_SEVERITY = (Decision.ACCEPT, Decision.FLAG, Decision.REGENERATE, Decision.BLOCK)


def judge(
    facts: ImageFacts,
    *,
    expected_width_px: int,
    expected_height_px: int,
    reseeds: int,
    policy: GatePolicy,
    alignment: float | None = None,
    calibrated_min: float = 0.0,
    damage: Damage | None = None,
) -> Verdict:
    """The verdict on one picture of a job that has been made again `reseeds` times already.

    `alignment` is its score from 0 to 1, None where nothing has judged it; `calibrated_min` is the score below which
    its judge takes a picture to be unlike its prompt. `damage` is how broken it looks, None where its model is unknown.
    """
    may_reseed = reseeds < policy.reseeds_max
    is_blank = facts.spread <= policy.blank_spread_max or facts.flat_share >= policy.blank_share_min
    findings: list[tuple[str, Decision]] = []
    if not facts.is_finite:
        findings.append(("nan", Decision.REGENERATE if may_reseed else Decision.BLOCK))
    elif is_blank:
        findings.append(("blank", Decision.REGENERATE if may_reseed else Decision.FLAG))
    if (facts.width_px, facts.height_px) != (expected_width_px, expected_height_px):
        stretch = (facts.width_px * expected_height_px) / (facts.height_px * expected_width_px)
        if abs(stretch - 1) > policy.aspect_tolerance:
            findings.append(("wrong_aspect_ratio", Decision.BLOCK))
        else:
            findings.append(("wrong_size", Decision.FLAG))
    alignment_min = calibrated_min if policy.alignment_min is None else policy.alignment_min
    if alignment is not None and alignment < alignment_min:
        is_reseeded = may_reseed and policy.reseeds_low_alignment
        findings.append(("low_alignment", Decision.REGENERATE if is_reseeded else Decision.FLAG))
    is_looked_at = policy.damaged is not DamagedPictures.IGNORE and not is_blank
    if damage is not None and damage.is_damaged and is_looked_at:
        decision = Decision(policy.damaged.value)
        may_not = decision is Decision.REGENERATE and not may_reseed
        findings.append((damage.kind, Decision.FLAG if may_not else decision))
    return Verdict(
        decision=max((decision for _, decision in findings), key=_SEVERITY.index, default=Decision.ACCEPT),
        reasons=tuple(reason for reason, _ in findings),
    )


def flagged(verdict: Verdict, reason: str) -> Verdict:
    """The verdict with one more reason to look at the picture; a severer decision stays."""
    decision = max(verdict.decision, Decision.FLAG, key=_SEVERITY.index)
    return Verdict(decision=decision, reasons=(*verdict.reasons, reason))
