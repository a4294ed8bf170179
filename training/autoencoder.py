"""The autoencoder: pictures to latents at an eighth of their edge and back.

All convolutions run at a quarter of the picture's edge or below (pixel unshuffle at one end, shuffle at the other):
that is what makes it fast enough to train and to run on a CPU. It is convolutional throughout, so any size divisible
by 8 works. Latents are normalised per channel to mean 0 and deviation 1 before the transformer sees them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LATENT_CHANNELS = 8
DOWNSCALE = 8
_PATCH_PX = 4


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a SiLU, without normalisation; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, h, w) in and out."""
        return x + self.second(F.silu(self.first(F.silu(x))))


class Encoder(nn.Sequential):
    """(batch, 3, height, width) in -1..1 to (batch, LATENT_CHANNELS, height / 8, width / 8)."""

    def __init__(self, fine: int = 64, coarse: int = 96, depth: int = 1) -> None:
        super().__init__(
            nn.PixelUnshuffle(_PATCH_PX),
            nn.Conv2d(3 * _PATCH_PX**2, fine, 3, padding=1),
            *(ResidualBlock(fine) for _ in range(depth)),
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1),
            *(ResidualBlock(coarse) for _ in range(depth)),
            nn.SiLU(),
            nn.Conv2d(coarse, LATENT_CHANNELS, 3, padding=1),
        )


class Decoder(nn.Sequential):
    """(batch, LATENT_CHANNELS, h, w) to (batch, 3, 8 h, 8 w), about -1..1."""

    def __init__(self, fine: int = 64, coarse: int = 96, depth: int = 3) -> None:
        super().__init__(
            nn.Conv2d(LATENT_CHANNELS, coarse, 3, padding=1),
            *(ResidualBlock(coarse) for _ in range(depth)),
            nn.Conv2d(coarse, 4 * fine, 1),
            nn.PixelShuffle(2),
            *(ResidualBlock(fine) for _ in range(depth)),
            nn.SiLU(),
            nn.Conv2d(fine, 3 * _PATCH_PX**2, 3, padding=1),
            nn.PixelShuffle(_PATCH_PX),
        )


class Autoencoder(nn.Module):
    """Encoder, decoder, and the per-channel statistics that normalise latents."""

    latent_mean: Tensor
    latent_deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.register_buffer("latent_mean", torch.zeros(LATENT_CHANNELS, 1, 1))
        self.register_buffer("latent_deviation", torch.ones(LATENT_CHANNELS, 1, 1))

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures in -1..1 to normalised latents."""
        return (self.encoder(pictures) - self.latent_mean) / self.latent_deviation

    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents to pictures, about -1..1."""
        return self.decoder(latents * self.latent_deviation + self.latent_mean)


def to_tensor(pictures: Tensor) -> Tensor:
    """(batch, height, width, 3) uint8 to (batch, 3, height, width) float32 in -1..1."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pixels(decoded: Tensor) -> Tensor:
    """(batch, 3, height, width) in -1..1 to (batch, height, width, 3) uint8."""
    return ((decoded.clamp(-1, 1) + 1) * 127.5).round().permute(0, 2, 3, 1).to(torch.uint8)
