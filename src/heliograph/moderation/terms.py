"""The words whose meaning the filter was told: which classes a word or phrase belongs to.

A class is a name such as `sexual.nudity`; the file `data/prompt_terms.toml` lists them. A term of several words counts
where they stand side by side. Whether a class means harm is decided elsewhere, by what else is in the prompt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from heliograph.domain.errors import InvalidRequest
from heliograph.moderation.disguise import Word, spelled

PREFIX_MIN = 3
"""Shortest beginning that may stand for all its endings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """Words `first` to `last` (inclusive) of a prompt that belong to a class."""

    term_class: str
    first: int
    last: int


class Terms:
    """Finds mentions in linear time: single words by a look-up, phrases by their first word."""

    def __init__(self, classes: Mapping[str, Sequence[str]]) -> None:
        self.names = tuple(sorted(classes))
        self._words: dict[str, list[str]] = {}
        self._beginnings: dict[str, list[str]] = {}
        self._phrases: dict[tuple[str, str], list[tuple[tuple[str, ...], str]]] = {}
        """By their first two words; of a second one that is a beginning, by the first word alone."""
        self._opens: set[str] = set()
        self._known: dict[str, tuple[str, ...]] = {}
        for name in self.names:
            for term in classes[name]:
                self._add(name, term)

    def _add(self, name: str, term: str) -> None:
        words = spelled(term)
        if len(words) > 1:
            second = "" if words[1].endswith("*") else words[1]
            self._phrases.setdefault((words[0], second), []).append((words, name))
            self._opens.add(words[0])
        elif term.endswith("*"):
            if len(term) <= PREFIX_MIN:
                raise InvalidRequest(
                    f"The term {term!r} is too short to stand for all its endings; write {PREFIX_MIN} letters or more.",
                    param=name,
                    code="invalid_term",
                )
            self._beginnings.setdefault(term[:-1], []).append(name)
        else:
            self._words.setdefault(term, []).append(name)

    def words(self) -> frozenset[str]:
        """Every single word that is written out in full, for the vocabulary."""
        inside = {word.rstrip("*") for phrases in self._phrases.values() for words, _ in phrases for word in words}
        return frozenset(self._words) | frozenset(self._beginnings) | inside

    def of_class(self, prefix: str) -> frozenset[str]:
        """The single words of classes whose name begins with `prefix`."""
        return frozenset(word for word, names in self._words.items() if any(name.startswith(prefix) for name in names))

    def classes_of(self, word: str) -> tuple[str, ...]:
        """The classes of a single word."""
        found = self._known.get(word)
        if found is None:
            if len(self._known) > 50_000:  # bounded: a stranger chooses the words
                self._known.clear()
            found = self._known[word] = self._looked_up(word)
        return found

    def _looked_up(self, word: str) -> tuple[str, ...]:
        names = list(self._words.get(word, ()))
        bare = word.removesuffix("'s")
        if bare != word:
            names += self._words.get(bare, ())
        if word.endswith("s") and not names:
            names += self._words.get(word[:-1], ())
        for length in range(PREFIX_MIN, len(word) + 1):
            names += self._beginnings.get(word[:length], ())
        return tuple(dict.fromkeys(names))

    def mentions(self, words: Sequence[str]) -> tuple[Mention, ...]:
        """Every mention in a prompt, in order of its first word."""
        found: list[Mention] = []
        for at, word in enumerate(words):
            for name in self.classes_of(word):
                found.append(Mention(term_class=name, first=at, last=at))  # noqa: PERF401
            if word in self._opens and at + 1 < len(words):
                found += self._phrases_at(words, at)
        return tuple(found)

    def _phrases_at(self, words: Sequence[str], at: int) -> list[Mention]:
        found: list[Mention] = []
        for second in (words[at + 1], ""):
            for phrase, name in self._phrases.get((words[at], second), ()):
                last = at + len(phrase) - 1
                if last < len(words) and all(
                    _fits(words[at + offset], phrase[offset]) for offset in range(1, len(phrase))
                ):
                    found.append(Mention(term_class=name, first=at, last=last))
        return found


def _fits(word: str, term: str) -> bool:
    return word.startswith(term[:-1]) if term.endswith("*") else word == term


AVOIDED = "negative."
"""Classes of this section are looked for in negative prompts, and only there."""

IDIOMS = "harmless.idioms"
IDIOM = "idiom"
"""What an idiom is read as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """The terms of a file: `weighed` in prompts, `avoidable` in negative prompts, and idioms, by their first word."""

    weighed: Terms
    avoidable: Terms
    idioms: Mapping[str, Sequence[tuple[str, ...]]]

    def without_idioms(self, words: Sequence[Word]) -> list[Word]:
        """The words with each idiom as one word, the longest that fits."""
        found: list[Word] = []
        at = 0
        while at < len(words):
            length = self._idiom_length(words, at)
            if length:
                first, last = words[at], words[at + length - 1]
                found.append(Word(text=IDIOM, start=first.start, end=last.end))
            else:
                found.append(words[at])
            at += length or 1
        return found

    def _idiom_length(self, words: Sequence[Word], at: int) -> int:
        lengths = [
            len(idiom)
            for idiom in self.idioms.get(words[at].text, ())
            if tuple(word.text for word in words[at : at + len(idiom)]) == idiom
        ]
        return max(lengths, default=0)


def known_terms(document: Mapping[str, object]) -> Lexicon:
    """The terms of a file."""
    classes = parse_terms(document)
    idioms: dict[str, list[tuple[str, ...]]] = {}
    for phrase in classes.pop(IDIOMS, ()):
        words = tuple(phrase.split())
        idioms.setdefault(words[0], []).append(words)
    weighed = {name: terms for name, terms in classes.items() if not name.startswith(AVOIDED)}
    avoidable = {name: terms for name, terms in classes.items() if name not in weighed}
    return Lexicon(weighed=Terms(weighed), avoidable=Terms(avoidable), idioms=idioms)


def parse_terms(document: Mapping[str, object]) -> dict[str, list[str]]:
    """The classes of a terms file as `section.name`, each term in lower case with single spaces."""
    classes: dict[str, list[str]] = {}
    for section, group in document.items():
        if not isinstance(group, Mapping):
            raise InvalidRequest(f"[{section}] must be a table of classes.", param=section, code="invalid_terms")
        for name, text in group.items():  # pyright: ignore[reportUnknownVariableType]
            if not isinstance(text, str) or not isinstance(name, str):
                raise InvalidRequest(
                    f"{section}.{name} must be a text of terms with commas between them.",
                    param=f"{section}.{name}",
                    code="invalid_terms",
                )
            terms = (" ".join(term.lower().split()) for term in text.replace("\n", " ").split(","))
            classes[f"{section}.{name}"] = [term for term in terms if term]
    return classes
