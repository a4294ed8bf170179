"""Tiny graphs in ONNX's format, written without its library, and folders of built-in tools made of them.

They do in a few numbers what the trained ones do: the upscaler sees two pixels to each side and enlarges with depth to
space; the dual encoder compares mean colours with the colours that words stand for.
"""

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FLOAT, UINT8, INT64 = 1, 2, 7
_ELEMENT = {np.dtype(np.float32): FLOAT, np.dtype(np.uint8): UINT8, np.dtype(np.int64): INT64}

COLOURS = {"red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0), "blue": (0.0, 0.0, 1.0), "grey": (0.0, 0.0, 0.0)}
"""What the words of the tiny dual encoder mean, as the direction from mid-grey."""

CALIBRATION = {
    "alignment": {"midpoint": 0.4, "scale": 0.1, "low": 0.25},
    "coverage": {"colour": {"margin": 0.2, "values": {name: {"phrases": [name]} for name in ("red", "green", "blue")}}},
}


# --- the wire format -------------------------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*parts, value))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _attribute(name: str, value: object) -> bytes:
    match value:
        case int():
            body = _number(3, value) + _number(20, 2)
        case float():
            body = _varint(2 << 3 | 5) + struct.pack("<f", value) + _number(20, 1)
        case str():
            body = _message(4, value) + _number(20, 3)
        case list():
            body = b"".join(_number(8, item) for item in value) + _number(20, 7)
        case _:
            raise AssertionError(value)
    return _message(1, name) + body


def node(kind: str, inputs: Sequence[str], output: str, **attributes: object) -> bytes:
    names = b"".join(_message(1, each) for each in inputs) + _message(2, output)
    return names + _message(4, kind) + b"".join(_message(5, _attribute(*each)) for each in attributes.items())


def _tensor(name: str, value: np.ndarray) -> bytes:
    dims = b"".join(_number(1, side) for side in value.shape)
    return dims + _number(2, _ELEMENT[value.dtype]) + _message(8, name) + _message(9, value.tobytes())


def _port(name: str, element: int, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(_message(1, _number(1, dim) if isinstance(dim, int) else _message(2, dim)) for dim in shape)
    return _message(1, name) + _message(2, _message(1, _number(1, element) + _message(2, dims)))


def graph(
    nodes: Sequence[bytes],
    constants: Mapping[str, np.ndarray],
    *,
    takes: tuple[str, int, Sequence[int | str]],
    gives: tuple[str, int, Sequence[int | str]],
) -> bytes:
    """A model of one input and one output, each a name, an element type and a shape."""
    body = b"".join(_message(1, each) for each in nodes) + _message(2, "tiny")
    body += b"".join(_message(5, _tensor(*each)) for each in constants.items())
    body += _message(11, _port(*takes)) + _message(12, _port(*gives))
    return _number(1, 10) + _message(7, body) + _message(8, _message(1, "") + _number(2, 20))


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
        {"weights": weights, "black": np.float32(0).reshape(()), "white": np.float32(255).reshape(())},
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
        {"white": np.float32(255).reshape(()), "half": np.float32(0.5).reshape(())},
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
    (path / "model.json").write_text(json.dumps({"name": path.name, **description, "parts": named, "files": files}))
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
            "downscale": 8,
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
