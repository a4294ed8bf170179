"""Clips, stage 5: write src/heliograph/weights/helio-motion/. `python -m training.export_motion --work DIR`.

The folder holds the motion network and a list of words; everything that draws the first frame is helio-base's, which
has to be exported first. What helio-base's model.json says of prompts and pictures holds for clips too.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch

from training.animation import FRAMES, FRAMES_PER_SECOND
from training.autoencoder import LATENT_CHANNELS
from training.cards import WEIGHTS, write_card
from training.exported_clips import ClipGraphs
from training.motion import MOTION_STEPS, MotionTransformer
from training.motion_captions import motion_words
from training.motion_models import load_clip_models
from training.onnx_graph import store_part_as_integers
from training.progress import StageLog, stage_parser, write_whole
from training.sample_motion import PROMPTS
from training.text_encoder import CONTEXT_CHANNELS
from training.tokenizer import CONTEXT_LENGTH

BASE, MOTION = "helio-base", "helio-motion"
DOMAIN = (
    "Short clips of the scenery helio-base draws: clouds drift, boats sail, balloons rise or sink, sun and moon move, "
    "windmills turn a little, water and trees stir. Everything else stands still."
)
WEAKNESSES = (
    "The camera never moves, and nothing enters the picture.",
    "Clips are a second and a half long and do not loop.",
    "What does not travel is not drawn: snow does not fall, stars do not twinkle, light does not sweep.",
    "Every seed of a prompt moves alike: the words and the first frame decide.",
    "Balloons rise whatever the words say, and what moves fast bends at its tips.",
)
_SHARED_FACTS = (
    "latent_channels", "downscale", "context_length", "context_channels", "start_token_id", "end_token_id",
    "pad_token_id", "sizes_px", "default_steps", "default_guidance",
)  # fmt: skip
_GOLDEN = (("a red boat on the sea at sunset with the sun, sailing to the left", 1), (PROMPTS[2], 2))
_OPSET = 20


def export_graph(network: MotionTransformer, path: Path) -> None:
    """Trace the network with any number of clips, frames, rows and columns, and store its weights.

    The network's own are float16. Its copy of the autoencoder takes 8 bits: all it does is to carry a picture.
    """
    batch, frames = torch.export.Dim("batch", min=1, max=64), torch.export.Dim("frames", min=2, max=32)
    rows, columns = torch.export.Dim("rows", min=2, max=64), torch.export.Dim("columns", min=2, max=64)
    shapes: tuple[dict[int, Any], ...] = (
        {0: batch, 1: frames, 3: 2 * rows, 4: 2 * columns},
        {0: batch, 2: 2 * rows, 3: 2 * columns},
        {0: batch},
        {0: batch},
        {0: batch},
    )
    example = (
        torch.randn(2, FRAMES - 1, LATENT_CHANNELS, 12, 20),
        torch.randn(2, LATENT_CHANNELS, 12, 20),
        torch.rand(2),
        torch.randn(2, CONTEXT_LENGTH, CONTEXT_CHANNELS),
        torch.randn(2, CONTEXT_CHANNELS),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.eval(),
            example,
            input_names=["latents", "first", "t", "context", "pooled"],
            output_names=["velocity"],
            dynamo=True,
            dynamic_shapes=shapes,
            opset_version=_OPSET,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    model = store_part_as_integers(program.model_proto, "autoencoder.")
    onnx.checker.check_model(model)
    write_whole(path, lambda file: file.write(model.SerializeToString()) and None)


def main() -> None:
    """Export the newest checkpoint."""
    parser = stage_parser(__doc__)
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="the folder of the models' folders")
    options = parser.parse_args()
    work: Path = options.work
    folder: Path = options.output / MOTION
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    log, models = StageLog(work, "export_motion"), load_clip_models(work)
    path = folder / "motion.onnx"
    export_graph(models.network, path)
    log.write(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")
    base: dict[str, Any] = json.loads((folder.parent / BASE / "model.json").read_text())
    base_words = (folder.parent / BASE / base["parts"]["known_words"]).read_text().split()
    words = "".join(f"{word}\n" for word in sorted({*base_words, *motion_words()}))
    write_whole(folder / "known_words.txt", lambda file: file.write(words.encode()) and None)
    parts = {role: f"../{BASE}/{name}" for role, name in base["parts"].items()}
    parts |= {"motion": path.name, "known_words": "known_words.txt"}
    facts = {name: base[name] for name in _SHARED_FACTS} | {
        "frames": FRAMES,
        "frames_per_second": FRAMES_PER_SECOND,
        "motion_steps": MOTION_STEPS,
        "motion_scale": round(models.network.motion_scale.item(), 6),
        "example_prompts": list(PROMPTS),
        "weaknesses": list(WEAKNESSES),
    }
    measured = work / "motion.json"
    training = {
        "samples_seen": models.samples_seen,
        "clips": models.clips,
        **(json.loads(measured.read_text()) if measured.exists() else {}),
    }
    card: dict[str, Any] = {"kind": "text_to_video", "domain": DOMAIN, "parts": parts, "training": training}
    write_card(folder, facts=facts, **card)
    graphs = ClipGraphs(folder)
    facts["golden"] = [
        {
            "prompt": prompt,
            "seed": seed,
            "steps": base["default_steps"],
            "guidance": base["default_guidance"],
            "width_px": 128,
            "height_px": 128,
            "mean_rgb": [round(float(level), 2) for level in clip.mean((0, 1, 2))],
            "moved_levels": round(float(abs(clip.astype(float) - clip[0]).mean()), 2),
        }
        for prompt, seed in _GOLDEN
        for clip in graphs.generate([prompt], [seed])
    ]
    write_card(folder, facts=facts, **card)
    log.write(f"{folder.name}: {models.samples_seen} clips seen")


if __name__ == "__main__":
    main()
