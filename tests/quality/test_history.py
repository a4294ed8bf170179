import numpy as np
from training.textures import photo_like

from heliograph.postprocess_tools import Tools
from heliograph.quality.history import LEARN_AT, History, LearningPolicy, noted
from heliograph.quality.signals import signals

NETWORK = Tools(None).damage_network()
SEEN = [signals(photo_like(np.random.default_rng(seed))) for seed in range(12)]


def after(pictures: int, *, alignment: float | None = 0.9) -> History:
    history = History(revision="r1")
    for number in range(pictures):
        score = None if alignment is None else alignment - number / 1_000
        history = noted(history, SEEN[number % len(SEEN)], score, network=NETWORK, policy=LearningPolicy())
    return history


def test_nothing_is_known_until_there_are_enough_pictures() -> None:
    assert after(LEARN_AT[0] - 1).baseline is None
    baseline = after(LEARN_AT[0]).baseline
    assert baseline is not None
    assert baseline.pictures == LEARN_AT[0]


def test_what_was_learned_stands_until_the_next_time_and_in_the_end_for_good() -> None:
    first = after(LEARN_AT[0]).baseline
    assert after(LEARN_AT[1] - 1).baseline == first
    assert after(LEARN_AT[1]).baseline != first
    complete = after(LEARN_AT[-1])
    assert complete.is_complete
    assert noted(complete, SEEN[0], 0.0, network=NETWORK, policy=LearningPolicy()) is complete


def test_the_least_alignment_is_one_that_few_pictures_stay_below() -> None:
    baseline = after(LEARN_AT[-1]).baseline
    assert baseline is not None
    below = [0.9 - number / 1_000 for number in range(LEARN_AT[-1])]
    assert baseline.alignment_min is not None
    assert sum(score < baseline.alignment_min for score in below) == 5


def test_a_model_that_nobody_judges_gets_no_least_alignment() -> None:
    baseline = after(LEARN_AT[0], alignment=None).baseline
    assert baseline is not None
    assert baseline.alignment_min is None
