"""How much of the gap to clairvoyance a perfect forecast closes: `python -m benchmarks.policies.warm_pool_limit FILE`.

A forecast, however good, says how likely a request is and not when it comes. To see what that costs, the world here is
one whose rates are known: people come at random, at the rate of their half hour of the day; then they stay with the
model or change it, at rates that depend on the time since their latest request and on how long the sitting has been
going on. The rates are those of a trace in the format of gentd26. Without seeing the future, nobody does better there
than to keep a model while the true rate of its next request is above a threshold (but for what loading ahead could
add), and its share of the gap between a 15-minute TTL and clairvoyance is the limit of any forecast. `heliograph` is
the production rule, which has to learn the rates. Real people differ more than these, which leaves a forecast of real
requests something more to know.
"""

import argparse
import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

from benchmarks.policies.warm_pool import (
    CLAIRVOYANT,
    DAY_S,
    TTL,
    TTL_S,
    Gap,
    Request,
    Score,
    Spans,
    Window,
    at_cold_starts,
    clairvoyant,
    fixed_ttl,
    gap_closed,
    gaps_of,
    heliograph,
    read,
    score,
)
from heliograph.domain.ids import ModelId
from heliograph.fleet.demand import BREAK_S, SITTING_S, SITTINGS, SLOT_S

AGES_S = (0.0, 30.0, 60.0, 90.0, 120.0, 180.0, 300.0, 450.0, 600.0, 900.0, 1_800.0, 3_600.0, BREAK_S)
"""Ends of the bins of the time since somebody's latest request; the rates are constant within one."""

