"""A live installation's history as a trace and a scenario, without prompts: "what if we had four fewer GPUs that day?"

Tenants and end users become numbers in the order of their first request; what they asked for is reduced to model, size,
steps and number of pictures. How long runs really took goes along as timings, so that the simulation runs on what this
fleet measured and not on what the catalogue says.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from heliograph.domain.ids import ModelId
from heliograph.domain.job import Attempt, AttemptOutcome, Job, JobState
from heliograph.domain.model_card import ModelCard
from heliograph.domain.tiers import Tier
from heliograph.simulation.traces import RECORDED_COLUMNS
from heliograph.simulation.truth import size_factor

MEASURED_MAX = 500
"""Runs per model and GPU class that the timings are the median of; the newest are enough."""


def trace_text(jobs: Iterable[Job]) -> str:
    """The trace, oldest request first, as `traces.read_trace` reads it back."""
    ordered = sorted(jobs, key=lambda job: (job.created_at_s, job.sequence))
    tenants: dict[str, str] = {}
    users: dict[tuple[str, str], str] = {}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(RECORDED_COLUMNS)
    first_s = ordered[0].created_at_s if ordered else 0.0
    for job in ordered:
        tenant = tenants.setdefault(job.tenant_id, f"t{len(tenants) + 1:03d}")
        user = ""
        if job.end_user is not None:
            user = users.setdefault((job.tenant_id, job.end_user), f"u{len(users) + 1:05d}")
        cancelled = job.state is JobState.CANCELLED and job.finished_at_s is not None
        writer.writerow(
            (
                f"{job.created_at_s - first_s:.3f}",
                job.request.model_id,
                job.request.width_px,
                job.request.height_px,
                job.request.steps,
                job.request.image_count,
                job.tier.value,
                tenant,
                user,
                "" if job.deadline_at_s is None else f"{max(job.deadline_at_s - job.created_at_s, 0.0):.3f}",
                f"{max((job.finished_at_s or 0.0) - job.created_at_s, 0.0):.3f}" if cancelled else "",
            )
        )
    return text.getvalue()


@dataclass(slots=True)
class Measured:
    """What the attempts of the history say: seconds per step on a square megapixel, and which GPUs were used."""

    s_per_step: dict[tuple[ModelId, str], list[float]] = field(default_factory=dict[tuple[ModelId, str], list[float]])
    gpus: dict[str, dict[str, None]] = field(default_factory=dict[str, dict[str, None]])

    def add(self, job: Job, attempts: Sequence[Attempt]) -> None:
        """Learn from one job; attempts that did not succeed only show that the GPU was there."""
        request = job.request
        for attempt in attempts:
            if attempt.outcome is AttemptOutcome.SERVER_LOST:
                continue
            self.gpus.setdefault(attempt.gpu_class, {})[attempt.gpu_id] = None
            work = request.steps * request.image_count * size_factor(request.width_px * request.height_px)
            runs = self.s_per_step.setdefault((attempt.model_id, attempt.gpu_class), [])
            if attempt.outcome is AttemptOutcome.SUCCEEDED and attempt.gpu_s > 0 and len(runs) < MEASURED_MAX:
                runs.append(attempt.gpu_s / work)


def scenario_text(
    *,
    name: str,
    trace_name: str,
    duration_s: float,
    start_s: float,
    measured: Measured,
    cards: Mapping[ModelId, ModelCard],
    memory_gb: Mapping[str, float],
    usd_per_hour: Mapping[str, float],
) -> str:
    """The scenario that plays the trace on the fleet as it was. Change it and simulate again to ask "what if".

    `memory_gb` and `usd_per_hour` are by GPU class, `duration_s` and `start_s` seconds (the latter since the epoch).
    """
    lines = [
        f'name = "{name}"',
        'description = "Recorded by heliograph export-trace. Change the fleet or the policies and simulate again."',
        f"duration_s = {duration_s:.6g}",
        f"start_s = {start_s:.0f}",
        "",
        "# The fleet as it was; try another count.",
    ]
    for gpu_class, gpus in sorted(measured.gpus.items()):
        lines += ["[[fleet]]", f'gpu = "{gpu_class}"', f"count = {len(gpus)}", 'term = "reserved"']
        lines += [f"price_usd_per_hour = {usd_per_hour.get(gpu_class, 0.0):.6g}", ""]
    for gpu_class in sorted(measured.gpus):
        lines += [
            f'[gpu_classes."{gpu_class}"]',
            f"memory_gb = {memory_gb.get(gpu_class, 80.0):.6g}",
            "speed = 1.0",
            "",
        ]
    lines += ["[[workload]]", 'kind = "recorded"', f'path = "{trace_name}"', ""]
    lines += ["# Seconds from submission to delivery; set what you promise.", "[targets.image]"]
    lines += [f"{tier.value} = {seconds:g}" for tier, seconds in _TARGETS_S.items()]
    lines.append("")
    by_model: dict[ModelId, list[tuple[str, float]]] = {}
    for (model_id, gpu_class), runs in sorted(measured.s_per_step.items()):
        if runs:
            by_model.setdefault(model_id, []).append((gpu_class, median(runs)))
    for model_id, found in by_model.items():
        card = cards.get(model_id)
        if card is None:
            continue
        width, height = card.sizes.default
        lines += [f'[models."{model_id}"]', "timings = ["]
        for gpu_class, s_per_step in found:
            seconds = s_per_step * size_factor(width * height) * card.steps.standard
            lines.append(
                f'  {{ gpu = "{gpu_class}", size = "{width}x{height}", steps = {card.steps.standard}, '
                f'seconds = {seconds:.6g}, source = "measured by this installation" }},'
            )
        lines += ["]", ""]
    return "\n".join(lines)


_TARGETS_S: Mapping[Tier, float] = {Tier.FREE: 120.0, Tier.STANDARD: 60.0, Tier.PRO: 30.0}
