"""Is a picture technically broken? What it measures, held against what is usual for its model.

A small network, trained on sound pictures and on the same ones spoiled on purpose (`training/train_damage.py`), reads
the statistics of `signals.py`. It does not read them as they are, because what is broken for one model is the style of
another, but as distances from the model's usual: (value - median) / scale, cut off far out. So one network serves
models that it has never seen, and what it says becomes a verdict only beside `UsualLook.limit`, the score that few of
the model's own pictures exceed. `history.py` learns all three.

**Score.** The logarithm of the odds that the picture is broken rather than sound, in whatever way.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heliograph.quality.signals import SIGNALS

SOUND = "sound"
"""The network's first class; each of the others names a way to be broken and is a verdict's reason."""

LIMIT_MIN = 0.0
"""However clean a model's own pictures are: what is likelier sound than broken is never called broken."""

_FAR_OUT = 8.0
_HALF = 2.0
_SCALE_OF_DEVIATION = 1.4826

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DamageNetwork:
    """Two layers. `least_scales` keep a signal that hardly varies for a model from shouting at every trifle."""

    classes: tuple[str, ...]
    least_scales: Floats
    hidden_weights: Floats
    hidden_bias: Floats
    class_weights: Floats
    class_bias: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class UsualLook:
    """What is usual for a model: median and scale of each signal, and the score that few of its pictures exceed."""

    medians: tuple[float, ...]
    scales: tuple[float, ...]
    limit: float = LIMIT_MIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """How broken a picture looks (`score`, above `limit`: it is), and in which way if it is."""

    score: float
    limit: float
    kind: str

    @property
    def is_damaged(self) -> bool:
        """Few of the model's own pictures look so broken."""
        return self.score > self.limit


def read_network(document: Mapping[str, Any]) -> DamageNetwork:
    """The network in the shipped file. Raises `ValueError` for one that does not fit the signals of this release."""
    try:
        network = DamageNetwork(
            classes=tuple(map(str, document["classes"])),
            least_scales=np.array(document["least_scales"], np.float64),
            hidden_weights=np.array(document["hidden_weights"], np.float64),
            hidden_bias=np.array(document["hidden_bias"], np.float64),
            class_weights=np.array(document["class_weights"], np.float64),
            class_bias=np.array(document["class_bias"], np.float64),
        )
        is_for_these = tuple(document["signals"]) == SIGNALS
    except (KeyError, TypeError) as error:
        raise ValueError(f"the damage network is not of the form expected: {error!r}") from error
    hidden = len(network.hidden_bias)
    shapes = (network.least_scales.shape, network.hidden_weights.shape, network.class_weights.shape)
    expected = ((len(SIGNALS),), (len(SIGNALS), hidden), (hidden, len(network.classes)))
    if not is_for_these or shapes != expected or network.class_bias.shape != (len(network.classes),):
        raise ValueError("the damage network was trained for other signals")
    return network


def usual_look(pictures: Sequence[Sequence[float]], network: DamageNetwork, *, false_alarms: float) -> UsualLook:
    """What is usual among `pictures` (their signals), with a limit that the share `false_alarms` (0-1) exceeds.

    Median and median deviation, so that a few broken ones among them do no harm. The limit is such that the next sound
    picture exceeds it with no greater a chance, whatever the scores' distribution, once there are 1 / `false_alarms`.
    """
    values = np.array(pictures, np.float64)
    medians = np.median(values, axis=0)
    scales = np.maximum(_SCALE_OF_DEVIATION * np.median(np.abs(values - medians), axis=0), network.least_scales)
    scores = np.sort(_scores(_unusual(values, medians, scales), network))
    rank = min(len(scores), math.ceil((len(scores) + 1) * (1 - false_alarms)))
    limit = max(LIMIT_MIN, round(float(scores[rank - 1]), 4))
    return UsualLook(medians=tuple(medians.tolist()), scales=tuple(scales.tolist()), limit=limit)


def damage(found: Sequence[float], network: DamageNetwork, usual: UsualLook) -> Damage:
    """What the signals of one picture say of it, held against what is usual for its model."""
    unusual = _unusual(np.array(found, np.float64)[None], np.array(usual.medians), np.array(usual.scales))
    logits = _logits(unusual, network)[0]
    worst = int(np.argmax(logits[1:])) + 1
    return Damage(score=float(_scores(unusual, network)[0]), limit=usual.limit, kind=network.classes[worst])


def _unusual(values: Floats, medians: Floats, scales: Floats) -> Floats:
    return np.clip((values - medians) / scales, -_FAR_OUT, _FAR_OUT) / _HALF


def _logits(unusual: Floats, network: DamageNetwork) -> Floats:
    hidden = np.tanh(unusual @ network.hidden_weights + network.hidden_bias)
    return hidden @ network.class_weights + network.class_bias


def _scores(unusual: Floats, network: DamageNetwork) -> Floats:
    logits = _logits(unusual, network)
    return np.logaddexp.reduce(logits[:, 1:], axis=1) - logits[:, 0]
