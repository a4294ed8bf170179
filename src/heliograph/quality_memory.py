"""What was learned of each model's own pictures, kept across restarts, and given to the gates with every picture.

One JSON file per model in a folder of the data directory, replaced as a whole: after every `SAVE_EVERY` pictures, when
limits were learned, and at the end. What a crash loses is a few pictures of four hundred. A file that cannot be read
is no fault worth stopping for: that model is learned anew, and the log says so. The built-in models bring what is usual
of their revision in the package, which holds until more pictures of their own are known.
"""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import structlog

from heliograph.delivery.provenance import Stamp
from heliograph.domain.ids import ModelId
from heliograph.domain.pictures import RawImage, Verdict
from heliograph.domain.request import GenerationRequest
from heliograph.postprocess import FinishedPicture
from heliograph.postprocess_tools import DAMAGE_FILE
from heliograph.quality.damage import UsualLook, read_network
from heliograph.quality.history import Baseline, History, LearningPolicy, learned, noted
from heliograph.quality.safety import SafetyLimits
from heliograph.quality.signals import SIGNALS

SAVE_EVERY = 25

_log = structlog.get_logger()


class FinishesPictures(Protocol):
    """`PostProcessPool`, or what stands in for it."""

    async def finish(
        self,
        raw: RawImage,
        request: GenerationRequest,
        *,
        reseeds: int,
        alignment_judge: str | None = None,
        baseline: Baseline | None = None,
        safety: SafetyLimits | None = None,
        stamp: Stamp | None = None,
        spent: Callable[[int], None] | None = None,
    ) -> FinishedPicture | Verdict:
        """The picture's files, or the verdict that stands in their way."""
        ...


class LearningPostProcessor:
    """Gives every picture what is usual for its model along, and learns from each that passes."""

    def __init__(self, post: FinishesPictures, memory: "QualityMemory") -> None:
        self._post = post
        self._memory = memory

    async def finish(
        self,
        raw: RawImage,
        request: GenerationRequest,
        *,
        reseeds: int,
        alignment_judge: str | None = None,
        safety: SafetyLimits | None = None,
        stamp: Stamp | None = None,
        spent: Callable[[int], None] | None = None,
    ) -> FinishedPicture | Verdict:
        """See `PostProcessPool.finish`."""
        result = await self._post.finish(
            raw,
            request,
            reseeds=reseeds,
            alignment_judge=alignment_judge,
            baseline=self._memory.baseline(request.model_id),
            safety=safety,
            stamp=stamp,
            spent=spent,
        )
        if isinstance(result, FinishedPicture) and result.signals is not None:
            alignment = None if result.alignment is None else result.alignment.score
            await self._memory.note(request.model_id, result.signals, alignment)
        return result


class QualityMemory:
    """The histories in `folder`, one for each model in `revisions`; a model that is not there is never learned."""

    def __init__(self, folder: Path, *, revisions: Mapping[ModelId, str], policy: LearningPolicy | None = None) -> None:
        document: dict[str, Any] = json.loads(DAMAGE_FILE.read_text(encoding="utf-8"))
        self._folder = folder
        self._policy = policy or LearningPolicy()
        self._network = read_network(document)
        self._shipped = {
            model_id: _shipped(document["usual"][model_id])
            for model_id, revision in revisions.items()
            if model_id in document["usual"] and document["usual"][model_id]["revision"] == revision
        }
        self._histories = {model_id: self._read(model_id, revision) for model_id, revision in revisions.items()}
        self._saving = asyncio.Lock()
        self._unsaved: set[ModelId] = set()

    def baseline(self, model_id: ModelId) -> Baseline | None:
        """What is usual for the model, from as many of its pictures as are known; None: too few."""
        history = self._histories.get(model_id)
        own, shipped = history and history.baseline, self._shipped.get(model_id)
        if own is None or shipped is None:
            return own or shipped
        return own if own.pictures > shipped.pictures else shipped

    async def note(self, model_id: ModelId, signals: tuple[float, ...], alignment: float | None) -> None:
        """One more picture of the model was delivered."""
        history = self._histories.get(model_id)
        if history is None or history.is_complete:
            return
        more = noted(history, signals, alignment, network=self._network, policy=self._policy)
        self._histories[model_id] = more
        self._unsaved.add(model_id)
        if len(more.signals) % SAVE_EVERY == 0:
            await self._save(model_id)

    async def close(self) -> None:
        """Keep what was not kept yet."""
        for model_id in tuple(self._unsaved):
            await self._save(model_id)

    async def _save(self, model_id: ModelId) -> None:
        async with self._saving:
            self._unsaved.discard(model_id)
            try:
                await asyncio.to_thread(_write, self._path(model_id), self._histories[model_id])
            except OSError as error:
                self._unsaved.add(model_id)
                _log.warning("what is usual for a model is not kept", model=model_id, reason=error.strerror)

    def _read(self, model_id: ModelId, revision: str) -> History:
        fresh, path = History(revision=revision), self._path(model_id)
        if not path.exists():
            return fresh
        try:
            document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            history = History(
                revision=str(document["revision"]),
                signals=tuple(tuple(map(float, row)) for row in document["signals"]),
                alignments=tuple(map(float, document["alignments"])),
            )
            is_of_this_release = document["names"] == list(SIGNALS)
            learned_from = int(document["learned_from"])
            if any(len(row) != len(SIGNALS) for row in history.signals) or learned_from > len(history.signals):
                raise ValueError("it has gaps")
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("what is usual for a model is learned anew", model=model_id, reason=repr(error))
            return fresh
        if history.revision != revision or not is_of_this_release:
            return fresh
        if not learned_from:
            return history
        first = replace(
            history, signals=history.signals[:learned_from], alignments=history.alignments[: document["judged"]]
        )
        return replace(history, baseline=learned(first, self._network, self._policy))

    def _path(self, model_id: ModelId) -> Path:
        return self._folder / f"{quote(model_id, safe='')}.json"


def _shipped(usual: Mapping[str, Any]) -> Baseline:
    """What the package says of a built-in model; its judge's own threshold needs no correction."""
    look = UsualLook(medians=tuple(usual["medians"]), scales=tuple(usual["scales"]), limit=float(usual["limit"]))
    return Baseline(usual=look, alignment_min=None, pictures=int(usual["pictures"]))


def _write(path: Path, history: History) -> None:
    """Replace the file as a whole. The limits are learned again from the pictures they were learned from."""
    baseline = history.baseline
    document = {
        "revision": history.revision,
        "names": list(SIGNALS),
        "learned_from": 0 if baseline is None else baseline.pictures,
        "judged": 0 if baseline is None else baseline.judged,
        "signals": history.signals,
        "alignments": history.alignments,
    }
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(document, file, separators=(",", ":"))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
