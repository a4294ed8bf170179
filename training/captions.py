"""The words for a scene: many ways to say the same thing, things left unsaid, and noise a real prompt contains.

Captions are drawn anew at every training step. Rules that the measurements of the proof of concept taught us: a style
other than flat is always named (else unnamed styles leak into every prompt), and a picture with an object nearly
always names it.
"""

from __future__ import annotations

import random

from training.scenes import COLOURED_OBJECTS, COLOURS, HELD_OUT, SIZES, Scene

SYNONYMS: dict[str, dict[str, tuple[str, ...]]] = {
    "time": {
        "dawn": ("at dawn", "at sunrise", "in the early morning", "in the morning", "dawn", "sunrise"),
        "day": ("at noon", "during the day", "in daylight", "on a sunny day", "daytime", "by day", "in the afternoon"),
        "sunset": ("at sunset", "at dusk", "in the evening", "sunset", "under an orange sky", "at golden hour"),
        "night": ("at night", "at midnight", "in the dark night", "night", "by night", "under a dark sky"),
    },
    "terrain": {
        "mountains": ("mountains", "a mountain range", "mountain peaks", "tall mountains", "the alps", "a mountain",
                      "a valley with mountains"),
        "hills": ("green hills", "rolling hills", "hills", "a meadow", "a meadow with hills", "green fields",
                  "the countryside", "a grassy hill"),
        "desert": ("a desert", "sand dunes", "desert dunes", "a sandy desert", "the desert", "dunes"),
        "sea": ("the sea", "the ocean", "a calm sea", "open water", "the water", "a blue sea", "ocean", "a lake"),
        "forest": ("a forest", "pine woods", "a pine forest", "the woods", "pine trees", "a forest of pines", "forest"),
        "city": ("a city", "a city skyline", "skyscrapers", "a town skyline", "a big city", "the city", "city",
                 "tall buildings", "a town by the river"),
    },
    "celestial": {
        "sun": ("the sun", "a bright sun", "sun", "a yellow sun"),
        "moon": ("the moon", "a bright moon", "moon", "moonlight", "a full moon"),
        "stars": ("stars", "a starry sky", "many stars", "bright stars"),
    },
    "object": {
        "house": ("house", "cottage", "cabin", "home", "hut", "little house", "farmhouse"),
        "boat": ("boat", "sailboat", "ship", "sailing boat", "sailing ship", "yacht"),
        "tree": ("tree", "lone tree", "big tree", "oak", "green tree", "old tree"),
        "balloon": ("balloon", "hot air balloon", "air balloon"),
        "castle": ("castle", "fortress", "palace", "fairy tale castle"),
        "lighthouse": ("lighthouse", "light house", "striped lighthouse", "beacon tower"),
        "windmill": ("windmill", "mill", "old windmill"),
    },
    "weather": {
        "clear": ("clear sky", "clear", "a cloudless sky"),
        "cloudy": ("cloudy", "with clouds", "cloudy sky", "overcast", "fluffy clouds"),
        "foggy": ("foggy", "misty", "in the fog", "with mist", "fog"),
        "snowy": ("snowy", "in winter", "in the snow", "with falling snow", "snow", "snowfall"),
    },
    "style": {
        "flat": ("flat illustration", "vector art", "flat style", "flat design", "illustration", "digital art"),
        "watercolor": ("watercolor", "watercolor painting", "watercolour painting", "watercolour", "aquarelle"),
        "lineart": ("line art", "ink drawing", "line drawing", "pencil sketch", "sketch", "lineart", "drawing"),
        "pixel": ("pixel art", "8-bit pixel art", "retro game art", "pixelated", "8-bit", "pixel style"),
    },
    "position": {
        "left": ("on the left", "at left", "to the left"),
        "center": ("in the center", "in the middle", "in the centre"),
        "right": ("on the right", "at right", "to the right"),
    },
}  # fmt: skip

