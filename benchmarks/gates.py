"""What the quality gates catch, and how often they cry wolf: `python -m benchmarks.gates [--quick] [--json OUT]`.

helio-base draws held-out prompts; the pictures are spoiled on purpose (`training/damage.py`), shown with somebody
else's prompt, made in another shape, and the weights are rounded, damaged and exchanged. Caught is what is not plainly
accepted. False alarms are sound pictures that are not: once with what is usual for helio-base as the package brings
it, and once as a server learns it from its own first pictures, as it does for every other model. None of the pictures,
their prompts or their seeds was used to train the network that judges them.
"""

import itertools
import random
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from training.cards import WEIGHTS
from training.damage import DAMAGES, Picture
from training.exported import TextToImageGraphs

from benchmarks.model import BASE, CLIP, INT8, TURBO, draw
from benchmarks.model_prompts import held_out_prompts
from benchmarks.report import Bar, Figure, median, run_alone
from heliograph.domain.errors import EngineError
from heliograph.domain.ids import ModelId
from heliograph.domain.pictures import Decision
from heliograph.inference.onnx import OnnxEngine
from heliograph.postprocess_tools import Tools
from heliograph.quality.damage import DamageNetwork, damage
from heliograph.quality.facts import image_facts
from heliograph.quality.gates import GatePolicy, judge
from heliograph.quality.golden import DriftDecision, GoldenPair, drift
from heliograph.quality.history import LEARN_AT, Baseline, History, LearningPolicy, learned
from heliograph.quality.likeness import likeness, perceptual_distance
from heliograph.quality.signals import signals
from heliograph.quality_memory import QualityMemory

