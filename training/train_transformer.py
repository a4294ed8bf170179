"""Stage 5: train transformer and text encoder together. `python -m training.train_transformer --work DIR`.

Rectified flow on latents with three aids, each measured or reasoned in README.md: cells of the object weigh double;
a linear head on the middle block must name what each token shows (the renderer knows); Muon on all matrices.

Work is shared by processes of one thread each, which average their gradients: matrices this small gain nothing from
threads. `--minutes N` stops after a chunk and saves; the next run continues. The schedule depends on samples seen and
`--total` alone, so chunks, pauses and slow machines do not change it; a larger `--total` prolongs a finished run.
"""

from __future__ import annotations

import math
import random
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch import multiprocessing as processes
from torch.nn import functional as F

from training import checkpoint
from training.captions import training_caption
from training.dataset import LatentBatch, Latents
from training.muon import Muon
from training.precision import fast_arithmetic
from training.progress import StageLog, stage_parser
from training.sample import write_grid
from training.text_encoder import TextEncoder
from training.tokenizer import Tokenizer
from training.transformer import Transformer

TOTAL_SAMPLES = 600_000
_MATRIX_RATE = 2e-3
_OTHER_RATE = 1e-3
_WARMUP_SAMPLES = 3_000
_FLAT_SHARE = 0.5
_AVERAGE_DECAY = 0.9985
_LAYOUT_WEIGHT = 0.1
_OBJECT_WEIGHT = 2.0
_GRID_EVERY_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The options of one chunk, shared by its processes."""

    work: Path
    total: int
    batch: int
    processes: int
    is_compiled: bool
    minutes: float
    rendezvous: str


class Networks(nn.Module):
    """What is trained here; a second copy of it holds the running average of the weights, which is what ships."""

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.transformer = Transformer()
        self.text_encoder = TextEncoder(vocabulary_size)

    def weights(self) -> dict[str, dict[str, Tensor]]:
        """State of each network by name."""
        return {"transformer": self.transformer.state_dict(), "text_encoder": self.text_encoder.state_dict()}

    def load_weights(self, weights: dict[str, dict[str, Tensor]]) -> None:
        """The inverse of `weights`."""
        self.transformer.load_state_dict(weights["transformer"])
        self.text_encoder.load_state_dict(weights["text_encoder"])


def rate_factor(samples_seen: int, total: int) -> float:
    """Warm-up, then flat, then linear down to two percent at `total`."""
    warm = min(1.0, (samples_seen + 1) / _WARMUP_SAMPLES)
    share = samples_seen / total
    return warm * min(1.0, max(0.02, (1 - share) / (1 - _FLAT_SHARE)))


def loss_of(networks: Networks, batch: LatentBatch, ids: Tensor) -> tuple[Tensor, Tensor]:
    """The loss to minimise, and its plain velocity part for the log."""
    clean = batch.latents
    noise = torch.randn_like(clean)
    t = torch.sigmoid(torch.randn(len(clean)) + 0.1)
    share = t[:, None, None, None]
    context, pooled = networks.text_encoder(ids)
    noisy = (1 - share) * clean + share * noise
    velocity, layout_logits = networks.transformer.velocity_and_layout(noisy, t, context, pooled)
    errors = (velocity - (noise - clean)).square().mean(1)
    weights = 1 + (_OBJECT_WEIGHT - 1) * batch.object_cells.float()
    layout_loss = F.cross_entropy(layout_logits.flatten(0, 1), batch.layouts.flatten())
    return (errors * weights).sum() / weights.sum() + _LAYOUT_WEIGHT * layout_loss, errors.mean().detach()


def make_optimizers(networks: Networks) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside transformer blocks and encoder layers, AdamW for everything else."""
    inside = [*networks.transformer.blocks.named_parameters(), *networks.text_encoder.layers.named_parameters()]
    matrices = [p for name, p in inside if p.ndim == 2 and not name.endswith("modulation")]
    chosen = {id(p) for p in matrices}
    others = [p for p in networks.parameters() if id(p) not in chosen]
    return [
        Muon(matrices, _MATRIX_RATE),
        torch.optim.AdamW(others, _OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Replace each gradient by its mean over all processes."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    together = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(together)
    together /= dist.get_world_size()
    for gradient, part in zip(gradients, together.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


class Trainer:
    """One process of a run: its networks, their average, optimizers, random state and progress."""

    def __init__(self, run: Run, rank: int) -> None:
        self.run, self.rank = run, rank
        self.path = run.work / "checkpoints" / "transformer.pt"
        self.tokenizer = Tokenizer(run.work / "tokenizer")
        torch.manual_seed(3)
        self.networks = Networks(len(self.tokenizer.vocabulary))
        self.average = Networks(len(self.tokenizer.vocabulary)).requires_grad_(False)
        self.parameters = list(self.networks.parameters())
        self.optimizers = make_optimizers(self.networks)
        self.base_rates = [group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups]
        self.rng = random.Random(3)
        self.loss_of = torch.compile(loss_of, dynamic=False) if run.is_compiled else loss_of
        self.seen = 0
        self._restore()
        if rank:
            torch.manual_seed(self.seen + rank)
            self.rng = random.Random(self.seen + rank)

    def _restore(self) -> None:
        state = checkpoint.load(self.path, self.rng)
        if state is None:
            warm = torch.load(self.run.work / "checkpoints" / "text_encoder.pt", weights_only=False)
            self.networks.text_encoder.load_state_dict(warm["model"])
            self.average.load_weights(self.networks.weights())
            return
        self.networks.load_weights(state["networks"])
        self.average.load_weights(state["average"])
        for optimizer, stored in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(stored)
        self.seen = state["samples_seen"]

    def save(self) -> None:
        """Write everything the next chunk needs."""
        state: dict[str, Any] = {
            "networks": self.networks.weights(),
            "average": self.average.weights(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "samples_seen": self.seen,
        }
        checkpoint.save(self.path, state, self.rng)

    def step(self, data: Latents) -> float:
        """One update from this process's share of a batch; returns the plain velocity error."""
        factor = rate_factor(self.seen, self.run.total)
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        for group, base in zip(groups, self.base_rates, strict=True):
            group["lr"] = base * factor
        batch = data.batch(self.rng, self.run.batch // self.run.processes)
        ids = torch.tensor([self.tokenizer.encode(training_caption(scene, self.rng)) for scene in batch.scenes])
        with fast_arithmetic():
            loss, error = self.loss_of(self.networks, batch, ids)
        self.networks.zero_grad(set_to_none=True)
        loss.backward()
        if self.run.processes > 1:
            average_gradients(self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.seen += self.run.batch
        steps = self.seen // self.run.batch
        decay = min(_AVERAGE_DECAY, (1 + steps) / (20 + steps))
        averaged = list(self.average.parameters())
        with torch.no_grad():
            torch._foreach_lerp_(averaged, self.parameters, 1 - decay)
        return error.item()


def train(rank: int, run: Run) -> None:
    """The life of one process; rank 0 logs, saves and draws sample grids."""
    torch.set_num_threads(1)
    if run.processes > 1:
        dist.init_process_group("gloo", init_method=run.rendezvous, rank=rank, world_size=run.processes)
    trainer, data = Trainer(run, rank), Latents(run.work)
    log = StageLog(run.work, "train_transformer") if rank == 0 else None
    since, average, saved_s, grid_s, steps = trainer.seen, math.nan, 0.0, 0.0, 0
    stop = torch.zeros(1)
    while trainer.seen < run.total and not stop.item():
        error = trainer.step(data)
        steps += 1
        average = error if math.isnan(average) else 0.98 * average + 0.02 * error
        if log is not None:
            stop.fill_(log.elapsed_s > run.minutes * 60)
            if steps % 25 == 0:
                log.progress(trainer.seen, run.total, since, "samples", f"error {average:.4f}")
            if log.elapsed_s - saved_s > checkpoint.SAVE_EVERY_S:
                trainer.save()
                saved_s = log.elapsed_s
            if log.elapsed_s - grid_s > _GRID_EVERY_S:
                write_grid(run.work, run.work / "grids" / f"{trainer.seen:07d}.png")
                grid_s = log.elapsed_s
        if run.processes > 1:
            dist.broadcast(stop, 0)
    if log is not None:
        trainer.save()
        write_grid(run.work, run.work / "grids" / f"{trainer.seen:07d}.png")
        log.write(f"stopped at {trainer.seen} samples, error {average:.4f}")
    if run.processes > 1:
        dist.destroy_process_group()


def main() -> None:
    """Start the processes and wait for them."""
    parser = stage_parser(__doc__)
    parser.add_argument("--total", type=int, default=TOTAL_SAMPLES, help="samples the schedule is stretched over")
    parser.add_argument("--batch", type=int, default=64, help="samples per update, over all processes")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="fuse operations: a sixth faster after three minutes")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this chunk; rerun to go on")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as directory:
        run = Run(
            work=options.work,
            total=options.total,
            batch=options.batch,
            processes=options.processes,
            is_compiled=options.compile,
            minutes=options.minutes,
            rendezvous=f"file://{directory}/rendezvous",
        )
        if run.processes == 1:
            train(0, run)
        else:
            processes.spawn(train, (run,), nprocs=run.processes, daemon=True)


if __name__ == "__main__":
    main()
