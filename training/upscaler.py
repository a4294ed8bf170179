"""The upscaler: a picture to twice its width and height.

All convolutions run at half of the picture's edge (pixel unshuffle by two at one end, shuffle by four at the other),
and what they add is a correction to the enlarged picture, so an untrained network already enlarges. Applied twice it
gives four times the size.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from training.autoencoder import ResidualBlock, to_pixels

FACTOR = 2
_UNSHUFFLE = 2
_CHANNELS = 64
_DEPTH = 4
MARGIN_PX = _UNSHUFFLE * (2 * _DEPTH + 2) + _UNSHUFFLE
"""How far, in pixels of the input, a pixel of the output can see: tiles that overlap by it have no seams."""


class Upscaler(nn.Module):
    """Pictures (batch, 3, height, width) in -1..1, both edges even, to (batch, 3, 2 height, 2 width)."""

    def __init__(self, channels: int = _CHANNELS, depth: int = _DEPTH) -> None:
        super().__init__()
        self.correction = nn.Sequential(
            nn.PixelUnshuffle(_UNSHUFFLE),
            nn.Conv2d(3 * _UNSHUFFLE**2, channels, 3, padding=1),
            *(ResidualBlock(channels) for _ in range(depth)),
            nn.SiLU(),
            nn.Conv2d(channels, 3 * (_UNSHUFFLE * FACTOR) ** 2, 3, padding=1),
            nn.PixelShuffle(_UNSHUFFLE * FACTOR),
        )
        last = self.correction[-2]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        """The enlarged picture plus the learned correction."""
        return enlarge(pictures) + self.correction(pictures)


class UpscalerOnPixels(nn.Module):
    """The same on rgb (batch, height, width, 3) uint8, which is what ships."""

    def __init__(self, upscaler: Upscaler) -> None:
        super().__init__()
        self.upscaler = upscaler

    def forward(self, rgb: Tensor) -> Tensor:
        """(batch, 2 height, 2 width, 3) uint8."""
        return to_pixels(self.upscaler(rgb.permute(0, 3, 1, 2).float() / 127.5 - 1))


def enlarge(pictures: Tensor) -> Tensor:
    """Every pixel four times: (batch, 3, height, width) to twice the edges."""
    batch, channels, height, width = pictures.shape
    repeated = pictures[:, :, :, None, :, None].expand(batch, channels, height, FACTOR, width, FACTOR)
    return repeated.reshape(batch, channels, FACTOR * height, FACTOR * width)


def bicubic(pictures: Tensor) -> Tensor:
    """What the network has to beat."""
    return F.interpolate(pictures, scale_factor=FACTOR, mode="bicubic", align_corners=False)
