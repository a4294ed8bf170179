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

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.inference.tokenizer import Tokenizer
from heliograph.inference.tool_folder import read_tool_folder

_ROLES = frozenset({"encoder", "image_tower", "text_tower", "vocabulary", "merges", "known_words"})
_TEXTS_MAX = 64
"""Texts in one run of the text tower."""

Embedding = NDArray[np.float32]
"""(channels,) float32 of unit length: the inner product of two is the cosine between them."""


class DualEncoder:
    """The encoder of the folder `weights`. Not safe to share between threads."""

    def __init__(self, weights: Path) -> None:
        """Check the files and open the graphs. Raises `EngineError(BAD_WEIGHTS)`."""
        folder = read_tool_folder(weights, kind="dual_encoder", roles=_ROLES)
        try:
            self.calibration: Mapping[str, Any] = folder.facts["calibration"]
            self._downscale: int = folder.facts["downscale"]
            files = {folder.parts[role].parent for role in ("vocabulary", "merges", "known_words")}
            (tokens,) = files
            self._tokenizer = Tokenizer.from_files(tokens, context_length=folder.facts["context_length"])
        except (KeyError, ValueError) as error:
            message = f"model.json in {weights} lacks what a dual encoder needs: {error}"
            raise EngineError(EngineErrorKind.BAD_WEIGHTS, message) from error
        self._encoder, self._image_tower = folder.graph("encoder"), folder.graph("image_tower")
        self._text_tower = folder.graph("text_tower")
        self._concepts: dict[tuple[str, ...], Embedding] = {}

    def picture(self, pixels: NDArray[np.uint8]) -> Embedding | None:
        """Where `pixels` (height, width, 3) lie, up to the last whole latent. None if it is too small for one.

        Raises `EngineError`, as the other methods do.
        """
        height, width = (side // self._downscale * self._downscale for side in pixels.shape[:2])
        if not height or not width:
            return None
        latents = self._encoder.run(rgb=np.ascontiguousarray(pixels[None, :height, :width]))
        return self._image_tower.run(latents=latents)[0]

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Where each text lies: (n, channels). What a text has beyond the context length is not read."""
        parts: list[NDArray[np.float32]] = []
        for start in range(0, len(texts), _TEXTS_MAX):
            ids = np.array([self._tokenizer.encode(text) for text in texts[start : start + _TEXTS_MAX]], np.int64)
            parts.append(self._text_tower.run(ids=ids))
        return np.concatenate(parts)

    def concept(self, texts: tuple[str, ...]) -> Embedding:
        """Where the thing lies that all of `texts` describe: between them.

        Remembered without a bound, so it is for the captions of the calibration only.
        """
        known = self._concepts.get(texts)
        if known is None:
            middle = self.texts(texts).mean(axis=0)
            known = self._concepts[texts] = middle / max(float(np.linalg.norm(middle)), 1e-9)
        return known
