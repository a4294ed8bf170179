"""The diffusion transformer: noisy latents, time and prompt to a velocity.

Rectified flow: x_t = (1 - t) x_0 + t noise for t in 0..1, and the model predicts v = noise - x_0. A token covers 2 x 2
latent cells (16 x 16 picture pixels). Positions are computed for any number of rows and columns, both as distance
from the centre in tokens and as a share of the picture's extent, so one model serves all formats.

Each block: self-attention, cross-attention to the prompt's tokens, a depthwise 3 x 3 convolution for a sense of
neighbourhood, feed-forward. Time and pooled prompt modulate all blocks through one shared projection plus a small
table per block.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.autoencoder import LATENT_CHANNELS
from training.canvas import CLASSES
from training.text_encoder import CONTEXT_CHANNELS, attend

WIDTH = 192
DEPTH = 6
_HEAD_CHANNELS = 32
_PATCH = 2
_TIME_FEATURES = 256


class Block(nn.Module):
    """One transformer block; the gates start half open, cross-attention and convolution start silent."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // _HEAD_CHANNELS
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.cross_norm = nn.LayerNorm(width)
        self.cross_query = nn.Linear(width, width)
        self.cross_key_value = nn.Linear(CONTEXT_CHANNELS, 2 * width)
        self.cross_out = nn.Linear(width, width)
        self.neighbours = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.feed_in = nn.Linear(width, 4 * width)
        self.feed_out = nn.Linear(4 * width, width)
        self.modulation = nn.Parameter(torch.zeros(6, width))
        for module in (self.cross_out, self.neighbours):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, context: Tensor, shared: Tensor, rows: int, columns: int) -> Tensor:
        """x: (batch, rows * columns, width); shared: (batch, 6, width) modulation by time and prompt."""
        batch, count, width = x.shape
        scale, shift, gate, feed_scale, feed_shift, feed_gate = (shared + self.modulation).unsqueeze(2).unbind(1)
        h = F.layer_norm(x, (width,)) * (1 + scale) + shift
        x = x + gate * self.attention_out(attend(*self.query_key_value(h).chunk(3, -1), self.heads))
        key, value = self.cross_key_value(context).chunk(2, -1)
        x = x + self.cross_out(attend(self.cross_query(self.cross_norm(x)), key, value, self.heads))
        h = F.layer_norm(x, (width,)) * (1 + feed_scale) + feed_shift
        grid = h.transpose(1, 2).reshape(batch, width, rows, columns)
        h = h + self.neighbours(grid).reshape(batch, width, count).transpose(1, 2)
        return x + feed_gate * self.feed_out(F.silu(self.feed_in(h)))


class Transformer(nn.Module):
    """Velocity of noisy latents (see the module's docstring); `layout_head` is used in training only."""

    def __init__(self, width: int = WIDTH, depth: int = DEPTH) -> None:
        super().__init__()
        patch_channels = LATENT_CHANNELS * _PATCH**2
        self.width = width
        self.patch_in = nn.Linear(patch_channels, width)
        self.time_in = nn.Linear(_TIME_FEATURES, width)
        self.time_out = nn.Linear(width, width)
        self.pooled_in = nn.Linear(CONTEXT_CHANNELS, width)
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.final_modulation = nn.Linear(width, 2 * width)
        self.patch_out = nn.Linear(width, patch_channels)
        self.layout_head = nn.Linear(width, len(CLASSES))
        for module in (self.final_modulation, self.patch_out):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
        nn.init.normal_(self.modulation.weight, std=0.01)
        with torch.no_grad():
            gates = torch.tensor([0, 0, 0.5, 0, 0, 0.5]).repeat_interleave(width)
            self.modulation.bias.copy_(gates)

    def forward(self, latents: Tensor, t: Tensor, context: Tensor, pooled: Tensor) -> Tensor:
        """latents (batch, 8, h, w), t (batch,), context and pooled of the text encoder to velocity (batch, 8, h, w)."""
        return self.velocity_and_layout(latents, t, context, pooled)[0]

    def velocity_and_layout(self, latents: Tensor, t: Tensor, context: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """The velocity, and from the middle block the logits (batch, tokens, classes) of what each token shows."""
        batch, channels, height, width = latents.shape
        rows, columns = height // _PATCH, width // _PATCH
        patches = latents.reshape(batch, channels, rows, _PATCH, columns, _PATCH)
        patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, channels * _PATCH**2)
        x = self.patch_in(patches) + position_features(rows, columns, self.width, latents.device)
        condition = self.time_out(F.silu(self.time_in(time_features(t)))) + self.pooled_in(pooled)
        condition = F.silu(condition)
        shared = self.modulation(condition).reshape(batch, 6, self.width)
        middle = x
        for number, block in enumerate(self.blocks, start=1):
            x = block(x, context, shared, rows, columns)
            if number == (len(self.blocks) + 1) // 2:
                middle = x
        scale, shift = self.final_modulation(condition).unsqueeze(1).chunk(2, -1)
        out = self.patch_out(F.layer_norm(x, (self.width,)) * (1 + scale) + shift)
        out = out.reshape(batch, rows, columns, channels, _PATCH, _PATCH).permute(0, 3, 1, 4, 2, 5)
        return out.reshape(batch, channels, height, width), self.layout_head(middle)


def time_features(t: Tensor) -> Tensor:
    """(batch,) times in 0..1 to (batch, _TIME_FEATURES) sines and cosines."""
    half = _TIME_FEATURES // 2
    frequencies = torch.exp(-math.log(10_000.0) * torch.arange(half, device=t.device) / half)
    angles = t[:, None].float() * 1000.0 * frequencies
    return torch.cat([angles.cos(), angles.sin()], -1)


def position_features(rows: int, columns: int, width: int, device: torch.device) -> Tensor:
    """(rows * columns, width): sines of where each token is, in tokens from the centre and in shares of the extent."""
    count = width // 8
    per_token = torch.exp(-math.log(64.0) * torch.arange(count, device=device) / count)
    per_extent = 0.5 * math.pi * torch.exp(math.log(16.0) * torch.arange(count, device=device) / count)

    def along(length: int) -> Tensor:
        offset = torch.arange(length, device=device).float() - (length - 1) / 2
        angles = torch.cat([offset[:, None] * per_token, offset[:, None] * (2 / length) * per_extent], -1)
        return torch.cat([angles.sin(), angles.cos()], -1)

    down = along(rows)[:, None].expand(rows, columns, width // 2)
    across = along(columns)[None].expand(rows, columns, width // 2)
    return torch.cat([down, across], -1).reshape(rows * columns, width)
