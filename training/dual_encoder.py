"""The dual encoder: a picture's latents and a prompt to vectors of unit length whose product says how well they match.

Both towers are small: convolutions with attention pooling on latents, and a text encoder like the transformer's own.
Any size of picture works; where something stands is kept by position features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.autoencoder import LATENT_CHANNELS
from training.text_encoder import CONTEXT_CHANNELS, TextEncoder
from training.transformer import position_features

EMBEDDING_CHANNELS = 128
_FEATURES = 192
_POOLS = 8
"""Weighted means over the picture's cells that go into its vector, each attending to something else."""


class ImageTower(nn.Module):
    """Latents (batch, 8, h, w) to embeddings (batch, EMBEDDING_CHANNELS) of unit length."""

    def __init__(self) -> None:
        super().__init__()

        def layer(inputs: int, outputs: int, stride: int) -> nn.Sequential:
            convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
            return nn.Sequential(convolution, nn.GroupNorm(8, outputs), nn.SiLU())

        self.layers = nn.Sequential(
            layer(LATENT_CHANNELS, 64, 1),
            layer(64, 96, 2),
            layer(96, 160, 1),
            layer(160, _FEATURES, 2),
            layer(_FEATURES, _FEATURES, 1),
        )
        self.attention = nn.Linear(_FEATURES, _POOLS)
        self.value = nn.Linear(_FEATURES, _POOLS * 64)
        self.out = nn.Linear(_POOLS * 64, EMBEDDING_CHANNELS)

    def features(self, latents: Tensor) -> Tensor:
        """(batch, _POOLS * 64): what the embedding is a projection of."""
        grid = self.layers(latents)
        batch, channels, rows, columns = grid.shape
        cells = grid.flatten(2).transpose(1, 2) + position_features(rows, columns, channels, grid.device)
        weights = self.attention(cells).softmax(1).transpose(1, 2)
        values = self.value(cells).reshape(batch, rows * columns, _POOLS, 64).transpose(1, 2)
        return F.silu((weights[:, :, None] @ values).reshape(batch, _POOLS * 64))

    def forward(self, latents: Tensor) -> Tensor:
        """(batch, EMBEDDING_CHANNELS), unit length."""
        return unit(self.out(self.features(latents)))


class TextTower(nn.Module):
    """ids (batch, CONTEXT_LENGTH) to embeddings (batch, EMBEDDING_CHANNELS) of unit length."""

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.encoder = TextEncoder(vocabulary_size)
        self.out = nn.Linear(CONTEXT_CHANNELS, EMBEDDING_CHANNELS)

    def forward(self, ids: Tensor) -> Tensor:
        """(batch, EMBEDDING_CHANNELS), unit length."""
        return unit(self.out(self.encoder(ids)[1]))


class DualEncoder(nn.Module):
    """Both towers and the temperature of the contrastive loss."""

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.image = ImageTower()
        self.text = TextTower(vocabulary_size)
        self.log_scale = nn.Parameter(torch.tensor(2.6))

    def scale(self) -> Tensor:
        """What products are multiplied by before the softmax, at most 100."""
        return self.log_scale.exp().clamp(max=100)


def unit(vectors: Tensor) -> Tensor:
    """The vectors at length one, in float32."""
    vectors = vectors.float()
    return vectors * (vectors.square().sum(-1, keepdim=True) + 1e-12).rsqrt()
