"""Abbreviations spelled out and common typing errors put right, with care.

Only whole words in lower case are touched, so names stay; nothing in quotation marks is, because it may be what the
picture is to say; and the list holds only what means nothing else in a prompt.
"""

import re
from collections.abc import Mapping

ABBREVIATIONS: Mapping[str, str] = {
    "w/o": "without",
    "w/": "with",
    "b/w": "black and white",
    "b&w": "black and white",
    "bg": "background",
    "closeup": "close-up",
    "hi-res": "high resolution",
    "ppl": "people",
}

TYPOS: Mapping[str, str] = {
    "teh": "the",
    "adn": "and",
    "wiht": "with",
    "portait": "portrait",
    "potrait": "portrait",
    "backgroud": "background",
    "backround": "background",
    "beautifull": "beautiful",
    "beatiful": "beautiful",
    "photorealisitc": "photorealistic",
    "photorealstic": "photorealistic",
    "realisitc": "realistic",
    "cinmatic": "cinematic",
    "cinematc": "cinematic",
    "landscpae": "landscape",
    "lanscape": "landscape",
    "moutain": "mountain",
    "moutains": "mountains",
    "mountians": "mountains",
    "lighthosue": "lighthouse",
    "sunst": "sunset",
    "suset": "sunset",
    "watercolur": "watercolour",
    "wathercolor": "watercolor",
    "forrest": "forest",
    "desrt": "desert",
    "vintge": "vintage",
    "dramtic": "dramatic",
}

CORRECTIONS: Mapping[str, str] = {**ABBREVIATIONS, **TYPOS}

_QUOTED = r"\"[^\"]*\"|“[^”]*”|„[^“”]*[“”]|«[^»]*»|`[^`]*`|(?<!\w)'[^']*'(?!\w)"
_LONGEST_FIRST = "|".join(map(re.escape, sorted(CORRECTIONS, key=len, reverse=True)))
_WORD = re.compile(rf"{_QUOTED}|(?<![\w/&.@#-])(?P<word>{_LONGEST_FIRST})(?![\w&@-])(?![/.]\w)")


def corrected(text: str) -> tuple[str, int]:
    """The text with its abbreviations spelled out and typing errors mended, and how many there were."""
    count = 0

    def better(match: re.Match[str]) -> str:
        nonlocal count
        word = match["word"]
        if word is None:
            return match[0]
        count += 1
        return CORRECTIONS[word]

    return _WORD.sub(better, text), count
