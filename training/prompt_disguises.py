"""How people hide words from filters, done to our own sentences so that training and tests see it."""

import random
from collections.abc import Callable

_LEET = {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"}
_CYRILLIC = {"a": "а", "e": "е", "o": "о", "p": "р", "c": "с", "x": "х", "i": "і", "y": "у", "k": "к"}


def leet(word: str, luck: random.Random) -> str:
    """Digits in the place of letters."""
    return "".join(_LEET[letter] if letter in _LEET and luck.random() < 0.8 else letter for letter in word)


def stars(word: str, luck: random.Random) -> str:
    """Stars over the vowels after the first letter."""
    del luck
    return word[:1] + "".join("*" if letter in "aeiou" else letter for letter in word[1:])


def stretched(word: str, luck: random.Random) -> str:
    """Vowels three times over."""
    del luck
    return "".join(letter * 3 if letter in "aeiou" else letter for letter in word)


def apart(word: str, luck: random.Random) -> str:
    """A space, or another sign, between the letters."""
    return luck.choice((" ", " ", " ", ".", "-", "_")).join(word)


def invisible(word: str, luck: random.Random) -> str:
    """Zero-width characters between the letters."""
    return luck.choice(("\u200b", "\u200c", "\u2060", "\u00ad")).join(word)


def wide(word: str, luck: random.Random) -> str:
    """Full-width letters."""
    del luck
    return "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in word)


def mixed(word: str, luck: random.Random) -> str:
    """Cyrillic letters that look Latin."""
    return "".join(_CYRILLIC.get(letter, letter) if luck.random() < 0.8 else letter for letter in word)


DISGUISES: tuple[Callable[[str, random.Random], str], ...] = (
    leet,
    stars,
    stretched,
    apart,
    invisible,
    wide,
    mixed,
)


def disguised(text: str, luck: random.Random, *, share: float = 0.4) -> str:
    """The text with about `share` of its longer words hidden, all in one way."""
    way = luck.choice(DISGUISES)
    return " ".join(
        way(word, luck) if len(word) > 3 and word.isalpha() and luck.random() < share else word
        for word in text.split(" ")
    )
