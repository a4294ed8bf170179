"""What the gates learn of a model from its own pictures: where its usual ends.

No threshold suits every model. So the pictures that a model delivers first are looked at, and from them follow what is
usual (`UsualLook`) and the alignment that few of them stay below. That is learned anew after `LEARN_AT` pictures and
then stands: a limit that went on following what it lets through would creep, either with the drift that it should
notice, or inwards, because it cuts off the tail from which it is taken. Another revision of the model begins anew.

Until there are enough pictures the gates judge by what every model has in common (blank, not a number, wrong shape).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from heliograph.quality.damage import DamageNetwork, UsualLook, usual_look

LEARN_AT = (100, 200, 400)
"""Numbers of pictures after which the limits are learned; after the last they stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningPolicy:
    """How many sound pictures of a model may be flagged: shares (0-1) of those that look broken, or unlike a prompt."""

    damage_false_alarms: float = 0.013
    alignment_false_alarms: float = 0.015


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What was learned of a model's revision. `alignment_min` (0-1) is None where too few of the
    `judged` pictures were."""

    usual: UsualLook
    alignment_min: float | None
    pictures: int
    judged: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The first pictures of one model's revision: their signals, and the alignments of those that have one."""

    revision: str
    signals: tuple[tuple[float, ...], ...] = ()
    alignments: tuple[float, ...] = ()
    baseline: Baseline | None = None

    @property
    def is_complete(self) -> bool:
        """Nothing more is learned."""
        return len(self.signals) >= LEARN_AT[-1]


def noted(
    history: History,
    signals: Sequence[float],
    alignment: float | None,
    *,
    network: DamageNetwork,
    policy: LearningPolicy,
) -> History:
    """The history with one more delivered picture, and with new limits where it is time to learn them."""
    if history.is_complete:
        return history
    more = replace(
        history,
        signals=(*history.signals, tuple(signals)),
        alignments=history.alignments if alignment is None else (*history.alignments, alignment),
    )
    return replace(more, baseline=learned(more, network, policy)) if len(more.signals) in LEARN_AT else more


def learned(history: History, network: DamageNetwork, policy: LearningPolicy) -> Baseline:
    """What follows from the pictures of a history."""
    return Baseline(
        usual=usual_look(history.signals, network, false_alarms=policy.damage_false_alarms),
        alignment_min=_low(history.alignments, policy.alignment_false_alarms),
        pictures=len(history.signals),
        judged=len(history.alignments),
    )


def _low(alignments: Sequence[float], share: float) -> float | None:
    """The alignment that the share of pictures stays below, or None where there are too few to say."""
    rank = math.floor((len(alignments) + 1) * share)
    return None if len(alignments) < LEARN_AT[0] or rank < 1 else sorted(alignments)[rank - 1]
