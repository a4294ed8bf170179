"""Clips, stage 1: paint what helio-motion learns from. `python -m training.render_clips --work DIR`; a rerun continues.

Needs nothing but the painter; all sizes grow together, so a part of it is a fair sample. Frames are kept as pictures
until `encode_clips` has made latents of them.
"""

from __future__ import annotations

import json
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from training.animation import FRAMES, clip_scene_at, moments, motion_of
from training.painting import paint_clip
from training.progress import StageLog, stage_parser, write_whole
from training.scenes import SIZES

CLIP_COUNTS = {"square": 2_600, "landscape": 500, "portrait": 500}
"""Clips per size; the first VALIDATION_CLIPS square ones are kept out of training."""
VALIDATION_CLIPS = 100

_CHUNK = 20
Chunk = tuple[str, int, int]


def clip_path(work: Path, size_name: str, kind: str) -> Path:
    """File of one rendered or encoded array: kind is pictures or latents, of (clips, FRAMES, ...)."""
    return work / "data" / f"{size_name}_clip_{kind}.npy"


def clip_pictures(size_name: str, index: int) -> NDArray[np.uint8]:
    """(FRAMES, height, width, 3) uint8 sRGB, clip number `index` of the endless set of one size."""
    scene = clip_scene_at(size_name, index)
    frames = paint_clip(scene, size_name, moments(motion_of(scene)))
    return np.stack([frame.picture() for frame in frames])


def _paint_chunk(chunk: Chunk) -> tuple[Chunk, NDArray[np.uint8]]:
    size_name, start, stop = chunk
    return chunk, np.stack([clip_pictures(size_name, index) for index in range(start, stop)])


def main() -> None:
    """Render every chunk that an earlier run has not."""
    parser = stage_parser(__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the standard number of clips")
    options = parser.parse_args()
    work: Path = options.work
    log = StageLog(work, "render_clips")
    counts = {name: max(_CHUNK, round(count * options.scale / _CHUNK) * _CHUNK) for name, count in CLIP_COUNTS.items()}
    record = work / "data" / "clips_rendered.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    finished: list[list[str | int]] = []
    if record.exists() and json.loads(record.read_text())["counts"] == counts:
        finished = json.loads(record.read_text())["finished"]
    else:
        for size_name, (width, height) in SIZES.items():
            shape = (counts[size_name], FRAMES, height, width, 3)
            open_memmap(clip_path(work, size_name, "pictures"), "w+", np.uint8, shape).flush()
    chunks: list[Chunk] = [(n, i, i + _CHUNK) for n, count in counts.items() for i in range(0, count, _CHUNK)]
    chunks.sort(key=lambda chunk: chunk[1] / counts[chunk[0]])
    todo = [chunk for chunk in chunks if list(chunk) not in finished]
    before = len(finished) * _CHUNK
    with Pool(options.processes) as pool:
        for chunk, pictures in pool.imap_unordered(_paint_chunk, todo):
            size_name, start, stop = chunk
            stored = open_memmap(clip_path(work, size_name, "pictures"), "r+")
            stored[start:stop] = pictures
            stored.flush()
            finished.append(list(chunk))
            state = json.dumps({"counts": counts, "finished": finished}).encode()
            write_whole(record, lambda file, state=state: file.write(state) and None)
            if len(finished) % 4 == 0:
                log.progress(len(finished) * _CHUNK, sum(counts.values()), before, "clips")
    log.write("all clips rendered")


if __name__ == "__main__":
    main()
