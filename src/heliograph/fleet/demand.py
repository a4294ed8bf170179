"""When a model will be asked for again: the chance per second of its next request, from what was asked for until now.

Theory of operation. The next request is a hazard that is proportional to powers of a few signals: how long ago the last
one was, how many there were lately and in the last hours, how busy everybody is now compared with the last hours (the
evening comes for all models at once), what this half hour brought on earlier days, and who is *attached*: an end user
whose latest request, of whatever model, was for this one. Three of four requests repeat the user's last model, most of
them within minutes; a user who has gone on to another model no longer counts.

`EXPONENTS` were fitted by maximum likelihood (logistic regression, 30 s bins) on days 0-5 of the trace gentd26
(alibaba/clusterdata, cluster-trace-v2026-GenAI); `python -m benchmarks.policies.warm_pool` shows what comes of them.

Bounds: `USERS_MAX` attached users in all and the `ATTACHED_MAX` latest of each model; older ones are forgotten.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from math import exp, log

from heliograph.domain.ids import ModelId

USERS_MAX = 50_000
ATTACHED_MAX = 64
LATELY_S, NOW_S, HOURS_S = 300.0, 1_800.0, 10_800.0
DAY_S, SLOT_S = 86_400.0, 1_800.0
YESTERDAY = 0.8
"""How much a day counts compared with the day after it."""

RATE_KEPT_S = 1.0
"""A rate that was worked out is good for so long, unless the model is asked for meanwhile."""

BIN_S = 30.0
INTERCEPT = 0.026
EXPONENTS = (-0.326, 0.373, 0.043, 0.187, 0.315, 0.499, 0.082)
"""Of: seconds since the last request, requests lately, in hours, of all models lately, of all models now over hours,
attached users, this half hour on earlier days."""


@dataclass(slots=True)
class _Fading:
    """A count whose entries fade with the time constant `tau_s`: about what happened within the last `tau_s`."""

    tau_s: float
    value: float = 0.0
    at_s: float = 0.0

    def at(self, now_s: float) -> float:
        return self.value * exp(-max(now_s - self.at_s, 0.0) / self.tau_s)

    def add(self, now_s: float) -> None:
        self.value, self.at_s = self.at(now_s) + 1.0, max(now_s, self.at_s)


@dataclass(slots=True)
class _Slot:
    """Requests of one half hour of the day: `past` per earlier day (faded), `today` so far."""

    day: int
    past: float = 0.0
    today: float = 0.0

    def roll(self, day: int) -> None:
        if day > self.day:
            self.past = (self.past + self.today) * YESTERDAY ** (day - self.day)
            self.day, self.today = day, 0.0


@dataclass(slots=True)
class _Model:
    last_s: float
    lately: _Fading = field(default_factory=lambda: _Fading(LATELY_S))
    hours: _Fading = field(default_factory=lambda: _Fading(HOURS_S))
    slots: dict[int, _Slot] = field(default_factory=dict[int, _Slot])
    attached: OrderedDict[Hashable, float] = field(default_factory=OrderedDict[Hashable, float])
    rate: float = 0.0
    rate_at_s: float | None = None


class Demand:
    """What was asked for, folded into what is likely to come. One task notes requests; times are epoch seconds."""

    def __init__(self) -> None:
        self._models: dict[ModelId, _Model] = {}
        self._users: OrderedDict[Hashable, ModelId] = OrderedDict()
        self._lately, self._now, self._hours = _Fading(LATELY_S), _Fading(NOW_S), _Fading(HOURS_S)
        self._first_day: int | None = None

    def note(self, model_id: ModelId, user: Hashable, now_s: float) -> None:
        """A request for the model has come; `user` is whoever asked, None when unknown."""
        day = int(now_s // DAY_S)
        self._first_day = day if self._first_day is None else self._first_day
        model = self._models.get(model_id)
        if model is None:
            model = self._models[model_id] = _Model(last_s=now_s)
        model.last_s = max(now_s, model.last_s)
        for fading in (model.lately, model.hours, self._lately, self._now, self._hours):
            fading.add(now_s)
        number = int(now_s % DAY_S // SLOT_S)
        slot = model.slots.get(number)
        if slot is None:
            slot = model.slots[number] = _Slot(day=day)
        slot.roll(day)
        slot.today += 1.0
        model.rate_at_s = None
        if user is not None:
            self._attach(user, model_id, model, now_s)

    def models(self) -> tuple[ModelId, ...]:
        """Every model that was ever asked for, in the order of its first request."""
        return tuple(self._models)

    def rate(self, model_id: ModelId, now_s: float) -> float:
        """The chance per second that the model is asked for now; 0 for one nobody ever asked for."""
        model = self._models.get(model_id)
        if model is None:
            return 0.0
        if model.rate_at_s is None or not 0.0 <= now_s - model.rate_at_s < RATE_KEPT_S:
            signals = self._signals(model, now_s)
            odds = exp(INTERCEPT + sum(power * signal for power, signal in zip(EXPONENTS, signals, strict=True)))
            model.rate, model.rate_at_s = odds / (1.0 + odds) / BIN_S, now_s
        return model.rate

    def signals(self, model_id: ModelId, now_s: float) -> tuple[float, ...] | None:
        """The logarithms of the signals, in the order of `EXPONENTS`."""
        model = self._models.get(model_id)
        return None if model is None else self._signals(model, now_s)

    def _signals(self, model: _Model, now_s: float) -> tuple[float, ...]:
        attached = sum(BIN_S / (BIN_S + max(now_s - at_s, 0.0)) for at_s in model.attached.values())
        return (
            log(max(now_s - model.last_s, 0.0) + BIN_S),
            log(model.lately.at(now_s) + 0.3),
            log(model.hours.at(now_s) + 0.3),
            log(self._lately.at(now_s) + 1.0),
            log((self._now.at(now_s) + 1.0) / (self._hours.at(now_s) + 1.0)),
            log(attached + 0.003),
            log(self._on_earlier_days(model, now_s) + 0.1),
        )

    def _attach(self, user: Hashable, model_id: ModelId, model: _Model, now_s: float) -> None:
        before = self._users.pop(user, None)
        if before is not None:
            self._models[before].attached.pop(user, None)
        self._users[user] = model_id
        model.attached[user] = now_s
        if len(model.attached) > ATTACHED_MAX:
            model.attached.popitem(last=False)
        if len(self._users) > USERS_MAX:
            longest_ago, its_model = self._users.popitem(last=False)
            self._models[its_model].attached.pop(longest_ago, None)

    def _on_earlier_days(self, model: _Model, now_s: float) -> float:
        """Requests in the half hour that begins now, as the mean of earlier days, the latest counting most."""
        day = int(now_s // DAY_S)
        days = day - (day if self._first_day is None else self._first_day)
        weights = sum(YESTERDAY**ago for ago in range(1, min(days, 30) + 1))
        if not weights:
            return 0.0
        slot, share = divmod(now_s % DAY_S / SLOT_S, 1.0)
        following = int(slot + 1) % int(DAY_S / SLOT_S)
        return ((1 - share) * _past(model, int(slot), day) + share * _past(model, following, day)) / weights


def _past(model: _Model, number: int, day: int) -> float:
    slot = model.slots.get(number)
    if slot is None:
        return 0.0
    slot.roll(day)
    return slot.past
