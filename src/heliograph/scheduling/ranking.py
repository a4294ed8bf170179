"""Things in order of a rank that is fixed while they are in: the first is at hand, the rest can be walked through.

A heap of entries, with the entries that were taken out of its middle crossed off and swept out once they are as many
as the others. Adding and dropping are O(log n), amortised over the sweeps; looking at the first k is O(k log k),
however many there are. A sorted list would do the same and takes four times as long for it.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

Rank = tuple[float, float, int]
"""Smallest first."""

CROSSED_OFF_MAX = 32
"""So many may be crossed off in a short ranking before it is swept."""

_Item = TypeVar("_Item")


class Ranking(Generic[_Item]):
    """Items by rank; the same rank twice goes by who came first."""

    __slots__ = ("_crossed_off", "_heap", "_next")

    def __init__(self) -> None:
        self._heap: list[tuple[Rank, int, _Item]] = []
        self._crossed_off: set[int] | None = None  # most rankings are short, and nobody leaves them but from the front
        self._next = 0

    def __len__(self) -> int:
        return len(self._heap) - (len(self._crossed_off) if self._crossed_off else 0)

    def __bool__(self) -> bool:
        return bool(self._heap)  # the first is never crossed off

    @property
    def first(self) -> _Item:
        """Whoever has the smallest rank; there must be somebody."""
        return self._heap[0][2]

    def add(self, rank: Rank, item: _Item) -> int:
        """Put it in; the ticket is for `drop`."""
        self._next = ticket = self._next + 1
        heappush(self._heap, (rank, ticket, item))
        return ticket

    def drop(self, ticket: int) -> None:
        """Take it out; the ticket must be of something that is in."""
        heap = self._heap
        if heap[0][1] == ticket:
            heappop(heap)
        elif self._crossed_off is None:
            self._crossed_off = {ticket}
        else:
            self._crossed_off.add(ticket)
        crossed_off = self._crossed_off
        if not crossed_off:
            return
        while heap and heap[0][1] in crossed_off:
            crossed_off.remove(heappop(heap)[1])
        if len(crossed_off) > len(heap) // 2 + CROSSED_OFF_MAX:
            heap[:] = [entry for entry in heap if entry[1] not in crossed_off]
            heapify(heap)
            crossed_off.clear()

    def entries(self) -> int:
        """How many entries are kept, those crossed off included."""
        return len(self._heap)

    def __iter__(self) -> Iterator[_Item]:
        """Everybody in order; nothing may be added or dropped meanwhile."""
        heap, crossed_off = self._heap, self._crossed_off or ()
        # An entry's rank is below that of its two children, so the next one is always among the children of those seen.
        edge: list[tuple[Rank, int, int]] = []
        if heap:
            edge.append((heap[0][0], heap[0][1], 0))
        while edge:
            _, ticket, index = heappop(edge)
            if ticket not in crossed_off:
                yield heap[index][2]
            for child in (2 * index + 1, 2 * index + 2):
                if child < len(heap):
                    heappush(edge, (heap[child][0], heap[child][1], child))
