"""The waiting line of one model: who runs next, by turns and by deadlines; every operation O(log n) in its length.

By turns (`fairness.py`) until the deadlines ahead leave no room for it; then the nearest deadline that can be kept
(`deadlines.py`). While jobs without a deadline wait, at least every `TURN_EVERY`-th choice is made by turns, so that
deadlines cannot starve those who have none.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice

from sortedcontainers import SortedList

from heliograph.domain.ids import JobId
from heliograph.domain.tiers import Tier
from heliograph.scheduling.deadlines import LOOKED_AT_MAX as DEADLINES_LOOKED_AT_MAX
from heliograph.scheduling.deadlines import outlook
from heliograph.scheduling.fairness import NOBODY_HELD, Front, Held, Jobs, Place, Turns

LOOKED_AT_MAX = 32
"""The order of so many jobs is worked out turn by turn; farther back the virtual arrival tells the position, and the
mean of the line stands in for each estimate."""

TURN_EVERY = 4


class PendingLine:
    """Jobs in line. `price` is how many seconds of waiting one GPU-second of lead over others costs.

    `weight_of` says how much of the whole a job's tenant is due, relative to 1.
    """

    def __init__(self, *, price: float = 1.0, weight_of: Callable[[Place], float] = lambda place: 1.0) -> None:
        self._places: dict[JobId, Place] = {}
        self._by_arrival: SortedList[tuple[float, int, JobId]] = SortedList()
        self._by_latest_start: SortedList[tuple[float, int, Place]] = SortedList()  # numbers differ: ties end there
        self._turns = Turns(
            name_of=lambda place: place.tier,
            weight_of=lambda place: 1.0,
            price=0.0,
            holds=Held.holds_tier,
            grow=lambda: Turns(
                name_of=lambda place: place.tenant_id,
                weight_of=weight_of,
                price=price,
                holds=Held.holds_tenant,
                grow=lambda: Turns(
                    name_of=lambda place: place.end_user,
                    weight_of=lambda place: 1.0,
                    price=price,
                    holds=Held.holds_user,
                    grow=Jobs,
                ),
            ),
        )
        self._by_tier: Counter[Tier] = Counter()
        self._total_s = 0.0
        self._shortest_s = 0.0
        self._by_deadline_in_a_row = 0
        self._upcoming: list[Place] | None = None

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, job_id: JobId) -> bool:
        return job_id in self._places

    @property
    def total_s(self) -> float:
        """Estimated GPU-seconds of the whole line."""
        return max(self._total_s, 0.0)

    @property
    def shortest_s(self) -> float:
        """No job in line takes less. Whoever was shortest may have left since: it is exact for an empty line only."""
        return self._shortest_s

    def add(self, place: Place) -> None:
        """Put the job in line."""
        assert place.job_id not in self._places, f"job {place.job_id} waits already"
        self._shortest_s = min(place.estimate_s, self._shortest_s) if self._places else place.estimate_s
        self._places[place.job_id] = place
        self._by_arrival.add((*place.virtual_arrival, place.job_id))
        if place.latest_start_s is not None:
            self._by_latest_start.add((place.latest_start_s, place.sequence, place))
        self._turns.add(place)
        self._by_tier[place.tier] += 1
        self._total_s += place.estimate_s
        self._upcoming = None

    def remove(self, job_id: JobId) -> bool:
        """Take the job out of line; False when it was not there."""
        place = self._places.get(job_id)
        if place is None:
            return False
        self._turns.remove(place)
        self._forget(place)
        return True

    def serve(self, job_id: JobId, *, now_s: float) -> Place:
        """Take the job out of line because it runs now; gives the place it had."""
        place = self._places[job_id]
        is_by_turn = self._turns.front().place is place
        self._by_deadline_in_a_row = 0 if is_by_turn else self._by_deadline_in_a_row + 1
        self._turns.serve(place, now_s)
        self._forget(place)
        return place

    def charge(self, place: Place, *, now_s: float) -> None:
        """A job of another line runs now on a GPU that this line wants, too: its owners have had a turn."""
        self._turns.charge(place, now_s)
        self._upcoming = None

    def pass_by(self) -> None:
        """Somebody runs without having stood in the empty line; there was nobody to take turns with."""
        assert not self._places, "somebody stands in line"
        self._by_deadline_in_a_row = 0

    def front(self) -> Front:
        """Whoever's turn it is, whatever the deadlines say; the line must not be empty."""
        return self._turns.front()

    def choose(
        self, *, free_in_s: Callable[[], Sequence[float]], now_s: float, held: Held = NOBODY_HELD
    ) -> JobId | None:
        """Who runs next on the first of the workers that are free in so many seconds; None: all are held back."""
        found = choose_among([self], free_in_s=free_in_s, now_s=now_s, held=held)
        return None if found is None else found[1]

    def passed_over(self) -> None:
        """Somebody of another line ran by deadline where this line might have had the turn."""
        self._by_deadline_in_a_row += 1

    @property
    def is_turn_due(self) -> bool:
        """Deadlines have been preferred for long enough to those who wait without one."""
        others_wait = len(self._by_latest_start) < len(self._places)
        return others_wait and self._by_deadline_in_a_row >= TURN_EVERY - 1

    @property
    def has_deadlines(self) -> bool:
        """Somebody with a deadline waits."""
        return bool(self._by_latest_start)

    def by_latest_start(self) -> Iterator[tuple[float, int, Place]]:
        """Those with a deadline, the nearest first."""
        return iter(self._by_latest_start)

    def first_free(self, held: Held) -> Front | None:
        """Whose turn it is among those who are not held back."""
        return self._turns.first_free(held)

    def position(self, job_id: JobId, *, now_s: float = 0.0) -> int:
        """1 for whoever's turn is next."""
        upcoming = self._walked(now_s)
        for index, place in enumerate(upcoming):
            if place.job_id == job_id:
                return index + 1
        by_arrival = self._before(self._places[job_id])
        return max(by_arrival, len(upcoming)) + 1

    def ahead_s(self, job_id: JobId, *, now_s: float = 0.0) -> float:
        """Estimated GPU-seconds of the jobs ahead of this one."""
        if len(self._places) == 1:
            return 0.0
        index = self.position(job_id, now_s=now_s) - 1
        near = sum(place.estimate_s for place in self._walked(now_s)[:index])
        far = max(index - LOOKED_AT_MAX, 0)
        return near + far * (self.total_s / max(len(self), 1))

    def ahead_of_newcomer_s(self, place: Place) -> float:
        """Estimated GPU-seconds that this newcomer would find ahead of it, the mean standing in for each job."""
        return self._before(place) * (self.total_s / max(len(self), 1))

    def firm_s(self, newcomer: Place) -> float:
        """Estimated GPU-seconds of earlier deadlines that would not be given up for this newcomer's.

        Without a deadline there are none. At most `DEADLINES_LOOKED_AT_MAX` are looked at.
        """
        if newcomer.latest_start_s is None:
            return 0.0
        start = (newcomer.latest_start_s, newcomer.sequence)
        return sum(
            place.estimate_s
            for latest_start_s, sequence, place in islice(self._by_latest_start, DEADLINES_LOOKED_AT_MAX)
            if (latest_start_s, sequence) <= start
            and place.estimate_s / place.weight <= newcomer.estimate_s / newcomer.weight
        )

    def number_of(self, tiers: Iterable[Tier]) -> int:
        """How many jobs of these tiers wait."""
        return sum(self._by_tier[tier] for tier in tiers)

    def job_ids(self) -> tuple[JobId, ...]:
        """Everybody, by virtual arrival."""
        return tuple(job_id for _, _, job_id in self._by_arrival)

    def _before(self, place: Place) -> int:
        """How many have an earlier virtual arrival."""
        return self._by_arrival.bisect_left((*place.virtual_arrival, JobId("")))

    def _walked(self, now_s: float) -> list[Place]:
        """The next `LOOKED_AT_MAX` by turns; worked out once between two changes of the line."""
        if self._upcoming is None:
            self._upcoming = [front.place for front in islice(self._turns.walk(now_s), LOOKED_AT_MAX)]
        return self._upcoming

    def _forget(self, place: Place) -> None:
        del self._places[place.job_id]
        self._by_tier[place.tier] -= 1
        self._by_arrival.remove((*place.virtual_arrival, place.job_id))
        if place.latest_start_s is not None:
            self._by_latest_start.remove((place.latest_start_s, place.sequence, place))
        self._total_s = self._total_s - place.estimate_s if self._places else 0.0
        self._upcoming = None


