"""The built-in dual encoder: pictures and texts as points of one space, near one another where they say the same.

    encoder       rgb (1, height, width, 3) uint8        -> latents (1, 8, height/8, width/8) float32
    image_tower   latents (1, 8, h, w) float32           -> embedding (1, channels) float32, unit length
    text_tower    ids (n, context_length) int64          -> embedding (n, channels) float32, unit length

What the closeness means (an alignment, a missing word) is judged by `quality/alignment.py`; `calibration` has the facts
it needs, measured when the encoder was trained.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heliograph.inference.model_folder import ModelKind, bad_weights, read_folder
from heliograph.inference.onnx_graphs import open_graph, run_graph
from heliograph.inference.tokenizer import Tokenizer

TEXTS_REMEMBERED_MAX = 256
"""Pictures of one prompt are often judged one after the other, and a text costs as much as a small picture."""

Embedding = NDArray[np.float32]
"""(channels,) float32 of unit length: the inner product of two is the cosine between them."""


class DualEncoder:
    """The encoder of the folder `weights`. Not safe to share between threads."""

    def __init__(self, weights: Path) -> None:
        """Check the files and open the graphs. Raises `EngineError(BAD_WEIGHTS)`."""
        folder = read_folder(weights)
        if folder.kind is not ModelKind.DUAL_ENCODER:
            raise bad_weights(f"{weights} holds a {folder.kind.value} model, not a dual encoder")
        self._multiple_px = folder.count("multiple_px")
        calibration = folder.facts.get("calibration")
        if self._multiple_px < 1 or not isinstance(calibration, dict):
            raise bad_weights(f"multiple_px or calibration of {weights} is missing or of no use")
        self.calibration: Mapping[str, Any] = calibration
        self._tokenizer = Tokenizer.from_files(
            vocabulary=folder.part("vocabulary"),
            merges=folder.part("merges"),
            known_words=folder.part("known_words"),
            context_length=folder.count("context_length"),
        )
        self._encoder = open_graph(folder.part("encoder"), keeps_memory=False)
        self._image_tower = open_graph(folder.part("image_tower"), keeps_memory=False)
        self._text_tower = open_graph(folder.part("text_tower"), keeps_memory=False)
        self._remembered: dict[str, Embedding] = {}

    def picture(self, pixels: NDArray[np.uint8]) -> Embedding | None:
        """Where `pixels` (height, width, 3) lie; what is beyond whole multiples is cut off. None if nothing remains."""
        height, width = (side // self._multiple_px * self._multiple_px for side in pixels.shape[:2])
        if not height or not width:
            return None
        (latents,) = run_graph(self._encoder, {"rgb": np.ascontiguousarray(pixels[None, :height, :width])})
        (embeddings,) = run_graph(self._image_tower, {"latents": latents})
        return embeddings[0]

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Where each text lies: (n, channels). What a text has beyond the context length is not read."""
        new = [text for text in dict.fromkeys(texts) if text not in self._remembered]
        if new:
            ids = np.array([self._tokenizer.encode(text) for text in new], np.int64)
            (embeddings,) = run_graph(self._text_tower, {"ids": ids})
            self._remembered |= zip(new, embeddings, strict=True)
        found = np.stack([self._remembered[text] for text in texts])
        for text in list(self._remembered)[: max(0, len(self._remembered) - TEXTS_REMEMBERED_MAX)]:
            del self._remembered[text]
        return found
