"""Stage 4: teach the text encoder what captions mean. `python -m training.train_text_encoder --work DIR`.

From the pooled vector eight linear heads must name the attributes of the scene a caption was written for. A few minutes
of this save the transformer hours: from its first step it is told "boat, night" instead of thirty letters' soup. The
encoder then trains on jointly with the transformer; the heads are thrown away.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training import checkpoint
from training.captions import caption
from training.progress import StageLog, stage_parser
from training.scenes import ATTRIBUTES, Scene, sample_scene
from training.text_encoder import CONTEXT_CHANNELS, TextEncoder
from training.tokenizer import Tokenizer

TOTAL_SAMPLES = 160_000
_BATCH = 128
_LEARNING_RATE = 1e-3


class AttributeHeads(nn.Module):
    """One linear classifier per attribute on the pooled vector (batch, 128)."""

    def __init__(self) -> None:
        super().__init__()
        heads = {name: nn.Linear(CONTEXT_CHANNELS, len(values)) for name, values in ATTRIBUTES.items()}
        self.heads = nn.ModuleDict(heads)

    def forward(self, pooled: Tensor) -> dict[str, Tensor]:
        """Logits (batch, values) by attribute."""
        return {name: head(pooled) for name, head in self.heads.items()}


def attribute_targets(scenes: list[Scene]) -> dict[str, Tensor]:
    """(batch,) index of each scene's value, by attribute."""
    return {
        name: torch.tensor([values.index(getattr(scene, name)) for scene in scenes])
        for name, values in ATTRIBUTES.items()
    }


def main() -> None:
    """Train from scratch; it is short enough not to need resuming."""
    parser = stage_parser(__doc__)
    parser.add_argument("--total", type=int, default=TOTAL_SAMPLES)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    work: Path = options.work
    torch.set_num_threads(options.threads)
    torch.manual_seed(2)
    rng = random.Random(2)
    log = StageLog(work, "train_text_encoder")
    tokenizer = Tokenizer(work / "tokenizer")
    encoder, heads = TextEncoder(len(tokenizer.vocabulary)), AttributeHeads()
    optimizer = torch.optim.AdamW([*encoder.parameters(), *heads.parameters()], _LEARNING_RATE, weight_decay=0.01)
    for seen in range(0, options.total, _BATCH):
        for group in optimizer.param_groups:
            group["lr"] = _LEARNING_RATE * min(1.0, (seen + _BATCH) / 5_000) * (1.02 - seen / options.total)
        scenes = [sample_scene(rng, 0) for _ in range(_BATCH)]
        ids = torch.tensor([tokenizer.encode(caption(scene, rng)) for scene in scenes])
        logits, targets = heads(encoder(ids)[1]), attribute_targets(scenes)
        loss = torch.stack([F.cross_entropy(logits[name], targets[name]) for name in ATTRIBUTES]).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if seen // _BATCH % 100 == 99:
            right = {n: (logits[n].argmax(-1) == targets[n]).float().mean().item() for n in ATTRIBUTES}
            detail = " ".join(f"{name} {share:.2f}" for name, share in right.items())
            log.progress(seen, options.total, 0, "captions", f"loss {loss.item():.3f}  {detail}")
    checkpoint.save(work / "checkpoints" / "text_encoder.pt", {"model": encoder.state_dict()}, rng)
    log.write("text encoder saved")


if __name__ == "__main__":
    main()
