import pytest

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.prompt_verdict import Category
from heliograph.moderation.evaluation import LabelledPrompt
from heliograph.moderation.refit import category_of, fitted_of, refit
from tests.moderation.sample_filter import CLASSIFIER, LEXICON, TERMS

PLACES = ("on the sea", "in the sun", "by the river", "in a garden", "at night", "on a hill")
THINGS = ("boat", "tree", "house", "cloud", "horse", "lamp", "door", "stone", "cup")


def rows(*, harmless: int = 54) -> list[LabelledPrompt]:
    """Harmless rows, and `zork`, which is hate here and new to the filter."""
    safe = [f"a {thing} {place}" for thing in THINGS for place in PLACES][:harmless]
    unsafe = [f"zork {thing} {place}" for thing in THINGS[:4] for place in PLACES]
    return [LabelledPrompt(prompt=text, is_unsafe=False) for text in safe] + [
        LabelledPrompt(prompt=text, is_unsafe=True, category="obfuscated_hate") for text in unsafe
    ]


def test_new_words_are_learnt_and_old_ones_stay() -> None:
    found = refit(CLASSIFIER, LEXICON, rows(), strength=1.0, fpr_max=0.02)
    scores = found.classifier.scores(["zork", "lamp", "on", "a", "hill"], TERMS)
    assert max(scores, key=scores.__getitem__) is Category.HATE
    assert scores[Category.HATE] > 0.5
    old = found.classifier.scores(["blick", "boat"], TERMS)
    assert old[Category.SEXUAL] > old[Category.VIOLENCE]
    assert (found.recall_before, found.recall_after) == (0.0, 1.0)
    assert found.fpr_after is not None
    assert found.fpr_after <= 0.02
    assert found.rows == 78


def test_thresholds_are_raised_where_harmless_rows_are_flagged_and_never_lowered() -> None:
    wrong = [LabelledPrompt(prompt=f"blick {thing} {place}", is_unsafe=False) for thing in THINGS for place in PLACES]
    unsafe = [LabelledPrompt(prompt=row.prompt, is_unsafe=True, category="sexual") for row in wrong]
    found = refit(CLASSIFIER, LEXICON, [*wrong, *unsafe, *unsafe], strength=1.0, fpr_max=0.02)
    assert found.raised > 0
    assert found.fpr_before is not None
    assert found.fpr_after is not None
    assert found.fpr_before > 0.5
    assert found.fpr_after <= 0.02
    assert refit(CLASSIFIER, LEXICON, rows(), strength=1.0, fpr_max=0.5).raised == 0


def test_a_share_of_few_rows_moves_no_threshold() -> None:
    assert refit(CLASSIFIER, LEXICON, rows(harmless=10), strength=1.0, fpr_max=0.0001).raised == 0


@pytest.mark.parametrize("given", [[], rows()[:19], rows()[:54], rows()[54:]])
def test_too_little_to_learn_from_is_refused(given: list[LabelledPrompt]) -> None:
    with pytest.raises(InvalidRequest, match="too few") as caught:
        refit(CLASSIFIER, LEXICON, given, strength=1.0, fpr_max=0.01)
    assert caught.value.param == "file"


def test_weights_are_read_back_as_they_were_fitted() -> None:
    again = fitted_of(CLASSIFIER)
    words = ["kravat", "on", "the", "sea"]
    assert again[1].bias == pytest.approx(float(CLASSIFIER.bias[1]))
    assert CLASSIFIER.scores(words, TERMS)[Category.VIOLENCE] > 0.5


@pytest.mark.parametrize(
    ("label", "category", "head"),
    [(True, "hate", "hate"), (True, "obfuscated_violence", "violence"), (True, "odd", None), (False, "hate", None)],
)
def test_the_category_of_a_row(label: bool, category: str, head: str | None) -> None:
    assert category_of(LabelledPrompt(prompt="x", is_unsafe=label, category=category)) == head
