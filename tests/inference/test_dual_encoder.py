"""Pictures and words meet in one space."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.inference.dual_encoder import TEXTS_REMEMBERED_MAX, DualEncoder
from tests.inference.tiny_graphs import COLOURS, write_dual_encoder


def plain(colour: str, width_px: int = 32, height_px: int = 16) -> NDArray[np.uint8]:
    return np.full((height_px, width_px, 3), np.array(COLOURS[colour]) * 255, np.uint8)


@pytest.fixture
def encoder(tmp_path: Path) -> DualEncoder:
    return DualEncoder(write_dual_encoder(tmp_path / "helio-clip"))


@pytest.mark.parametrize("colour", ["red", "green", "blue"])
def test_a_picture_lies_nearest_to_the_words_that_fit_it(encoder: DualEncoder, colour: str) -> None:
    picture = encoder.picture(plain(colour))
    assert picture is not None
    names = ("red", "green", "blue")
    closeness = encoder.texts([f"a {name} picture" for name in names]) @ picture
    assert names[closeness.argmax()] == colour
    assert closeness.max() == pytest.approx(1, abs=0.01)


def test_rows_and_columns_beyond_a_whole_latent_do_not_count(encoder: DualEncoder) -> None:
    odd = np.pad(plain("red"), ((0, 5), (0, 7), (0, 0)))
    assert np.array_equal(encoder.picture(odd), encoder.picture(plain("red")))
    assert encoder.picture(plain("red", 7, 64)) is None


def test_texts_are_remembered_within_a_bound(encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    red = encoder.texts(["red"])
    with monkeypatch.context() as patched:
        patched.setattr(encoder, "_text_tower", None)
        assert np.array_equal(encoder.texts(["red", "red"]), np.concatenate([red, red]))
    many = [f"red {number * 'x'}" for number in range(TEXTS_REMEMBERED_MAX + 20)]
    assert encoder.texts(many).shape == (len(many), 3)
    assert len(encoder._remembered) == TEXTS_REMEMBERED_MAX
    assert np.array_equal(encoder.texts(["red"]), red)


def test_many_texts_are_the_same_as_one_at_a_time(encoder: DualEncoder) -> None:
    texts = [f"{colour} {number * 'x'}" for number in range(40) for colour in COLOURS]
    alone = np.concatenate([encoder.texts([text]) for text in texts])
    assert np.array_equal(encoder.texts(texts), alone)


@pytest.mark.parametrize("lost", ["calibration", "multiple_px", "context_length", "kind", "parts", "files"])
def test_a_description_that_lacks_something_is_not_used(tmp_path: Path, lost: str) -> None:
    weights = write_dual_encoder(tmp_path / "helio-clip")
    facts = json.loads((weights / "model.json").read_text())
    del facts[lost]
    (weights / "model.json").write_text(json.dumps(facts))
    with pytest.raises(EngineError) as caught:
        DualEncoder(weights)
    assert caught.value.kind is EngineErrorKind.BAD_WEIGHTS


@pytest.mark.parametrize("role", ["encoder.onnx", "image_tower.onnx", "text_tower.onnx", "vocab.json"])
def test_every_file_is_checked(tmp_path: Path, role: str) -> None:
    weights = write_dual_encoder(tmp_path / "helio-clip")
    (weights / role).write_bytes((weights / role).read_bytes() + b" ")
    with pytest.raises(EngineError, match=role):
        DualEncoder(weights)
