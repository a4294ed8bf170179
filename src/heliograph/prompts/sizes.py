"""Picture sizes: reading them, holding them against a model's rule, and finding the closest legal one."""

import math
import re
from collections.abc import Iterator, Sequence

from heliograph.domain.model_card import SizeRule
from heliograph.prompts.values import invalid, shown

ASPECT_FACTOR_MAX = 1.5
"""How far the closest legal shape may be from the requested one: its aspect ratio divided by the requested one."""

_SHAPE_WEIGHT = 4.0
"""A wrong shape spoils a picture, a wrong area only makes it larger or smaller: 1 % of shape weighs as 4 % of area."""

_SIZE = re.compile(r"(-?[0-9]{1,9})[x×](-?[0-9]{1,9})")
_RATIO = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,4})?):([0-9]{1,5}(?:\.[0-9]{1,4})?)")


def exact_size(
    value: object, rule: SizeRule, *, model: str, factors: Sequence[int] = (1,)
) -> tuple[tuple[int, int], int]:
    """The size written `WIDTHxHEIGHT`, and the first of `factors` by which it is larger than one the rule allows."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        example = size_text(rule.default)
        raise invalid("size", f'size must be "auto" or width x height like "{example}", not {shown(value)}.')
    width, height = int(match[1]), int(match[2])
    for factor in factors:
        is_divisible = not width % factor and not height % factor
        if is_divisible and _problem((width // factor, height // factor), rule) is None:
            return (width, height), factor
    problem = _problem((width, height), rule) or "that size is not enlarged from any"
    larger = " or ".join(str(factor) for factor in factors if factor > 1)
    also = f", which can be enlarged {larger} times" if larger else ""
    closest = size_text(closest_size(max(width, 1), max(height, 1), rule, factors=factors))
    raise invalid(
        "size", f"{model} cannot make {size_text((width, height))}: {problem}{also}. The closest is {closest}."
    )


def size_of_shape(value: object, rule: SizeRule, *, model: str) -> tuple[int, int]:
    """The legal size closest to the shape written `WIDTH:HEIGHT`, with about as many pixels as the default size."""
    match = _RATIO.fullmatch(value) if isinstance(value, str) else None
    if match is None or not float(match[1]) or not float(match[2]):
        raise invalid("aspect_ratio", f'aspect_ratio must be like "3:2" with numbers above 0, not {shown(value)}.')
    ratio = float(match[1]) / float(match[2])
    area = math.prod(rule.default)
    closest = closest_size(math.sqrt(area * ratio), math.sqrt(area / ratio), rule)
    if abs(math.log(closest[0] / closest[1] / ratio)) > math.log(ASPECT_FACTOR_MAX):
        raise invalid("aspect_ratio", f"{model} cannot make {value}: its closest size is {size_text(closest)}.")
    return closest


def closest_size(width: float, height: float, rule: SizeRule, *, factors: Sequence[int] = (1,)) -> tuple[int, int]:
    """The size closest to `width` x `height` in shape and area; the first (narrowest) of equals.

    It is one that the rule allows, enlarged by one of `factors`.
    """

    def distance(size: tuple[int, int]) -> float:
        shape_error = abs(math.log(size[0] / size[1]) - math.log(width / height))
        area_error = abs(math.log(size[0] * size[1]) - math.log(width * height))
        return _SHAPE_WEIGHT * shape_error + area_error

    made = rule.only or tuple(_candidates(width / height, rule))
    return min(((wide * factor, high * factor) for factor in factors for wide, high in made), key=distance)


def size_text(size: tuple[int, int]) -> str:
    """For example `128x96`."""
    return f"{size[0]}x{size[1]}"


def _candidates(ratio: float, rule: SizeRule) -> Iterator[tuple[int, int]]:
    """For each legal width the legal heights just below and above the ratio, and the default size."""
    yield rule.default
    lowest = math.ceil(rule.side_min / rule.multiple) * rule.multiple
    for width in range(lowest, rule.side_max + 1, rule.multiple):
        highest = min(rule.side_max, rule.pixels_max // width) // rule.multiple * rule.multiple
        if highest < lowest:
            break
        below = min(max(math.floor(width / ratio / rule.multiple) * rule.multiple, lowest), highest)
        yield width, below
        yield width, min(below + rule.multiple, highest)


def _problem(size: tuple[int, int], rule: SizeRule) -> str | None:
    """Why the rule forbids the size, as the middle of a sentence; None when it is legal."""
    if rule.only:
        return None if size in rule.only else f"it makes {', '.join(map(size_text, rule.only))}"
    if not all(rule.side_min <= side <= rule.side_max for side in size):
        return f"each side must be from {rule.side_min} to {rule.side_max} pixels"
    if any(side % rule.multiple for side in size):
        return f"each side must be a multiple of {rule.multiple}"
    if math.prod(size) > rule.pixels_max:
        return f"width times height must be at most {rule.pixels_max:,}"
    return None
