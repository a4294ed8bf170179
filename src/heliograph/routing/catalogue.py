"""The catalogue's file format: TOML text in, model cards out, with errors that name file, model and field.

Reading takes two passes, because an operator's file may hold one field of a model and leave the rest to the shipped
file. `parse_catalogue` reads one file and checks every value by itself; `merge` lays files over one another, field by
field, and checks what only the whole can answer: is anything missing, do alternatives and aliases exist, does the
default size obey its own rule. `docs/reference/catalogue.md` describes the format for people.
"""

import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_network
from typing import TypeVar, cast, get_origin

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.ids import ModelId
from heliograph.domain.model_card import (
    Catalogue,
    EngineKind,
    FrameRule,
    GuidanceRule,
    ModelCard,
    PromptDialect,
    SizeRule,
    StepRule,
    Timing,
)
from heliograph.domain.pipeline_options import (
    Device,
    Dtype,
    Offload,
    PipelineOptions,
    Quantisation,
    refusal,
)
from heliograph.domain.remote_options import (
    COMFY_PARAMETERS,
    TIMEOUT_S,
    TRAITS,
    ComfyOptions,
    RemoteOptions,
    ServerFamily,
)
from heliograph.domain.weights import WeightsFile, WeightsSource

TASKS = ("t2i", "i2i", "inpaint", "edit", "upscale", "t2v", "i2v", "alignment")
CLIP_TASKS = frozenset({"t2v", "i2v"})
UPSCALE_FACTORS = (2, 4)
BYTES_PER_GB = 10**9
HUB = "https://huggingface.co/{repository}/resolve/{revision}"
"""Below which address a hub's revision has its files."""

Fields = Mapping[str, object]
"""Checked values by field name: what a file says of one model, or of one of its tables."""

_Value = TypeVar("_Value")
_Choice = TypeVar("_Choice", bound=StrEnum)
_MODEL_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")
_CLASS = re.compile(r"[A-Z][A-Za-z0-9]*Pipeline")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FILE = re.compile(r"(?!\.)[A-Za-z0-9._-]+(/(?!\.)[A-Za-z0-9._-]+)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BASE = re.compile(r"/.+|https?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9._~/\-]*)?")
_HUB = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")
_URL = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9._~/\-]*)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACE = re.compile(r"([^.\s]+)\.(\S+)")
_SIZE = re.compile(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueFile:
    """What one file says: fields by model, each value checked by itself, and aliases. `origin` names it in errors."""

    origin: str
    models: Mapping[str, Fields] = field(default_factory=dict[str, Fields])
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])


def parse_catalogue(text: str, *, origin: str) -> CatalogueFile:
    """Read one file. Raises `InvalidRequest` with the path of the field as `param`, like `models.sdxl-base.vram_gb`."""
    try:
        document: Fields = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(f"{origin} is not valid TOML: {error}.", code="invalid_catalogue") from error
    return read_catalogue_tables(document, origin=origin)


def read_catalogue_tables(document: Fields, *, origin: str) -> CatalogueFile:
    """The same from tables that were read already, for files that hold models beside other things."""
    where = _Where(origin)
    for key in document:
        if key not in ("models", "aliases"):
            raise where.at(key).wrong("is not known; a catalogue has the tables models and aliases")
    models = {
        name: _model(name, value, where.at("models").at(name))
        for name, value in _table(document.get("models", {}), where.at("models")).items()
    }
    aliases = {
        name: _text(value, where.at("aliases").at(name))
        for name, value in _table(document.get("aliases", {}), where.at("aliases")).items()
    }
    return CatalogueFile(origin=origin, models=models, aliases=aliases)


def merge(*files: CatalogueFile) -> Catalogue:
    """The catalogue of several files, later ones winning field by field; new models follow in file order."""
    models: dict[str, Fields] = {}
    origins: dict[str, str] = {}
    aliases: dict[str, tuple[str, str]] = {}
    for file in files:
        for name, fields in file.models.items():
            models[name] = _laid_over(models.get(name, {}), fields)
            origins[name] = file.origin
        aliases.update({name: (target, file.origin) for name, target in file.aliases.items()})
    cards = {
        ModelId(name): _card(name, fields, _Where(origins[name]).at("models").at(name))
        for name, fields in models.items()
    }
    for card in cards.values():
        where = _Where(origins[card.model_id]).at("models").at(card.model_id)
        _check_alternatives(card, cards, where)
        _check_judge(card, cards, where)
    for name, (target, origin) in aliases.items():
        _check_alias(name, target, cards, _Where(origin).at("aliases").at(name))
    return Catalogue(cards=cards, aliases={name: ModelId(target) for name, (target, _) in aliases.items()})


