"""Whose turn it is: weighted virtual-time queueing between tiers, tenants and their end users, as a tree of turns.

Theory of operation. A tree with three levels of `Turns` (tiers, the tenants of a tier, the end users of a tenant) and
the `Jobs` of one end user at its leaves. Whoever is served pays its estimated GPU-seconds divided by its weight into
its *tag*; whoever comes anew starts at the tag that was last served (`_virtual_s`), so that nobody saves up turns while
away, nor pays for having used what nobody else wanted. Among siblings the smallest `since + offset + tag * price` is
next: `since` is when the job came to the front (its creation, or the sibling's last turn, whichever is later), `offset`
its tier's head start and cost in seconds of waiting. A flood therefore competes with one job at a time, and its age is
that of this job, not of the flood.

Tiers are compared without tags: fairness chooses among equals, the tier's head start among tiers.

Lines of several models that want the same GPU tell one another (`charge`): a turn that a tenant or end user had in one
of them is a turn in the others, so that asking for more models brings no more of the GPU. It sets back by
`SET_BACK_S_MAX` at most, so that who is served elsewhere all the time is served here, too.

Bound. Siblings that come to the front t seconds after a job overtake it only while t is less than `cost_weight` times
its estimate, plus `price` times its lead, plus `SET_BACK_S_MAX` where its owner was served in other lines, plus the
difference of the tiers' head starts. Its lead is by how many seconds of service per weight its owner is ahead of theirs
when it comes; whoever comes anew is level with who was served last. What follows for the longest wait is in
`docs/decisions/0010`, and checked by `tests/scheduling/test_starvation.py`. Every operation is O(log n) in the number
of jobs and of siblings; `first_free` also looks once at each tier, tenant and end user that is held back, of whom there
are no more than workers.
"""

from collections.abc import Callable, Collection, Hashable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple, Protocol

from heliograph.domain.ids import JobId, TenantId
from heliograph.domain.tiers import Tier
from heliograph.scheduling.ranking import Rank, Ranking

SET_BACK_S_MAX = 60.0
"""What is served elsewhere sets a sibling back by so many seconds of waiting, and of service, at most."""

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


