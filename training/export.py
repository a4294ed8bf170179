"""Stage 6: write the ONNX files that ship in the wheel. `python -m training.export --work DIR [--output DIR]`.

Weights are stored as float16 and cast to float32 inside the graph: half the size, and arithmetic that gives the same
bits whatever else is in the batch. README.md, 'Files and tensors', is the contract of what is written here.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from training.autoencoder import DOWNSCALE, LATENT_CHANNELS, Autoencoder, to_pixels
from training.captions import EVALUATION_PROMPTS, known_words
from training.models import DEFAULT_GUIDANCE, DEFAULT_STEPS, TextToImage, load_models
from training.progress import StageLog, stage_parser, write_whole
from training.scenes import SIZES
from training.text_encoder import CONTEXT_CHANNELS
from training.tokenizer import CONTEXT_LENGTH

NAME = "helio-base"
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

_OUTPUT = Path(__file__).resolve().parents[1] / "src" / "heliograph" / "weights" / NAME
_OPSET = 20
_SMALLEST_STORED_AS_HALF = 64
_BATCH_MAX = 256


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


def export_network(
    network: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    grid: int,
) -> None:
    """Trace a network and write it with float16 weights.

    grid: the first input's height and width are dynamic multiples of this many; 0 if it has none.
    """
    shapes: list[dict[int, Any]] = [{0: torch.export.Dim("batch", min=1, max=_BATCH_MAX)} for _ in example]
    if grid:
        rows, columns = torch.export.Dim("rows", min=2, max=256), torch.export.Dim("columns", min=2, max=256)
        first_axis = 1 if example[0].dtype == torch.uint8 else 2
        shapes[0] |= {first_axis: grid * rows, first_axis + 1: grid * columns}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.eval(),
            example,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamo=True,
            dynamic_shapes=tuple(shapes),
            opset_version=_OPSET,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    model = store_as_half(program.model_proto)
    onnx.checker.check_model(model)
    write_whole(path, lambda file: file.write(model.SerializeToString()) and None)


def store_as_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace float32 weights by float16 ones, each followed by a Cast back to float32."""
    graph = model.graph
    casts: list[onnx.NodeProto] = []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.size < _SMALLEST_STORED_AS_HALF:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del graph.value_info[:]
    del graph.metadata_props[:]
    return model


def write_networks(models: TextToImage, output: Path, log: StageLog) -> None:
    """The four .onnx files."""
    ids = torch.tensor([models.tokenizer.encode("a red boat on the sea"), models.tokenizer.encode("")])
    with torch.no_grad():
        context, pooled = models.text_encoder(ids)
    latents, t = torch.randn(2, LATENT_CHANNELS, 12, 20), torch.rand(2)
    pictures = torch.zeros(2, 12 * DOWNSCALE, 20 * DOWNSCALE, 3, dtype=torch.uint8)
    jobs: list[tuple[nn.Module, tuple[Tensor, ...], str, list[str], list[str], int]] = [
        (models.text_encoder, (ids,), "text_encoder", ["ids"], ["context", "pooled"], 0),
        (models.transformer, (latents, t, context, pooled), "transformer",
         ["latents", "t", "context", "pooled"], ["velocity"], 2),
        (_Decode(models.autoencoder), (latents,), "decoder", ["latents"], ["rgb"], 1),
        (_Encode(models.autoencoder), (pictures,), "encoder", ["rgb"], ["latents"], DOWNSCALE),
    ]  # fmt: skip
    for network, example, name, inputs, outputs, grid in jobs:
        path = output / f"{name}.onnx"
        export_network(network, example, path, inputs, outputs, grid)
        log.write(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


def golden_records(models: TextToImage) -> list[dict[str, Any]]:
    """Mean colours of the GOLDEN pictures, computed by the torch networks in float32."""
    records: list[dict[str, Any]] = []
    for prompt, size_name, seed in GOLDEN:
        picture = models.decode(models.sample_latents([prompt], [seed], size_name))[0]
        width, height = SIZES[size_name]
        records.append(
            {
                "prompt": prompt,
                "seed": seed,
                "steps": DEFAULT_STEPS,
                "guidance": DEFAULT_GUIDANCE,
                "width_px": width,
                "height_px": height,
                "mean_rgb": [round(float(c), 2) for c in picture.float().mean((0, 1))],
            }
        )
    return records


def write_card(models: TextToImage, output: Path, measured: dict[str, Any]) -> None:
    """model.json: what the model is, how to run it, what was measured, and the checksum of every file."""
    files = {}
    for path in sorted(output.iterdir()):
        if path.name != "model.json":
            content = path.read_bytes()
            files[path.name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    revision = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:12]
    card = {
        "name": NAME,
        "revision": revision,
        "license": "Apache-2.0",
        "domain": DOMAIN,
        "latent_channels": LATENT_CHANNELS,
        "downscale": DOWNSCALE,
        "context_length": CONTEXT_LENGTH,
        "context_channels": CONTEXT_CHANNELS,
        "start_token_id": models.tokenizer.start,
        "end_token_id": models.tokenizer.end,
        "pad_token_id": models.tokenizer.end,
        "sizes_px": [list(size) for size in SIZES.values()],
        "default_steps": DEFAULT_STEPS,
        "default_guidance": DEFAULT_GUIDANCE,
        "training": {"date": time.strftime("%Y-%m-%d"), "samples_seen": models.samples_seen, **measured},
        "example_prompts": [prompt for prompt, _ in EVALUATION_PROMPTS],
        "golden": golden_records(models),
        "files": files,
    }
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    write_whole(output / "model.json", lambda file: file.write(text.encode()) and None)


def main() -> None:
    """Export the newest checkpoints."""
    parser = stage_parser(__doc__)
    parser.add_argument("--output", type=Path, default=_OUTPUT)
    options = parser.parse_args()
    work: Path = options.work
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    log = StageLog(work, "export")
    models = load_models(work)
    write_networks(models, output, log)
    for name in ("vocab.json", "merges.txt"):
        content = (work / "tokenizer" / name).read_bytes()
        write_whole(output / name, lambda file, content=content: file.write(content) and None)
    words = "".join(f"{word}\n" for word in known_words())
    write_whole(output / "known_words.txt", lambda file: file.write(words.encode()) and None)
    evaluation = work / "evaluation.json"
    write_card(models, output, json.loads(evaluation.read_text()) if evaluation.exists() else {})
    total = sum(path.stat().st_size for path in output.iterdir())
    log.write(f"{output}: {total / 1e6:.2f} MB in all, {models.samples_seen} samples seen")


if __name__ == "__main__":
    main()
