"""Clips, stage 2: make latents of what was painted. `python -m training.encode_clips --work DIR`.

Takes what `render_clips` has finished so far, and of that only what has no latents yet: both stages may take turns.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap

from training.animation import FRAMES
from training.autoencoder import DOWNSCALE, LATENT_CHANNELS, to_tensor
from training.models import load_models
from training.precision import fast_arithmetic
from training.progress import StageLog, stage_parser, write_whole
from training.render_clips import clip_path
from training.scenes import SIZES


@torch.no_grad()
def main() -> None:
    """Write normalised float16 latents (clips, FRAMES, 8, h, w) of each size, chunk by chunk."""
    parser = stage_parser(__doc__)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    work: Path = options.work
    torch.set_num_threads(options.threads)
    log = StageLog(work, "encode_clips")
    autoencoder = load_models(work).autoencoder.to(memory_format=torch.channels_last)
    rendered = json.loads((work / "data" / "clips_rendered.json").read_text())
    record = work / "data" / "clips_encoded.json"
    finished: list[list[str | int]] = json.loads(record.read_text()) if record.exists() else []
    for size_name, (width, height) in SIZES.items():
        shape = (rendered["counts"][size_name], FRAMES, LATENT_CHANNELS, height // DOWNSCALE, width // DOWNSCALE)
        path = clip_path(work, size_name, "latents")
        if not finished or not path.exists():
            open_memmap(path, "w+", np.float16, shape).flush()
    todo = [chunk for chunk in rendered["finished"] if chunk not in finished]
    clips = 0
    for number, (size_name, start, stop) in enumerate(todo, start=1):
        pictures = np.load(clip_path(work, size_name, "pictures"), mmap_mode="r")[start:stop]
        stored = open_memmap(clip_path(work, size_name, "latents"), "r+")
        for offset, frames in enumerate(pictures):
            batch = to_tensor(torch.from_numpy(frames.copy())).to(memory_format=torch.channels_last)
            with fast_arithmetic():
                latents = autoencoder.encode(batch)
            stored[start + offset] = latents.float().numpy().astype(np.float16)
        stored.flush()
        clips += stop - start
        finished.append([size_name, start, stop])
        if number % 10 == 0 or number == len(todo):
            content = json.dumps(finished).encode()
            write_whole(record, lambda file, content=content: file.write(content) and None)
            log.progress(clips, sum(chunk[2] - chunk[1] for chunk in todo), 0, "clips")


if __name__ == "__main__":
    main()
