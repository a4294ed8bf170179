"""Settings out of what other tools write into pictures and onto clipboards, in the words of `POST /v1/jobs`.

    A1111, Forge, SD.Next, ourselves   lines of prompt, `Negative prompt: …`, a last line of `Name: value, …`
    ComfyUI                            the graph of nodes as JSON, as its API takes it or as its editor saves it
    InvokeAI                           a flat JSON object (`invokeai_metadata`), before version 3 a nested one
    SwarmUI                            a JSON object `{"sui_image_params": {…}}`

What is found is a proposal: nothing is checked against a model here (`fitting.py` does that), and what no request has
a field for is listed, not dropped in silence. Texts come from anywhere, so nothing in them is taken for what it should
be.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

from heliograph.domain.request import SEED_MAX
from heliograph.prompts.text import CHARACTERS_MAX

NODES_MAX = 2_000
HOPS_MAX = 64
"""Nodes between a sampler and what it leads back to."""
LEFT_OUT_MAX = 60
_SHOWN_MAX = 200

_NEGATIVE = re.compile(r"^\s*negative prompt:\s?", re.IGNORECASE)
_PAIR = re.compile(r'([A-Za-z][\w +/.-]{0,60}):\s*("(?:[^"\\]|\\.)*"|[^,]*)(?:,|$)')
_SIZE = re.compile(r"([0-9]{1,6})\s*x\s*([0-9]{1,6})")
_WEIGHTS_FILE = re.compile(r"\.(safetensors|ckpt|pt|pth|gguf|sft)$", re.IGNORECASE)


class Tool(StrEnum):
    """Who wrote the settings."""

    HELIOGRAPH = "heliograph"
    A1111 = "a1111"
    COMFYUI = "comfyui"
    INVOKEAI = "invokeai"
    SWARMUI = "swarmui"


_SYNTAX: Mapping[Tool, str] = {
    Tool.A1111: "a1111",
    Tool.COMFYUI: "comfyui",
    Tool.INVOKEAI: "compel",
    Tool.SWARMUI: "swarm",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSettings:
    """What was found. `fields` have the names and types of a job's; `model` is as the tool called it.

    `left_out` are settings that no request has a field for, by the tool's own names.
    """

    tool: Tool
    fields: Mapping[str, object]
    model: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])


def found_settings(notes: Mapping[str, str]) -> FoundSettings | None:
    """The settings in a picture's notes by name, or in a text (whatever its name); None where there are none."""
    for text in _likeliest_first(notes):
        found = _of_json(text) if text.lstrip()[:1] == "{" else _of_infotext(text)
        if found is not None:
            return found
    return None


def _likeliest_first(notes: Mapping[str, str]) -> list[str]:
    """ComfyUI writes the graph twice, and the one for its API (`prompt`) says more; other tools write one note."""
    order = ("parameters", "invokeai_metadata", "sd-metadata", "prompt", "workflow")
    names = [*(name for name in order if name in notes), *(name for name in notes if name not in order)]
    return [notes[name] for name in names]


class _Draft:
    """Fields as they are gathered: only values of the right kind get in, the rest is left out by its own name."""

    def __init__(self, tool: Tool) -> None:
        self.tool = tool
        self.fields: dict[str, object] = {}
        self.model: str | None = None
        self.left_out: dict[str, str] = {}

    def text(self, name: str, value: object) -> None:
        if isinstance(value, str) and value.strip():
            self.fields[name] = value.strip()[:CHARACTERS_MAX]

    def whole(self, name: str, value: object, *, theirs: str, most: int) -> None:
        number = _number(value)
        if number is None:
            return
        if number.is_integer() and 0 <= number <= most:
            self.fields[name] = int(number)
        else:
            self.leave(theirs, value)

    def number(self, name: str, value: object) -> None:
        number = _number(value)
        if number is not None:
            self.fields[name] = int(number) if number.is_integer() else number

    def size(self, width: object, height: object) -> None:
        sides = _number(width), _number(height)
        if all(side is not None and 0 < side < 100_000 and side.is_integer() for side in sides):
            self.fields["size"] = "x".join(str(int(side or 0)) for side in sides)

    def leave(self, name: str, value: object) -> None:
        if len(self.left_out) < LEFT_OUT_MAX:
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            self.left_out[name[:60]] = shown[:_SHOWN_MAX]

    def seed(self, value: object) -> None:
        self.whole("seed", value, theirs="seed", most=SEED_MAX)

    def finished(self) -> FoundSettings | None:
        if not {"prompt", "steps", "seed"} & set(self.fields):
            return None
        syntax = _SYNTAX.get(self.tool)
        if syntax is not None and "prompt" in self.fields:
            self.fields["prompt_syntax"] = syntax
        return FoundSettings(tool=self.tool, fields=self.fields, model=self.model, left_out=self.left_out)


