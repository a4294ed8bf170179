"""From raw pixels to files: the job itself, and the pool that runs it through kills, hangs and shutdown."""

import asyncio
import base64
import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph import postprocess
from heliograph.delivery import thumbhash
from heliograph.delivery.parameters import parse_parameters
from heliograph.domain.errors import HeliographError, Unavailable
from heliograph.domain.pictures import Decision, RawImage, Verdict
from heliograph.domain.request import OutputFormat
from heliograph.postprocess import FinishedPicture, PostProcessPool, finish_picture
from heliograph.postprocess_tools import Tools
from heliograph.quality.gates import GatePolicy
from tests.builders import a_request

POLICY = GatePolicy()
REQUEST = a_request(width_px=96, height_px=64, negative_prompt="blurry")


def noise(width_px: int = 96, height_px: int = 64, seed: int = 11) -> RawImage:
    pixels = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    return RawImage(width_px=width_px, height_px=height_px, seed=seed, rgb=pixels.tobytes())


def black(width_px: int = 96, height_px: int = 64) -> RawImage:
    return RawImage(width_px=width_px, height_px=height_px, seed=1, rgb=bytes(width_px * height_px * 3))


def finished(raw: RawImage, request=REQUEST, *, reseeds: int = 0) -> FinishedPicture:
    result = finish_picture(raw, request, reseeds=reseeds, policy=POLICY, tools=Tools(None))
    assert isinstance(result, FinishedPicture)
    return result


# --- the job --------------------------------------------------------------------------------------------------------


def test_a_picture_comes_with_everything_that_delivery_needs() -> None:
    raw = noise()
    picture = finished(raw)
    image = Image.open(io.BytesIO(picture.data))
    thumbnail = Image.open(io.BytesIO(picture.thumbnail))
    assert np.asarray(image).tobytes() == raw.rgb
    assert picture.sha256 == hashlib.sha256(picture.data).hexdigest()
    assert (picture.width_px, picture.height_px, picture.seed) == (96, 64, 11)
    assert (thumbnail.format, thumbnail.size) == ("WEBP", (96, 64))
    assert b"trainedAlgorithmicMedia" in picture.thumbnail
    assert thumbhash.decode(base64.b64decode(picture.thumbhash)).shape[1] == 32
    assert picture.verdict == Verdict(decision=Decision.ACCEPT)


def test_the_file_tells_how_to_make_it_again() -> None:
    parameters = parse_parameters(Image.open(io.BytesIO(finished(noise()).data)).text["parameters"])
    assert parameters is not None
    assert (parameters.prompt, parameters.negative_prompt) == (REQUEST.prompt, "blurry")
    assert (parameters.seed, parameters.steps, parameters.guidance) == (11, REQUEST.steps, REQUEST.guidance)
    assert (parameters.width_px, parameters.height_px, parameters.model) == (96, 64, REQUEST.model_id)


@pytest.mark.parametrize("output_format", OutputFormat)
def test_the_requested_format_is_delivered_and_the_same_input_makes_the_same_bytes(output_format) -> None:
    request = a_request(width_px=96, height_px=64, output_format=output_format)
    picture = finished(noise(), request)
    assert Image.open(io.BytesIO(picture.data)).get_format_mimetype() == output_format.mime_type
    assert picture.output_format is output_format
    assert finished(noise(), request) == picture


def test_a_large_picture_has_a_thumbnail_of_256_pixels() -> None:
    request = a_request(width_px=640, height_px=320)
    assert Image.open(io.BytesIO(finished(noise(640, 320), request).thumbnail)).size == (256, 128)


def test_a_prompt_beyond_every_bound_of_the_formats_still_gets_its_picture() -> None:
    for output_format in OutputFormat:
        request = a_request(width_px=96, height_px=64, prompt="boat 🌅 " * 10_000, output_format=output_format)
        assert Image.open(io.BytesIO(finished(noise(), request).data)).size == (96, 64)


@pytest.mark.parametrize(
    ("raw", "reseeds", "verdict"),
    [
        (black(), 0, Verdict(decision=Decision.REGENERATE, reasons=("blank",))),
        (noise(64, 96), 0, Verdict(decision=Decision.BLOCK, reasons=("wrong_aspect_ratio",))),
    ],
)
def test_a_picture_that_is_not_delivered_is_not_encoded(raw: RawImage, reseeds: int, verdict: Verdict) -> None:
    assert finish_picture(raw, REQUEST, reseeds=reseeds, policy=POLICY, tools=Tools(None)) == verdict


