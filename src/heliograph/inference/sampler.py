"""Rectified-flow sampling with Euler steps and classifier-free guidance, as functions of arrays.

A picture's latents lie on a straight line between data and noise, x_t = (1 - t) x_0 + t noise, and the model predicts
the velocity v = noise - x_0. Sampling walks t from 1 to 0 (Liu et al., "Flow Straight and Fast", 2022); guidance
extrapolates from the prediction without the prompt to the one with it (Ho and Salimans, 2022).

Latents are float32 of shape (pictures, channels, rows, columns), those of clips (clips, frames, channels, rows,
columns), before and after every function here.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Latents = NDArray[np.floating]
"""Always float32; the type is wider because numpy's stubs lose the precision in arithmetic."""


def noise(seeds: Sequence[int], shape: tuple[int, ...], *, stream: int = 0) -> Latents:
    """Standard normal latents, one picture of `shape` per seed; a picture's noise depends on its own seed alone.

    Another `stream` of the same seed is independent of the first.
    """
    branch = (stream,) if stream else ()
    sources = [np.random.SeedSequence(seed, spawn_key=branch) for seed in seeds]
    generators = [np.random.Generator(np.random.Philox(source)) for source in sources]
    return np.stack([generator.standard_normal(shape, np.float32) for generator in generators])


def times(steps: int, start: float = 1.0) -> NDArray[np.float32]:
    """The `steps + 1` moments from `start` (1: noise) to 0 (picture), evenly spaced."""
    return np.linspace(start, 0.0, steps + 1, dtype=np.float32)


def noised(clean: Latents, noise: Latents, t: np.float32) -> Latents:
    """The point at time `t` of the line from `clean` to `noise`."""
    return (np.float32(1) - t) * clean + t * noise


def guided(conditional: Latents, unconditional: Latents, guidance: float) -> Latents:
    """The velocity pushed away from what the model draws without the prompt; 1 gives the conditional one."""
    return unconditional + np.float32(guidance) * (conditional - unconditional)


def step(latents: Latents, velocity: Latents, t: np.float32, t_next: np.float32) -> Latents:
    """One Euler step from time `t` to `t_next`."""
    return latents + (t_next - t) * velocity


def predicted_clean(latents: Latents, velocity: Latents, t: np.float32) -> Latents:
    """What the picture's latents would be if the velocity stayed the same to the end: the source of previews."""
    return latents - t * velocity
