"""Turns code that calls back into code that can be asked for the next step.

A library that runs a whole picture in one call and reports each step to a callback cannot be stopped between steps from
outside, nor looked at while it stands still. So it runs in a thread of its own, and its callback waits until whoever
consumes the steps has taken one and wants the next. Only one of the two threads does anything at any time.
"""

import threading
from collections.abc import Callable, Generator
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")
Emit = Callable[[Item], None]
"""Hands out an item, and returns when the next one is wanted."""


class Stopped(BaseException):
    """Raised in the callback of a run that nobody wants to go on; no `except Exception` of the library catches it."""


class StepThread(Generic[Item]):
    """One daemon thread for all runs of an engine: libraries keep pools and handles for each thread that calls them.

    Runs take turns. A run that is neither finished nor closed keeps the others waiting.
    """

    def __init__(self, name: str) -> None:
        self._runs: SimpleQueue[_Run[Item]] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def run(self, work: Callable[[Emit[Item]], None]) -> Generator[Item]:
        """What `work` emits, one item at a time; what it raises is raised here. Closing it stops `work`."""
        run = _Run(work)
        self._runs.put(run)
        try:
            while (item := run.next()) is not None:
                yield item
        finally:
            run.stop()

    def _work(self) -> None:
        while True:
            self._runs.get().carry_out()


class _Run(Generic[Item]):
    def __init__(self, work: Callable[[Emit[Item]], None]) -> None:
        self._work = work
        self._items: SimpleQueue[Item | BaseException | None] = SimpleQueue()
        self._wanted: SimpleQueue[bool] = SimpleQueue()
        self._is_over = False

    def next(self) -> Item | None:
        """The next item, or None at the end."""
        self._wanted.put(True)
        item = self._items.get()
        if item is None or isinstance(item, BaseException):
            self._is_over = True
        if isinstance(item, BaseException):
            raise item
        return item

    def stop(self) -> None:
        """Returns once the work has ended, at the latest with its next item."""
        while not self._is_over:
            self._wanted.put(False)
            item = self._items.get()
            self._is_over = item is None or isinstance(item, BaseException)

    def carry_out(self) -> None:
        try:
            self._wait()
            self._work(self._emit)
        except Stopped:
            self._items.put(None)
        except BaseException as error:  # whatever it is, it belongs to whoever consumes the run
            self._items.put(error)
        else:
            self._items.put(None)

    def _emit(self, item: Item) -> None:
        self._items.put(item)
        self._wait()

    def _wait(self) -> None:
        if not self._wanted.get():
            raise Stopped
