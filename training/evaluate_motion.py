"""Clips, stage 4: how well do they go on? `python -m training.evaluate_motion --work DIR` writes WORK/motion.json.

Validation clips that training never saw are continued from their first frame and compared with how they were painted
to go on, next to two yardsticks: a clip in which nothing moves, and the painted clip through the autoencoder.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.animation import STILL, motion_of
from training.clips import Clips
from training.motion_captions import motion_caption
from training.motion_models import TextToClip, load_clip_models
from training.progress import StageLog, stage_parser, write_whole
from training.render_clips import VALIDATION_CLIPS, clip_path
from training.sample_motion import PROMPTS
from training.scenes import Scene

Clip = NDArray[np.float32]
"""(frames, height, width, 3), levels."""

_BATCH = 5
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


def direction_obeyed(models: TextToClip, scenes: list[Scene], latents: torch.Tensor) -> dict[str, float]:
    """Share of validation boats and balloons that go where the caption sends them, whatever the picture suggests."""
    shares: dict[str, float] = {}
    orders = {
        "boat": (("sailing to the left", 1, -1), ("sailing to the right", 1, 1)),
        "balloon": (("rising", 0, -1), ("sinking", 0, 1)),
    }
    for thing, words in orders.items():
        rows = [row for row, scene in enumerate(scenes) if scene.object == thing and scene.style == "flat"]
        for phrase, axis, sign in words:
            if not rows:
                continue
            prompts = [f"a {scenes[row].colour} {thing}, {phrase}" for row in rows]
            clips = models.continue_latents(latents[rows, 0], prompts, list(range(len(rows)))).numpy()
            obeyed = [_shift(clip[0], clip[-1], axis) * sign > 0 for clip in clips]
            shares[f"{thing} {phrase}"] = round(sum(obeyed) / len(obeyed), 2)
    return shares


def _shift(first: NDArray[np.float32], last: NDArray[np.float32], axis: int) -> int:
    """By how many latent cells along the axis `first` has to move to look most like `last`, where they differ.

    first, last: (8, h, w)
    """
    changed = np.abs(last - first).mean(0, keepdims=True)
    weight = changed / max(float(changed.max()), 1e-6)

    def error(shift: int) -> float:
        return float((np.square(np.roll(first, shift, axis + 1) - last) * weight).mean())

    return min((-2, -1, 1, 2), key=error)


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
    whole = data.validation(0, VALIDATION_CLIPS)
    found["directions_obeyed"] = direction_obeyed(models, whole.scenes, whole.latents)
    made = [models.sample(prompt, seed).numpy().astype(np.float32) for seed, prompt in enumerate(PROMPTS)]
    found["moved_levels_from_prompts"] = round(float(np.mean([np.abs(c - c[:1]).mean() for c in made])), 2)
    found["validation_clips"] = len(results)
    content = json.dumps(found, indent=2) + "\n"
    write_whole(work / "motion.json", lambda file: file.write(content.encode()) and None)
    log.write(content)


if __name__ == "__main__":
    main()
