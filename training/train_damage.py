"""Train the network that tells broken pictures from sound ones: `python -m training.train_damage`, about five minutes.

Sound pictures of several kinds (painted scenes at two sizes and by style, photo-like textures, what the built-in models
draw), and each spoiled in every way that `damage.py` names. Every kind is held against its own usual, as the gate holds
a picture against its model's, so that the network learns what damage looks like and not what landscapes do.

Writes `src/heliograph/data/damage.json`: the network, and for each built-in model what is usual of its revision, so
that its pictures are judged from the first one on. numpy and onnxruntime are enough.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heliograph.quality.damage import SOUND, read_network
from heliograph.quality.history import History, LearningPolicy, learned
from heliograph.quality.signals import SIGNALS, signals
from training.cards import WEIGHTS
from training.damage import DAMAGES, KINDS, Picture
from training.exported import TextToImageGraphs
from training.painting import paint
from training.retrieval import distinct_scenes, full_caption
from training.scenes import STYLES
from training.textures import photo_like

OUT = Path(__file__).parents[1] / "src" / "heliograph" / "data" / "damage.json"
MODELS = ("helio-base", "helio-turbo", "helio-base-int8")
PAINTED, DRAWN, PHOTOS = 360, 200, 180
SCENES_FIRST = 5_000_000
HIDDEN, BATCH, STEPS = 48, 512, 6_000
SOUND_WEIGHT = 6
"""A sound picture is looked at so many times as often as each way of spoiling it."""

Floats = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.train_damage", description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    rng = np.random.default_rng(2026)
    drawn = {name: draw(name, number) for number, name in enumerate(MODELS)}
    kinds = {**painted(), **drawn, "photo-like": [photo_like(rng) for _ in range(PHOTOS)]}
    sound = {name: measured(pictures) for name, pictures in with_progress(kinds, "measuring")}
    least_scales = 0.25 * np.median([values.std(axis=0) for values in sound.values()], axis=0) + 1e-3
    classes = (SOUND, *sorted(set(KINDS.values())))
    inputs: list[Floats] = []
    answers: list[int] = []
    for name, pictures in with_progress(kinds, "spoiling"):
        medians = np.median(sound[name], axis=0)
        scales = np.maximum(1.4826 * np.median(np.abs(sound[name] - medians), axis=0), least_scales)
        for label, found in [(SOUND, sound[name])] * SOUND_WEIGHT + spoiled(pictures, rng):
            inputs.append(np.clip((found - medians) / scales, -8, 8) / 2)
            answers += [classes.index(label)] * len(found)
    layers = trained(np.concatenate(inputs), np.array(answers), len(classes), rng)
    names = ("hidden_weights", "hidden_bias", "class_weights", "class_bias")
    document = {
        "signals": list(SIGNALS),
        "classes": list(classes),
        "least_scales": np.round(least_scales, 5).tolist(),
        **{name: np.round(layer, 4).tolist() for name, layer in zip(names, layers, strict=True)},
    }
    document["usual"] = {name: usual_of(name, sound[name], document) for name in MODELS}
    options.out.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"wrote {options.out}")


def draw(name: str, number: int) -> list[Picture]:
    """What a built-in model makes of captions, at its sizes and with few, the usual and many steps."""
    model = TextToImageGraphs(WEIGHTS / name)
    rng = random.Random(number)
    captions = [full_caption(scene, rng) for scene in distinct_scenes(SCENES_FIRST + 100_000 * (number + 1), DRAWN)]
    usual = model.card["default_steps"]
    pictures: list[Picture] = []
    for k, caption in enumerate(captions):
        size = ((128, 128), (128, 128), (160, 96), (96, 160))[k % 4]
        steps = (usual, usual, max(usual // 2, 1), min(2 * usual, 20))[(k // 4) % 4]
        pictures.append(model.generate([caption], [700_000 + k], size, steps=steps)[0])
    return pictures


def painted() -> dict[str, list[Picture]]:
    """Scenes as the models saw them, at twice that size, and one kind for each style."""
    scenes = distinct_scenes(SCENES_FIRST, PAINTED)
    paintings = [paint(scene) for scene in scenes]
    kinds = {
        "painted": [each.picture() for each in paintings[::2]],
        "painted large": [p.large for p in paintings[1::4]],
    }
    for style in STYLES:
        kinds[f"painted {style}"] = [
            painting.picture() for scene, painting in zip(scenes, paintings, strict=True) if scene.style == style
        ]
    return kinds


def measured(pictures: Sequence[Picture]) -> Floats:
    """(count, signals) of pictures that are all large enough."""
    return np.array([signals(np.ascontiguousarray(picture)) for picture in pictures], np.float64)


def spoiled(pictures: Sequence[Picture], rng: np.random.Generator) -> list[tuple[str, Floats]]:
    """For every damage that the network learns: its class and the signals of every picture with that damage."""
    return [(label, measured([DAMAGES[name](picture, rng) for picture in pictures])) for name, label in KINDS.items()]


def trained(inputs: Floats, answers: NDArray[np.int64], classes: int, rng: np.random.Generator) -> list[Floats]:
    """Two layers by Adam on the cross entropy, with a little noise on the inputs and a little weight decay."""
    shapes = ((inputs.shape[1], HIDDEN), (HIDDEN,), (HIDDEN, classes), (classes,))
    layers = [rng.normal(0, 0.3, shape) if len(shape) == 2 else np.zeros(shape) for shape in shapes]
    firsts, seconds = [np.zeros_like(each) for each in layers], [np.zeros_like(each) for each in layers]
    for step in range(1, STEPS + 1):
        chosen = rng.integers(0, len(inputs), BATCH)
        x = inputs[chosen] + rng.normal(0, 0.1, (BATCH, inputs.shape[1]))
        hidden = np.tanh(x @ layers[0] + layers[1])
        logits = hidden @ layers[2] + layers[3]
        shares = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        shares[np.arange(BATCH), answers[chosen]] -= 1
        shares /= BATCH
        back = (shares @ layers[2].T) * (1 - hidden**2)
        slopes = (x.T @ back + 1e-4 * layers[0], back.sum(0), hidden.T @ shares + 1e-4 * layers[2], shares.sum(0))
        for k, slope in enumerate(slopes):
            firsts[k] = 0.9 * firsts[k] + 0.1 * slope
            seconds[k] = 0.999 * seconds[k] + 0.001 * slope**2
            unbiased = firsts[k] / (1 - 0.9**step), seconds[k] / (1 - 0.999**step)
            layers[k] = layers[k] - 3e-3 * (1 - step / STEPS) * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    return layers


def usual_of(name: str, found: Floats, document: dict[str, object]) -> dict[str, object]:
    """What is usual of a built-in model's revision, as the gate would learn it from these pictures."""
    history = History(revision="", signals=tuple(tuple(row) for row in found.tolist()))
    baseline = learned(history, read_network(document), LearningPolicy())
    card = json.loads((WEIGHTS / name / "model.json").read_text(encoding="utf-8"))
    return {
        "revision": card["revision"],
        "pictures": baseline.pictures,
        "medians": [round(value, 4) for value in baseline.usual.medians],
        "scales": [round(value, 4) for value in baseline.usual.scales],
        "limit": baseline.usual.limit,
    }


def with_progress(kinds: dict[str, list[Picture]], doing: str) -> Iterator[tuple[str, list[Picture]]]:
    """The kinds, with a line on stderr as each one is taken up."""
    started_s = time.monotonic()
    for number, (name, pictures) in enumerate(kinds.items(), start=1):
        print(f"{doing} {number}/{len(kinds)} {name}, {time.monotonic() - started_s:.0f} s", file=sys.stderr)
        yield name, pictures


if __name__ == "__main__":
    main()
