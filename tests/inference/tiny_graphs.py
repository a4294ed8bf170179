"""Folders of built-in tools with tiny graphs.

They do in a few numbers what the trained ones do: the upscaler sees two pixels to each side and enlarges with depth to
space; the dual encoder compares mean colours with the colours that words stand for.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, UINT8, INT64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64

COLOURS = {"red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0), "blue": (0.0, 0.0, 1.0), "grey": (0.0, 0.0, 0.0)}
"""What the words of the tiny dual encoder mean, as the direction from mid-grey."""

CALIBRATION = {
    "alignment": {"mean": 0.4, "scale": 10.0, "low_threshold": 0.25},
    "coverage": {
        "margin": 0.2,
        "only_before": {},
        "phrases": {"colour": {name: [name] for name in ("red", "green", "blue")}},
    },
}


# --- graphs ----------------------------------------------------------------------------------------------------------

Port = tuple[str, int, Sequence[int | str]]
"""Name, element type and shape."""


def node(kind: str, inputs: Sequence[str], output: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], **attributes)


def graph(nodes: Sequence[onnx.NodeProto], constants: Mapping[str, np.ndarray], *, takes: Port, gives: Port) -> bytes:
    """A model of one input and one output."""
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    ports = [helper.make_tensor_value_info(*port) for port in (takes, gives)]
    made = helper.make_model(
        helper.make_graph(nodes, "tiny", ports[:1], ports[1:], weights),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    onnx.checker.check_model(made)
    return made.SerializeToString()


# --- the tools -------------------------------------------------------------------------------------------------------


def upscaler_graph(factor: int = 2) -> bytes:
    """A sharpening over 5 x 5 pixels whose outcome depends on every one of them, then depth to space."""
    weights = np.random.default_rng(3).normal(0, 0.02, (3 * factor**2, 3, 5, 5)).astype(np.float32)
    for channel in range(3):
        for part in range(factor**2):
            weights[part * 3 + channel, channel, 2, 2] += 1
    return graph(
        [
            node("Cast", ["rgb"], "levels", to=FLOAT),
            node("Transpose", ["levels"], "planes", perm=[0, 3, 1, 2]),
            node("Conv", ["planes", "weights"], "deep", pads=[2, 2, 2, 2]),
            node("DepthToSpace", ["deep"], "wide", blocksize=factor),
            node("Clip", ["wide", "black", "white"], "bounded"),
            node("Transpose", ["bounded"], "pixels", perm=[0, 2, 3, 1]),
            node("Cast", ["pixels"], "large", to=UINT8),
        ],
        {"weights": weights, "black": np.array(0, np.float32), "white": np.array(255, np.float32)},
        takes=("rgb", UINT8, ("batch", "h", "w", 3)),
        gives=("large", UINT8, ("batch", "h2", "w2", 3)),
    )


def encoder_graph() -> bytes:
    """Latents are the mean colours of 8 x 8 pixels, from -0.5 to 0.5."""
    return graph(
        [
            node("Cast", ["rgb"], "levels", to=FLOAT),
            node("Div", ["levels", "white"], "shares"),
            node("Sub", ["shares", "half"], "centred"),
            node("Transpose", ["centred"], "planes", perm=[0, 3, 1, 2]),
            node("AveragePool", ["planes"], "latents", kernel_shape=[8, 8], strides=[8, 8]),
        ],
        {"white": np.array(255, np.float32), "half": np.array(0.5, np.float32)},
        takes=("rgb", UINT8, ("batch", "h", "w", 3)),
        gives=("latents", FLOAT, ("batch", 3, "h8", "w8")),
    )


def image_tower_graph() -> bytes:
    return graph(
        [
            node("GlobalAveragePool", ["latents"], "mean"),
            node("Flatten", ["mean"], "colour", axis=1),
            node("LpNormalization", ["colour"], "embedding", axis=1, p=2),
        ],
        {},
        takes=("latents", FLOAT, ("batch", 3, "h", "w")),
        gives=("embedding", FLOAT, ("batch", 3)),
    )


def text_tower_graph(meanings: np.ndarray) -> bytes:
    """The sum of what the tokens mean: (vocabulary, 3), each relative to mid-grey."""
    return graph(
        [
            node("Gather", ["meanings", "ids"], "each", axis=0),
            node("ReduceSum", ["each", "over"], "sum", keepdims=0),
            node("LpNormalization", ["sum"], "embedding", axis=1, p=2),
        ],
        {"meanings": meanings.astype(np.float32), "over": np.array([1], np.int64)},
        takes=("ids", INT64, ("batch", "length")),
        gives=("embedding", FLOAT, ("batch", 3)),
    )


def write_folder(path: Path, description: Mapping[str, Any], parts: Mapping[str, tuple[str, bytes]]) -> Path:
    """A model's folder: each role of `parts` with its file's name and content."""
    path.mkdir(parents=True)
    for name, content in parts.values():
        (path / name).write_bytes(content)
    files = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in parts.values()
    }
    named = {role: name for role, (name, _) in parts.items()}
    facts = {"name": path.name, "revision": "0" * 12, **description, "parts": named, "files": files}
    (path / "model.json").write_text(json.dumps(facts))
    return path


def write_upscaler(path: Path, *, factor: int = 2, margin_px: int = 2) -> Path:
    description = {"kind": "upscaler", "factor": factor, "margin_px": margin_px}
    return write_folder(path, description, {"upscaler": ("upscaler.onnx", upscaler_graph(factor))})


def write_dual_encoder(path: Path, *, calibration: Mapping[str, Any] = CALIBRATION) -> Path:
    """It knows the words of `COLOURS`; every other word adds nothing."""
    symbols = ["<|startoftext|>", "<|endoftext|>", *"abcdefghijklmnopqrstuvwxyz"]
    symbols += [f"{letter}</w>" for letter in "abcdefghijklmnopqrstuvwxyz"]
    merges: list[tuple[str, str]] = []
    for word in COLOURS:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            merges.append((parts[-2], parts[-1]))
            parts[-2:] = [parts[-2] + parts[-1]]
            if parts[-1] not in symbols:
                symbols.append(parts[-1])
    meanings = np.full((len(symbols), 3), 1e-4)
    for word, colour in COLOURS.items():
        meanings[symbols.index(f"{word}</w>")] = np.array(colour) - 0.5
    return write_folder(
        path,
        {
            "kind": "dual_encoder",
            "embedding_channels": 3,
            "multiple_px": 8,
            "context_length": 16,
            "calibration": calibration,
        },
        {
            "encoder": ("encoder.onnx", encoder_graph()),
            "image_tower": ("image_tower.onnx", image_tower_graph()),
            "text_tower": ("text_tower.onnx", text_tower_graph(meanings)),
            "vocabulary": ("vocab.json", json.dumps({name: at for at, name in enumerate(symbols)}).encode()),
            "merges": ("merges.txt", ("#version: 0.2\n" + "\n".join(map(" ".join, merges))).encode()),
            "known_words": ("known_words.txt", "\n".join(COLOURS).encode()),
        },
    )