@dataclass(frozen=True, slots=True)
class _Where:
    """A place in a file, for error messages."""

    origin: str
    path: str = ""

    def at(self, key: str) -> "_Where":
        return _Where(self.origin, f"{self.path}.{key}" if self.path else key)

    def wrong(self, problem: str) -> InvalidRequest:
        return InvalidRequest(f"{self.origin}: {self.path} {problem}.", param=self.path, code="invalid_catalogue")


_Reader = Callable[[object, _Where], object]


def _model(name: str, value: object, where: _Where) -> Fields:
    if not _MODEL_ID.fullmatch(name):
        raise where.wrong("must be named in lower-case letters, digits, dots, hyphens and underscores")
    return _read(value, _MODEL, where)


def _read(value: object, readers: Mapping[str, _Reader], where: _Where) -> Fields:
    """The table's values, each read by the reader of its key; an unknown key is an error."""
    table = _table(value, where)
    for key in table:
        if key not in readers:
            raise where.at(key).wrong(f"is not known; known here are {', '.join(readers)}")
    return {key: readers[key](item, where.at(key)) for key, item in table.items()}


def _table(value: object, where: _Where) -> Fields:
    if not isinstance(value, dict):
        raise where.wrong("must be a table")
    return cast(Fields, value)  # TOML keys are always strings


def _items(value: object, where: _Where) -> list[object]:
    if not isinstance(value, list):
        raise where.wrong("must be a list")
    return cast(list[object], value)


def _text(value: object, where: _Where) -> str:
    if not isinstance(value, str) or not value.strip():
        raise where.wrong("must be a string that is not empty")
    return value


def _matching(pattern: re.Pattern[str], wanted: str) -> Callable[[object, "_Where"], str]:
    def read(value: object, where: _Where) -> str:
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise where.wrong(f"must be {wanted}")
        return value

    return read


def _path(value: object, where: _Where) -> str:
    text = _text(value, where)
    if not text.startswith("/"):
        raise where.wrong("must be an absolute path")
    return text


def _flag(value: object, where: _Where) -> bool:
    if not isinstance(value, bool):
        raise where.wrong("must be true or false")
    return value


def _count(value: object, where: _Where) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise where.wrong("must be a whole number of at least 1")
    return value


def _positive(value: object, where: _Where) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise where.wrong("must be a number above 0; leave the field out where it is not known")
    return float(value)


def _not_negative(value: object, where: _Where) -> float:
    return 0.0 if value == 0 and not isinstance(value, bool) else _positive(value, where)


def _gigabytes(value: object, where: _Where) -> int:
    return round(_positive(value, where) * BYTES_PER_GB)


def _size(value: object, where: _Where) -> tuple[int, int]:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise where.wrong('must be a size like "1024x768"')
    return int(match[1]), int(match[2])


def _sizes(value: object, where: _Where) -> tuple[tuple[int, int], ...]:
    return _unique(tuple(_size(item, where) for item in _items(value, where)), where)


def _factors(value: object, where: _Where) -> tuple[int, ...]:
    factors = _unique(tuple(_count(item, where) for item in _items(value, where)), where)
    if not frozenset(factors) <= frozenset(UPSCALE_FACTORS):
        raise where.wrong(f"must list some of {', '.join(map(str, UPSCALE_FACTORS))}")
    return tuple(sorted(factors))


def _names(value: object, where: _Where) -> tuple[str, ...]:
    return _unique(tuple(_text(item, where) for item in _items(value, where)), where)


def _urls(value: object, where: _Where) -> tuple[str, ...]:
    urls = _names(value, where)
    if not urls or not all(map(_URL.fullmatch, urls)):
        raise where.wrong('must list one or more addresses like "http://192.0.2.7:8000"')
    return urls


