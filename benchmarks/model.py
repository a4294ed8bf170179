"""Does the built-in family keep its promises? Adherence, judge, unseen combinations, times, determinism, sizes.

`python -m benchmarks.model [--quick] [--json OUT]` prints the table: helio-base, helio-turbo and helio-base-int8 draw
400 held-out prompts each and helio-clip says what it sees; helio-clip itself is measured on freshly painted pictures.
`python -m benchmarks.model --prompts FILE.txt --grid OUT.png [--model NAME] [--upscale]` draws any prompts, one a line.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from training.cards import WEIGHTS
from training.coverage import claims, rivals
from training.exported import (
    DualEncoderGraphs,
    Exported,
    Floats,
    Pixels,
    TextToImageGraphs,
    UpscalerGraph,
    is_deterministic,
)
from training.painting import paint
from training.retrieval import MEASURING_FIRST, distinct_scenes, full_caption
from training.scenes import HELD_OUT, Scene

from benchmarks.model_grid import PROMPTS, Drawing, write_grid
from benchmarks.model_prompts import (
    FIRST_PICTURE_SEED,
    JUDGED,
    SEED,
    HeldOutPrompt,
    combination_of,
    held_out_prompts,
    seen_counterparts,
    unseen_prompts,
)
from benchmarks.report import Bar, Figure, as_json, median, print_table

BASE, TURBO, INT8, UPSCALE, CLIP = "helio-base", "helio-turbo", "helio-base-int8", "helio-upscale", "helio-clip"
BARS = {"time": 95.0, "style": 90.0, "terrain": 90.0, "object": 70.0}
_BATCH = 8
_REPORT_EVERY_S = 5.0
_PSNR_PICTURES = 64
_COVERAGE_PICTURES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much is measured."""

    prompts: int
    unseen: int
    pictures: int
    runs: int


WHOLE = Counts(prompts=400, unseen=120, pictures=1_000, runs=15)
QUICK = Counts(prompts=24, unseen=12, pictures=60, runs=3)


def with_time_left(items: Sequence[Any], doing: str) -> Iterator[Any]:
    """The items; every few seconds a line on stderr says how far it is and how long it will take."""
    started_s = reported_s = time.monotonic()
    for done, item in enumerate(items):
        now_s = time.monotonic()
        if done and now_s - reported_s > _REPORT_EVERY_S:
            left_s = (now_s - started_s) / done * (len(items) - done)
            print(f"{doing}: {done}/{len(items)}, {left_s:.0f} s left", file=sys.stderr, flush=True)
            reported_s = now_s
        yield item


def batches(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + _BATCH] for start in range(0, len(items), _BATCH)]


def draw(model: TextToImageGraphs, prompts: Sequence[str], first_seed: int, doing: str) -> Pixels:
    """(count, 128, 128, 3): prompt number k from seed `first_seed` + k, with the model's default steps."""
    numbered = list(enumerate(prompts, start=first_seed))
    return np.concatenate(
        [
            model.generate([prompt for _, prompt in part], [seed for seed, _ in part])
            for part in with_time_left(batches(numbered), doing)
        ]
    )


