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
MIDDLE = 128
"""The code of a weight of zero."""

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
        product = _Product(design, design.places.astype(np.int64), FEATURES)
        return product.forward(self.weights) + self.bias


class Learner:
    """Fits heads to the same rows, one after the other: what is the same for all of them is worked out once.

    Only places that occur in the rows are moved; all others stay as the prior has them.
    """

    def __init__(self, design: Design) -> None:
        self._design = design
        self._present, columns = np.unique(design.places, return_inverse=True)
        self._product = _Product(design, columns.astype(np.int64), len(self._present))

    def fit(
        self, is_harm: NDArray[np.bool_], importance: Doubles, *, strength: float = 1.0, prior: Fitted | None = None
    ) -> Fitted:
        """The head that tells the rows of `is_harm` from the others.

        `importance`: (rows,) what each row counts; one of 0 counts for nothing. `strength` is what the data count
        against staying near `prior` (or zero): higher follows the rows more closely.
        """
        product = self._product
        signs = np.where(is_harm, 1.0, -1.0)
        importance = importance * strength
        base = np.zeros(self._design.rows)
        if prior is not None:
            base = product.forward(prior.weights[self._present]) + prior.bias

        def loss(point: Doubles) -> tuple[float, Doubles]:
            weights = point[:-1]
            margins = signs * (base + product.forward(weights) + point[-1])
            value = float(importance @ np.logaddexp(0.0, -margins) + 0.5 * weights @ weights)
            slopes = -importance * signs / (1.0 + np.exp(np.minimum(margins, 500.0)))
            return value, np.append(product.backward(slopes) + weights, slopes.sum())

        best = _lbfgs(loss, np.zeros(len(self._present) + 1))
        weights = np.zeros(FEATURES) if prior is None else prior.weights.copy()
        weights[self._present] += best[:-1]
        return Fitted(weights=weights, bias=float(best[-1]) + (0.0 if prior is None else prior.bias))


def encoded(heads: Sequence[Fitted]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Codes (`FEATURES`, heads) and levels (heads, 256) of fitted weights."""
    steps = (np.arange(256) - MIDDLE) / 127.0
    codes = np.empty((FEATURES, len(heads)), dtype=np.uint8)
    levels = np.empty((len(heads), 256), dtype=np.float32)
    for at, head in enumerate(heads):
        largest = float(np.abs(head.weights).max()) or 1.0
        roots = np.sign(head.weights) * np.sqrt(np.abs(head.weights) / largest)
        codes[:, at] = np.rint(roots * 127.0).astype(np.int64) + MIDDLE
        levels[at] = np.sign(steps) * steps**2 * largest
    return codes, levels


class _Product:
    """The matrix applied to weights, and its transpose to rows; both are a gather and sums of stretches."""

    def __init__(self, design: Design, columns: NDArray[np.int64], width: int) -> None:
        self._rows, self._width = design.rows, width
        counts = np.diff(design.starts)
        row_of = np.repeat(np.arange(design.rows), counts)
        is_meaning = design.places >= MEANINGS_AT
        self._parts: list[_Part] = []
        for kind, chosen in enumerate((~is_meaning, is_meaning)):
            column, row = columns[chosen], row_of[chosen]
            by_column = np.argsort(column, kind="stable")
            self._parts.append(
                _Part(
                    column=column,
                    rows=_Stretches(row),
                    row=row[by_column],
                    columns=_Stretches(column[by_column]),
                    values=design.values[:, kind].astype(np.float64),
                )
            )

    def forward(self, weights: Doubles) -> Doubles:
        """(rows,)."""
        total = np.zeros(self._rows)
        for part in self._parts:
            total[part.rows.names] += part.rows.sums(weights[part.column]) * part.values[part.rows.names]
        return total

    def backward(self, rows: Doubles) -> Doubles:
        """(width,)."""
        total = np.zeros(self._width)
        for part in self._parts:
            total[part.columns.names] += part.columns.sums((rows * part.values)[part.row])
        return total


class _Stretches:
    """Neighbours with the same name, and sums over them."""

    def __init__(self, sorted_names: NDArray[np.int64]) -> None:
        self.names, self._starts = np.unique(sorted_names, return_index=True)

    def sums(self, values: Doubles) -> Doubles:
        """One sum for each name."""
        return np.add.reduceat(values, self._starts) if len(values) else values


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """The entries of one kind: `column` of each in the order of `rows`, and `row` of each in the order of `columns`."""

    column: NDArray[np.int64]
    rows: _Stretches
    row: NDArray[np.int64]
    columns: _Stretches
    values: Doubles


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
