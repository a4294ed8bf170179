"""One linear classifier per category over the features of a prompt: what it knows, and how a score comes about.

Each head is a logistic regression. A further head, `any`, has learnt harm of whatever kind: `SHARE_OF_ANY` of its logit
is added to that of the likeliest category, and where it alone is surer than all of them, it lends its margin over its
own threshold. A score is the margin put through the category's calibration, so that of the prompts with a score of 0.8
about four in five are indeed against the policy, in a mix of prompts like the one the calibration saw.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from heliograph.domain.prompt_verdict import Category
from heliograph.moderation.disguise import Vocabulary
from heliograph.moderation.features import FEATURES, Features, ReadPrompt, features_of
from heliograph.moderation.terms import Terms

LEARNT = (Category.SEXUAL, Category.VIOLENCE, Category.SELF_HARM, Category.HATE, Category.ILLEGAL)
"""The categories with a head of their own, in the order of the columns; `any` is the last column."""

HEADS = (*(category.value for category in LEARNT), "any")

SHARE_OF_ANY = 0.8
"""What finds most at the same false alarms, on scores of rows that the weights had not seen: 0 to 1.5 were tried."""

Floats = NDArray[np.float32]
_Real = TypeVar("_Real", np.float32, np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Scores from which a category is flagged and blocked, 0 to 1; `block` is not below `flag`."""

    flag: float
    block: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """What was learnt.

    `codes`: (`FEATURES`, heads) uint8, places in `levels`: (heads, 256) float32. `bias` and `offset`: (heads,) float32;
    a head's margin is its logit minus its offset. `slope`, `shift`: (categories,) float32, how margins are calibrated.
    """

    codes: NDArray[np.uint8]
    levels: Floats
    bias: Floats
    offset: Floats
    slope: Floats
    shift: Floats
    thresholds: Mapping[Category, Threshold]
    vocabulary: Vocabulary

    def __post_init__(self) -> None:
        assert self.codes.shape == (FEATURES, len(HEADS)), f"weights of another shape: {self.codes.shape}"
        assert self.levels.shape == (len(HEADS), 256), f"levels of another shape: {self.levels.shape}"

    def scores(self, words: list[str], terms: Terms) -> dict[Category, float]:
        """The score of each learnt category, 0 to 1."""
        return self.scores_of(self.margins(features_of(ReadPrompt.of(words, terms))))

    def margins(self, features: Features) -> Floats:
        """(heads,): how far each head is above its offset."""
        logits = self.bias.copy()
        logits += self.weights(features.lexical).sum(axis=0) * np.float32(features.lexical_value)
        logits += self.weights(features.meanings).sum(axis=0) * np.float32(features.meaning_value)
        return joined(logits[None, :])[0] - self.offset

    def weights(self, places: NDArray[np.int64]) -> Floats:
        """(places, heads): what each place weighs for each head."""
        codes = self.codes[places]
        return np.stack([self.levels[head][codes[:, head]] for head in range(len(HEADS))], axis=1)

    def scores_of(self, margins: Floats) -> dict[Category, float]:
        """The calibrated scores of margins: (heads,)."""
        lent = lend(margins[None, :])[0]
        calibrated = 1.0 / (1.0 + np.exp(-(self.slope * lent + self.shift)))
        return {category: float(calibrated[at]) for at, category in enumerate(LEARNT)}


def joined(logits: NDArray[_Real]) -> NDArray[_Real]:
    """(rows, heads): logits of the categories with their share of `any`, which stays as it is.

    The likeliest category gets all of that share, others only as much as they vouch for themselves: harm of one kind
    must not raise the score of another, or a policy could not allow the one and block the other.
    """
    found = logits.copy()
    own, every = logits[:, :-1], logits[:, -1:]
    shared = np.minimum(own, every)
    rows, likeliest = np.arange(len(own)), own.argmax(axis=1)
    shared[rows, likeliest] = every[:, 0]
    found[:, :-1] += SHARE_OF_ANY * shared
    return found


def lend(margins: NDArray[_Real]) -> NDArray[_Real]:
    """(rows, heads) -> (rows, categories): the likeliest category gets the margin of `any` where that is larger."""
    own = margins[:, :-1].copy()
    rows = np.arange(len(own))
    likeliest = own.argmax(axis=1)
    own[rows, likeliest] = np.maximum(own[rows, likeliest], margins[:, -1])
    return own