class Judge:
    """helio-clip as a judge: of all values of an attribute, which one, said in a few ways, fits the picture best?"""

    def __init__(self, clip: DualEncoderGraphs) -> None:
        self.clip = clip

    def verdicts(self, prompts: Sequence[HeldOutPrompt], pictures: Pixels, doing: str) -> list[dict[str, bool]]:
        """For every picture, by attribute that its prompt asks for: does it show what was asked?"""
        found: list[dict[str, bool]] = []
        for prompt, picture in with_time_left(list(zip(prompts, pictures, strict=True)), f"judging {doing}"):
            vector = self.clip.pictures(picture[None])[0]
            found.append({name: self._seen(prompt, name, vector) == value for name, value in prompt.wanted.items()})
        return found

    def _seen(self, prompt: HeldOutPrompt, attribute: str, vector: Floats) -> str:
        fits = {
            value: float((self.clip.texts(texts) @ vector).mean())
            for value, texts in prompt.variants(attribute).items()
        }
        return max(fits, key=fits.__getitem__)

    def doubted(self, prompts: Sequence[HeldOutPrompt], pictures: Pixels) -> float:
        """Per cent of the prompts' phrases that the coverage check would report as not shown."""
        facts = self.clip.card["calibration"]["coverage"]
        doubts: list[bool] = []
        for prompt, picture in with_time_left(list(zip(prompts, pictures, strict=True)), "checking coverage"):
            vector = self.clip.pictures(picture[None])[0]
            named = claims(prompt.text, facts["phrases"])
            own = float(self.clip.texts([prompt.text])[0] @ vector)
            for claim in named:
                others = list(rivals(prompt.text, claim, named, facts["phrases"]).values())
                gap = float((self.clip.texts(others) @ vector).max()) - own
                doubts.append(gap > facts["margin"])
        return 100 * sum(doubts) / len(doubts)

    def alignments(self, prompts: Sequence[HeldOutPrompt], pictures: Pixels) -> list[float]:
        """The calibrated score of each picture with its prompt, 0 to 1."""
        texts = self.clip.texts([prompt.text for prompt in prompts])
        vectors = np.concatenate([self.clip.pictures(part) for part in batches(pictures)])
        return [self.clip.alignment(float(a @ b)) for a, b in zip(vectors, texts, strict=True)]


def adherence(judge: Judge, weights: Path, name: str, count: int) -> tuple[list[Figure], dict[str, float], Pixels]:
    """Figures, shares by attribute and pictures of one model on the held-out prompts."""
    prompts = held_out_prompts(count)
    pictures = draw(TextToImageGraphs(weights / name), [p.text for p in prompts], FIRST_PICTURE_SEED, f"drawing {name}")
    shares = shares_of(judge.verdicts(prompts, pictures, name))
    bars = {} if name == INT8 else BARS
    figures = [
        Figure(
            name=f"{name}: {attribute} as asked",
            value=share,
            unit="%",
            bar=Bar(limit=bars[attribute], is_floor=True) if attribute in bars else None,
        )
        for attribute, share in shares.items()
    ]
    scores = judge.alignments(prompts, pictures)
    low = judge.clip.card["calibration"]["alignment"]["low_threshold"]
    share_low = 100 * sum(score < low for score in scores) / len(scores)
    figures.append(Figure(name=f"{name}: alignment score, median", value=100 * median(scores), unit="%"))
    figures.append(Figure(name=f"{name}: pictures flagged as badly aligned", value=share_low, unit="%"))
    doubted = judge.doubted(prompts[:_COVERAGE_PICTURES], pictures[:_COVERAGE_PICTURES])
    figures.append(Figure(name=f"{name}: phrases reported as not shown", value=doubted, unit="%"))
    return figures, shares, pictures


def shares_of(verdicts: Sequence[dict[str, bool]]) -> dict[str, float]:
    """Per cent by attribute, of the pictures that were asked for one."""
    found = {name: [verdict[name] for verdict in verdicts if name in verdict] for name in JUDGED}
    return {name: 100 * sum(seen) / len(seen) for name, seen in found.items() if seen}


