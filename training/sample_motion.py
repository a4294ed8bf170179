"""Strips and moving pictures to look at. `python -m training.sample_motion --work DIR [--output FILE.png]`.

A strip shows every second frame of a clip from left to right. First come validation clips, each painted (above) and as
the network continues its first frame (below), then clips made from prompts alone. Beside the sheet every clip is
written as an animated GIF of the same name and a number.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from training.animation import FRAMES_PER_SECOND, motion_of
from training.clips import Clips
from training.motion_captions import motion_caption
from training.motion_models import load_clip_models
from training.progress import stage_parser

PROMPTS: tuple[str, ...] = (
    "a red boat on the sea at sunset with the sun, sailing to the left",
    "a blue hot air balloon over green hills by day, cloudy, drifting clouds",
    "a windmill on rolling hills at dawn, the windmill turns",
    "a white sailboat on the ocean at night with the moon, sailing left",
    "a castle on green hills at sunset, cloudy, clouds drifting to the right",
    "pixel art of a red boat on the ocean during the day, sailing to the right",
)
_VALIDATION_CLIPS = 6
_EVERY = 2


def save_gif(frames: NDArray[np.uint8], path: Path) -> None:
    """(frames, height, width, 3) uint8 as an endless animation at twice the size."""
    size = (frames.shape[2] * 2, frames.shape[1] * 2)
    pictures = [Image.fromarray(frame).resize(size, Image.Resampling.NEAREST) for frame in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=1000 // FRAMES_PER_SECOND, loop=0)


@torch.no_grad()
def write_strips(work: Path, output: Path, data: Clips | None = None) -> None:
    """The sheet and its GIFs, from the newest checkpoints."""
    models = load_clip_models(work)
    batch = (data or Clips(work)).validation(0, _VALIDATION_CLIPS)
    rng = random.Random(0)
    captions = [motion_caption(scene, motion_of(scene), rng, empty=0.0) for scene in batch.scenes]
    continued = models.continue_latents(batch.latents[:, 0], captions, list(range(_VALIDATION_CLIPS)))
    painted, foreseen = models.decode(batch.latents).numpy(), models.decode(continued).numpy()
    clips = [clip for pair in zip(painted, foreseen, strict=True) for clip in pair]
    clips += [models.sample(prompt, seed).numpy() for seed, prompt in enumerate(PROMPTS)]
    output.parent.mkdir(parents=True, exist_ok=True)
    rows = [np.concatenate(list(clip[::_EVERY]), 1) for clip in clips]
    Image.fromarray(np.concatenate(rows, 0)).save(output)
    for number, clip in enumerate(clips):
        save_gif(clip, output.with_name(f"{output.stem}_{number:02d}.gif"))


def main() -> None:
    """Sample from the newest checkpoints."""
    parser = stage_parser(__doc__)
    parser.add_argument("--output", type=Path, help="default: WORK/motion_strips.png")
    options = parser.parse_args()
    torch.set_num_threads(1)
    write_strips(options.work, options.output or options.work / "motion_strips.png")


if __name__ == "__main__":
    main()
