"""When a model will be asked for again: the chance per second of its next request, from what was asked for until now.

Theory of operation. Three kinds of people ask for a model, and their chances per second add up:

    who stays       the latest request was for this model; likely within a minute or two, the more so the longer the
                    sitting has been going on and the rarer the person has changed models; later by who asked for
                    several pictures, which take their time to look at
    who changes     the latest request was for another model: the chance that they go on to another one, higher for
                    people who do that often, times this model's share of all that people have gone on to
    who is new      nobody has heard of them for `BREAK_S`: as many as lately and at this time of earlier days, times
                    this model's share of what people begin with

What a person contributes fades with the time since the latest request (two exponentials, `FADES_S`), and is taken back
when they ask again. A sum of fading contributions is one number and the time it was taken, so that a request and a rate
cost the same however many people there are, and a model takes a few dozen numbers.

`WEIGHTS` are the maximum of the likelihood on days 0-5 of the trace gentd26 (alibaba/clusterdata,
cluster-trace-v2026-GenAI): `python -m benchmarks.policies.fit_demand FILE --days 0:6`. What comes of them shows
`python -m benchmarks.policies.warm_pool`.

Bounds: `USERS_MAX` people, those longest silent are forgotten first; half hours of the day; models.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from math import exp, inf

from heliograph.domain.ids import ModelId

USERS_MAX = 50_000
BREAK_S, SITTING_S = 7_200.0, 1_800.0
"""After how long a person is new again, and after how long a new sitting begins."""

SITTINGS = (2, 15)
"""A sitting is short with up to so many requests, middling with up to so many, long with more."""

FADES_S = (60.0, 180.0)
NEW_LATELY_S = (600.0, 3_600.0, 10_800.0)
SHARES_FADE_S = 7 * 86_400.0
SHARE_PRIOR = 0.3
"""Every model is taken to have been begun with, and gone on to, so many times."""

CHANGES_USUAL, STAYS_USUAL = 0.3, 0.75
CHANGES_PRIOR, STAYS_PRIOR, REQUESTS_PRIOR = 1.0, 2.0, 3.0
"""How many of a person's requests change the model, or do not; and what newcomers are taken to have done before."""

DAY_S, SLOT_S = 86_400.0, 1_800.0
YESTERDAY = 0.8
"""How much a day counts compared with the day after it."""

RATE_KEPT_S = 1.0
"""A rate that was worked out is good for so long, unless the model is asked for meanwhile."""

WEIGHTS = (
    *(0.0088, 0.0167, 0.0288),  # who stays, first fade: one picture, in a short, a middling, a long sitting
    *(0.0, 0.0038, 0.0188),  # and several pictures
    *(0.0013, 0.0, 0.0040),  # second fade: one picture
    *(0.0045, 0.0060, 0.0027),  # and several
    *(0.0012, 0.0020),  # who changes: first and second fade
    *(0.65, 0.2, 0.1),  # who is new: lately, in the hour, in three hours
    0.85,  # and at this time of earlier days
)
"""Chance per second for each unit of the signals, in their order."""

KINDS = 2 * (len(SITTINGS) + 1)
"""Of latest requests: by the size of the sitting, for one picture and for several."""


@dataclass(slots=True)
class _Fading:
    """A sum whose entries fade with the time constant `tau_s`."""

    tau_s: float
    value: float = 0.0
    at_s: float = -inf

    def at(self, now_s: float) -> float:
        return self.value * exp(-max(now_s - self.at_s, 0.0) / self.tau_s)

    def add(self, amount: float, now_s: float) -> None:
        self.value, self.at_s = max(self.at(now_s) + amount, 0.0), max(now_s, self.at_s)


def _fades() -> tuple[_Fading, ...]:
    return tuple(_Fading(tau_s) for tau_s in FADES_S)


def _fading_share() -> _Fading:
    return _Fading(SHARES_FADE_S)


@dataclass(slots=True)
class _User:
    """Of the latest request: model, time, place in its sitting, pictures. Of all: how many, how many changes."""

    model_id: ModelId
    at_s: float
    sitting: int = 0
    images: int = 1
    requests: int = 0
    changes: int = 0

    @property
    def kind(self) -> int:
        """Of the latest request, below `KINDS`."""
        size = sum(self.sitting > largest for largest in SITTINGS)
        return size + (len(SITTINGS) + 1) * (self.images > 1)

    @property
    def restlessness(self) -> float:
        """How often the person changes models; 1 is usual."""
        return (self.changes + CHANGES_PRIOR) / (self.requests + REQUESTS_PRIOR) / CHANGES_USUAL

    @property
    def loyalty(self) -> float:
        """How often the person stays with a model; 1 is usual."""
        return (self.requests - self.changes + STAYS_PRIOR) / (self.requests + REQUESTS_PRIOR) / STAYS_USUAL


@dataclass(slots=True)
class _Model:
    """`stay` by the kind of the latest request; `changes` of those who are here now; counts of those who came."""

    stay: tuple[tuple[_Fading, ...], ...] = field(default_factory=lambda: tuple(_fades() for _ in range(KINDS)))
    changes: tuple[_Fading, ...] = field(default_factory=_fades)
    begun_with: _Fading = field(default_factory=_fading_share)
    gone_on_to: _Fading = field(default_factory=_fading_share)
    rate: float = 0.0
    rate_at_s: float | None = None