def _networks(value: object, where: _Where) -> tuple[str, ...]:
    names = _names(value, where)
    for name in names:
        try:
            ip_network(name)
        except ValueError:
            raise where.wrong(f'lists {name}, which is no network like "192.0.2.0/24"') from None
    return names


def _places(value: object, where: _Where) -> tuple[tuple[str, str], ...]:
    names = (value,) if isinstance(value, str) else _names(value, where)
    found = [_PLACE.fullmatch(name) for name in names]
    if not found or None in found:
        raise where.wrong('must name inputs of nodes, like "6.text" or ["6.text_g", "6.text_l"]')
    return tuple((match[1], match[2]) for match in found if match is not None)


def _unique(items: tuple[_Value, ...], where: _Where) -> tuple[_Value, ...]:
    if len(set(items)) != len(items):
        raise where.wrong("lists something twice")
    return items


def _tasks(value: object, where: _Where) -> frozenset[str]:
    tasks = frozenset(_names(value, where))
    if not tasks or not tasks <= frozenset(TASKS):
        raise where.wrong(f"must list one or more of {', '.join(TASKS)}")
    return tasks


def _one_of(kind: type[_Choice]) -> Callable[[object, _Where], _Choice]:
    def read(value: object, where: _Where) -> _Choice:
        if not isinstance(value, str) or value not in list(kind):
            raise where.wrong(f"must be one of {', '.join(kind)}")
        return kind(value)

    return read


def _timings(value: object, where: _Where) -> tuple[Timing, ...]:
    return tuple(_timing(item, where.at(str(index))) for index, item in enumerate(_items(value, where)))


def _timing(value: object, where: _Where) -> Timing:
    fields = _read(value, _TIMING, where)
    width_px, height_px = _required(fields, "size", tuple[int, int], where)
    return Timing(
        gpu=_required(fields, "gpu", str, where),
        gpu_count=_optional(fields, "gpus", int) or 1,
        width_px=width_px,
        height_px=height_px,
        frames=_optional(fields, "frames", int) or 1,
        steps=_required(fields, "steps", int, where),
        seconds=_required(fields, "seconds", float, where),
        source=_required(fields, "source", str, where),
    )


def _nested(readers: Mapping[str, _Reader]) -> _Reader:
    return lambda value, where: _read(value, readers, where)


_SIZES: Mapping[str, _Reader] = {
    "default": _size,
    "multiple": _count,
    "side_min": _count,
    "side_max": _count,
    "pixels_max": _count,
    "only": _sizes,
}
_STEPS: Mapping[str, _Reader] = {"min": _count, "max": _count, "draft": _count, "standard": _count, "high": _count}
_GUIDANCE: Mapping[str, _Reader] = {"min": _not_negative, "max": _not_negative, "default": _not_negative}
_FRAMES: Mapping[str, _Reader] = {"min": _count, "max": _count, "default": _count, "per_second": _positive}
_TIMING: Mapping[str, _Reader] = {
    "gpu": _text,
    "gpus": _count,
    "size": _size,
    "frames": _count,
    "steps": _count,
    "seconds": _positive,
    "source": _text,
}
_DIFFUSERS: Mapping[str, _Reader] = {
    "pipeline": _matching(_CLASS, 'a class of diffusers, such as "StableDiffusionXLPipeline"'),
    "folder": _path,
    "revision": _matching(_COMMIT, "the 40 hexadecimal digits of a commit, so that the weights cannot change"),
    "variant": _text,
    "dtype": _one_of(Dtype),
    "device": _one_of(Device),
    "offload": _one_of(Offload),
    "tiling": _flag,
    "attention": _text,
    "compile": _flag,
    "quantisation": _one_of(Quantisation),
    "quantised": _names,
    "scheduler": _text,
    "token_limit": _count,
    "preview_decoder": _path,
}
_SERVERS: Mapping[str, _Reader] = {
    "urls": _urls,
    "networks": _networks,
    "key_env": _matching(_VARIABLE, "the name of an environment variable"),
    "timeout_s": _positive,
}
_REMOTE: Mapping[str, _Reader] = {
    **_SERVERS,
    "server": _one_of(ServerFamily),
    "model": _text,
    "progress": _flag,
    "stops_when_told": _flag,
}
_COMFYUI: Mapping[str, _Reader] = {
    **_SERVERS,
    "workflow": _path,
    "output": _text,
    "sampler": _text,
    "inputs": _nested(dict.fromkeys(COMFY_PARAMETERS, _places)),
}
_WEIGHTS_FILE: Mapping[str, _Reader] = {
    "path": _matching(_FILE, 'a path below the model\'s folder, like "unet/model.safetensors"'),
    "bytes": _count,
    "sha256": _matching(_SHA256, "64 hexadecimal digits in lower case"),
}


