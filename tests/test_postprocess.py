"""From raw pixels to files: the job itself, and the pool that runs it through kills, hangs and shutdown."""

import asyncio
import base64
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph import postprocess
from heliograph.delivery import pillow, thumbhash
from heliograph.delivery.parameters import parse_parameters
from heliograph.delivery.pyav import film_comment, read_film
from heliograph.delivery.variants import size_within
from heliograph.domain.errors import HeliographError, Unavailable
from heliograph.domain.pictures import Decision, RawImage, Verdict
from heliograph.domain.request import VIDEO_FORMATS, OutputFormat
from heliograph.inference.upscaler import Upscaler
from heliograph.postprocess import FinishedPicture, PostProcessPool, finish_picture
from heliograph.postprocess_tools import Tools
from heliograph.quality.gates import GatePolicy
from tests.builders import a_request
from tests.inference.tiny_graphs import COLOURS, write_dual_encoder, write_upscaler

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


@pytest.mark.parametrize("output_format", sorted(set(OutputFormat) - VIDEO_FORMATS))
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
    for output_format in sorted(set(OutputFormat) - VIDEO_FORMATS):
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


@pytest.mark.parametrize("output_format", sorted(VIDEO_FORMATS))
def test_a_clip_becomes_a_film_that_says_how_it_was_made(output_format) -> None:
    frames = noise(96, 64)
    clip = replace(frames, frames=3, rgb=frames.rgb * 3)
    request = a_request(
        width_px=96, height_px=64, frames=3, frames_per_second=8.0, output_format=output_format, output_quality=90
    )
    film = finished(clip, request)
    assert (film.frames, film.duration_s, film.is_signed) == (3, 0.375, False)
    assert [frame.shape for frame in read_film(film.data, frames_max=9)] == [(64, 96, 3)] * 3
    assert "Seed: 11" in (film_comment(film.data) or "")
    assert finished(clip, request) == film


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


# --- with tools -----------------------------------------------------------------------------------------------------


def coloured(colour: str, width_px: int = 96, height_px: int = 64) -> RawImage:
    """Mostly one colour, with enough grain not to be blank."""
    grain = np.random.default_rng(5).integers(-20, 21, (height_px, width_px, 3))
    pixels = np.clip(np.array(COLOURS[colour]) * 215 + 20 + grain, 0, 255).astype(np.uint8)
    return RawImage(width_px=width_px, height_px=height_px, seed=1, rgb=pixels.tobytes())


@pytest.fixture
def weights_dir(tmp_path: Path) -> Path:
    write_upscaler(tmp_path / "helio-upscale")
    write_dual_encoder(tmp_path / "helio-clip")
    return tmp_path


def judged_with(tools: Tools, raw: RawImage, **request: object) -> FinishedPicture:
    result = finish_picture(
        raw, a_request(**request), reseeds=0, policy=POLICY, tools=tools, alignment_judge="helio-clip"
    )
    assert isinstance(result, FinishedPicture)
    return result


def finished_with(tools: Tools, raw: RawImage, **request: object) -> FinishedPicture:
    result = finish_picture(raw, a_request(**request), reseeds=0, policy=POLICY, tools=tools)
    assert isinstance(result, FinishedPicture)
    return result


