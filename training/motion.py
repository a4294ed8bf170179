"""The motion network: one picture and its prompt to the frames that follow.

helio-base draws the first frame; this network draws the others as differences of their latents from the first frame's,
divided by `motion_scale`, in the form of a rectified flow as the stills are, so the same sampler runs it.

What it predicts is where things go. A small transformer looks at the first frame once, reads the prompt, and says for
every cell and every frame from where its content comes; the first frame's pixels are carried there. Latents cannot be
moved by parts of a cell, so the autoencoder, frozen, is part of the network: decode, carry, encode. Nothing dissolves
that way, and a network that must only find out where things go learns it from few clips. The price: what does not
travel (twinkling, falling snow in front of a still background) is not drawn, and the noise of the seed changes nothing.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.autoencoder import LATENT_CHANNELS, Autoencoder
from training.text_encoder import CONTEXT_CHANNELS, attend
from training.transformer import position_features

WIDTH = 128
DEPTH = 4
MOTION_STEPS = 2
_HEAD_CHANNELS = 32
_PATCH = 2
_FEED_FACTOR = 3
_FRAME_FEATURES = 32
_SMALLEST_TIME = 0.05
_NOISE_STREAM = 1


class MotionBlock(nn.Module):
    """One block; attention to the prompt and the convolution start silent."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // _HEAD_CHANNELS
        self.space = nn.Linear(width, 3 * width)
        self.space_out = nn.Linear(width, width)
        self.cross_norm = nn.LayerNorm(width)
        self.cross_query = nn.Linear(width, width)
        self.cross_key_value = nn.Linear(CONTEXT_CHANNELS, 2 * width)
        self.cross_out = nn.Linear(width, width)
        self.neighbours = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.feed_in = nn.Linear(width, _FEED_FACTOR * width)
        self.feed_out = nn.Linear(_FEED_FACTOR * width, width)
        self.modulation = nn.Parameter(torch.zeros(6, width))
        for module in (self.cross_out, self.neighbours):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, context: Tensor, shared: Tensor, rows: int, columns: int) -> Tensor:
        """x: (batch, rows * columns, width); shared: (batch, 6, width) modulation by the prompt."""
        batch, count, width = x.shape
        scale, shift, gate, feed_scale, feed_shift, feed_gate = (shared + self.modulation).unsqueeze(2).unbind(1)
        h = F.layer_norm(x, (width,)) * (1 + scale) + shift
        x = x + gate * self.space_out(attend(*self.space(h).chunk(3, -1), self.heads))
        key, value = self.cross_key_value(context).chunk(2, -1)
        x = x + self.cross_out(attend(self.cross_query(self.cross_norm(x)), key, value, self.heads))
        h = F.layer_norm(x, (width,)) * (1 + feed_scale) + feed_shift
        grid = h.transpose(1, 2).reshape(batch, width, rows, columns)
        h = h + self.neighbours(grid).reshape(batch, width, count).transpose(1, 2)
        return x + feed_gate * self.feed_out(F.silu(self.feed_in(h)))


