"""Stage 3: encode all rendered pictures with the trained autoencoder. `python -m training.encode_latents --work DIR`"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from training.autoencoder import to_tensor
from training.models import load_models
from training.progress import StageLog, stage_parser
from training.render import array_path
from training.scenes import SIZES

_BATCH = 50


@torch.no_grad()
def main() -> None:
    """Write normalised float16 latents beside the pictures of each size."""
    parser = stage_parser(__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--share", type=float, default=1.0, help="encode only this share of each size, to start early")
    options = parser.parse_args()
    work: Path = options.work
    torch.set_num_threads(options.threads)
    log = StageLog(work, "encode_latents")
    autoencoder = load_models(work).autoencoder.to(memory_format=torch.channels_last)
    for size_name in SIZES:
        pictures = np.load(array_path(work, size_name, "pictures"), mmap_mode="r")
        count = round(len(pictures) * options.share)
        parts: list[np.ndarray] = []
        for start in range(0, count, _BATCH):
            batch = to_tensor(torch.from_numpy(pictures[start : min(start + _BATCH, count)].copy()))
            parts.append(autoencoder.encode(batch.to(memory_format=torch.channels_last)).numpy().astype(np.float16))
            if start % (_BATCH * 40) == 0:
                log.progress(start + _BATCH, count, 0, f"{size_name} pictures")
        latents = np.concatenate(parts)
        np.save(array_path(work, size_name, "latents"), latents)
        mean, deviation = latents.mean(dtype=np.float32), latents.std(dtype=np.float32)
        log.write(f"{size_name}: mean {mean:.3f}, deviation {deviation:.3f}")


if __name__ == "__main__":
    main()
