"""Stills on ONNX Runtime: a text encoder, a diffusion transformer and a decoder.

Shapes, with b pictures, h = height / 8 and w = width / 8:

    text_encoder   ids (b, 32) int64                             -> context (b, 32, 128), pooled (b, 128) float32
    transformer    latents (b, 8, h, w), t (b,), context, pooled -> velocity (b, 8, h, w) float32
    decoder        latents (b, 8, h, w) float32                  -> rgb (b, height, width, 3) uint8
    encoder        rgb (b, height, width, 3) uint8               -> latents (b, 8, h, w) float32

A run that starts from a picture begins at time `strength` instead of 1, with the picture's latents and as much noise as
belongs there (Meng et al., "SDEdit", 2022). With a mask, what is to stay is put back after every step with the noise of
its time (Avrahami et al., "Blended Latent Diffusion", 2023), and at the end as it was, pixel by pixel.

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
from heliograph.inference.input_pictures import Pictures, composed, read_pictures
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
        self._encoder_file = folder.parts.get("encoder")
        self._encoder: Graph | None = None  # few runs need it
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
        given = read_pictures(order)
        return StillRun(
            order=order,
            shape=(self._latent_channels, order.height_px // self._downscale, order.width_px // self._downscale),
            conditions=self._conditions(order, is_guided=is_guided),
            transformer=self._transformer,
            decoder=self._decoder,
            downscale=self._downscale,
            given=given,
            clean=None if given is None else self._encode(given),
        )

    def _encode(self, given: Pictures) -> sampler.Latents:
        """The latents (1, channels, rows, columns) of the picture to start from."""
        if len(given.images) != 1:
            raise EngineError(EngineErrorKind.BAD_INPUT, "this model starts from one picture, not several")
        if self._encoder_file is None:
            raise EngineError(EngineErrorKind.BAD_INPUT, "this model cannot start from a picture")
        if self._encoder is None:
            self._encoder = open_graph(self._encoder_file, keeps_memory=False)
        (latents,) = run_graph(self._encoder, {"rgb": np.ascontiguousarray(given.images[0][None])})
        return latents

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

    `shape` is (channels, rows, columns) of one picture's latents. `given` is what it starts from besides noise, and
    `clean` the latents of the picture there.
    """

    order: RunOrder
    shape: tuple[int, int, int]
    conditions: Conditions
    transformer: Graph
    decoder: Graph
    downscale: int = 8
    given: Pictures | None = None
    clean: sampler.Latents | None = None

    @property
    def steps(self) -> int:
        """How many steps the run takes."""
        return max(1, round(self.order.steps * self._strength))

    @property
    def _strength(self) -> float:
        """The time at which the run begins."""
        inputs = self.order.inputs
        return 1.0 if inputs is None or inputs.strength is None else inputs.strength

    @property
    def prompt_conditions(self) -> Conditions:
        """What the prompts say, without the negatives."""
        return {name: rows[: len(self.order.seeds)] for name, rows in self.conditions.items()}

    def start(self) -> State:
        """The state before the first step."""
        noise = sampler.noise(self.order.seeds, self.shape)
        return {LATENTS: noise if self.clean is None else sampler.noised(self.clean, noise, np.float32(self._strength))}

    def shapes(self, step: int) -> Mapping[str, tuple[int, ...]]:
        """The arrays of the state after `step`, whichever it is."""
        del step
        return {LATENTS: (len(self.order.seeds), *self.shape)}

    def advance(self, state: State, step: int) -> tuple[State, sampler.Latents]:
        """The state after `step` (from 1), and the latents that it promises: what a preview shows."""
        latents = state[LATENTS]
        t, t_next = _moments(self.steps, self._strength)[step - 1]
        conditional, velocity = self._velocities(latents, t)
        require_finite(velocity, step)
        # Guidance over-saturates the very first prediction, which is made from pure noise.
        predicted = sampler.predicted_clean(latents, conditional if step == 1 else velocity, t)
        return {LATENTS: self._kept(sampler.step(latents, velocity, t, t_next), t_next)}, self._kept(predicted)

    def finish(self, state: State) -> NDArray[np.uint8]:
        """The pictures, each with its one frame."""
        return composed(self.decode(state[LATENTS]), self.given)[:, None]

    def _kept(self, latents: sampler.Latents, t: np.float32 | None = None) -> sampler.Latents:
        """`latents` with what the mask keeps as it is at time `t`; None: without noise."""
        if self.clean is None or self.given is None or self.given.mask is None:
            return latents
        rows, columns = self.shape[1:]
        height, width = (rows * self.downscale, columns * self.downscale)
        assert self.given.mask.shape == (height, width), "a mask is as large as the picture"
        share = self.given.mask.reshape(rows, self.downscale, columns, self.downscale).max(axis=(1, 3))
        kept = self.clean
        if t is not None:
            kept = sampler.noised(kept, sampler.noise(self.order.seeds, self.shape), t)
        return (share * latents + (1 - share) * kept).astype(np.float32)

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
def _moments(steps: int, start: float) -> tuple[tuple[np.float32, np.float32], ...]:
    """The time at which each step begins, and at which it ends, from `start` on."""
    return tuple(pairwise(sampler.times(steps, start)))