def composition(judge: Judge, weights: Path, name: str, count: int) -> tuple[list[Figure], float]:
    """Combinations never shown in training beside the same prompts with one word changed; the gap in points.

    What counts are the two attributes that make the combination: castle and yellow, windmill and desert.
    """
    model = TextToImageGraphs(weights / name)
    unseen = unseen_prompts(count)
    both: list[float] = []
    figures: list[Figure] = []
    for kind, prompts in (("unseen", unseen), ("seen", seen_counterparts(unseen))):
        pictures = draw(model, [p.text for p in prompts], FIRST_PICTURE_SEED, f"drawing {kind} combinations")
        verdicts = judge.verdicts(prompts, pictures, f"{kind} combinations")
        right = [verdict[part] for verdict, one in zip(verdicts, unseen, strict=True) for part in combination_of(one)]
        both.append(100 * sum(right) / len(right))
        detail = ", ".join(f"{attribute} {share:.0f}" for attribute, share in shares_of(verdicts).items())
        figures.append(Figure(name=f"{name}: {kind} combinations ({detail})", value=both[-1], unit="%"))
        for combination in HELD_OUT:
            some = [v for v, one in zip(verdicts, unseen, strict=True) if combination_of(one) == combination]
            share = (
                100 * sum(verdict[part] for verdict in some for part in combination) / (len(some) * len(combination))
            )
            what = " ".join(combination.values())
            other = "" if kind == "unseen" else " with something else"
            figures.append(Figure(name=f"{name}: {what}{other}", value=share, unit="%"))
    gap = both[1] - both[0]
    figures.append(Figure(name=f"{name}: unseen below seen", value=gap, unit="points", bar=Bar(limit=10)))
    return figures, gap


def judge_itself(judge: Judge, counts: Counts) -> list[Figure]:
    """helio-clip on pictures painted for this purpose: retrieval, AUC, attributes, unseen combinations."""
    clip = judge.clip
    scenes = distinct_scenes(MEASURING_FIRST, counts.pictures)
    vectors = np.concatenate([clip.pictures(_painted(part)) for part in with_time_left(batches(scenes), "painting")])
    rng = random.Random(SEED)
    texts = np.concatenate([clip.texts([full_caption(scene, rng)]) for scene in with_time_left(scenes, "reading")])
    cosines = vectors @ texts.T
    right = np.arange(len(scenes))
    matched, shuffled = np.diag(cosines), np.diag(np.roll(cosines, 1, axis=1))
    auc = float((matched[:, None] > shuffled[None]).mean())
    floor = Bar(limit=80, is_floor=True)
    of = f"1 in {len(scenes)}"
    return [
        Figure(name=f"judge: picture to text, {of}", value=100 * float((cosines.argmax(1) == right).mean()), unit="%",
               bar=floor),
        Figure(name=f"judge: text to picture, {of}", value=100 * float((cosines.argmax(0) == right).mean()), unit="%",
               bar=floor),
        Figure(name="judge: matched against shuffled, AUC", value=auc, unit="", bar=Bar(limit=0.995, is_floor=True)),
        *_judge_by_attribute(judge, counts),
    ]  # fmt: skip


def _judge_by_attribute(judge: Judge, counts: Counts) -> Iterable[Figure]:
    """What the judge sees in painted pictures of the very prompts that models are measured on."""
    for kind, prompts in (("", held_out_prompts(counts.prompts)), (" unseen", unseen_prompts(counts.unseen))):
        rng = random.Random(SEED + 3)
        pictures = np.concatenate(
            [_painted([_scene_of(prompt, rng)]) for prompt in with_time_left(prompts, "painting")]
        )
        verdicts = judge.verdicts(prompts, pictures, f"painted{kind}")
        for attribute, share in shares_of(verdicts).items():
            yield Figure(name=f"judge: painted{kind} pictures, {attribute} recognised", value=share, unit="%")
        if kind:
            right = [v[part] for v, one in zip(verdicts, prompts, strict=True) for part in combination_of(one)]
            share = 100 * sum(right) / len(right)
            yield Figure(name="judge: painted unseen combinations recognised", value=share, unit="%")


def _scene_of(prompt: HeldOutPrompt, rng: random.Random) -> Scene:
    free = {"celestial": "none", "colour": "red", "position": "center", "weather": "clear", "object": "none"}
    return Scene(seed=rng.getrandbits(32), **{**free, **prompt.wanted})


def _painted(scenes: Sequence[Scene]) -> Pixels:
    return np.stack([paint(scene, "square").picture() for scene in scenes])


