"""How long a person waits for something to see: the first preview and the picture, with the built-in model warm.

`python -m benchmarks.preview`. Every job has another prompt and the model's default size and steps. The clock runs from
the submission to the first `preview` event, to `done`, and until the file is here. The baseline is the same engine in
this process with nothing around it: to its first step, and to its last pixel.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.client import Connection
from benchmarks.processes import BUILT_IN_MODEL, served
from benchmarks.report import Bar, Figure, median, run_alone, with_progress
from heliograph.app import WEIGHTS_DIR
from heliograph.domain.ids import JobId, ModelId
from heliograph.domain.run import RunOrder
from heliograph.inference.engine import EngineStep
from heliograph.inference.onnx import OnnxEngine

SUBJECTS = ("a red boat on the sea", "a house by a lake", "a tree on a hill", "mountains", "a lighthouse on a cliff")
MOODS = ("at sunset", "at night", "in the snow", "on a sunny day")
STEPS = 8
QUICK_JOBS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wait:
    """Seconds since the submission."""

    preview_s: float
    picture_s: float


def measure(is_quick: bool) -> Iterable[Figure]:
    prompts = [" ".join(words) for words in itertools.product(SUBJECTS, MOODS)][: QUICK_JOBS if is_quick else None]
    engine = OnnxEngine(WEIGHTS_DIR / BUILT_IN_MODEL)
    engine.load()
    served_waits: list[_Wait] = []
    bare_waits: list[_Wait] = []
    with served() as server:
        asyncio.run(_picture(server.port, "the first picture warms everything up"))
        for prompt in with_progress(prompts, "pictures"):
            served_waits.append(asyncio.run(_picture(server.port, prompt)))
            bare_waits.append(_bare(engine, prompt))
    previews = sorted(wait.preview_s for wait in served_waits)
    pictures = sorted(wait.picture_s for wait in served_waits)
    preview_s, picture_s = (
        median([wait.preview_s for wait in bare_waits]),
        median([wait.picture_s for wait in bare_waits]),
    )
    yield Figure(
        name="first preview, median", value=median(previews), unit="s", baseline=preview_s, baseline_name="bare"
    )
    yield Figure(name="first preview, slowest", value=previews[-1], unit="s", bar=Bar(limit=1))
    yield Figure(
        name="picture here, median", value=median(pictures), unit="s", baseline=picture_s, baseline_name="bare"
    )
    yield Figure(name="picture here, slowest", value=pictures[-1], unit="s", bar=Bar(limit=4))


async def _picture(port: int, prompt: str) -> _Wait:
    async with Connection(port) as connection:
        start_s = time.perf_counter()
        job = await connection.post("/v1/jobs", {"prompt": prompt, "model": BUILT_IN_MODEL, "steps": STEPS})
        preview_s = None
        async for name, data in connection.events(f"/v1/jobs/{job['id']}/events"):
            if name == b"preview" and preview_s is None:
                preview_s = time.perf_counter() - start_s
            if name == b"done":
                job = json.loads(data)
        await connection.get(job["outputs"][0]["url"])
        picture_s = time.perf_counter() - start_s
    if preview_s is None:
        raise RuntimeError("a job ended without a preview")
    return _Wait(preview_s=preview_s, picture_s=picture_s)


def _bare(engine: OnnxEngine, prompt: str) -> _Wait:
    order = RunOrder(
        job_id=JobId("bare"),
        attempt=1,
        model_id=ModelId(BUILT_IN_MODEL),
        prompt=prompt,
        negative_prompt="",
        width_px=128,
        height_px=128,
        steps=STEPS,
        guidance=3.5,
        seeds=(1,),
        preview_every=1,
    )
    start_s = time.perf_counter()
    preview_s = None
    for progress in engine.generate(order):
        if isinstance(progress, EngineStep) and preview_s is None:
            preview_s = time.perf_counter() - start_s
    assert preview_s is not None, "every order has a step"
    return _Wait(preview_s=preview_s, picture_s=time.perf_counter() - start_s)


if __name__ == "__main__":
    run_alone("preview", __doc__, measure)
