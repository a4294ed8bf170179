"""The seam to GPUs, on stand-ins: what the libraries are told. That they do it needs a GPU, and there is none here."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, call

import diffusers
import pytest
import torch

from heliograph.domain.errors import EngineError
from heliograph.domain.pipeline_options import Device, Dtype, Offload, PipelineOptions, Quantisation
from heliograph.inference.diffusers_device import chosen_device, dtype_on, loading_arguments, placed

OPTIONS = PipelineOptions(pipeline="FluxPipeline")


def a_torch(*, has_gpu: bool) -> Any:
    return SimpleNamespace(
        cuda=SimpleNamespace(is_available=lambda: has_gpu),
        device=torch.device,
        float32=torch.float32,
        float16=torch.float16,
        bfloat16=torch.bfloat16,
    )


@pytest.mark.parametrize(
    ("device", "has_gpu", "chosen"),
    [
        (Device.AUTO, True, Device.CUDA),
        (Device.AUTO, False, Device.CPU),
        (Device.CPU, True, Device.CPU),
        (Device.CUDA, True, Device.CUDA),
    ],
)
def test_where_it_runs(device: Device, has_gpu: bool, chosen: Device) -> None:
    assert chosen_device(replace(OPTIONS, device=device), a_torch(has_gpu=has_gpu)) is chosen


@pytest.mark.parametrize(
    "options",
    [
        replace(OPTIONS, device=Device.CUDA),
        replace(OPTIONS, offload=Offload.MODEL),
        replace(OPTIONS, quantisation=Quantisation.TORCHAO_INT8),
    ],
)
def test_what_needs_a_gpu_says_so_where_there_is_none(options: PipelineOptions) -> None:
    with pytest.raises(EngineError, match="GPU"):
        chosen_device(options, a_torch(has_gpu=False))


def test_numbers() -> None:
    here = a_torch(has_gpu=True)
    assert dtype_on(OPTIONS, Device.CUDA, here) is torch.bfloat16
    assert dtype_on(OPTIONS, Device.CPU, here) is torch.float32
    assert dtype_on(replace(OPTIONS, dtype=Dtype.FLOAT16), Device.CUDA, here) is torch.float16


@pytest.mark.parametrize(
    ("offload", "told"),
    [
        (Offload.NONE, call.to("cuda")),
        (Offload.MODEL, call.enable_model_cpu_offload(device="cuda")),
        (Offload.SEQUENTIAL, call.enable_sequential_cpu_offload(device="cuda")),
        (
            Offload.GROUP,
            call.enable_group_offload(
                onload_device=torch.device("cuda"),
                offload_device=torch.device("cpu"),
                offload_type="leaf_level",
                use_stream=True,
            ),
        ),
    ],
)
def test_offloading(offload: Offload, told: Any) -> None:
    pipe = MagicMock(spec_set=["to", "transformer", "vae", *(name for name in dir_of_pipelines())])
    placed(pipe, replace(OPTIONS, offload=offload), Device.CUDA, a_torch(has_gpu=True))
    assert pipe.mock_calls == [told]


def dir_of_pipelines() -> list[str]:
    return [name for name in dir(diffusers.DiffusionPipeline) if name.startswith("enable_")]


def test_speed_and_tiles_in_order() -> None:
    pipe = MagicMock(spec_set=["to", "transformer", "vae"])
    options = replace(OPTIONS, attention="flash", is_tiled=True, is_compiled=True)
    placed(pipe, options, Device.CUDA, a_torch(has_gpu=True))
    assert pipe.mock_calls == [
        call.transformer.set_attention_backend("flash"),
        call.to("cuda"),
        call.vae.enable_slicing(),
        call.vae.enable_tiling(),
        call.transformer.compile(dynamic=True),
    ]


@pytest.mark.parametrize(
    ("quantisation", "backend", "arguments"),
    [
        (Quantisation.BITSANDBYTES_8BIT, "bitsandbytes_8bit", {"load_in_8bit": True}),
        (
            Quantisation.BITSANDBYTES_4BIT,
            "bitsandbytes_4bit",
            {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16},
        ),
        (Quantisation.TORCHAO_INT8, "torchao", {"quant_type": "int8"}),
        (Quantisation.TORCHAO_FLOAT8, "torchao", {"quant_type": "float8"}),
    ],
)
def test_fewer_bits(quantisation: Quantisation, backend: str, arguments: dict[str, object]) -> None:
    library = MagicMock()
    torchao = SimpleNamespace(Int8WeightOnlyConfig=lambda: "int8", Float8WeightOnlyConfig=lambda: "float8")
    loading_arguments(
        replace(OPTIONS, quantisation=quantisation, quantised=("transformer", "text_encoder_2")),
        torch=a_torch(has_gpu=True),
        diffusers=library,
        import_module=lambda name: {"torchao.quantization": torchao}[name],
    )
    library.PipelineQuantizationConfig.assert_called_once_with(
        quant_backend=backend, quant_kwargs=arguments, components_to_quantize=["transformer", "text_encoder_2"]
    )


def test_a_library_that_is_missing_is_named() -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    with pytest.raises(EngineError, match="pip install torchao"):
        loading_arguments(
            replace(OPTIONS, quantisation=Quantisation.TORCHAO_INT8),
            torch=a_torch(has_gpu=True),
            diffusers=MagicMock(),
            import_module=missing,
        )
