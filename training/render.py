"""Stage 1: paint the training pictures of all sizes. `python -m training.render --work DIR`; a second run continues."""

from __future__ import annotations

import json
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from training.painting import CELL_PX, paint
from training.progress import StageLog, stage_parser, write_whole
from training.scenes import SIZES, scene_at

COUNTS = {"square": 24_000, "landscape": 7_000, "portrait": 7_000}
"""Pictures per size; the first VALIDATION_COUNT square ones are kept out of training."""
VALIDATION_COUNT = 512

_CHUNK = 250
Chunk = tuple[str, int, int]


def array_path(work: Path, size_name: str, kind: str) -> Path:
    """File of one rendered or encoded array: kind is pictures, layouts, object_cells or latents."""
    return work / "data" / f"{size_name}_{kind}.npy"


def _paint_chunk(chunk: Chunk) -> tuple[Chunk, NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    size_name, start, stop = chunk
    paintings = [paint(scene_at(size_name, index), size_name) for index in range(start, stop)]
    pictures = np.stack([painting.picture() for painting in paintings])
    layouts = np.stack([painting.layout for painting in paintings])
    cells = np.stack([painting.object_cells for painting in paintings])
    return chunk, pictures, layouts, cells


def _create_arrays(work: Path, counts: dict[str, int]) -> None:
    for size_name, (width, height) in SIZES.items():
        count = counts[size_name]
        shapes = {
            "pictures": ((count, height, width, 3), np.uint8),
            "layouts": ((count, height // CELL_PX // 2, width // CELL_PX // 2), np.uint8),
            "object_cells": ((count, height // CELL_PX, width // CELL_PX), np.bool_),
        }
        for kind, (shape, dtype) in shapes.items():
            open_memmap(array_path(work, size_name, kind), "w+", dtype, shape).flush()


def main() -> None:
    """Render every chunk that an earlier run has not."""
    parser = stage_parser(__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the standard number of pictures")
    options = parser.parse_args()
    work: Path = options.work
    log = StageLog(work, "render")
    counts = {name: max(_CHUNK, round(count * options.scale / _CHUNK) * _CHUNK) for name, count in COUNTS.items()}
    record = work / "data" / "rendered.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    finished: list[list[str | int]] = []
    if record.exists() and json.loads(record.read_text())["counts"] == counts:
        finished = json.loads(record.read_text())["finished"]
    else:
        _create_arrays(work, counts)
    chunks: list[Chunk] = [(n, i, i + _CHUNK) for n, count in counts.items() for i in range(0, count, _CHUNK)]
    todo = [chunk for chunk in chunks if list(chunk) not in finished]
    before = len(finished) * _CHUNK
    with Pool(options.processes) as pool:
        for chunk, *arrays in pool.imap_unordered(_paint_chunk, todo):
            size_name, start, stop = chunk
            for kind, values in zip(("pictures", "layouts", "object_cells"), arrays, strict=True):
                stored = open_memmap(array_path(work, size_name, kind), "r+")
                stored[start:stop] = values
                stored.flush()
            finished.append(list(chunk))
            state = json.dumps({"counts": counts, "finished": finished}).encode()
            write_whole(record, lambda file, state=state: file.write(state) and None)
            if len(finished) % 8 == 0:
                log.progress(len(finished) * _CHUNK, sum(counts.values()), before, "pictures")
    log.write("all pictures rendered")


if __name__ == "__main__":
    main()
