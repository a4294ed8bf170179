"""Which objects were stored a moment ago, by a clock that nobody sets.

Whoever deletes what no output names goes by an object's age, which is told by clocks that may be wrong by days: this
machine's wall clock, or the object store's. An object of the last hour is never deleted as old, whatever they say: its
output may be about to be written down.
"""

from collections import OrderedDict

WINDOW_S = 3_600.0
NAMES_MAX = 100_000
"""At most so many are remembered, the newest: about 20 MB, and an hour of a million pictures a day."""


class RecentPuts:
    """Names with the time at which each was last put, in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._at_s: OrderedDict[str, float] = OrderedDict()

    def note(self, name: str, *, now_s: float) -> None:
        """It is put now."""
        self._at_s[name] = now_s
        self._at_s.move_to_end(name)
        while len(self._at_s) > NAMES_MAX or next(iter(self._at_s.values())) < now_s - WINDOW_S:
            self._at_s.popitem(last=False)

    def has(self, name: str, *, now_s: float, within_s: float = WINDOW_S) -> bool:
        """It was put within the last seconds, an hour at most."""
        return self._at_s.get(name, now_s - 2 * WINDOW_S) >= now_s - within_s
