"""Learning the filter's weights from labelled prompts: logistic regression by L-BFGS, in numpy alone.

Rows are sparse, and all entries of one kind in a row have the same value, so a product with the matrix is a gather and
a sum. A fit can start from weights there are: it then learns the difference, held back by `strength`, so that a few
hundred rows of an operator mend what they are about and leave the rest as it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heliograph.moderation.features import FEATURES, MEANINGS_AT, Features

MEMORY = 8
"""Steps that L-BFGS remembers."""

ROUNDS_MAX = 150
TOLERANCE = 3e-4
"""The largest entry of the gradient, relative to that at the start, at which a fit ends."""

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """The features of many prompts.

    `places`: (entries,) int32, row by row. `starts`: (rows + 1,) int64. `values`: (rows, 2) float32, what a lexical
    feature and a meaning count in each row.
    """

    places: NDArray[np.int32]
    starts: NDArray[np.int64]
    values: NDArray[np.float32]

    @property
    def rows(self) -> int:
        """How many prompts."""
        return len(self.starts) - 1

    def of(self, rows: NDArray[np.int64]) -> "Design":
        """Some of the rows, in the order of `rows`."""
        counts = np.diff(self.starts)[rows]
        starts = np.concatenate(([0], np.cumsum(counts)))
        within = np.arange(int(starts[-1])) - np.repeat(starts[:-1], counts)
        places = self.places[np.repeat(self.starts[rows], counts) + within]
        return Design(places=places, starts=starts, values=self.values[rows])


def design_of(prompts: Sequence[Features]) -> Design:
    """The matrix of many prompts' features."""
    places = [np.concatenate((each.lexical, each.meanings)).astype(np.int32) for each in prompts]
    starts = np.concatenate(([0], np.cumsum([len(each) for each in places]))).astype(np.int64)
    values = np.array([(each.lexical_value, each.meaning_value) for each in prompts], dtype=np.float32).reshape(-1, 2)
    joined = np.concatenate(places) if places else np.zeros(0, dtype=np.int32)
    return Design(places=joined, starts=starts, values=values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """One head: `weights` (`FEATURES`,) and its bias."""

    weights: Doubles
    bias: float

    def logits(self, design: Design) -> Doubles:
        """(rows,): the logit of each prompt."""
        return _Product(design).forward(self.weights) + self.bias


def fit_head(
    design: Design,
    is_harm: NDArray[np.bool_],
    importance: Doubles,
    *,
    strength: float = 1.0,
    prior: Fitted | None = None,
) -> Fitted:
    """The head that tells the rows of `is_harm` from the others.

    `importance`: (rows,) what each row counts; one of 0 counts for nothing. `strength` is what the data count against
    staying near `prior` (or zero): higher follows the rows more closely.
    """
    kept = np.flatnonzero(importance > 0)
    product = _Product(design.of(kept))
    signs = np.where(is_harm[kept], 1.0, -1.0)
    importance = importance[kept] * strength
    base = np.zeros(len(kept)) if prior is None else product.forward(prior.weights) + prior.bias

    def loss(point: Doubles) -> tuple[float, Doubles]:
        weights = point[:-1]
        margins = signs * (base + product.forward(weights) + point[-1])
        value = float(importance @ np.logaddexp(0.0, -margins) + 0.5 * weights @ weights)
        slopes = -importance * signs / (1.0 + np.exp(np.minimum(margins, 500.0)))
        gradient = np.append(product.backward(slopes) + weights, slopes.sum())
        return value, gradient

    best = _lbfgs(loss, np.zeros(FEATURES + 1))
    weights, bias = best[:-1], float(best[-1])
    if prior is not None:
        weights, bias = weights + prior.weights, bias + prior.bias
    return Fitted(weights=weights, bias=bias)


class _Product:
    """The matrix applied to weights, and its transpose to rows."""

    def __init__(self, design: Design) -> None:
        is_meaning = design.places >= MEANINGS_AT
        row_of = np.repeat(np.arange(design.rows, dtype=np.int32), np.diff(design.starts))
        self._rows = design.rows
        self._parts = [
            (design.places[chosen], row_of[chosen], design.values[:, kind].astype(np.float64))
            for kind, chosen in enumerate((~is_meaning, is_meaning))
        ]

    def forward(self, weights: Doubles) -> Doubles:
        """(rows,)."""
        total = np.zeros(self._rows)
        for places, row_of, values in self._parts:
            total += np.bincount(row_of, weights=weights[places], minlength=self._rows) * values
        return total

    def backward(self, rows: Doubles) -> Doubles:
        """(`FEATURES`,)."""
        total = np.zeros(FEATURES)
        for places, row_of, values in self._parts:
            total += np.bincount(places, weights=(rows * values)[row_of], minlength=FEATURES)
        return total


def _lbfgs(loss: Callable[[Doubles], tuple[float, Doubles]], point: Doubles) -> Doubles:
    """Where a smooth convex function is least, nearly (Nocedal and Wright, algorithm 7.5, with backtracking)."""
    value, gradient = loss(point)
    enough = TOLERANCE * max(1.0, float(np.abs(gradient).max()))
    steps: list[tuple[Doubles, Doubles, float]] = []
    for _ in range(ROUNDS_MAX):
        if float(np.abs(gradient).max()) <= enough:
            break
        direction = _direction(gradient, steps)
        slope = float(direction @ gradient)
        length = 1.0 if steps else min(1.0, 1.0 / float(np.abs(gradient).sum()))
        moved, new_value, new_gradient = point, value, gradient
        for _ in range(30):
            moved = point + length * direction
            new_value, new_gradient = loss(moved)
            if new_value <= value + 1e-4 * length * slope:
                break
            length *= 0.5
        step, change = moved - point, new_gradient - gradient
        curvature = float(step @ change)
        if curvature > 1e-12:
            steps = [*steps, (step, change, 1.0 / curvature)][-MEMORY:]
        point, value, gradient = moved, new_value, new_gradient
    return point


def _direction(gradient: Doubles, steps: Sequence[tuple[Doubles, Doubles, float]]) -> Doubles:
    """Minus the gradient times the inverse curvature that the last steps tell of."""
    direction = -gradient
    shares: list[float] = []
    for step, change, inverse in reversed(steps):
        share = inverse * float(step @ direction)
        shares.append(share)
        direction = direction - share * change
    if steps:
        step, change, _ = steps[-1]
        direction = direction * (float(step @ change) / float(change @ change))
    for (step, change, inverse), share in zip(steps, reversed(shares), strict=True):
        direction = direction + step * (share - inverse * float(change @ direction))
    return direction
