"""A parsed prompt in the words of one model: choices made, words mended, markup kept or taken out; all is reported."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.model_card import ModelCard, PromptDialect
from heliograph.domain.request import Adjustment
from heliograph.prompts.lowering import Lowered, chosen, lowered
from heliograph.prompts.luck import Luck
from heliograph.prompts.raw import RawRequest
from heliograph.prompts.tree import Flag, Nodes
from heliograph.prompts.values import shown
from heliograph.prompts.wording import corrected


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """For which model a prompt is read. `is_plain`: every character is what it is; `drops`: what the model cannot do is
    left out instead of refused; `seed` makes the choices.
    """

    card: ModelCard
    is_plain: bool
    drops: bool
    seed: int


_IN_WORDS: Mapping[str, tuple[str, str, str]] = {
    "weight": ("weights", "words alone", "The model reads language: its encoder knows no weights."),
    "break": ("breaks", "ends of sentences", "The model reads language: its encoder knows no chunks."),
    "and": ("joined prompts", "one prompt", "The model follows one prompt at a time."),
    "schedule": ("scheduled words", "the longer one", "No engine changes the prompt between steps."),
    "alternation": ("alternations", "joined by and", "No engine changes the prompt between steps."),
    "comment": ("comments", "left out", "A comment is not for the model."),
}


def read_prompt(nodes: Nodes, reading: Reading, changes: list[Adjustment], *, param: str) -> str:
    """The text that the model reads. Raises `InvalidRequest` for what it cannot do."""

    def note(requested: str, used: str, reason: str) -> None:
        changes.append(Adjustment(parameter=param, requested=requested, used=used, reason=reason))

    nodes, choices = chosen(nodes, Luck(reading.seed))
    if choices:
        note(f"{choices} choices", "drawn", "The seed draws from {a|b|c}; the same seed draws the same.")
    result = lowered(nodes, reading.card.prompt_dialect)
    _check_networks(result, reading, changes, param=param)
    for kind, (requested, used, reason) in _IN_WORDS.items():
        is_kept = kind == "break" and reading.card.prompt_dialect is PromptDialect.CLIP_TAGS
        if result.counts[kind] and not is_kept:
            note(f"{result.counts[kind]} {requested}", used, reason)
    if reading.is_plain:
        return result.text
    text, mended = corrected(result.text)
    if mended:
        note(f"{mended} words", "corrected", "Abbreviations and typing errors; prompt_syntax plain leaves them.")
    return text


def _check_networks(result: Lowered, reading: Reading, changes: list[Adjustment], *, param: str) -> None:
    for network in result.networks:
        name = shown(network.name)
        if not reading.drops:
            raise InvalidRequest(
                f"{param} asks for the {network.kind} {name}, and {reading.card.model_id} has none here. Take the tag "
                "out, or send on_unsupported: drop.",
                param=param,
                code="unsupported_parameter",
            )
        reason = f"{reading.card.model_id} has none of that name here."
        changes.append(Adjustment(parameter=param, requested=f"{network.kind} {name}", used="left out", reason=reason))


def with_flags(raw: RawRequest, flags: tuple[Flag, ...], changes: list[Adjustment]) -> RawRequest:
    """The request with what the prompt's flags ask for, where it does not say so itself; every flag is reported."""
    for flag in flags:
        typed = f"--{flag.name}"
        match flag.name:
            case "ar" | "aspect" if raw.size is None and raw.aspect_ratio is None:
                used, reason = flag.value, "The flag sets aspect_ratio."
                shape = flag.value.replace("x", ":").replace("/", ":").replace(" ", "")
                raw = replace(raw, aspect_ratio=shape)
            case "seed" if raw.seed is None:
                used, reason = flag.value, "The flag sets seed."
                raw = replace(raw, seed=int(flag.value))
            case "no" if raw.negative_prompt is None:
                used, reason = "negative_prompt", "The flag sets negative_prompt."
                raw = replace(raw, negative_prompt=flag.value)
            case "ar" | "aspect" | "seed" | "no":
                used, reason = "left out", "The request says it itself, and that counts."
            case _:
                used, reason = "left out", "No model here has this setting."
        changes.append(Adjustment(parameter="prompt", requested=typed[:40], used=used[:40], reason=reason))
    return raw
