"""Which deadlines can be kept: as many of them as possible, weighted, and what is left of the time until it gets tight.

Theory of operation. The jobs whose latest start comes first are looked at in that order (earliest deadline first). As
soon as one of them would start too late, the one among those looked at that costs most per weight is given up (Moore
and Hodgson's rule, which misses the fewest deadlines on one machine; `servers` machines are taken for one that is so
many times as fast). Given up means only that the others no longer wait for it: it still runs when there is room.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush

from heliograph.scheduling.fairness import Place

LOOKED_AT_MAX = 64
"""Jobs looked at per decision, nearest deadline first."""

ROOM_S_UNBOUNDED = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The first deadline to keep (None: there is none), and for how many seconds something else may run first."""

    first: Place | None = None
    room_s: float = ROOM_S_UNBOUNDED


def outlook(places: Iterable[Place], *, servers: int, now_s: float) -> Outlook:
    """What can be kept of `places`, which come by latest start; a place without one is our bug."""
    machines = max(servers, 1)
    kept: list[Place] = []
    dearest: list[tuple[float, int, int]] = []
    given_up: set[int] = set()
    total_s = 0.0
    for index, place in enumerate(places):
        latest_start_s = _latest_start_s(place)
        kept.append(place)
        heappush(dearest, (-place.estimate_s / place.weight, -place.sequence, index))
        start_s = now_s + total_s / machines
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
        room_s = min(room_s, _latest_start_s(place) - now_s - before_s / machines)
        before_s += place.estimate_s
    return Outlook(first=first, room_s=room_s)


def _latest_start_s(place: Place) -> float:
    assert place.latest_start_s is not None, f"job {place.job_id} has no deadline"
    return place.latest_start_s
