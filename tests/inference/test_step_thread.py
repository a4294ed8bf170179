"""Code that calls back becomes code that is asked for the next step."""

import threading
from collections.abc import Generator

import pytest

from heliograph.inference.step_thread import Emit, StepThread


def counting(to: int, seen: list[int]) -> Generator[int]:
    def work(emit: Emit[int]) -> None:
        for number in range(1, to + 1):
            seen.append(number)
            emit(number)

    return StepThread[int]("counting").run(work)


def test_one_item_for_each_time_it_is_asked() -> None:
    seen: list[int] = []
    numbers = counting(3, seen)
    assert seen == []
    assert next(numbers) == 1
    assert seen == [1]
    assert list(numbers) == [2, 3]


def test_closing_stops_the_work_where_it_stands() -> None:
    seen: list[int] = []
    numbers = counting(1_000, seen)
    next(numbers)
    next(numbers)
    numbers.close()
    assert seen == [1, 2]
    assert list(numbers) == []


def test_what_the_work_raises_is_raised_to_whoever_asks() -> None:
    def work(emit: Emit[int]) -> None:
        emit(1)
        raise KeyError("a name")

    numbers = StepThread[int]("failing").run(work)
    assert next(numbers) == 1
    with pytest.raises(KeyError, match="a name"):
        next(numbers)


def test_no_broad_except_of_the_work_swallows_the_stop() -> None:
    cleaned: list[str] = []

    def work(emit: Emit[int]) -> None:
        try:
            emit(1)
            emit(2)
        except Exception:
            cleaned.append("swallowed")
        finally:
            cleaned.append("cleaned")

    numbers = StepThread[int]("stubborn").run(work)
    next(numbers)
    numbers.close()
    assert cleaned == ["cleaned"]


def test_runs_take_turns_in_one_thread() -> None:
    thread, names = StepThread[str]("the only one"), set[str]()

    def work(emit: Emit[str]) -> None:
        names.add(threading.current_thread().name)
        emit("done")

    assert [list(thread.run(work)) for _ in range(3)] == [["done"]] * 3
    assert names == {"the only one"}
