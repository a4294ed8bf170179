"""One look at a file that somebody sends: whatever is in it, at most so much of it is read.

The bytes are untrusted. Nothing in them is fetched, run or believed; a picture is decoded only if it is of a bounded
size, and only to see what it looks like.
"""

import hashlib
import io
import re
import warnings
from contextlib import suppress
from pathlib import Path

from PIL import Image

from heliograph.delivery import perceptual_hash, pillow
from heliograph.delivery.c2pa import ManifestReader, is_local
from heliograph.delivery.manifest_frame import frame_fault
from heliograph.delivery.media_types import mime_type_of
from heliograph.delivery.verification import Inspection

PIXELS_MAX = 64 * 1024**2
_TEXT_CHARS_MAX = 100_000
_SOURCE_TYPE = re.compile(rb"""DigitalSourceType(?:\s*=\s*["']|>\s*)(https?://[\w./-]{1,200})""")


class FileInspector:
    """Looks at files, trusting certificates that lead to a root in one of the PEM files, where they exist."""

    def __init__(self, *anchors: Path) -> None:
        self._reader = ManifestReader(*anchors)

    def look(self, data: bytes) -> Inspection:
        """What is in the file. Never raises for what is in it."""
        mime_type = mime_type_of(data)
        digest = hashlib.sha256(data).hexdigest()
        if mime_type is None:
            return Inspection(sha256=digest, size_bytes=len(data), mime_type=None)
        manifest = self._reader.read(data, mime_type)
        parameters, software, fingerprint = _read_picture(data)
        source_type = _SOURCE_TYPE.search(data)
        return Inspection(
            sha256=digest,
            size_bytes=len(data),
            mime_type=mime_type,
            manifest=manifest,
            is_local_signer=manifest is not None and is_local(manifest),
            frame_fault=None if manifest is None else frame_fault(data, mime_type),
            parameters=parameters,
            software=software,
            source_type=None if source_type is None else source_type[1].decode("ascii"),
            perceptual_hash=fingerprint,
        )


def _read_picture(data: bytes) -> tuple[str | None, str | None, str | None]:
    """Parameters and software as the file states them, and its perceptual hash; None for what cannot be read."""
    parameters = software = fingerprint = None
    # Decoders raise whatever they like over a stranger's bytes; what was read until then stays.
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(data)) as image:
            parameters, software = (_bounded(text) for text in pillow.texts_of(image))
            if image.width * image.height <= PIXELS_MAX:
                image.draft("RGB", (4 * perceptual_hash.SIDE_PX, 4 * perceptual_hash.SIDE_PX))
                fingerprint = perceptual_hash.perceptual_hash(pillow.squeezed(image, perceptual_hash.SIDE_PX))
    return parameters, software, fingerprint


def _bounded(text: str | None) -> str | None:
    return text and text[:_TEXT_CHARS_MAX]
