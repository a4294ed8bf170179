"""Stage 13: check the exported files as the product runs them: onnxruntime and numpy only, no torch.

`python -m training.verify_export [--weights DIR]` opens every model folder it knows the kind of and checks: checksums
of all files, the same bits over repeated runs, over 1 and 2 threads, and for one input alone and in a batch of four,
every supported size, and the golden mean colours of model.json. It prints times and fails loudly.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from training.cards import WEIGHTS
from training.exported import DualEncoderGraphs, TextToImageGraphs, UpscalerGraph, is_deterministic
from training.painting import paint
from training.scenes import scene_at

_MEAN_TOLERANCE = 3.0
_RUNS = 9


def median_ms(run: Callable[[], object]) -> float:
    """Median time of a few runs."""
    times_ms: list[float] = []
    for _ in range(_RUNS):
        started_s = time.perf_counter()
        run()
        times_ms.append((time.perf_counter() - started_s) * 1000)
    return statistics.median(times_ms)


def check_text_to_image(folder: Path) -> None:
    """Determinism, sizes, golden colours, time."""
    by_threads = {threads: TextToImageGraphs(folder, threads) for threads in (1, 2)}
    model = by_threads[1]
    model.check_files()
    card = model.card
    prompts, seeds = card["example_prompts"][:4], [11, 12, 13, 14]

    def make(threads: int, rows: list[int]) -> np.ndarray:
        return by_threads[threads].generate([prompts[k] for k in rows], [seeds[k] for k in rows])

    assert is_deterministic(make), f"{folder.name}: pixels depend on the run, the threads or the batch"
    for width, height in card["sizes_px"]:
        shape = model.generate(prompts[:1], [1], (width, height), 1).shape
        assert shape == (1, height, width, 3), shape
    worst = 0.0
    for record in card["golden"]:
        size = (record["width_px"], record["height_px"])
        picture = model.generate([record["prompt"]], [record["seed"]], size, record["steps"], record["guidance"])[0]
        worst = max(worst, float(np.abs(picture.mean((0, 1)) - record["mean_rgb"]).max()))
    assert worst < _MEAN_TOLERANCE, f"{folder.name}: golden mean colours are off by {worst:.2f} levels"
    median = median_ms(lambda: model.generate(prompts[:1], [1]))
    print(f"{folder.name}: deterministic; golden colours within {worst:.2f} levels; "
          f"{card['default_steps']} steps at 128x128 on 1 thread {median:.0f} ms")  # fmt: skip


def check_upscaler(folder: Path) -> None:
    """Determinism, sizes, and that what is enlarged is the same picture."""
    by_threads = {threads: UpscalerGraph(folder, threads) for threads in (1, 2)}
    by_threads[1].check_files()
    paintings = [paint(scene_at("square", index)) for index in range(4)]
    small = np.stack([painting.picture() for painting in paintings])

    def make(threads: int, rows: list[int]) -> np.ndarray:
        return by_threads[threads].enlarge(small[rows])

    assert is_deterministic(make), f"{folder.name}: pixels depend on the run, the threads or the batch"
    for width, height in ((160, 96), (96, 160), (256, 256)):
        shape = by_threads[1].enlarge(np.zeros((1, height, width, 3), np.uint8)).shape
        assert shape == (1, 2 * height, 2 * width, 3), shape
    large = np.stack([painting.large for painting in paintings]).astype(np.float32)
    error = float(np.abs(make(1, [0, 1, 2, 3]) - large).mean())
    plain = float(np.abs(small.repeat(2, 1).repeat(2, 2) - large).mean())
    assert error < plain, f"{folder.name}: repeating pixels comes closer ({plain:.2f} levels) than {error:.2f}"
    median = median_ms(lambda: make(1, [0]))
    print(f"{folder.name}: deterministic; mean error {error:.2f} levels, of repeated pixels {plain:.2f}; "
          f"128x128 to 256x256 on 1 thread {median:.0f} ms")  # fmt: skip


def check_dual_encoder(folder: Path) -> None:
    """Determinism of both towers, unit length, all sizes."""
    by_threads = {threads: DualEncoderGraphs(folder, threads) for threads in (1, 2)}
    by_threads[1].check_files()
    small = np.stack([paint(scene_at("square", index)).picture() for index in range(4)])
    texts = ["a red boat on the sea", "mountains", "pixel art of a castle at night", ""]

    def see(threads: int, rows: list[int]) -> np.ndarray:
        return by_threads[threads].pictures(small[rows])

    def read(threads: int, rows: list[int]) -> np.ndarray:
        return DualEncoderGraphs(folder, threads).texts([texts[k] for k in rows])

    assert is_deterministic(see), f"{folder.name}: a picture's vector depends on the run, the threads or the batch"
    assert is_deterministic(read), f"{folder.name}: a prompt's vector depends on the run, the threads or the batch"
    for vectors in (see(1, [0, 1]), read(1, [0, 1])):
        assert vectors.shape == (2, by_threads[1].card["embedding_channels"]), vectors.shape
        assert np.allclose((vectors**2).sum(1), 1, atol=1e-4), "not of unit length"
    for width, height in ((160, 96), (96, 160), (256, 256)):
        by_threads[1].pictures(np.zeros((1, height, width, 3), np.uint8))
    median = median_ms(lambda: see(1, [0]))
    print(f"{folder.name}: deterministic; 128x128 to a vector on 1 thread {median:.1f} ms")


_CHECKS = {
    "text_to_image": check_text_to_image,
    "upscaler": check_upscaler,
    "dual_encoder": check_dual_encoder,
}


def main() -> None:
    """Check every model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="the folder of the models' folders")
    weights: Path = parser.parse_args().weights
    for card in sorted(weights.glob("*/model.json")):
        check = _CHECKS.get(json.loads(card.read_text()).get("kind", ""))
        if check is None:
            print(f"{card.parent.name}: of a kind that is checked elsewhere")
        else:
            check(card.parent)


if __name__ == "__main__":
    main()
