"""The seam between pipelines and hardware: everything that only makes sense on a GPU stands in this file.

There is no GPU where this project is tested. The tests give these functions stand-ins for the libraries and look at
what they are told, in which order; that the libraries then do it was checked by reading them.
"""

from collections.abc import Callable
from typing import Any

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.pipeline_options import Device, Dtype, Offload, PipelineOptions, Quantisation

_DENOISERS = ("unet", "transformer", "transformer_2")


def chosen_device(options: PipelineOptions, torch: Any) -> Device:
    """Where the model is to run. Raises `EngineError(BAD_WEIGHTS)` for options that need a GPU where there is none."""
    has_gpu = bool(torch.cuda.is_available())
    if options.device is Device.CPU or (options.device is Device.AUTO and not has_gpu):
        needs = [
            name
            for name, is_asked in (
                ("offload", options.offload is not Offload.NONE),
                ("quantisation", options.quantisation is not None),
            )
            if is_asked
        ]
        if needs:
            raise EngineError(
                EngineErrorKind.BAD_WEIGHTS, f"diffusers.{needs[0]} needs a GPU, and this machine has none"
            )
        return Device.CPU
    if not has_gpu:
        raise EngineError(EngineErrorKind.BAD_WEIGHTS, "diffusers.device is cuda, and this machine has no such GPU")
    return Device.CUDA


def dtype_on(options: PipelineOptions, device: Device, torch: Any) -> Any:
    """The numbers to compute in."""
    dtype = options.dtype
    if dtype is Dtype.AUTO:
        dtype = Dtype.BFLOAT16 if device is Device.CUDA else Dtype.FLOAT32
    return getattr(torch, dtype.value)


def loading_arguments(
    options: PipelineOptions, *, torch: Any, diffusers: Any, import_module: Callable[[str], Any]
) -> dict[str, Any]:
    """What `from_pretrained` is told about fewer bits. Raises `EngineError` where the library for them is missing."""
    if options.quantisation is None:
        return {}
    match options.quantisation:
        case Quantisation.BITSANDBYTES_8BIT:
            backend, arguments = options.quantisation.value, {"load_in_8bit": True}
        case Quantisation.BITSANDBYTES_4BIT:
            backend = options.quantisation.value
            arguments = {
                "load_in_4bit": True,
                "bnb_4bit_quant_type": "nf4",
                "bnb_4bit_compute_dtype": dtype_on(options, Device.CUDA, torch),
            }
        case Quantisation.TORCHAO_INT8:
            backend, arguments = "torchao", {"quant_type": _torchao(import_module).Int8WeightOnlyConfig()}
        case Quantisation.TORCHAO_FLOAT8:
            backend, arguments = "torchao", {"quant_type": _torchao(import_module).Float8WeightOnlyConfig()}
    parts = list(options.quantised) or ["transformer"]
    config = diffusers.PipelineQuantizationConfig(
        quant_backend=backend, quant_kwargs=arguments, components_to_quantize=parts
    )
    return {"quantization_config": config}


def placed(pipe: Any, options: PipelineOptions, device: Device, torch: Any) -> None:
    """Put the pipeline where it is to run, and make it as fast or as small as the options say."""
    denoisers = [part for name in _DENOISERS if (part := getattr(pipe, name, None)) is not None]
    if options.attention is not None:
        for part in denoisers:
            part.set_attention_backend(options.attention)
    match options.offload:
        case Offload.NONE:
            pipe.to(device.value)
        case Offload.MODEL:
            pipe.enable_model_cpu_offload(device=device.value)
        case Offload.SEQUENTIAL:
            pipe.enable_sequential_cpu_offload(device=device.value)
        case Offload.GROUP:
            pipe.enable_group_offload(
                onload_device=torch.device(device.value),
                offload_device=torch.device("cpu"),
                offload_type="leaf_level",
                use_stream=True,
            )
    if options.is_tiled:
        pipe.vae.enable_slicing()
        pipe.vae.enable_tiling()
    if options.is_compiled:
        for part in denoisers:
            part.compile(dynamic=True)


def _torchao(import_module: Callable[[str], Any]) -> Any:
    try:
        return import_module("torchao.quantization")
    except ImportError as error:
        raise EngineError(
            EngineErrorKind.BAD_WEIGHTS, "diffusers.quantisation needs torchao: pip install torchao"
        ) from error
