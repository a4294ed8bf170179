"""The gates: what to do with a picture, given its facts.

| finding                                    | while reseeds are left | afterwards             |
|--------------------------------------------|------------------------|------------------------|
| `nan`: a value is not a number             | regenerate             | block                  |
| `blank`: one colour all over               | regenerate             | flag, and deliver      |
| `wrong_aspect_ratio`: not the shape wanted | block                  | block                  |
| `wrong_size`: the right shape, another size| flag, and deliver      | flag, and deliver      |

A blank picture is usually an accident of its seed, so others are tried. But "a black square" is a fair prompt: a
picture that stays blank is what the model makes of it, and whoever asked gets it, flagged. A picture that is not a
number cannot be encoded, so it is never delivered. The shape does not depend on the seed: trying again would spend GPU
time on the same mistake.

The severest finding decides; all of them are the verdict's reasons, in the order of this table.
"""

from dataclasses import dataclass

from heliograph.domain.pictures import Decision, Verdict
from heliograph.quality.facts import ImageFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePolicy:
    """Where the gates draw their lines.

    `reseeds_max` bounds how often one job is made again with other seeds. A picture is blank when its channels deviate
    by at most `blank_spread_max` levels (of 255) or when at least `blank_share_min` of it (0-1) is one colour: low
    enough for a dead decoder's faint ripple, high enough to pass a bird in a clear sky. The aspect ratio may be off by
    the factor `aspect_tolerance`, the rounding of sides to a model's multiples.
    """

    reseeds_max: int = 2
    blank_spread_max: float = 2.0
    blank_share_min: float = 0.998
    aspect_tolerance: float = 0.02


_SEVERITY = (Decision.ACCEPT, Decision.FLAG, Decision.REGENERATE, Decision.BLOCK)


def judge(
    facts: ImageFacts, *, expected_width_px: int, expected_height_px: int, reseeds: int, policy: GatePolicy
) -> Verdict:
    """The verdict on one picture of a job that has been made again `reseeds` times already."""
    may_reseed = reseeds < policy.reseeds_max
    findings: list[tuple[str, Decision]] = []
    if not facts.is_finite:
        findings.append(("nan", Decision.REGENERATE if may_reseed else Decision.BLOCK))
    elif facts.spread <= policy.blank_spread_max or facts.flat_share >= policy.blank_share_min:
        findings.append(("blank", Decision.REGENERATE if may_reseed else Decision.FLAG))
    if (facts.width_px, facts.height_px) != (expected_width_px, expected_height_px):
        stretch = (facts.width_px * expected_height_px) / (facts.height_px * expected_width_px)
        if abs(stretch - 1) > policy.aspect_tolerance:
            findings.append(("wrong_aspect_ratio", Decision.BLOCK))
        else:
            findings.append(("wrong_size", Decision.FLAG))
    return Verdict(
        decision=max((decision for _, decision in findings), key=_SEVERITY.index, default=Decision.ACCEPT),
        reasons=tuple(reason for reason, _ in findings),
    )
