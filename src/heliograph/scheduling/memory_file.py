"""What was learned of the memory of runs, kept across restarts: one small JSON file, replaced as a whole.

What a crash loses is learned again by the next runs. A file that cannot be read is no fault worth stopping for.
"""

import asyncio
import json
import os
from pathlib import Path

from heliograph.scheduling.memory import RunMemory

KEEP_EVERY_S = 30.0


class MemoryFile:
    """The file at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[RunMemory, str | None]:
        """What was kept last, and why that is nothing where the file cannot be read."""
        memory = RunMemory()
        try:
            memory.restore(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            return RunMemory(), f"{self._path.name} cannot be read: {type(error).__name__}"
        return memory, None

    def write(self, memory: RunMemory) -> None:
        """Replace what was kept. Raises `OSError`."""
        draft = self._path.with_suffix(".new")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(memory.entries(), file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)

    async def keep(self, memory: RunMemory, *, every_s: float = KEEP_EVERY_S) -> None:
        """Write it whenever something was learned, and once more when this is cancelled."""
        kept = memory.changes
        try:
            while True:
                await asyncio.sleep(every_s)
                if memory.changes != kept:
                    kept = memory.changes
                    await asyncio.to_thread(self._try_to_write, memory)
        finally:
            if memory.changes != kept:
                self._try_to_write(memory)

    def _try_to_write(self, memory: RunMemory) -> None:
        """A full disk costs the estimates of a restart, and nothing now."""
        try:
            self.write(memory)
        except OSError:
            return
