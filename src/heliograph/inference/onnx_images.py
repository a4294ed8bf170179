"""Stills on ONNX Runtime: a text encoder, a diffusion transformer and a decoder.

Shapes, with b pictures, h = height / 8 and w = width / 8:

    text_encoder   ids (b, 32) int64                             -> context (b, 32, 128), pooled (b, 128) float32
    transformer    latents (b, 8, h, w), t (b,), context, pooled -> velocity (b, 8, h, w) float32
    decoder        latents (b, 8, h, w) float32                  -> rgb (b, height, width, 3) uint8

A model whose `default_guidance` is null was distilled with guidance: it runs the prompt alone, whatever is ordered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.run import RunOrder
from heliograph.inference import sampler
from heliograph.inference.model_folder import ModelFolder
from heliograph.inference.onnx_graphs import Graph, Inputs, open_graph, run_graph, run_rows
from heliograph.inference.tokenizer import Tokenizer

LATENTS_PER_TOKEN = 2
"""The transformer reads 2 x 2 latents at a time, so the latents' sides must be even."""

LATENTS = "latents"
"""The pictures' latents in a state."""

State = Mapping[str, sampler.Latents]
"""Where a run stands: arrays by name. They are never written to, so a state may be kept."""

Conditions = Mapping[str, NDArray[np.float32]]
"""What the text says: `context` and `pooled` by name, a row for each of the transformer's."""


class StillModel:
    """The networks of one `text_to_image` folder (or of the still half of a `text_to_video` one)."""

    frames = 1

    def __init__(self, folder: ModelFolder) -> None:
        self._latent_channels = folder.count("latent_channels")
        self._downscale = folder.count("downscale")
        self._has_guidance = folder.facts.get("default_guidance") is not None
        self._tokenizer = Tokenizer.from_files(
            vocabulary=folder.part("vocabulary"),
            merges=folder.part("merges"),
            known_words=folder.part("known_words"),
            context_length=folder.count("context_length"),
        )
        self._text_encoder = open_graph(folder.part("text_encoder"))
        self._transformer = open_graph(folder.part("transformer"))
        self._decoder = open_graph(folder.part("decoder"))

    def begin(self, order: RunOrder) -> "StillRun":
        """The run of an order. Raises `EngineError(BAD_INPUT)` for sizes that the networks cannot draw."""
        if order.frames != self.frames:
            raise EngineError(EngineErrorKind.BAD_INPUT, f"this model makes {self.frames} frames, not {order.frames}")
        return self.begin_still(order)

    def begin_still(self, order: RunOrder) -> "StillRun":
        """The run of an order's still, however many frames are to follow."""
        multiple_px = self._downscale * LATENTS_PER_TOKEN
        if order.width_px % multiple_px or order.height_px % multiple_px:
            raise EngineError(EngineErrorKind.BAD_INPUT, f"sides must be multiples of {multiple_px} pixels")
        is_guided = self._has_guidance and order.guidance > 1
        return StillRun(
            order=order,
            shape=(self._latent_channels, order.height_px // self._downscale, order.width_px // self._downscale),
            conditions=self._conditions(order, is_guided=is_guided),
            transformer=self._transformer,
            decoder=self._decoder,
        )

    def _conditions(self, order: RunOrder, *, is_guided: bool) -> Conditions:
        """Conditions of all prompts, then with guidance of all negatives."""
        texts = [order.prompt, order.negative_prompt] if is_guided else [order.prompt]
        ids = np.array([self._tokenizer.encode(text) for text in texts], np.int64)
        context, pooled = run_graph(self._text_encoder, {"ids": ids})
        pictures = len(order.seeds)
        return {"context": np.repeat(context, pictures, axis=0), "pooled": np.repeat(pooled, pictures, axis=0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class StillRun:
    """Guided Euler steps from noise to picture for one order; guidance of 1 or less skips the unconditional half.

    `shape` is (channels, rows, columns) of one picture's latents.
    """

    order: RunOrder
    shape: tuple[int, int, int]
    conditions: Conditions
    transformer: Graph
    decoder: Graph

    @property
    def steps(self) -> int:
        """How many steps the run takes."""
        return self.order.steps

    @property
    def prompt_conditions(self) -> Conditions:
        """What the prompts say, without the negatives."""
        return {name: rows[: len(self.order.seeds)] for name, rows in self.conditions.items()}

    def start(self) -> State:
        """The state before the first step."""
        return {LATENTS: sampler.noise(self.order.seeds, self.shape)}

    def shapes(self, step: int) -> Mapping[str, tuple[int, ...]]:
        """The arrays of the state after `step`, whichever it is."""
        del step
        return {LATENTS: (len(self.order.seeds), *self.shape)}

    def advance(self, state: State, step: int) -> tuple[State, sampler.Latents]:
        """The state after `step` (from 1), and the latents that it promises: what a preview shows."""
        latents = state[LATENTS]
        t, t_next = _moments(self.order.steps)[step - 1]
        conditional, velocity = self._velocities(latents, t)
        require_finite(velocity, step)
        # Guidance over-saturates the very first prediction, which is made from pure noise.
        predicted = sampler.predicted_clean(latents, conditional if step == 1 else velocity, t)
        return {LATENTS: sampler.step(latents, velocity, t, t_next)}, predicted

    def finish(self, state: State) -> NDArray[np.uint8]:
        """The pictures, each with its one frame."""
        return self.decode(state[LATENTS])[:, None]

    def decode(self, latents: sampler.Latents) -> NDArray[np.uint8]:
        """(pictures, height, width, 3) of latents (pictures, channels, rows, columns)."""
        (rgb,) = self.run(self.decoder, {"latents": latents})
        return rgb

    def run(self, graph: Graph, inputs: Inputs) -> list[NDArray[Any]]:
        """The outputs of the network, made in one go or, where memory is to be spared, row by row: the same bits."""
        return run_rows(graph, inputs) if self.order.spares_memory else run_graph(graph, inputs)

    def _velocities(self, latents: sampler.Latents, t: np.float32) -> tuple[sampler.Latents, sampler.Latents]:
        """The velocity that follows the prompt alone, and the guided one."""
        pictures, rows = len(latents), len(self.conditions["pooled"])
        batch = np.concatenate([latents] * (rows // pictures))
        inputs = {"latents": batch, "t": np.full(rows, t, np.float32), **self.conditions}
        (velocity,) = self.run(self.transformer, inputs)
        if rows == pictures:
            return velocity, velocity
        conditional, unconditional = velocity[:pictures], velocity[pictures:]
        return conditional, sampler.guided(conditional, unconditional, self.order.guidance)


def require_finite(velocity: sampler.Latents, step: int) -> None:
    """Raises `EngineError(NAN)` where the network computed what is not a number."""
    if not np.isfinite(velocity).all():
        raise EngineError(EngineErrorKind.NAN, f"the latents are not numbers after step {step}")


@lru_cache(maxsize=64)
def _moments(steps: int) -> tuple[tuple[np.float32, np.float32], ...]:
    """The time at which each step begins, and at which it ends."""
    return tuple(pairwise(sampler.times(steps)))
