"""What scores and people say of each revision, and when a roll-out should stop."""

import json
import random

import pytest

from heliograph.domain.ids import ModelId, OutputId
from heliograph.domain.pictures import Alignment
from heliograph.quality_watch import RETRY_S, QualityWatch, RevisionQuality
from tests.builders import MODEL, an_output
from tests.monitoring.lives import Clock, a_life

MODEL_ID = ModelId(MODEL)


class Watched:
    """A watch with its clock, what it told, and pictures to show it."""

    def __init__(self, revision: str = "r1", kept: str | None = None) -> None:
        self.clock = Clock()
        self.told: list[tuple[str, ModelId]] = []
        self.watch = QualityWatch(
            revisions={MODEL_ID: revision},
            clock=self.clock,
            publish=lambda what, model_id: self.told.append((what, model_id)),
        )
        if kept is not None:
            self.watch.restore(json.loads(kept))
        self.dice = random.Random("pictures")
        self.count = 0

    def make(self, count: int, *, mean: float) -> int:
        """Pictures until `count`, or until the watch holds the revision; how many there were."""
        for number in range(1, count + 1):
            self.count += 1
            score = min(max(self.dice.gauss(mean, 0.1), 0.0), 1.0)
            output = an_output(f"out{self.count}", alignment=Alignment(score=score))
            for event in a_life(f"job{self.count}", at_s=self.clock.now_s, outputs=(output,), prompt=f"p{self.count}"):
                self.watch(event)
            if self.now.verdict.is_held:
                return number
        return count

    @property
    def now(self) -> RevisionQuality:
        return self.watch.all()[0]


def test_a_revision_that_draws_worse_is_held_within_five_hundred_pictures() -> None:
    before = Watched("r1")
    assert before.make(1_500, mean=0.75) == 1_500, "the same as before is no change"
    after = Watched("r2", kept=json.dumps(before.watch.state()))
    assert after.make(500, mean=0.70) < 500
    verdict = after.watch.verdict(MODEL_ID, "r2")
    assert verdict.is_held
    assert verdict.why is not None
    assert f"{before.now.signals.mean:.3f} before" in verdict.why
    assert after.now.changed_at_s == after.clock.now_s
    assert [(each.signals.revision, each.is_current) for each in after.watch.all()] == [("r2", True), ("r1", False)]


def test_a_revision_that_is_not_the_one_in_use_is_not_held() -> None:
    watched = Watched("r1")
    watched.make(1_500, mean=0.75)
    watched.make(500, mean=0.6)
    assert watched.watch.verdict(MODEL_ID, "r1").is_held, "it has become worse than its own first pictures"
    assert not watched.watch.verdict(MODEL_ID, "r0").is_held
    assert not watched.watch.verdict(ModelId("unheard of"), "r1").is_held


def test_the_same_prompt_again_within_minutes_is_a_retry() -> None:
    watched = Watched()
    for wait_s, prompt, tenant in [
        (0, "a", "x"),
        (60, "a", "x"),
        (0, "a", "y"),
        (0, "b", "x"),
        (RETRY_S + 1, "b", "x"),
    ]:
        watched.clock.now_s += wait_s
        submitted, *_ = a_life("cat", at_s=watched.clock.now_s, prompt=prompt, tenant=tenant)
        watched.watch(submitted)
    assert (watched.now.signals.jobs, watched.now.signals.user_retries) == (5, 1)
    assert watched.told == [("retry", MODEL_ID)]


def test_a_picture_is_downloaded_once() -> None:
    watched = Watched()
    watched.make(2, mean=0.7)
    for name in ("out1", "out1", "nobody's"):
        watched.watch.downloaded(OutputId(name))
    assert watched.now.signals.downloads == 1
    assert watched.told == [("download", MODEL_ID)]


def test_scores_are_summed_up() -> None:
    watched = Watched()
    watched.make(400, mean=0.7)
    signals = watched.now.signals
    assert (signals.scores, signals.pictures) == (400, 400)
    assert signals.mean == pytest.approx(0.7, abs=0.02)
    assert signals.deviation == pytest.approx(0.1, abs=0.02)
    assert sum(count for _, count, _ in signals.days) == 400


def test_nothing_kept_holds_a_prompt() -> None:
    watched = Watched()
    for event in a_life("cat", at_s=0.0, prompt="marker of a secret"):
        watched.watch(event)
    assert "marker" not in json.dumps(watched.watch.state()) + repr(vars(watched.watch))
