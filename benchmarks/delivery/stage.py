"""Time: the whole stage beside the bare codec calls, the first file beside the bare JPEG, signing, the ThumbHash."""

import asyncio
import hashlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from tests.builders import a_request

from benchmarks.delivery.pictures import natural
from benchmarks.report import Bar, Figure, median
from heliograph.delivery import perceptual_hash, pillow, thumbhash
from heliograph.delivery.c2pa import C2paSigner
from heliograph.delivery.certificates import local_identity
from heliograph.delivery.disk import DiskBlobStore
from heliograph.delivery.parameters import PictureParameters
from heliograph.delivery.provenance import SOFTWARE, Stamp, imprint
from heliograph.delivery.quality_search import QualityTarget
from heliograph.delivery.variants import Encoding, JpegEncoding, WebpEncoding, size_within
from heliograph.domain.pictures import FileFormat, ParametersMode, RawImage
from heliograph.domain.request import OutputFormat
from heliograph.postprocess import FinishedPicture, PostProcessPool
from heliograph.quality.gates import GatePolicy
from heliograph.variant_making import fitting

SIDE_PX = 1024
THUMBNAILS_PX = (256, 512, 768)
PIXELS = natural(np.random.default_rng(7), SIDE_PX)
JPEG = JpegEncoding(quality=90, has_full_chroma=True)
WEBP = WebpEncoding(quality=80, effort=4)
SMALL = WebpEncoding(quality=80, effort=1)
MADE_OF = PictureParameters(
    prompt="a red boat on the sea at sunset",
    negative_prompt="",
    steps=28,
    guidance=3.5,
    seed=7,
    width_px=SIDE_PX,
    height_px=SIDE_PX,
    model="helio-base",
    version=SOFTWARE,
)


def measure(is_quick: bool) -> Iterator[Figure]:
    rounds = 3 if is_quick else 15
    with tempfile.TemporaryDirectory() as folder:
        signer = C2paSigner(local_identity(Path(folder)))
        blobs = DiskBlobStore(Path(folder) / "blobs")
        bare_ms, whole_ms, signing_ms = asyncio.run(_stage(rounds, signer, blobs))
        yield Figure(
            name="JPEG, WebP, 3 thumbnails, ThumbHash, XMP, C2PA, written durably, 1024 x 1024",
            value=whole_ms,
            unit="ms",
            baseline=bare_ms,
            baseline_name="codecs",
        )
        yield Figure(name="its ratio", value=whole_ms / bare_ms, unit="times", bar=Bar(limit=1.2))
        yield Figure(
            name="signing 5 files, of that", value=signing_ms, unit="ms", baseline=bare_ms, baseline_name="codecs"
        )
        search_ms = _median_ms(lambda: fitting(FileFormat.WEBP, PIXELS, QualityTarget()), rounds)
        yield Figure(name="finding the quality of the WebP, where nobody waits", value=search_ms, unit="ms")
        first_ms, jpeg_ms, cpu_ms, jpeg_cpu_ms = asyncio.run(_first_file(rounds, Path(folder), blobs))
        yield Figure(
            name="first file stored after the pixels left the worker",
            value=first_ms,
            unit="ms",
            baseline=jpeg_ms,
            baseline_name="JPEG",
        )
        yield Figure(name="beyond the bare JPEG", value=first_ms - jpeg_ms, unit="ms", bar=Bar(limit=40))
        name = "its CPU time, gates and thumbnail included"
        yield Figure(name=name, value=cpu_ms, unit="ms", baseline=jpeg_cpu_ms, baseline_name="JPEG")
    small = pillow.scaled_down(pillow.image_of(PIXELS), (256, 256))

    def placeholder() -> str:
        return thumbhash.encode_base64(np.asarray(pillow.scaled_down(small, size_within(256, 256, 32))))

    yield Figure(name="ThumbHash", value=_median_ms(placeholder, 20 * rounds), unit="ms", bar=Bar(limit=3))


async def _stage(rounds: int, signer: C2paSigner, blobs: DiskBlobStore) -> tuple[float, float, float]:
    """Milliseconds of the codec calls alone, of everything, and of the signing in it; medians, by turns."""
    bare: list[float] = []
    whole: list[float] = []
    signing: list[float] = []
    for number in range(rounds + 1):
        pixels = PIXELS.copy()
        pixels[0, 0] = number  # no two rounds store the same file
        began_s = time.perf_counter()
        _bare_codecs(pixels)
        between_s = time.perf_counter()
        signing_s = await _everything(pixels, signer, blobs)
        ended_s = time.perf_counter()
        bare.append(1000 * (between_s - began_s))
        whole.append(1000 * (ended_s - between_s))
        signing.append(1000 * signing_s)
    return median(bare[1:]), median(whole[1:]), median(signing[1:])


