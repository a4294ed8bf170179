"""The clip model that ships, run by the recipe of training/README.md: clips begin with the still, move, and obey."""

from __future__ import annotations

import numpy as np
import pytest
from training.cards import WEIGHTS
from training.exported import TextToImageGraphs
from training.exported_clips import ClipGraphs

BOAT = "a red boat on the sea during the day"


@pytest.fixture(scope="module")
def clips() -> ClipGraphs:
    return ClipGraphs(WEIGHTS / "helio-motion")


def moved(clip: np.ndarray) -> float:
    """Mean difference from the first frame, in levels."""
    return float(np.abs(clip.astype(np.float32) - clip[0]).mean())


def test_every_file_is_the_one_that_was_exported(clips: ClipGraphs) -> None:
    clips.check_files()


def test_a_clip_begins_with_the_still_of_its_prompt_and_seed(clips: ClipGraphs) -> None:
    stills = TextToImageGraphs(WEIGHTS / "helio-base")
    assert np.array_equal(clips.generate([BOAT], [3])[0, 0], stills.generate([BOAT], [3])[0])


@pytest.mark.parametrize("prompt", [BOAT, "a windmill on green hills", "a blue hot air balloon over hills, cloudy"])
def test_pictures_move_more_and_more(clips: ClipGraphs, prompt: str) -> None:
    clip = clips.generate([prompt], [1])[0]
    assert moved(clip[:3]) < moved(clip)
    assert moved(clip) > 0.5


def test_a_still_moves_less(clips: ClipGraphs) -> None:
    lively = clips.generate([BOAT, BOAT], [1, 2])
    still = clips.generate([f"{BOAT}, still, motionless"] * 2, [1, 2])
    assert sum(map(moved, still)) < 0.8 * sum(map(moved, lively))
