"""How much memory a run takes, learned from the peaks of earlier ones, so that no large picture meets a full GPU.

A catalogue says what a model takes at its default size; what a run takes besides grows with its pixels, over all frames
and pictures of its batch: its *work*, in megapixels. Per model, class of GPU and way of working (sparing memory or not)
the peak of each work is remembered as a ceiling: up at once, down by a twentieth per run. What was never run is read
off the line through the ceilings, moved up until none lies above it, with a margin that grows by a tenth with every
doubling beyond the largest that was run; and it is never less than a smaller work took.

Runs that ran out say the opposite: that work, and all that is more, takes more than was free there. One job that ran
out may have had bad luck, or a bad neighbour; `SPARING_JOBS` different ones make others of that size spare memory, and
`REFUSING_JOBS` that ran out although they spared it have new ones refused. It holds until a run of that work ends well
in no more memory, and for `FAILURE_S` at most.

Only peaks that rose above what the worker held before the run count: an allocator that keeps what an earlier run took
says nothing of this one. So an estimate errs upwards. Of a model that has never run there is none, and nothing is held
against it.

Bounds: `WORKS_MAX` different works per model, class and way, those longest not run are forgotten first.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf, log2
from typing import Any

from heliograph.domain.ids import JobId, ModelId
from heliograph.domain.request import GenerationRequest

FALL = 0.95
MARGIN = 1.05
MARGIN_PER_DOUBLING = 0.1
WORKS_MAX = 64
FAILURE_S = 3_600.0
SPARING_JOBS, REFUSING_JOBS = 2, 3
PIXELS_MIN = 1e-6
"""Megapixels of the smallest work there is."""

Key = tuple[ModelId, str, bool]


@dataclass(frozen=True, slots=True)
class _Failure:
    """Jobs ran out of `memory_bytes`, the last of them at `at_s`; no more of them are named than matter."""

    memory_bytes: int
    at_s: float
    jobs: frozenset[JobId]


@dataclass(slots=True)
class _Curve:
    """What is known of one model on one class of GPU in one way of working. Bytes by megapixels.

    `held_bytes` is what the model takes while it is only loaded.
    """

    held_bytes: int | None = None
    peaks: "OrderedDict[float, float]" = field(default_factory=lambda: OrderedDict[float, float]())
    failures: dict[float, _Failure] = field(default_factory=dict[float, _Failure])
    line: tuple[float, float] | None = None

    def observe(self, work: float, peak_bytes: int) -> None:
        known = self.peaks.get(work, 0.0)
        self.peaks[work] = max(float(peak_bytes), known * FALL)
        self.peaks.move_to_end(work)
        while len(self.peaks) > WORKS_MAX:
            self.peaks.popitem(last=False)
        self.line = None

    def succeeded(self, work: float, memory_bytes: int) -> None:
        """So much work fits into so much memory after all."""
        if self.failures:
            self.failures = {
                failed: each
                for failed, each in self.failures.items()
                if failed > work or each.memory_bytes < memory_bytes
            }

    def failed(self, work: float, memory_bytes: int, job_id: JobId, now_s: float) -> None:
        known = self.failures.get(work)
        jobs = frozenset[JobId]() if known is None or now_s - known.at_s > FAILURE_S else known.jobs
        if len(jobs) < REFUSING_JOBS:
            jobs |= {job_id}
        known_bytes = 0 if known is None else known.memory_bytes
        self.failures[work] = _Failure(max(memory_bytes, known_bytes), now_s, jobs)
        if len(self.failures) > WORKS_MAX:
            del self.failures[min(self.failures, key=lambda each: self.failures[each].at_s)]

    def ran_out(self, work: float, memory_bytes: int, now_s: float, *, jobs: int) -> bool:
        """So many different jobs of this work or less ran out of as much memory or more lately."""
        if not self.failures:
            return False
        named = [
            each.jobs
            for failed, each in self.failures.items()
            if failed <= work and each.memory_bytes >= memory_bytes and now_s - each.at_s < FAILURE_S
        ]
        return len(frozenset[JobId]().union(*named)) >= jobs

    def peak_bytes(self, work: float) -> float | None:
        """What a run of this work is expected to take at most; None where nothing is known."""
        if not self.peaks:
            return None
        least = max((peak for done, peak in self.peaks.items() if done <= work), default=0.0)
        if work in self.peaks:
            return least * MARGIN
        if self.line is None:
            points = list(self.peaks.items())
            self.line = _line_above(points if self.held_bytes is None else [(0.0, float(self.held_bytes)), *points])
        base, slope = self.line
        beyond = max(log2(work / max(self.peaks)), 0.0)
        return max(base + slope * work, least) * (MARGIN + MARGIN_PER_DOUBLING * beyond)


class RunMemory:
    """The peaks of runs, per model, class of GPU and way of working. `changes` counts what was learned of peaks."""

    def __init__(self) -> None:
        self._curves: dict[Key, _Curve] = {}
        self.changes = 0

    def loaded(self, model_id: ModelId, gpu_class: str, held_bytes: int) -> None:
        """The model takes so much while it is only loaded."""
        for spares in (False, True):
            curve = self._curve(model_id, gpu_class, spares)
            curve.held_bytes, curve.line = held_bytes, None

    def observe(
        self, request: GenerationRequest, gpu_class: str, *, peak_bytes: int | None, free_bytes: int, spares: bool
    ) -> None:
        """Learn from a run that ended well in `free_bytes`; `peak_bytes` None: its peak is not known."""
        work = work_of(request, spares=spares)
        curve = self._curve(request.model_id, gpu_class, spares)
        if peak_bytes is not None:
            curve.observe(work, peak_bytes)
            self.changes += 1
        curve.succeeded(work, free_bytes)
        if not spares:  # who spares memory takes no more
            self._curve(request.model_id, gpu_class, True).succeeded(work_of(request, spares=True), free_bytes)

    def ran_out(
        self,
        request: GenerationRequest,
        gpu_class: str,
        *,
        job_id: JobId,
        free_bytes: int,
        spares: bool,
        now_s: float,
    ) -> None:
        """Learn from a run that ran out of `free_bytes`."""
        curve = self._curve(request.model_id, gpu_class, spares)
        curve.failed(work_of(request, spares=spares), free_bytes, job_id, now_s)

    def fits(self, request: GenerationRequest, gpu_class: str, *, free_bytes: int, spares: bool, now_s: float) -> bool:
        """The run is expected to do with `free_bytes` of such a GPU, the model included; true where nobody knows."""
        curve = self._curves.get((request.model_id, gpu_class, spares))
        if curve is None:
            return True
        work = work_of(request, spares=spares)
        if curve.ran_out(work, free_bytes, now_s, jobs=SPARING_JOBS):
            return False
        peak_bytes = curve.peak_bytes(work)
        return peak_bytes is None or peak_bytes <= free_bytes

    def estimate_bytes(self, request: GenerationRequest, gpu_class: str, *, spares: bool = False) -> int | None:
        """What such a run is expected to take at most, the model included; None where nothing is known."""
        curve = self._curves.get((request.model_id, gpu_class, spares))
        peak_bytes = None if curve is None else curve.peak_bytes(work_of(request, spares=spares))
        return None if peak_bytes is None else round(peak_bytes)

    def is_hopeless(self, request: GenerationRequest, gpu_class: str, *, memory_bytes: int, now_s: float) -> bool:
        """Such runs, or smaller ones, ran out of a whole such GPU lately although they spared what they could."""
        curve = self._curves.get((request.model_id, gpu_class, True))
        work = work_of(request, spares=True)
        return curve is not None and curve.ran_out(work, memory_bytes, now_s, jobs=REFUSING_JOBS)

    def clock_set_back(self, *, now_s: float) -> None:
        """No run ran out in the future."""
        for curve in self._curves.values():
            curve.failures = {work: replace(each, at_s=min(each.at_s, now_s)) for work, each in curve.failures.items()}

    def entries(self) -> list[dict[str, Any]]:
        """The peaks, to be kept across a restart; which runs ran out is learned anew."""
        return [
            {"model": model_id, "gpu_class": gpu_class, "spares": spares, "peaks": [list(each) for each in peaks]}
            for (model_id, gpu_class, spares), curve in self._curves.items()
            if (peaks := list(curve.peaks.items()))
        ]

    def restore(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Take up what `entries` gave. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        for entry in entries:
            curve = self._curve(ModelId(str(entry["model"])), str(entry["gpu_class"]), bool(entry["spares"]))
            for work, peak_bytes in entry["peaks"]:
                if not (0 < float(work) < inf and 0 < float(peak_bytes) < inf):
                    raise ValueError("a peak is no number of bytes")
                curve.observe(float(work), int(peak_bytes))

    def _curve(self, model_id: ModelId, gpu_class: str, spares: bool) -> _Curve:
        return self._curves.setdefault((model_id, gpu_class, spares), _Curve())


def work_of(request: GenerationRequest, *, spares: bool) -> float:
    """Megapixels that are worked on at once: all frames, and all pictures unless they are made one at a time."""
    pictures = 1 if spares else request.image_count
    pixels = request.engine_width_px * request.engine_height_px * request.frames * pictures
    return max(pixels / 1e6, PIXELS_MIN)


def _line_above(points: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Base and slope (not negative) of the least-squares line, moved up until no point lies above it.

    One point alone gives a line through nought: everything is taken to grow with the work.
    """
    known = list(points)
    if len(known) == 1:
        work, peak = known[0]
        return 0.0, peak / work
    mean_work = sum(work for work, _ in known) / len(known)
    mean_peak = sum(peak for _, peak in known) / len(known)
    spread = sum((work - mean_work) ** 2 for work, _ in known)
    slope = max(sum((work - mean_work) * (peak - mean_peak) for work, peak in known) / spread, 0.0) if spread else 0.0
    return max(peak - slope * work for work, peak in known), slope
