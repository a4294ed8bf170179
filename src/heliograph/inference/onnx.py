"""The built-in models on ONNX Runtime: a text encoder, a diffusion transformer and a decoder, on one CPU core each.

A folder of weights holds model.json (which names every other file with its SHA-256), three graphs and the tokenizer's
files; `training/README.md` describes them. Shapes, with b pictures, h = height / 8 and w = width / 8:

    text_encoder   ids (b, 32) int64                             -> context (b, 32, 128), pooled (b, 128) float32
    transformer    latents (b, 8, h, w), t (b,), context, pooled -> velocity (b, 8, h, w) float32
    decoder        latents (b, 8, h, w) float32                  -> rgb (b, height, width, 3) uint8

One thread per session: the models are too small to gain from more, and a worker owns one core. With one thread and
noise drawn per seed, a picture's bytes do not depend on what else is in the batch.
"""

import hashlib
import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as native  # pyright: ignore

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.ids import JobId, ModelId
from heliograph.domain.run import RunOrder
from heliograph.inference import sampler
from heliograph.inference.engine import EngineImages, EngineStep, is_preview_due
from heliograph.inference.tokenizer import Tokenizer

_LATENTS_PER_TOKEN = 2
"""The transformer reads 2 x 2 latents at a time, so the latents' sides must be even."""

_WARM_UP = RunOrder(
    job_id=JobId("warm-up"),
    attempt=0,
    model_id=ModelId("warm-up"),
    prompt="a boat on the sea",
    negative_prompt="",
    width_px=64,
    height_px=64,
    steps=1,
    guidance=2.0,
    seeds=(0,),
    preview_every=1,
)


class OnnxEngine:
    """One built-in model from the folder `weights`."""

    def __init__(self, weights: Path) -> None:
        self._weights = weights

    def load(self) -> None:
        """Check every file against model.json, open the sessions, run once. Raises `EngineError(BAD_WEIGHTS)`."""
        self._description = read_description(self._weights)
        self._tokenizer = Tokenizer.from_files(self._weights, self._description.context_length)
        self._text_encoder = _open(self._weights / "text_encoder.onnx")
        self._transformer = _open(self._weights / "transformer.onnx")
        self._decoder = _open(self._weights / "decoder.onnx")
        for _ in self.generate(_WARM_UP):
            pass

    def generate(self, order: RunOrder) -> Generator[EngineStep | EngineImages]:
        """Guided Euler steps from noise to picture; guidance of 1 or less skips the unconditional half."""
        downscale = self._description.downscale
        multiple_px = downscale * _LATENTS_PER_TOKEN
        if order.width_px % multiple_px or order.height_px % multiple_px:
            raise EngineError(EngineErrorKind.BAD_INPUT, f"sides must be multiples of {multiple_px} pixels")
        shape = (self._description.latent_channels, order.height_px // downscale, order.width_px // downscale)
        conditions = self._conditions(order)
        latents = sampler.noise(order.seeds, shape)
        for step, (t, t_next) in enumerate(pairwise(sampler.times(order.steps)), start=1):
            conditional, velocity = self._velocities(latents, t, conditions, order.guidance)
            if not np.isfinite(velocity).all():
                raise EngineError(EngineErrorKind.NAN, f"the latents are not numbers after step {step}")
            previews = None
            if is_preview_due(order, step):
                # Guidance over-saturates the very first prediction, which is made from pure noise.
                predicted_by = conditional if step == 1 else velocity
                previews = self._decode(sampler.predicted_clean(latents, predicted_by, t))
            latents = sampler.step(latents, velocity, t, t_next)
            yield EngineStep(step=step, steps=order.steps, previews=previews)
        yield EngineImages(pixels=self._decode(latents))

    def _conditions(self, order: RunOrder) -> Mapping[str, NDArray[np.float32]]:
        """What the text says, per row of the transformer's batch: all prompts, then with guidance all negatives."""
        texts = [order.prompt] if order.guidance <= 1 else [order.prompt, order.negative_prompt]
        ids = np.array([self._tokenizer.encode(text) for text in texts], np.int64)
        context, pooled = _run(self._text_encoder, {"ids": ids})
        pictures = len(order.seeds)
        return {"context": np.repeat(context, pictures, axis=0), "pooled": np.repeat(pooled, pictures, axis=0)}

    def _velocities(
        self, latents: sampler.Latents, t: np.float32, conditions: Mapping[str, NDArray[np.float32]], guidance: float
    ) -> tuple[sampler.Latents, sampler.Latents]:
        """The velocity that follows the prompt alone, and the guided one."""
        pictures, rows = len(latents), len(conditions["pooled"])
        batch = np.concatenate([latents] * (rows // pictures))
        (velocity,) = _run(self._transformer, {"latents": batch, "t": np.full(rows, t, np.float32), **conditions})
        if rows == pictures:
            return velocity, velocity
        conditional, unconditional = velocity[:pictures], velocity[pictures:]
        return conditional, sampler.guided(conditional, unconditional, guidance)

    def _decode(self, latents: sampler.Latents) -> NDArray[np.uint8]:
        (rgb,) = _run(self._decoder, {"latents": latents})
        return rgb


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What model.json says that the engine needs: a latent covers `downscale` x `downscale` pixels."""

    latent_channels: int
    downscale: int
    context_length: int


def read_description(weights: Path) -> Description:
    """Read model.json and check every file it lists; raises `EngineError(BAD_WEIGHTS)`."""
    try:
        content = json.loads((weights / "model.json").read_text())
        checksums: dict[str, str] = {name: entry["sha256"] for name, entry in content["files"].items()}
        damaged = [name for name, sha256 in checksums.items() if _sha256(weights / name) != sha256]
        description = Description(**{field.name: content[field.name] for field in fields(Description)})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"the weights in {weights} are incomplete ({type(error).__name__}); install them again"
        raise EngineError(EngineErrorKind.BAD_WEIGHTS, message) from error
    if damaged:
        message = f"{', '.join(damaged)} in {weights} differ from model.json; install the weights again"
        raise EngineError(EngineErrorKind.BAD_WEIGHTS, message)
    return description


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


_GRAPH_FAILURES = cast("tuple[type[Exception], ...]", (native.Fail, native.RuntimeException))


class _Graph(Protocol):
    """What is used of `onnxruntime.InferenceSession`, which comes without types."""

    def run(self, output_names: None, input_feed: Mapping[str, NDArray[Any]], /) -> list[NDArray[Any]]: ...


def _open(graph: Path) -> _Graph:
    options = cast("Any", onnxruntime.SessionOptions())  # pyright: ignore
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return cast("_Graph", onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"]))


def _run(graph: _Graph, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """All outputs. A failed allocation inside a graph arrives as a general failure and is told apart here."""
    try:
        return graph.run(None, inputs)
    except _GRAPH_FAILURES as error:
        if "alloc" in str(error):
            raise MemoryError from error
        raise
