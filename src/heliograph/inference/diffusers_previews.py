"""Small pictures of latents: a linear map fitted to each model's own VAE, or a tiny decoder where there is one.

A pixel of a preview is a linear function of the latents at its place. The map is found once per VAE by least squares:
synthetic pictures go through its encoder, and their shrunk pixels are what the latents should give. The result is a few
numbers, kept as JSON in a cache folder under the digest of the VAE, so that the next worker need not fit again.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from heliograph.domain.pipeline_options import Layout

Decode = Callable[[Any], Any]
"""Latents (b, c, h, w) to pixels (b, 3, rows, columns) from 0 to 1."""

_PICTURES = 16
_CELLS = 16
"""Sides of the fitted pictures in latents, so that each gives 256 examples."""
_SIDE_PX_MAX = 512
_RIDGE = 1e-3


def fitted_map(vae: Any, *, cache: Path | None, digest: str) -> Decode | None:
    """The linear map of this VAE, fitted or read from `cache`; None for a VAE that cannot say how it encodes."""
    file = None if cache is None else cache / f"latents-to-rgb-{digest[:32]}.json"
    weights = _read(file)
    if weights is None:
        try:
            weights = _fit(vae)
        except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):
            return None  # whatever is wrong with its encoder, pictures do without previews
        if not torch.isfinite(weights).all():
            return None
        _keep(file, weights)
    return lambda latents: _mapped(latents, weights)


def tiny_decoder(decoder: Any) -> Decode:
    """The decoder of an `AutoencoderTiny`, which reads latents as the pipeline has them."""
    return lambda latents: (decoder.decode(latents.to(decoder.dtype)).sample.float() / 2 + 0.5).clamp(0, 1)


def drawn(latents: Any, decode: Decode) -> NDArray[np.uint8]:
    """(pictures, rows, columns, 3) of latents (b, c, h, w)."""
    with torch.no_grad():
        pixels = (decode(latents) * 255).round().clamp(0, 255).to(torch.uint8)
    return cast("NDArray[np.uint8]", pixels.permute(0, 2, 3, 1).cpu().numpy())


def as_stills(latents: Any, layout: Layout, *, aspect: float, frames: int) -> Any:
    """Latents (b, c, h, w) of whatever a pipeline carries from step to step; of a clip its middle frame.

    `aspect` is the pictures' width by their height; packed latents do not say it. `frames` are those of the latents,
    where they are tokens.
    """
    match layout:
        case Layout.STILL:
            return latents
        case Layout.CLIP:
            return latents[:, :, latents.shape[2] // 2]
        case Layout.PACKED:
            pictures, tokens, values = latents.shape
            rows, columns = _grid(tokens, aspect)
            cells = latents.view(pictures, rows, columns, values // 4, 2, 2)
            return cells.permute(0, 3, 1, 4, 2, 5).reshape(pictures, values // 4, rows * 2, columns * 2)
        case Layout.TOKENS:
            pictures, tokens, channels = latents.shape
            rows, columns = _grid(tokens // frames, aspect)
            return latents.view(pictures, frames, rows, columns, channels)[:, frames // 2].permute(0, 3, 1, 2)


def _grid(cells: int, aspect: float) -> tuple[int, int]:
    """Rows and columns of this many cells, in the pictures' shape."""
    rows = round((cells / aspect) ** 0.5)
    while cells % rows:
        rows -= 1
    return rows, cells // rows


def _mapped(latents: Any, weights: Any) -> Any:
    weights = weights.to(latents.device)
    rgb = torch.einsum("bchw,cr->brhw", latents.float(), weights[:-1]) + weights[-1][None, :, None, None]
    return rgb.clamp(0, 1)


def _fit(vae: Any) -> Any:
    """(channels + 1, 3) float32: what each channel adds to red, green and blue, and where they begin."""
    with torch.no_grad():
        side_px = min(_compression(vae) * _CELLS, _SIDE_PX_MAX)
        generator = torch.Generator().manual_seed(0)
        inputs: list[Any] = []
        wanted: list[Any] = []
        for index in range(_PICTURES):
            picture = _synthetic(side_px, index, generator)
            latents = _encoded(vae, picture)
            small = torch.nn.functional.interpolate(picture, latents.shape[-2:], mode="area")
            inputs.append(latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1]))
            wanted.append(small.permute(0, 2, 3, 1).reshape(-1, 3))
        examples = torch.cat(inputs).double()
        examples = torch.cat([examples, torch.ones(len(examples), 1, dtype=torch.float64)], dim=1)
        squares = examples.T @ examples
        ridge = _RIDGE * torch.eye(len(squares), dtype=torch.float64)
        return torch.linalg.solve(squares + ridge, examples.T @ torch.cat(wanted).double()).float()


def _compression(vae: Any) -> int:
    """Pixels for each latent, along a side."""
    ratio = getattr(vae, "spatial_compression_ratio", None)
    return int(ratio) if ratio is not None else 2 ** (len(vae.config.block_out_channels) - 1)


def _encoded(vae: Any, picture: Any) -> Any:
    """(1, c, h, w) float32 on the host, scaled as the pipeline has its latents."""
    pixels = (picture * 2 - 1).to(vae.device, vae.dtype)
    is_clip_vae = "temperal_downsample" in vae.config or "spatio_temporal_scaling" in vae.config
    encoded = vae.encode(pixels[:, :, None] if is_clip_vae else pixels)
    latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
    latents = latents.float().cpu()
    if latents.ndim > picture.ndim:
        latents = latents[:, :, 0]
    return _scaled(latents, vae)


def _scaled(latents: Any, vae: Any) -> Any:
    """As pipelines do it: channel by channel where the VAE says so, by one shift and one factor elsewhere."""
    factor = vae.config.get("scaling_factor") or 1.0
    mean, deviation = _channels(vae, "latents_mean"), _channels(vae, "latents_std")
    if mean is not None and deviation is not None:
        return (latents - mean) / deviation * factor
    return (latents - (vae.config.get("shift_factor") or 0.0)) * factor


def _channels(vae: Any, name: str) -> Any:
    values = vae.config.get(name)
    if values is None and isinstance(vae, torch.nn.Module):
        module: Any = vae
        values = dict(module.named_buffers()).get(name)
    return None if values is None else torch.as_tensor(values).float().cpu().reshape(1, -1, 1, 1)


def _synthetic(side_px: int, index: int, generator: Any) -> Any:
    """(1, 3, side, side) from 0 to 1: soft colours, with hard edges in every second picture."""
    cells = 2 + index % 6
    colours = torch.rand(1, 3, cells, cells, generator=generator)
    mode = "bilinear" if index % 2 == 0 else "nearest"
    return torch.nn.functional.interpolate(colours, (side_px, side_px), mode=mode)


def _read(file: Path | None) -> Any:
    if file is None or not file.is_file():
        return None
    try:
        weights = torch.tensor(json.loads(file.read_text()), dtype=torch.float32)
    except (OSError, ValueError, TypeError):
        return None
    return weights if weights.ndim == len("cr") and weights.shape[1] == 3 else None


def _keep(file: Path | None, weights: Any) -> None:
    """Where it cannot be kept it is fitted again next time."""
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{id(weights)}.draft")
        draft.write_text(json.dumps(weights.tolist()))
        draft.replace(file)
    except OSError:
        return
