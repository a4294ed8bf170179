"""Stage 8: does the picture show what the prompt says? `python -m training.evaluate --work DIR [--count N]`.

Prompts that name time, terrain, object, colour and style in fixed words are drawn; the judge says what it sees. The
result, with chance levels and the judge's own accuracy beside it, goes to WORK/evaluation.json and from there into the
exported card.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.captions import SYNONYMS
from training.dataset import Latents
from training.judge import Judge, accuracy, load_judge
from training.models import DEFAULT_GUIDANCE, DEFAULT_STEPS, TextToImage, load_models
from training.progress import StageLog, stage_parser, write_whole
from training.scenes import ATTRIBUTES, COLOURED_OBJECTS, HELD_OUT, Scene, sample_scene

_BATCH = 16
_ASKED = ("time", "terrain", "object", "colour", "style")


def prompt_for(scene: Scene) -> str:
    """The scene's time, terrain, object, colour and style in the first of their synonyms."""
    first = {name: SYNONYMS[name][getattr(scene, name)][0] for name in ("time", "terrain", "style", "object")}
    colour = f"{scene.colour} " if scene.object in COLOURED_OBJECTS else ""
    return f"a {colour}{first['object']} near {first['terrain']} {first['time']}, {first['style']}"


def random_scenes(count: int) -> list[Scene]:
    """Scenes with an object, evenly spread over times and styles, none held out."""
    rng = random.Random(5)
    scenes: list[Scene] = []
    while len(scenes) < count:
        scene = sample_scene(rng, len(scenes))
        if scene.object != "none":
            scenes.append(replace(scene, style=rng.choice(ATTRIBUTES["style"])))
    return scenes


def held_out_scenes(count: int) -> list[Scene]:
    """Scenes of the combinations training never showed, in flat style."""
    rng = random.Random(6)
    scenes: list[Scene] = []
    for k in range(count):
        base = replace(sample_scene(rng, k), style="flat")
        if HELD_OUT[k % len(HELD_OUT)]["object"] == "boat":
            base = replace(base, terrain="sea")
        scenes.append(replace(base, **HELD_OUT[k % len(HELD_OUT)]))
    return scenes


def draw(models: TextToImage, scenes: list[Scene], guidance: float) -> Tensor:
    """(count, 8, 16, 16) latents, scene number k from seed k."""
    parts: list[Tensor] = []
    for start in range(0, len(scenes), _BATCH):
        prompts = [prompt_for(scene) for scene in scenes[start : start + _BATCH]]
        seeds = list(range(start, start + len(prompts)))
        parts.append(models.sample_latents(prompts, seeds, "square", DEFAULT_STEPS, guidance))
    return torch.cat(parts)


@torch.no_grad()
def adherence(judge: Judge, latents: Tensor, scenes: list[Scene]) -> dict[str, float]:
    """Share of pictures in which the judge sees what was asked, by attribute."""
    logits = judge(latents)
    shares: dict[str, float] = {}
    for name in _ASKED:
        rows = [k for k, scene in enumerate(scenes) if name != "colour" or scene.object in COLOURED_OBJECTS]
        wanted = torch.tensor([ATTRIBUTES[name].index(getattr(scenes[k], name)) for k in rows])
        shares[name] = round((logits[name][rows].argmax(-1) == wanted).float().mean().item(), 3)
    return shares


def main() -> None:
    """Measure and record."""
    parser = stage_parser(__doc__)
    parser.add_argument("--count", type=int, default=192)
    parser.add_argument("--guidance", type=float, default=DEFAULT_GUIDANCE)
    options = parser.parse_args()
    work: Path = options.work
    torch.set_num_threads(1)
    log = StageLog(work, "evaluate")
    models, judge = load_models(work), load_judge(work)
    scenes, unseen = random_scenes(options.count), held_out_scenes(options.count // 4)
    result: dict[str, Any] = {
        "adherence": adherence(judge, draw(models, scenes, options.guidance), scenes),
        "adherence_held_out_combinations": adherence(judge, draw(models, unseen, options.guidance), unseen),
        "judge_accuracy_on_rendered": accuracy(judge, Latents(work)),
        "chance": {name: round(1 / len(ATTRIBUTES[name]), 2) for name in _ASKED},
        "adherence_prompts": options.count,
        "adherence_samples_seen": models.samples_seen,
    }
    text = json.dumps(result, indent=2)
    log.write(text)
    write_whole(work / "evaluation.json", lambda file: file.write(text.encode()) and None)


if __name__ == "__main__":
    main()
