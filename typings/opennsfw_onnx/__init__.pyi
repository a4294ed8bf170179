from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

class OpenNSFWError(Exception): ...

class Prediction:
    @property
    def nsfw(self) -> float: ...

class NSFWClassifier:
    def __init__(
        self,
        model_path: str | None = None,
        *,
        providers: Sequence[str] | None = None,
        intra_op_num_threads: int | None = None,
    ) -> None: ...
    def classify(self, image: NDArray[np.uint8]) -> Prediction: ...
