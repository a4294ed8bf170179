"""The trained networks together: loading them from a work directory, and sampling pictures with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.autoencoder import DOWNSCALE, LATENT_CHANNELS, Autoencoder, to_pixels
from training.scenes import SIZES
from training.text_encoder import TextEncoder
from training.tokenizer import Tokenizer
from training.transformer import Transformer

DEFAULT_STEPS = 8
DEFAULT_GUIDANCE = 3.5


@dataclass(frozen=True, slots=True, kw_only=True)
class TextToImage:
    """Everything between a prompt and a picture, in evaluation mode."""

    tokenizer: Tokenizer
    text_encoder: TextEncoder
    transformer: Transformer
    autoencoder: Autoencoder
    samples_seen: int

    @torch.no_grad()
    def sample_latents(
        self,
        prompts: list[str],
        seeds: list[int],
        size_name: str = "square",
        steps: int = DEFAULT_STEPS,
        guidance: float | None = DEFAULT_GUIDANCE,
    ) -> Tensor:
        """(batch, 8, h, w) latents of one picture per prompt and seed: Euler steps with classifier-free guidance.

        guidance: None runs the prompt alone, for a model that has guidance baked in.
        """
        latents = torch.stack([torch.from_numpy(noise(seed, size_name)) for seed in seeds])
        ids = torch.tensor([self.tokenizer.encode(text) for text in prompts])
        return self.denoise(latents, ids, steps, guidance)

    @torch.no_grad()
    def denoise(self, latents: Tensor, ids: Tensor, steps: int, guidance: float | None) -> Tensor:
        """Noise (batch, 8, h, w) and prompts' ids (batch, 32) to clean latents."""
        count = len(ids)
        if guidance is not None:
            ids = torch.cat([ids, torch.tensor([self.tokenizer.encode("")]).expand(count, -1)])
        context, pooled = self.text_encoder(ids)
        for now, then in pairwise(torch.linspace(1, 0, steps + 1)):
            rows = torch.cat([latents] * (len(ids) // count))
            velocity = self.transformer(rows, now.expand(len(ids)), context, pooled)
            if guidance is not None:
                wanted, unguided = velocity.chunk(2)
                velocity = unguided + guidance * (wanted - unguided)
            latents = latents + (then - now) * velocity
        return latents

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """(batch, height, width, 3) uint8 pictures."""
        return to_pixels(self.autoencoder.decode(latents))


def noise(seed: int, size_name: str) -> np.ndarray:
    """(8, h, w) float32: the starting point of a seed, the same in every batch and on every machine."""
    width, height = SIZES[size_name]
    shape = (LATENT_CHANNELS, height // DOWNSCALE, width // DOWNSCALE)
    return np.random.Generator(np.random.Philox(seed)).standard_normal(shape, np.float32)


def load_models(work: Path) -> TextToImage:
    """The averaged weights of the newest checkpoints; networks not trained yet come with random weights."""
    checkpoints = work / "checkpoints"
    tokenizer = Tokenizer(work / "tokenizer")
    torch.manual_seed(0)
    autoencoder, transformer = Autoencoder(), Transformer()
    text_encoder = TextEncoder(len(tokenizer.vocabulary))
    samples_seen = 0
    for name in ("autoencoder.pt", "decoder.pt"):
        if (checkpoints / name).exists():
            autoencoder.load_state_dict(torch.load(checkpoints / name, weights_only=False)["model"])
    if (checkpoints / "transformer.pt").exists():
        state = torch.load(checkpoints / "transformer.pt", weights_only=False)
        transformer.load_state_dict(state["average"]["transformer"])
        text_encoder.load_state_dict(state["average"]["text_encoder"])
        samples_seen = state["samples_seen"]
    for network in (autoencoder, transformer, text_encoder):
        network.eval()
    return TextToImage(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        transformer=transformer,
        autoencoder=autoencoder,
        samples_seen=samples_seen,
    )


def load_turbo(work: Path) -> TextToImage:
    """The distilled model: another transformer between the same text encoder and autoencoder, guidance baked in."""
    state = torch.load(work / "checkpoints" / "turbo.pt", weights_only=False)
    transformer = Transformer()
    transformer.load_state_dict(state["average"])
    return replace(load_models(work), transformer=transformer.eval(), samples_seen=state["samples_seen"])
