"""The pictures a run starts from, as an engine wants them: pixels, fitted to the size of the order.

They were decoded and checked when the request came in and lie in PNG files since; here they are read again, scaled to
cover the order's size and cropped at the middle. Pictures behind the first are only looked at and stay as
they are.
"""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.run import RunOrder


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """`images`: (height, width, 3) uint8 sRGB each, the first as large as the order.

    `mask`: (height, width) float32 of that size, 1 where the picture is made anew and 0 where it stays; None: anew
    everywhere.
    """

    images: tuple[NDArray[np.uint8], ...]
    mask: NDArray[np.float32] | None = None


def read_pictures(order: RunOrder) -> Pictures | None:
    """The order's pictures, None where it has none. Raises `EngineError(BAD_INPUT)` for files that cannot be read."""
    inputs = order.inputs
    if inputs is None:
        return None
    if not inputs.images or len(inputs.files) != len(inputs.names):
        raise EngineError(EngineErrorKind.BAD_INPUT, "the pictures to start from did not come with the order")
    size = (order.width_px, order.height_px)
    first, *others = [_opened(file, "RGB") for file in inputs.files[: len(inputs.images)]]
    images = tuple(np.asarray(image) for image in (_fitted(first, size), *others))
    if inputs.mask is None:
        return Pictures(images=images)
    mask = _fitted(_opened(inputs.files[-1], "L"), size)
    return Pictures(images=images, mask=np.asarray(mask, np.float32) / np.float32(255))


def composed(made: NDArray[np.uint8], given: Pictures | None) -> NDArray[np.uint8]:
    """`made` (..., height, width, 3) where the mask says so and the given picture elsewhere, bit for bit."""
    if given is None or given.mask is None:
        return made
    share = given.mask[..., None]
    return (share * made + (1 - share) * given.images[0]).round().astype(np.uint8)


def _opened(file: bytes, mode: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # How large they may be was decided when they came in.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(file), formats=("PNG",)).convert(mode)
    except (OSError, ValueError, SyntaxError) as error:
        message = f"a picture to start from cannot be read: {type(error).__name__}"
        raise EngineError(EngineErrorKind.BAD_INPUT, message) from error


def _fitted(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else ImageOps.fit(image, size, Image.Resampling.LANCZOS)
