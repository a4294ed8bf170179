"""Prompts that no training caption reads like, each with what it asks for and how it would read with something else.

The words are those the models know; sentences, word orders and the words between are not the caption grammar's.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from training.captions import SYNONYMS
from training.scenes import COLOURED_OBJECTS, COLOURS, HELD_OUT, OBJECTS, STYLES, TERRAINS, TIMES

SEED = 20_261_124
"""Of the prompts; picture number k of a set is drawn from seed FIRST_PICTURE_SEED + k."""
FIRST_PICTURE_SEED = 5_000
JUDGED = ("time", "style", "terrain", "object", "colour")
VARIANTS = 3
"""Ways to say a value that the judge averages over."""

_WITH_OBJECT = (
    "{time} there is {thing} and {terrain}, {style}",
    "{style} with {thing} {time}, and {terrain}",
    "{thing} {time} by {terrain}, in {style}",
    "{terrain} {time} and {thing} over there, as {style}",
    "show {thing}, {terrain} around it, {time}, {style}",
)
_WITHOUT_OBJECT = (
    "{time} there is {terrain}, {style}",
    "{style} with {terrain} {time}",
    "{time}: {terrain}, in {style}",
    "show {terrain} as {style}, {time}",
)
_SHARE_WITH_OBJECT = 0.8
_PHRASES = {**SYNONYMS, "colour": {colour: (colour,) for colour in COLOURS}}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutPrompt:
    """A prompt as a template, the values it asks for by attribute, and the words chosen for each."""

    template: str
    wanted: Mapping[str, str]
    words: dict[str, str]

    @property
    def text(self) -> str:
        """What the model is given."""
        return _fill(self.template, self.words)

    def variants(self, attribute: str) -> dict[str, list[str]]:
        """Every value of the attribute, the wanted one included, to the prompt with that value said in a few ways."""
        return {
            value: [_fill(self.template, self.words | {attribute: phrase}) for phrase in phrases[:VARIANTS]]
            for value, phrases in _PHRASES[attribute].items()
        }


def held_out_prompts(count: int) -> list[HeldOutPrompt]:
    """Prompts over all times, styles, terrains, objects and colours that training has shown together."""
    rng = random.Random(SEED)
    prompts: list[HeldOutPrompt] = []
    while len(prompts) < count:
        wanted = {"time": rng.choice(TIMES), "terrain": rng.choice(TERRAINS), "style": rng.choice(STYLES)}
        if rng.random() < _SHARE_WITH_OBJECT:
            wanted["object"] = rng.choice([name for name in OBJECTS if _can_stand(name, wanted["terrain"])])
            if wanted["object"] in COLOURED_OBJECTS:
                wanted["colour"] = rng.choice(COLOURS)
        if not any(_matches(wanted, combination) for combination in HELD_OUT):
            prompts.append(_said(wanted, rng))
    return prompts


def unseen_prompts(count: int) -> list[HeldOutPrompt]:
    """Prompts for combinations that no training picture shows, such as a yellow castle, all kinds equally often."""
    rng = random.Random(SEED + 1)
    prompts: list[HeldOutPrompt] = []
    for k in range(count):
        combination = HELD_OUT[k % len(HELD_OUT)]
        terrains = ("sea",) if combination["object"] == "boat" else tuple(t for t in TERRAINS if t != "sea")
        wanted = {"time": rng.choice(TIMES), "terrain": rng.choice(terrains), "style": rng.choice(STYLES)}
        wanted |= {"colour": rng.choice(COLOURS), **combination}
        prompts.append(_said(wanted, rng))
    return prompts


def seen_counterparts(unseen: list[HeldOutPrompt]) -> list[HeldOutPrompt]:
    """The same prompts with the one word changed that makes the combination a seen one: another colour or terrain."""
    rng = random.Random(SEED + 2)
    prompts: list[HeldOutPrompt] = []
    for prompt in unseen:
        combination = combination_of(prompt)
        attribute = next(name for name in combination if name != "object")
        values = TERRAINS if attribute == "terrain" else COLOURS
        allowed = [v for v in values if v not in (prompt.wanted[attribute], "sea")]
        value = rng.choice(allowed)
        wanted = {**prompt.wanted, attribute: value}
        words = {**prompt.words, attribute: _PHRASES[attribute][value][0]}
        prompts.append(replace(prompt, wanted=wanted, words=words))
    return prompts


def combination_of(prompt: HeldOutPrompt) -> Mapping[str, str]:
    """The held-out combination that an unseen prompt asks for."""
    return next(combination for combination in HELD_OUT if _matches(prompt.wanted, combination))


def _said(wanted: dict[str, str], rng: random.Random) -> HeldOutPrompt:
    words = {name: rng.choice(_PHRASES[name][value]) for name, value in wanted.items()}
    template = rng.choice(_WITH_OBJECT if "object" in wanted else _WITHOUT_OBJECT)
    return HeldOutPrompt(template=template, wanted=wanted, words=words)


def _can_stand(name: str, terrain: str) -> bool:
    """Combinations of object and terrain that training pictures show."""
    if terrain == "sea":
        return name not in ("none", "windmill")
    return name not in ("none", "boat")


def _matches(wanted: Mapping[str, str], combination: Mapping[str, str]) -> bool:
    return all(wanted.get(name) == value for name, value in combination.items())


def _fill(template: str, words: Mapping[str, str]) -> str:
    thing = " ".join(words[name] for name in ("colour", "object") if name in words)
    article = "an" if thing[:1] in tuple("aeiou") else "a"
    return template.format_map({**words, "thing": f"{article} {thing}"})
