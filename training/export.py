"""Stage 12: write the models that ship in the wheel. `python -m training.export --work DIR [--models NAME ...]`.

Every model gets a folder below src/heliograph/weights with its own graphs and a model.json (`cards.py`); what models
have in common (text encoder, decoder, tokenizer) lies in helio-base's folder alone. README.md, 'Files and tensors', is
the contract of what is written here. Models whose networks have not been trained yet are passed over.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from training.autoencoder import DOWNSCALE, LATENT_CHANNELS, Autoencoder, to_pixels
from training.captions import EVALUATION_PROMPTS, known_words
from training.cards import WEIGHTS, Record, write_card
from training.dual_encoder import EMBEDDING_CHANNELS
from training.exported import TextToImageGraphs
from training.int8 import calibration_inputs, quantise
from training.models import DEFAULT_GUIDANCE, DEFAULT_STEPS, TextToImage, load_models, load_turbo
from training.onnx_graph import Store, export_network, store_as_half, store_as_integers, store_unchanged
from training.progress import StageLog, stage_parser, write_whole
from training.scenes import SIZES
from training.text_encoder import CONTEXT_CHANNELS
from training.tokenizer import CONTEXT_LENGTH
from training.train_dual_encoder import load_dual_encoder
from training.train_upscaler import load_upscaler
from training.upscaler import FACTOR, MARGIN_PX, UpscalerOnPixels

BASE, TURBO, INT8 = "helio-base", "helio-turbo", "helio-base-int8"
UPSCALE, CLIP = "helio-upscale", "helio-clip"
TURBO_STEPS = 2
DOMAIN = (
    "Landscapes and simple scenery (mountains, hills, desert, sea, forest, city) by time of day and weather, "
    "optionally with one object (house, boat, tree, hot air balloon, castle, lighthouse, windmill), "
    "as flat illustration, watercolour, line art or pixel art. Other subjects are ignored."
)
GOLDEN = (
    ("mountains at sunset", "square", 1),
    ("a red house in green hills during the day", "square", 2),
    ("a starry night over the sea", "landscape", 3),
)
"""Prompts whose mean colour is recorded, so that a test can tell the right weights from wrong ones."""
_DRAWING_WEAKNESSES = [
    "Counts and plurals are not understood: two balloons may come out as one, or as something else.",
    "A prompt that names no object sometimes gets one.",
    "Fine detail is soft: thin lines of line art break up, stars and distant windows blur.",
    "Words outside its domain are ignored; the nearest landscape is drawn.",
]
WEAKNESSES: dict[str, list[str]] = {
    BASE: _DRAWING_WEAKNESSES,
    TURBO: ["Softer and less varied than helio-base; small objects suffer most.", *_DRAWING_WEAKNESSES],
    INT8: ["Meant to be worse than helio-base: stray strokes, blocks and objects appear.", *_DRAWING_WEAKNESSES],
    UPSCALE: ["Sharpens edges but invents no detail.", "Made for drawn pictures; photographs come out smeared."],
    CLIP: [
        "Knows the words and subjects of the helio models only; other words hardly change the score.",
        "Stars, moon and sun are confused most often; small clouds pass for a clear sky.",
    ],
}
"""What somebody who chooses the model should know, looked up in grids and in the benchmark."""

_TOKENIZER_PARTS = {"vocabulary": "vocab.json", "merges": "merges.txt", "known_words": "known_words.txt"}
_BASE_PARTS = {
    "text_encoder": "text_encoder.onnx",
    "transformer": "transformer.onnx",
    "decoder": "decoder.onnx",
    "encoder": "encoder.onnx",
    **_TOKENIZER_PARTS,
}


class _Decode(nn.Module):
    def __init__(self, autoencoder: Autoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder

    def forward(self, latents: Tensor) -> Tensor:
        return to_pixels(self.autoencoder.decode(latents))


class _Encode(nn.Module):
    def __init__(self, autoencoder: Autoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder

    def forward(self, rgb: Tensor) -> Tensor:
        return self.autoencoder.encode(rgb.permute(0, 3, 1, 2).float() / 127.5 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Where from and where to; `has_graphs` says that the graphs are there and only cards are to be written."""

    work: Path
    output: Path
    log: StageLog
    has_graphs: bool = False

    def folder(self, name: str) -> Path:
        """The model's folder, made if need be."""
        path = self.output / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def measured(self, file_name: str) -> Record:
        """What an earlier stage measured, or nothing."""
        path = self.work / file_name
        return json.loads(path.read_text()) if path.exists() else {}

    def graph(
        self, network: nn.Module, example: tuple[Tensor, ...], path: Path, inputs: list[str], outputs: list[str],
        grid: int = 0, store: Store = store_as_half,
    ) -> None:  # fmt: skip
        """Write one graph and say how large it is."""
        if self.has_graphs:
            return
        export_network(network, example, path, inputs, outputs, grid, store)
        self.log.write(f"{path.parent.name}/{path.name}: {path.stat().st_size / 1e6:.2f} MB")

    def transformer(self, models: TextToImage, path: Path, store: Store = store_as_half) -> None:
        """Write a diffusion transformer."""
        ids = torch.tensor([models.tokenizer.encode("a red boat on the sea"), models.tokenizer.encode("")])
        with torch.no_grad():
            context, pooled = models.text_encoder(ids)
        example = (torch.randn(2, LATENT_CHANNELS, 12, 20), torch.rand(2), context, pooled)
        self.graph(models.transformer, example, path, ["latents", "t", "context", "pooled"], ["velocity"], 2, store)


