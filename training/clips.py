"""Batches of encoded clips; a batch holds one size only."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.animation import clip_scene_at, motion_of
from training.dataset import SIZE_ODDS
from training.motion_captions import motion_caption
from training.render_clips import VALIDATION_CLIPS, clip_path
from training.scenes import SIZES, Scene

_STILL_CELL = 0.05
"""A latent value that changes by less than this within a clip does not move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipBatch:
    """Clips of one size with the scenes they show.

    latents: (batch, frames, 8, h, w) float32, normalised, the first frame first
    pictures: (batch, frames, height, width, 3) uint8, the same frames as painted
    numbers: (frames - 1,) int64, the numbers of the frames after the first
    """

    latents: Tensor
    pictures: Tensor
    numbers: Tensor
    scenes: list[Scene]

    def captions(self, rng: random.Random) -> list[str]:
        """A fresh caption of each clip."""
        return [motion_caption(scene, motion_of(scene), rng) for scene in self.scenes]


class Clips:
    """The clips of all sizes that are encoded so far, in memory as float16."""

    def __init__(self, work: Path) -> None:
        encoded: list[tuple[str, int, int]] = json.loads((work / "data" / "clips_encoded.json").read_text())
        self._latents = {name: np.load(clip_path(work, name, "latents")) for name in SIZES}
        self._pictures = {name: np.load(clip_path(work, name, "pictures"), mmap_mode="r") for name in SIZES}
        self._rows: dict[str, list[int]] = {name: [] for name in SIZES}
        for name, start, stop in encoded:
            first = VALIDATION_CLIPS if name == "square" else 0
            self._rows[name] += range(max(start, first), stop)
        self._sizes = [name for name in SIZES if self._rows[name]]

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def batch(self, rng: random.Random, count: int, frames: int) -> ClipBatch:
        """Random training clips of one size, of each the first frame and `frames` others, the same numbers for all."""
        name = rng.choices(self._sizes, [SIZE_ODDS[size] for size in self._sizes])[0]
        rows = [rng.choice(self._rows[name]) for _ in range(count)]
        numbers = sorted(rng.sample(range(1, self._latents[name].shape[1]), frames))
        return self._take(name, rows, numbers)

    def validation(self, first: int, count: int) -> ClipBatch:
        """Whole square clips first..first + count of the validation set."""
        assert first + count <= VALIDATION_CLIPS
        numbers = list(range(1, self._latents["square"].shape[1]))
        return self._take("square", list(range(first, first + count)), numbers)

    def motion_scale(self) -> float:
        """Root mean square of what moves, seen from the first frame; divided by it, differences resemble noise."""
        sample = self._latents["square"][self._rows["square"][:400]].astype(np.float32)
        differences = sample[:, 1:] - sample[:, :1]
        moving = np.abs(differences) > _STILL_CELL
        return float(np.sqrt(np.square(differences[moving]).mean()))

    def _take(self, name: str, rows: list[int], numbers: list[int]) -> ClipBatch:
        return ClipBatch(
            latents=torch.from_numpy(self._latents[name][rows][:, [0, *numbers]]).float(),
            pictures=torch.from_numpy(np.stack([self._pictures[name][row][[0, *numbers]] for row in rows])),
            numbers=torch.tensor(numbers),
            scenes=[clip_scene_at(name, row) for row in rows],
        )
