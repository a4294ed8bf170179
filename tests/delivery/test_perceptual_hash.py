"""Copies of a picture keep its hash nearly, other pictures have another."""

import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from heliograph.delivery import pillow
from heliograph.delivery.perceptual_hash import ALIKE_BITS_MAX, SIDE_PX, bits_apart, perceptual_hash


def a_scene(seed: int) -> Image.Image:
    """Smooth patches at random, as different from one another as photographs are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)


def hash_of(image: Image.Image) -> str:
    return perceptual_hash(pillow.squeezed(image, SIDE_PX))


def recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=40)
    return Image.open(file)


@pytest.mark.parametrize("seed", range(8))
def test_copies_are_alike(seed: int) -> None:
    scene = a_scene(seed)
    copies = {
        "resized": scene.resize((97, 61)),
        "recompressed": recompressed(scene),
        "brighter": scene.point(lambda value: min(255, round(value * 1.08))),
        "in grey": scene.convert("L").convert("RGB"),
    }
    apart = {name: bits_apart(hash_of(scene), hash_of(copy)) for name, copy in copies.items()}
    assert max(apart.values()) <= ALIKE_BITS_MAX, apart


def test_other_pictures_are_not() -> None:
    hashes = [hash_of(a_scene(seed)) for seed in range(40)]
    assert min(bits_apart(one, other) for one, other in combinations(hashes, 2)) > ALIKE_BITS_MAX


def test_a_hash_is_sixteen_digits_also_of_a_plain_picture() -> None:
    for pixels in (np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)):
        assert len(perceptual_hash(pixels)) == 16
        int(perceptual_hash(pixels), 16)