class MotionTransformer(nn.Module):
    """Velocity of the noisy differences of all frames after the first (see the module's docstring)."""

    motion_scale: Tensor

    def __init__(self, width: int = WIDTH, depth: int = DEPTH) -> None:
        super().__init__()
        self.width = width
        self.patch_in = nn.Linear(LATENT_CHANNELS * _PATCH**2, width)
        self.pooled_in = nn.Linear(CONTEXT_CHANNELS, width)
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(MotionBlock(width) for _ in range(depth))
        self.place_in = nn.Linear(width, 2 * width)
        self.frame_in = nn.Linear(_FRAME_FEATURES, 2 * width)
        self.frame_gain = nn.Linear(_FRAME_FEATURES, 2 * width)
        self.flow_out = nn.Linear(2 * width, 2 * _PATCH**2)
        self.register_buffer("motion_scale", torch.ones(()))
        self.autoencoder = Autoencoder().requires_grad_(False)
        nn.init.zeros_(self.flow_out.weight)
        nn.init.zeros_(self.flow_out.bias)
        nn.init.normal_(self.modulation.weight, std=0.01)
        with torch.no_grad():
            self.modulation.bias.copy_(torch.tensor([0, 0, 0.5, 0, 0, 0.5]).repeat_interleave(width))

    def forward(self, latents: Tensor, first: Tensor, t: Tensor, context: Tensor, pooled: Tensor) -> Tensor:
        """Velocity of each frame after the first.

        latents: (batch, frames, 8, h, w) noisy differences; first: (batch, 8, h, w) clean latents of the first frame
        t: (batch,); context and pooled: of the text encoder
        """
        numbers = torch.arange(1, latents.shape[1] + 1, device=latents.device)
        clean = self.carried(first, self.flow(numbers, first, context, pooled))
        return (latents - clean) / t.clamp(min=_SMALLEST_TIME)[:, None, None, None, None]

    def flow(self, numbers: Tensor, first: Tensor, context: Tensor, pooled: Tensor) -> Tensor:
        """(batch, frames, 2, h, w), in cells: how far the content of each cell has come, rightwards and downwards.

        numbers: (frames,), which frames these are, the first being 0.
        """
        batch, channels, height, width = first.shape
        rows, columns = height // _PATCH, width // _PATCH
        patches = first.reshape(batch, channels, rows, _PATCH, columns, _PATCH).permute(0, 2, 4, 1, 3, 5)
        x = self.patch_in(patches.reshape(batch, rows * columns, channels * _PATCH**2))
        x = x + position_features(rows, columns, self.width, first.device)
        shared = self.modulation(F.silu(self.pooled_in(pooled))).reshape(batch, 6, self.width)
        for block in self.blocks:
            x = block(x, context, shared, rows, columns)
        frame = _frame_features(numbers)
        place = self.place_in(F.layer_norm(x, (self.width,))).unsqueeze(1)
        mixed = place * self.frame_gain(frame)[:, None] + self.frame_in(frame)[:, None]
        flow = self.flow_out(F.silu(mixed)).reshape(batch, -1, rows, columns, 2, _PATCH, _PATCH)
        return flow.permute(0, 1, 4, 2, 5, 3, 6).reshape(batch, -1, 2, height, width).float()

    def carried(self, first: Tensor, flow: Tensor) -> Tensor:
        """The differences (batch, frames, 8, h, w) that come from carrying the first frame's pixels along the flow."""
        picture = self.autoencoder.decode(first)
        moved = self.autoencoder.encode(carry(picture, flow).flatten(0, 1)).unflatten(0, flow.shape[:2])
        return (moved - self.autoencoder.encode(picture).unsqueeze(1)) / self.motion_scale


def carry(picture: Tensor, flow: Tensor) -> Tensor:
    """(batch, frames, 3, height, width): a picture (batch, 3, height, width) carried along a flow.

    flow: (batch, frames, 2, h, w), from how many cells further left and further up the content of a cell comes. Between
    the middles of cells it is mixed, and beyond its edge the picture goes on as it ends.
    """
    batch, frames = flow.shape[:2]
    height, width = picture.shape[-2:]
    per_cell = height // flow.shape[-2]
    flow = F.interpolate(flow.flatten(0, 1), size=(height, width), mode="bilinear", align_corners=False) * per_cell
    columns = torch.arange(width, device=flow.device).float()
    rows = torch.arange(height, device=flow.device).float()
    x = (columns + 0.5 - flow[:, 0]) * (2 / width) - 1
    y = (rows[:, None] + 0.5 - flow[:, 1]) * (2 / height) - 1
    source = picture.unsqueeze(1).expand(batch, frames, -1, height, width).reshape(batch * frames, -1, height, width)
    grid = torch.stack([x, y], -1)
    carried = F.grid_sample(source.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return carried.reshape(batch, frames, -1, height, width)


@torch.no_grad()
def sample_motion(
    network: MotionTransformer,
    first: Tensor,
    text: tuple[Tensor, Tensor],
    noise: Tensor,
    steps: int = MOTION_STEPS,
) -> Tensor:
    """(batch, 1 + frames, 8, h, w) clean latents of whole clips: Euler steps from noise (batch, frames, 8, h, w)."""
    x = noise
    for now, then in pairwise(torch.linspace(1, 0, steps + 1)):
        x = x + (then - now) * network(x, first, now.expand(len(x)), *text)
    return torch.cat([first.unsqueeze(1), first.unsqueeze(1) + network.motion_scale * x], 1)


def motion_noise(seed: int, frames: int, height: int, width: int) -> np.ndarray:
    """(frames - 1, 8, height, width) float32, latent cells: where the frames after the first start from.

    It comes from the still's seed by a stream of its own: the two share no numbers.
    """
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(_NOISE_STREAM,))))
    return generator.standard_normal((frames - 1, LATENT_CHANNELS, height, width), np.float32)


def _frame_features(numbers: Tensor) -> Tensor:
    """(frames,) numbers of frames to (frames, _FRAME_FEATURES) sines and cosines."""
    half = _FRAME_FEATURES // 2
    frequencies = torch.exp(-math.log(64.0) * torch.arange(half, device=numbers.device) / (half - 1))
    angles = numbers.float()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], -1)