@dataclass(slots=True)
class _Slot:
    """Newcomers of one half hour of the day: `past` per earlier day (faded), `today` so far."""

    day: int
    past: float = 0.0
    today: float = 0.0

    def roll(self, day: int) -> None:
        if day > self.day:
            self.past = (self.past + self.today) * YESTERDAY ** (day - self.day)
            self.day, self.today = day, 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Requests per second that are expected of those who use the model, of those who use another, and of newcomers."""

    staying: float
    changing: float
    new: float


class Demand:
    """What was asked for, folded into what is likely to come. One task notes requests; times are epoch seconds."""

    def __init__(self, *, users_max: int = USERS_MAX) -> None:
        self._users_max = users_max
        self._models: dict[ModelId, _Model] = {}
        self._users: OrderedDict[Hashable, _User] = OrderedDict()
        self._changes = _fades()
        self._begun, self._gone_on = _fading_share(), _fading_share()
        self._new = tuple(_Fading(tau_s) for tau_s in NEW_LATELY_S)
        self._slots: dict[int, _Slot] = {}
        self._first_day: int | None = None

    def note(self, model_id: ModelId, user: Hashable, now_s: float, *, images: int = 1) -> None:
        """A request for `images` pictures has come; `user` is whoever asked, None when unknown (new every time)."""
        model = self._models.get(model_id)
        if model is None:
            model = self._models[model_id] = _Model()
        model.rate_at_s = None
        known = self._users.pop(user, None) if user is not None else None
        if known is not None:
            self._weigh(known, now_s, is_back=True)
        away_s = inf if known is None else max(now_s - known.at_s, 0.0)
        if known is None or away_s > BREAK_S:
            self._note_newcomer(model, now_s)
        elif known.model_id != model_id:
            model.gone_on_to.add(1.0, now_s)
            self._gone_on.add(1.0, now_s)
            known.changes += 1
        known = known or _User(model_id=model_id, at_s=now_s)
        known.sitting = known.sitting + 1 if away_s < SITTING_S else 1
        known.requests += 1
        known.model_id, known.at_s, known.images = model_id, now_s, images
        self._weigh(known, now_s)
        if user is not None:
            self._users[user] = known
            if len(self._users) > self._users_max:
                self._users.popitem(last=False)

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
            model.rate = sum(weight * signal for weight, signal in zip(WEIGHTS, signals, strict=True))
            model.rate_at_s = now_s
        return model.rate

    def outlook(self, model_id: ModelId, now_s: float) -> Outlook:
        """The same chance, by who it is that asks."""
        model = self._models.get(model_id)
        if model is None:
            return Outlook(staying=0.0, changing=0.0, new=0.0)
        parts = [weight * signal for weight, signal in zip(WEIGHTS, self._signals(model, now_s), strict=True)]
        changing = len(FADES_S) * KINDS
        new = changing + len(FADES_S)
        return Outlook(staying=sum(parts[:changing]), changing=sum(parts[changing:new]), new=sum(parts[new:]))

    def signals(self, model_id: ModelId, now_s: float) -> tuple[float, ...] | None:
        """What the weights are the weights of, in their order; None for a model nobody ever asked for."""
        model = self._models.get(model_id)
        return None if model is None else self._signals(model, now_s)

    def _signals(self, model: _Model, now_s: float) -> tuple[float, ...]:
        begun_with = self._share(model.begun_with, self._begun, now_s)
        gone_on_to = self._share(model.gone_on_to, self._gone_on, now_s)
        return (
            *(of_kind[fade].at(now_s) for fade in range(len(FADES_S)) for of_kind in model.stay),
            *(
                max(everywhere.at(now_s) - here.at(now_s), 0.0) * gone_on_to
                for everywhere, here in zip(self._changes, model.changes, strict=True)
            ),
            *(lately.at(now_s) / lately.tau_s * begun_with for lately in self._new),
            self._new_on_earlier_days(now_s) * begun_with,
        )

    def _weigh(self, user: _User, now_s: float, *, is_back: bool = False) -> None:
        """What the user's latest request lets expect; with `is_back` it is taken back, as far as it has not faded."""
        model = self._models[user.model_id]
        away_s = max(now_s - user.at_s, 0.0)
        stay, loyalty, restlessness = model.stay[user.kind], user.loyalty, user.restlessness
        for number, tau_s in enumerate(FADES_S):
            amount = -exp(-away_s / tau_s) if is_back else 1.0
            stay[number].add(amount * loyalty, now_s)
            for changes in (model.changes[number], self._changes[number]):
                changes.add(amount * restlessness, now_s)

    def _note_newcomer(self, model: _Model, now_s: float) -> None:
        day = int(now_s // DAY_S)
        self._first_day = day if self._first_day is None else self._first_day
        slot = self._slots.setdefault(int(now_s % DAY_S // SLOT_S), _Slot(day=day))
        slot.roll(day)
        slot.today += 1.0
        for fading in (*self._new, model.begun_with, self._begun):
            fading.add(1.0, now_s)

    def _share(self, mine: _Fading, everybodys: _Fading, now_s: float) -> float:
        prior = SHARE_PRIOR * len(self._models)
        return (mine.at(now_s) + SHARE_PRIOR) / (everybodys.at(now_s) + prior)

    def _new_on_earlier_days(self, now_s: float) -> float:
        """Newcomers per second in the half hour that begins now, as the mean of earlier days, the latest most."""
        day = int(now_s // DAY_S)
        days = day - (day if self._first_day is None else self._first_day)
        weights = sum(YESTERDAY**ago for ago in range(1, min(days, 30) + 1))
        if not weights:
            return 0.0
        slot, share = divmod(now_s % DAY_S / SLOT_S, 1.0)
        following = int(slot + 1) % int(DAY_S / SLOT_S)
        return ((1 - share) * self._past(int(slot), day) + share * self._past(following, day)) / weights / SLOT_S

    def _past(self, number: int, day: int) -> float:
        slot = self._slots.get(number)
        if slot is None:
            return 0.0
        slot.roll(day)
        return slot.past
