"""The weights of the demand forecast, from a trace: `python -m benchmarks.policies.fit_demand FILE --days FROM:TO`.

FILE is a trace in the format of gentd26. The rate of a model's next request is taken to be a sum of the signals of
`heliograph.fleet.demand`, each with a weight of at least 0. The time in which a model waits is cut into bins, finer in
the first hour; the weights make what happened in them most likely. Every iteration credits each request to the signals
by what they contributed to its rate, then sets every weight to its credit over what there was of its signal, and raises
the likelihood (EM for a superposition of Poisson processes).
"""

import argparse
import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.policies.warm_pool import DAY_S, HOUR_S, Gap, Request, Window, gaps_of, read
from heliograph.fleet.demand import WEIGHTS, Demand

ITERATIONS = 2_000
Signals = tuple[float, ...]


def observed(requests: Sequence[Request], gaps: Sequence[Gap], window: Window) -> Iterator[tuple[Signals, float, bool]]:
    """For every bin in the window: signals at its begin, its length in seconds, whether the next request ended it."""
    begin_s, to_s = window
    demand = Demand()
    coming: list[tuple[float, int]] = []
    for number, request in enumerate([*requests, None]):
        now_s = to_s if request is None else request.at_s
        while coming and coming[0][0] < now_s:
            from_s, which = heapq.heappop(coming)
            gap = gaps[which]
            end_s = to_s if gap.until_s is None else gap.until_s
            if from_s >= end_s:
                continue
            width_s = _bin_s(from_s - gap.from_s)
            signals = demand.signals(gap.model_id, from_s)
            assert signals is not None
            if from_s >= begin_s:
                yield signals, min(width_s, end_s - from_s), gap.until_s is not None and gap.until_s < from_s + width_s
            heapq.heappush(coming, (from_s + width_s, which))
        if request is not None:
            demand.note(request.model_id, request.user, request.at_s, images=request.images)
            heapq.heappush(coming, (gaps[number].from_s, number))


def _bin_s(idle_s: float) -> float:
    return 30.0 if idle_s < HOUR_S else 120.0 if idle_s < 6 * HOUR_S else 600.0


def fitted(bins: Sequence[tuple[Signals, float, bool]], iterations: int = ITERATIONS) -> list[float]:
    """The weights, in the order of the signals."""
    numbers = range(len(bins[0][0]))
    exposure = [sum(signals[number] * length_s for signals, length_s, _ in bins) for number in numbers]
    asked = [signals for signals, _, was_asked in bins if was_asked]
    weights = [1e-4 if exposure[number] > 0 else 0.0 for number in numbers]
    for _ in range(iterations):
        credit = [0.0 for _ in numbers]
        for signals in asked:
            parts = [weight * signal for weight, signal in zip(weights, signals, strict=True)]
            rate = sum(parts) or 1.0
            for number in numbers:
                credit[number] += parts[number] / rate
        weights = [credit[number] / exposure[number] if exposure[number] > 0 else 0.0 for number in numbers]
    return weights


def main() -> None:
    """Print the weights beside those in use."""
    parser = argparse.ArgumentParser(description="Fit the weights of the demand forecast to a trace.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--days", default="0:6", help="days to learn from, FROM:TO, from the first request")
    arguments = parser.parse_args()
    requests = read(arguments.file)
    first, last = (requests[0].at_s + float(day) * DAY_S for day in arguments.days.split(":"))
    requests = [request for request in requests if request.at_s < last]
    bins = list(observed(requests, gaps_of(requests), (first, min(last, requests[-1].at_s))))
    print(f"{len(bins)} bins, {sum(was_asked for _, _, was_asked in bins)} requests")
    for in_use, found in zip(WEIGHTS, fitted(bins), strict=True):
        print(f"in use {in_use:.6f}, fitted {found:.6f}")


if __name__ == "__main__":
    main()
