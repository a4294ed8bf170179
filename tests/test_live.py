"""The live feed: what readers of any speed get to see, and what they cost."""

import asyncio

import pytest

from heliograph.domain.errors import Overloaded
from heliograph.domain.ids import JobId
from heliograph.domain.job import JobState
from heliograph.live import (
    WATCHERS_MAX_PER_JOB,
    LiveFeed,
    PreviewUpdate,
    ProgressUpdate,
    StatusUpdate,
    Update,
    Watcher,
)
from tests.builders import a_job, a_status, step_done

CAT = JobId("cat")


def status(state: JobState) -> StatusUpdate:
    return StatusUpdate(status=a_status(a_job("cat", state=state)))


def progress(step: int) -> ProgressUpdate:
    return ProgressUpdate(status=a_status(a_job("cat", state=JobState.RUNNING), step=step))


def preview(index: int, step: int) -> PreviewUpdate:
    return PreviewUpdate(index=index, step=step, steps=10, jpeg=b"jpeg")


PENDING, RUNNING, COMPLETED = (status(state) for state in (JobState.PENDING, JobState.RUNNING, JobState.COMPLETED))
PROGRESS = [progress(step) for step in range(10)]


async def all_news(watcher: Watcher) -> list[Update]:
    async with asyncio.timeout(5):
        return [update async for update in watcher]


@pytest.mark.parametrize(
    ("put", "read"),
    [
        pytest.param([RUNNING, PROGRESS[1]], [RUNNING, PROGRESS[1]], id="in order of arrival"),
        pytest.param([PENDING, RUNNING], [RUNNING], id="the newest state"),
        pytest.param([PROGRESS[1], PROGRESS[3]], [PROGRESS[3]], id="the newest progress"),
        pytest.param([preview(0, 1), preview(1, 1), preview(0, 2)], [preview(1, 1), preview(0, 2)], id="each picture"),
        pytest.param([PROGRESS[9], RUNNING], [PROGRESS[9], RUNNING], id="states and progress apart"),
        pytest.param([RUNNING, PROGRESS[1], PENDING], [PROGRESS[1], PENDING], id="newest last"),
    ],
)
async def test_a_reader_who_was_away_gets_the_newest_of_each_kind(put: list[Update], read: list[Update]) -> None:
    watcher = Watcher()
    for update in (*put, preview(7, 9), COMPLETED):
        watcher.put(update)
    expected = [update for update in read if not isinstance(update, StatusUpdate)]
    assert await all_news(watcher) == [*expected, preview(7, 9), COMPLETED]
    reader = aiter(fresh := Watcher())
    for update in put:
        fresh.put(update)
    assert [await anext(reader) for _ in read] == read


@pytest.mark.parametrize("state", [state for state in JobState if state.is_terminal])
async def test_nothing_counts_after_the_end(state: JobState) -> None:
    watcher = Watcher()
    for update in (status(state), RUNNING, PROGRESS[3], preview(0, 3), COMPLETED):
        watcher.put(update)
    assert await all_news(watcher) == [status(state)]


async def test_a_slow_reader_skips_what_became_old_while_it_was_busy() -> None:
    watcher = Watcher()
    reader = aiter(watcher)
    for update in (RUNNING, PROGRESS[1], preview(0, 1)):
        watcher.put(update)
    assert await anext(reader) == RUNNING
    for update in (PROGRESS[2], preview(0, 2), PROGRESS[3], COMPLETED):
        watcher.put(update)
    assert [update async for update in reader] == [preview(0, 2), PROGRESS[3], COMPLETED]


async def test_a_reader_waits_for_news_and_holds_nobody_up() -> None:
    watcher = Watcher()
    reading = asyncio.ensure_future(all_news(watcher))
    await asyncio.sleep(0)
    watcher.put(PROGRESS[1])
    await asyncio.sleep(0)
    watcher.put(COMPLETED)
    assert await reading == [PROGRESS[1], COMPLETED]


async def test_a_watcher_s_memory_does_not_grow_with_the_news() -> None:
    watcher = Watcher()
    for step in range(1_000):
        watcher.put(progress(step))
        watcher.put(preview(step % 4, step))
        watcher.put(RUNNING)
    watcher.put(COMPLETED)
    assert len(await all_news(watcher)) == 1 + 4 + 1


# --- the feed --------------------------------------------------------------------------------------------------------


async def test_everybody_who_watches_a_job_gets_its_news_and_nobody_else() -> None:
    feed = LiveFeed()
    first, second, other = feed.subscribe(CAT), feed.subscribe(CAT), feed.subscribe(JobId("dog"))
    feed.publish(CAT, lambda: COMPLETED)
    assert await all_news(first) == await all_news(second) == [COMPLETED]
    other.put(status(JobState.FAILED))
    assert await all_news(other) == [status(JobState.FAILED)]


async def test_news_of_a_job_that_nobody_watches_is_not_even_made() -> None:
    feed = LiveFeed()

    def made_in_vain() -> Update:
        raise AssertionError("nobody watches")

    feed.publish(CAT, made_in_vain)
    feed.unsubscribe(CAT, feed.subscribe(CAT))
    feed.publish(CAT, made_in_vain)
    feed.publish_previews(step_done("cat", previews=(b"jpeg",)))


async def test_previews_of_a_step_come_one_per_picture() -> None:
    feed = LiveFeed()
    watcher = feed.subscribe(CAT)
    feed.publish_previews(step_done("cat", 4, previews=(b"one", b"two")))
    feed.publish(CAT, lambda: COMPLETED)
    assert await all_news(watcher) == [
        PreviewUpdate(index=0, step=4, steps=10, jpeg=b"one"),
        PreviewUpdate(index=1, step=4, steps=10, jpeg=b"two"),
        COMPLETED,
    ]


async def test_a_job_has_a_bounded_number_of_watchers() -> None:
    feed = LiveFeed()
    watchers = [feed.subscribe(CAT) for _ in range(WATCHERS_MAX_PER_JOB)]
    with pytest.raises(Overloaded) as refused:
        feed.subscribe(CAT)
    assert refused.value.code == "too_many_streams"
    assert refused.value.retry_after_s is not None
    feed.subscribe(JobId("dog"))
    feed.unsubscribe(CAT, watchers[0])
    feed.subscribe(CAT)


async def test_whoever_leaves_is_forgotten_once() -> None:
    feed = LiveFeed()
    stays, leaves = feed.subscribe(CAT), feed.subscribe(CAT)
    for _ in range(2):
        feed.unsubscribe(CAT, leaves)
        assert feed.is_watched(CAT)
    for _ in range(2):
        feed.unsubscribe(CAT, stays)
        assert not feed.is_watched(CAT)
    assert feed.watched() == ()


async def test_watched_jobs_are_listed_in_order_of_their_first_watcher() -> None:
    feed = LiveFeed()
    for name in ("dog", "cat", "dog"):
        feed.subscribe(JobId(name))
    assert feed.watched() == ("dog", "cat")
