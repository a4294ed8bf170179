"""From what arrived to what will run: every parameter checked against the model's card, every change listed.

This is the one place of truth for parameter checks; the HTTP façades and the command line only carry values here.
A value the model cannot honour is refused by name, never dropped. Defaults taken from the card are not changes, except
where the user could be surprised by them: the size and the seed.
"""

import re
from collections.abc import Callable, Mapping

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.intake import TakenInputs
from heliograph.domain.model_card import UPSCALER, ModelCard
from heliograph.domain.request import CLIP_FORMATS, SEED_MAX, Adjustment, GenerationRequest, OutputFormat, Quality
from heliograph.prompts.parsing import detected, parse
from heliograph.prompts.pictures import checked_inputs, note_cropping, size_of_picture
from heliograph.prompts.presets import StylePreset, styles_for
from heliograph.prompts.raw import RawRequest
from heliograph.prompts.reading import Reading, read_prompt, with_flags
from heliograph.prompts.sizes import exact_size, size_of_shape, size_text
from heliograph.prompts.text import clean_text, is_blank
from heliograph.prompts.tree import Syntax
from heliograph.prompts.values import choice, invalid, number, shown, whole_number

IMAGES_MAX = 10
"""Most pictures one request may ask for; the bound OpenAI's clients know."""

FRAMES_MAX = 10_000
"""No number beyond this is one of frames, whatever the model."""

PIXELS_MAX = 80_000_000
"""Most pixels of one request, all its pictures and frames together: what fits one message of a worker, 240 MB."""

OUTPUT_QUALITY_DEFAULT = 90
UNKNOWN_WORDS_SHOWN_MAX = 5
UPSCALE_MAX = 4
_PHRASE_END = re.compile(r"(?<=\S)(?=[,.;!?](?:\s|$))")
_WORD_END = re.compile(r"(?<=\S)(?=\s)")
NO_GUIDANCE = 0.0
"""`GenerationRequest.guidance` for a model that has no such knob."""


def prepare(
    raw: RawRequest,
    card: ModelCard,
    *,
    presets: Mapping[str, StylePreset],
    count_tokens: Callable[[str], int] | None,
    draw_seed: Callable[[], int],
    unknown_words: Callable[[str], tuple[str, ...]] | None = None,
    task: str = "",
    taken: TakenInputs | None = None,
) -> GenerationRequest:
    """The checked request for the model of `card`, or `InvalidRequest` naming the parameter and the fix.

    `count_tokens` counts as the card's `token_limit` does, start and end markers included; with None the limit is not
    checked and `prompt_tokens` is 0. `draw_seed` gives a seed from 0 to `SEED_MAX`, asked only when none was sent.
    `unknown_words` finds words the model never saw in training. `taken` are the pictures that the request starts from
    and `task` is what they are for.
    """
    changes: list[Adjustment] = []
    drops = raw.on_unsupported is not None and (
        choice(raw.on_unsupported, param="on_unsupported", choices=("refuse", "drop")) == "drop"
    )
    shortens = raw.on_overflow is not None and (
        choice(raw.on_overflow, param="on_overflow", choices=("refuse", "shorten")) == "shorten"
    )
    given = raw
    text = _prompt(raw.prompt, changes)
    syntax = _syntax(raw.prompt_syntax)
    tree = parse(text, syntax)
    raw = with_flags(raw, tree.flags, changes)
    drawn: list[Adjustment] = []
    seed = _seed(raw.seed, draw_seed, drawn)
    reading = Reading(card=card, is_plain=syntax is Syntax.PLAIN, drops=drops, seed=seed)
    prompt = read_prompt(tree.nodes, reading, changes, param="prompt")
    if is_blank(prompt):
        raise invalid("prompt", "prompt has no words besides its markup: say what the picture should show.")
    _note_unknown_words(prompt, unknown_words, changes)
    negative_prompt = _negative_prompt(raw.negative_prompt, reading, syntax, changes)
    style = _style(raw.style, card, presets)
    if style is not None:
        prompt, negative_prompt = _styled(prompt, negative_prompt, style, card, changes)
    if shortens and count_tokens is not None:
        prompt = _shortened(prompt, card, count_tokens, changes, param="prompt")
        negative_prompt = _shortened(negative_prompt, card, count_tokens, changes, param="negative_prompt")
    prompt_tokens = _checked_tokens(prompt, card, count_tokens, param="prompt")
    _checked_tokens(negative_prompt, card, count_tokens, param="negative_prompt")
    (width_px, height_px), upscale = _size(raw, card, changes, taken)
    inputs = None
    if taken is not None:
        inputs = checked_inputs(taken, card, task, changes, drops=drops)
        note_cropping(taken, (width_px, height_px), changes)
    steps, quality = _effort(raw, card, changes)
    guidance = _guidance(raw.guidance_scale, card)
    if negative_prompt and 0 < guidance <= 1:
        changes.append(_without_effect(guidance))
    image_count = 1 if raw.n is None else whole_number(raw.n, param="n", minimum=1, maximum=IMAGES_MAX)
    frames = _frames(raw, card, changes)
    _check_pixels(image_count, frames, width_px, height_px)
    output_format, output_quality = _encoding(raw, is_clip=frames > 1)
    changes += drawn
    return GenerationRequest(
        model_id=card.model_id,
        prompt=prompt,
        raw_prompt=str(given.prompt),
        negative_prompt=negative_prompt,
        width_px=width_px,
        height_px=height_px,
        steps=steps,
        guidance=guidance,
        seed=seed,
        image_count=image_count,
        frames=frames,
        frames_per_second=None if card.frames is None else card.frames.per_second,
        quality=quality,
        style=None if style is None else style.name,
        output_format=output_format,
        output_quality=output_quality,
        prompt_tokens=prompt_tokens,
        adjustments=tuple(changes),
        upscale=upscale,
        inputs=inputs,
    )


