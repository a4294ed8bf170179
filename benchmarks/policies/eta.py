"""How good the promised times are, on the image mix at moderate load."""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.policies import image_deadlines
from benchmarks.policies.trials import Options, Promise, Trial
from benchmarks.report import Bar

PROMISES = (
    Promise(
        text="80% intervals that held the truth, at least",
        metric="interval_holds",
        bar=Bar(limit=0.75, is_floor=True),
        unit="%",
    ),
    Promise(text="80% intervals that held the truth, at most", metric="interval_holds", bar=Bar(limit=0.85), unit="%"),
    Promise(text="median error of the expected time", metric="median_error", bar=Bar(limit=0.2), unit="%"),
)


def trials(options: Options, seed: int) -> Iterator[Trial]:
    """How good the promised times are, on the image mix at moderate load."""
    for trial in image_deadlines.trials(options, seed):
        if trial.policy == "heliograph" and trial.file.scenario.name.endswith("1.0"):
            quiet = replace(trial.file.scenario, deadlines=False)
            yield replace(
                trial,
                axis="eta",
                file=replace(trial.file, scenario=quiet),
                metrics=lambda report: {
                    "interval_holds": report.eta.interval_holds or 0.0,
                    "median_error": report.eta.median_error or 0.0,
                },
            )
