"""What really takes how long, and what production believes about it.

Production is told what an operator can know: a card with one timing per GPU class of the fleet, measured where the
catalogue has one and scaled from another class where not. The truth differs by the scenario's profile error (one factor
per model for runs, one for loads), by the size of the picture (work grows faster than pixels) and by noise per run.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import replace

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.ids import ModelId
from heliograph.domain.model_card import ModelCard, Timing
from heliograph.simulation.chance import Chance
from heliograph.simulation.scenario import Scenario

_SIZE_CURVE = ((256**2, 556.0), (512**2, 1388.0), (1024**2, 5046.0), (2048**2, 24965.0))
"""Teraflop per FLUX.1 picture by pixels (TetriServe, arXiv 2510.01565): small pictures cost more than their share."""

LOAD_S_BASE, LOAD_S_PER_GB = 18.7, 0.42
"""Fit over 12 loads of SGLang's published baselines (R² 0.91), for cards without a load time of their own."""

WEIGHTS_GB_UNKNOWN = 10.0
VRAM_SHARE_OF_WEIGHTS = 1.2
"""What a model is taken to need when its card does not say: its weights, and a fifth for activations."""


def seconds_on(card: ModelCard, gpu_class: str, speeds: Mapping[str, float]) -> Timing:
    """The card's timing on as many GPUs of that class as it needs, scaled by speed from a class it was measured on.

    `InvalidRequest` when the card has no timing on so many GPUs of any class we know.
    """
    own = [timing for timing in card.timings if timing.gpu_count == card.gpus]
    exact = [timing for timing in own if timing.gpu == gpu_class]
    if exact:
        return min(exact, key=_s_per_work)
    scalable = [timing for timing in own if timing.gpu in speeds]
    if not scalable:
        raise InvalidRequest(
            f"{card.model_id} has no timing on {card.gpus} GPU; "
            f"give it one in the scenario's models.{card.model_id}.timings.",
            param=f"models.{card.model_id}.timings",
            code="invalid_scenario",
        )
    own_speed = speeds[gpu_class]
    nearest = min(scalable, key=lambda timing: (abs(math.log(speeds[timing.gpu] / own_speed)), _s_per_work(timing)))
    factor = speeds[nearest.gpu] / own_speed
    source = f"scaled from {nearest.gpu} by relative speed"
    return replace(nearest, gpu=gpu_class, seconds=nearest.seconds * factor, source=source)


def _s_per_work(timing: Timing) -> float:
    """Seconds per step on a square megapixel: how timings of other sizes and step counts compare."""
    return timing.seconds / max(timing.steps, 1) / size_factor(timing.width_px * timing.height_px)


def as_believed(card: ModelCard, gpu_classes: Iterable[str], speeds: Mapping[str, float]) -> ModelCard:
    """The card with exactly one timing per GPU class, its load time and its memory filled in.

    A clip counts as one picture: a job of a video model asks for one clip of the length that was timed.
    """
    weights_gb = weights_gb_of(card)
    return replace(
        card,
        timings=tuple(replace(seconds_on(card, name, speeds), frames=1) for name in gpu_classes),
        load_s=card.load_s if card.load_s is not None else LOAD_S_BASE + LOAD_S_PER_GB * weights_gb,
        vram_bytes=card.vram_bytes or round(VRAM_SHARE_OF_WEIGHTS * weights_gb * 1e9),
    )


def weights_gb_of(card: ModelCard) -> float:
    """Gigabytes of weights: on disk, or two bytes per parameter."""
    if card.disk_bytes is not None:
        return card.disk_bytes / 1e9
    return 2.0 * card.parameters_billion if card.parameters_billion is not None else WEIGHTS_GB_UNKNOWN


def size_factor(pixels: float) -> float:
    """Work per step relative to one picture of 1024 x 1024, interpolated in logarithms and extended at both ends."""
    points = _SIZE_CURVE
    place = min(max(bisect_right([point[0] for point in points], pixels), 1), len(points) - 1)
    (left, low), (right, high) = points[place - 1], points[place]
    slope = math.log(high / low) / math.log(right / left)
    return low / points[2][1] * (pixels / left) ** slope


class Truth:
    """True durations. `cards` are those production knows, so with no error and no noise it is right about them."""

    def __init__(self, cards: Mapping[ModelId, ModelCard], scenario: Scenario, chance: Chance) -> None:
        self._machine = scenario.machine
        self._noise = chance.fork("noise")
        error = scenario.profile_error
        self._s_per_step: dict[tuple[ModelId, str], float] = {}
        self._load_s: dict[ModelId, float] = {}
        self._size_factors: dict[tuple[int, int], float] = {}
        self.weights_gb = {model_id: weights_gb_of(card) for model_id, card in cards.items()}
        for model_id, card in cards.items():
            own = chance.fork(f"error of {model_id}")
            run_factor, load_factor = 1.0 + error * own.between(-1, 1), 1.0 + error * own.between(-1, 1)
            self._load_s[model_id] = (card.load_s or 0.0) * load_factor
            for timing in card.timings:
                relative = size_factor(timing.width_px * timing.height_px)
                self._s_per_step[model_id, timing.gpu] = timing.seconds / max(timing.steps, 1) / relative * run_factor

    def run_s(self, model_id: ModelId, gpu_class: str, *, size: tuple[int, int], steps: int, images: int) -> float:
        """GPU-seconds of a run, without noise."""
        factor = self._size_factors.get(size)
        if factor is None:
            factor = self._size_factors[size] = size_factor(size[0] * size[1])
        return self._s_per_step[model_id, gpu_class] * factor * steps * images

    def noise(self) -> float:
        """A factor for one run."""
        return self._noise.noise(self._machine.step_spread)

    def load_s(self, model_id: ModelId, *, from_memory: bool, fetches: bool) -> float:
        """Seconds until a worker that starts now is ready."""
        share = self._machine.memory_share if from_memory else 1.0
        fetch_s = self.weights_gb[model_id] / self._machine.fetch_gb_per_s if fetches else 0.0
        return self._load_s[model_id] * share * self._noise.noise(self._machine.load_spread) + fetch_s
