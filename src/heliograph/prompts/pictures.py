"""What a request may start from: how many pictures, a mask or not, and how far the result may leave them."""

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.intake import GivenInputs, TakenInputs
from heliograph.domain.model_card import ModelCard, SizeRule
from heliograph.domain.request import Adjustment, Inputs
from heliograph.prompts.sizes import closest_size
from heliograph.prompts.values import number, shown

EDIT, INPAINT, FROM_PICTURE, MOVING = "edit", "inpaint", "i2i", "i2v"
STRENGTH = {FROM_PICTURE: 0.75, INPAINT: 0.9}
"""Where none was sent: far enough for the prompt to show, near enough for the picture to be known again."""


def refuse_surplus(given: GivenInputs, card: ModelCard, task: str) -> None:
    """Raise `InvalidRequest` for more pictures than the task has a use for: before any of them is fetched or read."""
    if len(given.images) > 1 and task != EDIT:
        message = f"{card.model_id} starts from one picture, not from {len(given.images)}."
        raise InvalidRequest(message, param=f"{given.prefix}image", code="invalid_inputs")


def checked_inputs(taken: TakenInputs, card: ModelCard, task: str, changes: list[Adjustment], *, drops: bool) -> Inputs:
    """The inputs of a request for `task`. Raises `InvalidRequest` for what the task has no use for.

    With `drops` what it has no use for is left out instead.
    """
    strength_name = f"{taken.prefix}strength"
    changes += taken.changes
    strength: float | None = None
    if task in STRENGTH:
        strength = STRENGTH[task]
        if taken.strength is not None:
            strength = _strength(taken.strength, strength_name)
        else:
            reason = "How far the result may leave the picture; 1 keeps nothing of it."
            changes.append(Adjustment(parameter=strength_name, requested="unset", used=f"{strength:g}", reason=reason))
    elif taken.strength is not None:
        reason = f"{card.model_id} looks at its pictures and has no strength to set."
        if not drops and not taken.is_wish:
            raise InvalidRequest(f"{reason} Leave it out.", param=strength_name, code="unsupported_parameter")
        changes.append(
            Adjustment(parameter=strength_name, requested=shown(taken.strength), used="left out", reason=reason)
        )
    return Inputs(images=taken.images, mask=taken.mask, strength=strength)


def size_of_picture(taken: TakenInputs, rule: SizeRule) -> tuple[int, int]:
    """The model's size closest in shape to the first picture, with about as many pixels as its default."""
    first = taken.images[0]
    scale = (rule.default[0] * rule.default[1] / (first.width_px * first.height_px)) ** 0.5
    return closest_size(first.width_px * scale, first.height_px * scale, rule)


def note_cropping(taken: TakenInputs, size: tuple[int, int], changes: list[Adjustment]) -> None:
    """Say that a picture is cut to another shape, where it is by more than a rounding."""
    first = taken.images[0]
    ratio = (first.width_px / first.height_px) / (size[0] / size[1])
    if not 0.99 < ratio < 1.01:
        changes.append(
            Adjustment(
                parameter=f"{taken.prefix}image",
                requested=f"{first.width_px}x{first.height_px}",
                used=f"{size[0]}x{size[1]}",
                reason="Cropped at the middle to the shape of the result.",
            )
        )


def _strength(value: object, param: str) -> float:
    try:
        return number(value, param=param, minimum=0.01, maximum=1.0)
    except InvalidRequest as error:
        raise InvalidRequest(error.message, param=param, code="invalid_strength") from error
