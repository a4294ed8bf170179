"""What watching costs: everything on against everything off, and a scrape of many models and tenants.

`python -m benchmarks.watching`. Two real servers with the same settings but `telemetry.enabled` get the same orders in
turns, from eight clients, with the fake engine that takes no time, so that what is measured is the server alone: CPU
time of its process per job, and the latency of a job. The server that watches has metrics, latency, objectives,
quality, diagnosis and the times of every call, and traces for a collector that is not there, which costs it a try
every fifteen seconds and the traces that wait.

Before that each sink hears of whole lives of jobs in this process, and its CPU time is taken. The scrape has fifty
models in three tiers and a hundred tenants, each label value that can occur. Beside it stands Prometheus' own client
with as many lines; `held up` is what the event loop does of it: copying the numbers.
"""

import asyncio
import statistics
import time
from collections.abc import Iterable

import prometheus_client
from tests.builders import a_job, a_request, an_attempt, an_output
from tests.monitoring.lives import a_life, moved

from benchmarks.client import Connection, make
from benchmarks.processes import FAKE_MODEL, Server, served
from benchmarks.report import Bar, Figure, median, run_alone, with_progress
from heliograph.app_telemetry import DEFAULT_OBJECTIVES
from heliograph.domain.ids import ModelId, TenantId
from heliograph.domain.job import JobState, Moment
from heliograph.domain.tiers import Tier
from heliograph.domain.views import FleetView, ModelQueue, QueueView
from heliograph.insight import Insight
from heliograph.monitoring import Latency, Monitor, Objectives
from heliograph.monitoring.families import exposition
from heliograph.observability import SECONDS, Metrics
from heliograph.quality_watch import QualityWatch

MODELS, TENANTS = 50, 100
CLIENTS = 8
STEPS = 1


def measure(is_quick: bool) -> Iterable[Figure]:
    yield from _scrape()
    yield from _sinks(jobs=500 if is_quick else 5_000)
    yield from _overhead(rounds=4 if is_quick else 24, jobs=40 if is_quick else 100)


# --- a scrape --------------------------------------------------------------------------------------------------------


def _scrape() -> Iterable[Figure]:
    metrics = Metrics(tenants_max=TENANTS)
    models = [ModelId(f"a-model-of-usual-name-{number:02d}") for number in range(MODELS)]
    for number, model in enumerate(models):
        for tier in Tier:
            _live(metrics, model, tier, TenantId(f"tenant-{number % TENANTS:03d}"))
    for number in range(TENANTS):
        _live(metrics, models[number % MODELS], Tier.PRO, TenantId(f"tenant-{number:03d}"))
    queue = QueueView(models={model: ModelQueue(pending=3, pending_s=1.5) for model in models})
    fleet = FleetView(gpus=(), replicas=())

    def copy_ms() -> float:
        begun_s = time.perf_counter()
        metrics.snapshot(fleet, queue, now_s=0.0)
        return 1000 * (time.perf_counter() - begun_s)

    def whole_ms() -> float:
        begun_s = time.perf_counter()
        exposition(metrics.snapshot(fleet, queue, now_s=0.0))
        return 1000 * (time.perf_counter() - begun_s)

    body = exposition(metrics.snapshot(fleet, queue, now_s=0.0))
    lines = body.count(b"\n")
    theirs_ms = _their_ms(lines)
    yield Figure(
        name=f"a scrape of {MODELS} models and {TENANTS} tenants, {lines} lines",
        value=median([whole_ms() for _ in range(20)]),
        unit="ms",
        baseline=theirs_ms,
        baseline_name="Prometheus' client",
        bar=Bar(limit=50),
    )
    yield Figure(name="  of it the event loop is held up", value=median([copy_ms() for _ in range(20)]), unit="ms")
    yield Figure(name="  size", value=len(body) / 1e6, unit="MB", bar=Bar(limit=1))


def _live(metrics: Metrics, model: ModelId, tier: Tier, tenant: TenantId) -> None:
    """Every state, outcome and label that a job of this model can leave."""
    path = (JobState.PENDING, JobState.DISPATCHED, JobState.RUNNING, JobState.POST_PROCESSING)
    for end in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED):
        timeline = tuple(Moment(state=state, at_s=float(number)) for number, state in enumerate((*path, end)))
        job = a_job("cat", request=a_request(model=model), tier=tier.value, tenant=tenant, state=end, timeline=timeline)
        metrics(moved(job, None))
        metrics(moved(job, JobState.POST_PROCESSING, attempt=an_attempt("cat"), outputs=(an_output(),)))
    metrics.answered(route=f"/v1/route/{model[-1]}", method="GET", status=200, duration_s=0.1, code=None)


