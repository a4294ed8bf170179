"""The content filter of an installation: its files read at start, and its policy again whenever the file changes."""

import asyncio
import tomllib
from collections.abc import Mapping
from pathlib import Path

import structlog

from heliograph.domain.errors import HeliographError, InvalidRequest, Unavailable
from heliograph.moderation.classifier import Classifier
from heliograph.moderation.judge import PromptFilter
from heliograph.moderation.policy import ContentPolicy, parse_policy
from heliograph.moderation.terms import Lexicon, Terms, known_terms
from heliograph.moderation.weights_file import read_weights, write_weights
from heliograph.settings import ModerationSettings

PACKAGE_DIR = Path(__file__).parent
TERMS = PACKAGE_DIR / "data" / "prompt_terms.toml"
SHIPPED_WEIGHTS = PACKAGE_DIR / "data" / "prompt_filter.npz"
RELOAD_S = 2.0


def open_filter(settings: ModerationSettings) -> PromptFilter:
    """The filter with its policy. Raises `InvalidRequest` for a bad policy, `Unavailable` for damaged weights."""
    lexicon = shipped_terms()
    classifier = open_weights(settings.weights or SHIPPED_WEIGHTS, lexicon.weighed)
    return PromptFilter(classifier, lexicon, read_policy(settings.policy))


def shipped_terms() -> Lexicon:
    """The terms that the filter knows."""
    return known_terms(tomllib.loads(TERMS.read_text(encoding="utf-8")))


def open_weights(path: Path, terms: Terms) -> Classifier:
    """The weights in a file."""
    return read_weights(path, masked=masked_words(terms))


def keep_weights(path: Path, classifier: Classifier, *, about: Mapping[str, object]) -> None:
    """Write weights to a file. Raises `Unavailable` where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_weights(path, classifier, about=about)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}.", param="output") from error


def masked_words(terms: Terms) -> frozenset[str]:
    """The words that people put stars on."""
    prefixes = ("sexual", "violence", "hate.slur", "illegal.drug")
    return frozenset(word for prefix in prefixes for word in terms.of_class(prefix))


def read_policy(path: Path | None) -> ContentPolicy:
    """The policy in a file; without one, what the weights bring along."""
    if path is None:
        return ContentPolicy()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(
            f"moderation.policy: {path} cannot be read: {error}", param="moderation.policy", code="invalid_policy"
        ) from error
    return parse_policy(text, origin=str(path))


async def watch_policy(content_filter: PromptFilter, path: Path, *, every_s: float = RELOAD_S) -> None:
    """Judge by the file as it is now, always; one that is wrong is told of and the last good one stays in force."""
    log = structlog.get_logger()
    seen = await asyncio.to_thread(_stamp, path)
    while True:
        await asyncio.sleep(every_s)
        now = await asyncio.to_thread(_stamp, path)
        if now == seen:
            continue
        seen = now
        try:
            content_filter.use(await asyncio.to_thread(read_policy, path))
        except HeliographError as error:
            log.warning("the content policy could not be reloaded; the last good one stays", reason=error.message)
        else:
            log.info("the content policy was reloaded", path=str(path))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