def _prompt(value: object, changes: list[Adjustment]) -> str:
    if value is None:
        raise invalid("prompt", "prompt is required: say what the picture should show.")
    text = clean_text(value, param="prompt")
    if is_blank(text):
        raise invalid("prompt", "prompt is empty: say what the picture should show.")
    _note_tidying("prompt", value, text, changes)
    return text


def syntax_of(raw: RawRequest) -> Syntax:
    """The notation of a request's prompt: the one it names, or the one that is found out."""
    syntax = _syntax(raw.prompt_syntax)
    return detected(clean_text(raw.prompt, param="prompt")) if syntax is Syntax.AUTO else syntax


def _syntax(value: object) -> Syntax:
    if value is None:
        return Syntax.AUTO
    return Syntax(choice(value, param="prompt_syntax", choices=Syntax))


def _negative_prompt(value: object, reading: Reading, syntax: Syntax, changes: list[Adjustment]) -> str:
    if value is None:
        return ""
    text = clean_text(value, param="negative_prompt")
    card = reading.card
    if text and not card.supports_negative_prompt:
        if not reading.drops:
            raise _unsupported(
                "negative_prompt",
                f"{card.model_id} has no negative prompt. Leave it out and describe what should be there.",
            )
        reason = f"{card.model_id} has no negative prompt."
        changes.append(Adjustment(parameter="negative_prompt", requested="set", used="left out", reason=reason))
        return ""
    _note_tidying("negative_prompt", value, text, changes)
    return read_prompt(parse(text, syntax).nodes, reading, changes, param="negative_prompt")


def _shortened(
    text: str, card: ModelCard, count_tokens: Callable[[str], int], changes: list[Adjustment], *, param: str
) -> str:
    """The longest beginning of `text`, in whole phrases or else words, that the model reads; what is cut is counted."""
    limit = card.token_limit
    if limit is None or count_tokens(text) <= limit:
        return text
    for pattern in (_PHRASE_END, _WORD_END):
        ends = [match.start() for match in pattern.finditer(text)]
        low, high = 0, len(ends)  # the first `low` fit, the first `high` + 1 do not
        while low < high:
            middle = (low + high + 1) // 2
            if count_tokens(text[: ends[middle - 1]]) <= limit:
                low = middle
            else:
                high = middle - 1
        if low:
            short = text[: ends[low - 1]]
            changes.append(
                Adjustment(
                    parameter=param,
                    requested=f"{len(text)} characters",
                    used=f"{len(short)} characters",
                    reason=f"{card.model_id} reads at most {limit} tokens; on_overflow says to shorten what is longer.",
                )
            )
            return short
    return text


