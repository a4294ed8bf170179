"""Keeps the monitor's eyes open while the server runs, and tells the log when a finding is new."""

import asyncio
from collections.abc import Mapping

import structlog

from heliograph.insight import Insight
from heliograph.monitoring import Cause
from heliograph.nvml import Nvml
from heliograph.observability import Metrics
from heliograph.pipeline import Pipeline

LOOK_EVERY_S = 5.0
DIAGNOSE_EVERY_S = 15.0

_log = structlog.get_logger("heliograph.watching")


class Watching:
    """Looks at the pipeline every few seconds, and at this machine's GPUs. `counts` are the findings of the last
    diagnosis, for the metrics."""

    def __init__(self, insight: Insight, pipeline: Pipeline, metrics: Metrics, driver: Nvml) -> None:
        self._insight = insight
        self._pipeline = pipeline
        self._metrics = metrics
        self._driver = driver
        self._told: frozenset[tuple[Cause, str | None]] = frozenset()
        self.counts: Mapping[str, int] = {}

    async def run(self) -> None:
        """Until cancelled."""
        every = round(DIAGNOSE_EVERY_S / LOOK_EVERY_S)
        looks = 0
        while True:
            scheduler = self._pipeline.scheduler
            fleet = scheduler.fleet_view()
            self._insight.monitor.look(fleet, scheduler.queue_view(), self._pipeline.orders.halts)
            self._metrics.look(fleet)
            if looks % every == 0:
                self._insight.monitor.gpus = await asyncio.to_thread(self._driver.read)
                held = [each.model_id for each in self._insight.quality.all() if each.verdict.is_held]
                self._metrics.read(self._insight.monitor.gpus, held)
                self._diagnose()
            looks += 1
            await asyncio.sleep(LOOK_EVERY_S)

    def _diagnose(self) -> None:
        problems = {part: error.message for part, error in self._pipeline.problems.items()}
        found = [finding for finding, _ in self._insight.monitor.diagnosis(problems).findings]
        self.counts = {cause.value: sum(each.cause is cause for each in found) for cause in Cause}
        for finding in found:
            if (finding.cause, finding.subject) not in self._told:
                severity = finding.severity.value
                _log.warning("finding", cause=finding.cause.value, severity=severity, says=finding.summary)
        self._told = frozenset((finding.cause, finding.subject) for finding in found)
