"""The pipelines under test, with orders small enough for a step in a few milliseconds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from heliograph.domain.pipeline_options import PipelineOptions
from heliograph.domain.run import RunOrder
from heliograph.inference.checkpoint import Checkpoint
from heliograph.inference.diffusers import DiffusersEngine, warm_up_order
from heliograph.inference.engine import EngineImages, EngineStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A tiny pipeline: its folder, its class, the pictures it is asked for."""

    pipeline: str
    frames: int = 1
    width_px: int = 64
    height_px: int = 64


SUBJECTS: Mapping[str, Subject] = {
    "sd": Subject(pipeline="StableDiffusionPipeline", height_px=48),
    "sdxl": Subject(pipeline="StableDiffusionXLPipeline"),
    "flux": Subject(pipeline="FluxPipeline", height_px=32),
    "sd3": Subject(pipeline="StableDiffusion3Pipeline"),
    "wan": Subject(pipeline="WanPipeline", frames=5, height_px=32),
    "ltx": Subject(pipeline="LTXPipeline", frames=9, height_px=32),
    "animatediff": Subject(pipeline="AnimateDiffPipeline", frames=3, width_px=32, height_px=16),
}


def an_engine(root: Path, name: str, *, cache: Path | None = None, **options: Any) -> DiffusersEngine:
    """The engine of a tiny pipeline, not loaded yet."""
    return DiffusersEngine(
        root / name,
        PipelineOptions(pipeline=SUBJECTS[name].pipeline, **options),
        warm_up=the_order(name),
        cache=cache,
    )


def the_order(name: str, **changes: Any) -> RunOrder:
    subject = SUBJECTS[name]
    order = warm_up_order(width_px=subject.width_px, height_px=subject.height_px, frames=subject.frames, guidance=3.0)
    return replace(order, **changes)


def run(
    engine: DiffusersEngine, order: RunOrder, resume: Checkpoint | None = None
) -> tuple[list[EngineStep], EngineImages]:
    *steps, images = engine.generate(order, resume)
    assert isinstance(images, EngineImages)
    assert all(isinstance(step, EngineStep) for step in steps)
    return steps, images
