"""The port of engines: load one model, then make pictures or clips step by step."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from heliograph.domain.making import EngineFacts
from heliograph.domain.run import RunOrder
from heliograph.inference.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStep:
    """A finished step. `previews`: (pictures, height, width, 3) uint8 sRGB of what forms, or None between previews.

    Preview height and width may be smaller than the picture's, in the same aspect ratio; of a clip it is one frame.
    `checkpoint` tells where the run stands now; ask before the engine is told to go on.
    """

    step: int
    steps: int
    previews: NDArray[np.uint8] | None
    checkpoint: Callable[[], Checkpoint]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineImages:
    """The finished pictures. `pixels`: (pictures, frames, height, width, 3) uint8 sRGB; a still has one frame."""

    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class EngineWaits:
    """Nothing to show, and no reason to worry: what works elsewhere has been heard of, or may still take its time."""


def is_preview_due(order: RunOrder, step: int, steps: int) -> bool:
    """A preview belongs to this step. Never to the last: the pictures themselves come right behind it."""
    return order.preview_every > 0 and step % order.preview_every == 0 and step < steps


class Engine(Protocol):
    """One loaded model. Raises `EngineError` with its kind; anything else is a bug in the engine.

    The same order gives the same pixels on the same machine, whatever else is in the batch, however often it is run,
    and wherever it was interrupted and resumed.
    """

    @property
    def can_resume(self) -> bool:
        """`generate` takes a checkpoint. If not, a run that stops has to begin again."""
        ...

    @property
    def facts(self) -> EngineFacts:
        """What its pictures are made with; asked once it is loaded."""
        ...

    def load(self) -> None:
        """Load the weights and run once, so that the first order is not slower than the rest."""
        ...

    def generate(
        self, order: RunOrder, resume: Checkpoint | None = None
    ) -> Generator[EngineStep | EngineImages | EngineWaits]:
        """One `EngineStep` per step, then one `EngineImages`. Closing it cancels between steps.

        An engine whose model runs elsewhere yields `EngineWaits` while it waits, so that it can be cancelled then, too.

        With `resume`, a checkpoint of the same order, the steps behind it are taken up; they and the pictures are bit
        for bit what they would have been. Raises `EngineError(BAD_CHECKPOINT)` for one of another order. A clip may
        take more steps than were ordered: those of its still and those of its motion.

        An order's `inputs` are read with `input_pictures.read_pictures`; an engine that cannot start from pictures
        refuses them with `EngineError(BAD_INPUT)`.
        """
        ...
