"""The motion network: one picture and its prompt to the frames that follow.

helio-base draws the first frame; this network draws the others as differences of their latents from the first frame's,
divided by `motion_scale`. It is a rectified flow as the stills are, x_t = (1 - t) x_0 + t noise with velocity
noise - x_0, so the same sampler runs it. Where nothing moves, in most of most pictures, x_0 is exactly 0: the network
therefore predicts x_0, and its velocity follows. It starts as the clip in which nothing moves.

Most motion carries what is there to another place. So x_0 is predicted as the first frame carried along a flow field,
minus the first frame, plus whatever else changes: to learn where things go takes far fewer clips than to learn what
every patch looks like a bit further on.

A token covers 2 x 2 latent cells of one frame and always sees the same cells of the first frame. Each block looks
around within the frame, then along time at its own place, in every second block at the prompt, and at its neighbours.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.autoencoder import LATENT_CHANNELS
from training.text_encoder import CONTEXT_CHANNELS, attend
from training.transformer import position_features, time_features

WIDTH = 128
DEPTH = 4
MOTION_STEPS = 8
_HEAD_CHANNELS = 32
_PATCH = 2
_FEED_FACTOR = 3
_TIME_FEATURES = 256
_FRAME_FEATURES = 32
_SMALLEST_TIME = 0.05
_NOISE_STREAM = 1


class MotionBlock(nn.Module):
    """One block; attention along time, to the prompt and the convolution start silent."""

    def __init__(self, width: int, *, reads_prompt: bool) -> None:
        super().__init__()
        self.heads = width // _HEAD_CHANNELS
        self.space = nn.Linear(width, 3 * width)
        self.space_out = nn.Linear(width, width)
        self.time_norm = nn.LayerNorm(width)
        self.time = nn.Linear(width, 3 * width)
        self.time_out = nn.Linear(width, width)
        self.reads_prompt = reads_prompt
        silent: list[nn.Module] = [self.time_out]
        if reads_prompt:
            self.cross_norm = nn.LayerNorm(width)
            self.cross_query = nn.Linear(width, width)
            self.cross_key_value = nn.Linear(CONTEXT_CHANNELS, 2 * width)
            self.cross_out = nn.Linear(width, width)
            silent.append(self.cross_out)
        self.neighbours = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.feed_in = nn.Linear(width, _FEED_FACTOR * width)
        self.feed_out = nn.Linear(_FEED_FACTOR * width, width)
        self.modulation = nn.Parameter(torch.zeros(6, width))
        for module in (*silent, self.neighbours):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, context: Tensor, shared: Tensor, rows: int, columns: int) -> Tensor:
        """x: (batch, frames, rows * columns, width); shared: (batch, frames, 6, width) by time, frame and prompt."""
        batch, frames, count, width = x.shape
        modulation = (shared + self.modulation.to(x.dtype)).unsqueeze(3)
        scale, shift, gate, feed_scale, feed_shift, feed_gate = modulation.unbind(2)
        h = (F.layer_norm(x, (width,)) * (1 + scale) + shift).reshape(batch * frames, count, width)
        mixed = self.space_out(attend(*self.space(h).chunk(3, -1), self.heads))
        x = x + gate * mixed.reshape(batch, frames, count, width)
        h = self.time_norm(x).transpose(1, 2).reshape(batch * count, frames, width)
        mixed = self.time_out(attend(*self.time(h).chunk(3, -1), self.heads))
        x = x + mixed.reshape(batch, count, frames, width).transpose(1, 2)
        if self.reads_prompt:
            key, value = self.cross_key_value(context).chunk(2, -1)
            query = self.cross_query(self.cross_norm(x)).reshape(batch, frames * count, width)
            x = x + self.cross_out(attend(query, key, value, self.heads)).reshape(batch, frames, count, width)
        h = F.layer_norm(x, (width,)) * (1 + feed_scale) + feed_shift
        grid = h.reshape(batch * frames, rows, columns, width).permute(0, 3, 1, 2)
        h = h + self.neighbours(grid).permute(0, 2, 3, 1).reshape(batch, frames, count, width)
        return x + feed_gate * self.feed_out(F.silu(self.feed_in(h)))


class MotionTransformer(nn.Module):
    """Velocity of the noisy differences of all frames after the first (see the module's docstring)."""

    motion_scale: Tensor

    def __init__(self, width: int = WIDTH, depth: int = DEPTH) -> None:
        super().__init__()
        patch_channels = LATENT_CHANNELS * _PATCH**2
        self.width = width
        self.patch_in = nn.Linear(2 * patch_channels, width)
        self.time_in = nn.Linear(_TIME_FEATURES, width)
        self.time_out = nn.Linear(width, width)
        self.pooled_in = nn.Linear(CONTEXT_CHANNELS, width)
        self.frame_in = nn.Linear(_FRAME_FEATURES, width)
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(MotionBlock(width, reads_prompt=number % 2 == 0) for number in range(depth))
        self.final_modulation = nn.Linear(width, 2 * width)
        self.patch_out = nn.Linear(width, patch_channels)
        self.flow_out = nn.Linear(width, 2 * _PATCH**2)
        self.register_buffer("motion_scale", torch.ones(()))
        for module in (self.final_modulation, self.patch_out, self.flow_out):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
        nn.init.normal_(self.modulation.weight, std=0.01)
        with torch.no_grad():
            self.modulation.bias.copy_(torch.tensor([0, 0, 0.5, 0, 0, 0.5]).repeat_interleave(width))

    def forward(self, latents: Tensor, first: Tensor, t: Tensor, context: Tensor, pooled: Tensor) -> Tensor:
        """Velocity of each frame after the first.

        latents: (batch, frames, 8, h, w) noisy differences; first: (batch, 8, h, w) clean latents of the first frame
        t: (batch,); context and pooled: of the text encoder
        """
        numbers = torch.arange(1, latents.shape[1] + 1, device=latents.device)
        clean = self.clean(latents, numbers, first, t, context, pooled)
        return (latents - clean) / t.clamp(min=_SMALLEST_TIME)[:, None, None, None, None]

    def clean(
        self, latents: Tensor, numbers: Tensor, first: Tensor, t: Tensor, context: Tensor, pooled: Tensor
    ) -> Tensor:
        """The expected differences themselves, x_0; numbers: (frames,), which frames they are, the first being 0."""
        batch, frames, channels, height, width = latents.shape
        rows, columns = height // _PATCH, width // _PATCH
        still = self._patches(first.unsqueeze(1)).expand(batch, frames, rows * columns, channels * _PATCH**2)
        x = self.patch_in(torch.cat([self._patches(latents), still], -1))
        frame = self.frame_in(_frame_features(numbers))
        x = x + position_features(rows, columns, self.width, latents.device).to(x.dtype) + frame[:, None].to(x.dtype)
        condition = self.time_out(F.silu(self.time_in(time_features(t)))) + self.pooled_in(pooled)
        condition = F.silu(condition[:, None] + frame)
        shared = self.modulation(condition).reshape(batch, frames, 6, self.width).to(x.dtype)
        for block in self.blocks:
            x = block(x, context, shared, rows, columns)
        scale, shift = self.final_modulation(condition).unsqueeze(2).chunk(2, -1)
        x = F.layer_norm(x, (self.width,)) * (1 + scale) + shift
        change = self._cells(self.patch_out(x), rows, columns).float()
        carried = carry(first, self._cells(self.flow_out(x), rows, columns).float())
        return (carried - first.unsqueeze(1)) / self.motion_scale + change

    def _cells(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """(batch, frames, rows * columns, 4 * channels) to (batch, frames, channels, 2 * rows, 2 * columns)."""
        batch, frames = x.shape[:2]
        split = x.reshape(batch, frames, rows, columns, -1, _PATCH, _PATCH).permute(0, 1, 4, 2, 5, 3, 6)
        return split.reshape(batch, frames, -1, rows * _PATCH, columns * _PATCH)

    def _patches(self, latents: Tensor) -> Tensor:
        """(batch, frames, 8, h, w) to (batch, frames, h / 2 * w / 2, 32)."""
        batch, frames, channels, height, width = latents.shape
        rows, columns = height // _PATCH, width // _PATCH
        split = latents.reshape(batch, frames, channels, rows, _PATCH, columns, _PATCH)
        return split.permute(0, 1, 3, 5, 2, 4, 6).reshape(batch, frames, rows * columns, channels * _PATCH**2)


def carry(first: Tensor, flow: Tensor) -> Tensor:
    """(batch, frames, 8, h, w): latents (batch, 8, h, w) carried along by flow (batch, frames, 2, h, w).

    The flow of a cell says from how many cells further left and further up its content comes; between cells it is
    mixed, and beyond the edge the picture goes on as it ends.
    """
    batch, frames, _, height, width = flow.shape
    columns = torch.arange(width, device=flow.device).float()
    rows = torch.arange(height, device=flow.device).float()
    x = (columns + 0.5 - flow[:, :, 0]) * (2 / width) - 1
    y = (rows[:, None] + 0.5 - flow[:, :, 1]) * (2 / height) - 1
    grid = torch.stack([x, y], -1).reshape(batch * frames, height, width, 2)
    source = first.unsqueeze(1).expand(batch, frames, -1, height, width).reshape(batch * frames, -1, height, width)
    carried = F.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=False)
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
