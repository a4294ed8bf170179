"""Clips, stage 3: train the motion network. `python -m training.train_motion --work DIR`.

The network sees the first frame of a clip and its caption, and four other frames show whether it knew where things
would go. The first frame gets a little noise, because a generated one is never quite a painted one.

The text encoder is the newest one there is and is not trained here; what ships with `helio-base` must be what the last
chunk saw. `--minutes N` stops after a chunk and saves; the next run continues. The schedule depends on samples seen and
`--total` alone.
"""

from __future__ import annotations

import math
import random
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from training import checkpoint
from training.autoencoder import to_tensor
from training.clips import ClipBatch, Clips
from training.models import load_models
from training.motion import MotionTransformer, carry
from training.motion_models import load_text_encoder
from training.muon import Muon
from training.precision import fast_arithmetic
from training.progress import StageLog, stage_parser
from training.sample_motion import write_strips
from training.tokenizer import Tokenizer

TOTAL_SAMPLES = 75_000
_MATRIX_RATE = 2e-3
_OTHER_RATE = 1e-3
_WARMUP_SAMPLES = 1_000
_FLAT_SHARE = 0.5
_AVERAGE_DECAY = 0.998
_FRAMES_SHOWN = 4
_FIRST_FRAME_NOISE = 0.1
_FLOW_SIZE_WEIGHT = 0.002
_FLOW_TEAR_WEIGHT = 0.012
_STRIPS_EVERY_S = 600.0


def rate_factor(samples_seen: int, total: int) -> float:
    """Warm-up, then flat, then linear down to two percent at `total`."""
    warm = min(1.0, (samples_seen + 1) / _WARMUP_SAMPLES)
    return warm * min(1.0, max(0.02, (1 - samples_seen / total) / (1 - _FLAT_SHARE)))


def loss_of(network: MotionTransformer, batch: ClipBatch, text: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """How far the painted first frame, carried along the flow, is from the painted frames, at three sizes.

    The small ones show the flow the way from afar. Flow that nothing asks for should be none, and flow should not tear.
    For the log comes the share of the error that would be made if nothing moved.
    """
    first = batch.latents[:, 0]
    flow = network.flow(batch.numbers, first + _FIRST_FRAME_NOISE * torch.randn_like(first), *text)
    pictures = to_tensor(batch.pictures.flatten(0, 1))
    smooth = sum((flow.diff(dim=axis).abs().mean() for axis in (-1, -2)), torch.zeros(()))
    loss = _FLOW_SIZE_WEIGHT * flow.abs().mean() + _FLOW_TEAR_WEIGHT * smooth
    error, unmoved = torch.zeros(()), torch.zeros(())
    for edge in (8, 4, 2):
        small = F.avg_pool2d(pictures, edge).unflatten(0, batch.pictures.shape[:2])
        error = error + (carry(small[:, 0], flow) - small[:, 1:]).abs().mean()
        unmoved = unmoved + (small[:, :1] - small[:, 1:]).abs().mean()
    return loss + error, error.detach() / unmoved.clamp(min=1e-6)


def make_optimizers(network: MotionTransformer) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside blocks, AdamW for everything else."""
    matrices = [p for name, p in network.blocks.named_parameters() if p.ndim == 2 and not name.endswith("modulation")]
    chosen = {id(p) for p in matrices}
    others = [p for p in network.parameters() if id(p) not in chosen and p.requires_grad]
    return [
        Muon(matrices, _MATRIX_RATE),
        torch.optim.AdamW(others, _OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.01),
    ]


class Trainer:
    """The network, its running average (which is what ships), optimizers, random state and progress."""

    def __init__(self, work: Path, total: int, batch: int, data: Clips) -> None:
        self.work, self.total, self.batch, self.data = work, total, batch, data
        self.path = work / "checkpoints" / "motion.pt"
        self.tokenizer = Tokenizer(work / "tokenizer")
        self.text_encoder = load_text_encoder(work, self.tokenizer)
        torch.manual_seed(5)
        self.network = MotionTransformer()
        self.network.motion_scale.fill_(data.motion_scale())
        self.network.autoencoder.load_state_dict(load_models(work).autoencoder.state_dict())
        self.average = MotionTransformer().requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())
        self.optimizers = make_optimizers(self.network)
        self.base_rates = [group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups]
        self.rng = random.Random(5)
        self.seen = 0
        state = checkpoint.load(self.path, self.rng)
        if state:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            for optimizer, stored in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(stored)
            self.seen = state["samples_seen"]

    def save(self) -> None:
        """Write everything the next chunk needs."""
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "samples_seen": self.seen,
            "clips": len(self.data),
        }
        checkpoint.save(self.path, state, self.rng)

    def step(self) -> tuple[float, float]:
        """One update; returns the loss and the share of motion not yet foreseen."""
        factor = rate_factor(self.seen, self.total)
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        for group, base in zip(groups, self.base_rates, strict=True):
            group["lr"] = base * factor
        batch = self.data.batch(self.rng, self.batch, _FRAMES_SHOWN)
        ids = torch.tensor([self.tokenizer.encode(text) for text in batch.captions(self.rng)])
        with fast_arithmetic():
            with torch.no_grad():
                context, pooled = self.text_encoder(ids)
            loss, unforeseen = loss_of(self.network, batch, (context, pooled))
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.seen += self.batch
        steps = self.seen // self.batch
        decay = min(_AVERAGE_DECAY, (1 + steps) / (20 + steps))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - decay)
        return loss.item(), unforeseen.item()


def main() -> None:
    """Train one chunk."""
    parser = stage_parser(__doc__)
    parser.add_argument("--total", type=int, default=TOTAL_SAMPLES, help="samples the schedule is stretched over")
    parser.add_argument("--batch", type=int, default=32, help="clips per update")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this chunk; rerun to go on")
    options = parser.parse_args()
    work: Path = options.work
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    torch.set_num_threads(options.threads)
    log = StageLog(work, "train_motion")
    trainer = Trainer(work, options.total, options.batch, Clips(work))
    log.write(f"{len(trainer.data)} clips, motion scale {trainer.network.motion_scale.item():.3f}")
    since, saved_s, strips_s, steps = trainer.seen, 0.0, 0.0, 0
    average, average_unforeseen = math.nan, math.nan
    while trainer.seen < options.total and log.elapsed_s < options.minutes * 60:
        loss, unforeseen = trainer.step()
        steps += 1
        average = loss if math.isnan(average) else 0.98 * average + 0.02 * loss
        average_unforeseen = (
            unforeseen if math.isnan(average_unforeseen) else 0.98 * average_unforeseen + 0.02 * unforeseen
        )
        if steps % 25 == 0:
            detail = f"loss {average:.4f}, unforeseen {average_unforeseen:.3f}"
            log.progress(trainer.seen, options.total, since, "clips", detail)
        if log.elapsed_s - saved_s > checkpoint.SAVE_EVERY_S:
            trainer.save()
            saved_s = log.elapsed_s
        if log.elapsed_s - strips_s > _STRIPS_EVERY_S:
            trainer.save()
            saved_s = log.elapsed_s
            write_strips(work, work / "grids" / f"motion_{trainer.seen:07d}.png", trainer.data)
            strips_s = log.elapsed_s
    trainer.save()
    write_strips(work, work / "grids" / f"motion_{trainer.seen:07d}.png", trainer.data)
    log.write(f"stopped at {trainer.seen} clips, loss {average:.4f}, unforeseen {average_unforeseen:.3f}")


if __name__ == "__main__":
    main()
