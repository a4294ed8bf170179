"""Keep-alive policies of the literature, re-implemented from their descriptions: who stays, who goes first.

    FixedTtl          an idle model stays for a fixed time (the rule of most serverless platforms)
    HybridHistogram   unload at once, load again just before the head of the model's idle times, keep until their tail
                      (Shahrad et al., Serverless in the Wild, 2020): one-minute bins over four hours, used where they
                      are representative; else a fixed time. Its time-series branch, for applications that are idle for
                      more than four hours as a rule, is that fixed time here.
    GreedyDual        everything stays until its room is needed; then the lowest of clock + frequency x cost / size
                      goes, and the clock becomes its priority (Fuerst and Sharma, FaasCache, 2021)

Whoever drives them tells what happens to each model, in the order of time, and reads two answers: `window`, when the
model should be loaded while it is idle, and `priority`, who makes room first.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from heliograph.domain.ids import ModelId

BIN_S, BINS = 60.0, 240
HEAD, TAIL, MARGIN = 0.05, 0.99, 0.1
COUNTED_MIN, VARIATION_MIN = 10, 2.0
"""A histogram is representative with so many idle times in it, at least as many as beyond it, and bins that vary so."""

FALLBACK_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When an idle model should be loaded, in seconds since it became idle: from `from_s` to `to_s`."""

    from_s: float = 0.0
    to_s: float = math.inf

    def holds(self, idle_s: float) -> bool:
        """The model should be loaded now."""
        return self.from_s <= idle_s < self.to_s


class KeepAlive(Protocol):
    """Told what happens, answers who stays. Times are seconds of one clock that does not go back."""

    def asked(self, model_id: ModelId, now_s: float) -> None:
        """A request for the model has come."""
        ...

    def became_idle(self, model_id: ModelId, now_s: float) -> None:
        """The model's last request has ended."""
        ...

    def made_room(self, model_id: ModelId) -> None:
        """The model was unloaded because another needed its room."""
        ...

    def window(self, model_id: ModelId) -> Window:
        """When it should be loaded, counted from its last `became_idle`."""
        ...

    def priority(self, model_id: ModelId) -> float:
        """Of several idle models the one with the lowest makes room."""
        ...


class FixedTtl:
    """The same time for everybody; the longest idle makes room."""

    def __init__(self, ttl_s: float) -> None:
        self._window = Window(to_s=ttl_s)
        self._idle_since_s: dict[ModelId, float] = {}

    def asked(self, model_id: ModelId, now_s: float) -> None:
        """Nothing to learn."""

    def became_idle(self, model_id: ModelId, now_s: float) -> None:
        """The time begins to run."""
        self._idle_since_s[model_id] = now_s

    def made_room(self, model_id: ModelId) -> None:
        """Nothing to learn."""

    def window(self, model_id: ModelId) -> Window:
        """The fixed time."""
        return self._window

    def priority(self, model_id: ModelId) -> float:
        """When it became idle."""
        return self._idle_since_s.get(model_id, -math.inf)


@dataclass(slots=True)
class _IdleTimes:
    """Idle times of one model: a count per bin, and how many were longer than all bins."""

    bins: list[int] = field(default_factory=lambda: [0] * BINS)
    inside: int = 0
    beyond: int = 0

    def add(self, idle_s: float) -> None:
        number = int(idle_s // BIN_S)
        if number < BINS:
            self.bins[number] += 1
            self.inside += 1
        else:
            self.beyond += 1

    def is_representative(self) -> bool:
        if self.inside < max(COUNTED_MIN, self.beyond):
            return False
        mean = self.inside / BINS
        variance = sum((count - mean) ** 2 for count in self.bins) / BINS
        return variance**0.5 / mean > VARIATION_MIN

    def bin_of(self, share: float) -> int:
        """The bin in which `share` of the idle times inside is reached."""
        reached = 0
        for number, count in enumerate(self.bins):
            reached += count
            if reached > share * (self.inside - 1):
                return number
        return BINS - 1


class HybridHistogram:
    """Idle times are what is counted, from the end of a request to the next one; the longest idle makes room."""

    def __init__(self, *, fallback_s: float = FALLBACK_S, tail: float = TAIL) -> None:
        self._fallback = Window(to_s=fallback_s)
        self._tail = tail
        self._times: dict[ModelId, _IdleTimes] = {}
        self._windows: dict[ModelId, Window] = {}
        self._idle_since_s: dict[ModelId, float] = {}

    def asked(self, model_id: ModelId, now_s: float) -> None:
        """An idle time has ended, or, while a request runs already, one of no length."""
        since_s = self._idle_since_s.get(model_id)
        if since_s is not None:
            self._times.setdefault(model_id, _IdleTimes()).add(max(now_s - since_s, 0.0))

    def became_idle(self, model_id: ModelId, now_s: float) -> None:
        """The window follows from what was counted until now."""
        self._idle_since_s[model_id] = now_s
        times = self._times.get(model_id)
        if times is None or not times.is_representative():
            self._windows[model_id] = self._fallback
            return
        head_s = times.bin_of(HEAD) * BIN_S * (1 - MARGIN)
        tail_s = (times.bin_of(self._tail) + 1) * BIN_S * (1 + MARGIN)
        self._windows[model_id] = Window(from_s=head_s if head_s >= BIN_S else 0.0, to_s=tail_s)

    def made_room(self, model_id: ModelId) -> None:
        """Nothing to learn."""

    def window(self, model_id: ModelId) -> Window:
        """From before the head to after the tail of its idle times."""
        return self._windows.get(model_id, self._fallback)

    def priority(self, model_id: ModelId) -> float:
        """When it became idle."""
        return self._idle_since_s.get(model_id, -math.inf)


class GreedyDual:
    """`cost` is what a load takes (seconds), `size` what the model holds (any one unit)."""

    def __init__(self, *, cost: dict[ModelId, float] | None = None, size: dict[ModelId, float] | None = None) -> None:
        self._cost = cost or {}
        self._size = size or {}
        self._clock = 0.0
        self._frequency: Counter[ModelId] = Counter()
        self._priority: dict[ModelId, float] = {}

    def asked(self, model_id: ModelId, now_s: float) -> None:
        """The model is worth more, from the clock of now on."""
        self._frequency[model_id] += 1
        value = self._cost.get(model_id, 1.0) / self._size.get(model_id, 1.0)
        self._priority[model_id] = self._clock + self._frequency[model_id] * value

    def became_idle(self, model_id: ModelId, now_s: float) -> None:
        """Nothing to learn."""

    def made_room(self, model_id: ModelId) -> None:
        """Whoever is worth no more than this one goes next."""
        self._clock = self._priority.get(model_id, self._clock)

    def window(self, model_id: ModelId) -> Window:
        """It stays."""
        return Window()

    def priority(self, model_id: ModelId) -> float:
        """Clock + frequency x cost / size, of its last request."""
        return self._priority.get(model_id, 0.0)
