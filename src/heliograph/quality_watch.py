"""Are the pictures still good? What alignment, gates and people's own behaviour say of each revision of a model.

Scores of a revision are compared with those of the revision before it; where there is none, with the first
`baseline_min` of its own. `quality/change.py` says when they have become worse, and how often it cries wolf. People say
it too, without being asked: the same prompt again within minutes is a picture they did not want, a picture that is
fetched in full is one they did.

Prompts are never kept: of each submission there is a number that Python salts anew in every process.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from heliograph.domain.ids import ModelId, OutputId
from heliograph.domain.job import Job
from heliograph.domain.lifecycle import JobMoved, LifecycleEvent
from heliograph.domain.pictures import Decision
from heliograph.domain.sketch import Sketch
from heliograph.quality.change import Baseline, ChangeDetector, ChangePolicy

RETRY_S = 600.0
PROMPTS_MAX = 50_000
OUTPUTS_MAX = 50_000
REVISIONS_MAX = 4
"""Revisions of a model that are remembered, the latest."""
GATE_CAUSES = frozenset({"gate_regenerate", "quality_blocked"})


@dataclass(slots=True)
class Signals:
    """What was counted of one revision. Scores lie between 0 and 1; `mean` and `squares` are of all of them."""

    revision: str
    jobs: int = 0
    pictures: int = 0
    flagged: int = 0
    rejected: int = 0
    user_retries: int = 0
    downloads: int = 0
    scores: int = 0
    mean: float = 0.0
    squares: float = 0.0
    alignment: Sketch = field(default_factory=Sketch)
    days: deque[tuple[int, int, float]] = field(default_factory=lambda: deque[tuple[int, int, float]](maxlen=60))
    """Day since the epoch, scores and their sum."""

    def note_score(self, score: float, day: int) -> None:
        """Count one score."""
        self.scores += 1
        step = score - self.mean
        self.mean += step / self.scores
        self.squares += step * (score - self.mean)
        self.alignment.add(score)
        if self.days and self.days[-1][0] == day:
            _, count, total = self.days.pop()
            self.days.append((day, count + 1, total + score))
        else:
            self.days.append((day, 1, score))

    @property
    def deviation(self) -> float:
        """The scores' standard deviation, 0 with fewer than two."""
        return math.sqrt(self.squares / (self.scores - 1)) if self.scores > 1 else 0.0

    def baseline(self, policy: ChangePolicy) -> Baseline | None:
        """What its scores are like; None while there are too few to say."""
        if self.scores < policy.baseline_min:
            return None
        return Baseline(mean=self.mean, deviation=max(self.deviation, policy.deviation_min), count=self.scores)


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityVerdict:
    """Whether a roll-out of the revision should stop where it is, and why; `why` is None when it may go on."""

    is_held: bool
    why: str | None = None


@dataclass(slots=True)
class _Watched:
    revisions: list[Signals] = field(default_factory=list[Signals])
    detector: ChangeDetector | None = None
    changed_at_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionQuality:
    """One revision as the API shows it. `baseline` is what its scores are compared with, None while there is none;
    `changed_at_s` is when they were found to be worse."""

    model_id: ModelId
    signals: Signals
    is_current: bool
    baseline: Baseline | None
    changed_at_s: float | None
    verdict: QualityVerdict


