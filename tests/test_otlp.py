"""Traces and metrics as a collector gets them, over real HTTP, and what happens while there is none."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from heliograph.domain.ids import JobId
from heliograph.domain.job import Failure, JobState
from heliograph.monitoring.families import Counter, Gauge, Histogram, Snapshot, snapshot
from heliograph.otlp import JOBS_MAX, OtlpExporter, job_spans
from heliograph.outbound import OutboundPolicy, checked_url, parsed_networks
from heliograph.outbound.http import OutboundHttp
from heliograph.tracing import Call, Trace, TraceBook, current_call
from tests.builders import MODEL, a_job, a_request
from tests.monitoring.lives import Clock, a_life, moved

HERE = OutboundPolicy(allowed=parsed_networks(("127.0.0.0/8",)))
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """A receiver of OTLP over HTTP that reads requests with OpenTelemetry's own messages."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        request, *lines = head.split("\r\n")
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if self.status == 200:
            match request.split()[1]:
                case "/otel/v1/traces":
                    self.traces.append(ExportTraceServiceRequest.FromString(body))
                case "/otel/v1/metrics":
                    self.metrics.append(ExportMetricsServiceRequest.FromString(body))
                case path:
                    pytest.fail(f"unknown path {path}")
        writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def exporting(
    collector: Collector, *, traces: TraceBook | None = None, share: float = 1.0, numbers: Callable[[], Snapshot] = list
) -> AsyncIterator[OtlpExporter]:
    server = await asyncio.start_server(collector.serve, "127.0.0.1", 0)
    outbound = OutboundHttp(HERE, user_agent="tests")
    port = server.sockets[0].getsockname()[1]
    try:
        yield OtlpExporter(
            outbound=outbound,
            destination=checked_url(f"http://127.0.0.1:{port}/otel", HERE, param="x"),
            headers={"Authorization": "Bearer of-the-collector"},
            traces=traces or TraceBook(),
            trace_share=share,
            metrics=numbers,
            attributes={"service.name": "heliograph"},
            clock=Clock(),
            interval_s=1.0,
        )
    finally:
        server.close()
        await server.wait_closed()
        await outbound.close()


def attributes(pairs: list[KeyValue]) -> dict[str, object]:
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in pairs}


async def test_an_ended_job_arrives_as_a_trace_below_its_caller_s_span() -> None:
    collector, book = Collector(), TraceBook()
    token = current_call.set(Call(request_id="req_1", parent=(TRACE, SPAN)))
    book.note(JobId("cat"))
    current_call.reset(token)
    async with exporting(collector, traces=book) as exporter:
        for event in a_life("cat", at_s=1_000.0, queue_s=1.0, run_s=2.0, finish_s=0.5, prompt="marker of a secret"):
            exporter(event)
        await exporter.flush()
    (request,) = collector.traces
    (resource,) = request.resource_spans
    root, *stays = resource.scope_spans[0].spans
    assert attributes(list(resource.resource.attributes)) == {"service.name": "heliograph"}
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, SPAN)
    assert root.end_time_unix_nano - root.start_time_unix_nano == 3_500_000_000
    assert [(span.name, (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9) for span in stays] == [
        ("queue", 1.0), ("dispatch", 0.0), ("inference", 2.0), ("finish", 0.5),
    ]  # fmt: skip
    assert {span.parent_span_id for span in stays} == {root.span_id}
    assert len({span.span_id for span in [root, *stays]}) == 5
    told = attributes(list(root.attributes))
    assert told["gen_ai.request.model"] == MODEL
    assert told["heliograph.request.id"] == "req_1"
    assert b"marker" not in request.SerializeToString()
    assert collector.headers["authorization"] == "Bearer of-the-collector"


def test_a_failed_job_says_so() -> None:
    job = a_job("cat", state=JobState.FAILED, failure=Failure(code="engine_nan", message="x"), request=a_request())
    root, *_ = job_spans(job, Trace(trace_id=TRACE))
    assert attributes(list(root.attributes))["error.type"] == "engine_nan"
    assert root.status.code == root.status.STATUS_CODE_ERROR


async def test_metrics_are_the_numbers_of_a_scrape() -> None:
    counter, gauge = Counter("jobs", "Jobs.", "model"), Gauge("heat_celsius", "Heat.")
    histogram = Histogram("wait_seconds", "Waiting.", bounds=(1, 10))
    counter.add("m", amount=3)
    gauge.replace({(): 4.0})
    for value in (0.5, 5.0, 50.0):
        histogram.observe(value)
    collector = Collector()
    async with exporting(collector, numbers=lambda: snapshot([counter, gauge, histogram])) as exporter:
        await exporter.flush()
    (request,) = collector.metrics
    jobs, heat, wait = request.resource_metrics[0].scope_metrics[0].metrics
    assert (jobs.name, jobs.sum.is_monotonic, jobs.sum.data_points[0].as_double) == ("jobs", True, 3.0)
    assert attributes(list(jobs.sum.data_points[0].attributes)) == {"model": "m"}
    assert (heat.unit, heat.gauge.data_points[0].as_double) == ("celsius", 4.0)
    (point,) = wait.histogram.data_points
    assert (wait.unit, list(point.explicit_bounds), list(point.bucket_counts)) == ("s", [1, 10], [1, 1, 1])
    assert (point.count, point.sum) == (3, 55.5)


async def test_while_the_collector_is_away_traces_wait_and_are_bounded() -> None:
    collector = Collector()
    collector.status = 503
    async with exporting(collector) as exporter:
        for number in range(JOBS_MAX + 5):
            exporter(moved(a_job(f"job{number}", state=JobState.COMPLETED), JobState.POST_PROCESSING))
        await exporter.flush()
        assert collector.traces == []
        collector.status = 200
        await exporter.flush()
    roots = [
        span for each in collector.traces for span in each.resource_spans[0].scope_spans[0].spans if span.attributes
    ]
    names = [attributes(list(span.attributes))["heliograph.job.id"] for span in roots]
    assert names == [f"job{number}" for number in range(5, JOBS_MAX + 5)]


async def test_what_the_collector_refuses_for_good_is_not_sent_again() -> None:
    collector = Collector()
    collector.status = 400
    async with exporting(collector) as exporter:
        exporter(moved(a_job("cat", state=JobState.COMPLETED), JobState.POST_PROCESSING))
        await exporter.flush()
        collector.status = 200
        await exporter.flush()
    assert collector.traces == []


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 150, 250), (1.0, 400, 400)])
async def test_a_share_of_the_traces_is_sent(share: float, least: int, most: int) -> None:
    collector = Collector()
    async with exporting(collector, share=share) as exporter:
        for number in range(400):
            exporter(moved(a_job(f"job{number}", state=JobState.CANCELLED), JobState.PENDING))
        await exporter.flush()
    spans = [span for each in collector.traces for span in each.resource_spans[0].scope_spans[0].spans]
    assert least <= len({span.trace_id for span in spans}) <= most
