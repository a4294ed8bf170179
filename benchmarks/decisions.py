"""What one decision costs while 1,000, 10,000 and 1,000,000 jobs are waiting: `python -m benchmarks.decisions`.

Prints the P50 and P99 of each kind of event in microseconds, and how much dearer it is with the longest line than with
the shortest. A ratio near 1 means that the cost does not depend on the length of the line. It is CPU time that is
measured, so that what else the machine does hardly counts; decisions do nothing but compute. `--sizes 1000,10000`
leaves the million out, which takes some minutes to put in line and about 2 GB of memory.
"""

import argparse
import gc
import random
import time
from collections.abc import Callable, Iterator
from itertools import count

from heliograph.domain.commands import Dispatch
from heliograph.domain.events import (
    CancelRequested,
    ClockTicked,
    Event,
    ImagesReady,
    JobSubmitted,
    OutputsStored,
    ReplicaRequested,
    StepDone,
    WorkerReady,
)
from heliograph.domain.ids import GpuId, JobId, ModelId, TenantId, WorkerId
from heliograph.domain.job import Job
from heliograph.domain.request import GenerationRequest, OutputFormat, Quality
from heliograph.domain.run import RunOrder
from heliograph.domain.tiers import Tier
from heliograph.domain.views import Gpu
from heliograph.fleet.plan import FleetPolicy, plan
from heliograph.scheduling import Profiles, Scheduler, SchedulerPolicy
from heliograph.scheduling.scheduler import OVERDUE_MAX

SIZES = (1_000, 10_000, 1_000_000)
WORKERS = 32
MODELS = 4
SAMPLES = 400
TENANTS = 50
USERS = 100
"""End users of a tenant."""
FAR_S = 1e9
TIERS = tuple(Tier)


class Bench:
    """A scheduler whose workers are all busy and whose line holds `size` jobs.

    Durations are known, a third of the jobs has a deadline, the tiers have bounds for the wait and the runs could
    pause: nothing is left out of a decision because there is no occasion for it.
    """

    def __init__(self, size: int) -> None:
        self._random = random.Random(size)
        self._numbers = count()
        self._running: dict[WorkerId, RunOrder] = {}
        self._waiting: list[JobId] = []
        self.now_s = 0.0
        gpus = [Gpu(gpu_id=GpuId(f"gpu{index}"), gpu_class="cpu", memory_bytes=1) for index in range(WORKERS)]
        policy = SchedulerPolicy(
            pending_max=2 * size,
            pending_max_per_tenant=2 * size,
            pending_max_per_user=2 * size,
            post_processing_max=2 * WORKERS,
            wait_s_max=dict.fromkeys(Tier, FAR_S),
        )
        profiles = Profiles()
        for index in range(MODELS):
            profiles.observe_run(self.a_request(index, steps=10), 1.0, "cpu")
        self.scheduler = Scheduler(gpus=gpus, policy=policy, profiles=profiles)
        for index, gpu in enumerate(gpus):
            worker_id, model_id = WorkerId(f"w{index}"), ModelId(f"model{index % MODELS}")
            self.fold(ReplicaRequested(worker_id=worker_id, gpu_id=gpu.gpu_id, model_id=model_id))
            self.fold(WorkerReady(worker_id=worker_id, load_s=1.0, memory_bytes=1, can_resume=True))
        while len(self._waiting) < size or len(self._running) < WORKERS:
            self.fold(self.submission())

    def fold(self, event: Event) -> float:
        """Microseconds that the scheduler took."""
        self.now_s += 0.001
        started_ns = time.thread_time_ns()
        commands = self.scheduler.handle(event, now_s=self.now_s)
        passed_us = (time.thread_time_ns() - started_ns) / 1_000
        for command in commands:
            if isinstance(command, Dispatch):
                self._running[command.worker_id] = command.order
        if isinstance(event, JobSubmitted):
            self._waiting.append(event.job.job_id)
        return passed_us

    # --- one sample of each kind, in microseconds ------------------------------------------------------------------

    def submit(self) -> float:
        """A new job joins the line."""
        return self.fold(self.submission())

    def cancel_a_waiting_job(self) -> float:
        """Somebody anywhere in line gives up."""
        return self.fold(CancelRequested(job_id=self.somebody_in_line()))

    def tick_that_ends_jobs(self) -> float:
        """The deadlines of as many jobs pass as are dealt with per event, and of some more."""
        for _ in range(OVERDUE_MAX + 4):
            self.fold(self.submission(deadline_s=60.0))
        self.now_s += 60.0
        passed_us = self.fold(ClockTicked())
        while self.scheduler.is_behind():
            self.fold(ClockTicked())
        return passed_us

    def step(self) -> float:
        """A running job made a step."""
        order = self._random.choice(list(self._running.values()))
        return self.fold(StepDone(job_id=order.job_id, attempt=order.attempt, step=1, steps=order.steps))

    def finish_and_dispatch_the_next(self) -> float:
        """A worker becomes free and takes whoever is first."""
        order = self._random.choice(list(self._running.values()))
        passed_us = self.fold(ImagesReady(job_id=order.job_id, attempt=order.attempt, run_s=1.0, images=()))
        self.fold(OutputsStored(job_id=order.job_id, attempt=order.attempt, outputs=()))
        self.fold(self.submission())
        return passed_us

    def tick(self) -> float:
        """The clock is looked at while everybody is busy."""
        return self.fold(ClockTicked())

    def view_a_waiting_job(self) -> float:
        """Position and ETA of somebody anywhere in line."""
        job_id = self.somebody_in_line()
        return timed_us(lambda: self.scheduler.view(job_id, now_s=self.now_s))

    def plan_the_fleet(self) -> float:
        """What to load and unload, views included."""
        policy = FleetPolicy()
        return timed_us(
            lambda: plan(self.scheduler.fleet_view(), self.scheduler.queue_view(), {}, policy, now_s=self.now_s)
        )

    def somebody_in_line(self) -> JobId:
        """A job anywhere in line; those that have left meanwhile are sorted out."""
        while True:
            index = self._random.randrange(len(self._waiting))
            self._waiting[index], self._waiting[-1] = self._waiting[-1], self._waiting[index]
            job_id = self._waiting[-1]
            view = self.scheduler.view(job_id, now_s=self.now_s)
            if view is not None and view.queue_position is not None:
                return job_id
            self._waiting.pop()

    def submission(self, *, deadline_s: float | None = None) -> JobSubmitted:
        """A job of any tier, size of work, model, tenant and end user; every third has a deadline at some time."""
        number = next(self._numbers)
        if deadline_s is None and number % 3 == 0:
            deadline_s = self._random.uniform(0.5, 1.0) * FAR_S
        job = Job(
            job_id=JobId(f"job{number}"),
            tenant_id=TenantId(f"tenant{number % TENANTS}"),
            end_user=f"user{self._random.randrange(USERS)}",
            tier=self._random.choice(TIERS),
            request=self.a_request(number, steps=self._random.choice((4, 10, 20))),
            sequence=number,
            created_at_s=self.now_s,
            deadline_at_s=None if deadline_s is None else self.now_s + deadline_s,
        )
        return JobSubmitted(job=job)

    def a_request(self, number: int, *, steps: int) -> GenerationRequest:
        """For one of the models."""
        return GenerationRequest(
            model_id=ModelId(f"model{number % MODELS}"),
            prompt="a cat",
            raw_prompt="a cat",
            negative_prompt="",
            width_px=256,
            height_px=256,
            steps=steps,
            guidance=5.0,
            seed=number,
            image_count=1,
            quality=Quality.STANDARD,
            style=None,
            output_format=OutputFormat.PNG,
            output_quality=None,
            prompt_tokens=2,
            adjustments=(),
        )


