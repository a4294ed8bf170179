"""How long a run may go without a step before it hangs, learned from the steps of earlier runs.

A fixed limit is wrong for everybody: a model that steps in 50 ms should not hold a hung worker for a minute, and a clip
whose frames are decoded for two minutes behind its last step is not hanging. So the longest silence of every run that
ended well is remembered per model, per megapixel of its batch (all frames counted), as a ceiling: up at once, by the
factor `SURPRISE_MAX` at most, and down by a twentieth per run. The limit is `FACTOR` times that and at least
`STALL_S_MIN`.

There is a limit only for sizes that the model has made before, on the class of GPU where it made them: the first
picture of a size may compile kernels for it. Until then the driver's own limit holds (`fleet.step_timeout_s`).
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from heliograph.domain.ids import ModelId
from heliograph.domain.request import GenerationRequest

FACTOR = 8.0
STALL_S_MIN = 10.0
STALL_S_MAX = 3_600.0
SURPRISE_MAX = 4.0
FALL = 0.95
SHAPES_MAX = 64
"""Sizes remembered per model and class; one that has not been made for longest is forgotten first."""

_Shape = tuple[int, int, int]


@dataclass(slots=True)
class _Pace:
    s_per_megapixel: float | None = None
    shapes: "OrderedDict[_Shape, None]" = field(default_factory=lambda: OrderedDict[_Shape, None]())

    def observe(self, shape: _Shape, seen: float) -> None:
        known = self.s_per_megapixel
        if known is None:
            self.s_per_megapixel = seen
        else:
            self.s_per_megapixel = max(min(seen, known * SURPRISE_MAX), known * FALL)
        self.shapes[shape] = None
        self.shapes.move_to_end(shape)
        while len(self.shapes) > SHAPES_MAX:
            self.shapes.popitem(last=False)


class Stalls:
    """The longest silences of runs, per model and GPU class."""

    def __init__(self) -> None:
        self._paces: dict[tuple[ModelId, str], _Pace] = {}

    def observe(self, request: GenerationRequest, gpu_class: str, silence_s: float) -> None:
        """Learn from a run that ended well and was silent for `silence_s` seconds at most."""
        pace = self._paces.setdefault((request.model_id, gpu_class), _Pace())
        pace.observe(_shape(request), max(silence_s, 0.0) / _megapixels(request))

    def limit_s(self, request: GenerationRequest, gpu_class: str) -> float | None:
        """The silence in seconds after which such a run hangs; None where nothing like it was made there before."""
        pace = self._paces.get((request.model_id, gpu_class))
        if pace is None or pace.s_per_megapixel is None or _shape(request) not in pace.shapes:
            return None
        return min(max(FACTOR * pace.s_per_megapixel * _megapixels(request), STALL_S_MIN), STALL_S_MAX)


def _shape(request: GenerationRequest) -> _Shape:
    return (request.engine_width_px, request.engine_height_px, request.frames)


def _megapixels(request: GenerationRequest) -> float:
    pixels = request.engine_width_px * request.engine_height_px * request.frames * request.image_count
    return max(pixels / 1e6, 1e-6)
