"""Wiring of everything that watches a server: beside `app.py`, because it is much and hangs together by itself."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from heliograph import __version__
from heliograph.domain.errors import Unavailable
from heliograph.domain.ids import ModelId
from heliograph.domain.lifecycle import LifecycleEvent
from heliograph.gateway.middleware import Answered
from heliograph.insight import Insight, InsightFile
from heliograph.monitoring import Latency, Monitor, Objective, Objectives
from heliograph.monitoring.families import CONTENT_TYPE, Snapshot, exposition
from heliograph.monitoring.objectives import Kind
from heliograph.nvml import Nvml
from heliograph.observability import Metrics, log_lifecycle
from heliograph.outbound import OutboundPolicy, checked_url, parsed_networks
from heliograph.outbound.http import OutboundHttp
from heliograph.pipeline import Pipeline
from heliograph.quality_watch import QualityWatch
from heliograph.settings import TelemetrySettings
from heliograph.tracing import TraceBook
from heliograph.watching import Watching

if TYPE_CHECKING:
    from heliograph.otlp import OtlpExporter

KEEP_EVERY_S = 300.0
EVERYWHERE = ("0.0.0.0/0", "::/0")
"""A collector is named by the operator, not by users: it may be anywhere."""
DEFAULT_OBJECTIVES = (
    Objective(name="completed", kind=Kind.AVAILABILITY, target=0.995),
    Objective(name="pro_within_60s", kind=Kind.LATENCY, target=0.95, threshold_s=60.0, tier="pro"),
)


@dataclass(slots=True)
class _Live:
    """The pipeline and what looks at it, once they are there: metrics are wanted by parts that are made before."""

    pipeline: Pipeline | None = None
    watching: Watching | None = None


class Telemetry:
    """Metrics, insight, traces and logs of one server. `sinks` are for the pipeline; `start` begins to look."""

    def __init__(
        self,
        settings: TelemetrySettings,
        *,
        revisions: Mapping[ModelId, str],
        data_dir: Path,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._live = _Live()
        self.metrics = Metrics(tenants_max=settings.tenants_max)
        self.traces = TraceBook()
        self.log = log_lifecycle(structlog.get_logger(), self.traces)
        objectives = objectives_of(settings)
        self.metrics.promise({objective.name: objective.target for objective in objectives})
        self.insight = Insight(
            monitor=Monitor(clock),
            latency=Latency(clock),
            objectives=Objectives(objectives, clock=clock, publish=self.metrics.judged),
            quality=QualityWatch(revisions=revisions, clock=clock, publish=self.metrics.signalled),
        )
        self._file = InsightFile(data_dir / "insight.json", self.insight)
        self._exporter: OtlpExporter | None = None

    async def open(self, stack: AsyncExitStack) -> None:
        """Take up what was kept, and make ready to send; what was opened is closed with the stack."""
        self._file.read()
        if self._settings.otlp_url is None:
            return
        outbound = OutboundHttp(
            OutboundPolicy(allowed=parsed_networks(EVERYWHERE)), user_agent=f"Heliograph/{__version__}"
        )
        stack.push_async_callback(outbound.close)
        self._exporter = self._made_exporter(outbound, self._settings.otlp_url)

    def _made_exporter(self, outbound: OutboundHttp, url: str) -> "OtlpExporter":
        policy = OutboundPolicy(allowed=parsed_networks(EVERYWHERE))
        destination = checked_url(url, policy, param="telemetry.otlp_url")
        try:
            from heliograph.otlp import OtlpExporter
        except ImportError as error:
            raise Unavailable(
                f"OpenTelemetry needs a package that is not installed ({error}): pip install 'heliograph[otel]'",
                code="otel_missing",
                param="telemetry.otlp_url",
            ) from error
        return OtlpExporter(
            outbound=outbound,
            destination=destination,
            headers={name: value.get_secret_value() for name, value in self._settings.otlp_headers.items()},
            traces=self.traces,
            trace_share=self._settings.trace_share,
            metrics=self.snapshot,
            attributes={
                "service.name": "heliograph",
                "service.version": __version__,
                "service.instance.id": socket.gethostname(),
            },
            clock=self._clock,
            interval_s=self._settings.otlp_interval_s,
        )

    def sinks(self, *others: Callable[[LifecycleEvent], None]) -> Sequence[Callable[[LifecycleEvent], None]]:
        """Who hears of every lifecycle event, in this order."""
        if not self._settings.enabled:
            return (*others, self.log, self.traces.hear)
        exporter = () if self._exporter is None else (self._exporter,)
        return (self.metrics, self.insight, *others, self.log, *exporter, self.traces.hear)

    @property
    def observe(self) -> Callable[[Answered], None] | None:
        """Who hears of every answer of the HTTP server."""
        return self._count_answer if self._settings.enabled else None

    def _count_answer(self, answered: Answered) -> None:
        self.metrics.answered(
            route=answered.route,
            method=answered.method,
            status=answered.status,
            duration_s=answered.duration_s,
            code=answered.code,
        )

    def jobs(self, pipeline: Pipeline) -> tuple[Coroutine[None, None, None], ...]:
        """What has to run beside the pipeline from now on: looking at it, keeping what was learned, sending it."""
        watching = Watching(self.insight, pipeline, self.metrics, gpu_driver())
        self._live.pipeline, self._live.watching = pipeline, watching
        exporter = () if self._exporter is None else (self._exporter.run(),)
        return (watching.run(), self._file.run(KEEP_EVERY_S), *exporter) if self._settings.enabled else ()

    def snapshot(self) -> Snapshot:
        """All numbers now."""
        live = self._live
        if live.pipeline is None:
            return []
        scheduler = live.pipeline.scheduler
        counts: Mapping[str, int] = {} if live.watching is None else live.watching.counts
        return self.metrics.snapshot(scheduler.fleet_view(), scheduler.queue_view(), counts, now_s=self._clock())

    async def scrape(self) -> tuple[bytes, str]:
        """What Prometheus gets, and its content type. Numbers are copied on the loop and made text beside it."""
        return await asyncio.to_thread(exposition, self.snapshot()), CONTENT_TYPE


def objectives_of(settings: TelemetrySettings) -> tuple[Objective, ...]:
    """The objectives the operator set, or those that come with Heliograph."""
    if not settings.objectives:
        return DEFAULT_OBJECTIVES
    return tuple(
        Objective(
            name=name,
            kind=Kind.AVAILABILITY if each.within_s is None else Kind.LATENCY,
            target=each.target,
            threshold_s=each.within_s,
            tier=None if each.tier is None else each.tier.value,
            model=each.model,
        )
        for name, each in settings.objectives.items()
    )


def gpu_driver() -> Nvml:
    """What tells how this machine's GPUs are; nothing where NVIDIA's library is not installed."""
    return Nvml(import_module("pynvml") if find_spec("pynvml") is not None else None)
