"""The waiting line of one model: sorted by virtual arrival, every operation O(log n) in its length."""

from sortedcontainers import SortedKeyList

from heliograph.domain.ids import JobId

Key = tuple[float, int]

LOOKED_AT_MAX = 256
"""Jobs ahead whose estimates are summed one by one; farther back the mean of the line stands in for each."""


class PendingLine:
    """Jobs by key, smallest first, with their estimated GPU-seconds."""

    def __init__(self) -> None:
        self._line: SortedKeyList[tuple[Key, JobId, float], Key] = SortedKeyList(key=lambda item: item[0])
        self._places: dict[JobId, tuple[Key, JobId, float]] = {}
        self._total_s = 0.0

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, job_id: JobId) -> bool:
        return job_id in self._places

    @property
    def total_s(self) -> float:
        """Estimated GPU-seconds of the whole line."""
        return max(self._total_s, 0.0)

    def add(self, job_id: JobId, key: Key, estimate_s: float) -> None:
        """Put the job in line."""
        assert job_id not in self._places, f"job {job_id} waits already"
        place = (key, job_id, estimate_s)
        self._places[job_id] = place
        self._line.add(place)
        self._total_s += estimate_s

    def remove(self, job_id: JobId) -> bool:
        """Take the job out of line; False when it was not there."""
        place = self._places.pop(job_id, None)
        if place is None:
            return False
        self._line.remove(place)
        self._total_s = self._total_s - place[2] if self._places else 0.0
        return True

    def first(self) -> JobId:
        """Whoever is next; the line must not be empty."""
        return self._line[0][1]

    def pop(self) -> JobId:
        """Take out whoever is next."""
        job_id = self.first()
        self.remove(job_id)
        return job_id

    def position(self, job_id: JobId) -> int:
        """1 for whoever is next."""
        return self._line.bisect_key_left(self._places[job_id][0]) + 1

    def ahead_s(self, job_id: JobId) -> float:
        """Estimated GPU-seconds of the jobs ahead of this one."""
        index = self.position(job_id) - 1
        near = sum(place[2] for place in self._line.islice(0, min(index, LOOKED_AT_MAX)))
        far = max(index - LOOKED_AT_MAX, 0)
        return near + far * (self.total_s / max(len(self), 1))

    def job_ids(self) -> tuple[JobId, ...]:
        """Everybody in order."""
        return tuple(place[1] for place in self._line)