# --- lines of text ---------------------------------------------------------------------------------------------------

_INFOTEXT_KNOWN = frozenset({"steps", "cfg scale", "seed", "size", "model", "frames", "upscale", "version"})
_EXACT = {"exact prompt": "prompt", "exact negative prompt": "negative_prompt"}


def _of_infotext(text: str) -> FoundSettings | None:
    lines = text.strip().split("\n")
    pairs = {name.strip().lower(): (name.strip(), value) for name, value in _PAIR.findall(lines[-1])}
    if not {"steps", "seed"} & set(pairs) or len(pairs) < 3:
        return None
    values = {key: _unquoted(value) for key, (_, value) in pairs.items()}
    is_ours = values.get("version", "").startswith("heliograph ")
    draft = _Draft(Tool.HELIOGRAPH if is_ours else Tool.A1111)
    negative_at = next((number for number, line in enumerate(lines) if _NEGATIVE.match(line)), len(lines) - 1)
    draft.text("prompt", "\n".join(lines[:negative_at]))
    draft.text("negative_prompt", _NEGATIVE.sub("", "\n".join(lines[negative_at:-1])))
    for exact, name in _EXACT.items():
        if exact in values:
            draft.fields[name] = values[exact][:CHARACTERS_MAX]
    draft.whole("steps", values.get("steps"), theirs="Steps", most=10_000)
    draft.number("guidance_scale", values.get("cfg scale"))
    draft.seed(values.get("seed"))
    size = _SIZE.fullmatch(values.get("size", "").strip())
    if size is not None:
        draft.size(size[1], size[2])
    if "frames" in values:
        draft.whole("frames", values["frames"], theirs="Frames", most=10_000)
    draft.model = values.get("model") or None
    for key, (name, _) in pairs.items():
        is_taken = key in _INFOTEXT_KNOWN or key in _EXACT
        if not is_taken and not (is_ours and key == "upscaler"):
            draft.leave(name, values[key])
    if is_ours and draft.fields.get("negative_prompt") == "":
        del draft.fields["negative_prompt"]
    return draft.finished()


def _unquoted(value: str) -> str:
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            return value.strip('"')
    return value.strip()


# --- JSON ------------------------------------------------------------------------------------------------------------


def _of_json(text: str) -> FoundSettings | None:
    try:
        parsed: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict):
        return None
    data = cast("dict[str, object]", parsed)
    swarm = data.get("sui_image_params")
    if isinstance(swarm, dict):
        return _of_swarm(cast("dict[str, object]", swarm))
    if "positive_prompt" in data or "generation_mode" in data:
        return _of_invoke(data)
    if isinstance(data.get("image"), dict) and "model_weights" in data:
        return _of_old_invoke(data)
    for wrapped in ("prompt", "workflow", "extra_pnginfo"):  # files that bundle the graph with more
        inner = data.get(wrapped)
        if isinstance(inner, dict):
            data = cast("dict[str, object]", inner)
    nodes = _nodes_of_editor(data) if isinstance(data.get("nodes"), list) else _nodes_of_api(data)
    return None if not nodes else _Graph(nodes).settings()


_SWARM_KNOWN = frozenset(
    {"prompt", "negativeprompt", "steps", "cfgscale", "seed", "width", "height", "model", "images", "frames"}
)


def _of_swarm(data: Mapping[str, object]) -> FoundSettings | None:
    draft = _Draft(Tool.SWARMUI)
    draft.text("prompt", data.get("prompt"))
    draft.text("negative_prompt", data.get("negativeprompt"))
    draft.whole("steps", data.get("steps"), theirs="steps", most=10_000)
    draft.number("guidance_scale", data.get("cfgscale"))
    draft.seed(data.get("seed"))
    draft.size(data.get("width"), data.get("height"))
    draft.model = _name(data.get("model"))
    for name, value in data.items():
        if name not in _SWARM_KNOWN:
            draft.leave(name, value)
    return draft.finished()


_INVOKE_KNOWN = frozenset(
    {"positive_prompt", "negative_prompt", "steps", "cfg_scale", "guidance", "seed", "width", "height", "model"}
)


def _of_invoke(data: Mapping[str, object]) -> FoundSettings | None:
    draft = _Draft(Tool.INVOKEAI)
    draft.text("prompt", data.get("positive_prompt"))
    draft.text("negative_prompt", data.get("negative_prompt"))
    draft.whole("steps", data.get("steps"), theirs="steps", most=10_000)
    draft.number("guidance_scale", data.get("guidance") if data.get("guidance") is not None else data.get("cfg_scale"))
    draft.seed(data.get("seed"))
    draft.size(data.get("width"), data.get("height"))
    draft.model = _name(data.get("model"))
    for name, value in data.items():
        if name not in _INVOKE_KNOWN and value not in (None, [], ""):
            draft.leave(name, value)
    return draft.finished()


