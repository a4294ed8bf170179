"""The generation parameters written into a picture, in the text form that picture browsers and web UIs already read:

    a red boat on the sea
    Negative prompt: blurry
    Steps: 8, CFG scale: 3.5, Seed: 7, Size: 128x128, Model: helio-base, Version: heliograph 0.1.0

Prompts are free text of any number of lines, the last line is a list of settings. A value with a comma, colon, quote or
line break in it is a JSON string. A prompt that this form cannot carry exactly (one of its lines begins like a negative
prompt, or it begins or ends with white space) is repeated as a JSON string among the settings, where only we look for
it. A clip says `Frames: 12` behind its size, a picture that was enlarged says by how much and by what:
`Upscale: 2, Upscaler: helio-upscale`. The size is that of the file.

The sampler is not named: a model comes with its own, and the request does not choose one.
"""

import json
import re
from dataclasses import dataclass

_NEGATIVE = "Negative prompt: "
_EXACT_PROMPT = "Exact prompt"
_EXACT_NEGATIVE = "Exact negative prompt"
_SETTING = re.compile(r'\s*([^:,"]+): ("(?:[^"\\]|\\.)*"|[^,]*)(?:,|$)')


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureParameters:
    """What it takes to make one picture again. `seed` is that picture's own, `version` the software that made it."""

    prompt: str
    negative_prompt: str
    steps: int
    guidance: float
    seed: int
    width_px: int
    height_px: int
    model: str
    version: str
    frames: int = 1
    upscale: int = 1
    upscaler: str | None = None


def format_parameters(parameters: PictureParameters) -> str:
    """The text for `parameters`; `parse_parameters` gives them back unchanged, whatever the prompts hold."""
    text = _prompts(parameters) + settings_line(parameters)
    if parse_parameters(text) == parameters:
        return text
    exact = {_EXACT_PROMPT: parameters.prompt, _EXACT_NEGATIVE: parameters.negative_prompt}
    return ", ".join([text, *(f"{name}: {_quoted(value)}" for name, value in exact.items())])


def settings_line(parameters: PictureParameters) -> str:
    """The last line alone, without the prompts."""
    settings = {
        "Steps": str(parameters.steps),
        "CFG scale": f"{parameters.guidance!r}".removesuffix(".0"),
        "Seed": str(parameters.seed),
        "Size": f"{parameters.width_px}x{parameters.height_px}",
        **({"Frames": str(parameters.frames)} if parameters.frames > 1 else {}),
        **({"Upscale": str(parameters.upscale)} if parameters.upscale > 1 else {}),
        **({"Upscaler": parameters.upscaler} if parameters.upscaler is not None else {}),
        "Model": parameters.model,
        "Version": parameters.version,
    }
    return ", ".join(f"{name}: {_plain(value)}" for name, value in settings.items())


def parse_parameters(text: str) -> PictureParameters | None:
    """The parameters in `text`, or None if it is not of this form or lacks one of our settings."""
    *lines, last = text.split("\n")
    negative_at = next((number for number, line in enumerate(lines) if line.startswith(_NEGATIVE)), len(lines))
    try:
        settings = {name: _unquoted(value) for name, value in _SETTING.findall(last)}
        width, _, height = settings["Size"].partition("x")
        return PictureParameters(
            prompt=settings.get(_EXACT_PROMPT, "\n".join(lines[:negative_at]).strip()),
            negative_prompt=settings.get(
                _EXACT_NEGATIVE, "\n".join(lines[negative_at:]).removeprefix(_NEGATIVE).strip()
            ),
            steps=int(settings["Steps"]),
            guidance=float(settings["CFG scale"]),
            seed=int(settings["Seed"]),
            width_px=int(width),
            height_px=int(height),
            model=settings["Model"],
            version=settings["Version"],
            frames=int(settings.get("Frames", "1")),
            upscale=int(settings.get("Upscale", "1")),
            upscaler=settings.get("Upscaler"),
        )
    except (KeyError, ValueError):
        return None


def _prompts(parameters: PictureParameters) -> str:
    negative = f"{_NEGATIVE}{parameters.negative_prompt}\n" if parameters.negative_prompt else ""
    return f"{parameters.prompt}\n{negative}"


def _plain(value: str) -> str:
    is_plain = value == value.strip() and not re.search(r'[,:"\n]', value)
    return value if is_plain else _quoted(value)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _unquoted(value: str) -> str:
    """The string that `value` stands for. Raises `ValueError` for a broken quotation."""
    return str(json.loads(value)) if value.startswith('"') else value.strip()