def timed_us(decide: Callable[[], object]) -> float:
    started_ns = time.thread_time_ns()
    decide()
    return (time.thread_time_ns() - started_ns) / 1_000


def measured(size: int) -> Iterator[tuple[str, float, float]]:
    """P50 and P99 of each kind of decision while `size` jobs are waiting."""
    gc.disable()
    bench = Bench(size)
    gc.enable()
    gc.freeze()
    kinds = (
        bench.submit,
        bench.cancel_a_waiting_job,
        bench.tick_that_ends_jobs,
        bench.step,
        bench.finish_and_dispatch_the_next,
        bench.tick,
        bench.view_a_waiting_job,
        bench.plan_the_fleet,
    )
    for kind in kinds:
        samples_us = sorted(kind() for _ in range(SAMPLES))
        yield kind.__name__.replace("_", " "), samples_us[SAMPLES // 2], samples_us[SAMPLES * 99 // 100]
    gc.unfreeze()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="jobs in line, for example 1000,10000")
    sizes = [int(size) for size in parser.parse_args().sizes.split(",")]
    columns = [list(measured(size)) for size in sizes]
    print(f"Microseconds per decision, P50 / P99, with {WORKERS} workers, {MODELS} models and so many jobs waiting")
    print(f"{'':30}" + "".join(f"{size:>18,}" for size in sizes) + f"{'P50 ratio':>12}")
    for row in zip(*columns, strict=True):
        name, first_us, last_us = row[0][0], row[0][1], row[-1][1]
        cells = "".join(f"{f'{p50_us:.1f} / {p99_us:.1f}':>18}" for _, p50_us, p99_us in row)
        print(f"{name:30}{cells}{last_us / first_us:>12.2f}")


if __name__ == "__main__":
    main()
