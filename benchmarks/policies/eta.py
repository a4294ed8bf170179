"""How good the promised times are, on a mix of pictures at moderate load."""

from collections.abc import Iterator

from benchmarks.policies.loads import at_load
from benchmarks.policies.trials import Options, Promise, Trial, the_policies
from benchmarks.report import Bar
from heliograph.simulation import parse_scenario

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


LOAD = 0.8
"""Bursts make long lines at times; from 1.0 on lines grow without end, and so does what nobody can foresee."""

SCENARIO = """
name = "promised times"
duration_s = 3600
warm_up_s = 300
profile_error = 0.2
fleet = [{ gpu = "H100", count = 8 }]
[targets.image]
pro = 20
standard = 30
free = 40
[[workload]]
rate_per_hour = 8000
variation = 2
models = { flux1-dev = 0.5, sdxl-base = 0.5 }
sizes = { 512x512 = 0.3, 1024x1024 = 0.5, 1536x1024 = 0.2 }
steps = { 28 = 0.6, 50 = 0.4 }
"""


def trials(options: Options, seed: int) -> Iterator[Trial]:
    """How good the promised times are, on a mix of pictures at moderate load, without deadlines."""
    yield Trial(
        axis="eta",
        policy="heliograph",
        file=at_load(parse_scenario(SCENARIO, origin="eta"), LOAD),
        decides=the_policies(("flux1-dev", "sdxl-base"))["heliograph"],
        seed=seed,
        metrics=lambda report: {
            "interval_holds": report.eta.interval_holds or 0.0,
            "median_error": report.eta.median_error or 0.0,
        },
    )
