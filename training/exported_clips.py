"""The exported clip model as the product runs it: numpy and onnxruntime, no torch."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from training.exported import Exported, Floats, Pixels, noise

_NOISE_STREAM = 1


class ClipGraphs(Exported):
    """Prompts to clips: helio-base draws the first frame, the motion network the others."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        super().__init__(folder, threads)
        self._tokenizer = self.tokenizer()
        self._text_encoder, self._transformer = self.open("text_encoder"), self.open("transformer")
        self._motion, self._decoder = self.open("motion"), self.open("decoder")

    def generate(
        self, prompts: list[str], seeds: list[int], size_px: tuple[int, int] = (128, 128), frames: int | None = None
    ) -> Pixels:
        """(batch, frames, height, width, 3) clips of (width, height) `size_px`; frames are the card's where None."""
        first = self.first_frames(prompts, seeds, size_px)
        return self.decode(self.continue_latents(first, prompts, seeds, frames))

    def first_frames(self, prompts: list[str], seeds: list[int], size_px: tuple[int, int]) -> Floats:
        """(batch, 8, h, w) latents, drawn as helio-base draws them."""
        context, pooled = self._read([*prompts, *[""] * len(prompts)])
        columns, rows = (edge // self.card["downscale"] for edge in size_px)
        x = noise(seeds, (self.card["latent_channels"], rows, columns))
        guidance = np.float32(self.card["default_guidance"])
        for now, then in pairwise(np.linspace(1, 0, self.card["default_steps"] + 1, dtype=np.float32)):
            t = np.full(2 * len(x), now, np.float32)
            inputs = {"latents": np.concatenate([x, x]), "t": t, "context": context, "pooled": pooled}
            wanted, unguided = np.split(self._transformer.run(None, inputs)[0], 2)
            x = x + (then - now) * (unguided + guidance * (wanted - unguided))
        return x

    def continue_latents(
        self, first: Floats, prompts: list[str], seeds: list[int], frames: int | None = None
    ) -> Floats:
        """(batch, frames, 8, h, w) latents of clips that begin with these first frames (batch, 8, h, w)."""
        context, pooled = self._read(prompts)
        frames = self.card["frames"] if frames is None else frames
        x = np.stack([_motion_noise(seed, (frames - 1, *first.shape[1:])) for seed in seeds])
        for now, then in pairwise(np.linspace(1, 0, self.card["motion_steps"] + 1, dtype=np.float32)):
            t = np.full(len(x), now, np.float32)
            inputs = {"latents": x, "first": first, "t": t, "context": context, "pooled": pooled}
            x = x + (then - now) * self._motion.run(None, inputs)[0]
        later = first[:, None] + np.float32(self.card["motion_scale"]) * x
        return np.concatenate([first[:, None], later], 1)

    def decode(self, latents: Floats) -> Pixels:
        """(batch, frames, height, width, 3)."""
        return np.stack([self._decoder.run(None, {"latents": clip})[0] for clip in latents])

    def _read(self, texts: list[str]) -> list[Floats]:
        ids = np.array([self._tokenizer.encode(text) for text in texts], np.int64)
        return self._text_encoder.run(None, {"ids": ids})


def _motion_noise(seed: int, shape: tuple[int, ...]) -> Floats:
    source = np.random.SeedSequence(seed, spawn_key=(_NOISE_STREAM,))
    return np.random.Generator(np.random.Philox(source)).standard_normal(shape, np.float32)