class QualityWatch:
    """A sink of lifecycle events. `revisions` are those that run now; `clock` gives seconds since the epoch."""

    def __init__(
        self,
        *,
        revisions: Mapping[ModelId, str],
        clock: Callable[[], float],
        publish: Callable[[str, ModelId], None] | None = None,
        policy: ChangePolicy | None = None,
    ) -> None:
        self._revisions = revisions
        self._clock = clock
        self._publish = publish
        self._policy = policy or ChangePolicy()
        self._models: dict[ModelId, _Watched] = {}
        self._asked: OrderedDict[int, float] = OrderedDict()
        self._outputs: OrderedDict[OutputId, tuple[ModelId, bool]] = OrderedDict()

    def __call__(self, event: LifecycleEvent) -> None:
        """Take note of one event."""
        if not isinstance(event, JobMoved):
            return
        record = event.record
        if event.previous is None:
            self._note_submission(record.job)
        if record.cause in GATE_CAUSES:
            self._current(record.job.request.model_id).rejected += 1
        if record.outputs:
            model_id = record.job.request.model_id
            signals = self._current(model_id)
            for output in record.outputs:
                signals.pictures += 1
                signals.flagged += output.verdict.decision is Decision.FLAG
                self._outputs[output.output_id] = (model_id, False)
                if len(self._outputs) > OUTPUTS_MAX:
                    self._outputs.popitem(last=False)
                if output.alignment is not None:
                    self._note_score(model_id, signals, output.alignment.score)

    def downloaded(self, output_id: OutputId) -> None:
        """Somebody fetched a picture; the second time it is no news."""
        model_id, is_known = self._outputs.get(output_id, (None, True))
        if model_id is None or is_known:
            return
        self._outputs[output_id] = (model_id, True)
        self._current(model_id).downloads += 1
        self._tell("download", model_id)

    def verdict(self, model_id: ModelId, revision: str) -> QualityVerdict:
        """Whether a roll-out of the revision may go on."""
        watched = self._models.get(model_id)
        if watched is None or watched.changed_at_s is None or self._revisions.get(model_id, "") != revision:
            return QualityVerdict(is_held=False)
        assert watched.detector is not None, "scores have changed from something"
        baseline, signals = watched.detector.baseline, watched.revisions[-1]
        return QualityVerdict(
            is_held=True,
            why=(
                f"Pictures fit their prompts less well than before: {signals.mean:.3f} on average over "
                f"{signals.scores} pictures, {baseline.mean:.3f} before (standard deviation {baseline.deviation:.3f})."
            ),
        )

    def all(self) -> tuple[RevisionQuality, ...]:
        """Every revision that is remembered, by model, the latest first."""
        return tuple(
            RevisionQuality(
                model_id=model_id,
                signals=signals,
                is_current=number == 0,
                baseline=watched.detector.baseline if number == 0 and watched.detector is not None else None,
                changed_at_s=watched.changed_at_s if number == 0 else None,
                verdict=self.verdict(model_id, signals.revision) if number == 0 else QualityVerdict(is_held=False),
            )
            for model_id, watched in sorted(self._models.items())
            for number, signals in enumerate(reversed(watched.revisions))
        )

    def state(self) -> Mapping[str, list[list[object]]]:
        """What has to be kept over a restart: by model, each revision with its count, mean and sum of squares."""
        return {
            model_id: [[each.revision, each.scores, each.mean, each.squares] for each in watched.revisions]
            for model_id, watched in self._models.items()
        }

    def restore(self, state: Mapping[str, list[list[object]]]) -> None:
        """Take up what `state` gave."""
        for name, revisions in state.items():
            found = [
                Signals(
                    revision=str(revision), scores=int(str(count)), mean=float(str(mean)), squares=float(str(squares))
                )
                for revision, count, mean, squares in revisions
            ]
            self._models[cast(ModelId, name)] = _Watched(revisions=found)

    def _note_submission(self, job: Job) -> None:
        request, now_s = job.request, self._clock()
        self._current(request.model_id).jobs += 1
        asked = hash((job.tenant_id, job.end_user, request.model_id, request.raw_prompt))
        before_s = self._asked.pop(asked, None)
        self._asked[asked] = now_s
        if len(self._asked) > PROMPTS_MAX:
            self._asked.popitem(last=False)
        if before_s is not None and now_s - before_s <= RETRY_S:
            self._current(request.model_id).user_retries += 1
            self._tell("retry", request.model_id)

    def _note_score(self, model_id: ModelId, signals: Signals, score: float) -> None:
        watched = self._models[model_id]
        if watched.detector is None:
            others = [each for each in watched.revisions if each is not signals]
            baseline = others[-1].baseline(self._policy) if others else None
            baseline = baseline or signals.baseline(self._policy)
            if baseline is not None:
                watched.detector = ChangeDetector(baseline, self._policy)
        if watched.detector is not None and watched.detector.note(score):
            watched.changed_at_s = self._clock()
        signals.note_score(score, int(self._clock() // 86_400))

    def _current(self, model_id: ModelId) -> Signals:
        watched = self._models.get(model_id)
        if watched is None:
            watched = self._models[model_id] = _Watched()
        revision = self._revisions.get(model_id, "")
        if not watched.revisions or watched.revisions[-1].revision != revision:
            known = next((each for each in watched.revisions if each.revision == revision), None)
            watched.revisions = [each for each in watched.revisions if each is not known][1 - REVISIONS_MAX :]
            watched.revisions.append(known or Signals(revision=revision))
            watched.detector, watched.changed_at_s = None, None
        return watched.revisions[-1]

    def _tell(self, what: str, model_id: ModelId) -> None:
        if self._publish is not None:
            self._publish(what, model_id)
