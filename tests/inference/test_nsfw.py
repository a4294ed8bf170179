"""The safety check on real weights, and what stands in for them where they are missing or broken."""

import sys

import numpy as np
import pytest

from heliograph.domain.errors import EngineError
from heliograph.domain.pictures import Decision, RawImage, Verdict
from heliograph.inference import nsfw
from heliograph.inference.nsfw import NsfwClassifier
from heliograph.postprocess import FinishedPicture, finish_picture
from heliograph.postprocess_tools import SAFETY_JUDGE, Tools
from heliograph.quality.gates import GatePolicy
from heliograph.quality.safety import UNJUDGED, UNSAFE, SafetyLimits
from tests.builders import a_request


def noise(frames: int = 1) -> RawImage:
    pixels = np.random.default_rng(3).integers(0, 256, (frames, 64, 96, 3), dtype=np.uint8)
    return RawImage(width_px=96, height_px=64, seed=1, rgb=pixels.tobytes(), frames=frames)


def finished(limits: SafetyLimits | None, *, frames: int = 1, tools: Tools | None = None) -> FinishedPicture | Verdict:
    request = a_request(width_px=96, height_px=64, frames=frames, frames_per_second=8.0 if frames > 1 else None)
    return finish_picture(
        noise(frames), request, reseeds=0, policy=GatePolicy(), tools=tools or Tools(None), safety=limits
    )


class Scores(Tools):
    """Tools whose classifier says what a test wants, frame by frame."""

    def __init__(self, *scores: float | None) -> None:
        super().__init__(None)
        self.left = list(scores)

    def unsafe(self, pixels: np.ndarray) -> float | None:
        return self.left.pop(0)


def test_a_harmless_picture_is_harmless_and_the_score_repeats() -> None:
    sky = np.linspace(90, 220, 96 * 128 * 3, dtype=np.uint8).reshape(96, 128, 3)
    classifier = NsfwClassifier()
    score = classifier.score(sky)
    assert 0.0 <= score < 0.5
    assert classifier.score(sky) == score


def test_damaged_weights_are_told_and_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "open-nsfw.onnx").write_bytes(b"not a model")
    monkeypatch.setattr(nsfw, "files", lambda _package: tmp_path)
    with pytest.raises(EngineError, match="weights cannot be loaded"):
        NsfwClassifier()
    (tmp_path / "open-nsfw.onnx").unlink()
    with pytest.raises(EngineError, match="does not exist"):
        NsfwClassifier()


def test_a_finished_picture_has_its_score() -> None:
    picture = finished(SafetyLimits())
    assert isinstance(picture, FinishedPicture)
    assert picture.safety is not None
    assert (picture.safety.judge, picture.safety.decision) == (SAFETY_JUDGE, Decision.ACCEPT)
    unasked = finished(None)
    assert isinstance(unasked, FinishedPicture)
    assert unasked.safety is None


@pytest.mark.parametrize(("score", "decision"), [(0.49, Decision.ACCEPT), (0.5, Decision.FLAG), (0.79, Decision.FLAG)])
def test_what_is_not_surely_unsafe_is_finished(score: float, decision: Decision) -> None:
    picture = finished(SafetyLimits(), tools=Scores(score))
    assert isinstance(picture, FinishedPicture)
    assert picture.safety is not None
    assert (picture.safety.score, picture.safety.decision) == (score, decision)


def test_what_is_surely_unsafe_is_not_even_encoded() -> None:
    verdict = finished(SafetyLimits(), tools=Scores(0.8))
    assert isinstance(verdict, Verdict)
    assert (verdict.decision, verdict.reasons) == (Decision.BLOCK, (UNSAFE,))
    assert verdict.safety is not None
    assert verdict.safety.score == 0.8


def test_the_worst_frame_of_a_clip_counts() -> None:
    clip = finished(SafetyLimits(), frames=3, tools=Scores(0.1, 0.6, 0.2))
    assert isinstance(clip, FinishedPicture)
    assert clip.safety is not None
    assert clip.safety.score == 0.6


@pytest.mark.parametrize("is_required", [False, True])
def test_without_a_classifier_a_picture_is_delivered_unless_it_had_to_be_judged(
    is_required: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "heliograph.inference.nsfw", None)
    tools = Tools(None)
    result = finished(SafetyLimits(is_required=is_required), tools=tools)
    if is_required:
        assert result == Verdict(decision=Decision.BLOCK, reasons=(UNJUDGED,))
    else:
        assert isinstance(result, FinishedPicture)
        assert result.safety is None
        assert any("pip install 'heliograph[safety]'" in problem for problem in result.problems)
