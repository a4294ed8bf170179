"""How good the promised times are, on the image mix at moderate load."""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.policies import image_deadlines
from benchmarks.policies.trials import Options, Trial


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