RUN_S, GRID_S = 20.0, 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Rates per second: `stay` by age and size of the sitting, `change` by age, `arrive` by half hour of the day.

    Shares of the models among those that people begin with, and go on to.
    """

    stay: tuple[tuple[float, ...], ...]
    change: tuple[float, ...]
    arrive: tuple[float, ...]
    begun_with: dict[ModelId, float]
    gone_on_to: dict[ModelId, float]


def measured(requests: Sequence[Request], window: Window) -> World:
    """The rates at which people of the trace stayed, changed and arrived within the window."""
    ages, sizes = range(len(AGES_S) - 1), range(len(SITTINGS) + 1)
    exposure_s = [[0.0 for _ in sizes] for _ in ages]
    stays = [[0 for _ in sizes] for _ in ages]
    changes = [0 for _ in ages]
    arrivals: Counter[int] = Counter()
    begun_with: Counter[ModelId] = Counter()
    gone_on_to: Counter[ModelId] = Counter()
    latest: dict[str, tuple[Request, int]] = {}
    for request in requests:
        before, sitting = latest.get(request.user, (None, 0))
        away_s = math.inf if before is None else request.at_s - before.at_s
        counts = window[0] <= request.at_s < window[1]
        if before is None or away_s >= BREAK_S:
            if counts:
                arrivals[int(request.at_s % DAY_S // SLOT_S)] += 1
                begun_with[request.model_id] += 1
        elif counts:
            if request.model_id == before.model_id:
                stays[_age(away_s)][_size(sitting)] += 1
            else:
                changes[_age(away_s)] += 1
                gone_on_to[request.model_id] += 1
        if before is not None and counts:
            _expose(exposure_s, away_s, _size(sitting))
        latest[request.user] = (request, sitting + 1 if away_s < SITTING_S else 1)
    for request, sitting in latest.values():
        if window[0] <= request.at_s < window[1]:
            _expose(exposure_s, window[1] - request.at_s, _size(sitting))
    days = (window[1] - window[0]) / DAY_S
    return World(
        stay=tuple(tuple(stays[a][s] / exposure_s[a][s] if exposure_s[a][s] else 0.0 for s in sizes) for a in ages),
        change=tuple(changes[age] / max(sum(exposure_s[age]), 1.0) for age in ages),
        arrive=tuple(arrivals[slot] / days / SLOT_S for slot in range(int(DAY_S / SLOT_S))),
        begun_with=_shares(begun_with),
        gone_on_to=_shares(gone_on_to),
    )


def _age(away_s: float) -> int:
    return max(sum(away_s >= begin_s for begin_s in AGES_S[:-1]) - 1, 0)


def _size(sitting: int) -> int:
    return sum(sitting > largest for largest in SITTINGS)


def _expose(exposure_s: list[list[float]], away_s: float, size: int) -> None:
    for age, (begin_s, end_s) in enumerate(pairwise(AGES_S)):
        exposure_s[age][size] += max(min(away_s, end_s) - begin_s, 0.0)


def _shares(counts: Counter[ModelId]) -> dict[ModelId, float]:
    return {model_id: count / counts.total() for model_id, count in counts.items()}


# --- the world runs --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Person:
    model_id: ModelId
    at_s: float
    sitting: int = 1


def lived(world: World, *, days: float, chance: Random) -> list[tuple[Request, int]]:
    """Requests of so many days, each with the place in its sitting, in the order of time."""
    coming: list[tuple[float, int, bool]] = []
    people: list[_Person] = []
    requests: list[tuple[Request, int]] = []
    for slot in range(int(days * DAY_S / SLOT_S)):
        at_s, rate = slot * SLOT_S, world.arrive[slot % len(world.arrive)]
        while rate > 0 and (at_s := at_s + chance.expovariate(rate)) < (slot + 1) * SLOT_S:
            model_id = chance.choices(list(world.begun_with), list(world.begun_with.values()))[0]
            people.append(_Person(model_id=model_id, at_s=at_s))
            heapq.heappush(coming, (at_s, len(people) - 1, True))
    while coming:
        at_s, number, stays = heapq.heappop(coming)
        person = people[number]
        if at_s > person.at_s:
            person.sitting = person.sitting + 1 if at_s - person.at_s < SITTING_S else 1
            if not stays:
                others = {each: share for each, share in world.gone_on_to.items() if each != person.model_id}
                person.model_id = chance.choices(list(others), list(others.values()))[0]
            person.at_s = at_s
        request = Request(at_s=at_s, model_id=person.model_id, user=f"p{number}", run_s=RUN_S)
        requests.append((request, person.sitting))
        if (again := _again(world, person, chance)) is not None and again[0] < days * DAY_S:
            heapq.heappush(coming, (again[0], number, again[1]))
    return requests


def _again(world: World, person: _Person, chance: Random) -> tuple[float, bool] | None:
    """When the person asks again, and whether for the same model; None: not before they are new again."""
    left = chance.expovariate(1.0)
    for age, (begin_s, end_s) in enumerate(pairwise(AGES_S)):
        stay, change = world.stay[age][_size(person.sitting)], world.change[age]
        if left < (stay + change) * (end_s - begin_s):
            return person.at_s + begin_s + left / (stay + change), chance.random() < stay / (stay + change)
        left -= (stay + change) * (end_s - begin_s)
    return None


# --- the best rule without foresight ---------------------------------------------------------------------------------


Falls = list[tuple[float, float]]
"""Within a gap: seconds since its beginning at which the true rate was lower than ever before in it, and that rate."""


def true_rates(world: World, lived_through: Sequence[tuple[Request, int]], gaps: Sequence[Gap]) -> list[Falls]:
    """How the true rate of the next request falls within every gap, looked at every `GRID_S`."""
    falls: list[Falls] = [[] for _ in gaps]
    people: dict[str, tuple[Request, int]] = {}
    current: dict[ModelId, int] = {}
    number, end_s = 0, lived_through[-1][0].at_s
    for step in range(int(end_s / GRID_S) + 1):
        now_s = step * GRID_S
        while number < len(lived_through) and lived_through[number][0].at_s <= now_s:
            request = lived_through[number][0]
            people[request.user] = lived_through[number]
            current[request.model_id] = number
            number += 1
        people = {user: found for user, found in people.items() if now_s - found[0].at_s < BREAK_S}
        staying: dict[ModelId, float] = defaultdict(float)
        changing: dict[ModelId, float] = defaultdict(float)
        for request, sitting in people.values():
            age = _age(now_s - request.at_s)
            staying[request.model_id] += world.stay[age][_size(sitting)]
            changing[request.model_id] += world.change[age] / (1.0 - world.gone_on_to.get(request.model_id, 0.0))
        all_changing, new = sum(changing.values()), world.arrive[int(now_s % DAY_S // SLOT_S)]
        for model_id, which in current.items():
            idle_s = now_s - gaps[which].from_s
            if not 0.0 <= idle_s < gaps[which].length_s:
                continue
            rate = staying[model_id] + new * world.begun_with.get(model_id, 0.0)
            rate += (all_changing - changing[model_id]) * world.gone_on_to.get(model_id, 0.0)
            if not falls[which] or rate < falls[which][-1][1]:
                falls[which].append((idle_s, rate))
    return falls


def kept_above(threshold: float, falls: Sequence[Falls], gaps: Sequence[Gap], to_s: float) -> list[Spans]:
    """Every model is loaded until the true rate is below the threshold."""
    return [
        [(0.0, next((idle_s for idle_s, rate in fall if rate < threshold), min(gap.length_s, to_s - gap.from_s)))]
        for gap, fall in zip(gaps, falls, strict=True)
    ]


def limit(world: World, *, days: float, seed: int) -> list[tuple[str, Score]]:
    """The TTL, clairvoyance, the best rule without foresight and the production rule, at the TTL's cold starts."""
    lived_through = lived(world, days=days, chance=Random(seed))
    requests = [request for request, _ in lived_through]
    gaps, window = gaps_of(requests), (0.0, requests[-1].at_s)
    falls = true_rates(world, lived_through, gaps)
    ttl = score(requests, gaps, fixed_ttl(gaps, TTL_S), window)
    _, best = at_cold_starts(
        lambda wait_s: score(requests, gaps, kept_above(1.0 / wait_s, falls, gaps, window[1]), window),
        ttl.cold,
        low=60.0,
        high=60_000.0,
    )
    _, ours = at_cold_starts(
        lambda worth: score(requests, gaps, heliograph(requests, gaps, worth), window), ttl.cold, low=10.0, high=1_000.0
    )
    bound = score(requests, gaps, clairvoyant(gaps, TTL_S), window)
    return [(TTL, ttl), (CLAIRVOYANT, bound), ("perfect forecast", best), ("heliograph", ours)]


def main() -> None:
    """Print what a perfect forecast closes, for a few seeds."""
    parser = argparse.ArgumentParser(description="What a perfect forecast could close of the gap to clairvoyance.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--days", default="4:6", help="days whose rates the world has, FROM:TO")
    parser.add_argument("--lasts", type=float, default=10.0, help="days that the world lasts")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    requests = read(arguments.file)
    first, last = (requests[0].at_s + float(day) * DAY_S for day in arguments.days.split(":"))
    world = measured([request for request in requests if request.at_s < last], (first, last))
    for seed in range(1, arguments.seeds + 1):
        rows = limit(world, days=arguments.lasts, seed=seed)
        print(f"seed {seed}: {rows[0][1].requests} requests, {rows[0][1].cold_ratio:.1%} cold")
        for name, found in rows:
            print(
                f"  {name:20}{found.idle_hours:>8.0f} idle GPU-hours{gap_closed(rows, found) or 0.0:>8.0%} of the gap"
            )


if __name__ == "__main__":
    main()
