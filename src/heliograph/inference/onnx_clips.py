"""Clips on ONNX Runtime: a still, and a motion network that draws how every later frame differs from it.

With b clips of f + 1 frames:

    motion   latents (b, f, 8, h, w), first (b, 8, h, w), t (b,), context, pooled -> velocity (b, f, 8, h, w) float32

First the still is drawn, in as many steps as were ordered; then, in `motion_steps` more, the differences of the other
frames' latents from the still's, in units of `motion_scale`. Both are rectified flows, and both start from noise of the
clip's own seed. Guidance shapes the still; the motion follows the prompt alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.run import RunOrder
from heliograph.inference import sampler
from heliograph.inference.model_folder import ModelFolder
from heliograph.inference.onnx_graphs import Graph, open_graph
from heliograph.inference.onnx_images import LATENTS, State, StillModel, StillRun, require_finite

MOTION = "motion"
"""The later frames' differences in a state; (clips, frames - 1, channels, rows, columns)."""

_NOISE_STREAM = 1
"""The motion's noise is not the still's, though it comes from the same seed."""


class ClipModel:
    """The networks of one `text_to_video` folder."""

    def __init__(self, folder: ModelFolder) -> None:
        self._stills = StillModel(folder)
        self._motion = open_graph(folder.part("motion"))
        self._motion_steps = folder.count("motion_steps")
        self._motion_scale = np.float32(folder.number("motion_scale"))
        self.frames = folder.count("frames")

    def begin(self, order: RunOrder) -> "ClipRun":
        """The run of an order. Raises `EngineError(BAD_INPUT)` for what the networks cannot draw."""
        if order.frames != self.frames:
            raise EngineError(EngineErrorKind.BAD_INPUT, f"this model makes {self.frames} frames, not {order.frames}")
        return ClipRun(
            still=self._stills.begin_still(order),
            motion=self._motion,
            motion_steps=self._motion_steps,
            motion_scale=self._motion_scale,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRun:
    """The steps of the still, then those of the motion."""

    still: StillRun
    motion: Graph
    motion_steps: int
    motion_scale: np.float32

    @property
    def steps(self) -> int:
        """How many steps the run takes, those of the motion included."""
        return self.still.steps + self.motion_steps

    def start(self) -> State:
        """The state before the first step."""
        return self.still.start()

    def shapes(self, step: int) -> Mapping[str, tuple[int, ...]]:
        """The arrays of the state after `step`."""
        first = self.still.shapes(step)
        if step <= self.still.steps:
            return first
        return {**first, MOTION: (len(self.still.order.seeds), *self._motion_shape)}

    def advance(self, state: State, step: int) -> tuple[State, sampler.Latents]:
        """The state after `step` (from 1), and the latents of one frame that it promises: what a preview shows.

        While the motion forms, previews go through the frames: the clip plays as it comes into being.
        """
        if step <= self.still.steps:
            return self.still.advance(state, step)
        first, motion_step = state[LATENTS], step - self.still.steps
        t, t_next = tuple(pairwise(sampler.times(self.motion_steps)))[motion_step - 1]
        latents = self._noise() if motion_step == 1 else state[MOTION]
        conditions = self.still.prompt_conditions
        inputs = {"latents": latents, "first": first, "t": np.full(len(first), t, np.float32), **conditions}
        (velocity,) = self.still.run(self.motion, inputs)
        require_finite(velocity, step)
        shown = (motion_step - 1) * latents.shape[1] // self.motion_steps
        predicted = self._frames(first, sampler.predicted_clean(latents, velocity, t))[:, shown]
        return {LATENTS: first, MOTION: sampler.step(latents, velocity, t, t_next)}, predicted

    def finish(self, state: State) -> NDArray[np.uint8]:
        """The clips. Decoded one at a time: memory is bounded by the frames of one."""
        first, later = state[LATENTS], self._frames(state[LATENTS], state[MOTION])
        clips = np.concatenate([first[:, None], later], axis=1)
        return np.stack([self.decode(clip) for clip in clips])

    def decode(self, latents: sampler.Latents) -> NDArray[np.uint8]:
        """(frames, height, width, 3) of latents (frames, channels, rows, columns)."""
        return self.still.decode(latents)

    @property
    def _motion_shape(self) -> tuple[int, ...]:
        return (self.still.order.frames - 1, *self.still.shape)

    def _noise(self) -> sampler.Latents:
        return sampler.noise(self.still.order.seeds, self._motion_shape, stream=_NOISE_STREAM)

    def _frames(self, first: sampler.Latents, motion: sampler.Latents) -> sampler.Latents:
        """The later frames' latents."""
        return first[:, None] + self.motion_scale * motion
