"""How long things take here: priors from the catalogue, corrected by what really happened.

Time per step is proportional to the pixels of the batch, all frames counted (attention grows faster, but within one
model's legal sizes the error stays below that of the prior). Estimates are kept per model and GPU class; a class that
nothing is known of borrows from the model as a whole.

An estimate moves in ratios: by a share of the logarithm of seen / expected, 1 / (observations + 1) at first and at
least `LEARNING_RATE`, a memory of about ten runs. A card's fact counts as `PRIOR_RUNS` observations. One observation
moves it by the factor `SURPRISE_MAX` to the power of that share at most, so that a run that hung, or a clock that
jumped, is one odd voice among ten.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from math import exp, log

from heliograph.domain.ids import ModelId
from heliograph.domain.model_card import ModelCard
from heliograph.domain.request import GenerationRequest

LEARNING_RATE = 0.1
PRIOR_RUNS = 3
SURPRISE_MAX = 4.0
SURPRISE_LOG_MAX = log(SURPRISE_MAX)
RUN_S_UNKNOWN = 5.0
LOAD_S_UNKNOWN = 30.0
FINISH_S_PRIOR = 0.05
SECONDS_MIN = 1e-6


@dataclass(slots=True)
class Estimate:
    """A positive number that is learned; None while nothing is known. `weight` is in observations."""

    value: float | None = None
    weight: int = 0

    def assume(self, value: float) -> None:
        """Start from a fact of the catalogue."""
        self.value, self.weight = max(value, SECONDS_MIN), PRIOR_RUNS

    def observe(self, seen: float) -> None:
        """Move towards what was seen; the first observation of something unknown is taken as it is."""
        seen = max(seen, SECONDS_MIN)
        if self.value is None:
            self.value, self.weight = seen, 1
            return
        share = max(1.0 / (self.weight + 1), LEARNING_RATE)
        self.value *= exp(share * min(max(log(seen / self.value), -SURPRISE_LOG_MAX), SURPRISE_LOG_MAX))
        self.weight += 1


@dataclass(slots=True)
class _Profile:
    s_per_unit: Estimate = field(default_factory=Estimate)
    load_s: Estimate = field(default_factory=Estimate)
    finish_s: Estimate = field(default_factory=lambda: Estimate(value=FINISH_S_PRIOR, weight=PRIOR_RUNS))
    s_per_unit_on: dict[str, Estimate] = field(default_factory=dict[str, Estimate])


class Profiles:
    """Estimates in seconds per model. One unit of work is one step on one megapixel."""

    def __init__(self) -> None:
        self._profiles: dict[ModelId, _Profile] = {}

    def run_s(self, request: GenerationRequest, gpu_class: str | None = None) -> float:
        """Expected GPU time of the request once its model is loaded, on a GPU of the class or on whichever comes."""
        profile = self._of(request.model_id)
        on_class = None if gpu_class is None else profile.s_per_unit_on.get(gpu_class)
        s_per_unit = profile.s_per_unit.value if on_class is None else on_class.value
        return RUN_S_UNKNOWN if s_per_unit is None else s_per_unit * _work_units(request)

    def is_known(self, request: GenerationRequest) -> bool:
        """`run_s` comes from the catalogue or from experience; otherwise it is a guess."""
        return self._of(request.model_id).s_per_unit.value is not None

    def load_s(self, model_id: ModelId) -> float:
        """Expected time to load the model."""
        load_s = self._of(model_id).load_s.value
        return LOAD_S_UNKNOWN if load_s is None else load_s

    def finish_s(self, model_id: ModelId) -> float:
        """Expected time from the last step to delivery."""
        return self._of(model_id).finish_s.value or FINISH_S_PRIOR

    def picture_s(self, card: ModelCard) -> float | None:
        """Expected time for one picture or clip of the default size and effort once a worker begins, if known."""
        s_per_unit = self._of(card.model_id).s_per_unit.value
        if s_per_unit is None:
            return None
        width_px, height_px = card.sizes.default
        frames = 1 if card.frames is None else card.frames.default
        work = card.steps.standard * width_px * height_px * frames / 1e6
        return s_per_unit * work + self.finish_s(card.model_id)

    def set_prior(self, card: ModelCard, *, gpu_classes: Collection[str]) -> None:
        """Start from the card's measured facts, as far as it has any for GPUs of these classes."""
        profile = self._of(card.model_id)
        if card.load_s is not None:
            profile.load_s.assume(card.load_s)
        best: dict[str, float] = {}
        for timing in card.timings:
            if timing.gpu in gpu_classes and timing.gpu_count == card.gpus:
                megapixels = timing.width_px * timing.height_px * timing.frames / 1e6
                s_per_unit = timing.seconds / (max(timing.steps, 1) * max(megapixels, 1e-6))
                best[timing.gpu] = min(s_per_unit, best.get(timing.gpu, s_per_unit))
        for gpu_class, s_per_unit in best.items():
            profile.s_per_unit_on.setdefault(gpu_class, Estimate()).assume(s_per_unit)
        if best:
            profile.s_per_unit.assume(min(best.values()))

    def observe_run(self, request: GenerationRequest, run_s: float, gpu_class: str | None = None) -> None:
        """Learn from a finished run."""
        profile, s_per_unit = self._of(request.model_id), run_s / _work_units(request)
        profile.s_per_unit.observe(s_per_unit)
        if gpu_class is not None:
            profile.s_per_unit_on.setdefault(gpu_class, Estimate()).observe(s_per_unit)

    def observe_load(self, model_id: ModelId, load_s: float) -> None:
        """Learn from a finished load."""
        self._of(model_id).load_s.observe(load_s)

    def observe_finish(self, model_id: ModelId, finish_s: float) -> None:
        """Learn from a delivered job."""
        self._of(model_id).finish_s.observe(finish_s)

    def _of(self, model_id: ModelId) -> _Profile:
        profile = self._profiles.get(model_id)
        if profile is None:
            profile = self._profiles[model_id] = _Profile()
        return profile


def _work_units(request: GenerationRequest) -> float:
    upscale = request.upscale  # as `engine_width_px` has it; asked several times for every job
    pixels = (request.width_px // upscale) * (request.height_px // upscale) * request.frames
    megapixels = pixels * request.image_count / 1e6
    return max(megapixels * request.steps, 1e-9)