def _weights_files(value: object, where: _Where) -> tuple[WeightsFile, ...]:
    files: list[WeightsFile] = []
    for index, item in enumerate(_items(value, where)):
        at = where.at(str(index))
        fields = _read(item, _WEIGHTS_FILE, at)
        files.append(
            WeightsFile(
                path=_required(fields, "path", str, at),
                size_bytes=_required(fields, "bytes", int, at),
                sha256=_required(fields, "sha256", str, at),
            )
        )
    if not files or len({file.path for file in files}) < len(files):
        raise where.wrong("must list one or more files, none of them twice")
    return tuple(files)


_FETCH: Mapping[str, _Reader] = {
    "base": _matching(_BASE, 'an absolute path or an address like "https://models.example.com/sdxl"'),
    "hub": _matching(_HUB, 'a repository like "owner/name"'),
    "revision": _matching(_COMMIT, "the 40 hexadecimal digits of a commit"),
    "files": _weights_files,
    "networks": _networks,
    "key_env": _matching(_VARIABLE, "the name of an environment variable"),
}
_MODEL: Mapping[str, _Reader] = {
    "name": _text,
    "family": _text,
    "tasks": _tasks,
    "licence": _text,
    "engine": _one_of(EngineKind),
    "weights": _text,
    "repository": _text,
    "prompt_dialect": _one_of(PromptDialect),
    "token_limit": _count,
    "supports_negative_prompt": _flag,
    "sizes": _nested(_SIZES),
    "steps": _nested(_STEPS),
    "guidance": _nested(_GUIDANCE),
    "frames": _nested(_FRAMES),
    "by_name_only": _flag,
    "parameters_billion": _positive,
    "vram_gb": _gigabytes,
    "gpus": _count,
    "disk_gb": _gigabytes,
    "load_s": _positive,
    "timings": _timings,
    "alternatives": _names,
    "upscale": _factors,
    "alignment": _text,
    "limits": _text,
    "sources": _names,
    "diffusers": _nested(_DIFFUSERS),
    "remote": _nested(_REMOTE),
    "comfyui": _nested(_COMFYUI),
    "fetch": _nested(_FETCH),
}


