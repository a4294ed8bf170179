"""Everything that watches a running server, as one sink of lifecycle events, and where it is kept over a restart."""

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path

import structlog

from heliograph.domain.lifecycle import LifecycleEvent
from heliograph.monitoring import Latency, Monitor, Objectives
from heliograph.quality_watch import QualityWatch

_log = structlog.get_logger("heliograph.insight")


@dataclass(frozen=True, slots=True, kw_only=True)
class Insight:
    """What is wrong, how long people wait, how objectives stand, and how good pictures are."""

    monitor: Monitor
    latency: Latency
    objectives: Objectives
    quality: QualityWatch

    def __call__(self, event: LifecycleEvent) -> None:
        """Take note of one event."""
        self.monitor(event)
        self.latency(event)
        self.objectives(event)
        self.quality(event)


class InsightFile:
    """Keeps what would be missed after a restart: thirty days of objectives, and what was usual for each revision."""

    def __init__(self, path: Path, insight: Insight) -> None:
        self._path = path
        self._insight = insight

    def read(self) -> None:
        """Take up what was kept. A damaged file costs the history, and nothing else: it is said and begun anew."""
        if not self._path.exists():
            return
        try:
            kept = json.loads(self._path.read_text())
            self._insight.objectives.restore(kept["objectives"])
            self._insight.quality.restore(kept["quality"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            _log.warning("history of objectives and quality is lost", file=str(self._path), reason=str(error))

    async def keep(self) -> None:
        """Write it down."""
        text = json.dumps(
            {"objectives": self._insight.objectives.state(), "quality": self._insight.quality.state()},
            separators=(",", ":"),
        )
        try:
            await asyncio.to_thread(self._write, text)
        except OSError as error:
            _log.warning("history of objectives and quality is not kept", reason=error.strerror)

    async def run(self, every_s: float) -> None:
        """Write it down now and then, and once more at the end."""
        try:
            while True:
                await asyncio.sleep(every_s)
                await self.keep()
        finally:
            await self.keep()

    def _write(self, text: str) -> None:
        draft = self._path.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        draft.replace(self._path)
