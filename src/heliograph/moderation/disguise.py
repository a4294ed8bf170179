"""Reading a prompt as a person would: disguises undone, word by word, with the place of each word in the original.

Undone are full-width and mathematical letters, accents, zero-width and other invisible characters, letters of other
scripts that look Latin, digits and signs in the place of letters (`n4k3d`), stars over letters (`bl**d`), letters
repeated (`bloooood`) and letters spread apart (`b l o o d`, `b.l.o.o.d`). Where more than one reading is possible, the
vocabulary decides, so that `4k`, `h2o` and `2 0 0 mm` stay what they are. A script that is used for its own language
stays as well. Time is linear in the length of the text.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

READINGS_MAX = 64
"""Most readings of one word that are tried; a word with more ambiguous characters stays as it is."""

DISGUISED_MAX = 400
"""Most words of one text whose readings are tried, which bounds the time a hostile text can take."""

WORD_MAX = 40
"""Longest word in characters that is looked at as one; a longer one is cut for the reading."""

_LOOKALIKES = {
    ord(pair[0]): pair[1]
    for line in (
        "аa бb вb еe зe іi јj кk мm нh оo рp сc тt уy хx ѕs ԁd һh ӏl ԛq ԝw үy гr пn цu ьb αa βb",
        "γy εe ηn ιi κk νv οo ρp τt υu χx ωw ϲc ϳj ⅼl ɡg ɩi ʟl ʀr ɴn ɪi ᴀa ᴇe ᴏo ᴜu ɑa ɐa հh օo",
        "ոn սu ցg đd łl øo ħh ŧt ıi ſs",
    )
    for pair in line.split()
}
"""Letters of other scripts, and the Latin ones that a reader takes for them."""

_LEET: Mapping[str, str] = {
    "0": "o",
    "1": "il",
    "2": "z",
    "3": "e",
    "4": "a",
    "5": "s",
    "6": "g",
    "7": "t",
    "8": "b",
    "9": "g",
    "@": "a",
    "$": "s",
    "!": "il",
    "|": "li",
    "+": "t",
    "€": "e",
    "£": "l",
    "(": "c",
}
_STARS = frozenset("*#_%")
_UNIT = re.compile(r"\d+(?:k|d|p|s|x|mm|cm|m|km|th|st|nd|rd|px|fps|am|pm|hd|k\w?|x\d+|c|f|f\d+|ml|kg|g|hz|iso|bit)?")
_WORD = re.compile(r"[^\W_](?:[\w'@$!|+€£*#%]*[\w@$!|+€£*#%])?|[@$*#](?:[\w@$!|+€£*#%]*[\w])")
_SIGN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
_SIGN_OR_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]+")
"""Chinese, Japanese and Korean are read sign by sign: their words are not kept apart by spaces."""

_REPEATED = re.compile(r"(.)\1\1+")
_APART = re.compile(r"(?<![^\W_])(?:[^\W\d_][ .\-_,·•/\\|]{1,2}){2,}[^\W\d_](?![^\W_])")
_VOWELS = frozenset("aeiou")


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word as it is read, lower case, and where it stands in the original; `is_disguised` when it was not plain."""

    text: str
    start: int
    end: int
    is_disguised: bool = False


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words with the logarithm of how common they are; `masked` are those that people put stars on, tried first."""

    log_counts: Mapping[str, float]
    masked: frozenset[str] = frozenset()
    _by_length: dict[int, list[str]] = field(default_factory=dict[int, list[str]], init=False, repr=False)
    _read: dict[str, str | None] = field(default_factory=dict[str, "str | None"], init=False, repr=False)

    def __post_init__(self) -> None:
        for word in sorted(self.log_counts):
            self._by_length.setdefault(len(word), []).append(word)

    def __contains__(self, word: str) -> bool:
        return word in self.log_counts

    def reading(self, word: str) -> str | None:
        """What a disguised word says, or None where no reading is a known word."""
        if word not in self._read:
            if len(self._read) > 20_000:  # bounded: a stranger chooses the words
                self._read.clear()
            self._read[word] = self._best(word)
        return self._read[word]

    def _best(self, word: str) -> str | None:
        for candidate in self._candidates(word):
            if candidate in self.log_counts:
                return candidate
        return None

    def _candidates(self, word: str) -> Iterator[str]:
        if any(letter in _STARS for letter in word):
            yield from self._under_stars(word)
            return
        yield from _readings(word)

    def _under_stars(self, word: str) -> list[str]:
        """Known words that fit a word with stars, best first: those usually masked, then those that hide vowels."""
        if sum(letter.isalpha() for letter in word) < max(1, len(word) // 3):
            return []
        pattern = re.compile("".join("[a-z]" if letter in _STARS else _either(letter) for letter in word))
        fitting = [known for known in self._by_length.get(len(word), ()) if pattern.fullmatch(known)]
        stars = [place for place, letter in enumerate(word) if letter in _STARS]

        def rank(known: str) -> tuple[bool, int, float]:
            consonants = sum(known[place] not in _VOWELS for place in stars)
            return known not in self.masked, consonants, -self.log_counts[known]

        return sorted(fitting, key=rank)

    def apart(self, letters: str) -> list[str]:
        """Letters that stood apart, cut into the most likely known words; unknown stretches stay together."""
        best: list[tuple[float, int]] = [(0.0, 0)]
        for end in range(1, len(letters) + 1):
            options = [
                (best[start][0] + self._cost(letters[start:end]), start) for start in range(max(0, end - 20), end)
            ]
            best.append(min(options))
        words: list[str] = []
        end = len(letters)
        while end:
            start = best[end][1]
            words.append(letters[start:end])
            end = start
        return words[::-1]

    def _cost(self, word: str) -> float:
        count = self.log_counts.get(word)
        return 14.0 - count if count is not None else 10.0 + 6.0 * len(word)


def spelled(term: str) -> tuple[str, ...]:
    """The words of a term as `words_of` would give them, without any disguise undone."""
    return tuple(
        part for word in term.split() for part in (_SIGN_OR_WORD.findall(word) if _SIGN.search(word) else [word])
    )


def words_of(text: str, vocabulary: Vocabulary) -> tuple[Word, ...]:
    """The words of `text` as a person would read them, in order."""
    folded, places = _folded(text)
    reader = _Reader(text, folded, places, vocabulary)
    position = 0
    for run in _APART.finditer(folded):
        reader.read(position, run.start())
        reader.read_apart(run)
        position = run.end()
    reader.read(position, len(folded))
    return tuple(reader.found)


class _Reader:
    """One pass over a text; `places` says where each folded character stands in it, None: at the same place."""

    def __init__(self, text: str, folded: str, places: list[int] | None, vocabulary: Vocabulary) -> None:
        self.found: list[Word] = []
        self._text = text
        self._folded = folded
        self._places = places
        self._vocabulary = vocabulary
        self._budget = DISGUISED_MAX

    def read(self, start: int, end: int) -> None:
        """Words that stand as words from `start` to `end`."""
        for match in _WORD.finditer(self._folded, start, end):
            if self._places is not None and _SIGN.search(match[0]) is not None:
                self._read_signs(match)
                continue
            word = self._plain(match[0][:WORD_MAX])
            if word:
                self._add(word, match.start(), match.end())

    def read_apart(self, run: re.Match[str]) -> None:
        """The words that a run of single letters spells."""
        at = [place for place in range(run.start(), run.end()) if run.string[place].isalpha()]
        taken = 0
        for word in self._vocabulary.apart("".join(run.string[place] for place in at)):
            self._add(word, at[taken], at[taken + len(word) - 1] + 1)
            taken += len(word)

    def _read_signs(self, match: re.Match[str]) -> None:
        """A run of a script without spaces: its signs one by one, and what stands between them as words."""
        for part in _SIGN_OR_WORD.finditer(self._folded, match.start(), match.end()):
            self._add(part[0][:WORD_MAX], part.start(), part.end())

    def _plain(self, word: str) -> str:
        if word in self._vocabulary or word.isdigit() or _UNIT.fullmatch(word) is not None:
            return word
        bare = word.rstrip("!|+#%")
        if bare in self._vocabulary or self._budget == 0:
            return bare
        self._budget -= 1
        return self._vocabulary.reading(word) or _without_signs(word)

    def _add(self, word: str, start: int, end: int) -> None:
        if self._places is not None:
            start, end = self._places[start], self._places[end - 1] + 1
        is_disguised = self._text[start:end].lower() != word
        self.found.append(Word(text=word, start=start, end=end, is_disguised=is_disguised))


def _without_signs(word: str) -> str:
    if word.isalnum():
        return word
    return re.sub(r"[^\w']", "", word).strip("_'")


def _either(letter: str) -> str:
    options = _LEET.get(letter, "") + letter
    return re.escape(letter) if len(options) == 1 else "[" + re.escape(options) + "]"


def _readings(word: str) -> Iterator[str]:
    """Plain spellings that a disguised word may stand for, the likeliest first."""
    choices = [_LEET.get(letter, letter) for letter in word]
    spellings = 1
    for choice in choices:
        spellings *= len(choice)
    letters = sum(letter.isalpha() for letter in word)
    if spellings > READINGS_MAX or not letters or len(word) < 3:
        return
    for spelling in itertools.product(*choices):
        plain = "".join(spelling)
        yield plain
        yield from _unrepeated(plain)


def _unrepeated(word: str) -> Iterator[str]:
    """The word with each run of three or more letters as one or as two of them."""
    runs = [match.span() for match in _REPEATED.finditer(word)]
    if not runs or len(runs) > 5:
        if runs:
            yield _REPEATED.sub(r"\1", word)
        return
    for lengths in itertools.product((1, 2), repeat=len(runs)):
        pieces: list[str] = []
        position = 0
        for (start, end), length in zip(runs, lengths, strict=True):
            pieces += [word[position:start], word[start] * length]
            position = end
        yield "".join(pieces) + word[position:]


def _folded(text: str) -> tuple[str, list[int] | None]:
    """Lower case without dress, and for each character its place in `text` (None: nothing moved)."""
    if text.isascii():
        return text.lower(), None
    letters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for letter in _bare(character):
            letters.append(letter)
            places.append(place)
    folded = "".join(letters)
    return _latin_where_mixed(folded), places


@lru_cache(maxsize=8192)
def _bare(character: str) -> str:
    if character.isascii():
        return character.lower()
    if unicodedata.category(character) in {"Cf", "Mn", "Me", "Cc"}:
        return ""
    decomposed = unicodedata.normalize("NFKD", character)
    plain = "".join(part.lower() for part in decomposed if unicodedata.category(part) not in {"Mn", "Me", "Cf"})[:4]
    # An accent dresses up a Latin letter; in other scripts it makes another letter.
    return plain if plain.isascii() else unicodedata.normalize("NFKC", character).lower()[:4]


_MIXED = re.compile(r"[^\W\d_]+(?:['\d@$!*][^\W\d_]+)*")


def _latin_where_mixed(text: str) -> str:
    """Look-alikes become Latin in words that have Latin letters too; a word wholly in its own script stays."""

    is_latin = _is_mostly_latin(text)

    def change(match: re.Match[str]) -> str:
        word = match[0]
        if word.isascii():
            return word
        latin = word.translate(_LOOKALIKES)
        # A word all of whose letters look Latin, amid Latin text, is a disguise too.
        is_disguise = any("a" <= letter <= "z" for letter in word) or (is_latin and latin.isascii())
        return latin if is_disguise else word

    return _MIXED.sub(change, text)


def _is_mostly_latin(text: str) -> bool:
    latin = sum("a" <= letter <= "z" for letter in text)
    return latin * 2 > sum(letter.isalpha() for letter in text)
