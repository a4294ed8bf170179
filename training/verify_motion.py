"""Clips, stage 6: check the exported clip model with onnxruntime and numpy alone. `python -m training.verify_motion`.

Checks: checksums, shared files too; the same bits over repeated runs, over 1 and 2 threads, and for a clip alone and in
a batch; every supported size; a first frame that is the still; that pictures move; and the golden figures. Prints times
on one thread and fails loudly when a check does not hold.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from training.cards import WEIGHTS
from training.exported import TextToImageGraphs, is_deterministic
from training.exported_clips import ClipGraphs

_MEAN_TOLERANCE = 3.0
_SMALLEST_MOVEMENT = 0.5
_RUNS = 5
_SQUARE = (128, 128)


def median_ms(run: Callable[[], object]) -> float:
    """Median time of a few runs."""
    times_ms: list[float] = []
    for _ in range(_RUNS):
        started_s = time.perf_counter()
        run()
        times_ms.append((time.perf_counter() - started_s) * 1000)
    return statistics.median(times_ms)


def check_clips(folder: Path) -> None:
    """Every check of the module's docstring."""
    by_threads = {threads: ClipGraphs(folder, threads) for threads in (1, 2)}
    model = by_threads[1]
    model.check_files()
    card = model.card
    prompts, seeds = card["example_prompts"][:3], [11, 12, 13]

    def make(threads: int, rows: list[int]) -> np.ndarray:
        return by_threads[threads].generate([prompts[k] for k in rows], [seeds[k] for k in rows])

    assert is_deterministic(make, len(prompts)), f"{folder.name}: pixels depend on the run, the threads or the batch"
    clips = make(1, [0])
    stills = TextToImageGraphs(folder).generate(prompts[:1], seeds[:1])
    assert np.array_equal(clips[:, 0], stills), "the first frame is not the still"
    for width, height in card["sizes_px"]:
        shape = model.generate(prompts[:1], [1], (width, height)).shape
        assert shape == (1, card["frames"], height, width, 3), shape
    worst = 0.0
    for record in card["golden"]:
        clip = model.generate([record["prompt"]], [record["seed"]], (record["width_px"], record["height_px"]))[0]
        worst = max(worst, float(np.abs(clip.mean((0, 1, 2)) - record["mean_rgb"]).max()))
        moved = float(np.abs(clip.astype(np.float32) - clip[0]).mean())
        assert moved > _SMALLEST_MOVEMENT, f"{record['prompt']}: nothing moves ({moved:.2f} levels)"
        worst = max(worst, abs(moved - record["moved_levels"]))
    assert worst < _MEAN_TOLERANCE, f"{folder.name}: golden figures are off by {worst:.2f} levels"
    first = model.first_frames(prompts[:1], [1], _SQUARE)
    still_ms = median_ms(lambda: model.first_frames(prompts[:1], [1], _SQUARE))
    motion_ms = median_ms(lambda: model.continue_latents(first, prompts[:1], [1]))
    latents = model.continue_latents(first, prompts[:1], [1])
    decode_ms = median_ms(lambda: model.decode(latents))
    print(f"{folder.name}: deterministic; the first frame is the still; golden figures within {worst:.2f} levels")
    print(f"{card['frames']} frames of 128x128, 1 thread: first frame {still_ms:.0f} ms, {card['motion_steps']} steps "
          f"of motion {motion_ms:.0f} ms ({motion_ms / still_ms:.1f} stills), decoding {decode_ms:.0f} ms")  # fmt: skip


def main() -> None:
    """Check one folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="the folder of the models' folders")
    check_clips(parser.parse_args().weights / "helio-motion")


if __name__ == "__main__":
    main()
