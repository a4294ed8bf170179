"""The exported models as the product runs them: numpy and onnxruntime, no torch.

One class per kind of model, each opened from a folder with model.json (see README.md, 'Files and tensors').
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from training.tokenizer import Tokenizer

Pixels = NDArray[np.uint8]
"""(batch, height, width, 3), sRGB."""
Floats = NDArray[np.float32]


class Graph(Protocol):
    """What is needed of an inference session."""

    def run(self, outputs: None, inputs: dict[str, Any]) -> Any:
        """All outputs for the inputs by name."""
        ...


class Exported:
    """A folder's card, and its graphs opened on demand with a number of threads."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.folder = folder
        self.card: dict[str, Any] = json.loads((folder / "model.json").read_text())
        self._threads = threads

    def check_files(self) -> None:
        """Raise AssertionError if a file is not the one that was exported."""
        for name, facts in self.card["files"].items():
            content = (self.folder / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == facts["sha256"], f"{self.folder.name}: {name} has changed"

    def open(self, role: str) -> onnxruntime.InferenceSession:
        """The graph that plays a role."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = str(self.folder / self.card["parts"][role])
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def tokenizer(self) -> Tokenizer:
        """The tokenizer, which may belong to another model's folder."""
        return Tokenizer((self.folder / self.card["parts"]["vocabulary"]).parent)


class TextToImageGraphs(Exported):
    """Prompts to pictures."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        super().__init__(folder, threads)
        self._tokenizer = self.tokenizer()
        self._text_encoder, self._decoder = self.open("text_encoder"), self.open("decoder")
        self.transformer: Graph = self.open("transformer")

    def generate(
        self,
        prompts: list[str],
        seeds: list[int],
        size_px: tuple[int, int] = (128, 128),
        steps: int | None = None,
        guidance: float | None = None,
    ) -> Pixels:
        """Pictures of (width, height) `size_px`; steps and guidance are the card's where None."""
        steps = self.card["default_steps"] if steps is None else steps
        guidance = self.card["default_guidance"] if guidance is None else guidance
        count = len(prompts)
        texts = prompts if guidance is None else [*prompts, *[""] * count]
        ids = np.array([self._tokenizer.encode(text) for text in texts], np.int64)
        context, pooled = self._text_encoder.run(None, {"ids": ids})
        columns, rows = (edge // self.card["downscale"] for edge in size_px)
        x = noise(seeds, (self.card["latent_channels"], rows, columns))
        for now, then in pairwise(np.linspace(1, 0, steps + 1, dtype=np.float32)):
            t = np.full(len(texts), now, np.float32)
            latents = np.concatenate([x] * (len(texts) // count))
            velocity = self.transformer.run(None, {"latents": latents, "t": t, "context": context, "pooled": pooled})[0]
            if guidance is not None:
                wanted, unguided = velocity[:count], velocity[count:]
                velocity = unguided + np.float32(guidance) * (wanted - unguided)
            x = x + (then - now) * velocity
        return self._decoder.run(None, {"latents": x})[0]


class UpscalerGraph(Exported):
    """Pictures to twice their edges."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        super().__init__(folder, threads)
        self._upscaler = self.open("upscaler")

    def enlarge(self, rgb: Pixels) -> Pixels:
        """(batch, 2 height, 2 width, 3)."""
        return self._upscaler.run(None, {"rgb": rgb})[0]


class DualEncoderGraphs(Exported):
    """Pictures and prompts to vectors of unit length; prompts already read are remembered."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        super().__init__(folder, threads)
        self._tokenizer = self.tokenizer()
        self._encoder, self._image_tower = self.open("encoder"), self.open("image_tower")
        self._text_tower = self.open("text_tower")
        self._known: dict[str, Floats] = {}

    def pictures(self, rgb: Pixels) -> Floats:
        """(batch, embedding_channels)."""
        latents = self._encoder.run(None, {"rgb": rgb})[0]
        return self._image_tower.run(None, {"latents": latents})[0]

    def texts(self, texts: list[str]) -> Floats:
        """(count, embedding_channels)."""
        unread = [text for text in dict.fromkeys(texts) if text not in self._known]
        for start in range(0, len(unread), 64):
            part = unread[start : start + 64]
            ids = np.array([self._tokenizer.encode(text) for text in part], np.int64)
            self._known |= dict(zip(part, self._text_tower.run(None, {"ids": ids})[0], strict=True))
        return np.stack([self._known[text] for text in texts])

    def alignment(self, cosine: float) -> float:
        """The calibrated score, 0 to 1."""
        facts = self.card["calibration"]["alignment"]
        return float(1 / (1 + np.exp(-facts["scale"] * (cosine - facts["mean"]))))


def noise(seeds: list[int], shape: tuple[int, int, int]) -> Floats:
    """(batch, *shape): where each seed starts, whatever else is in the batch."""
    return np.stack([np.random.Generator(np.random.Philox(s)).standard_normal(shape, np.float32) for s in seeds])


def is_deterministic(make: Callable[[int, list[int]], Pixels | Floats], count: int = 4) -> bool:
    """Whether a model gives the same bits over runs, over 1 and 2 threads, and alone as in a batch of `count`.

    make(threads, rows) runs the model on those of its inputs.
    """
    rows = list(range(count))
    batch = make(1, rows)
    again, threaded = make(1, rows), make(2, rows)
    alone = np.concatenate([make(1, [row]) for row in rows])
    return all(np.array_equal(batch, other) for other in (again, threaded, alone))
