"""What every stage shares: where its files live, a log with the time left, and files that are never half written."""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Callable
from pathlib import Path

DEFAULT_WORK = Path(__file__).resolve().parents[1] / "build" / "training"


def stage_parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser with the option every stage has: `--work DIR`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="directory for data, checkpoints and logs")
    return parser


class StageLog:
    """Prints progress of one stage and appends it to WORK/logs/STAGE.log."""

    def __init__(self, work: Path, stage: str) -> None:
        (work / "logs").mkdir(parents=True, exist_ok=True)
        self._file = (work / "logs" / f"{stage}.log").open("a", encoding="utf-8")
        self._started_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the stage began in this process."""
        return time.monotonic() - self._started_s

    def write(self, text: str) -> None:
        """One line, stamped with the time of day and the seconds since the stage began."""
        line = f"{time.strftime('%H:%M:%S')} {self.elapsed_s:7.0f}s  {text}"
        print(line, flush=True)
        self._file.write(line + "\n")
        self._file.flush()

    def progress(self, done: int, total: int, since: int, unit: str, detail: str = "", since_s: float = 0.0) -> None:
        """One line with rate and time left; `since` is how much was done when the stage was `since_s` old."""
        rate = (done - since) / max(self.elapsed_s - since_s, 1e-9)
        left_min = (total - done) / max(rate, 1e-9) / 60
        self.write(f"{done}/{total} {unit}, {rate:.1f}/s, {left_min:.1f} min left  {detail}".rstrip())


def write_whole(path: Path, write: Callable[[io.BufferedWriter], None]) -> None:
    """Write a file so that a reader, or a crash, sees either the old content or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
