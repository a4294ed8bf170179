"""Stage 9: train the upscaler. `python -m training.train_upscaler --work DIR [--minutes N]`; reruns continue.

Targets are scenes painted at twice their size. Half of the inputs are the same scenes at their size, half have been
through the autoencoder, noise on their latents: in use the network is handed decoded pictures, so it also learns to
put back the edges the decoder softens.
"""

from __future__ import annotations

import math
import random
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from training import checkpoint
from training.autoencoder import Autoencoder, to_pixels, to_tensor
from training.models import load_models
from training.muon import Muon
from training.painting import paint
from training.precision import fast_arithmetic
from training.progress import StageLog, stage_parser, write_whole
from training.render import VALIDATION_COUNT
from training.scenes import scene_at
from training.upscaler import FACTOR, Upscaler, bicubic

TOTAL_SAMPLES = 64_000
PICTURE_COUNT = 3_000
"""Square scenes painted large; the first _VALIDATION_COUNT are kept out of training (here and in all stages)."""

_VALIDATION_COUNT = 128
_BATCH = 32
_CROP_PX = 48
_LEARNING_RATE = 2e-3
_WARMUP_SAMPLES = 2_000
_LATENT_NOISE = 0.08
_REPORT_EVERY = _BATCH * 100

assert _VALIDATION_COUNT <= VALIDATION_COUNT


class LargePictures:
    """Scenes at twice their size, at their size, and as the autoencoder gives them back: all uint8 sRGB.

    large: (count, 256, 256, 3); small: (count, 128, 128, 3); decoded: like small
    """

    def __init__(self, work: Path, log: StageLog, processes: int) -> None:
        self.large = _painted(work / "data" / "large_pictures.npy", log, processes)
        self.small = np.stack([np.asarray(Image.fromarray(picture).reduce(FACTOR)) for picture in self.large])
        self.decoded = _decoded(load_models(work).autoencoder, self.small, log)

    def batch(self, rng: random.Random, count: int) -> tuple[Tensor, Tensor]:
        """Crops (count, 48, 48, 3) to be enlarged and what they should become, (count, 96, 96, 3)."""
        inputs, targets = [], []
        for _ in range(count):
            row = rng.randrange(_VALIDATION_COUNT, len(self.large))
            source = self.small if rng.random() < 0.5 else self.decoded
            height, width = source.shape[1:3]
            top, left = rng.randrange(height - _CROP_PX + 1), rng.randrange(width - _CROP_PX + 1)
            small = source[row, top : top + _CROP_PX, left : left + _CROP_PX]
            top, left, edge = FACTOR * top, FACTOR * left, FACTOR * _CROP_PX
            large = self.large[row, top : top + edge, left : left + edge]
            mirrored = slice(None, None, -1 if rng.random() < 0.5 else 1)
            inputs.append(small[:, mirrored])
            targets.append(large[:, mirrored])
        return torch.from_numpy(np.stack(inputs)), torch.from_numpy(np.stack(targets))


def _painted(path: Path, log: StageLog, processes: int) -> NDArray[np.uint8]:
    if not path.exists():
        pictures: list[NDArray[np.uint8]] = []
        started_s = log.elapsed_s
        with Pool(processes) as pool:
            for picture in pool.imap(_paint_large, range(PICTURE_COUNT), chunksize=20):
                pictures.append(picture)
                if len(pictures) % 500 == 0:
                    log.progress(len(pictures), PICTURE_COUNT, 0, "large pictures", "", started_s)
        write_whole(path, lambda file: np.save(file, np.stack(pictures)))
    return np.load(path)


def _paint_large(index: int) -> NDArray[np.uint8]:
    return paint(scene_at("square", index)).large


@torch.no_grad()
def _decoded(autoencoder: Autoencoder, pictures: NDArray[np.uint8], log: StageLog) -> NDArray[np.uint8]:
    generator = torch.Generator().manual_seed(8)
    parts: list[NDArray[np.uint8]] = []
    started_s = log.elapsed_s
    for start in range(0, len(pictures), 50):
        with fast_arithmetic():
            latents = autoencoder.encode(to_tensor(torch.from_numpy(pictures[start : start + 50])))
            noise = torch.randn(latents.shape, generator=generator) * _LATENT_NOISE
            parts.append(to_pixels(autoencoder.decode(latents + noise).float()).numpy())
        if start % 1000 == 950:
            log.progress(start + 50, len(pictures), 0, "pictures through the autoencoder", "", started_s)
    return np.concatenate(parts)


def loss_of(enlarged: Tensor, wanted: Tensor) -> Tensor:
    """Absolute and edge differences: crisp borders count more than exact tones."""
    rows = (enlarged.diff(dim=-2) - wanted.diff(dim=-2)).abs().mean()
    columns = (enlarged.diff(dim=-1) - wanted.diff(dim=-1)).abs().mean()
    return F.l1_loss(enlarged, wanted) + 0.8 * (rows + columns)