def _bare_codecs(pixels: np.ndarray) -> None:
    image = Image.fromarray(pixels)
    image.save(io.BytesIO(), "JPEG", quality=90, subsampling="4:4:4", progressive=True, optimize=True)
    image.save(io.BytesIO(), "WEBP", quality=80, method=4)
    for side_px in THUMBNAILS_PX:
        small = image.resize((side_px, side_px), Image.Resampling.LANCZOS, reducing_gap=2.0)
        small.save(io.BytesIO(), "WEBP", quality=80, method=1)


async def _everything(pixels: np.ndarray, signer: C2paSigner, blobs: DiskBlobStore) -> float:
    """Do all of it; seconds that the signing took."""
    image, signing_s = pillow.image_of(pixels), 0.0
    written = imprint(MADE_OF, ParametersMode.MINIMAL)
    thumbnails = [pillow.scaled_down(image, (side_px, side_px)) for side_px in THUMBNAILS_PX]
    plan: list[tuple[pillow.Picture, Encoding]] = [
        (image, JPEG),
        (image, WEBP),
        *((each, SMALL) for each in thumbnails),
    ]
    files: list[tuple[bytes, str]] = []
    for picture, encoding in plan:
        data = pillow.encode(picture, encoding, written)
        began_s = time.perf_counter()
        data = signer.sign(data, encoding.mime_type, model="helio-base", stamp=Stamp(made_at_s=1.79e9))
        signing_s += time.perf_counter() - began_s
        files.append((data, encoding.mime_type.partition("/")[2]))
    thumbhash.encode_base64(np.asarray(pillow.scaled_down(thumbnails[0], (32, 32))))
    perceptual_hash.perceptual_hash(pillow.squeezed(thumbnails[0], perceptual_hash.SIDE_PX))
    hashlib.sha256(pixels.data).hexdigest()
    await asyncio.gather(*(blobs.put(data, suffix=suffix) for data, suffix in files))
    return signing_s


async def _first_file(rounds: int, folder: Path, blobs: DiskBlobStore) -> tuple[float, float, float, float]:
    """Milliseconds from the pixels to the stored JPEG through the real process, and of the bare JPEG; medians.

    Then the CPU milliseconds of both.
    """
    pool = PostProcessPool(policy=GatePolicy(), identity=local_identity(folder))
    await pool.warm_up()
    request = a_request(
        width_px=SIDE_PX, height_px=SIDE_PX, output_format=OutputFormat.JPEG, output_quality=JPEG.quality
    )
    ours: list[float] = []
    bare: list[float] = []
    spent_us: list[int] = []
    bare_cpu: list[float] = []
    try:
        for number in range(rounds + 1):
            pixels = PIXELS.copy()
            pixels[0, 0] = 100 + number
            raw = RawImage(width_px=SIDE_PX, height_px=SIDE_PX, seed=number, rgb=pixels.tobytes())
            began_s = time.perf_counter()
            picture = await pool.finish(raw, request, reseeds=0, stamp=Stamp(made_at_s=1.79e9), spent=spent_us.append)
            assert isinstance(picture, FinishedPicture), "a picture like any other is delivered"
            await blobs.put(picture.data, suffix="jpeg")
            ours.append(1000 * (time.perf_counter() - began_s))
            began_s, began_cpu_s = time.perf_counter(), time.process_time()
            Image.fromarray(pixels).save(
                io.BytesIO(), "JPEG", quality=90, subsampling="4:4:4", progressive=True, optimize=True
            )
            bare.append(1000 * (time.perf_counter() - began_s))
            bare_cpu.append(1000 * (time.process_time() - began_cpu_s))
    finally:
        await pool.close()
    return median(ours[1:]), median(bare[1:]), median(spent_us[1:]) / 1000, median(bare_cpu[1:])


def _median_ms(work: Callable[[], object], rounds: int) -> float:
    taken: list[float] = []
    for _ in range(rounds + 1):
        began_s = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - began_s))
    return median(taken[1:])
