"""Traces and metrics to an OpenTelemetry collector: OTLP over HTTP, in protobuf.

A job becomes a trace when it ends: one span from acceptance to the end, one below it for each state it was in. Spans
carry the names of OpenTelemetry's conventions for generative models where those fit, and never a prompt. Metrics are
the very numbers that a scrape shows.

Nothing waits for the collector. Ended jobs wait in a bounded queue; while the collector is away the oldest are dropped,
and the log says how many.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from itertools import pairwise

import structlog
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from heliograph.domain.job import Job, JobState
from heliograph.domain.lifecycle import JobMoved, LifecycleEvent
from heliograph.monitoring.families import Distribution, Family, Snapshot
from heliograph.outbound import Destination, Outbound
from heliograph.tracing import Trace, TraceBook, derived_id

JOBS_MAX = 4_096
JOBS_PER_CALL = 512
TIMEOUT_S = 10.0
ANSWER_BYTES_MAX = 65_536
RETRIED = frozenset({429, 502, 503, 504})
_NAMES = {
    JobState.PENDING: "queue",
    JobState.DISPATCHED: "dispatch",
    JobState.RUNNING: "inference",
    JobState.POST_PROCESSING: "finish",
}
_UNITS = ("seconds", "bytes", "ratio", "celsius")

_log = structlog.get_logger("heliograph.otlp")


class OtlpExporter:
    """A sink of lifecycle events; `run` sends what has come together every `interval_s` seconds.

    `traces` says which trace a job belongs to, of which the share `trace_share` (0 to 1) is sent; `metrics` gives the
    numbers. `post` calls the collector at `destination` plus `/v1/traces` and `/v1/metrics` with `headers`.
    """

    def __init__(
        self,
        *,
        outbound: Outbound,
        destination: Destination,
        headers: Mapping[str, str],
        traces: TraceBook,
        trace_share: float,
        metrics: Callable[[], Snapshot],
        attributes: Mapping[str, str],
        clock: Callable[[], float],
        interval_s: float,
    ) -> None:
        self._outbound = outbound
        self._destination = destination
        self._headers = {**headers, "Content-Type": "application/x-protobuf"}
        self._traces = traces
        self._share = trace_share
        self._metrics = metrics
        self._resource = Resource(attributes=_attributes(attributes))
        self._scope = InstrumentationScope(name="heliograph", version=attributes.get("service.version", ""))
        self._clock = clock
        self._started_ns = _nanoseconds(clock())
        self._interval_s = interval_s
        self._ended: deque[tuple[Job, Trace]] = deque()
        self._dropped = 0
        self._was_away = False

    def __call__(self, event: LifecycleEvent) -> None:
        """Take note of a job that ended."""
        if not isinstance(event, JobMoved) or not event.record.job.state.is_terminal:
            return
        job = event.record.job
        trace = self._traces.of(job.job_id)
        if int(trace.trace_id[:8], 16) >= self._share * 2**32:
            return
        if len(self._ended) >= JOBS_MAX:
            self._ended.popleft()
            self._dropped += 1
        self._ended.append((job, trace))

    async def run(self) -> None:
        """Send now and then, and what is left at the end."""
        try:
            while True:
                await asyncio.sleep(self._interval_s)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Send what there is; traces that could not be delivered are kept for the next time."""
        taken = self._metrics()
        payload = await asyncio.to_thread(self._metrics_body, taken, _nanoseconds(self._clock()))
        is_there = await self._post("/v1/metrics", payload)
        while self._ended and is_there:
            batch = [self._ended.popleft() for _ in range(min(JOBS_PER_CALL, len(self._ended)))]
            is_there = await self._post("/v1/traces", await asyncio.to_thread(self._traces_body, batch))
            if not is_there:
                self._ended.extendleft(reversed(batch))
        if self._dropped:
            _log.warning("traces dropped", count=self._dropped)
            self._dropped = 0

    async def _post(self, path: str, body: bytes) -> bool:
        """False when it should be tried again: what the collector refuses for good is given up."""
        to = self._destination
        target = Destination(scheme=to.scheme, host=to.host, port=to.port, path=to.path.rstrip("/") + path)
        reply = await self._outbound.call(
            target, method="POST", headers=self._headers, body=body, timeout_s=TIMEOUT_S, bytes_max=ANSWER_BYTES_MAX
        )
        is_away = reply.status is None or reply.status in RETRIED
        has_failed = reply.status is None or reply.status >= 400
        if has_failed and not (is_away and self._was_away):  # said once, not every few seconds
            _log.warning("collector takes nothing", path=path, status=reply.status, reason=reply.reason)
        self._was_away = is_away
        return not is_away

    def _traces_body(self, batch: list[tuple[Job, Trace]]) -> bytes:
        spans = [span for job, trace in batch for span in job_spans(job, trace)]
        resource = ResourceSpans(resource=self._resource, scope_spans=[ScopeSpans(scope=self._scope, spans=spans)])
        return ExportTraceServiceRequest(resource_spans=[resource]).SerializeToString()

    def _metrics_body(self, taken: Snapshot, now_ns: int) -> bytes:
        metrics = [_metric(family, values, self._started_ns, now_ns) for family, values in taken if values]
        resource = ResourceMetrics(
            resource=self._resource, scope_metrics=[ScopeMetrics(scope=self._scope, metrics=metrics)]
        )
        return ExportMetricsServiceRequest(resource_metrics=[resource]).SerializeToString()


