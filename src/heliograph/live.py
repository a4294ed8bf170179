"""Live fan-out: whoever watches a job gets its newest state and previews, however slowly they read.

A watcher has one slot per kind of news instead of a queue: what it has not read yet is overwritten by newer news of the
same kind, so memory is bounded by the number of watchers and nobody's slow connection holds anybody else up. News is
read in the order in which it arrived, and nothing counts after the final update.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from heliograph.domain.errors import Overloaded
from heliograph.domain.events import StepDone
from heliograph.domain.ids import JobId
from heliograph.domain.views import JobStatus

WATCHERS_MAX_PER_JOB = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusUpdate:
    """The job entered a state; the last one watchers get is terminal."""

    status: JobStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressUpdate:
    """The job's step, position or ETA changed."""

    status: JobStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewUpdate:
    """Picture `index` (from 0) as it looks after `step` steps, as JPEG."""

    index: int
    step: int
    steps: int
    jpeg: bytes


Update = StatusUpdate | ProgressUpdate | PreviewUpdate


class Watcher:
    """One reader's slots: status, progress and a preview per picture. Iterate it for updates; the final one ends it."""

    def __init__(self) -> None:
        self._slots: dict[type[Update] | int, Update] = {}
        self._news = asyncio.Event()
        self._is_over = False

    def put(self, update: Update) -> None:
        """Keep the newest update of each kind, newest last; whatever comes after the final update is too late."""
        if self._is_over:
            return
        slot = update.index if isinstance(update, PreviewUpdate) else type(update)
        self._slots.pop(slot, None)
        self._slots[slot] = update
        self._is_over = isinstance(update, StatusUpdate) and update.status.view.job.state.is_terminal
        self._news.set()

    def end(self) -> None:
        """No more news will come, although the job has not ended."""
        self._is_over = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[Update]:
        while True:
            while self._slots:
                yield self._slots.pop(next(iter(self._slots)))
            if self._is_over:
                return
            self._news.clear()
            await self._news.wait()


class LiveFeed:
    """Routes news of jobs to those who watch them. Costs nothing for a job that nobody watches."""

    def __init__(self) -> None:
        self._watchers: defaultdict[JobId, list[Watcher]] = defaultdict(list)

    def subscribe(self, job_id: JobId) -> Watcher:
        """A new watcher of the job. Raises `Overloaded` beyond 64 watchers of one job."""
        watchers = self._watchers[job_id]
        if len(watchers) >= WATCHERS_MAX_PER_JOB:
            raise Overloaded(
                f"job {job_id} has {WATCHERS_MAX_PER_JOB} watchers already; close one of them",
                code="too_many_streams",
                retry_after_s=5,
            )
        watcher = Watcher()
        watchers.append(watcher)
        return watcher

    def unsubscribe(self, job_id: JobId, watcher: Watcher) -> None:
        """Forget the watcher; harmless when repeated."""
        watchers = self._watchers.get(job_id)
        if watchers is None:
            return
        if watcher in watchers:
            watchers.remove(watcher)
        if not watchers:
            del self._watchers[job_id]

    def close(self) -> None:
        """End every watcher: whoever published news is gone."""
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.end()

    def watched(self) -> tuple[JobId, ...]:
        """Jobs somebody watches, in order of the first watcher's arrival."""
        return tuple(self._watchers)

    def is_watched(self, job_id: JobId) -> bool:
        """Somebody watches the job."""
        return job_id in self._watchers

    def publish(self, job_id: JobId, update: Callable[[], Update]) -> None:
        """Give every watcher of the job `update()`, which is not called when there is none."""
        watchers = self._watchers.get(job_id)
        if watchers:
            news = update()
            for watcher in watchers:
                watcher.put(news)

    def publish_previews(self, step: StepDone) -> None:
        """Give every watcher of the job the step's previews."""
        for watcher in self._watchers.get(step.job_id, ()):
            for index, jpeg in enumerate(step.previews):
                watcher.put(PreviewUpdate(index=index, step=step.step, steps=step.steps, jpeg=jpeg))
