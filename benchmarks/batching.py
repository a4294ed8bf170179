"""What it is worth to make several pictures at once: CPU time per picture of the built-in models by batch.

`python -m benchmarks.batching`. One engine in this process, on one core, as a worker has it; the model's default size
and steps. The baseline is one picture at a time. Jobs of several pictures (`n`) are batches of this kind; jobs of
different callers are not put together.
"""

import time
from collections.abc import Iterable
from dataclasses import replace

from benchmarks.report import Figure, run_alone, with_progress
from heliograph.app import WEIGHTS_DIR
from heliograph.domain.ids import JobId, ModelId
from heliograph.domain.run import RunOrder
from heliograph.inference.onnx import OnnxEngine

MODELS = {"helio-base": (8, 1), "helio-turbo": (4, 1), "helio-base-int8": (8, 1), "helio-motion": (8, 12)}
"""Steps and frames by model."""

BATCHES = (1, 2, 4, 8)


def measure(is_quick: bool) -> Iterable[Figure]:
    rounds = 2 if is_quick else 8
    for model, (steps, frames) in MODELS.items():
        engine = OnnxEngine(WEIGHTS_DIR / model)
        engine.load()
        order = replace(ORDER, model_id=ModelId(model), steps=steps, frames=frames)
        fastest_ms = dict.fromkeys(BATCHES, float("inf"))
        for _ in with_progress(range(rounds), model):
            for pictures in BATCHES:  # in turns, so that a slow moment meets all of them
                spent_ms = _cpu_ms(engine, replace(order, seeds=tuple(range(pictures))))
                fastest_ms[pictures] = min(fastest_ms[pictures], spent_ms / pictures)
        for pictures in BATCHES[1:]:
            yield Figure(
                name=f"{model}: a picture in a batch of {pictures}",
                value=fastest_ms[pictures],
                unit="ms CPU",
                baseline=fastest_ms[1],
                baseline_name="alone",
            )


def _cpu_ms(engine: OnnxEngine, order: RunOrder) -> float:
    begun_s = time.process_time()
    for _ in engine.generate(order):
        pass
    return (time.process_time() - begun_s) * 1_000


ORDER = RunOrder(
    job_id=JobId("batch"),
    attempt=1,
    model_id=ModelId(""),
    prompt="a red boat on the sea at sunset",
    negative_prompt="",
    width_px=128,
    height_px=128,
    steps=1,
    guidance=3.5,
    seeds=(),
    preview_every=0,
)


if __name__ == "__main__":
    run_alone("batching", __doc__, measure)
