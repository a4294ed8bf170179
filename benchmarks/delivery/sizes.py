"""Bytes: our files beside JPEG of quality 85, where each is held to what that JPEG keeps of the very picture."""

import importlib.util
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from benchmarks.delivery.pictures import Pixels, pictures
from benchmarks.report import Bar, Figure, median
from heliograph.delivery import pillow
from heliograph.delivery.fidelity import fidelity
from heliograph.delivery.provenance import Imprint
from heliograph.delivery.quality_search import QualityTarget, Trial, lowest_quality
from heliograph.delivery.variants import AvifEncoding, Encoding, WebpEncoding

COUNT = 100
_CODECS: dict[str, Callable[[int], Encoding]] = {
    "AVIF": lambda quality: AvifEncoding(quality=quality, speed=8, has_full_chroma=False),
    "WebP": lambda quality: WebpEncoding(quality=quality, effort=4),
}


def measure(is_quick: bool) -> Iterator[Figure]:
    count = 10 if is_quick else COUNT
    plain_bytes, kept = 0, []
    ours: dict[str, int] = dict.fromkeys(_CODECS, 0)
    better: dict[str, int] = dict.fromkeys(_CODECS, 0)
    judged: dict[str, list[float]] = {name: [] for name in ("JPEG", *_CODECS)}
    best_bytes = 0
    judge = _judge()
    for _, pixels in pictures(count):
        plain = io.BytesIO()
        Image.fromarray(pixels).save(plain, "JPEG", quality=85)
        plain_bytes += len(plain.getvalue())
        copy = _decoded(plain.getvalue())
        target = fidelity(pixels, copy)
        kept.append(target)
        if judge is not None:
            judged["JPEG"].append(judge(pixels, copy))
        sizes: list[int] = [len(plain.getvalue())]
        for name, encoding_of in _CODECS.items():
            data = _as_good(pixels, encoding_of, target)
            ours[name] += len(data)
            better[name] += fidelity(pixels, _decoded(data)) >= target - 1e-3
            sizes.append(len(data))
            if judge is not None:
                judged[name].append(judge(pixels, _decoded(data)))
        best_bytes += min(sizes)
    for name in _CODECS:
        yield Figure(
            name=f"{name} that keeps as much as JPEG 85, {count} pictures of 10 kinds",
            value=ours[name] / 1000,
            unit="KB",
            baseline=plain_bytes / 1000,
            baseline_name="JPEG 85",
        )
        yield Figure(name=f"pictures of which {name} keeps as much", value=better[name], unit=f"of {count}")
    yield Figure(
        name="the smaller of both saves",
        value=100 * (1 - best_bytes / plain_bytes),
        unit="% of JPEG 85",
        bar=Bar(limit=25, is_floor=True),
    )
    yield Figure(name="what JPEG 85 keeps, median; our default target is 0.955", value=median(kept), unit="fidelity")
    for name, scores in judged.items():
        if scores:
            yield Figure(
                name=f"SSIMULACRA2, which we do not use, of {name}: mean", value=float(np.mean(scores)), unit="points"
            )


def _as_good(pixels: Pixels, encoding_of: Callable[[int], Encoding], target: float) -> bytes:
    image, files = pillow.image_of(pixels), dict[int, bytes]()

    def try_out(quality: int) -> Trial:
        files[quality] = pillow.encode(image, encoding_of(quality), Imprint(xmp=""))
        return Trial(fidelity=fidelity(pixels, _decoded(files[quality])), size_bytes=len(files[quality]))

    quality = lowest_quality(try_out, QualityTarget(fidelity=target), share=1.0, high=99)
    if quality not in files:
        try_out(quality)
    return files[quality]


def _decoded(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _judge() -> Callable[[Pixels, Pixels], float] | None:
    """An independent judge of copies, where it is installed (benchmarks/delivery/requirements.txt)."""
    if importlib.util.find_spec("ssimulacra2") is None:
        print("left out: SSIMULACRA2; pip install -r benchmarks/delivery/requirements.txt")
        return None
    from ssimulacra2 import compute_ssimulacra2  # type: ignore[import-not-found]

    def judge(original: Pixels, copy: Pixels) -> float:
        with TemporaryDirectory() as folder:
            paths = [Path(folder) / name for name in ("original.png", "copy.png")]
            for path, pixels in zip(paths, (original, copy), strict=True):
                Image.fromarray(pixels).save(path, compress_level=1)
            return float(compute_ssimulacra2(*map(str, paths)))

    return judge