def _laid_over(base: Fields, override: Fields) -> Fields:
    """`base` with the fields of `override`; tables are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in override.items():
        below = base.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = _laid_over(cast(Fields, below), cast(Fields, value))
        else:
            merged[key] = value
    return merged


def _optional(fields: Fields, key: str, kind: type[_Value]) -> _Value | None:
    """The field, or None; its reader has made it a `kind`."""
    value = fields.get(key)
    assert value is None or isinstance(value, get_origin(kind) or kind), f"{key} was read as {type(value)}"
    return cast(_Value | None, value)


def _required(fields: Fields, key: str, kind: type[_Value], where: _Where) -> _Value:
    value = _optional(fields, key, kind)
    if value is None:
        raise where.at(key).wrong("is missing; every model needs it")
    return value


def _card(name: str, fields: Fields, where: _Where) -> ModelCard:
    guidance = _optional(fields, "guidance", dict[str, object])
    if fields.get("engine") is EngineKind.ONNX and not {"weights", "fetch"} & fields.keys():
        raise where.at("weights").wrong("is missing; the onnx engine needs the name of a folder below weights/")
    pipeline = _pipeline(fields, where)
    frames = _optional(fields, "frames", dict[str, object])
    tasks = _optional(fields, "tasks", frozenset[str]) or frozenset()
    if frames is None and "engine" in fields and tasks & CLIP_TASKS:
        raise where.at("frames").wrong("is missing; a model that makes clips here has to say how long they may be")
    if frames is not None and not tasks & CLIP_TASKS:
        raise where.at("frames").wrong(f"is for models that make clips, whose tasks have {' or '.join(CLIP_TASKS)}")
    return ModelCard(
        model_id=ModelId(name),
        name=_required(fields, "name", str, where),
        family=_required(fields, "family", str, where),
        tasks=_required(fields, "tasks", frozenset[str], where),
        licence=_optional(fields, "licence", str),
        engine=_optional(fields, "engine", EngineKind),
        sizes=_size_rule(_required(fields, "sizes", dict[str, object], where), where.at("sizes")),
        steps=_step_rule(_required(fields, "steps", dict[str, object], where), where.at("steps")),
        guidance=None if guidance is None else _guidance_rule(guidance, where.at("guidance")),
        supports_negative_prompt=_required(fields, "supports_negative_prompt", bool, where),
        prompt_dialect=_required(fields, "prompt_dialect", PromptDialect, where),
        token_limit=_optional(fields, "token_limit", int),
        frames=None if frames is None else _frame_rule(frames, where.at("frames")),
        parameters_billion=_optional(fields, "parameters_billion", float),
        vram_bytes=_optional(fields, "vram_gb", int),
        gpus=_optional(fields, "gpus", int) or 1,
        disk_bytes=_optional(fields, "disk_gb", int),
        load_s=_optional(fields, "load_s", float),
        timings=_optional(fields, "timings", tuple[Timing, ...]) or (),
        alternatives=tuple(map(ModelId, _optional(fields, "alternatives", tuple[str, ...]) or ())),
        weights=_optional(fields, "weights", str),
        repository=_optional(fields, "repository", str),
        limits=_optional(fields, "limits", str),
        upscale=_optional(fields, "upscale", tuple[int, ...]) or (),
        alignment=_optional(fields, "alignment", str),
        source="; ".join(_optional(fields, "sources", tuple[str, ...]) or ()) or None,
        is_by_name_only=_optional(fields, "by_name_only", bool) or False,
        pipeline=pipeline,
        remote=_remote(fields, where) or _comfyui(fields, where),
        fetch=_fetch(fields, where),
    )


def _fetch(model: Fields, where: _Where) -> WeightsSource | None:
    """The table `fetch`: where the files come from that an engine here loads."""
    fields = _optional(model, "fetch", dict[str, object])
    if fields is None:
        return None
    where = where.at("fetch")
    if model.get("engine") not in (EngineKind.ONNX, EngineKind.DIFFUSERS):
        raise where.wrong('is for models with engine = "onnx" or "diffusers"')
    if "weights" in model or "folder" in (_optional(model, "diffusers", dict[str, object]) or {}):
        raise where.wrong("stands beside a folder that is here already; leave one of the two out")
    base, hub = _optional(fields, "base", str), _optional(fields, "hub", str)
    if (base is None) is (hub is None):
        raise where.wrong("needs base or hub, and not both")
    if hub is not None:
        base = HUB.format(repository=hub, revision=_required(fields, "revision", str, where))
    assert base is not None, "one of the two is there"
    return WeightsSource(
        base=base,
        files=_required(fields, "files", tuple[WeightsFile, ...], where),
        networks=_optional(fields, "networks", tuple[str, ...]) or (),
        key_env=_optional(fields, "key_env", str),
    )


def _engine_table(model: Fields, key: str, engine: EngineKind, where: _Where) -> Fields | None:
    """The table `key`, which belongs to models of this engine and to no others."""
    fields, is_due = _optional(model, key, dict[str, object]), model.get("engine") is engine
    if is_due and fields is None:
        raise where.at(key).wrong(f"is missing; the engine {engine} needs this table")
    if fields is not None and not is_due:
        raise where.at(key).wrong(f'is for models with engine = "{engine}"')
    return fields


def _needed(model: Fields) -> Mapping[str, str]:
    """What the model's server has to take, each with the field of the model that says so."""
    steps = _optional(model, "steps", dict[str, object]) or {}
    tasks = _optional(model, "tasks", frozenset[str]) or frozenset()
    needed = {
        "steps": "steps" if steps.get("min") != steps.get("max") else "",
        "guidance": "guidance" if "guidance" in model else "",
        "negative_prompt": "supports_negative_prompt" if model.get("supports_negative_prompt") else "",
        "frames": "frames" if "frames" in model else "",
        "image": "tasks" if tasks & {"i2i", "inpaint", "i2v"} else "",
        "mask": "tasks" if "inpaint" in tasks else "",
    }
    return {parameter: field for parameter, field in needed.items() if field}