@pytest.mark.parametrize(
    ("raw", "reseeds", "reason"), [(black(), POLICY.reseeds_max, "blank"), (noise(48, 32), 0, "wrong_size")]
)
def test_a_flagged_picture_is_delivered_with_its_reason(raw: RawImage, reseeds: int, reason: str) -> None:
    picture = finished(raw, reseeds=reseeds)
    assert picture.verdict == Verdict(decision=Decision.FLAG, reasons=(reason,))
    assert Image.open(io.BytesIO(picture.data)).size == (raw.width_px, raw.height_px)


def a_clip(frames: int = 6, *, blank: int | None = None) -> RawImage:
    """Noise that differs from frame to frame; the frame numbered `blank` is black."""
    pixels = np.random.default_rng(3).integers(0, 256, (frames, 64, 96, 3), dtype=np.uint8)
    if blank is not None:
        pixels[blank] = 0
    return RawImage(frames=frames, width_px=96, height_px=64, seed=3, rgb=pixels.tobytes())


@pytest.mark.parametrize("output_format", [OutputFormat.WEBP, OutputFormat.GIF, OutputFormat.PNG])
def test_a_clip_is_one_file_with_the_thumbnail_of_its_first_frame(output_format) -> None:
    request = a_request(width_px=96, height_px=64, output_format=output_format, frames=6, frames_per_second=8)
    clip = finished(a_clip(), request)
    image = Image.open(io.BytesIO(clip.data))
    assert (clip.frames, clip.duration_s, image.n_frames, image.size) == (6, 0.75, 6, (96, 64))
    still = finished(RawImage(width_px=96, height_px=64, seed=3, rgb=a_clip().rgb[: 96 * 64 * 3]))
    assert (clip.thumbnail, clip.thumbhash) == (still.thumbnail, still.thumbhash)
    assert (still.frames, still.duration_s) == (1, None)
    assert finished(a_clip(), request) == clip


def test_a_clip_says_in_its_file_how_many_frames_it_has() -> None:
    request = a_request(width_px=96, height_px=64, frames=6, frames_per_second=8)
    parameters = parse_parameters(Image.open(io.BytesIO(finished(a_clip(), request).data)).text["parameters"])
    assert parameters is not None
    assert (parameters.frames, parameters.seed) == (6, 3)


@pytest.mark.parametrize("blank", [0, 3, 5])
def test_one_blank_frame_spoils_a_clip(blank: int) -> None:
    request = a_request(width_px=96, height_px=64, frames=6, frames_per_second=8)
    verdict = finish_picture(a_clip(blank=blank), request, reseeds=0, policy=POLICY, tools=Tools(None))
    assert verdict == Verdict(decision=Decision.REGENERATE, reasons=("blank",))


# --- the pool -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def pool():
    pool = PostProcessPool(processes=1, policy=POLICY)
    yield pool
    await pool.close()