def shared(parts: dict[str, str], *own: str) -> dict[str, str]:
    """The parts as seen from a sibling of helio-base that has files of its own for the roles `own`."""
    return {role: path if role in own else f"../{BASE}/{path}" for role, path in parts.items()}


def export_base(to: Export) -> None:
    """Text encoder, transformer, decoder, encoder, tokenizer."""
    models, folder = load_models(to.work), to.folder(BASE)
    ids = torch.tensor([models.tokenizer.encode("a red boat on the sea"), models.tokenizer.encode("")])
    pictures = torch.zeros(2, 12 * DOWNSCALE, 20 * DOWNSCALE, 3, dtype=torch.uint8)
    latents = torch.randn(2, LATENT_CHANNELS, 12, 20)
    to.graph(models.text_encoder, (ids,), folder / "text_encoder.onnx", ["ids"], ["context", "pooled"])
    to.transformer(models, folder / "transformer.onnx")
    to.graph(_Decode(models.autoencoder), (latents,), folder / "decoder.onnx", ["latents"], ["rgb"], 1)
    to.graph(_Encode(models.autoencoder), (pictures,), folder / "encoder.onnx", ["rgb"], ["latents"], DOWNSCALE)
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(to.work / "tokenizer" / name, folder / name)
    words = "".join(f"{word}\n" for word in known_words())
    write_whole(folder / "known_words.txt", lambda file: file.write(words.encode()) and None)
    write_card(
        folder,
        kind="text_to_image",
        domain=DOMAIN,
        parts=_BASE_PARTS,
        facts=text_to_image_facts(BASE, models, DEFAULT_STEPS, DEFAULT_GUIDANCE)
        | {"golden": golden_records(models, DEFAULT_STEPS, DEFAULT_GUIDANCE)},
        training={"samples_seen": models.samples_seen, **reported(to, BASE)},
    )


def export_turbo(to: Export) -> None:
    """The distilled transformer; everything else is helio-base's."""
    models, folder = load_turbo(to.work), to.folder(TURBO)
    to.transformer(models, folder / "transformer.onnx")
    write_card(
        folder,
        kind="text_to_image",
        domain=DOMAIN,
        parts=shared(_BASE_PARTS, "transformer"),
        facts=text_to_image_facts(TURBO, models, TURBO_STEPS, None)
        | {"golden": golden_records(models, TURBO_STEPS, None)},
        training={"samples_seen": models.samples_seen, **reported(to, TURBO)},
    )


def export_int8(to: Export) -> None:
    """helio-base's transformer in 8 bits; its golden colours come from the graph itself."""
    models, folder = load_models(to.work), to.folder(INT8)
    if not to.has_graphs:
        with TemporaryDirectory() as directory:
            source = Path(directory) / "float32.onnx"
            to.transformer(models, source, store_unchanged)
            quantise(source, calibration_inputs(to.folder(BASE)), folder / "transformer.onnx")
    parts = shared(_BASE_PARTS, "transformer")
    facts = text_to_image_facts(INT8, models, DEFAULT_STEPS, DEFAULT_GUIDANCE)
    training = {"samples_seen": models.samples_seen, **reported(to, INT8)}
    write_card(folder, kind="text_to_image", domain=DOMAIN, parts=parts, facts=facts, training=training)
    graphs = TextToImageGraphs(folder)
    golden = [
        _golden(prompt, size, seed, DEFAULT_STEPS, DEFAULT_GUIDANCE, graphs.generate([prompt], [seed], SIZES[size])[0])
        for prompt, size, seed in GOLDEN
    ]
    facts |= {"golden": golden}
    write_card(folder, kind="text_to_image", domain=DOMAIN, parts=parts, facts=facts, training=training)


def export_upscale(to: Export) -> None:
    """The upscaler."""
    upscaler, measured = load_upscaler(to.work)
    folder = to.folder(UPSCALE)
    rgb = torch.zeros(2, 48, 80, 3, dtype=torch.uint8)
    to.graph(UpscalerOnPixels(upscaler), (rgb,), folder / "upscaler.onnx", ["rgb"], ["enlarged"], 2)
    write_card(
        folder,
        kind="upscaler",
        domain="Pictures of the helio models, painted or drawn scenery: crisp edges and flat tones, not photographs.",
        parts={"upscaler": "upscaler.onnx"},
        facts={"factor": FACTOR, "multiple_px": 2, "margin_px": MARGIN_PX, "weaknesses": WEAKNESSES[UPSCALE]},
        training={**measured, **reported(to, UPSCALE)},
    )