def _remote(model: Fields, where: _Where) -> RemoteOptions | None:
    """The table `remote`, and whether the server does what the model promises."""
    fields = _engine_table(model, "remote", EngineKind.REMOTE_OPENAI, where)
    if fields is None:
        return None
    at = where.at("remote")
    server = _required(fields, "server", ServerFamily, at)
    for parameter, promised in _needed(model).items():
        if parameter not in TRAITS[server].parameters | {"image", "mask"}:
            raise where.at(promised).wrong(
                f"promises {parameter}, which servers of the family {server} drop without a word"
            )
    return RemoteOptions(
        server=server,
        urls=_required(fields, "urls", tuple[str, ...], at),
        model=_required(fields, "model", str, at),
        networks=_optional(fields, "networks", tuple[str, ...]) or (),
        key_env=_optional(fields, "key_env", str),
        timeout_s=_optional(fields, "timeout_s", float) or TIMEOUT_S,
        has_progress=_optional(fields, "progress", bool) or False,
        stops_when_told=_optional(fields, "stops_when_told", bool) or False,
    )


def _comfyui(model: Fields, where: _Where) -> ComfyOptions | None:
    """The table `comfyui`, and whether the workflow takes what the model promises."""
    fields = _engine_table(model, "comfyui", EngineKind.COMFYUI, where)
    if fields is None:
        return None
    at = where.at("comfyui")
    places = cast(Mapping[str, tuple[tuple[str, str], ...]], _required(fields, "inputs", dict[str, object], at))
    always = dict.fromkeys(("prompt", "seed", "width", "height"), "every model")
    for parameter, promised in (always | dict(_needed(model))).items():
        if parameter not in places:
            raise at.at("inputs").at(parameter).wrong(f"is missing; {promised} needs it")
    return ComfyOptions(
        urls=_required(fields, "urls", tuple[str, ...], at),
        workflow=_required(fields, "workflow", str, at),
        output=_required(fields, "output", str, at),
        places=places,
        sampler=_optional(fields, "sampler", str),
        networks=_optional(fields, "networks", tuple[str, ...]) or (),
        key_env=_optional(fields, "key_env", str),
        timeout_s=_optional(fields, "timeout_s", float) or TIMEOUT_S,
    )


def _pipeline(model: Fields, where: _Where) -> PipelineOptions | None:
    """The table `diffusers`, which belongs to the engine of that name."""
    fields, is_diffusers = _optional(model, "diffusers", dict[str, object]), model.get("engine") is EngineKind.DIFFUSERS
    if fields is None:
        if is_diffusers:
            raise where.at("diffusers").wrong("is missing; the diffusers engine needs this table")
        return None
    where = where.at("diffusers")
    if not is_diffusers:
        raise where.wrong('is for models with engine = "diffusers"')
    folder, revision = _optional(fields, "folder", str), _optional(fields, "revision", str)
    if folder is None and "fetch" not in model and (revision is None or "repository" not in model):
        raise where.wrong("needs folder, or revision beside the model's repository, to know where the weights are")
    options = PipelineOptions(
        pipeline=_required(fields, "pipeline", str, where),
        folder=folder,
        revision=revision,
        variant=_optional(fields, "variant", str),
        dtype=_optional(fields, "dtype", Dtype) or Dtype.AUTO,
        device=_optional(fields, "device", Device) or Device.AUTO,
        offload=_optional(fields, "offload", Offload) or Offload.NONE,
        is_tiled=_optional(fields, "tiling", bool) or False,
        attention=_optional(fields, "attention", str),
        is_compiled=_optional(fields, "compile", bool) or False,
        quantisation=_optional(fields, "quantisation", Quantisation),
        quantised=_optional(fields, "quantised", tuple[str, ...]) or (),
        scheduler=_optional(fields, "scheduler", str),
        token_limit=_optional(fields, "token_limit", int),
        preview_decoder=_optional(fields, "preview_decoder", str),
    )
    refused = refusal(options)
    if refused is not None:
        raise where.at(refused[0]).wrong(refused[1])
    return options