def _note_tidying(param: str, value: object, text: str, changes: list[Adjustment]) -> None:
    if text != value:
        changes.append(
            Adjustment(
                parameter=param,
                requested=f"{len(str(value))} characters",
                used=f"{len(text)} characters",
                reason="White space became single spaces and characters took Unicode's composed form (NFC).",
            )
        )


def _note_unknown_words(
    prompt: str, unknown_words: Callable[[str], tuple[str, ...]] | None, changes: list[Adjustment]
) -> None:
    words = unknown_words(prompt) if unknown_words is not None else ()
    if words:
        named = ", ".join(shown(word) for word in words[:UNKNOWN_WORDS_SHOWN_MAX])
        more = ", …" if len(words) > UNKNOWN_WORDS_SHOWN_MAX else ""
        reason = f"The model was not trained on: {named}{more}. It may ignore them."
        changes.append(
            Adjustment(parameter="prompt", requested=f"{len(words)} unknown words", used="unchanged", reason=reason)
        )


def _style(value: object, card: ModelCard, presets: Mapping[str, StylePreset]) -> StylePreset | None:
    if value is None:
        return None
    names = styles_for(card, presets)
    if isinstance(value, str) and value in names:
        return presets[value]
    offered = f"it has {', '.join(names)}" if names else "it has no styles"
    if isinstance(value, str) and value in presets:
        raise InvalidRequest(
            f"style {value} does not suit {card.model_id}; {offered}.", param="style", code="unsupported_style"
        )
    raise invalid("style", f"style {shown(value)} is not known to {card.model_id}; {offered}.")


def _styled(
    prompt: str, negative_prompt: str, style: StylePreset, card: ModelCard, changes: list[Adjustment]
) -> tuple[str, str]:
    """Prompt and negative prompt with the style's words."""
    reason = f"The style {style.name} adds its words."
    changes.append(Adjustment(parameter="prompt", requested="as typed", used=style.prompt, reason=reason))
    if style.negative_prompt and card.supports_negative_prompt:
        requested = "as typed" if negative_prompt else "unset"
        negative_prompt = ", ".join(filter(None, (negative_prompt, style.negative_prompt)))
        changes.append(
            Adjustment(
                parameter="negative_prompt", requested=requested, used=f"+ {style.negative_prompt}", reason=reason
            )
        )
    return style.prompt.replace("{prompt}", prompt), negative_prompt


def _checked_tokens(text: str, card: ModelCard, count_tokens: Callable[[str], int] | None, *, param: str) -> int:
    if count_tokens is None or not text:
        return 0
    counted = count_tokens(text)
    if card.token_limit is not None and counted > card.token_limit:
        raise InvalidRequest(
            f"{param} is {counted} tokens long, the words of a style included; {card.model_id} reads at most "
            f"{card.token_limit}. Shorten it.",
            param=param,
            code="prompt_too_long",
        )
    return counted


