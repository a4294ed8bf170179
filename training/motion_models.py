"""The trained motion network with what it needs around it, and whole clips made with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from training.animation import FRAMES
from training.autoencoder import DOWNSCALE
from training.models import TextToImage, load_models
from training.motion import MOTION_STEPS, MotionTransformer, motion_noise, sample_motion
from training.scenes import SIZES
from training.text_encoder import TextEncoder
from training.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class TextToClip:
    """Everything between a prompt and a clip, in evaluation mode; `stills` draws the first frame."""

    stills: TextToImage
    text_encoder: TextEncoder
    network: MotionTransformer
    samples_seen: int
    clips: int

    @torch.no_grad()
    def continue_latents(
        self, first: Tensor, prompts: list[str], seeds: list[int], steps: int = MOTION_STEPS, frames: int = FRAMES
    ) -> Tensor:
        """(batch, frames, 8, h, w) latents of clips that begin with the first frames' latents (batch, 8, h, w)."""
        ids = torch.tensor([self.stills.tokenizer.encode(prompt) for prompt in prompts])
        noise = [torch.from_numpy(motion_noise(seed, frames, *first.shape[-2:])) for seed in seeds]
        text = self.text_encoder(ids)
        return sample_motion(self.network, first, text, torch.stack(noise), steps)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """(batch, frames, height, width, 3) uint8 clips."""
        return self.stills.decode(latents.flatten(0, 1)).unflatten(0, latents.shape[:2])

    def sample(self, prompt: str, seed: int, size_name: str = "square") -> Tensor:
        """(frames, height, width, 3) uint8, a clip made from nothing but words."""
        first = self.stills.sample_latents([prompt], [seed], size_name)
        width, height = SIZES[size_name]
        assert first.shape[-2:] == (height // DOWNSCALE, width // DOWNSCALE)
        return self.decode(self.continue_latents(first, [prompt], [seed]))[0]


def load_text_encoder(work: Path, tokenizer: Tokenizer) -> TextEncoder:
    """The newest text encoder, frozen: the average of the transformer's run, or before that run its starting point."""
    encoder = TextEncoder(len(tokenizer.vocabulary))
    checkpoints = work / "checkpoints"
    if (checkpoints / "transformer.pt").exists():
        state = torch.load(checkpoints / "transformer.pt", weights_only=False)
        encoder.load_state_dict(state["average"]["text_encoder"])
    else:
        encoder.load_state_dict(torch.load(checkpoints / "text_encoder.pt", weights_only=False)["model"])
    return encoder.requires_grad_(False).eval()


def load_clip_models(work: Path) -> TextToClip:
    """The averaged weights of the newest checkpoints."""
    stills = load_models(work)
    state = torch.load(work / "checkpoints" / "motion.pt", weights_only=False)
    network = MotionTransformer()
    network.load_state_dict(state["average"])
    return TextToClip(
        stills=stills,
        text_encoder=load_text_encoder(work, stills.tokenizer),
        network=network.requires_grad_(False).eval(),
        samples_seen=state["samples_seen"],
        clips=state["clips"],
    )