SEED_FIRST = 90_000
BARS = {
    **dict.fromkeys(("black", "flat", "pure noise", "blur 2", "blur 4"), 99.0),
    **dict.fromkeys(("JPEG 10", "8x8 blotches", "checkerboard 8"), 95.0),
}
CORRUPTED_FILES = 20
SIDE_PX = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The gates as a server has them for helio-base."""

    tools: Tools
    network: DamageNetwork
    baseline: Baseline

    def lets_pass(self, picture: Picture, prompt: str | None = None, *, size: tuple[int, int]) -> bool:
        """The picture is accepted, without any reason to look at it; its prompt counts where one is given."""
        found = signals(picture)
        judged = partial(
            judge,
            image_facts(picture),
            expected_width_px=size[0],
            expected_height_px=size[1],
            reseeds=0,
            policy=GatePolicy(),
            damage=None if found is None else damage(found, self.network, self.baseline.usual),
        )
        assessment = None if prompt is None else self.tools.assess(picture, prompt, judge=CLIP)
        if assessment is None:
            return judged().decision is Decision.ACCEPT
        low = assessment.low if self.baseline.alignment_min is None else self.baseline.alignment_min
        verdict = judged(alignment=assessment.alignment.score, calibrated_min=min(low, assessment.low))
        return verdict.decision is Decision.ACCEPT


def measure(is_quick: bool) -> Iterable[Figure]:
    count = 60 if is_quick else 400
    prompts = [prompt.text for prompt in held_out_prompts(count + LEARN_AT[0 if is_quick else -1])]
    base = TextToImageGraphs(WEIGHTS / BASE)
    pictures = draw(base, prompts, SEED_FIRST, "drawing sound pictures")
    held, held_prompts = pictures[:count], prompts[:count]
    tools = Tools(WEIGHTS)
    network = tools.damage_network()
    gate = Gate(tools=tools, network=network, baseline=_shipped(base))
    own = Gate(tools=tools, network=network, baseline=_learned(tools, network, pictures[count:], prompts[count:]))
    yield from _sound(held, held_prompts, gate, own)
    yield from _broken(held, gate, own)
    yield from _wrong(held, held_prompts, gate)
    yield from _changed(base, held_prompts[: 24 if is_quick else 100], tools)


def _shipped(base: TextToImageGraphs) -> Baseline:
    """What the package says is usual for helio-base."""
    revision = str(base.card["revision"])
    with tempfile.TemporaryDirectory() as folder:
        found = QualityMemory(Path(folder), revisions={ModelId(BASE): revision}).baseline(ModelId(BASE))
    assert found is not None, "the package knows helio-base: python -m training.train_damage"
    return found


def _learned(tools: Tools, network: DamageNetwork, pictures: Sequence[Picture], prompts: Sequence[str]) -> Baseline:
    """What a server learns from these pictures."""
    found = [tools.assess(picture, prompt, judge=CLIP) for picture, prompt in zip(pictures, prompts, strict=True)]
    history = History(
        revision="",
        signals=tuple(each for each in map(signals, pictures) if each is not None),
        alignments=tuple(each.alignment.score for each in found if each is not None),
    )
    return learned(history, network, LearningPolicy())


def _caught(gate: Gate, pictures: Sequence[Picture]) -> float:
    """Per cent of the pictures that the gate does not plainly accept."""
    passed = [gate.lets_pass(np.ascontiguousarray(each), size=(each.shape[1], each.shape[0])) for each in pictures]
    return 100 * (1 - sum(passed) / len(passed))


def _sound(held: Sequence[Picture], prompts: Sequence[str], gate: Gate, own: Gate) -> Iterable[Figure]:
    size = (SIDE_PX, SIDE_PX)
    for name, each in (("as shipped", gate), ("as learned", own)):
        looks = _caught(each, held)
        passed = [each.lets_pass(picture, prompt, size=size) for picture, prompt in zip(held, prompts, strict=True)]
        yield Figure(name=f"false alarms, looks, {name}", value=looks, unit="%", bar=Bar(limit=1.3))
        every = 100 * (1 - sum(passed) / len(passed))
        yield Figure(name=f"false alarms, looks and prompt, {name}", value=every, unit="%", bar=Bar(limit=2.0))


def _broken(held: Sequence[Picture], gate: Gate, own: Gate) -> Iterable[Figure]:
    rng = np.random.default_rng(1)
    for name, spoil in DAMAGES.items():
        spoiled = [spoil(picture, rng) for picture in held]
        bar = Bar(limit=BARS[name], is_floor=True) if name in BARS else None
        yield Figure(
            name=f"caught: {name}",
            value=_caught(gate, spoiled),
            unit="%",
            baseline=_caught(own, spoiled),
            baseline_name="as learned",
            bar=bar,
        )


def _wrong(held: Sequence[Picture], prompts: Sequence[str], gate: Gate) -> Iterable[Figure]:
    """Not numbers, another shape, another prompt."""
    everything = Bar(limit=100, is_floor=True)
    rng = random.Random(2)
    blocked = 0
    for picture in held:
        values = picture.astype(np.float32) / 255
        values[rng.randrange(SIDE_PX), rng.randrange(SIDE_PX), rng.randrange(3)] = np.nan
        verdict = judge(
            image_facts(values), expected_width_px=SIDE_PX, expected_height_px=SIDE_PX, reseeds=2, policy=GatePolicy()
        )
        blocked += verdict.decision is Decision.BLOCK
    yield Figure(name="caught: one value is not a number", value=100 * blocked / len(held), unit="%", bar=everything)
    passed = [gate.lets_pass(np.ascontiguousarray(each[:96]), size=(SIDE_PX, SIDE_PX)) for each in held]
    share = 100 * (1 - sum(passed) / len(passed))
    yield Figure(name="caught: wrong aspect ratio", value=share, unit="%", bar=everything)
    size, swapped = (SIDE_PX, SIDE_PX), 0
    for position, picture in enumerate(held):
        other = prompts[(position + rng.randrange(1, len(prompts))) % len(prompts)]
        swapped += not gate.lets_pass(picture, other, size=size)
    share = 100 * swapped / len(held)
    yield Figure(name="caught: another's prompt", value=share, unit="%", bar=Bar(limit=95, is_floor=True))


def _changed(base: TextToImageGraphs, prompts: Sequence[str], tools: Tools) -> Iterable[Figure]:
    """Golden pictures of helio-base, and of what is not quite helio-base."""
    golden = draw(base, prompts, SEED_FIRST, "drawing golden pictures")
    again = draw(base, prompts, SEED_FIRST, "drawing them again")
    flips = [_refused_with_flipped_byte(number) for number in range(CORRUPTED_FILES)]
    yield Figure(
        name="refused: a weight file with one byte changed",
        value=100 * sum(flips) / len(flips),
        unit="%",
        bar=Bar(limit=100, is_floor=True),
    )
    others = {
        INT8: draw(TextToImageGraphs(WEIGHTS / INT8), prompts, SEED_FIRST, "drawing with rounded weights"),
        f"{TURBO} in its place": draw(TextToImageGraphs(WEIGHTS / TURBO), prompts, SEED_FIRST, "drawing with turbo"),
        "one damaged tensor, checksum and all": _drawn_with_damaged_weights(prompts),
    }
    unchanged = _pairs(golden, again, prompts, tools)
    is_same = drift(unchanged).decision is DriftDecision.SAME
    yield Figure(
        name="golden: false alarms of the same revision",
        value=0.0 if is_same else 100.0,
        unit="%",
        bar=Bar(limit=0),
    )
    for name, pictures in others.items():
        pairs = _pairs(golden, pictures, prompts, tools)
        found = drift(pairs)
        yield Figure(
            name=f"golden, visibly different: {name}",
            value=100 * found.changed / found.pictures,
            unit="%",
            bar=Bar(limit=95, is_floor=True),
        )
        yield Figure(name=f"golden, distance: {name}", value=median([pair.distance for pair in pairs]), unit="")
        yield Figure(name=f"golden, alignment lost: {name}", value=100 * (found.alignment_drop or 0), unit="points")
    strangers = [perceptual_distance(one, other) for one, other in itertools.pairwise(golden)]
    yield Figure(name="golden, distance of unrelated pictures", value=median(strangers), unit="")


def _pairs(
    before: Sequence[Picture], after: Sequence[Picture], prompts: Sequence[str], tools: Tools
) -> list[GoldenPair]:
    def score(picture: Picture, prompt: str) -> float | None:
        found = tools.assess(picture, prompt, judge=CLIP)
        return None if found is None else found.alignment.score

    return [
        GoldenPair(
            prompt=prompt,
            seed=SEED_FIRST + number,
            distance=likeness(one, other)[1],
            alignment_before=score(one, prompt),
            alignment_after=score(other, prompt),
        )
        for number, (one, other, prompt) in enumerate(zip(before, after, prompts, strict=True))
    ]


def _refused_with_flipped_byte(number: int) -> bool:
    """A copy of helio-base with one byte of one file changed does not load."""
    rng = random.Random(number)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(WEIGHTS / BASE, Path(folder) / BASE))
        file = copy / rng.choice(("transformer.onnx", "decoder.onnx", "text_encoder.onnx"))
        content = bytearray(file.read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(content)
        try:
            OnnxEngine(copy).load()
        except EngineError:
            return True
    return False


def _drawn_with_damaged_weights(prompts: Sequence[str]) -> Sequence[Picture]:
    """What helio-base draws when 4,000 bytes of its transformer are lost, and nobody checks."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(WEIGHTS / BASE, Path(folder) / BASE))
        file = copy / "transformer.onnx"
        content = bytearray(file.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 4_000] = bytes(4_000)
        file.write_bytes(content)
        return draw(TextToImageGraphs(copy), prompts, SEED_FIRST, "drawing with damaged weights")


if __name__ == "__main__":
    run_alone("gates", __doc__, measure)