def export_clip(to: Export) -> None:
    """Both towers of the dual encoder, with what was calibrated."""
    model, folder = load_dual_encoder(to.work), to.folder(CLIP)
    tokenizer = load_models(to.work).tokenizer
    ids = torch.tensor([tokenizer.encode("a red boat on the sea"), tokenizer.encode("")])
    to.graph(model.image, (torch.randn(2, LATENT_CHANNELS, 12, 20),), folder / "image_tower.onnx",
             ["latents"], ["embedding"], 4, store_as_integers)  # fmt: skip
    to.graph(model.text, (ids,), folder / "text_tower.onnx", ["ids"], ["embedding"], 0, store_as_integers)
    found = to.measured("dual_encoder.json")
    shared_parts = {name: _BASE_PARTS[name] for name in ("encoder", *_TOKENIZER_PARTS)}
    write_card(
        folder,
        kind="dual_encoder",
        domain=f"How well a picture matches a prompt, for: {DOMAIN}",
        parts={"image_tower": "image_tower.onnx", "text_tower": "text_tower.onnx", **shared(shared_parts)},
        facts={
            "embedding_channels": EMBEDDING_CHANNELS,
            "downscale": DOWNSCALE,
            "multiple_px": 2 * DOWNSCALE,
            **tokenizer_facts(tokenizer.start, tokenizer.end),
            "weaknesses": WEAKNESSES[CLIP],
            "calibration": found["calibration"],
        },
        training={**found["measured"], **reported(to, CLIP)},
    )


def tokenizer_facts(start: int, end: int) -> Record:
    """How prompts become ids."""
    return {
        "context_length": CONTEXT_LENGTH,
        "start_token_id": start,
        "end_token_id": end,
        "pad_token_id": end,
    }


def text_to_image_facts(name: str, models: TextToImage, steps: int, guidance: float | None) -> Record:
    """What every text-to-image card says; guidance None: it is baked in."""
    return {
        "latent_channels": LATENT_CHANNELS,
        "downscale": DOWNSCALE,
        "context_channels": CONTEXT_CHANNELS,
        **tokenizer_facts(models.tokenizer.start, models.tokenizer.end),
        "sizes_px": [list(size) for size in SIZES.values()],
        "default_steps": steps,
        "default_guidance": guidance,
        "example_prompts": [prompt for prompt, _ in EVALUATION_PROMPTS],
        "weaknesses": WEAKNESSES[name],
    }


def reported(to: Export, name: str) -> Record:
    """What `python -m benchmarks.model --json WORK/benchmark.json` found about the model."""
    return to.measured("benchmark.json").get("cards", {}).get(name, {})


def golden_records(models: TextToImage, steps: int, guidance: float | None) -> list[Record]:
    """Mean colours of the GOLDEN pictures, computed by the torch networks in float32."""
    records: list[Record] = []
    for prompt, size_name, seed in GOLDEN:
        picture = models.decode(models.sample_latents([prompt], [seed], size_name, steps, guidance))[0].numpy()
        records.append(_golden(prompt, size_name, seed, steps, guidance, picture))
    return records


def _golden(
    prompt: str, size_name: str, seed: int, steps: int, guidance: float | None, picture: np.ndarray[Any, Any]
) -> Record:
    width, height = SIZES[size_name]
    return {
        "prompt": prompt,
        "seed": seed,
        "steps": steps,
        "guidance": guidance,
        "width_px": width,
        "height_px": height,
        "mean_rgb": [round(float(c), 2) for c in picture.mean((0, 1))],
    }


_EXPORTS: dict[str, tuple[str, Callable[[Export], None]]] = {
    BASE: ("transformer.pt", export_base),
    TURBO: ("turbo.pt", export_turbo),
    INT8: ("transformer.pt", export_int8),
    UPSCALE: ("upscaler.pt", export_upscale),
    CLIP: ("dual_encoder.pt", export_clip),
}
"""Each model's checkpoint and how it is written, helio-base first: others share its files."""


def main() -> None:
    """Export the newest checkpoints."""
    parser = stage_parser(__doc__)
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    parser.add_argument("--cards-only", action="store_true", help="leave the graphs, write model.json anew")
    parser.add_argument("--models", nargs="+", choices=list(_EXPORTS), default=list(_EXPORTS))
    options = parser.parse_args()
    work: Path = options.work
    torch.set_num_threads(1)
    to = Export(work=work, output=options.output, log=StageLog(work, "export"), has_graphs=options.cards_only)
    chosen = [name for name in _EXPORTS if name in options.models]
    for number, name in enumerate(chosen, start=1):
        checkpoint, export = _EXPORTS[name]
        if not (work / "checkpoints" / checkpoint).exists():
            to.log.write(f"{name}: not trained yet ({checkpoint} is missing)")
            continue
        export(to)
        to.log.progress(number, len(chosen), 0, "models", name)
    total = sum(path.stat().st_size for path in to.output.rglob("*") if path.is_file())
    to.log.write(f"{to.output}: {total / 1e6:.2f} MB in all")


if __name__ == "__main__":
    main()
