"""Built-in models in miniature: real folders with real graphs of a few nodes, so that engines can be tested on every
kind of model without its trained weights.

`write_models(root)` makes, side by side as below `weights/`:

    tiny          a text_to_image model
    tiny-turbo    the same with guidance baked in (default_guidance null) and a transformer of its own
    tiny-motion   a text_to_video model of four frames that shares everything but its motion network with `tiny`
    tiny-upscale  an upscaler, which takes no orders
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

OPSET = 20
CHANNELS = 8
CONTEXT = 16
FRAMES = 4
MOTION_STEPS = 3
MOTION_SCALE = 0.5

_FLOAT, _INT64, _UINT8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8
_RANDOM = np.random.default_rng(5)


def write_models(root: Path) -> None:
    """The four folders below `root`."""
    tiny = root / "tiny"
    for name in ("tiny", "tiny-turbo", "tiny-motion", "tiny-upscale"):
        (root / name).mkdir(parents=True)
    _text_encoder(tiny / "text_encoder.onnx")
    _transformer(tiny / "transformer.onnx")
    _transformer(root / "tiny-turbo" / "transformer.onnx")
    _decoder(tiny / "decoder.onnx")
    _motion(root / "tiny-motion" / "motion.onnx")
    _decoder(root / "tiny-upscale" / "upscaler.onnx")
    letters = "abcdefghijklmnopqrstuvwxyz"
    symbols = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (tiny / "vocab.json").write_text(json.dumps({symbol: number for number, symbol in enumerate(symbols)}))
    (tiny / "merges.txt").write_text("#version: 0.2\n")
    (tiny / "known_words.txt").write_text("boat\nsea\n")
    own = {
        "text_encoder": "text_encoder.onnx",
        "transformer": "transformer.onnx",
        "decoder": "decoder.onnx",
        "vocabulary": "vocab.json",
        "merges": "merges.txt",
        "known_words": "known_words.txt",
    }
    shared = {role: f"../tiny/{name}" for role, name in own.items()}
    image = {"latent_channels": CHANNELS, "downscale": 8, "context_length": 32, "default_guidance": 3.5}
    motion = {"frames": FRAMES, "frames_per_second": 8, "motion_steps": MOTION_STEPS, "motion_scale": MOTION_SCALE}
    write_description(tiny, "text_to_image", own, image)
    turbo = shared | {"transformer": "transformer.onnx"}
    write_description(root / "tiny-turbo", "text_to_image", turbo, image | {"default_guidance": None})
    write_description(root / "tiny-motion", "text_to_video", shared | {"motion": "motion.onnx"}, image | motion)
    write_description(root / "tiny-upscale", "upscaler", {"upscaler": "upscaler.onnx"}, {"factor": 2})


def write_description(folder: Path, kind: str, parts: Mapping[str, str], facts: Mapping[str, Any]) -> None:
    """model.json, with the size and checksum that every part has now."""
    files = {}
    for name in parts.values():
        content = (folder / name).read_bytes()
        files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    revision = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:12]
    card = {"name": folder.name, "revision": revision, "kind": kind, "parts": dict(parts), **facts, "files": files}
    (folder / "model.json").write_text(json.dumps(card))


def _text_encoder(path: Path) -> None:
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["context"], axis=0),
        helper.make_node("ReduceMean", ["context", "one"], ["pooled"], keepdims=0),
    ]
    weights = {"table": _weights(64, CONTEXT), "one": np.array([1])}
    inputs = {"ids": (_INT64, ["b", 32])}
    outputs = {"context": (_FLOAT, ["b", 32, CONTEXT]), "pooled": (_FLOAT, ["b", CONTEXT])}
    _write(path, nodes, weights, inputs, outputs)


def _transformer(path: Path) -> None:
    """A convolution of the latents, shifted by the text and by the time."""
    nodes = [
        helper.make_node("Conv", ["latents", "kernel"], ["mixed"], pads=[1, 1, 1, 1]),
        *_condition_nodes("mixed", dimensions=4),
    ]
    weights = {"kernel": _weights(CHANNELS, CHANNELS, 3, 3) * 0.3, "text": _weights(CONTEXT, CHANNELS)}
    latents = {"latents": (_FLOAT, ["b", CHANNELS, "h", "w"])}
    _write(path, nodes, weights, latents | _CONDITIONS, {"velocity": (_FLOAT, ["b", CHANNELS, "h", "w"])})


def _motion(path: Path) -> None:
    """Frames weighed against one another, drawn towards a multiple of the first frame that grows with each."""
    rank = np.arange(1, FRAMES, dtype=np.float32).reshape(1, FRAMES - 1, 1, 1, 1)
    nodes = [
        helper.make_node("Unsqueeze", ["first", "one"], ["first_as_frame"]),
        helper.make_node("Mul", ["first_as_frame", "rank"], ["wanted"]),
        helper.make_node("Sub", ["latents", "wanted"], ["mixed"]),
        *_condition_nodes("mixed", dimensions=5),
    ]
    weights = {"rank": rank * np.float32(0.3), "one": np.array([1]), "text": _weights(CONTEXT, CHANNELS)}
    shape = ["b", FRAMES - 1, CHANNELS, "h", "w"]
    inputs = {"latents": (_FLOAT, shape), "first": (_FLOAT, ["b", CHANNELS, "h", "w"])}
    _write(path, nodes, weights, inputs | _CONDITIONS, {"velocity": (_FLOAT, shape)})


_CONDITIONS = {
    "t": (_FLOAT, ["b"]),
    "context": (_FLOAT, ["b", 32, CONTEXT]),
    "pooled": (_FLOAT, ["b", CONTEXT]),
}


def _condition_nodes(mixed: str, *, dimensions: int) -> list[Any]:
    """velocity = mixed + t * (pooled @ text), per channel."""
    shape = numpy_helper.from_array(np.array([-1, *[1] * (dimensions - 4), CHANNELS, 1, 1]), "shape")
    return [
        helper.make_node("MatMul", ["pooled", "text"], ["said"]),
        helper.make_node("Constant", [], ["column"], value=numpy_helper.from_array(np.array([-1, 1]), "column")),
        helper.make_node("Reshape", ["t", "column"], ["time"]),
        helper.make_node("Mul", ["said", "time"], ["timed"]),
        helper.make_node("Constant", [], ["shape"], value=shape),
        helper.make_node("Reshape", ["timed", "shape"], ["shift"]),
        helper.make_node("Add", [mixed, "shift"], ["velocity"]),
    ]


def _decoder(path: Path) -> None:
    nodes = [
        helper.make_node("ConvTranspose", ["latents", "kernel"], ["enlarged"], strides=[8, 8]),
        helper.make_node("Sigmoid", ["enlarged"], ["light"]),
        helper.make_node("Mul", ["light", "white"], ["levels"]),
        helper.make_node("Transpose", ["levels"], ["ordered"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["ordered"], ["rgb"], to=_UINT8),
    ]
    weights = {"kernel": _weights(CHANNELS, 3, 8, 8), "white": np.array(255, np.float32)}
    inputs = {"latents": (_FLOAT, ["b", CHANNELS, "h", "w"])}
    _write(path, nodes, weights, inputs, {"rgb": (_UINT8, ["b", "rows", "columns", 3])})


def _weights(*shape: int) -> np.ndarray:
    return (_RANDOM.standard_normal(shape) * 0.5).astype(np.float32)


def _write(path: Path, nodes: list[Any], weights: Mapping[str, np.ndarray], inputs: Any, outputs: Any) -> None:
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in outputs.items()],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 10
    save(model, path)