def learning_rate(samples_seen: int, total: int) -> float:
    """Warm-up, then half a cosine down to two percent."""
    warm = min(1.0, (samples_seen + _BATCH) / _WARMUP_SAMPLES)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, samples_seen / total)))
    return _LEARNING_RATE * warm * (0.02 + 0.98 * cosine)


def psnr(pictures: Tensor, wanted: Tensor) -> float:
    """Mean over the pictures in dB, both uint8."""
    errors = (pictures.float() - wanted.float()).square().mean((1, 2, 3))
    return float((10 * torch.log10(255**2 / errors.clamp_min(1e-3))).mean())


@torch.no_grad()
def validate(model: Upscaler, data: LargePictures, sheet: Path) -> dict[str, float]:
    """PSNR in dB of validation pictures, beside bicubic enlargement; draws bicubic, network and target as a sheet."""
    wanted = torch.from_numpy(data.large[:_VALIDATION_COUNT])
    found: dict[str, float] = {}
    for name, source in (("decoded", data.decoded), ("painted", data.small)):
        small = to_tensor(torch.from_numpy(source[:_VALIDATION_COUNT]))
        ours = torch.cat([to_pixels(model(part)) for part in small.split(16)])
        plain = torch.cat([to_pixels(bicubic(part)) for part in small.split(16)])
        found[f"psnr_{name}_db"] = round(psnr(ours, wanted), 2)
        found[f"psnr_{name}_bicubic_db"] = round(psnr(plain, wanted), 2)
        if name == "decoded":
            rows = [torch.cat(list(part[:6]), 1) for part in (plain, ours, wanted)]
            Image.fromarray(torch.cat(rows, 0).numpy()).save(sheet)
    return found


def make_optimizers(model: nn.Module) -> list[torch.optim.Optimizer]:
    """Muon for the kernels, AdamW for the rest."""
    return [
        Muon([p for p in model.parameters() if p.ndim == 4], _LEARNING_RATE, decay=0.0),
        torch.optim.AdamW([p for p in model.parameters() if p.ndim < 4], _LEARNING_RATE, weight_decay=0.0),
    ]


def load_upscaler(work: Path) -> tuple[Upscaler, dict[str, Any]]:
    """The trained upscaler in evaluation mode, and what was measured at the end of its training."""
    state = torch.load(work / "checkpoints" / "upscaler.pt", weights_only=False)
    upscaler = Upscaler()
    upscaler.load_state_dict(state["model"])
    return upscaler.eval(), {"samples_seen": state["samples_seen"], **state["measured"]}


def main() -> None:
    """Paint what is missing, train until `--total` or the minutes are used up, measure."""
    parser = stage_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this chunk; rerun to go on")
    parser.add_argument("--total", type=int, default=TOTAL_SAMPLES, help="samples the schedule is stretched over")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    work: Path = options.work
    torch.set_num_threads(options.threads)
    torch.manual_seed(9)
    rng = random.Random(9)
    log = StageLog(work, "train_upscaler")
    data = LargePictures(work, log, options.threads)
    model = Upscaler().to(memory_format=torch.channels_last)
    optimizers = make_optimizers(model)
    path, seen = work / "checkpoints" / "upscaler.pt", 0
    if state := checkpoint.load(path, rng):
        model.load_state_dict(state["model"])
        for optimizer, stored in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(stored)
        seen = state["samples_seen"]
    since, started_s, saved_s, average, measured = seen, log.elapsed_s, log.elapsed_s, math.nan, {}

    def save() -> None:
        stored = [optimizer.state_dict() for optimizer in optimizers]
        content = {"model": model.state_dict(), "optimizers": stored, "samples_seen": seen, "measured": measured}
        checkpoint.save(path, content, rng)

    while seen < options.total and log.elapsed_s - started_s < options.minutes * 60:
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(seen, options.total)
        small, large = data.batch(rng, _BATCH)
        with fast_arithmetic():
            enlarged = model(to_tensor(small).contiguous(memory_format=torch.channels_last))
        loss = loss_of(enlarged.float(), to_tensor(large))
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        seen += _BATCH
        average = loss.item() if math.isnan(average) else 0.98 * average + 0.02 * loss.item()
        if seen % _REPORT_EVERY == 0:
            log.progress(seen, options.total, since, "samples", f"loss {average:.4f}", started_s)
        if log.elapsed_s - saved_s > checkpoint.SAVE_EVERY_S:
            save()
            saved_s = log.elapsed_s
    measured = validate(model, data, work / "upscaler.png")
    save()
    log.write(f"stopped at {seen} samples; {measured}")


if __name__ == "__main__":
    main()