@pytest.mark.parametrize("factor", [2, 4])
def test_an_enlarged_picture_is_large_in_every_respect(weights_dir: Path, factor: int) -> None:
    width_px, height_px = 96 * factor, 64 * factor
    tools = Tools(weights_dir)
    picture = finished_with(tools, noise(), width_px=width_px, height_px=height_px, upscale=factor)
    image = Image.open(io.BytesIO(picture.data))
    assert image.size == (picture.width_px, picture.height_px) == (width_px, height_px)
    assert Image.open(io.BytesIO(picture.thumbnail)).size == size_within(width_px, height_px, 256)
    assert picture.sha256 == hashlib.sha256(picture.data).hexdigest()
    pixels = np.frombuffer(noise().rgb, np.uint8).reshape(64, 96, 3)
    assert np.array_equal(np.asarray(image), tools.enlarge(pixels, passes=factor // 2))
    assert picture.verdict == Verdict(decision=Decision.ACCEPT)
    assert picture.problems == ()
    parameters = parse_parameters(image.text["parameters"])
    assert parameters is not None
    assert (parameters.width_px, parameters.upscale, parameters.upscaler) == (width_px, factor, "helio-upscale")


def test_a_clip_is_enlarged_frame_by_frame(weights_dir: Path) -> None:
    frames = [noise(seed=seed) for seed in (1, 2, 3)]
    raw = RawImage(width_px=96, height_px=64, seed=1, rgb=b"".join(frame.rgb for frame in frames), frames=3)
    picture = finished_with(
        Tools(weights_dir), raw, width_px=192, height_px=128, upscale=2, frames=3, frames_per_second=4.0
    )
    clip = Image.open(io.BytesIO(picture.data))
    assert (clip.n_frames, clip.size) == (3, (192, 128))


def lose(folder: Path) -> None:
    shutil.rmtree(folder)


def damage(folder: Path) -> None:
    (folder / "upscaler.onnx").write_bytes(b"?" * 100)


@pytest.mark.parametrize("harm", [lose, damage])
def test_without_its_upscaler_a_picture_is_filtered_and_flagged(weights_dir: Path, harm: object) -> None:
    harm(weights_dir / "helio-upscale")  # type: ignore[operator]
    tools = Tools(weights_dir)
    sizes = {"width_px": 192, "height_px": 128, "upscale": 2}
    picture = finished_with(tools, noise(), **sizes)
    image = Image.open(io.BytesIO(picture.data))
    pixels = np.frombuffer(noise().rgb, np.uint8).reshape(64, 96, 3)
    assert np.array_equal(np.asarray(image), pillow.enlarged(pixels, (192, 128)))
    assert picture.verdict == Verdict(decision=Decision.FLAG, reasons=("lanczos_upscale",))
    parameters = parse_parameters(image.text["parameters"])
    assert parameters is not None
    assert parameters.upscaler == "lanczos"
    assert [problem for problem in picture.problems if "helio-upscale cannot be used" in problem]
    assert finished_with(tools, noise(), **sizes).problems == (), "it is told once"


def test_an_upscaler_that_fails_over_a_picture_fails_no_job(weights_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Upscaler, "enlarge", fail)
    picture = finished_with(Tools(weights_dir), noise(), width_px=192, height_px=128, upscale=2)
    assert picture.verdict.reasons == ("lanczos_upscale",)
    assert (picture.width_px, picture.height_px) == (192, 128)
    assert picture.problems == ("helio-upscale failed: MemoryError()",)


def test_the_gates_hold_against_the_size_that_is_made(weights_dir: Path) -> None:
    """A model that makes the delivered size at once did not do what it was told."""
    picture = finished_with(Tools(weights_dir), noise(192, 128), width_px=192, height_px=128, upscale=2)
    assert picture.verdict == Verdict(decision=Decision.FLAG, reasons=("wrong_size",))
    assert (picture.width_px, picture.height_px) == (384, 256)


@pytest.mark.parametrize(
    ("colour", "prompt", "missing", "is_low"),
    [
        ("red", "a red picture", (), False),
        ("blue", "a red picture", ("red",), True),
        ("blue", "Red, and nothing else", ("Red",), True),
        ("green", "a green picture", (), False),
    ],
)
def test_a_picture_is_held_against_its_prompt(
    weights_dir: Path, colour: str, prompt: str, missing: tuple[str, ...], is_low: bool
) -> None:
    picture = judged_with(Tools(weights_dir), coloured(colour), prompt=prompt, width_px=96, height_px=64)
    assert picture.alignment is not None
    assert picture.alignment.missing == missing
    assert (picture.alignment.score < 0.25) == is_low
    assert picture.verdict.reasons == (("low_alignment",) if is_low else ())


@pytest.mark.parametrize("prompt", ["a picture, not red", "beautiful scenery"])
def test_a_prompt_that_says_nothing_to_the_judge_gets_no_score(weights_dir: Path, prompt: str) -> None:
    picture = judged_with(Tools(weights_dir), coloured("green"), prompt=prompt, width_px=96, height_px=64)
    assert (picture.alignment, picture.verdict.reasons, picture.problems) == (None, (), ())


def test_a_policy_may_want_another_picture(weights_dir: Path) -> None:
    policy = GatePolicy(reseeds_low_alignment=True)
    request = a_request(prompt="a red picture", width_px=96, height_px=64)
    verdicts = [
        finish_picture(
            coloured("blue"),
            request,
            reseeds=reseeds,
            policy=policy,
            tools=Tools(weights_dir),
            alignment_judge="helio-clip",
        )
        for reseeds in (0, policy.reseeds_max)
    ]
    assert verdicts[0] == Verdict(decision=Decision.REGENERATE, reasons=("low_alignment",))
    assert isinstance(verdicts[1], FinishedPicture)


@pytest.mark.parametrize("harm", ["lost", "calibration", "damaged"])
def test_without_its_judge_a_picture_has_no_alignment_and_no_fault(weights_dir: Path, harm: str) -> None:
    folder = weights_dir / "helio-clip"
    match harm:
        case "lost":
            shutil.rmtree(folder)
        case "calibration":
            facts = json.loads((folder / "model.json").read_text())
            (folder / "model.json").write_text(json.dumps(facts | {"calibration": {"alignment": {}}}))
        case _:
            (folder / "text_tower.onnx").write_bytes(b"")
    tools = Tools(weights_dir)
    picture = judged_with(tools, coloured("blue"), prompt="red", width_px=96, height_px=64)
    assert (picture.alignment, picture.verdict) == (None, Verdict(decision=Decision.ACCEPT))
    assert len(picture.problems) == 1
    assert picture.problems[0].startswith("helio-clip cannot be used")
    assert judged_with(tools, coloured("blue"), prompt="red", width_px=96, height_px=64).problems == ()


def test_a_picture_too_small_to_judge_is_delivered(weights_dir: Path) -> None:
    picture = judged_with(Tools(weights_dir), coloured("red", 4, 40), prompt="red", width_px=4, height_px=40)
    assert (picture.alignment, picture.problems) == (None, ())


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


async def test_other_work_is_done_in_a_process_too(pool: PostProcessPool) -> None:
    assert await pool.call(size_within, 4000, 2000, 256) == (256, 128)
    assert await pool.call(os.getpid) != os.getpid()


async def test_work_that_kills_its_process_gives_nothing_and_harms_no_picture(pool: PostProcessPool) -> None:
    assert await pool.call(os._exit, 3) is None
    assert isinstance(await pool.finish(noise(), REQUEST, reseeds=0), FinishedPicture)


async def test_work_that_raises_is_told_with_its_reason(pool: PostProcessPool) -> None:
    with pytest.raises(HeliographError, match=r"loads failed.*JSONDecodeError"):
        await pool.call(json.loads, "{")
    closed = PostProcessPool(policy=POLICY)
    await closed.close()
    with pytest.raises(Unavailable, match="shutting down"):
        await closed.call(os.getpid)


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


def runtimes_loaded() -> list[bool]:
    """For each of our encoding processes, whether it has loaded the runtime of the tools."""
    return ["onnxruntime" in Path(f"/proc/{pid}/maps").read_text() for pid in children()]


async def test_a_process_loads_its_tools_when_a_picture_needs_them(weights_dir: Path) -> None:
    pool = PostProcessPool(processes=1, policy=POLICY, weights_dir=weights_dir)
    try:
        plain = await pool.finish(noise(), REQUEST, reseeds=0)
        assert plain == finished(noise())
        assert runtimes_loaded() == [False]
        request = a_request(prompt="a red picture", width_px=192, height_px=128, upscale=2)
        judged = await pool.finish(coloured("red"), request, reseeds=0, alignment_judge="helio-clip")
        assert judged == judged_with(
            Tools(weights_dir), coloured("red"), prompt="a red picture", width_px=192, height_px=128, upscale=2
        )
        assert runtimes_loaded() == [True]
    finally:
        await pool.close()


async def test_a_judge_that_is_expected_is_loaded_before_the_first_picture(weights_dir: Path) -> None:
    pool = PostProcessPool(policy=POLICY, weights_dir=weights_dir, expected_judges={"helio-clip", "lost"})
    try:
        await pool.warm_up()
        async with asyncio.timeout(20):
            while not all(runtimes_loaded()):
                await asyncio.sleep(0.05)
        picture = await pool.finish(coloured("red"), a_request(width_px=96, height_px=64), reseeds=0)
        assert isinstance(picture, FinishedPicture)
        assert (picture.alignment, len(picture.problems)) == (None, 1), (
            "it is not used unasked, and what is lost is told"
        )
    finally:
        await pool.close()


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
