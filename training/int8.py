"""helio-base in 8 bits: weights and activations of the transformer, one fixed scale per tensor, as hurried ports do.

Quantising weights alone cannot be seen (48 dB PSNR to the original), nor can matrix products in 8 bits (41 dB), and
sums and products between them do little (31 dB) as long as the angles of time and place stay exact. Here these are
8 bits, too, a mistake that is easily made: pictures stay recognisable, and there is something for quality gates to
notice. Scales come from a few pictures drawn beforehand, never from the batch, so pixels do not depend on it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from training.exported import TextToImageGraphs
from training.onnx_graph import store_as_half
from training.progress import write_whole

_OPERATIONS = ["MatMul", "Gemm", "Conv", "Add", "Mul"]
_PICTURES = 8
_FIRST_SEED = 100

Inputs = dict[str, NDArray[np.generic]]


class _Recorded(CalibrationDataReader):
    """Inputs of the transformer, one step after the other."""

    def __init__(self, inputs: list[Inputs]) -> None:
        self._left = iter(inputs)

    def get_next(self) -> Inputs | None:  # type: ignore[override]
        """The next inputs; None at the end."""
        return next(self._left, None)


class _Spy:
    """A session that writes down what it is given."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self.seen: list[Inputs] = []

    def run(self, outputs: None, inputs: Inputs) -> Any:
        """As the session does."""
        self.seen.append(inputs)
        return self._session.run(outputs, inputs)


def calibration_inputs(folder: Path) -> list[Inputs]:
    """What helio-base's transformer is given while it draws a few of its example prompts."""
    graphs = TextToImageGraphs(folder)
    prompts = graphs.card["example_prompts"][:_PICTURES]
    spy = _Spy(graphs.transformer)
    graphs.transformer = spy
    graphs.generate(prompts, list(range(_FIRST_SEED, _FIRST_SEED + len(prompts))))
    return spy.seen


def quantise(source: Path, inputs: list[Inputs], path: Path) -> None:
    """Write the float32 graph `source` in 8 bits, what stays float with weights in float16."""
    logging.getLogger().setLevel(logging.ERROR)
    quantize_static(
        source,
        path,
        _Recorded(inputs),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=_OPERATIONS,
        per_channel=False,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
        extra_options={"WeightSymmetric": True},
    )
    model = store_as_half(onnx.load(path))
    onnx.checker.check_model(model)
    write_whole(path, lambda file: file.write(model.SerializeToString()) and None)
