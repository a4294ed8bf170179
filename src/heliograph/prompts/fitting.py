"""Settings that were found elsewhere, fitted to a model here: the closest it can do, with everything changed listed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.model_card import ModelCard
from heliograph.domain.request import Adjustment
from heliograph.prompts.importing import FoundSettings, bare_model_name, found_settings
from heliograph.prompts.sizes import closest_size, exact_size, size_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Settings to fill a form or a request with; `card` is the model they were fitted to, None: to none."""

    found: FoundSettings
    fields: Mapping[str, object]
    card: ModelCard | None
    changes: tuple[Adjustment, ...]


def settings_in(
    notes: Mapping[str, str],
    *,
    param: str,
    asked: ModelCard | None,
    find: Callable[[str], ModelCard | None],
) -> Imported:
    """The settings in notes, fitted to the model they name, if `find` has it, or else to `asked`.

    Raises `InvalidRequest` naming `param` where there are none.
    """
    found = found_settings(notes)
    if found is None:
        raise InvalidRequest(
            f"There are no settings in {param} that A1111, ComfyUI, InvokeAI, SwarmUI or Heliograph wrote.",
            param=param,
            code="no_settings_found",
        )
    own = None if found.model is None else find(found.model) or find(bare_model_name(found.model))
    return fitted(found, own or asked)


def fitted(found: FoundSettings, card: ModelCard | None) -> Imported:
    """What was found, within what the model of `card` takes."""
    if card is None:
        return Imported(found=found, fields=found.fields, card=None, changes=())
    changes: list[Adjustment] = []
    fields: dict[str, object] = dict(found.fields)

    def change(name: str, used: object, reason: str) -> None:
        before = "set" if name.endswith("prompt") else str(fields[name])
        changes.append(Adjustment(parameter=name, requested=before, used=str(used), reason=reason))

    size = fields.get("size")
    if isinstance(size, str):
        closest = _legal_size(size, card)
        if closest != size:
            change("size", closest, f"The closest size of {card.model_id}.")
            fields["size"] = closest
    if "frames" in fields and card.frames is None:
        change("frames", "left out", f"{card.model_id} makes stills.")
        del fields["frames"]
    if "negative_prompt" in fields and not card.supports_negative_prompt:
        change("negative_prompt", "left out", f"{card.model_id} has no negative prompt.")
        del fields["negative_prompt"]
    if "guidance_scale" in fields and card.guidance is None:
        change("guidance_scale", "left out", f"{card.model_id} has no guidance to set.")
        del fields["guidance_scale"]
    ranges: dict[str, tuple[float, float]] = {"steps": (card.steps.minimum, card.steps.maximum)}
    if card.guidance is not None:
        ranges["guidance_scale"] = (card.guidance.minimum, card.guidance.maximum)
    if card.frames is not None:
        ranges["frames"] = (card.frames.minimum, card.frames.maximum)
    for name, (least, most) in ranges.items():
        value = fields.get(name)
        if isinstance(value, int | float) and not least <= value <= most:
            nearest = least if value < least else most
            change(name, f"{nearest:g}", f"{card.model_id} takes {least:g} to {most:g}.")
            fields[name] = nearest
    return Imported(found=found, fields=fields, card=card, changes=tuple(changes))


def _legal_size(size: str, card: ModelCard) -> str:
    factors = (1, *card.upscale)
    try:
        legal, _ = exact_size(size, card.sizes, model=card.model_id, factors=factors)
    except InvalidRequest:
        width, _, height = size.partition("x")
        return size_text(closest_size(float(width), float(height), card.sizes))
    return size_text(legal)
