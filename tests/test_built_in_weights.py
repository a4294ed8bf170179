"""The folders of the built-in models keep their contract; `training/README.md`, 'Files and tensors', states it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

WEIGHTS = Path(__file__).parents[1] / "src" / "heliograph" / "weights"
CARDS = {path.parent.name: json.loads(path.read_text()) for path in sorted(WEIGHTS.glob("*/model.json"))}
ROLES = {
    "text_to_image": {"text_encoder", "transformer", "decoder", "encoder", "vocabulary", "merges", "known_words"},
    "upscaler": {"upscaler"},
    "dual_encoder": {"image_tower", "text_tower", "encoder", "vocabulary", "merges", "known_words"},
}
BYTES_MAX = 30_000_000


def test_the_family_is_complete() -> None:
    family = {"helio-base", "helio-turbo", "helio-base-int8", "helio-upscale", "helio-clip"}
    assert family <= set(CARDS)


@pytest.mark.parametrize("name", CARDS)
def test_every_part_is_a_listed_file_with_the_right_content(name: str) -> None:
    card: dict[str, Any] = CARDS[name]
    assert card["name"] == name
    assert ROLES.get(card["kind"], set()) <= set(card["parts"])
    assert set(card["files"]) == set(card["parts"].values())
    for part, facts in card["files"].items():
        content = (WEIGHTS / name / part).read_bytes()
        assert len(content) == facts["bytes"], part
        assert hashlib.sha256(content).hexdigest() == facts["sha256"], part


@pytest.mark.parametrize("name", CARDS)
def test_a_folder_holds_nothing_that_no_model_uses(name: str) -> None:
    used = {(WEIGHTS / other / part).resolve() for other, card in CARDS.items() for part in card["parts"].values()}
    assert {path.resolve() for path in (WEIGHTS / name).iterdir()} - used == {(WEIGHTS / name / "model.json").resolve()}


def test_all_weights_together_fit_into_the_wheel() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) <= BYTES_MAX