def times(weights: Path, counts: Counts) -> Iterable[Figure]:
    """Medians on one thread, interleaved so that a busy machine disturbs all alike; the baseline is helio-base."""
    base, turbo = TextToImageGraphs(weights / BASE), TextToImageGraphs(weights / TURBO)
    int8, upscaler = TextToImageGraphs(weights / INT8), UpscalerGraph(weights / UPSCALE)
    clip = DualEncoderGraphs(weights / CLIP)
    picture = base.generate(["mountains"], [1])
    runs: dict[str, tuple[Callable[[], object], float | None]] = {
        "helio-base, 8 steps": (lambda: base.generate(["mountains"], [1], steps=8), 120),
        "helio-turbo, 2 steps": (lambda: turbo.generate(["mountains"], [1], steps=2), 40),
        "helio-turbo, 1 step": (lambda: turbo.generate(["mountains"], [1], steps=1), None),
        "helio-base-int8, 8 steps": (lambda: int8.generate(["mountains"], [1], steps=8), None),
        "helio-upscale to 256x256": (lambda: upscaler.enlarge(picture), 60),
        "helio-clip, one picture": (lambda: clip.pictures(picture), None),
    }
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in with_time_left(range(counts.runs), "timing"):
        for name, (run, _) in runs.items():
            started_s = time.perf_counter()
            run()
            found[name].append((time.perf_counter() - started_s) * 1000)
    baseline = median(found["helio-base, 8 steps"])
    for name, (_, limit) in runs.items():
        yield Figure(
            name=f"{name}, 1 thread", value=median(found[name]), unit="ms", baseline=baseline, baseline_name="base",
            bar=None if limit is None else Bar(limit=limit),
        )  # fmt: skip


def determinism(weights: Path) -> Iterable[Figure]:
    """1 where a model gives the same bits over runs, threads and batch mates."""
    prompts, seeds = list(PROMPTS[:4]), [1, 2, 3, 4]
    for name in (BASE, TURBO, INT8):
        images = {threads: TextToImageGraphs(weights / name, threads) for threads in (1, 2)}
        is_same = is_deterministic(
            lambda threads, rows, images=images: images[threads].generate(
                [prompts[k] for k in rows], [seeds[k] for k in rows]
            )
        )
        yield Figure(name=f"{name}: same bits", value=float(is_same), unit="", bar=Bar(limit=1, is_floor=True))
    pictures = TextToImageGraphs(weights / BASE).generate(prompts, seeds)
    upscalers = {threads: UpscalerGraph(weights / UPSCALE, threads) for threads in (1, 2)}
    is_same = is_deterministic(lambda threads, rows: upscalers[threads].enlarge(pictures[rows]))
    yield Figure(name=f"{UPSCALE}: same bits", value=float(is_same), unit="", bar=Bar(limit=1, is_floor=True))
    clips = {threads: DualEncoderGraphs(weights / CLIP, threads) for threads in (1, 2)}
    is_same = is_deterministic(lambda threads, rows: clips[threads].pictures(pictures[rows]))
    yield Figure(name=f"{CLIP}: same bits", value=float(is_same), unit="", bar=Bar(limit=1, is_floor=True))


def sizes(weights: Path) -> Iterable[Figure]:
    """What each folder holds, and everything together."""
    total = 0
    for folder in sorted(path for path in weights.iterdir() if path.is_dir()):
        Exported(folder).check_files()
        size = sum(path.stat().st_size for path in folder.iterdir())
        total += size
        yield Figure(name=f"{folder.name}: size", value=size / 1e6, unit="MB")
    yield Figure(name="all weights", value=total / 1e6, unit="MB", bar=Bar(limit=30))


def psnr_db(pictures: Pixels, wanted: Pixels) -> float:
    """Mean over pictures; equal ones count as 60 dB."""
    errors = ((pictures.astype(np.float64) - wanted) ** 2).mean((1, 2, 3))
    return float(np.minimum(60, 10 * np.log10(255**2 / np.maximum(errors, 1e-9))).mean())


