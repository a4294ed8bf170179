"""Who asks for what and when: every workload of a scenario as one stream in order of time, never held as a whole.

Synthetic arrivals are drawn in *operational time*, in which one request is due per unit: gaps with the wanted
coefficient of variation, then stretched so that the wall-clock rate follows the day and the flash crowds. That keeps
bursts bursty at every hour.
"""

import csv
import heapq
import io
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from heliograph.domain.ids import ModelId
from heliograph.domain.model_card import Catalogue, ModelCard
from heliograph.domain.tiers import Tier
from heliograph.simulation.chance import Chance, Choices, weighted
from heliograph.simulation.scenario import Flash, Scenario, Workload, WorkloadKind, checkpoint_ids
from heliograph.simulation.toml_fields import wrong
from heliograph.simulation.traces import Seen, Wish, read_trace, read_wishes

RATE_STEP_S = 60.0
"""The rate of a synthetic workload is constant for so long."""
DAY_S = 86_400.0
TROUGH_S = 4 * 3_600.0


class Arrival(NamedTuple):
    """One request. Times are seconds from the beginning of the simulation; the two last ones count from `at_s`."""

    at_s: float
    model_id: ModelId
    size: tuple[int, int]
    steps: int
    images: int
    tier: Tier
    tenant: str
    user: str
    deadline_s: float | None = None
    cancelled_after_s: float | None = None


class Shares(NamedTuple):
    """The shipped aggregates of a production service: how often each model is asked for, most popular first, and how
    often each (steps, images) is."""

    popularity: tuple[float, ...]
    steps_and_images: Mapping[tuple[int, int], float]


def read_shares(*, popularity: str, joint_mix: str) -> Shares:
    """The shipped aggregates (`data/gentd26_popularity.csv`, `data/gentd26_joint_mix.csv`)."""
    steps_and_images: dict[tuple[int, int], float] = {}
    for row in csv.DictReader(io.StringIO(joint_mix)):
        key = (int(float(row["num_inference_steps"])), int(float(row["num_images_per_prompt"])))
        steps_and_images[key] = steps_and_images.get(key, 0.0) + float(row["n"])
    return Shares(
        popularity=tuple(float(row["share"]) for row in csv.DictReader(io.StringIO(popularity))),
        steps_and_images=steps_and_images,
    )


class Arrivals:
    """All workloads of a scenario, superposed, up to its end. `read_text` gives the text of a trace by its path.

    `model_ids` are the models that can be asked for, in a stable order.
    """

    def __init__(
        self,
        scenario: Scenario,
        catalogue: Catalogue,
        shares: Shares,
        *,
        read_text: Callable[[str], str],
        chance: Chance,
    ) -> None:
        self._duration_s = scenario.duration_s
        self._sources = [
            _Source(workload, number, scenario, catalogue, shares, read_text, chance.fork(f"workload {number}"))
            for number, workload in enumerate(scenario.workload)
        ]
        asked = [model_id for source in self._sources for model_id in source.model_ids()]
        self.model_ids: tuple[ModelId, ...] = tuple(dict.fromkeys(asked))

    def __iter__(self) -> Iterator[Arrival]:
        streams = [source.arrivals() for source in self._sources]
        for arrival in heapq.merge(*streams, key=lambda arrival: arrival.at_s):
            if arrival.at_s >= self._duration_s:
                return
            yield arrival


def gaps_stretched(
    rate_per_s: Callable[[float], float], gap: Callable[[], float], *, begin_s: float, end_s: float
) -> Iterator[float]:
    """Times of arrivals whose gaps in operational time are `gap()`; the rate is looked at every `RATE_STEP_S`."""
    step_begin_s = begin_s
    due = gap()
    passed = 0.0
    while step_begin_s < end_s:
        rate = rate_per_s(step_begin_s)
        in_step = rate * RATE_STEP_S
        while due <= passed + in_step and rate > 0:
            at_s = step_begin_s + (due - passed) / rate
            if at_s >= end_s:
                return
            yield at_s
            due += gap()
        passed += in_step
        step_begin_s += RATE_STEP_S


def day_factor(clock_s: float, swing: float) -> float:
    """The rate at that time of day, relative to the day's mean: 1 - `swing` at 04:00, 1 + `swing` at 16:00 UTC."""
    return 1.0 - swing * math.cos(2 * math.pi * (clock_s - TROUGH_S) / DAY_S)


