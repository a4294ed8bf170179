"""Tiles leave no seams, whatever the size, and weights that cannot be trusted are not used."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.inference import upscaler as module
from heliograph.inference.upscaler import Upscaler
from tests.inference.tiny_graphs import write_upscaler


def noise(width_px: int, height_px: int) -> NDArray[np.uint8]:
    return np.random.default_rng(width_px).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_upscaler(tmp_path / "helio-upscale")


@pytest.mark.parametrize("size", [(8, 8), (128, 128), (160, 96), (136, 264), (250, 131), (1, 3), (300, 5)])
def test_a_picture_of_any_size_is_enlarged_as_if_it_were_one_tile(
    weights: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = noise(*size)
    in_tiles = Upscaler(weights).enlarge(pixels)
    monkeypatch.setattr(module, "_TILE_PX", 512)
    whole = Upscaler(weights).enlarge(pixels)
    assert in_tiles.shape == (size[1] * 2, size[0] * 2, 3)
    assert in_tiles.dtype == np.uint8
    assert np.array_equal(in_tiles, whole)


def test_a_margin_that_is_too_small_would_show(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above relies on: without the margin, tiles differ along their seams."""
    pixels = noise(264, 64)
    whole = Upscaler(weights).enlarge(pixels)
    tool = Upscaler(weights)
    monkeypatch.setattr(tool, "_margin_px", 0)
    differing = (tool.enlarge(pixels) != whole).any(axis=(0, 2)).nonzero()[0]
    assert differing.size
    assert set(differing // 2) <= {126, 127, 128, 129, 254, 255, 256, 257}


def test_the_factor_is_the_networks_own(tmp_path: Path) -> None:
    tool = Upscaler(write_upscaler(tmp_path / "triple", factor=3))
    assert tool.factor == 3
    assert tool.enlarge(noise(16, 8)).shape == (24, 48, 3)


def lose_the_folder(weights: Path) -> None:
    (weights / "model.json").unlink()


def lose_the_graph(weights: Path) -> None:
    (weights / "upscaler.onnx").unlink()


def damage_the_graph(weights: Path) -> None:
    content = bytearray((weights / "upscaler.onnx").read_bytes())
    content[-9] ^= 1
    (weights / "upscaler.onnx").write_bytes(content)


def describe_another_kind(weights: Path) -> None:
    rewrite(weights, kind="dual_encoder")


def lose_the_factor(weights: Path) -> None:
    rewrite(weights, factor=None)


def claim_a_broken_factor(weights: Path) -> None:
    rewrite(weights, factor=1.5)


def claim_an_endless_margin(weights: Path) -> None:
    rewrite(weights, margin_px=10**9)


def point_outside(weights: Path) -> None:
    outside = weights.parent.parent / "upscaler.onnx"
    (weights / "upscaler.onnx").rename(outside)
    facts = json.loads((weights / "model.json").read_text())
    name = "../../upscaler.onnx"
    rewrite(weights, parts={"upscaler": name}, files={name: facts["files"]["upscaler.onnx"]})


def rewrite(weights: Path, **changes: object) -> None:
    facts = json.loads((weights / "model.json").read_text())
    (weights / "model.json").write_text(json.dumps(facts | changes))


@pytest.mark.parametrize(
    "damage",
    [
        lose_the_folder,
        lose_the_graph,
        damage_the_graph,
        describe_another_kind,
        lose_the_factor,
        claim_a_broken_factor,
        claim_an_endless_margin,
        point_outside,
    ],
)
def test_weights_that_are_missing_or_damaged_are_not_used(damage: object, tmp_path: Path) -> None:
    weights = write_upscaler(tmp_path / "weights" / "helio-upscale")
    damage(weights)  # type: ignore[operator]
    with pytest.raises(EngineError) as caught:
        Upscaler(weights)
    assert caught.value.kind is EngineErrorKind.BAD_WEIGHTS


def test_a_part_may_lie_in_a_folder_beside_it(tmp_path: Path) -> None:
    weights = write_upscaler(tmp_path / "helio-upscale")
    (tmp_path / "shared").mkdir()
    (weights / "upscaler.onnx").rename(tmp_path / "shared" / "upscaler.onnx")
    facts = json.loads((weights / "model.json").read_text())
    name = "../shared/upscaler.onnx"
    rewrite(weights, parts={"upscaler": name}, files={name: facts["files"]["upscaler.onnx"]})
    assert Upscaler(weights).enlarge(noise(8, 8)).shape == (16, 16, 3)