def choose_among(
    lines: Sequence[PendingLine],
    *,
    free_in_s: Callable[[], Sequence[float]],
    now_s: float,
    held: Held = NOBODY_HELD,
) -> tuple[PendingLine, JobId] | None:
    """Who runs next where all of these lines are served, and the line it stands in; None: all are held back.

    `free_in_s` is asked only where there are deadlines: seconds until each machine is free. The first is given away.
    """
    turns = [
        (front.rank(0.0), index, front) for index, line in enumerate(lines) if line and (front := line.first_free(held))
    ]
    if not turns:
        return None
    for _, index, front in turns:
        if lines[index].is_turn_due:
            return lines[index], front.place.job_id
    _, index, front = min(turns)
    by_turn = (lines[index], front.place.job_id)
    deadlines = list(islice(merge(*(line.by_latest_start() for line in lines)), DEADLINES_LOOKED_AT_MAX))
    if not deadlines:
        return by_turn
    places = (place for _, _, place in deadlines if not held.holds(place))
    ahead = outlook(places, free_in_s=free_in_s(), now_s=now_s)
    if ahead.first is None:
        return by_turn
    if ahead.room_s >= front.place.estimate_s and front.place.latest_start_s is None:
        return by_turn
    first = ahead.first.job_id
    return next((line, first) for line in lines if first in line)