def children() -> list[int]:
    """Our encoding processes, by their command line."""
    pids = [pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()]
    return [int(pid) for pid in pids if b"heliograph.postprocess" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def ends(pid: int, *, within_s: float = 20.0) -> bool:
    """The process ends: it is gone, or a zombie that nobody has collected yet."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


async def test_the_pool_gives_what_the_job_gives(pool: PostProcessPool) -> None:
    assert await pool.finish(noise(), REQUEST, reseeds=0) == finished(noise())
    assert await pool.finish(black(), REQUEST, reseeds=0) == Verdict(decision=Decision.REGENERATE, reasons=("blank",))


async def test_more_pictures_than_processes_each_get_their_own_answer() -> None:
    pool = PostProcessPool(processes=2, policy=POLICY)
    await pool.warm_up()
    started = set(children())
    results = await asyncio.gather(*(pool.finish(noise(seed=seed), REQUEST, reseeds=0) for seed in range(12)))
    assert [result.seed for result in results if isinstance(result, FinishedPicture)] == list(range(12))
    assert len(started) == 2
    assert set(children()) == started
    await pool.close()
    assert children() == []


async def test_a_killed_process_is_replaced_and_the_picture_still_arrives(pool: PostProcessPool) -> None:
    await pool.warm_up()
    (pid,) = children()
    os.kill(pid, signal.SIGSTOP)  # so that the picture is in its hands for sure when it dies
    task = asyncio.create_task(pool.finish(noise(), REQUEST, reseeds=0))
    done, _ = await asyncio.wait({task}, timeout=0.1)
    assert not done
    os.kill(pid, signal.SIGKILL)
    assert await task == finished(noise())
    assert pid not in children()


async def test_a_process_killed_while_idle_costs_nobody_a_picture(pool: PostProcessPool) -> None:
    await pool.warm_up()
    (pid,) = children()
    os.kill(pid, signal.SIGKILL)
    assert ends(pid)
    assert await pool.finish(noise(), REQUEST, reseeds=0) == finished(noise())


async def test_a_process_that_hangs_is_replaced() -> None:
    pool = PostProcessPool(policy=POLICY, timeout_s=4.0)
    await pool.warm_up()
    (pid,) = children()
    os.kill(pid, signal.SIGSTOP)
    assert await pool.finish(noise(), REQUEST, reseeds=0) == finished(noise())
    assert pid not in children()
    await pool.close()


async def test_a_process_that_stands_still_under_a_large_picture_is_replaced() -> None:
    large = RawImage(width_px=1024, height_px=1024, seed=1, rgb=bytes(range(256)) * (1024 * 1024 * 3 // 256))
    request = a_request(width_px=1024, height_px=1024)
    pool = PostProcessPool(policy=POLICY, timeout_s=4.0)
    await pool.warm_up()
    (pid,) = children()
    os.kill(pid, signal.SIGSTOP)
    assert isinstance(await pool.finish(large, request, reseeds=0), FinishedPicture)
    assert pid not in children()
    await pool.close()


async def test_processes_that_keep_dying_are_told(pool: PostProcessPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postprocess, "_CHILD_CODE", "'heliograph.postprocess'; raise SystemExit(3)")
    with pytest.raises(Unavailable, match="died 3 times") as caught:
        await pool.finish(noise(), REQUEST, reseeds=0)
    assert caught.value.code == "post_processing_unavailable"
    with pytest.raises(Unavailable, match="does not start"):
        await pool.warm_up()
    monkeypatch.undo()
    assert await pool.finish(noise(), REQUEST, reseeds=0) == finished(noise())


async def test_a_picture_that_cannot_be_encoded_is_told_once_and_harms_no_other(pool: PostProcessPool) -> None:
    too_short = RawImage(width_px=96, height_px=64, seed=1, rgb=b"123")
    with pytest.raises(HeliographError, match=r"could not be encoded: ValueError") as caught:
        await pool.finish(too_short, REQUEST, reseeds=0)
    assert caught.value.code == "post_processing_failed"
    assert "finish_picture" in "".join(caught.value.__notes__)
    assert await pool.finish(noise(), REQUEST, reseeds=0) == finished(noise())


async def test_ctrl_c_does_not_reach_the_processes(pool: PostProcessPool) -> None:
    await pool.warm_up()
    (pid,) = children()
    assert os.getsid(pid) != os.getsid(0)
    os.kill(pid, signal.SIGINT)
    assert await pool.finish(noise(), REQUEST, reseeds=0) == finished(noise())
    assert children() == [pid]


async def test_a_closed_pool_has_finished_what_it_began_and_refuses_the_rest() -> None:
    pool = PostProcessPool(processes=1, policy=POLICY)
    tasks = [asyncio.create_task(pool.finish(noise(seed=seed), REQUEST, reseeds=0)) for seed in range(20)]
    await tasks[0]
    await pool.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} <= {FinishedPicture, Unavailable}
    assert isinstance(results[-1], Unavailable)
    with pytest.raises(Unavailable, match="shutting down"):
        await pool.finish(noise(), REQUEST, reseeds=0)
    assert children() == []


_PARENT = """
import asyncio
from pathlib import Path
from heliograph.postprocess import PostProcessPool
from heliograph.quality.gates import GatePolicy

async def main():
    pool = PostProcessPool(processes=2, policy=GatePolicy())
    await pool.warm_up()
    print(*(p for f in Path("/proc/self/task").glob("*/children") for p in f.read_text().split()), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_the_processes_end_when_their_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(pids) == 2
    assert all(ends(pid) for pid in pids)


def test_a_process_imports_nothing_of_the_server() -> None:
    code = "import sys, heliograph.postprocess; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    heavy = {"fastapi", "pydantic", "onnxruntime", "sqlalchemy", "uvicorn", "heliograph.app", "heliograph.pipeline"}
    assert heavy.isdisjoint(loaded)
    assert {"numpy", "PIL"} <= set(loaded)