def _of_old_invoke(data: Mapping[str, object]) -> FoundSettings | None:
    image = cast("Mapping[str, object]", data["image"])
    draft = _Draft(Tool.INVOKEAI)
    prompt = image.get("prompt")
    if isinstance(prompt, list):
        parts = [_mapping(part).get("prompt") for part in cast("list[object]", prompt)]
        prompt = " ".join(part for part in parts if isinstance(part, str))
    draft.text("prompt", prompt)
    draft.whole("steps", image.get("steps"), theirs="steps", most=10_000)
    draft.number("guidance_scale", image.get("cfg_scale"))
    draft.seed(image.get("seed"))
    draft.size(image.get("width"), image.get("height"))
    draft.model = _name(data.get("model_weights"))
    for name in ("sampler", "threshold", "perlin", "postprocessing", "variations"):
        if image.get(name):
            draft.leave(name, image[name])
    return draft.finished()


# --- ComfyUI's graph -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Node:
    kind: str
    inputs: Mapping[str, object]


_WIDGETS: Mapping[str, tuple[str | None, ...]] = {
    "KSampler": ("seed", None, "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": (None, "noise_seed", None, "steps", "cfg", "sampler_name", "scheduler"),
    "CLIPTextEncode": ("text",),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "UNETLoader": ("unet_name", "weight_dtype"),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "FluxGuidance": ("guidance",),
    "RandomNoise": ("noise_seed",),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "KSamplerSelect": ("sampler_name",),
}
"""The editor saves values by position: those of the nodes that most graphs are made of."""


def _nodes_of_api(data: Mapping[str, object]) -> dict[str, _Node]:
    nodes: dict[str, _Node] = {}
    for number, value in list(data.items())[:NODES_MAX]:
        node = _mapping(value)
        kind, inputs = node.get("class_type"), node.get("inputs")
        if isinstance(kind, str) and isinstance(inputs, dict):
            nodes[number] = _Node(kind, cast("dict[str, object]", inputs))
    return nodes


def _nodes_of_editor(data: Mapping[str, object]) -> dict[str, _Node]:
    links: dict[object, list[object]] = {}
    for link in _sequence(data.get("links"))[: 10 * NODES_MAX]:
        parts = _sequence(link)
        if len(parts) >= 3 and isinstance(parts[0], int):
            links[parts[0]] = [str(parts[1]), parts[2]]
    nodes: dict[str, _Node] = {}
    for value in _sequence(data.get("nodes"))[:NODES_MAX]:
        node = _mapping(value)
        kind, number = node.get("type"), node.get("id")
        if not isinstance(kind, str) or not isinstance(number, int | str):
            continue
        named: dict[str, object] = {}
        widgets = _sequence(node.get("widgets_values"))
        places = zip(_WIDGETS.get(kind, ()), widgets, strict=False)
        named |= {name: widget for name, widget in places if name is not None}
        for entry in map(_mapping, _sequence(node.get("inputs"))[:100]):
            name, link = entry.get("name"), entry.get("link")
            if isinstance(name, str) and isinstance(link, int) and link in links:
                named[name] = links[link]
        nodes[str(number)] = _Node(kind, named)
    return nodes


class _Graph:
    """Leads back from the sampler, along links, to what it was given."""

    def __init__(self, nodes: Mapping[str, _Node]) -> None:
        self._nodes = nodes

    def settings(self) -> FoundSettings | None:
        sampler = self._sampler()
        if sampler is None:
            return None
        draft = _Draft(Tool.COMFYUI)
        guider = self._node(sampler.inputs.get("guider")) or sampler
        positive = guider.inputs.get("positive", guider.inputs.get("conditioning"))
        draft.text("prompt", self._prompt(positive))
        draft.text("negative_prompt", self._prompt(guider.inputs.get("negative")))
        sigmas = self._node(sampler.inputs.get("sigmas"))
        noise = self._node(sampler.inputs.get("noise"))
        steps = self._value(sampler, "steps") if sigmas is None else self._value(sigmas, "steps")
        draft.whole("steps", steps, theirs="steps", most=10_000)
        embedded = self._along(positive, ("guidance",), ("conditioning", "positive"))
        cfg = self._value(guider, "cfg")
        draft.number("guidance_scale", embedded if embedded is not None else cfg)
        for holder, name in ((sampler, "seed"), (sampler, "noise_seed"), (noise, "noise_seed")):
            if holder is not None and "seed" not in draft.fields:
                draft.seed(self._value(holder, name))
        latent = self._node(self._origin(sampler.inputs.get("latent_image", sampler.inputs.get("samples"))))
        if latent is not None:
            draft.size(self._value(latent, "width"), self._value(latent, "height"))
        self._model(guider.inputs.get("model", sampler.inputs.get("model")), draft)
        for holder in (sampler, sigmas, self._node(sampler.inputs.get("sampler"))):
            for name in ("sampler_name", "scheduler", "denoise"):
                value = None if holder is None else self._value(holder, name)
                if value is not None and not (name == "denoise" and value == 1):
                    draft.leave(name, value)
        return draft.finished()

    def _sampler(self) -> _Node | None:
        """The first sampler: in graphs with several, the later ones refine what it made."""
        samplers = [node for node in self._nodes.values() if _is_sampler(node)]
        made_from_noise = [node for node in samplers if self._starts_empty(node)]
        return next(iter(made_from_noise or samplers), None)

    def _starts_empty(self, node: _Node) -> bool:
        latent = self._node(self._origin(node.inputs.get("latent_image")))
        return latent is not None and "width" in latent.inputs

    def _node(self, link: object) -> _Node | None:
        """The node that a link `[number, output]` comes from."""
        parts = _sequence(link)
        return self._nodes.get(str(parts[0])) if len(parts) == 2 else None

    def _value(self, node: _Node, name: str) -> object:
        """A value, or that of the node it is linked from."""
        value = node.inputs.get(name)
        for _ in range(HOPS_MAX):
            origin = self._node(value)
            if origin is None:
                return None if isinstance(value, list | dict) else value
            names = (name, "value", "text", "string", "int", "float", "seed", "number")
            value = next((origin.inputs[each] for each in names if each in origin.inputs), None)
        return None

    def _prompt(self, link: object) -> str | None:
        """The text that a conditioning was made from; several that are combined are joined."""
        texts: list[str] = []
        waiting, seen = [link], 0
        while waiting and seen < HOPS_MAX:
            seen += 1
            node = self._node(waiting.pop(0))
            if node is None:
                continue
            found = [self._value(node, name) for name in ("text", "t5xxl", "text_g", "prompt", "text_l", "clip_l")]
            written = next((each for each in found if isinstance(each, str) and each.strip()), None)
            if written is not None:
                texts += [] if written in texts else [written]
                continue
            waiting += [value for name, value in node.inputs.items() if name.startswith(("conditioning", "positive"))]
        return ", ".join(texts) or None

    def _along(self, link: object, names: tuple[str, ...], follows: tuple[str, ...]) -> object:
        """The first value of these names on the way back along links of those names."""
        for _ in range(HOPS_MAX):
            node = self._node(link)
            if node is None:
                return None
            for name in names:
                value = self._value(node, name)
                if _number(value) is not None:
                    return value
            link = next((node.inputs[name] for name in follows if name in node.inputs), None)
        return None

    def _origin(self, link: object) -> object:
        """The link to the node where a latent begins, behind nodes that only pass it on."""
        for _ in range(HOPS_MAX):
            node = self._node(link)
            if node is None or "width" in node.inputs:
                return link
            following = node.inputs.get("samples", node.inputs.get("latent", node.inputs.get("latent_image")))
            if self._node(following) is None:
                return link
            link = following
        return None

    def _model(self, link: object, draft: _Draft) -> None:
        for _ in range(HOPS_MAX):
            node = self._node(link)
            if node is None:
                return
            if "lora_name" in node.inputs:
                draft.leave(f"lora {node.inputs['lora_name']}", self._value(node, "strength_model"))
            for name in ("ckpt_name", "unet_name", "model_name", "gguf_name"):
                found = _name(self._value(node, name))
                if found is not None:
                    draft.model = found
                    return
            link = node.inputs.get("model")


def _is_sampler(node: _Node) -> bool:
    return "sampler" in node.kind.lower() and bool({"latent_image", "positive", "guider"} & set(node.inputs))


# --- values nobody vouches for ---------------------------------------------------------------------------------------


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def _sequence(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _number(value: object) -> float | None:
    """A finite number, also one in text; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _name(value: object) -> str | None:
    """A model's name out of a text, or of an object that has one."""
    if isinstance(value, dict):
        named = cast("Mapping[str, object]", value)
        value = named.get("name") or named.get("model_name")
    return value.strip()[:_SHOWN_MAX] or None if isinstance(value, str) else None


def bare_model_name(name: str) -> str:
    """A model's name without the folder and the ending of its file."""
    return _WEIGHTS_FILE.sub("", re.split(r"[\\/]", name)[-1])
