"""What it costs to finish a picture: encoded, judged against its prompt, enlarged; and the memory that takes.

`python -m benchmarks.finishing`. CPU time of one thread, medians over one picture of noise on a gradient, which
compresses no better than real ones. Judging is measured with a prompt it has not met and with one it has, as a batch of
pictures or a retry brings it. The baseline of each is the same picture encoded and nothing else. Tools whose weights
are not in this build are left out, and said so.
"""

import time
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

import numpy as np

from benchmarks.report import Figure, median, run_alone
from heliograph.app import WEIGHTS_DIR
from heliograph.domain.ids import ModelId
from heliograph.domain.pictures import RawImage
from heliograph.domain.request import GenerationRequest, OutputFormat, Quality
from heliograph.postprocess import finish_picture
from heliograph.postprocess_tools import Tools
from heliograph.quality.gates import GatePolicy

SIDE_PX = 128
PROMPT = "a red boat on the sea at sunset, cloudy sky, watercolor painting"
JUDGE = "helio-clip"


def measure(is_quick: bool) -> Iterable[Figure]:
    rounds = 5 if is_quick else 40
    tools, raw, numbers = Tools(WEIGHTS_DIR), _picture(), count()
    alone_mb = _resident_mb()

    def cpu_ms(judge: str | None = None, *, prompt: Callable[[], str] = lambda: PROMPT, upscale: int = 1) -> float:
        def finish() -> None:
            request = _request(prompt=prompt(), upscale=upscale)
            finish_picture(raw, request, reseeds=0, policy=GatePolicy(), tools=tools, alignment_judge=judge)

        finish()
        return median([_cpu_ms(finish) for _ in range(rounds)])

    plain_ms = cpu_ms()
    yield Figure(name=f"encoded as PNG, {SIDE_PX} x {SIDE_PX}", value=plain_ms, unit="ms CPU")
    if tools.expect(JUDGE):
        new_ms = cpu_ms(JUDGE, prompt=lambda: f"{PROMPT}, number {next(numbers)}")
        baseline = {"baseline": plain_ms, "baseline_name": "encoded"}
        yield Figure(name="and judged, a new prompt", value=new_ms, unit="ms CPU", **baseline)
        yield Figure(name="and judged, a known prompt", value=cpu_ms(JUDGE), unit="ms CPU", **baseline)
        yield Figure(name="memory with the judge", value=_resident_mb(), unit="MB", baseline=alone_mb)
    if tools.upscaler_factor() is not None:
        for factor in (2, 4):
            name = f"enlarged to {SIDE_PX * factor} x {SIDE_PX * factor} and encoded"
            larger_ms = cpu_ms(upscale=factor)
            yield Figure(name=name, value=larger_ms, unit="ms CPU", baseline=plain_ms, baseline_name="encoded")
        large = np.tile(np.frombuffer(raw.rgb, np.uint8).reshape(SIDE_PX, SIDE_PX, 3), (8, 8, 1))
        tools.enlarge(large, passes=1)
        yield Figure(name="memory after enlarging 1024 to 2048", value=_resident_mb(), unit="MB", baseline=alone_mb)
    for problem in tools.take_problems():
        print(f"left out: {problem}")


def _picture() -> RawImage:
    rows, columns = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    smooth = np.stack([128 + 80 * np.sin(columns / 17 + rows / 29), 100 + 60 * np.cos(rows / 11), rows * 1.5], axis=-1)
    noisy = smooth + np.random.default_rng(1).normal(0, 4, smooth.shape)
    rgb = np.clip(noisy, 0, 255).astype(np.uint8).tobytes()
    return RawImage(width_px=SIDE_PX, height_px=SIDE_PX, seed=1, rgb=rgb)


def _request(*, prompt: str, upscale: int) -> GenerationRequest:
    return GenerationRequest(
        model_id=ModelId("helio-base"),
        prompt=prompt,
        raw_prompt=prompt,
        negative_prompt="",
        width_px=SIDE_PX * upscale,
        height_px=SIDE_PX * upscale,
        steps=8,
        guidance=3.5,
        seed=1,
        image_count=1,
        quality=Quality.STANDARD,
        style=None,
        output_format=OutputFormat.PNG,
        output_quality=None,
        prompt_tokens=0,
        adjustments=(),
        upscale=upscale,
    )


def _cpu_ms(work: Callable[[], None]) -> float:
    started_s = time.process_time()
    work()
    return 1000 * (time.process_time() - started_s)


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


if __name__ == "__main__":
    run_alone("finishing", __doc__, measure)
