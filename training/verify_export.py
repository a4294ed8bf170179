"""Stage 7: check the exported files as the product runs them: onnxruntime and numpy only, no torch.

`python -m training.verify_export [--weights DIR]` generates pictures and checks: the same bits over repeated runs and
over 1 and 2 threads, the same bits for a picture alone and in a batch of four, every supported size, and the golden
mean colours of model.json. It prints the time per picture and fails loudly when a check does not hold.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from training.tokenizer import Tokenizer

_WEIGHTS = Path(__file__).resolve().parents[1] / "src" / "heliograph" / "weights" / "helio-base"
_MEAN_TOLERANCE = 3.0


class ExportedModel:
    """The three networks of text-to-image in onnxruntime sessions."""

    def __init__(self, weights: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")

        def session(name: str) -> onnxruntime.InferenceSession:
            path = str(weights / f"{name}.onnx")
            return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

        self.card: dict[str, Any] = json.loads((weights / "model.json").read_text())
        self.tokenizer = Tokenizer(weights)
        self.text_encoder, self.transformer, self.decoder = map(session, ("text_encoder", "transformer", "decoder"))

    def generate(
        self, prompts: list[str], seeds: list[int], size_px: tuple[int, int], steps: int, guidance: float
    ) -> NDArray[np.uint8]:
        """(batch, height, width, 3) uint8 pictures of (width, height) `size_px`."""
        count = len(prompts)
        ids = np.array([self.tokenizer.encode(text) for text in (*prompts, *[""] * count)], np.int64)
        context, pooled = self.text_encoder.run(None, {"ids": ids})
        columns, rows = (edge // self.card["downscale"] for edge in size_px)
        shape = (self.card["latent_channels"], rows, columns)
        x = np.stack([np.random.Generator(np.random.Philox(s)).standard_normal(shape, np.float32) for s in seeds])
        for now, then in pairwise(np.linspace(1, 0, steps + 1, dtype=np.float32)):
            t = np.full(2 * count, now, np.float32)
            inputs = {"latents": np.concatenate([x, x]), "t": t, "context": context, "pooled": pooled}
            velocity = self.transformer.run(None, inputs)[0]
            wanted, unguided = velocity[:count], velocity[count:]
            x = x + (then - now) * (unguided + np.float32(guidance) * (wanted - unguided))
        return self.decoder.run(None, {"latents": x})[0]


def main() -> None:
    """Run every check and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=_WEIGHTS)
    weights: Path = parser.parse_args().weights
    model, two_threads = ExportedModel(weights, 1), ExportedModel(weights, 2)
    card = model.card
    for name, facts in card["files"].items():
        assert hashlib.sha256((weights / name).read_bytes()).hexdigest() == facts["sha256"], f"{name} has changed"
    square = (128, 128)
    settings = (card["default_steps"], card["default_guidance"])
    prompts, seeds = card["example_prompts"][:4], [11, 12, 13, 14]
    batch = model.generate(prompts, seeds, square, *settings)
    assert np.array_equal(batch, model.generate(prompts, seeds, square, *settings)), "two runs differ"
    assert np.array_equal(batch, two_threads.generate(prompts, seeds, square, *settings)), "thread count matters"
    for i in range(4):
        alone = model.generate([prompts[i]], [seeds[i]], square, *settings)[0]
        assert np.array_equal(batch[i], alone), f"picture {i} depends on its batch"
    for width, height in card["sizes_px"]:
        shape = model.generate(prompts[:1], [1], (width, height), 1, 1.0).shape
        assert shape == (1, height, width, 3), shape
    worst = 0.0
    for record in card["golden"]:
        size = (record["width_px"], record["height_px"])
        picture = model.generate([record["prompt"]], [record["seed"]], size, record["steps"], record["guidance"])[0]
        worst = max(worst, float(np.abs(picture.mean((0, 1)) - record["mean_rgb"]).max()))
    assert worst < _MEAN_TOLERANCE, f"golden mean colours are off by {worst:.2f} levels"
    times_ms: list[float] = []
    for seed in range(9):
        started_s = time.perf_counter()
        model.generate(prompts[:1], [seed], square, *settings)
        times_ms.append((time.perf_counter() - started_s) * 1000)
    median = statistics.median(times_ms)
    print("deterministic over runs, 1 and 2 threads, and batch composition")
    print(f"golden mean colours within {worst:.2f} levels")
    print(f"{settings[0]} steps, 128x128, 1 thread: median {median:.0f} ms, fastest {min(times_ms):.0f} ms")


if __name__ == "__main__":
    main()
