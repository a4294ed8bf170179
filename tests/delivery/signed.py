"""Signed files of every kind, for the tests of those who read them."""

from pathlib import Path

import numpy as np

from heliograph.delivery import pillow, pyav
from heliograph.delivery.c2pa import C2paSigner
from heliograph.delivery.certificates import local_identity
from heliograph.delivery.parameters import PictureParameters
from heliograph.delivery.provenance import SOFTWARE, Stamp, imprint
from heliograph.delivery.variants import (
    AvifEncoding,
    Encoding,
    FilmEncoding,
    GifEncoding,
    JpegEncoding,
    PngEncoding,
    WebpEncoding,
)
from heliograph.domain.pictures import ParametersMode

ENCODINGS: dict[str, Encoding] = {
    "png": PngEncoding(),
    "jpeg": JpegEncoding(quality=85, has_full_chroma=False),
    "webp": WebpEncoding(quality=80, effort=1),
    "avif": AvifEncoding(quality=60, speed=9, has_full_chroma=False),
    "avif-4:4:4": AvifEncoding(quality=60, speed=9, has_full_chroma=True),
    "gif": GifEncoding(),
    "mp4": FilmEncoding(quality=80, is_webm=False),
}
MADE_OF = PictureParameters(
    prompt='a boat, "red" & <blue>\nأهلا 🌅',
    negative_prompt="fog",
    steps=8,
    guidance=3.5,
    seed=7,
    width_px=96,
    height_px=64,
    model="helio-base",
    version=SOFTWARE,
)
MADE_AT_S = 1_790_000_000.0


def a_picture(width: int = 96, height: int = 64, *, phase: float = 0.0) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 6, width), np.linspace(0, 4, height))
    waves = [np.sin(x + phase), np.cos(y), np.sin(x + y - phase)]
    return (np.stack(waves, axis=-1) * 120 + 127).astype(np.uint8)


def unsigned(kind: str, mode: ParametersMode = ParametersMode.FULL) -> bytes:
    encoding, written = ENCODINGS[kind], imprint(MADE_OF, mode)
    if isinstance(encoding, FilmEncoding):
        frames = [np.roll(a_picture(), 7 * number, axis=1) for number in range(6)]
        comment = written.parameters or written.software
        return pyav.encode_film(frames, encoding, frames_per_second=8, comment=comment, xmp=written.xmp)
    return pillow.encode(pillow.image_of(a_picture()), encoding, written)


def a_signer(folder: Path) -> C2paSigner:
    return C2paSigner(local_identity(folder))


def signed(kind: str, signer: C2paSigner, *, ingredient: bytes | None = None) -> bytes:
    stamp = Stamp(made_at_s=MADE_AT_S, is_edit=ingredient is not None, ingredient=ingredient)
    return signer.sign(unsigned(kind), ENCODINGS[kind].mime_type, model="helio-base", stamp=stamp)