def _their_ms(lines: int) -> float:
    registry = prometheus_client.CollectorRegistry()
    histogram = prometheus_client.Histogram("wait_seconds", "Waiting.", ["model"], buckets=SECONDS, registry=registry)
    per_child = len(SECONDS) + 4
    for number in range(lines // per_child):
        histogram.labels(f"a-model-of-usual-name-{number:04d}").observe(0.3)
    found: list[float] = []
    for _ in range(10):
        begun_s = time.perf_counter()
        prometheus_client.generate_latest(registry)
        found.append(1000 * (time.perf_counter() - begun_s))
    return median(found)


# --- every sink, in this process -------------------------------------------------------------------------------------


def _sinks(*, jobs: int) -> Iterable[Figure]:
    """CPU time of everything that hears of a job, from its submission to its end, without a server around it."""

    def clock() -> float:
        return 1_000.0

    metrics = Metrics(tenants_max=TENANTS)
    insight = Insight(
        monitor=Monitor(clock),
        latency=Latency(clock),
        objectives=Objectives(DEFAULT_OBJECTIVES, clock=clock, publish=metrics.judged),
        quality=QualityWatch(revisions={}, clock=clock, publish=metrics.signalled),
    )
    lives = [list(a_life(f"job{number}", at_s=1_000.0, outputs=(an_output(f"out{number}"),))) for number in range(jobs)]
    for name, sink in {
        "metrics": metrics,
        "diagnosis": insight.monitor,
        "latency": insight.latency,
        "objectives": insight.objectives,
        "quality": insight.quality,
    }.items():
        begun_s = time.process_time()
        for life in lives:
            for event in life:
                sink(event)
        yield Figure(name=f"  {name}, per job", value=1e6 * (time.process_time() - begun_s) / jobs, unit="us")


# --- everything on and off -------------------------------------------------------------------------------------------


def _overhead(*, rounds: int, jobs: int) -> Iterable[Figure]:
    collector = {"HELIOGRAPH_TELEMETRY__OTLP_URL": "http://127.0.0.1:9", "HELIOGRAPH_TELEMETRY__TENANTS_MAX": "100"}
    off = {**FAKE_MODEL, "HELIOGRAPH_TELEMETRY__ENABLED": "false"}
    with served({**FAKE_MODEL, **collector}) as watched, served(off) as plain:
        for server in (watched, plain):
            asyncio.run(_burst(server, jobs))
        cpu: dict[int, list[float]] = {watched.port: [], plain.port: []}
        wait: dict[int, list[float]] = {watched.port: [], plain.port: []}
        for number in with_progress(range(rounds), "on and off in turns"):
            for server in (watched, plain) if number % 2 else (plain, watched):
                before_s = server.cpu_s()["server"]
                wait[server.port] += asyncio.run(_burst(server, jobs))
                cpu[server.port].append(1000 * (server.cpu_s()["server"] - before_s) / jobs)
        on_ms, off_ms = statistics.mean(cpu[watched.port]), statistics.mean(cpu[plain.port])
        pairs = [on - off for on, off in zip(cpu[watched.port], cpu[plain.port], strict=True)]
        spread_ms = statistics.stdev(pairs) / len(pairs) ** 0.5 if len(pairs) > 1 else 0.0
        yield Figure(
            name="CPU of the server per job, everything on",
            value=on_ms,
            unit="ms",
            baseline=off_ms,
            baseline_name="everything off",
        )
        yield Figure(name="  more", value=100 * (on_ms / off_ms - 1), unit="%", bar=Bar(limit=5))
        yield Figure(name="  standard error of that", value=100 * spread_ms / off_ms, unit="%")
        on_99, off_99 = _percentile_99(wait[watched.port]), _percentile_99(wait[plain.port])
        yield Figure(
            name="latency of a job, 99th percentile, everything on",
            value=on_99,
            unit="ms",
            baseline=off_99,
            baseline_name="everything off",
        )
        yield Figure(name="  more", value=on_99 - off_99, unit="ms", bar=Bar(limit=1))


async def _burst(server: Server, jobs: int) -> list[float]:
    """Milliseconds from submission to delivery of each job."""
    found: list[float] = []
    numbers = iter(range(jobs))

    async def work() -> None:
        async with Connection(server.port) as connection:
            for seed in numbers:
                begun_s = time.perf_counter()
                await make(connection, {"prompt": "a cat", "model": "fake", "steps": STEPS, "seed": seed})
                found.append(1000 * (time.perf_counter() - begun_s))

    await asyncio.gather(*(work() for _ in range(CLIENTS)))
    return found


def _percentile_99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


if __name__ == "__main__":
    run_alone("watching", __doc__, measure)
