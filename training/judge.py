"""The judge: names the attributes of a picture from its latents, to measure whether prompts are obeyed.

`python -m training.judge --work DIR` trains it on rendered pictures (two minutes) and measures its own accuracy on
the validation pictures, without which its verdicts on generated ones would mean little.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training import checkpoint
from training.autoencoder import LATENT_CHANNELS
from training.dataset import LatentBatch, Latents
from training.progress import StageLog, stage_parser
from training.render import VALIDATION_COUNT
from training.scenes import ATTRIBUTES, COLOURED_OBJECTS
from training.train_text_encoder import attribute_targets

TOTAL_SAMPLES = 60_000
_BATCH = 64
_LEARNING_RATE = 2e-3
_CHANNELS = 192


class Judge(nn.Module):
    """Latents (batch, 8, h, w) to logits (batch, values) by attribute; any size of picture."""

    def __init__(self) -> None:
        super().__init__()

        def layer(inputs: int, outputs: int, stride: int) -> nn.Sequential:
            convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
            return nn.Sequential(convolution, nn.GroupNorm(8, outputs), nn.SiLU())

        self.features = nn.Sequential(
            layer(LATENT_CHANNELS, 64, 1),
            layer(64, 96, 2),
            layer(96, 128, 1),
            layer(128, _CHANNELS, 2),
            layer(_CHANNELS, _CHANNELS, 1),
        )
        heads = {name: nn.Linear(_CHANNELS * 9, len(values)) for name, values in ATTRIBUTES.items()}
        self.heads = nn.ModuleDict(heads)

    def forward(self, latents: Tensor) -> dict[str, Tensor]:
        """Logits per attribute, from features pooled over thirds of the picture."""
        features = F.adaptive_avg_pool2d(self.features(latents), 3).flatten(1)
        return {name: head(features) for name, head in self.heads.items()}


def loss_of(judge: Judge, batch: LatentBatch) -> Tensor:
    """Cross-entropy over attributes; colour and position count only where there is something to see them on."""
    logits, targets = judge(batch.latents), attribute_targets(batch.scenes)
    seen_on = {
        "colour": torch.tensor([scene.object in COLOURED_OBJECTS for scene in batch.scenes]).float(),
        "position": torch.tensor([scene.object != "none" for scene in batch.scenes]).float(),
    }
    losses = {name: F.cross_entropy(logits[name], targets[name], reduction="none") for name in ATTRIBUTES}
    return torch.stack([(loss * seen_on.get(name, 1)).mean() for name, loss in losses.items()]).sum()


@torch.no_grad()
def accuracy(judge: Judge, data: Latents) -> dict[str, float]:
    """Share of validation pictures whose attribute the judge names rightly."""
    batch = data.validation(0, VALIDATION_COUNT)
    logits, targets = judge(batch.latents), attribute_targets(batch.scenes)
    shares: dict[str, float] = {}
    for name in ATTRIBUTES:
        right = logits[name].argmax(-1) == targets[name]
        if name in ("colour", "position"):
            allowed = COLOURED_OBJECTS if name == "colour" else COLOURED_OBJECTS | {"tree"}
            right = right[torch.tensor([scene.object in allowed for scene in batch.scenes])]
        shares[name] = round(right.float().mean().item(), 3)
    return shares


def load_judge(work: Path) -> Judge:
    """The trained judge in evaluation mode."""
    judge = Judge()
    judge.load_state_dict(torch.load(work / "checkpoints" / "judge.pt", weights_only=False)["model"])
    return judge.eval()


def main() -> None:
    """Train from scratch and measure."""
    parser = stage_parser(__doc__)
    parser.add_argument("--total", type=int, default=TOTAL_SAMPLES)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    work: Path = options.work
    torch.set_num_threads(options.threads)
    torch.manual_seed(4)
    rng = random.Random(4)
    log, data, judge = StageLog(work, "judge"), Latents(work), Judge()
    optimizer = torch.optim.AdamW(judge.parameters(), _LEARNING_RATE, weight_decay=0.02)
    for seen in range(0, options.total, _BATCH):
        for group in optimizer.param_groups:
            group["lr"] = _LEARNING_RATE * min(1.0, (seen + _BATCH) / 3_000) * (1.02 - seen / options.total)
        batch = data.batch(rng, _BATCH)
        batch.latents.add_(torch.randn_like(batch.latents) * 0.15)
        loss = loss_of(judge, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if seen // _BATCH % 100 == 99:
            log.progress(seen, options.total, 0, "pictures", f"loss {loss.item():.3f}")
    checkpoint.save(work / "checkpoints" / "judge.pt", {"model": judge.state_dict()}, rng)
    log.write(f"accuracy on {VALIDATION_COUNT} validation pictures: {accuracy(judge.eval(), data)}")


if __name__ == "__main__":
    main()
