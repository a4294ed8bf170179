"""A small filter over made-up words: `blick` is sexual, `smol` somebody below 18, `kravat` violence, `duke` famous."""

import numpy as np

from heliograph.domain.prompt_verdict import Category
from heliograph.moderation.classifier import HEADS, LEARNT, Classifier, Threshold
from heliograph.moderation.disguise import Vocabulary
from heliograph.moderation.features import ReadPrompt, features_of
from heliograph.moderation.fit import Learner, design_of, encoded
from heliograph.moderation.judge import PromptFilter
from heliograph.moderation.policy import ContentPolicy
from heliograph.moderation.terms import Lexicon, Terms

TERMS = Terms(
    {
        "sexual.sex_act": ["blick"],
        "violence.kill": ["kravat*"],
        "minors.minor": ["smol", "smol person"],
        "public_figures.figure": ["duke"],
    }
)
LEXICON = Lexicon(
    weighed=TERMS,
    avoidable=Terms({"negative.clothes": ["garb"], "negative.adults": ["elder"]}),
    idioms={"kravat": [("kravat", "soup"), ("kravat", "soup", "bowl")]},
)
HARMLESS = (
    "a red boat on the sea",
    "smol boat in the sun",
    "the duke in a garden",
    "a tree by the river",
    "idiom on the sea",
    "without garb",
)
HARMFUL = {
    "sexual": ("blick on the sea", "a boat and blick", "without clothes on the sea", "people without clothes"),
    "violence": ("kravat on the sea", "a kravated boat", "the boat and kravat"),
}
WORDS = ("red", "boat", "sea", "blick", "kravat", "smol", "duke", "tree", "garb", "elder", "clothes", "without")
VOCABULARY = Vocabulary({**dict.fromkeys(WORDS, 3.0), "a": 6.0, "i": 6.0}, frozenset({"blick"}))


def a_classifier() -> Classifier:
    """Fitted on a dozen sentences; flags from 0.5, blocks from 0.8."""
    rows = [(text, "") for text in HARMLESS] + [(text, head) for head, texts in HARMFUL.items() for text in texts]
    design = design_of([features_of(ReadPrompt.of(text.split(), TERMS)) for text, _ in rows])
    importance = np.ones(len(rows))
    learner = Learner(design)
    heads = [
        learner.fit(np.array([bool(harm) if head == "any" else harm == head for _, harm in rows]), importance)
        for head in HEADS
    ]
    codes, levels = encoded(heads)
    return Classifier(
        codes=codes,
        levels=levels,
        bias=np.array([head.bias for head in heads], dtype=np.float32),
        offset=np.zeros(len(HEADS), dtype=np.float32),
        slope=np.full(len(LEARNT), 2.0, dtype=np.float32),
        shift=np.zeros(len(LEARNT), dtype=np.float32),
        thresholds=dict.fromkeys(LEARNT, Threshold(flag=0.5, block=0.8)),
        vocabulary=VOCABULARY,
    )


CLASSIFIER = a_classifier()


def a_filter(policy: ContentPolicy | None = None) -> PromptFilter:
    """The filter with a policy, by default the one that says nothing."""
    return PromptFilter(CLASSIFIER, LEXICON, policy or ContentPolicy())


BLOCK_ALL = {category: Threshold(flag=0.5, block=0.8) for category in Category}