def measure(weights: Path, counts: Counts) -> tuple[list[Figure], dict[str, dict[str, Any]]]:
    """The whole table, and per model what its card should say."""
    judge = Judge(DualEncoderGraphs(weights / CLIP))
    figures: list[Figure] = []
    cards: dict[str, dict[str, Any]] = {}
    drawn: dict[str, Pixels] = {}
    for name in (BASE, TURBO, INT8):
        some, shares, drawn[name] = adherence(judge, weights, name, counts.prompts)
        figures += some
        cards[name] = {"adherence": {attribute: round(share / 100, 3) for attribute, share in shares.items()},
                       "adherence_prompts": counts.prompts}  # fmt: skip
    for name in (BASE, TURBO):
        some, gap = composition(judge, weights, name, counts.unseen)
        figures += some
        cards[name]["unseen_combinations_below_seen_points"] = round(gap, 1)
    for name in (TURBO, INT8):
        value = psnr_db(drawn[name][:_PSNR_PICTURES], drawn[BASE][:_PSNR_PICTURES])
        figures.append(Figure(name=f"{name}: likeness to helio-base, PSNR", value=value, unit="dB"))
        cards[name]["psnr_to_helio_base_db"] = round(value, 1)
    figures += judge_itself(judge, counts)
    timed = list(times(weights, counts))
    figures += timed
    for figure in timed:
        cards.setdefault(figure.name.split()[0].rstrip(","), {}).setdefault("one_thread_ms", round(figure.value, 1))
    figures += determinism(weights)
    figures += sizes(weights)
    return figures, cards


def draw_grid(options: argparse.Namespace) -> None:
    """The sheet that `--grid` asks for."""
    lines = options.prompts.read_text().splitlines() if options.prompts else PROMPTS
    prompts = [line.strip() for line in lines if line.strip()]
    weights: Path = options.weights
    model = TextToImageGraphs(weights / options.model)
    upscaler = UpscalerGraph(weights / UPSCALE) if options.upscale else None
    steps = options.steps or model.card["default_steps"]
    width, height = (int(edge) for edge in options.size.split("x"))
    drawings: list[Drawing] = []
    for seed, prompt in with_time_left(list(enumerate(prompts, start=options.first_seed)), "drawing"):
        pixels = model.generate([prompt], [seed], (width, height), steps)
        if upscaler is not None:
            pixels = upscaler.enlarge(pixels)
        drawings.append(Drawing(prompt=prompt, seed=seed, steps=steps, pixels=pixels[0]))
    write_grid(drawings, options.grid)
    print(f"{len(drawings)} pictures by {options.model} in {options.grid}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute: shows that it works, not how well")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures, and what cards should say, here")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="the folder of the models' folders")
    parser.add_argument("--grid", type=Path, metavar="OUT.png", help="draw instead of measuring")
    parser.add_argument("--prompts", type=Path, metavar="FILE.txt", help="prompts of the grid, one a line")
    parser.add_argument("--model", choices=(BASE, TURBO, INT8), default=BASE, help="which model draws the grid")
    parser.add_argument("--steps", type=int, help="default: the model's own")
    parser.add_argument("--first-seed", type=int, default=1, help="of the first prompt; the next has the next")
    parser.add_argument("--size", default="128x128", metavar="WxH", help="multiples of 16; default 128x128")
    parser.add_argument("--upscale", action="store_true", help="enlarge the grid's pictures twice")
    options = parser.parse_args()
    if options.prompts and not options.grid:
        parser.error("--prompts needs --grid")
    if options.grid:
        draw_grid(options)
        return
    counts = QUICK if options.quick else WHOLE
    figures, cards = measure(options.weights, counts)
    print_table("model", figures)
    print(f"Held-out prompts: generator seed {SEED}; picture seeds from {FIRST_PICTURE_SEED}. "
          f"Unseen: {', '.join(' '.join(c.values()) for c in HELD_OUT)}.")  # fmt: skip
    if options.json is not None:
        content = {"is_quick": options.quick, "figures": [as_json(figure) for figure in figures], "cards": cards}
        options.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
