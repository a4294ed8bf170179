"""Batches of the rendered pictures or encoded latents; a batch holds one size only."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.render import VALIDATION_COUNT, array_path
from training.scenes import SIZES, Scene, scene_at

SIZE_ODDS = {"square": 0.6, "landscape": 0.2, "portrait": 0.2}


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentBatch:
    """Latents of one size with the scenes they show.

    latents: (batch, 8, h, w) float32, normalised
    layouts: (batch, h / 2, w / 2) int64, index into canvas.CLASSES per token
    object_cells: (batch, h, w) bool
    rows: where in the arrays of `size_name` they are
    """

    size_name: str
    rows: list[int]
    latents: Tensor
    layouts: Tensor
    object_cells: Tensor
    scenes: list[Scene]


class Pictures:
    """The rendered pictures of all sizes, memory-mapped."""

    def __init__(self, work: Path) -> None:
        self._arrays = {name: np.load(array_path(work, name, "pictures"), mmap_mode="r") for name in SIZES}

    def batch(self, rng: random.Random, count: int) -> Tensor:
        """(count, height, width, 3) uint8 of one random size, never from the validation set."""
        name = rng.choices(list(SIZE_ODDS), list(SIZE_ODDS.values()))[0]
        first = VALIDATION_COUNT if name == "square" else 0
        rows = sorted(rng.randrange(first, len(self._arrays[name])) for _ in range(count))
        return torch.from_numpy(self._arrays[name][rows])

    def validation(self, count: int) -> Tensor:
        """(count, 128, 128, 3) uint8, the first of the validation pictures."""
        return torch.from_numpy(self._arrays["square"][: min(count, VALIDATION_COUNT)].copy())


class Latents:
    """The encoded pictures of all sizes, in memory as float16."""

    def __init__(self, work: Path) -> None:
        def load(kind: str) -> dict[str, np.ndarray]:
            return {name: np.load(array_path(work, name, kind)) for name in SIZES}

        self._latents, self._layouts, self._cells = load("latents"), load("layouts"), load("object_cells")
        self._scenes = {n: [scene_at(n, i) for i in range(len(values))] for n, values in self._latents.items()}

    def batch(self, rng: random.Random, count: int) -> LatentBatch:
        """A random batch of one size; pictures with an object are drawn twice as often as those without."""
        name = rng.choices(list(SIZE_ODDS), list(SIZE_ODDS.values()))[0]
        first = VALIDATION_COUNT if name == "square" else 0
        rows: list[int] = []
        while len(rows) < count:
            row = rng.randrange(first, len(self._latents[name]))
            if self._scenes[name][row].object != "none" or rng.random() < 0.5:
                rows.append(row)
        return self._take(name, rows)

    def validation(self, first: int, count: int) -> LatentBatch:
        """Square pictures first..first + count of the validation set."""
        assert first + count <= VALIDATION_COUNT
        return self._take("square", list(range(first, first + count)))

    def _take(self, name: str, rows: list[int]) -> LatentBatch:
        return LatentBatch(
            size_name=name,
            rows=rows,
            latents=torch.from_numpy(self._latents[name][rows]).float(),
            layouts=torch.from_numpy(self._layouts[name][rows]).long(),
            object_cells=torch.from_numpy(self._cells[name][rows]),
            scenes=[self._scenes[name][row] for row in rows],
        )