def _size(
    raw: RawRequest, card: ModelCard, changes: list[Adjustment], taken: TakenInputs | None
) -> tuple[tuple[int, int], int]:
    """The size that is delivered, and how many times smaller the model makes it."""
    factor = _upscale(raw.upscale, card)
    if raw.size is None or raw.size == "auto":
        made, factor = _native_size(raw, card, changes, taken), factor or 1
        size = (made[0] * factor, made[1] * factor)
    else:
        size, factor = _exact_size(raw, card, factor)
        made = (size[0] // factor, size[1] // factor)
    if factor > 1:
        used, reason = f"{size_text(made)} x {factor}", f"Made at {size_text(made)}, enlarged {factor}x by {UPSCALER}."
        changes.append(Adjustment(parameter="size", requested=size_text(size), used=used, reason=reason))
    return size, factor


def _upscale(value: object, card: ModelCard) -> int | None:
    """The factor that was sent, or None."""
    if value is None:
        return None
    allowed = (1, *card.upscale)
    factor = whole_number(value, param="upscale", minimum=1, maximum=UPSCALE_MAX)
    if factor in allowed:
        return factor
    if not card.upscale:
        raise _unsupported("upscale", f"The pictures of {card.model_id} are not enlarged here. Leave it out.")
    known = ", ".join(map(str, allowed[:-1]))
    raise invalid("upscale", f"upscale must be {known} or {allowed[-1]} for {card.model_id}, not {factor}.")


def _exact_size(raw: RawRequest, card: ModelCard, factor: int | None) -> tuple[tuple[int, int], int]:
    """The size that was sent, which is what is delivered; a factor that was sent has to lead there."""
    if raw.aspect_ratio is not None:
        raise invalid("aspect_ratio", "size and aspect_ratio exclude each other: send one of them.")
    factors = (1, *card.upscale)
    size, fitting = exact_size(raw.size, card.sizes, model=card.model_id, factors=factors)
    if factor is None or factor == fitting:
        return size, fitting
    if fitting == 1:
        larger = size_text((size[0] * factor, size[1] * factor))
        fix = f"For {size_text(size)} enlarged {factor} times, send size {larger}"
    else:
        fix = f"{size_text(size)} is enlarged {fitting} times: leave upscale out"
    raise invalid("upscale", f"upscale does not fit size, which is the size delivered. {fix}.")


def _native_size(
    raw: RawRequest, card: ModelCard, changes: list[Adjustment], taken: TakenInputs | None
) -> tuple[int, int]:
    """The size that the model makes where none was sent: of the shape that was, of its picture, or the default."""
    if raw.size is not None and raw.aspect_ratio is not None:
        raise invalid("aspect_ratio", "size and aspect_ratio exclude each other: send one of them.")
    if raw.aspect_ratio is not None:
        size = size_of_shape(raw.aspect_ratio, card.sizes, model=card.model_id)
        requested, reason = str(raw.aspect_ratio), f"The size of {card.model_id} closest to this shape."
        changes.append(Adjustment(parameter="aspect_ratio", requested=requested, used=size_text(size), reason=reason))
        return size
    size = card.sizes.default if taken is None else size_of_picture(taken, card.sizes)
    requested, reason = "unset" if raw.size is None else "auto", f"The default size of {card.model_id}."
    if taken is not None:
        reason = f"The size of {card.model_id} closest to the picture's shape."
    changes.append(Adjustment(parameter="size", requested=requested, used=size_text(size), reason=reason))
    return size


def _effort(raw: RawRequest, card: ModelCard, changes: list[Adjustment]) -> tuple[int, Quality]:
    """Steps and quality: a quality is a preset of steps, and steps that were sent win over it."""
    quality = Quality.STANDARD
    if raw.quality is not None:
        quality = Quality(choice(raw.quality, param="quality", choices=Quality))
    rule = card.steps
    preset = {Quality.DRAFT: rule.draft, Quality.STANDARD: rule.standard, Quality.HIGH: rule.high}[quality]
    if raw.steps is None:
        return preset, quality
    of = f" for {card.model_id}"
    steps = whole_number(raw.steps, param="steps", minimum=rule.minimum, maximum=rule.maximum, of=of)
    if raw.quality is not None and steps != preset:
        reason = f"steps was sent as well and wins over the {preset} steps of this quality."
        changes.append(Adjustment(parameter="quality", requested=quality, used=f"{steps} steps", reason=reason))
    return steps, quality


def _guidance(value: object, card: ModelCard) -> float:
    rule = card.guidance
    if rule is None:
        if value is not None:
            raise _unsupported("guidance_scale", f"{card.model_id} has no guidance to set. Leave it out.")
        return NO_GUIDANCE
    if value is None:
        return rule.default
    of = f" for {card.model_id}"
    return number(value, param="guidance_scale", minimum=rule.minimum, maximum=rule.maximum, of=of)


def _without_effect(guidance: float) -> Adjustment:
    return Adjustment(
        parameter="negative_prompt",
        requested="set",
        used="no effect",
        reason=f"A negative prompt only works with guidance_scale above 1; it is {guidance:g}.",
    )


def _seed(value: object, draw_seed: Callable[[], int], changes: list[Adjustment]) -> int:
    if value is not None:
        return whole_number(value, param="seed", minimum=0, maximum=SEED_MAX)
    seed = draw_seed()
    assert 0 <= seed <= SEED_MAX, f"the seed source gave {seed}"
    reason = "Drawn at random; send it to get the same picture again."
    changes.append(Adjustment(parameter="seed", requested="unset", used=str(seed), reason=reason))
    return seed


def _frames(raw: RawRequest, card: ModelCard, changes: list[Adjustment]) -> int:
    """How many frames; a still has one. A model that makes clips makes nothing else."""
    value, rule = raw.frames, card.frames
    if raw.seconds is not None:
        if value is not None:
            raise invalid("seconds", "frames and seconds exclude each other: send one of them.")
        return _frames_of_seconds(raw.seconds, card, changes)
    if rule is not None:
        if value is None:
            return rule.default
        of = f" for {card.model_id}"
        return whole_number(value, param="frames", minimum=rule.minimum, maximum=rule.maximum, of=of)
    if value is not None and whole_number(value, param="frames", minimum=1, maximum=FRAMES_MAX) > 1:
        raise _unsupported(
            "frames", f"{card.model_id} makes stills. Leave frames out, or name a model that makes clips."
        )
    return 1


def _frames_of_seconds(value: object, card: ModelCard, changes: list[Adjustment]) -> int:
    """The number of frames that plays closest to so long; a length that the model does not make is refused."""
    rule = card.frames
    if rule is None:
        raise _unsupported(
            "seconds", f"{card.model_id} makes stills. Leave seconds out, or name a model that makes clips."
        )
    shortest, longest, half = rule.minimum / rule.per_second, rule.maximum / rule.per_second, 0.5 / rule.per_second
    if isinstance(value, bool) or not isinstance(value, int | float) or not shortest - half <= value <= longest + half:
        lengths = f"{shortest:g}" if shortest == longest else f"a number from {shortest:g} to {longest:g}"
        raise invalid("seconds", f"seconds must be {lengths} for {card.model_id}, not {shown(value)}.")
    frames = min(max(round(value * rule.per_second), rule.minimum), rule.maximum)
    if frames != value * rule.per_second:
        used = f"{frames / rule.per_second:g}"
        reason = f"{frames} frames, {rule.per_second:g} a second, come closest."
        changes.append(Adjustment(parameter="seconds", requested=f"{value:g}", used=used, reason=reason))
    return frames


def _check_pixels(image_count: int, frames: int, width_px: int, height_px: int) -> None:
    pixels = image_count * frames * width_px * height_px
    if pixels > PIXELS_MAX:
        param = "n" if image_count > 1 else "frames" if frames > 1 else "size"
        raise invalid(
            param, f"{param} is too large: the request has {pixels:,} pixels in all, and {PIXELS_MAX:,} are the most."
        )


def _encoding(raw: RawRequest, *, is_clip: bool) -> tuple[OutputFormat, int | None]:
    """The codec, by default PNG for a still and WebP for a clip, and its quality."""
    output_format = OutputFormat.WEBP if is_clip else OutputFormat.PNG
    if raw.output_format is not None:
        output_format = OutputFormat(choice(raw.output_format, param="output_format", choices=OutputFormat))
    if is_clip and output_format is OutputFormat.JPEG:
        raise _unsupported("output_format", "jpeg holds no clip. Use mp4, webm, webp, gif, or png for an APNG.")
    if not is_clip and output_format in CLIP_FORMATS:
        raise _unsupported("output_format", f"{output_format.value} is for clips. Use png, jpeg or webp for a still.")
    if output_format in (OutputFormat.PNG, OutputFormat.GIF):
        if raw.output_quality is not None:
            raise _unsupported(
                "output_quality",
                f"output_quality is for jpeg, webp, mp4 and webm; {output_format.value} has none. Leave it out.",
            )
        return output_format, None
    if raw.output_quality is None:
        return output_format, OUTPUT_QUALITY_DEFAULT
    return output_format, whole_number(raw.output_quality, param="output_quality", minimum=1, maximum=100)


def _unsupported(param: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, param=param, code="unsupported_parameter")
