import numpy as np

from heliograph.moderation.features import FEATURES, ReadPrompt, features_of
from heliograph.moderation.fit import Fitted, Learner, design_of
from heliograph.moderation.terms import Terms

TERMS = Terms({"a.b": ["bad"]})
GOOD = [f"good thing number{at}".split() for at in range(12)]
BAD = [f"bad thing number{at}".split() for at in range(12)]
DESIGN = design_of([features_of(ReadPrompt.of(words, TERMS)) for words in (*GOOD, *BAD, [])])
IS_HARM = np.array([False] * 12 + [True] * 12 + [False])
EVERY = np.ones(25)
LEARNER = Learner(DESIGN)


def test_it_tells_them_apart_and_an_empty_prompt_is_the_bias() -> None:
    head = LEARNER.fit(IS_HARM, EVERY)
    logits = head.logits(DESIGN)
    assert logits[12:24].min() > logits[:12].max()
    assert logits[24] == head.bias


def test_it_ends_where_the_gradient_is_nothing() -> None:
    """Where the loss is least, its slope along any direction is zero; tried along a few at random."""
    head = LEARNER.fit(IS_HARM, EVERY)

    def loss(moved: Fitted) -> float:
        signs = np.where(IS_HARM, 1, -1)
        return float(np.logaddexp(0, -signs * moved.logits(DESIGN)).sum() + 0.5 * moved.weights @ moved.weights)

    luck = np.random.default_rng(1)
    for _ in range(5):
        direction = np.zeros(FEATURES)
        direction[DESIGN.places] = luck.normal(size=len(DESIGN.places))
        direction /= np.linalg.norm(direction)
        ahead, behind = (Fitted(weights=head.weights + step * direction, bias=head.bias) for step in (1e-4, -1e-4))
        assert abs(loss(ahead) - loss(behind)) / 2e-4 < 0.02


def test_rows_that_count_for_nothing_change_nothing() -> None:
    importance = EVERY.copy()
    importance[:3] = 0
    wrong = IS_HARM.copy()
    wrong[:3] = True
    head = LEARNER.fit(wrong, importance)
    assert (head.weights == LEARNER.fit(IS_HARM, importance).weights).all()


def test_a_prior_stays_where_the_rows_say_nothing() -> None:
    prior = LEARNER.fit(IS_HARM, EVERY)
    more = design_of([*(features_of(ReadPrompt.of([word, "matter"], TERMS)) for word in ("odd", "fine"))])
    head = Learner(more).fit(np.array([True, False]), np.ones(2), strength=5.0, prior=prior)
    touched = np.unique(more.places)
    untouched = np.setdiff1d(np.arange(FEATURES), touched)
    assert (head.weights[untouched] == prior.weights[untouched]).all()
    odd, fine = head.logits(more)
    assert odd > fine
