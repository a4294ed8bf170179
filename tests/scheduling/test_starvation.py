"""Nobody starves: a job begins within the bound that decision 0010 derives, whatever the others do."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.domain.ids import JobId
from heliograph.domain.tiers import Tier
from heliograph.scheduling.fairness import Place, Turns
from heliograph.scheduling.pending import TURN_EVERY, PendingLine
from tests.builders import a_place

HEAD_START_S = {Tier.FREE: 0.0, Tier.STANDARD: 30.0, Tier.PRO: 120.0}
Owner = tuple[Tier, str, str]


class Flood:
    """One worker and owners whose next job is always there; some of their jobs have deadlines, some owners are new."""

    def __init__(self, owners: list[Owner], *, longest_s: float, deadlines: float, newcomers: float, seed: int) -> None:
        self._dice = random.Random(seed)
        self._owners = owners
        self._longest_s = longest_s
        self._deadlines = deadlines
        self._newcomers = newcomers
        self._number = 0
        self.now_s = 0.0
        self.line = PendingLine()
        self.places: dict[JobId, Place] = {}
        for owner in owners:
            self.add(owner)
            self.add(owner)

    def add(self, owner: Owner, *, estimate_s: float | None = None, has_deadline: bool | None = None) -> Place:
        self._number += 1
        tier, tenant, user = owner
        estimate_s = self._dice.uniform(0.1, self._longest_s) if estimate_s is None else estimate_s
        is_due = self._dice.random() < self._deadlines if has_deadline is None else has_deadline
        place = a_place(
            f"job{self._number}",
            tier=tier,
            tenant=tenant,
            end_user=user,
            sequence=self._number,
            created_at_s=self.now_s,
            estimate_s=estimate_s,
            offset_s=estimate_s - HEAD_START_S[tier],
            latest_start_s=self.now_s + self._dice.uniform(0.0, 60.0) if is_due else None,
        )
        self.places[place.job_id] = place
        self.line.add(place)
        return place

    def step(self) -> JobId:
        """The next job runs, and its owner asks again."""
        if self._dice.random() < self._newcomers:
            self.add((self._dice.choice(list(Tier)), f"new{self._number}", "somebody"))
        chosen = self.line.choose(free_in_s=lambda: [0.0], now_s=self.now_s)
        assert chosen is not None
        place = self.places.pop(chosen)
        self.line.serve(chosen, now_s=self.now_s)
        self.now_s += place.estimate_s
        self.add((place.tier, place.tenant_id, place.end_user or ""))
        return chosen

    def lead_s(self, place: Place) -> float:
        """By how many seconds of service its tenant is ahead of whoever had least."""
        tier = self.line._turns._siblings[place.tier]
        assert isinstance(tier.branch, Turns)
        tags = {name: sibling.tag_s for name, sibling in tier.branch._siblings.items()}
        return tags[place.tenant_id] - min(tags.values())


def bound_s(flood: Flood, place: Place, *, longest_s: float) -> float:
    others = {(each.tier, each.tenant_id, each.end_user) for each in flood.places.values()}
    head_starts_s = max(HEAD_START_S.values()) - HEAD_START_S[place.tier]
    behind_s = place.estimate_s + flood.lead_s(place) + head_starts_s
    return behind_s + longest_s + TURN_EVERY * (len(others) + 1) * longest_s


owners = st.lists(
    st.tuples(
        st.sampled_from(Tier), st.sampled_from(["acme", "beta", "corp", "dorn"]), st.sampled_from(["ann", "bob"])
    ),
    min_size=1,
    max_size=12,
    unique=True,
)


@settings(max_examples=60, deadline=None)
@given(
    owners=owners,
    longest_s=st.sampled_from([1.0, 20.0, 200.0]),
    deadlines=st.sampled_from([0.0, 0.5, 0.95]),
    newcomers=st.sampled_from([0.0, 0.2]),
    warm_up=st.integers(0, 60),
    tier=st.sampled_from(Tier),
    seed=st.integers(0, 2**32),
)
def test_a_job_of_somebody_new_begins_within_the_bound(
    owners: list[Owner], longest_s: float, deadlines: float, newcomers: float, warm_up: int, tier: Tier, seed: int
) -> None:
    flood = Flood(owners, longest_s=longest_s, deadlines=deadlines, newcomers=newcomers, seed=seed)
    for _ in range(warm_up):
        flood.step()
    came_s = flood.now_s
    place = flood.add((tier, "somebody new", "me"), has_deadline=False)
    limit_s = bound_s(flood, place, longest_s=longest_s)
    while True:
        begins_s = flood.now_s
        if flood.step() == place.job_id:
            break
        # Newcomers count among the others while their jobs came before the job could not be overtaken any more.
        limit_s = max(limit_s, bound_s(flood, place, longest_s=longest_s) if newcomers else limit_s)
        assert flood.now_s - came_s <= 10 * limit_s, "it never begins"
    assert begins_s - came_s <= limit_s


@pytest.mark.parametrize(("price", "is_within"), [(1.0, True), (0.0, False)])
def test_it_is_the_turns_that_keep_the_bound(price: float, is_within: bool) -> None:
    """Without a price for what was served, a paid flood that came first would all go first."""
    flood = Flood([], longest_s=10.0, deadlines=0.0, newcomers=0.0, seed=1)
    flood.line = PendingLine(price=price)
    for _ in range(200):
        flood.add((Tier.PRO, "acme", "ann"), estimate_s=10.0)
    place = flood.add((Tier.FREE, "poor", "me"), estimate_s=1.0, has_deadline=False)
    limit_s, begins_s = bound_s(flood, place, longest_s=10.0), 0.0
    while flood.step() != place.job_id:
        begins_s = flood.now_s
    assert (begins_s <= limit_s) is is_within
