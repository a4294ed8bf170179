"""Small scenarios for tests: every field that a test does not care about has a value that makes the run short."""

from collections.abc import Callable
from pathlib import Path

from heliograph.cli_simulate import surroundings
from heliograph.simulation import Report, ScenarioFile, Surroundings, parse_scenario, simulate

SMALL = """
name = "small"
duration_s = {duration_s}
seed = {seed}
{more}

[[fleet]]
gpu = "H100"
count = {gpus}

{fleet}

[[workload]]
rate_per_hour = {rate_per_hour}
variation = 2.0
models = {{ sdxl-base = 0.7, z-image-turbo = 0.3 }}
images = {{ 1 = 0.8, 4 = 0.2 }}
tenants = 4
users = 12
repeat_model = 0.5
{workload}

[targets.image]
pro = 20
standard = 40
free = 120

{tables}
"""


def a_scenario(
    *,
    duration_s: float = 1_200,
    seed: int = 1,
    gpus: int = 3,
    rate_per_hour: float = 1_200,
    more: str = "",
    fleet: str = "",
    workload: str = "",
    tables: str = "",
) -> ScenarioFile:
    text = SMALL.format(
        duration_s=duration_s,
        seed=seed,
        gpus=gpus,
        rate_per_hour=rate_per_hour,
        more=more,
        fleet=fleet,
        workload=workload,
        tables=tables,
    )
    return parse_scenario(text, origin="small.toml")


def around(read_text: Callable[[str], str] | None = None) -> Surroundings:
    """The shipped facts, and traces from a function instead of from files."""
    shipped = surroundings(Path())
    if read_text is None:
        return shipped
    return Surroundings(shipped=shipped.shipped, prices=shipped.prices, shares=shipped.shares, read_text=read_text)


def checked(file: ScenarioFile, **options: object) -> Report:
    """The report of a run in which every invariant was asserted after every step."""
    return simulate(file, around(), check_every=1, exact_ledger=True, **options)  # type: ignore[arg-type]