def job_spans(job: Job, trace: Trace) -> list[Span]:
    """The spans of a job that has ended: itself first, then each stay in a state."""
    trace_id, root_id = bytes.fromhex(trace.trace_id), bytes.fromhex(derived_id(f"{job.job_id}/span", 16))
    request = job.request
    attributes: dict[str, str | int | float] = {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "heliograph",
        "gen_ai.output.type": "image",
        "gen_ai.request.model": request.model_id,
        "gen_ai.request.seed": request.seed,
        "gen_ai.request.choice.count": request.image_count,
        "heliograph.job.id": job.job_id,
        "heliograph.job.state": job.state.value,
        "heliograph.job.attempts": job.attempt,
        "heliograph.tenant.id": job.tenant_id,
        "heliograph.tier": job.tier.value,
        "heliograph.steps": request.steps,
        "heliograph.width": request.width_px,
        "heliograph.height": request.height_px,
    }
    if trace.request_id is not None:
        attributes["heliograph.request.id"] = trace.request_id
    if job.failure is not None:
        attributes["error.type"] = job.failure.code
    root = Span(
        trace_id=trace_id,
        span_id=root_id,
        parent_span_id=b"" if trace.parent_id is None else bytes.fromhex(trace.parent_id),
        name=f"generate_content {request.model_id}",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=_nanoseconds(job.created_at_s),
        end_time_unix_nano=_nanoseconds(job.timeline[-1].at_s if job.timeline else job.created_at_s),
        attributes=_attributes(attributes),
        status=Status(code=Status.STATUS_CODE_ERROR if job.state is JobState.FAILED else Status.STATUS_CODE_UNSET),
    )
    stays = [
        Span(
            trace_id=trace_id,
            span_id=bytes.fromhex(derived_id(f"{job.job_id}/span/{number}", 16)),
            parent_span_id=root_id,
            name=_NAMES[entered.state],
            kind=Span.SPAN_KIND_INTERNAL,
            start_time_unix_nano=_nanoseconds(entered.at_s),
            end_time_unix_nano=_nanoseconds(max(left.at_s, entered.at_s)),
        )
        for number, (entered, left) in enumerate(pairwise(job.timeline))
    ]
    return [root, *stays]


def _metric(
    family: Family,
    values: Mapping[tuple[str, ...], float] | Mapping[tuple[str, ...], Distribution],
    since: int,
    now: int,
) -> Metric:
    """One family. OpenTelemetry wants no `_total`: whoever shows the metric to Prometheus adds it again."""
    name = family.name.removesuffix("_total")
    unit = next((unit for unit in _UNITS if name.endswith(unit)), "1")
    found = Metric(name=name, description=family.text, unit="s" if unit == "seconds" else unit)
    numbers: list[NumberDataPoint] = []
    distributions: list[HistogramDataPoint] = []
    for labels, value in values.items():
        attributes = _attributes(dict(zip(family.labels, labels, strict=True)))
        if isinstance(value, Distribution):
            point = HistogramDataPoint(
                attributes=attributes,
                start_time_unix_nano=since,
                time_unix_nano=now,
                count=sum(value.counts),
                sum=value.total,
                bucket_counts=value.counts,
                explicit_bounds=family.bounds,
            )
            distributions.append(point)
        else:
            numbers.append(
                NumberDataPoint(
                    attributes=attributes,
                    start_time_unix_nano=since if family.kind == "counter" else 0,
                    time_unix_nano=now,
                    as_double=value,
                )
            )
    match family.kind:
        case "counter":
            found.sum.CopyFrom(
                Sum(
                    data_points=numbers,
                    aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE,
                    is_monotonic=True,
                )
            )
        case "gauge":
            found.gauge.CopyFrom(Gauge(data_points=numbers))
        case "histogram":
            found.histogram.CopyFrom(
                Histogram(data_points=distributions, aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE)
            )
    return found


def _attributes(values: Mapping[str, str | int | float] | Mapping[str, str]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_any_value(value)) for name, value in values.items()]


def _any_value(value: str | float) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(double_value=value)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000) * 1_000
