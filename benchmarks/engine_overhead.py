"""What the engine around a diffusers pipeline costs: the time of a step against that of the bare pipeline.

`.venv-engines/bin/python -m benchmarks.engine_overhead`, after `make test-engines` has set that environment up. A UNet
of SD 1.5's shape with a quarter of its channels, on one core. The baseline is the same pipeline called directly, in
turns with the engine, the fastest run of each.
"""

import logging
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import diffusers
import torch
from tests.engines.tiny_pipelines import bench_pipeline

from benchmarks.report import Figure, run_alone, with_progress
from heliograph.domain.pipeline_options import PipelineOptions
from heliograph.domain.run import RunOrder
from heliograph.inference.diffusers import DiffusersEngine, warm_up_order

STEPS = 20


def measure(is_quick: bool) -> Iterable[Figure]:
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        bench_pipeline().save_pretrained(folder)
        yield from _measured(Path(folder), rounds=2 if is_quick else 12)


def _measured(folder: Path, *, rounds: int) -> Iterable[Figure]:
    warm_up = warm_up_order(width_px=64, height_px=64, frames=1, guidance=3.0)
    engine = DiffusersEngine(folder, PipelineOptions(pipeline="StableDiffusionPipeline"), warm_up=warm_up)
    engine.load()
    order = replace(warm_up, steps=STEPS, seeds=(7,), preview_every=0)
    bare = diffusers.DiffusionPipeline.from_pretrained(folder, use_safetensors=True)
    bare.set_progress_bar_config(disable=True)

    def call_bare() -> None:
        bare(
            prompt=[order.prompt],
            width=64,
            height=64,
            num_inference_steps=STEPS,
            guidance_scale=3.0,
            generator=[torch.Generator().manual_seed(7)],
            output_type="np",
        )

    runs: dict[str, Callable[[], None]] = {
        "bare": call_bare,
        "progress, no previews": lambda: _drain(engine, replace(order, preview_every=0)),
        "a preview every 4 steps": lambda: _drain(engine, replace(order, preview_every=4)),
    }
    call_bare()
    fastest_ms = dict.fromkeys(runs, float("inf"))
    for _ in with_progress(range(rounds), "overhead"):
        for name, run in runs.items():
            begun_s = time.perf_counter()
            run()
            fastest_ms[name] = min(fastest_ms[name], (time.perf_counter() - begun_s) * 1_000 / STEPS)
    for name in list(runs)[1:]:
        yield Figure(
            name=f"a step with {name}",
            value=fastest_ms[name],
            unit="ms",
            baseline=fastest_ms["bare"],
            baseline_name="bare pipeline",
        )
    batch_ms = {1: fastest_ms["progress, no previews"]}
    for pictures in (2, 4):
        seeds = tuple(range(pictures))
        begun_s = time.perf_counter()
        _drain(engine, replace(order, seeds=seeds))
        batch_ms[pictures] = (time.perf_counter() - begun_s) * 1_000 / STEPS / pictures
        yield Figure(
            name=f"a step of a picture in a batch of {pictures}",
            value=batch_ms[pictures],
            unit="ms",
            baseline=batch_ms[1],
            baseline_name="alone",
        )


def _drain(engine: DiffusersEngine, order: RunOrder) -> None:
    for _ in engine.generate(order):
        pass


if __name__ == "__main__":
    run_alone("engine_overhead", __doc__, measure)
