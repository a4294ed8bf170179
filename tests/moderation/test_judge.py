import pytest

from heliograph.domain.prompt_verdict import Category, PolicyDecision
from heliograph.moderation.judge import heaviest_stretch
from heliograph.moderation.policy import ContentPolicy, Rule
from tests.moderation.sample_filter import CLASSIFIER, TERMS, a_filter


@pytest.mark.parametrize(
    ("prompt", "negative", "category"),
    [
        ("a red boat on the sea", "", None),
        ("blick on the sea", "", Category.SEXUAL),
        ("kravat on the sea", "", Category.VIOLENCE),
        ("bl1ck on the sea", "", Category.SEXUAL),
        ("b l i c k on the sea", "", Category.SEXUAL),
        ("a red boat on the sea", "blick, kravat", None),
        ("people on the sea", "garb", Category.SEXUAL),
        ("kravat soup on the sea", "", None),
        ("kravat soup and kravat", "", Category.VIOLENCE),
        ("", "", None),
        ("??!", "", None),
    ],
)
def test_a_prompt_is_judged_by_what_it_asks_for(prompt: str, negative: str, category: Category | None) -> None:
    verdict = a_filter().judge(prompt, negative)
    assert verdict.category == category
    assert (verdict.decision is PolicyDecision.ALLOW) == (category is None)
    assert all(0 <= score <= 1 for score in verdict.scores.values())


def test_it_says_where_and_why() -> None:
    prompt = "a red boat on the sea and B.l.i.c.k by the river"
    verdict = a_filter(ContentPolicy(rules={Category.SEXUAL: Rule(flag=0.01, block=0.01)})).judge(prompt, "")
    assert verdict.span is not None
    assert "B.l.i.c.k" in verdict.span.text
    assert prompt[verdict.span.start : verdict.span.end] == verdict.span.text
    assert verdict.evidence
    assert any("blick" in each or "sex_act" in each for each in verdict.evidence)


@pytest.mark.parametrize(
    ("prompt", "negative"),
    [
        ("smol blick", ""),
        ("a 14 year old, blick", ""),
        ("blick, aged 9", ""),
        ("blick, 15yo", ""),
        ("blick by the sea", "elder"),
        ("5m0l bl1ck", ""),
    ],
)
def test_minors_in_a_sexual_prompt_are_refused_and_nothing_of_it_is_told(prompt: str, negative: str) -> None:
    allowing = ContentPolicy(rules=dict.fromkeys(Category, Rule(action=PolicyDecision.ALLOW)))
    verdict = a_filter(allowing).judge(prompt, negative)
    assert (verdict.decision, verdict.category) == (PolicyDecision.BLOCK, Category.SEXUAL_MINORS)
    assert (verdict.span, verdict.evidence, set(verdict.scores)) == (None, (), {Category.SEXUAL_MINORS})


@pytest.mark.parametrize("prompt", ["smol boat in the sun", "a 14 year old tree", "14 boats", "the sea, aged 40"])
def test_minors_elsewhere_are_welcome(prompt: str) -> None:
    assert a_filter().judge(prompt, "").decision is PolicyDecision.ALLOW


def test_a_public_figure_is_flagged_where_the_harm_around_is() -> None:
    allowing = ContentPolicy(rules={Category.VIOLENCE: Rule(action=PolicyDecision.ALLOW)})
    verdict = a_filter(allowing).judge("the duke and kravat", "")
    assert verdict.category is Category.PUBLIC_FIGURES
    assert a_filter(allowing).judge("the duke in a garden", "").scores[Category.PUBLIC_FIGURES] < 0.5
    assert Category.PUBLIC_FIGURES not in a_filter().judge("kravat", "").scores


def test_an_operators_terms_are_found_through_disguises_and_named() -> None:
    judge = a_filter(ContentPolicy(terms={Category.HATE: ("red sea",)})).judge
    verdict = judge("a boat on the r3d sea", "")
    assert (verdict.decision, verdict.category, verdict.score) == (PolicyDecision.BLOCK, Category.HATE, 1.0)
    assert verdict.span is not None
    assert verdict.span.text == "r3d sea"
    assert verdict.evidence == ("a term of this installation: r3d sea",)
    assert judge("a red boat on the sea", "").decision is PolicyDecision.ALLOW


def test_exceptions_are_passed_over_and_only_they() -> None:
    judge = a_filter(ContentPolicy(exceptions=("kravat tree",))).judge
    assert judge("a kravat tree by the river", "").decision is PolicyDecision.ALLOW
    assert judge("a kravat tree and kravat", "").category is Category.VIOLENCE


def test_another_policy_holds_from_the_next_prompt_on() -> None:
    content_filter = a_filter()
    assert content_filter.judge("kravat on the sea", "").decision is not PolicyDecision.ALLOW
    content_filter.use(
        ContentPolicy(rules={Category.VIOLENCE: Rule(action=PolicyDecision.ALLOW)}, appeal="Ring twice.")
    )
    assert content_filter.judge("kravat on the sea", "").decision is PolicyDecision.ALLOW
    assert content_filter.appeal == "Ring twice."


def test_urgency_orders_prompts() -> None:
    content_filter = a_filter()
    urgencies = [
        content_filter.urgency(content_filter.judge(prompt, "").scores)
        for prompt in ("a red boat on the sea", "kravat on the sea", "smol blick")
    ]
    assert urgencies == sorted(urgencies)
    assert urgencies[0] < 0 < urgencies[2]


@pytest.mark.parametrize(
    ("shares", "stretch"),
    [
        ([], (0, -1)),
        ([-1.0, -2.0], (0, -1)),
        ([-1.0, 2.0, 3.0, -1.0], (1, 2)),
        ([1.0, -3.0, 2.0], (2, 2)),
        ([1.0, 1.0, 1.0, 1.0], (0, 2)),
    ],
)
def test_the_heaviest_stretch(shares: list[float], stretch: tuple[int, int]) -> None:
    assert heaviest_stretch(shares, most=3) == stretch


def test_scores_are_those_of_the_weights() -> None:
    scores = CLASSIFIER.scores(["blick", "on", "the", "sea"], TERMS)
    assert max(scores, key=scores.__getitem__) is Category.SEXUAL
