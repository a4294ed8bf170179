"""Latents to small pictures: the map is fitted, kept, and right about where things are."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import torch

from heliograph.domain.pipeline_options import Layout
from heliograph.inference.diffusers_previews import as_stills, drawn, fitted_map
from tests.engines.subjects import an_engine, run, the_order


class AlmostLinear:
    """A VAE whose latents are a fixed mixture of the colours of each 8 x 8 pixels, with some noise."""

    device, dtype = torch.device("cpu"), torch.float32
    config: dict[str, Any] = {"scaling_factor": 0.5, "shift_factor": 0.25}  # noqa: RUF012
    spatial_compression_ratio = 8

    def encode(self, pixels: Any) -> Any:
        mixture = torch.tensor([[1.0, 0.2, 0.0], [0.0, 1.0, 0.5], [0.3, 0.0, 1.0], [1.0, 1.0, 1.0]])
        small = torch.nn.functional.avg_pool2d(pixels, 8)
        latents = torch.einsum("bchw,rc->brhw", small, mixture)
        latents = latents + 0.01 * torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: latents))


def test_the_map_finds_the_colours_again(tmp_path: Path) -> None:
    vae = AlmostLinear()
    decode = fitted_map(vae, cache=tmp_path, digest="a" * 64)
    assert decode is not None
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    latents = (vae.encode(picture * 2 - 1).latent_dist.mode() - 0.25) * 0.5
    wanted = torch.nn.functional.avg_pool2d(picture, 8)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(drawn(latents, decode)[0] - wanted).mean() < 4


def test_the_map_is_kept_and_read_again(tmp_path: Path) -> None:
    first = fitted_map(AlmostLinear(), cache=tmp_path, digest="a" * 64)
    assert len(list(tmp_path.iterdir())) == 1
    again = fitted_map(object(), cache=tmp_path, digest="a" * 64)
    latents = torch.rand(1, 4, 2, 2)
    assert first is not None
    assert again is not None
    assert np.array_equal(drawn(latents, first), drawn(latents, again))
    assert fitted_map(object(), cache=tmp_path, digest="b" * 64) is None
    next(tmp_path.iterdir()).write_text("[1")
    assert fitted_map(AlmostLinear(), cache=tmp_path, digest="a" * 64) is not None


def test_packed_latents_are_unpacked_as_the_pipeline_does_it() -> None:
    latents = torch.rand(2, 16, 8, 12)
    packed = diffusers.FluxPipeline._pack_latents(latents, 2, 16, 8, 12)
    assert torch.equal(as_stills(packed, Layout.PACKED, aspect=12 / 8, frames=1), latents)


def test_tokens_of_a_clip_are_its_middle_frame() -> None:
    latents = torch.rand(2, 8, 3, 4, 6)
    tokens = diffusers.LTXPipeline._pack_latents(latents)
    assert torch.equal(as_stills(tokens, Layout.TOKENS, aspect=6 / 4, frames=3), latents[:, :, 1])
    assert torch.equal(as_stills(latents, Layout.CLIP, aspect=1.0, frames=1), latents[:, :, 1])


def test_a_tiny_decoder_draws_larger_previews(pipelines: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    tiny = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    )
    tiny.save_pretrained(tmp_path / "tiny")
    engine = an_engine(pipelines, "sd", preview_decoder=str(tmp_path / "tiny"))
    engine.load()
    previews = run(engine, the_order("sd", steps=2))[0][0].previews
    assert previews is not None
    assert previews.shape == (1, 48, 64, 3)