JUNK = (
    "beautiful", "highly detailed", "4k", "8k", "masterpiece", "a picture", "scenery", "landscape", "best quality",
    "trending", "peaceful", "stunning", "cinematic", "photo", "hd", "award winning", "wallpaper", "cute", "calm",
    "dramatic lighting", "epic", "colorful", "lovely", "high resolution",
)  # fmt: skip
"""Words common in prompts that change nothing here; the model learns to pass over them."""

_STRANGE_WORDS = (
    "happy", "music", "seven", "jazz", "quantum", "table", "grandmother", "velvet", "winner", "soup", "paper", "zebra",
    "robot", "cat", "dog", "people", "dream", "story", "friend", "summer", "spring", "magic", "ancient", "modern",
    "car", "horse", "flower", "garden", "bridge", "road", "rain", "storm", "river", "island", "beach", "bird",
)  # fmt: skip
"""English words the pictures say nothing about: five captions in a hundred carry some, for robustness."""

_FUNCTION_WORDS = (
    "a", "an", "the", "of", "in", "on", "at", "to", "with", "and", "under", "near", "by", "over", "above", "image",
    "style",
)  # fmt: skip
_BARE_WEATHER = frozenset({"cloudy", "foggy", "snowy", "misty", "overcast", "clear"})


def caption(scene: Scene, rng: random.Random, drop: float = 0.18) -> str:
    """One way to describe the scene; each attribute is left out with about the chance `drop`."""
    text = _tags(scene, rng, drop) if rng.random() < 0.3 else _sentence(scene, rng, drop)
    if rng.random() < 0.05:
        words = text.split()
        for _ in range(rng.randint(1, 3)):
            words.insert(rng.randint(0, len(words)), _strange_word(rng))
        text = " ".join(words)
    return text


def training_caption(scene: Scene, rng: random.Random, empty: float = 0.10) -> str:
    """A caption, or with the chance `empty` none at all: what classifier-free guidance subtracts."""
    return "" if rng.random() < empty else caption(scene, rng)


def held_out_prompts() -> list[str]:
    """Prompts for combinations that no training caption describes, for the composition part of the evaluation."""
    prompts: list[str] = []
    for combination in HELD_OUT:
        thing = " ".join(filter(None, (combination.get("colour"), combination["object"])))
        default = "the sea" if combination["object"] == "boat" else "green hills"
        place = SYNONYMS["terrain"][combination["terrain"]][0] if "terrain" in combination else default
        prompts += [f"{_with_article(thing)} near {place} {time}" for time in ("during the day", "at sunset")]
    return prompts


def known_words() -> list[str]:
    """Every word of the caption grammar that means something to the model, sorted."""
    words = set(COLOURS) | set(_FUNCTION_WORDS)
    for phrases in SYNONYMS.values():
        for synonyms in phrases.values():
            words.update(word for phrase in synonyms for word in _words(phrase))
    words.update(word for phrase in JUNK for word in _words(phrase))
    return sorted(words)


def _words(phrase: str) -> list[str]:
    return phrase.replace("-", " ").split()


def _pick(scene: Scene, attribute: str, rng: random.Random) -> str:
    return rng.choice(SYNONYMS[attribute][getattr(scene, attribute)])


def _parts(scene: Scene, rng: random.Random, drop: float) -> dict[str, str | None]:
    """The phrases a caption is made of; None where the attribute is left unsaid."""

    def said(share: float = 1.0) -> bool:
        return rng.random() > drop * share

    thing = None
    if scene.object != "none" and said(0.25):
        thing = _pick(scene, "object", rng)
        if scene.object in COLOURED_OBJECTS and said():
            thing = f"{scene.colour} {thing}"
        if rng.random() < 0.4:
            thing = f"{thing} {_pick(scene, 'position', rng)}"
    weather_said = said() if scene.weather != "clear" else rng.random() < 0.15
    style_said = scene.style != "flat" or rng.random() < 0.35
    return {
        "thing": thing,
        "terrain": _pick(scene, "terrain", rng) if said(0.5) else None,
        "time": _pick(scene, "time", rng) if said() else None,
        "celestial": _pick(scene, "celestial", rng) if scene.celestial != "none" and said() else None,
        "weather": _pick(scene, "weather", rng) if weather_said else None,
        "style": _pick(scene, "style", rng) if style_said else None,
    }


