"""Which deadlines can be kept: as many of them as possible, weighted, and what is left of the time until it gets tight.

Theory of operation. The jobs whose latest start comes first are looked at in that order (earliest deadline first). As
soon as one of them would start too late, the one among those looked at that costs most per weight is given up (Moore
and Hodgson's rule, which misses the fewest deadlines on one machine). Given up means only that the others no longer
wait for it: it still runs when there is room.

The machines are those that can run these jobs, each free from some time on (`Capacity`). Work is taken to flow to
whichever is free, as if jobs could be split; so the work ahead of a job says when it starts.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from heliograph.scheduling.fairness import Place

LOOKED_AT_MAX = 64
"""Jobs looked at per decision, nearest deadline first."""

ROOM_S_UNBOUNDED = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The first deadline to keep (None: there is none), and for how many seconds the machine that is free now may run
    something else first."""

    first: Place | None = None
    room_s: float = ROOM_S_UNBOUNDED


class Capacity:
    """Machines by the seconds from now after which each is free. At least one; they may come in any order."""

    def __init__(self, free_in_s: Sequence[float]) -> None:
        self._free_in_s = sorted(free_in_s) or [0.0]
        self._done_s = [0.0]  # work done by the time at which the next machine is free
        for number in range(1, len(self._free_in_s)):
            gap_s = self._free_in_s[number] - self._free_in_s[number - 1]
            self._done_s.append(self._done_s[-1] + number * gap_s)

    def reached_in_s(self, work_s: float) -> float:
        """Seconds from now until so many machine-seconds of work have been begun, and the next can be."""
        number = bisect_right(self._done_s, work_s)
        return self._free_in_s[number - 1] + (work_s - self._done_s[number - 1]) / number

    def without_first_s(self, by_s: float) -> float:
        """Machine-seconds that all machines but the one that is free first can do in the next `by_s` seconds."""
        number = bisect_right(self._free_in_s, by_s)
        if number == 0:
            return 0.0
        whole_s = self._done_s[number - 1] + number * (by_s - self._free_in_s[number - 1])
        return whole_s - (by_s - self._free_in_s[0])


def outlook(places: Iterable[Place], *, free_in_s: Sequence[float], now_s: float) -> Outlook:
    """What can be kept of `places`, which come by latest start; a place without one is our bug.

    `free_in_s` are the seconds until each machine is free; who asks has the first of them to give.
    """
    capacity = Capacity(free_in_s)
    kept: list[Place] = []
    dearest: list[tuple[float, int, int]] = []
    given_up: set[int] = set()
    total_s = 0.0
    for index, place in enumerate(places):
        latest_start_s = _latest_start_s(place)
        kept.append(place)
        heappush(dearest, (-place.estimate_s / place.weight, -place.sequence, index))
        start_s = now_s + capacity.reached_in_s(total_s)
        total_s += place.estimate_s
        if start_s > latest_start_s:
            _, _, dropped = heappop(dearest)
            given_up.add(dropped)
            total_s -= kept[dropped].estimate_s
    first: Place | None = None
    room_s, before_s = ROOM_S_UNBOUNDED, 0.0
    for index, place in enumerate(kept):
        if index in given_up:
            continue
        first = place if first is None else first
        left_s = _latest_start_s(place) - now_s
        others_s = capacity.without_first_s(left_s)
        if others_s <= before_s:
            room_s = min(room_s, left_s - (before_s - others_s))
        before_s += place.estimate_s
    return Outlook(first=first, room_s=room_s)


def _latest_start_s(place: Place) -> float:
    assert place.latest_start_s is not None, f"job {place.job_id} has no deadline"
    return place.latest_start_s
