"""Whose turn it is: weighted virtual-time queueing between tiers, tenants and their end users, as a tree of turns.

Theory of operation. A tree with three levels of `Turns` (tiers, the tenants of a tier, the end users of a tenant) and
the `Jobs` of one end user at its leaves. Whoever is served pays its estimated GPU-seconds divided by its weight into
its *tag*; whoever comes anew starts at the tag that was last served (`_virtual_s`), so that nobody saves up turns while
away, nor pays for having used what nobody else wanted. Among siblings the smallest `since + offset + tag * price` is
next: `since` is when the job came to the front (its creation, or the sibling's last turn, whichever is later), `offset`
its tier's head start and cost in seconds of waiting. A flood therefore competes with one job at a time, and its age is
that of this job, not of the flood.

Tiers are compared without tags: fairness chooses among equals, the tier's head start among tiers.

Bound. Siblings that come to the front t seconds after a job overtake it only while t is less than `cost_weight` times
its estimate, plus `price` times what its owner was served last divided by the owner's weight, plus the difference of
the tiers' head starts. Every operation is O(log n) in the number of jobs and of siblings.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from sortedcontainers import SortedKeyList

from heliograph.domain.ids import JobId, TenantId
from heliograph.domain.tiers import Tier

Rank = tuple[float, float, int]

NAMES_KEPT = 64
"""Tags of siblings that have left are looked through once there are this many more than twice the present ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A waiting job as the line sees it.

    `offset_s` is what its tier and cost are worth in seconds of waiting (negative: ahead). `latest_start_s` is when it
    has to begin to meet its deadline, None without one. `weight` is its tier's weight where not all deadlines hold.
    """

    job_id: JobId
    tier: Tier
    tenant_id: TenantId
    end_user: str | None
    sequence: int
    created_at_s: float
    offset_s: float
    estimate_s: float
    latest_start_s: float | None = None
    weight: float = 1.0

    @property
    def virtual_arrival(self) -> tuple[float, int]:
        """Its place among the jobs of one end user, smallest first."""
        return (self.created_at_s + self.offset_s, self.sequence)


IsHeld = Callable[[Place], bool]
"""The job may not run now, because its tenant or end user has enough running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Who is next in a part of the tree, and since when it has been at the front, in seconds since the epoch."""

    place: Place
    since_s: float

    def rank(self, tag_s: float) -> Rank:
        """Smallest first; ties go by virtual arrival, then by order of submission."""
        return (self.since_s + self.place.offset_s + tag_s, *self.place.virtual_arrival)


class Branch(Protocol):
    """A part of the tree."""

    def __bool__(self) -> bool:
        """Somebody waits in it."""
        ...

    def front(self) -> Front:
        """Who is next; the branch must not be empty."""
        ...

    def first_free(self, is_held: IsHeld) -> Front | None:
        """The next that is not held back, or None."""
        ...

    def add(self, place: Place) -> None:
        """Put the job in line."""
        ...

    def remove(self, place: Place) -> None:
        """Take the job out; it must be there."""
        ...

    def serve(self, place: Place, now_s: float) -> None:
        """Take the job out because it runs now; whoever it belongs to has had a turn."""
        ...

    def walk(self, now_s: float) -> Iterator[Front]:
        """Everybody in the order in which they would run, if all of them ran at `now_s`; changes nothing."""
        ...


class Jobs:
    """The jobs of one end user, by virtual arrival."""

    def __init__(self) -> None:
        self._line: SortedKeyList[Place, tuple[float, int]] = SortedKeyList(key=lambda place: place.virtual_arrival)

    def __bool__(self) -> bool:
        return bool(self._line)

    def front(self) -> Front:
        """The first job."""
        place = self._line[0]
        return Front(place=place, since_s=place.created_at_s)

    def first_free(self, is_held: IsHeld) -> Front | None:
        """The first job, unless its owner is held back."""
        front = self.front()
        return None if is_held(front.place) else front

    def add(self, place: Place) -> None:
        """Put the job in line."""
        self._line.add(place)

    def remove(self, place: Place) -> None:
        """Take the job out."""
        self._line.remove(place)

    def serve(self, place: Place, now_s: float) -> None:
        """Take the job out."""
        del now_s
        self._line.remove(place)

    def walk(self, now_s: float) -> Iterator[Front]:
        """Everybody in order."""
        del now_s
        for place in self._line:
            yield Front(place=place, since_s=place.created_at_s)


@dataclass(slots=True, eq=False)
class _Sibling:
    name: Hashable
    branch: Branch
    weight: float
    tag_s: float
    served_at_s: float = float("-inf")
    rank: Rank = field(default=(0.0, 0.0, 0))


class Turns:
    """Siblings that take turns.

    `name_of` says whose a job is, `weight_of` how much of the whole that sibling is due, `grow` makes a new branch.
    `price` is how many seconds of waiting one GPU-second of service costs; 0 compares by waiting alone.
    """

    def __init__(
        self,
        *,
        name_of: Callable[[Place], Hashable],
        weight_of: Callable[[Place], float],
        grow: Callable[[], Branch],
        price: float,
    ) -> None:
        self._name_of = name_of
        self._weight_of = weight_of
        self._grow = grow
        self._price = price
        self._siblings: dict[Hashable, _Sibling] = {}
        self._order: SortedKeyList[_Sibling, Rank] = SortedKeyList(key=lambda sibling: sibling.rank)
        self._left: dict[Hashable, float] = {}
        self._virtual_s = 0.0

    def __bool__(self) -> bool:
        return bool(self._siblings)

    def front(self) -> Front:
        """Whoever's turn it is."""
        sibling = self._order[0]
        return self._seen(sibling, sibling.branch.front(), sibling.served_at_s)

    def first_free(self, is_held: IsHeld) -> Front | None:
        """Whoever's turn it is among those not held back; at most one look at each sibling."""
        for sibling in self._order:
            front = sibling.branch.first_free(is_held)
            if front is not None:
                return self._seen(sibling, front, sibling.served_at_s)
        return None

    def add(self, place: Place) -> None:
        """Put the job in its sibling's line."""
        name = self._name_of(place)
        sibling = self._siblings.get(name)
        if sibling is None:
            tag_s = max(self._left.pop(name, 0.0), self._virtual_s)
            sibling = _Sibling(name=name, branch=self._grow(), weight=self._weight_of(place), tag_s=tag_s)
            self._siblings[name] = sibling
        else:
            self._order.remove(sibling)
        sibling.branch.add(place)
        self._rank(sibling)

    def remove(self, place: Place) -> None:
        """Take the job out of its sibling's line."""
        sibling = self._siblings[self._name_of(place)]
        self._order.remove(sibling)
        sibling.branch.remove(place)
        self._rank(sibling)

    def serve(self, place: Place, now_s: float) -> None:
        """Take the job out and let its sibling pay for it."""
        sibling = self._siblings[self._name_of(place)]
        self._order.remove(sibling)
        sibling.branch.serve(place, now_s)
        self._virtual_s = max(self._virtual_s, sibling.tag_s)
        sibling.tag_s += place.estimate_s / sibling.weight
        sibling.served_at_s = now_s
        self._rank(sibling)

    def walk(self, now_s: float) -> Iterator[Front]:
        """Everybody in the order in which their turns come, as far as it can be told now."""
        numbers, waiting = count(), iter(self._order)
        newcomer = next(waiting, None)
        heap: list[tuple[Rank, int, Front, Iterator[Front], _Sibling, float]] = []
        while newcomer is not None or heap:
            while newcomer is not None and (not heap or newcomer.rank <= heap[0][0]):
                fronts = newcomer.branch.walk(now_s)
                front = self._seen(newcomer, next(fronts), newcomer.served_at_s)
                heappush(heap, (newcomer.rank, next(numbers), front, fronts, newcomer, newcomer.tag_s))
                newcomer = next(waiting, None)
            _, _, front, fronts, sibling, tag_s = heappop(heap)
            yield front
            following = next(fronts, None)
            if following is not None:
                tag_s += front.place.estimate_s / sibling.weight
                front = self._seen(sibling, following, now_s)
                heappush(heap, (front.rank(tag_s * self._price), next(numbers), front, fronts, sibling, tag_s))

    def _seen(self, sibling: _Sibling, front: Front, served_at_s: float) -> Front:
        """The sibling's front as others see it: it has been there at most since the sibling's last turn."""
        if not self._price or served_at_s <= front.since_s:
            return front
        return Front(place=front.place, since_s=served_at_s)

    def _rank(self, sibling: _Sibling) -> None:
        """Put the sibling where it belongs now, or forget it when nothing of it waits."""
        if sibling.branch:
            front = self._seen(sibling, sibling.branch.front(), sibling.served_at_s)
            sibling.rank = front.rank(sibling.tag_s * self._price)
            self._order.add(sibling)
            return
        del self._siblings[sibling.name]
        if sibling.tag_s > self._virtual_s:
            self._left[sibling.name] = sibling.tag_s
        if len(self._left) > 2 * len(self._siblings) + NAMES_KEPT:
            self._left = {name: tag_s for name, tag_s in self._left.items() if tag_s > self._virtual_s}
