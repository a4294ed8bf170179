"""The port of engines: load one model, then make pictures step by step."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from heliograph.domain.run import RunOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStep:
    """A finished step. `previews`: (pictures, height, width, 3) uint8 sRGB of what forms, or None between previews.

    Preview height and width may be smaller than the picture's, in the same aspect ratio.
    """

    step: int
    steps: int
    previews: NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineImages:
    """The finished pictures. `pixels`: (pictures, height, width, 3) uint8 sRGB."""

    pixels: NDArray[np.uint8]


def is_preview_due(order: RunOrder, step: int) -> bool:
    """A preview belongs to this step. Never to the last: the pictures themselves come right behind it."""
    return order.preview_every > 0 and step % order.preview_every == 0 and step < order.steps


class Engine(Protocol):
    """One loaded model. Raises `EngineError` with its kind; anything else is a bug in the engine.

    The same order gives the same pixels on the same machine, whatever else is in the batch, however often it is run.
    """

    def load(self) -> None:
        """Load the weights and run once, so that the first order is not slower than the rest."""
        ...

    def generate(self, order: RunOrder) -> Generator[EngineStep | EngineImages]:
        """One `EngineStep` per denoising step, then one `EngineImages`. Closing it cancels between steps."""
        ...
