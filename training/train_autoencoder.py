"""Stage 2: train the autoencoder. `python -m training.train_autoencoder --work DIR [--minutes N]`; reruns continue.

With `--decoder-only` a finished run goes on with the encoder frozen: latents (and every transformer trained on them)
stay valid while the decoder gets sharper.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from training import checkpoint
from training.autoencoder import DOWNSCALE, LATENT_CHANNELS, Autoencoder, to_pixels, to_tensor
from training.dataset import Pictures
from training.muon import Muon
from training.precision import fast_arithmetic
from training.progress import StageLog, stage_parser

TOTAL_SAMPLES = 400_000
BATCH = 64
_CROP_PX = 64
"""Training looks at crops, aligned to the latent grid: four times the variety for the same work."""
_LEARNING_RATE = 2e-3
_WARMUP_SAMPLES = 2_000
_LATENT_NOISE = 0.06
"""Deviation of the noise on training latents: teaches the decoder to forgive the transformer's small errors."""


def loss_of(pictures: Tensor, decoded: Tensor, latents: Tensor) -> Tensor:
    """Absolute, squared and edge differences, and a pull that keeps latents from growing."""
    rows = (decoded.diff(dim=-2) - pictures.diff(dim=-2)).abs().mean()
    columns = (decoded.diff(dim=-1) - pictures.diff(dim=-1)).abs().mean()
    size = F.relu(latents.square().mean() - 1)
    return F.l1_loss(decoded, pictures) + 0.8 * (rows + columns) + 0.6 * F.mse_loss(decoded, pictures) + 2e-3 * size


def crop(pictures: Tensor, rng: random.Random) -> Tensor:
    """A square of _CROP_PX out of every picture of the batch, at one place of the latent grid."""
    height, width = pictures.shape[1:3]
    top = rng.randrange(0, height - _CROP_PX + 1, DOWNSCALE)
    left = rng.randrange(0, width - _CROP_PX + 1, DOWNSCALE)
    return pictures[:, top : top + _CROP_PX, left : left + _CROP_PX]


def learning_rate(samples_seen: int, total: int) -> float:
    """Warm-up, then half a cosine down to two percent."""
    warm = min(1.0, (samples_seen + BATCH) / _WARMUP_SAMPLES)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, samples_seen / total)))
    return _LEARNING_RATE * warm * (0.02 + 0.98 * cosine)


@torch.no_grad()
def validate(model: Autoencoder, data: Pictures, work: Path) -> float:
    """Mean PSNR in dB over 256 validation pictures; writes originals above reconstructions as a sheet."""
    pictures = data.validation(256)
    decoded = torch.cat([to_pixels(model.decode(model.encode(to_tensor(part)))) for part in pictures.split(32)])
    errors = (pictures.float() - decoded.float()).square().mean((1, 2, 3))
    rows = [row for i in range(0, 24, 8) for row in (pictures[i : i + 8], decoded[i : i + 8])]
    sheet = torch.cat([torch.cat(list(row), 1) for row in rows], 0)
    Image.fromarray(sheet.numpy()).save(work / "autoencoder.png")
    return float((10 * torch.log10(255**2 / errors)).mean())


@torch.no_grad()
def measure_latents(model: Autoencoder, data: Pictures, rng: random.Random) -> None:
    """Set the normalising statistics from 2 048 training pictures."""
    latents = [model.encoder(to_tensor(data.batch(rng, BATCH))) for _ in range(64)]
    flat = torch.cat([part.transpose(0, 1).flatten(1) for part in latents], 1)
    model.latent_mean.copy_(flat.mean(1).view(LATENT_CHANNELS, 1, 1))
    model.latent_deviation.copy_(flat.std(1).view(LATENT_CHANNELS, 1, 1))


def main() -> None:
    """Train until TOTAL_SAMPLES or the minutes are used up."""
    parser = stage_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this chunk; rerun to go on")
    parser.add_argument("--total", type=int, default=TOTAL_SAMPLES, help="samples the schedule is stretched over")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--decoder-only", action="store_true")
    options = parser.parse_args()
    work: Path = options.work
    log = StageLog(work, "train_autoencoder")
    rng = random.Random(1)
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    data = Pictures(work)
    model = Autoencoder().to(memory_format=torch.channels_last)
    model.encoder.requires_grad_(not options.decoder_only)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizers: list[torch.optim.Optimizer] = [
        Muon([p for p in trained if p.ndim == 4], _LEARNING_RATE, decay=0.0),
        torch.optim.AdamW([p for p in trained if p.ndim < 4], _LEARNING_RATE, weight_decay=0.0),
    ]
    path = work / "checkpoints" / ("decoder.pt" if options.decoder_only else "autoencoder.pt")
    state = checkpoint.load(path, rng)
    seen = 0
    if state:
        model.load_state_dict(state["model"])
        for optimizer, stored in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(stored)
        seen = state["samples_seen"]
    elif options.decoder_only:
        model.load_state_dict(torch.load(work / "checkpoints" / "autoencoder.pt", weights_only=False)["model"])
    since, saved_s, average = seen, 0.0, math.nan

    def save() -> None:
        stored = [optimizer.state_dict() for optimizer in optimizers]
        checkpoint.save(path, {"model": model.state_dict(), "optimizers": stored, "samples_seen": seen}, rng)

    while seen < options.total and log.elapsed_s < options.minutes * 60:
        rate = learning_rate(seen, options.total)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        pictures = to_tensor(crop(data.batch(rng, BATCH), rng)).to(memory_format=torch.channels_last)
        with fast_arithmetic():
            latents = model.encoder(pictures)
            decoded = model.decoder(latents + torch.randn_like(latents) * _LATENT_NOISE)
        loss = loss_of(pictures, decoded.float(), latents.float())
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        seen += BATCH
        average = loss.item() if math.isnan(average) else 0.98 * average + 0.02 * loss.item()
        if seen % (BATCH * 100) == 0:
            log.progress(seen, options.total, since, "samples", f"loss {average:.4f}")
        if seen % (BATCH * 600) == 0:
            log.write(f"validation PSNR {validate(model, data, work):.2f} dB")
        if log.elapsed_s - saved_s > checkpoint.SAVE_EVERY_S:
            save()
            saved_s = log.elapsed_s
    if not options.decoder_only:
        measure_latents(model, data, rng)
    save()
    log.write(f"stopped at {seen} samples, validation PSNR {validate(model, data, work):.2f} dB")


if __name__ == "__main__":
    main()