def _size_rule(fields: Fields, where: _Where) -> SizeRule:
    rule = SizeRule(
        default=_required(fields, "default", tuple[int, int], where),
        multiple=_required(fields, "multiple", int, where),
        side_min=_required(fields, "side_min", int, where),
        side_max=_required(fields, "side_max", int, where),
        pixels_max=_required(fields, "pixels_max", int, where),
        only=_optional(fields, "only", tuple[tuple[int, int], ...]) or (),
    )
    if rule.only and rule.default not in rule.only:
        raise where.at("default").wrong("must be one of the sizes in only")
    for size in (rule.default, *rule.only):
        key = "default" if size == rule.default else "only"
        text = f"{size[0]}x{size[1]}"
        if any(side % rule.multiple for side in size):
            raise where.at(key).wrong(f"has {text}, whose sides are not multiples of {rule.multiple}")
        if not all(rule.side_min <= side <= rule.side_max for side in size):
            raise where.at(key).wrong(f"has {text}, whose sides are not from {rule.side_min} to {rule.side_max}")
        if math.prod(size) > rule.pixels_max:
            raise where.at(key).wrong(f"has {text}, which is more than the {rule.pixels_max} pixels of pixels_max")
    return rule


def _step_rule(fields: Fields, where: _Where) -> StepRule:
    rule = StepRule(
        minimum=_required(fields, "min", int, where),
        maximum=_required(fields, "max", int, where),
        draft=_required(fields, "draft", int, where),
        standard=_required(fields, "standard", int, where),
        high=_required(fields, "high", int, where),
    )
    if not rule.minimum <= rule.draft <= rule.standard <= rule.high <= rule.maximum:
        raise where.wrong("must rise in the order min, draft, standard, high, max")
    return rule


def _guidance_rule(fields: Fields, where: _Where) -> GuidanceRule:
    rule = GuidanceRule(
        minimum=_required(fields, "min", float, where),
        maximum=_required(fields, "max", float, where),
        default=_required(fields, "default", float, where),
    )
    if not rule.minimum <= rule.default <= rule.maximum:
        raise where.wrong("must rise in the order min, default, max")
    return rule


def _frame_rule(fields: Fields, where: _Where) -> FrameRule:
    rule = FrameRule(
        minimum=_required(fields, "min", int, where),
        maximum=_required(fields, "max", int, where),
        default=_required(fields, "default", int, where),
        per_second=_required(fields, "per_second", float, where),
    )
    if not 2 <= rule.minimum <= rule.default <= rule.maximum:
        raise where.wrong("must rise in the order min, default, max, from 2 on: a clip has more than one frame")
    return rule


def _check_alternatives(card: ModelCard, cards: Mapping[ModelId, ModelCard], where: _Where) -> None:
    for model_id in card.alternatives:
        if model_id == card.model_id:
            raise where.at("alternatives").wrong("names the model itself; leave it out")
        if model_id not in cards:
            raise where.at("alternatives").wrong(f"names {model_id}, which is not in the catalogue; add or remove it")


def _check_judge(card: ModelCard, cards: Mapping[ModelId, ModelCard], where: _Where) -> None:
    if card.alignment is not None:
        judge = cards.get(ModelId(card.alignment))
        if judge is None or "alignment" not in judge.tasks:
            raise where.at("alignment").wrong(f"names {card.alignment}, which is no model with the task alignment")


def _check_alias(name: str, target: str, cards: Mapping[ModelId, ModelCard], where: _Where) -> None:
    if ModelId(name) in cards:
        raise where.wrong("is also the name of a model; rename one of the two")
    if ModelId(target) not in cards:
        raise where.wrong(f"points to {target}, which is not in the catalogue; name one of its models")