def flash_factor(at_s: float, crowds: Sequence[Flash]) -> float:
    """How many times the usual rate there is because of flash crowds."""
    factor = 1.0
    for crowd in crowds:
        since_s = at_s - crowd.at_s
        if 0 <= since_s < crowd.duration_s:
            factor *= 1.0 + (crowd.factor - 1.0) * min((since_s + RATE_STEP_S) / max(crowd.ramp_s, 1e-9), 1.0)
    return factor


class _Source:
    """One workload's stream. It remembers each end user's last model, and nothing else of what it made."""

    def __init__(
        self,
        workload: Workload,
        number: int,
        scenario: Scenario,
        catalogue: Catalogue,
        shares: Shares,
        read_text: Callable[[str], str],
        chance: Chance,
    ) -> None:
        self._workload = workload
        self._scenario = scenario
        self._chance = chance
        self._origin = f"workload.{number}"
        self._prefix = workload.name or f"w{number}"
        self._cards: Mapping[ModelId, ModelCard] = catalogue.cards
        self._models: Choices[ModelId] = self._model_choices(workload, scenario, catalogue, shares)
        self._sizes: Choices[tuple[int, int]] = weighted(
            {_size(text, self._origin): weight for text, weight in workload.sizes.items()}
        )
        self._steps: Choices[int] = weighted({int(text): weight for text, weight in workload.steps.items()})
        self._images: Choices[int] = weighted({int(text): weight for text, weight in workload.images.items()})
        self._mix: Choices[tuple[int, int]] = weighted(shares.steps_and_images if workload.mix == "gentd26" else {})
        self._wishes: tuple[Wish, ...] = ()
        if workload.mix == "krea":
            path = workload.mix_path or ""
            self._wishes = read_wishes(read_text(path), origin=path)
        elif workload.mix not in (None, "gentd26"):
            raise wrong("scenario", f"{self._origin}.mix", "must be gentd26 or krea")
        self._tenants = [f"{self._prefix}-t{index:03d}" for index in range(workload.tenants)]
        self._tiers = _tiers_of(workload)
        self._last_model: dict[str, ModelId] = {}
        self._rows: list[Seen] = []
        self._ranks: dict[str, int] = {}
        if workload.kind is not WorkloadKind.SYNTHETIC:
            path = workload.path or ""
            rows = read_trace(workload.kind, read_text(path), origin=path)
            last_s = math.inf if workload.to_day is None else workload.to_day * DAY_S
            first_s = workload.from_day * DAY_S
            self._rows = [row._replace(at_s=row.at_s - first_s) for row in rows if first_s <= row.at_s < last_s]
            if not self._rows:
                raise wrong(path, "", "has no rows between from_day and to_day")
            self._period_s = min(last_s - first_s, math.ceil(self._rows[-1].at_s + 1.0))
            seen = Counter(row.model for row in self._rows if row.model is not None)
            self._ranks = {model: rank for rank, (model, _) in enumerate(sorted(seen.items(), key=_by_count))}

    def _model_choices(
        self, workload: Workload, scenario: Scenario, catalogue: Catalogue, shares: Shares
    ) -> Choices[ModelId]:
        weights: dict[ModelId, float] = {}
        for name, weight in workload.models.items():
            checkpoints = scenario.checkpoints.get(name)
            if checkpoints is not None:
                popularity = [*shares.popularity, *([shares.popularity[-1]] * checkpoints.count)][: checkpoints.count]
                for model_id, share in zip(checkpoint_ids(name, checkpoints.count), popularity, strict=True):
                    weights[model_id] = weight * share / sum(popularity)
                continue
            card = catalogue.resolve(name)
            if card is None:
                raise wrong("scenario", f"{self._origin}.models", f"names {name}, which is not in the catalogue")
            weights[card.model_id] = weight
        if not weights and workload.kind is not WorkloadKind.RECORDED:
            raise wrong("scenario", f"{self._origin}.models", "is missing: say which models are asked for")
        return weighted(weights)

    def model_ids(self) -> Iterator[ModelId]:
        """Every model that this workload can ask for."""
        yield from self._models.items
        if self._workload.kind is WorkloadKind.RECORDED:
            for row in self._rows:
                if row.model is not None:
                    if row.model not in self._cards:
                        raise wrong(
                            self._workload.path or "", "", f"asks for {row.model}, which is not in the catalogue"
                        )
                    yield ModelId(row.model)

    def arrivals(self) -> Iterator[Arrival]:
        """This workload's requests in order of time."""
        if self._workload.kind is WorkloadKind.SYNTHETIC:
            yield from self._synthetic()
            return
        copies = [self._copy(index) for index in range(self._workload.copies)]
        yield from heapq.merge(*copies, key=lambda arrival: arrival.at_s)

    def _synthetic(self) -> Iterator[Arrival]:
        workload = self._workload
        rate_per_s = workload.rate_per_hour / 3600.0

        def rate(at_s: float) -> float:
            by_day = day_factor(self._scenario.start_s + at_s, workload.day_night) if workload.day_night else 1.0
            return rate_per_s * by_day * flash_factor(at_s, workload.flash)

        gaps = self._chance.fork("gaps")
        times = gaps_stretched(
            rate,
            lambda: gaps.gap(workload.variation),
            begin_s=workload.begin_s,
            end_s=self._scenario.duration_s,
        )
        return (self._filled(Seen(at_s=at_s), at_s, "") for at_s in times)

    def _copy(self, index: int) -> Iterator[Arrival]:
        """The trace once, from `index * shift_s` on, wrapping around, again and again until the simulation is over."""
        workload, rows = self._workload, self._rows
        shift_s = (index * workload.shift_s) % self._period_s
        suffix = f"/{index}" if index else ""
        start = bisect_left(rows, shift_s, key=lambda row: row.at_s)
        lap_s = 0.0
        while True:
            for position in range(start, start + len(rows)):
                row = rows[position % len(rows)]
                wrapped_s = 0.0 if position < len(rows) else self._period_s
                at_s = workload.begin_s + (row.at_s - shift_s + wrapped_s + lap_s) / workload.speed
                if at_s >= self._scenario.duration_s:
                    return
                yield self._filled(row, at_s, suffix)
            lap_s += self._period_s

    def _filled(self, row: Seen, at_s: float, suffix: str) -> Arrival:
        """The row with everything it does not say drawn from the workload's distributions."""
        chance, workload = self._chance, self._workload
        number = chance.index(workload.users) if row.user is None else None
        user = f"{self._prefix}-u{number}" if number is not None else f"{row.user}{suffix}"
        place = number if number is not None else sum(map(ord, user))
        tenant = row.tenant or self._tenants[place % len(self._tenants)]
        model_id = self._model(row, user)
        card = self._cards[model_id]
        size, steps, images = row.size, row.steps, row.images
        if self._wishes:
            wish = self._wishes[chance.index(len(self._wishes))]
            size, steps, images = size or wish.size, steps or wish.steps, images or wish.images
        elif self._mix.items:
            drawn = self._mix.draw(chance)
            steps, images = steps or drawn[0], images or drawn[1]
        if size is None:
            size = self._sizes.draw(chance) if self._sizes.items else card.sizes.default
        if steps is None:
            steps = (self._steps.draw(chance) if self._steps.items else 0) or card.steps.standard
        cancelled_after_s = row.cancelled_after_s
        if chance.happens(workload.cancels):
            cancelled_after_s = chance.exponential(workload.patience_s)
        return Arrival(
            at_s=at_s,
            model_id=model_id,
            size=size,
            steps=min(steps, card.steps.maximum),
            images=images if images is not None else self._images.draw(chance),
            tier=row.tier or self._tiers[place % len(self._tiers)],
            tenant=tenant,
            user=user,
            deadline_s=row.deadline_s,
            cancelled_after_s=cancelled_after_s,
        )

    def _model(self, row: Seen, user: str) -> ModelId:
        """The trace's own model by its rank, the user's last one, or one drawn by weight."""
        if self._workload.kind is WorkloadKind.RECORDED and row.model is not None:
            return ModelId(row.model)
        if row.model is not None:
            return self._models.items[self._ranks[row.model] % len(self._models.items)]
        last = self._last_model.get(user)
        if last is not None and self._chance.happens(self._workload.repeat_model):
            return last
        self._last_model[user] = model_id = self._models.draw(self._chance)
        return model_id


def _tiers_of(workload: Workload) -> list[Tier]:
    """A tier per tenant, in proportion to the weights, spread over the tenants."""
    count, total = workload.tenants, sum(workload.tiers.values())
    tiers: list[Tier] = []
    for tier, weight in workload.tiers.items():
        missing = max(round(count * weight / total), 1 if weight > 0 else 0)
        tiers += [tier] * missing
    return tiers[:count] if len(tiers) >= count else tiers + [next(iter(workload.tiers))] * (count - len(tiers))


def _size(text: str, where: str) -> tuple[int, int]:
    try:
        width, height = text.split("x")
        return int(width), int(height)
    except ValueError:
        raise wrong("scenario", f"{where}.sizes", f'has {text!r}; a size looks like "1024x768"') from None


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
