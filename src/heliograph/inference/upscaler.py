"""The built-in upscaler: a picture at twice its size, in tiles that leave no seams.

    upscaler   rgb (1, h, w, 3) uint8 -> (1, 2h, 2w, 3) uint8

A network sees a bounded neighbourhood of each pixel, its margin. A tile is read with that margin around it and written
without, so every pixel comes out as if the picture had been enlarged whole, while the memory it takes is that of one
tile however large the picture is.
"""

from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heliograph.inference.model_folder import ModelKind, bad_weights, read_folder
from heliograph.inference.onnx_graphs import open_graph, run_graph

_TILE_PX = 128
_MULTIPLE_PX = 8
"""Sides of what the network reads; margins, too, so that what it does in strides falls on the same pixels."""

_MARGIN_PX_MAX = 64


class Upscaler:
    """The network of the folder `weights`. `factor` is how much larger a side becomes."""

    def __init__(self, weights: Path) -> None:
        """Check the files and open the graph. Raises `EngineError(BAD_WEIGHTS)`."""
        folder = read_folder(weights)
        if folder.kind is not ModelKind.UPSCALER:
            raise bad_weights(f"{weights} holds a {folder.kind.value} model, not an upscaler")
        self.factor, margin_px = folder.count("factor"), folder.count("margin_px")
        if self.factor < 1 or not 0 <= margin_px <= _MARGIN_PX_MAX:
            raise bad_weights(f"factor or margin_px of {weights} is out of bounds")
        self._margin_px = _multiple_of(_MULTIPLE_PX, margin_px)
        self._graph = open_graph(folder.part("upscaler"), keeps_memory=False)

    def enlarge(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`pixels` (height, width, 3) uint8 sRGB, `factor` times as high and as wide."""
        height, width, channels = pixels.shape
        below, right = _multiple_of(_MULTIPLE_PX, height) - height, _multiple_of(_MULTIPLE_PX, width) - width
        padded = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="edge") if below or right else pixels
        large = np.empty((height * self.factor, width * self.factor, channels), np.uint8)
        for top, left in product(range(0, height, _TILE_PX), range(0, width, _TILE_PX)):
            rows, columns = self._span(top, padded.shape[0]), self._span(left, padded.shape[1])
            (tiles,) = run_graph(self._graph, {"rgb": np.ascontiguousarray(padded[None, rows, columns])})
            inner = tiles[0, (top - rows.start) * self.factor :, (left - columns.start) * self.factor :]
            y, x = top * self.factor, left * self.factor
            target = large[y : y + _TILE_PX * self.factor, x : x + _TILE_PX * self.factor]
            target[:] = inner[: target.shape[0], : target.shape[1]]
        return large

    def _span(self, start: int, end: int) -> slice:
        """What is read for a tile that begins at `start`, in a picture that ends at `end`."""
        return slice(max(0, start - self._margin_px), min(end, start + _TILE_PX + self._margin_px))


def _multiple_of(step: int, value: int) -> int:
    return -(-value // step) * step
