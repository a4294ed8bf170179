"""Clips, stage 4: how well do they go on? `python -m training.evaluate_motion --work DIR` writes WORK/motion.json.

Validation clips that training never saw are continued from their first frame and compared with how they were painted
to go on, next to two yardsticks: a clip in which nothing moves, and the painted clip through the autoencoder.
"""

from __future__ import annotations

import json
import random
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.animation import STILL, motion_of
from training.clips import Clips
from training.motion_captions import motion_caption
from training.motion_models import TextToClip, load_clip_models
from training.painting import CELL_PX, paint
from training.progress import StageLog, stage_parser, write_whole
from training.render_clips import VALIDATION_CLIPS, clip_path
from training.sample_motion import PROMPTS
from training.scenes import Scene

Clip = NDArray[np.float32]
"""(frames, height, width, 3), levels."""

_BATCH = 5
_FARTHEST_PX = 16
_MOVED_LEVELS = 8
"""A pixel that differs by less than this from the painted first frame in every frame stands still."""


def psnr(first: Clip, second: Clip) -> float:
    """Decibels over all frames."""
    return float(10 * np.log10(255**2 / max(float(np.square(first - second).mean()), 1e-3)))


def compare(painted: Clip, rebuilt: Clip, foreseen: Clip) -> dict[str, float]:
    """What is measured on one clip: as painted, as painted but through the autoencoder, and as the network goes on."""
    moving = (np.abs(painted - painted[:1]).max(-1) >= _MOVED_LEVELS).any(0)
    return {
        "psnr_db": psnr(foreseen[1:], painted[1:]),
        "psnr_if_nothing_moved_db": psnr(np.repeat(rebuilt[:1], len(painted) - 1, 0), painted[1:]),
        "psnr_of_autoencoder_db": psnr(rebuilt[1:], painted[1:]),
        "first_frame_psnr_db": psnr(foreseen[0], painted[0]),
        "moved_levels": float(np.abs(foreseen - foreseen[:1]).mean()),
        "moved_levels_painted": float(np.abs(rebuilt - rebuilt[:1]).mean()),
        "step_levels": float(np.abs(np.diff(foreseen, axis=0)).mean()),
        "step_levels_painted": float(np.abs(np.diff(rebuilt, axis=0)).mean()),
        "flicker_levels": _flicker(foreseen, ~moving),
        "flicker_levels_painted": _flicker(rebuilt, ~moving),
    }


def _flicker(clip: Clip, where: NDArray[np.bool_]) -> float:
    """Mean change from frame to frame where nothing should change."""
    return float(np.abs(np.diff(clip, axis=0))[:, where].mean()) if where.any() else 0.0


def directions_obeyed(models: TextToClip, data: Clips) -> dict[str, float]:
    """Share of validation boats and balloons that go where the caption sends them, whatever they would have done."""
    batch = data.validation(0, VALIDATION_CLIPS)
    orders = {
        "boat": (("sailing to the left", 1, -1), ("sailing to the right", 1, 1)),
        "balloon": (("rising", 0, -1), ("sinking", 0, 1)),
    }
    shares: dict[str, float] = {}
    for thing, phrases in orders.items():
        rows = [row for row, scene in enumerate(batch.scenes) if scene.object == thing and scene.style == "flat"]
        for phrase, axis, sign in phrases if rows else ():
            prompts = [f"a {batch.scenes[row].colour} {thing}, {phrase}" for row in rows]
            latents = models.continue_latents(batch.latents[rows, 0], prompts, rows)
            clips = models.decode(latents).numpy().astype(np.float32)
            travelled = [travel(clip, batch.scenes[row])[axis] for clip, row in zip(clips, rows, strict=True)]
            shares[f"{thing}, {phrase}"] = round(sum(way * sign > 0 for way in travelled) / len(rows), 2)
        shares[f"{thing}s"] = len(rows)
    return shares


def travel(clip: Clip, scene: Scene) -> tuple[int, int]:
    """(rows, columns) in pixels by which the scene's object has moved from the first frame to the last.

    Found by laying what the object covers in the first frame over the last, everywhere near.
    """
    mask = paint(scene).object_cells.repeat(CELL_PX, 0).repeat(CELL_PX, 1)
    rows, columns = np.nonzero(mask)
    wanted = clip[0][mask]

    def error(shift: tuple[int, int]) -> float:
        at = np.clip(rows + shift[0], 0, mask.shape[0] - 1), np.clip(columns + shift[1], 0, mask.shape[1] - 1)
        return float(np.abs(clip[-1][at] - wanted).mean())

    return min(product(range(-_FARTHEST_PX, _FARTHEST_PX + 1), repeat=2), key=error)


def main() -> None:
    """Measure and write the figures down."""
    parser = stage_parser(__doc__)
    parser.add_argument("--count", type=int, default=VALIDATION_CLIPS)
    options = parser.parse_args()
    work: Path = options.work
    torch.set_num_threads(1)
    log, models, data = StageLog(work, "evaluate_motion"), load_clip_models(work), Clips(work)
    pictures = np.load(clip_path(work, "square", "pictures"), mmap_mode="r")
    rng = random.Random(1)
    results: list[dict[str, float]] = []
    for start in range(0, options.count, _BATCH):
        count = min(_BATCH, options.count - start)
        batch = data.validation(start, count)
        captions = [motion_caption(scene, motion_of(scene), rng, empty=0.0) for scene in batch.scenes]
        latents = models.continue_latents(batch.latents[:, 0], captions, list(range(start, start + count)))
        foreseen, rebuilt = models.decode(latents).numpy(), models.decode(batch.latents).numpy()
        for row in range(count):
            if motion_of(batch.scenes[row]) != STILL:
                painted = pictures[start + row].astype(np.float32)
                results.append(compare(painted, rebuilt[row].astype(np.float32), foreseen[row].astype(np.float32)))
        log.progress(start + count, options.count, 0, "clips")
    found: dict[str, object] = {name: round(float(np.mean([r[name] for r in results])), 2) for name in results[0]}
    found["directions_obeyed"] = directions_obeyed(models, data)
    made = [models.sample(prompt, seed).numpy().astype(np.float32) for seed, prompt in enumerate(PROMPTS)]
    found["moved_levels_from_prompts"] = round(float(np.mean([np.abs(c - c[:1]).mean() for c in made])), 2)
    found["validation_clips"] = len(results)
    content = json.dumps(found, indent=2) + "\n"
    write_whole(work / "motion.json", lambda file: file.write(content.encode()) and None)
    log.write(content)


if __name__ == "__main__":
    main()
