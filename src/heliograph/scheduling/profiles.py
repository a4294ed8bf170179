"""How long things take here: priors from the catalogue, corrected by what really happened.

Time per step is proportional to the pixels of the batch (attention grows faster, but within one model's legal sizes the
error stays below that of the prior). Each observation moves the estimate by `LEARNING_RATE`, an exponentially weighted
mean with a memory of about ten runs.
"""

from collections.abc import Collection
from dataclasses import dataclass

from heliograph.domain.ids import ModelId
from heliograph.domain.model_card import ModelCard
from heliograph.domain.request import GenerationRequest

LEARNING_RATE = 0.1
RUN_S_UNKNOWN = 5.0
LOAD_S_UNKNOWN = 30.0
FINISH_S_PRIOR = 0.05


@dataclass(slots=True)
class _Profile:
    s_per_unit: float | None = None
    load_s: float | None = None
    finish_s: float = FINISH_S_PRIOR


class Profiles:
    """Estimates in seconds per model. One unit of work is one step on one megapixel."""

    def __init__(self) -> None:
        self._profiles: dict[ModelId, _Profile] = {}

    def run_s(self, request: GenerationRequest) -> float:
        """Expected GPU time of the request once its model is loaded."""
        s_per_unit = self._of(request.model_id).s_per_unit
        return RUN_S_UNKNOWN if s_per_unit is None else s_per_unit * _work_units(request)

    def is_known(self, request: GenerationRequest) -> bool:
        """`run_s` comes from the catalogue or from experience; otherwise it is a guess."""
        return self._of(request.model_id).s_per_unit is not None

    def load_s(self, model_id: ModelId) -> float:
        """Expected time to load the model."""
        load_s = self._of(model_id).load_s
        return LOAD_S_UNKNOWN if load_s is None else load_s

    def finish_s(self, model_id: ModelId) -> float:
        """Expected time from the last step to delivery."""
        return self._of(model_id).finish_s

    def picture_s(self, card: ModelCard) -> float | None:
        """Expected time for one picture of the default size and effort once a worker begins; None when unknown."""
        profile = self._of(card.model_id)
        if profile.s_per_unit is None:
            return None
        width_px, height_px = card.sizes.default
        return profile.s_per_unit * card.steps.standard * width_px * height_px / 1e6 + profile.finish_s

    def set_prior(self, card: ModelCard, *, gpu_classes: Collection[str]) -> None:
        """Start from the card's measured facts, as far as it has any for one GPU of these classes."""
        profile = self._of(card.model_id)
        profile.load_s = card.load_s
        timings = [timing for timing in card.timings if timing.gpu in gpu_classes and timing.gpu_count == 1]
        if timings:
            timing = min(timings, key=lambda timing: timing.seconds)
            megapixels = timing.width_px * timing.height_px * timing.frames / 1e6
            profile.s_per_unit = timing.seconds / (max(timing.steps, 1) * max(megapixels, 1e-6))

    def observe_run(self, request: GenerationRequest, run_s: float) -> None:
        """Learn from a finished run."""
        profile = self._of(request.model_id)
        profile.s_per_unit = _blend(profile.s_per_unit, run_s / _work_units(request))

    def observe_load(self, model_id: ModelId, load_s: float) -> None:
        """Learn from a finished load."""
        profile = self._of(model_id)
        profile.load_s = _blend(profile.load_s, load_s)

    def observe_finish(self, model_id: ModelId, finish_s: float) -> None:
        """Learn from a delivered job."""
        profile = self._of(model_id)
        profile.finish_s = _blend(profile.finish_s, finish_s)

    def _of(self, model_id: ModelId) -> _Profile:
        return self._profiles.setdefault(model_id, _Profile())


def _work_units(request: GenerationRequest) -> float:
    megapixels = request.width_px * request.height_px * request.image_count / 1e6
    return max(megapixels * request.steps, 1e-9)


def _blend(known: float | None, seen: float) -> float:
    return seen if known is None else known + LEARNING_RATE * (seen - known)