def _tags(scene: Scene, rng: random.Random, drop: float) -> str:
    phrases = [phrase for phrase in _parts(scene, rng, drop).values() if phrase]
    phrases += rng.sample(JUNK, rng.choice((0, 0, 1, 2)))
    rng.shuffle(phrases)
    return ", ".join(phrases) or "a landscape"


def _sentence(scene: Scene, rng: random.Random, drop: float) -> str:
    parts = _parts(scene, rng, drop)
    thing, terrain, weather, style = parts["thing"], parts["terrain"], parts["weather"], parts["style"]
    if thing and terrain:
        near = {"balloon": ("over", "above"), "boat": ("on", "in")}.get(scene.object, ("in", "near", "by", "with"))
        subject = _with_article(thing)
        text = f"{subject} {rng.choice(near)} {terrain}" if rng.random() < 0.6 else f"{terrain} with {subject}"
    elif thing:
        text = _with_article(thing)
    else:
        text = terrain or rng.choice(("a landscape", "a scene", "scenery"))
    if weather in _BARE_WEATHER:
        text = f"{text}, {weather}" if text.startswith(("a ", "the ")) else f"{weather} {text}"
        weather = None
    celestial = parts["celestial"] and f"{rng.choice(('with', 'and', 'under'))} {parts['celestial']}"
    for phrase in rng.sample((parts["time"], weather, celestial), 3):
        if phrase:
            text += (" " if rng.random() < 0.75 else ", ") + phrase
    if style:
        text = f"{_with_article(style)} of {text}" if rng.random() < 0.4 else f"{text}, {style}"
    if rng.random() < 0.12:
        text += f", {rng.choice(JUNK)}"
    return text


def _with_article(phrase: str) -> str:
    first = phrase.split()[0]
    if first in ("a", "an", "the"):
        return phrase
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _strange_word(rng: random.Random) -> str:
    if rng.random() < 0.6:
        return rng.choice(_STRANGE_WORDS)
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 8)))


EVALUATION_PROMPTS: tuple[tuple[str, str], ...] = (
    ("mountains at sunset", "square"),
    ("a starry night over the sea", "square"),
    ("a red house in green hills during the day", "square"),
    ("watercolor painting of a forest at dawn", "square"),
    ("pixel art of a castle at night", "square"),
    ("line art of a city skyline", "square"),
    ("a blue boat on the sea at sunset with the sun", "square"),
    ("sand dunes at noon with the sun", "square"),
    ("a yellow hot air balloon over mountains at dawn", "square"),
    ("a lighthouse on the right by the sea at night", "square"),
    ("a windmill on rolling hills, snow, in winter", "square"),
    ("pine forest in the fog, misty", "square"),
    ("a big city at night with the moon", "square"),
    ("a lone tree in the desert at sunset", "square"),
    ("a white castle near mountains on a sunny day", "square"),
    ("pixel art, green hills, a red balloon, daytime", "square"),
    ("an ink drawing of mountains with a house at night", "square"),
    ("watercolour of a sailboat on a calm sea, cloudy sky", "square"),
    ("a green cottage in the woods, snowy, in the evening", "square"),
    ("a yellow castle in the desert at sunset", "square"),
    ("mountain range at dawn, peaceful, 4k", "landscape"),
    ("a red lighthouse by the ocean at sunset", "landscape"),
    ("a blue hot air balloon over green hills by day", "portrait"),
    ("city skyline at midnight with stars", "portrait"),
)
"""Prompts of the sample grids, each with one of SIZES; none is copied from the caption grammar's output."""

assert all(size_name in SIZES for _, size_name in EVALUATION_PROMPTS)