User = tuple[TenantId, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Who may not run now: tiers that are barred from the GPU, tenants and end users with enough running."""

    tiers: Collection[Tier] = ()
    tenants: Collection[TenantId] = ()
    users: Collection[User] = ()

    def __bool__(self) -> bool:
        return bool(self.tiers or self.tenants or self.users)

    def holds_tier(self, place: Place) -> bool:
        """Nobody of the job's tier may run."""
        return place.tier in self.tiers

    def holds_tenant(self, place: Place) -> bool:
        """Nobody of the job's tenant may run."""
        return place.tenant_id in self.tenants

    def holds_user(self, place: Place) -> bool:
        """The job's end user may not run; one that names none counts for its tenant only."""
        return place.end_user is not None and (place.tenant_id, place.end_user) in self.users

    def holds(self, place: Place) -> bool:
        """This job may not run."""
        return self.holds_tier(place) or self.holds_tenant(place) or self.holds_user(place)


NOBODY_HELD = Held()


class Front(NamedTuple):
    """Who is next in a part of the tree, and since when it has been at the front, in seconds since the epoch."""

    place: Place
    since_s: float

    def rank(self, tag_s: float) -> Rank:
        """Smallest first; ties go by virtual arrival, then by order of submission."""
        place = self.place
        return (self.since_s + place.offset_s + tag_s, place.created_at_s + place.offset_s, place.sequence)


class Branch(Protocol):
    """A part of the tree."""

    def __bool__(self) -> bool:
        """Somebody waits in it."""
        ...

    def front(self) -> Front:
        """Who is next; the branch must not be empty."""
        ...

    def first_free(self, held: Held) -> Front | None:
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

    def charge(self, place: Place, now_s: float) -> None:
        """Whoever the job belongs to has had a turn somewhere else, on a GPU that this line wants, too."""
        ...

    def walk(self, now_s: float) -> Iterator[Front]:
        """Everybody in the order in which they would run, if all of them ran at `now_s`; changes nothing."""
        ...


class Jobs:
    """The jobs of one end user, by virtual arrival."""

    __slots__ = ("_line", "_tickets")

    def __init__(self) -> None:
        self._line: Ranking[Place] = Ranking()
        self._tickets: dict[JobId, int] = {}

    def __bool__(self) -> bool:
        return bool(self._tickets)

    def front(self) -> Front:
        """The first job."""
        place = self._line.first
        return Front(place, place.created_at_s)

    def first_free(self, held: Held) -> Front | None:
        """The first job; whose it is was looked at before."""
        del held
        return self.front()

    def add(self, place: Place) -> None:
        """Put the job in line."""
        at_s, sequence = place.virtual_arrival
        self._tickets[place.job_id] = self._line.add((at_s, 0.0, sequence), place)

    def remove(self, place: Place) -> None:
        """Take the job out."""
        self._line.drop(self._tickets.pop(place.job_id))

    def serve(self, place: Place, now_s: float) -> None:
        """Take the job out."""
        del now_s
        self._line.drop(self._tickets.pop(place.job_id))

    def charge(self, place: Place, now_s: float) -> None:
        """Jobs of one end user go by arrival, whatever else was served."""
        del place, now_s

    def walk(self, now_s: float) -> Iterator[Front]:
        """Everybody in order."""
        del now_s
        for place in self._line:
            yield Front(place, place.created_at_s)


@dataclass(slots=True, eq=False)
class _Sibling:
    """`front` is its next job as the others see it, `ticket` its place among them; None while it has neither."""

    name: Hashable
    branch: Branch
    weight: float
    tag_s: float
    served_at_s: float = float("-inf")
    front: Front | None = None
    rank: Rank = (0.0, 0.0, 0)
    ticket: int | None = None


def _holds_nobody(held: Held, place: Place) -> bool:
    del held, place
    return False


class Turns:
    """Siblings that take turns.

    `name_of` says whose a job is, `weight_of` how much of the whole that sibling is due, `grow` makes a new branch,
    `holds` says whether the job's sibling as a whole is held back. `price` is how many seconds of waiting one
    GPU-second of service costs; 0 compares by waiting alone.
    """

    __slots__ = ("_grow", "_holds", "_left", "_name_of", "_order", "_price", "_siblings", "_virtual_s", "_weight_of")

    def __init__(
        self,
        *,
        name_of: Callable[[Place], Hashable],
        weight_of: Callable[[Place], float],
        grow: Callable[[], Branch],
        price: float,
        holds: Callable[[Held, Place], bool] = _holds_nobody,
    ) -> None:
        self._name_of = name_of
        self._weight_of = weight_of
        self._grow = grow
        self._price = price
        self._holds = holds
        self._siblings: dict[Hashable, _Sibling] = {}
        self._order: Ranking[_Sibling] = Ranking()
        self._left: dict[Hashable, float] = {}
        self._virtual_s = 0.0

    def __bool__(self) -> bool:
        return bool(self._siblings)

    def front(self) -> Front:
        """Whoever's turn it is."""
        front = self._order.first.front
        assert front is not None, "a sibling without jobs is in line"
        return front

    def first_free(self, held: Held) -> Front | None:
        """Whoever's turn it is among those not held back; at most one look at each sibling."""
        if not held:
            return self.front()
        for sibling in self._order:
            if sibling.front is not None and not self._holds(held, sibling.front.place):
                front = sibling.branch.first_free(held)
                if front is not None:
                    return self._seen(front, sibling.served_at_s)
        return None

    def add(self, place: Place) -> None:
        """Put the job in its sibling's line."""
        name = self._name_of(place)
        sibling = self._siblings.get(name)
        if sibling is None:
            tag_s = max(self._left.pop(name, 0.0), self._virtual_s)
            sibling = _Sibling(name=name, branch=self._grow(), weight=self._weight_of(place), tag_s=tag_s)
            self._siblings[name] = sibling
        sibling.branch.add(place)
        if sibling.ticket is None or sibling.branch.front().place is place:
            self._rank(sibling)  # else whoever was at its front still is

    def remove(self, place: Place) -> None:
        """Take the job out of its sibling's line."""
        sibling = self._siblings[self._name_of(place)]
        sibling.branch.remove(place)
        self._rank(sibling)

    def serve(self, place: Place, now_s: float) -> None:
        """Take the job out and let its sibling pay for it."""
        sibling = self._siblings[self._name_of(place)]
        sibling.branch.serve(place, now_s)
        self._virtual_s = max(self._virtual_s, sibling.tag_s)
        sibling.tag_s += place.estimate_s / sibling.weight
        sibling.served_at_s = now_s
        self._rank(sibling)

    def charge(self, place: Place, now_s: float) -> None:
        """The job's sibling has had a turn somewhere else; it is set back by `SET_BACK_S_MAX` at most."""
        name = self._name_of(place)
        sibling = self._siblings.get(name)
        if sibling is None:
            if self._price:
                tag_s = max(self._left.get(name, 0.0), self._virtual_s) + place.estimate_s / self._weight_of(place)
                self._left[name] = min(tag_s, self._virtual_s + SET_BACK_S_MAX)
                self._forget_some()
            return
        sibling.branch.charge(place, now_s)
        if self._price:
            most_s = max(sibling.tag_s, self._virtual_s + SET_BACK_S_MAX)
            sibling.tag_s = min(sibling.tag_s + place.estimate_s / sibling.weight, most_s)
            latest_s = sibling.branch.front().since_s + SET_BACK_S_MAX
            sibling.served_at_s = max(sibling.served_at_s, min(now_s, latest_s))
        self._rank(sibling)

    def walk(self, now_s: float) -> Iterator[Front]:
        """Everybody in the order in which their turns come, as far as it can be told now."""
        price = self._price
        numbers, waiting = count(), iter(self._order)
        newcomer = next(waiting, None)
        heap: list[tuple[Rank, int, Front, Iterator[Front], _Sibling, float]] = []
        while newcomer is not None or heap:
            while newcomer is not None and (not heap or newcomer.rank <= heap[0][0]):
                fronts = newcomer.branch.walk(now_s)
                front = self._seen(next(fronts), newcomer.served_at_s)
                heappush(heap, (newcomer.rank, next(numbers), front, fronts, newcomer, newcomer.tag_s))
                newcomer = next(waiting, None)
            _, _, front, fronts, sibling, tag_s = heappop(heap)
            yield front
            following = next(fronts, None)
            if following is not None:
                tag_s += front.place.estimate_s / sibling.weight
                front = self._seen(following, now_s)
                heappush(heap, (front.rank(tag_s * price), next(numbers), front, fronts, sibling, tag_s))

    def _seen(self, front: Front, served_at_s: float) -> Front:
        """The sibling's front as others see it: it has been there at most since the sibling's last turn."""
        if not self._price or served_at_s <= front.since_s:
            return front
        return Front(front.place, served_at_s)

    def _rank(self, sibling: _Sibling) -> None:
        """Put the sibling where it belongs now, or forget it when nothing of it waits."""
        if sibling.branch:
            front = self._seen(sibling.branch.front(), sibling.served_at_s)
            rank = front.rank(sibling.tag_s * self._price)
            sibling.front = front
            if sibling.ticket is not None:
                if rank == sibling.rank:
                    return
                self._order.drop(sibling.ticket)
            sibling.rank = rank
            sibling.ticket = self._order.add(rank, sibling)
            return
        if sibling.ticket is not None:
            self._order.drop(sibling.ticket)
        del self._siblings[sibling.name]
        if sibling.tag_s > self._virtual_s:
            self._left[sibling.name] = sibling.tag_s
        self._forget_some()

    def _forget_some(self) -> None:
        """Tags of the absent that say nothing any more go, once there are many."""
        if len(self._left) > 2 * len(self._siblings) + NAMES_KEPT:
            self._left = {name: tag_s for name, tag_s in self._left.items() if tag_s > self._virtual_s}
