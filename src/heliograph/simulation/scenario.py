"""A scenario: fleet, models, what is asked, what goes wrong, what is promised. TOML in, frozen dataclasses out.

`docs/reference/scenarios.md` describes every field for people. Policies are the production dataclasses, read field by
field over their defaults, so whatever they can be told a scenario can sweep.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, TypeVar, cast

from heliograph.domain.model_card import Catalogue, EngineKind
from heliograph.domain.tiers import Tier
from heliograph.fleet.capacity import CapacityPolicy
from heliograph.fleet.plan import FleetPolicy
from heliograph.routing.catalogue import CatalogueFile, merge, read_catalogue_tables
from heliograph.scheduling import SchedulerPolicy
from heliograph.simulation.hardware import GPU_CLASSES, GpuClass, Term
from heliograph.simulation.incidents import Incident
from heliograph.simulation.toml_fields import Table, read_table, wrong

_Policy = TypeVar("_Policy")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuGroup:
    """`count` GPUs of class `gpu` in one zone on one kind of contract.

    `availability` names an entry of the scenario's `spot` table; without one, the GPUs are always to be had.
    """

    gpu: str
    count: int
    term: Term = Term.RESERVED
    zone: str = "a"
    gpus_per_node: int = 8
    price_usd_per_hour: float | None = None
    availability: str | None = None

    def __post_init__(self) -> None:
        if self.count < 1 or self.gpus_per_node < 1:
            raise ValueError("needs count and gpus_per_node of at least 1")


class SpotKind(StrEnum):
    """Where the availability of spot GPUs comes from."""

    SYNTHETIC = "synthetic"
    SKYPILOT = "skypilot"
    BAMBOO_EVENTS = "bamboo-events"
    BAMBOO_SIZES = "bamboo-sizes"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotSource:
    """When spot GPUs of a zone can be had.

    A trace is read from `path`, begins at `offset_s` and is repeated when it is over. Synthetic: the zone has GPUs for
    `up_s` seconds on average, then none for `down_s`. `notice_s` is how long a GPU is announced to be going.
    """

    kind: SpotKind = SpotKind.SYNTHETIC
    path: str | None = None
    offset_s: float = 0.0
    up_s: float = 4 * 3600.0
    down_s: float = 1800.0
    notice_s: float = 30.0


class WorkloadKind(StrEnum):
    """What makes the arrivals."""

    SYNTHETIC = "synthetic"
    GENTD26 = "gentd26"
    DIFFSERVE = "diffserve"
    AZURE_LLM = "azure-llm"
    HETU = "hetu"
    RECORDED = "recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flash:
    """A flash crowd: from `at_s`, for `duration_s`, `factor` times the usual rate, after a ramp of `ramp_s`."""

    at_s: float
    duration_s: float = 900.0
    factor: float = 10.0
    ramp_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One source of requests; a scenario superposes any number of them.

    Traces: rows between `from_day` and `to_day` are played `copies` times, copy k starting `k * shift_s` seconds into
    the trace (a day and ten minutes by default, so that nights stay nights) and wrapping around, `speed` times as
    fast. Synthetic: `rate_per_hour` requests on average, gaps with coefficient of variation `variation`, a day that
    swings by `day_night` (0 to 1) around the mean with its trough at 04:00 UTC, and flash crowds.

    What a trace does not say is drawn: `models`, `sizes` ("WIDTHxHEIGHT"), `steps` and `images` by weight (steps 0: the
    model's standard), tenants and end users evenly, tiers per tenant by weight. With probability `repeat_model` an end
    user asks for the model of their last request again. `mix` takes steps and images from the shipped joint
    distribution of a production service ("gentd26") or sizes, steps and images from a file of parameters ("krea", with
    `mix_path`). A share of `cancels` of the users gives up after `patience_s` seconds on average.
    """

    name: str = ""
    kind: WorkloadKind = WorkloadKind.SYNTHETIC
    path: str | None = None
    copies: int = 1
    shift_s: float = 87_000.0
    speed: float = 1.0
    from_day: float = 0.0
    to_day: float | None = None
    rate_per_hour: float = 0.0
    variation: float = 1.0
    day_night: float = 0.0
    flash: tuple[Flash, ...] = ()
    begin_s: float = 0.0
    models: Mapping[str, float] = field(default_factory=dict[str, float])
    sizes: Mapping[str, float] = field(default_factory=dict[str, float])
    steps: Mapping[str, float] = field(default_factory=dict[str, float])
    images: Mapping[str, float] = field(default_factory=lambda: {"1": 1.0})
    mix: str | None = None
    mix_path: str | None = None
    tiers: Mapping[Tier, float] = field(default_factory=lambda: {Tier.FREE: 0.6, Tier.STANDARD: 0.3, Tier.PRO: 0.1})
    tenants: int = 20
    users: int = 400
    repeat_model: float = 0.0
    cancels: float = 0.0
    patience_s: float = 60.0

    def __post_init__(self) -> None:
        if self.kind is WorkloadKind.SYNTHETIC and self.rate_per_hour <= 0:
            raise ValueError("is synthetic and needs rate_per_hour above 0")
        if self.kind is not WorkloadKind.SYNTHETIC and self.path is None:
            raise ValueError("replays a trace and needs its path")
        if self.copies < 1 or self.speed <= 0 or self.variation < 0 or self.tenants < 1 or self.users < 1:
            raise ValueError("needs copies, tenants and users of at least 1, speed above 0 and variation from 0 on")
        if not 0 <= self.day_night <= 1:
            raise ValueError("needs day_night from 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong, as rates per hour of one worker or GPU, or probabilities (0 to 1) per occasion.

    A hanging worker says nothing until the watchdog kills it after `silence_s`. `lost_messages`, `duplicates` and
    `late_messages` apply to what workers report; a late message comes up to `late_s` later. A clock jump moves the
    scheduler's wall clock by up to `clock_jump_s` either way. `restarts_per_hour`: the server is killed and recovers
    its open jobs from the store `restart_s` later. `halts_per_hour`: somebody pauses or drains a model, a pool or the
    whole system, and resumes it `halt_s` later. `gate_rejects`: share of pictures a quality gate sends back.
    """

    worker_crashes_per_hour: float = 0.0
    worker_hangs_per_hour: float = 0.0
    gpu_failures_per_hour: float = 0.0
    gpu_repair_s: float = 3600.0
    load_failures: float = 0.0
    run_failures: float = 0.0
    out_of_memory: float = 0.0
    gate_rejects: float = 0.0
    lost_messages: float = 0.0
    duplicates: float = 0.0
    late_messages: float = 0.0
    late_s: float = 5.0
    silence_s: float = 60.0
    clock_jumps_per_hour: float = 0.0
    clock_jump_s: float = 30.0
    restarts_per_hour: float = 0.0
    restart_s: float = 10.0
    halts_per_hour: float = 0.0
    halt_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """How weights travel and how long small things take, in seconds and gigabytes.

    Loading from the node's disk takes the card's `load_s` (or, where the card has none, 18.7 s plus 0.42 s per
    gigabyte, a fit over 12 published loads); from host memory `memory_share` of that; weights that are not on the
    node's disk are fetched first at `fetch_gb_per_s`. Host memory and disk keep the most recently used weights.
    `load_spread` is the standard deviation of the logarithm of a load time, `step_spread` that of a run. With
    `can_resume` a run can pause at a step and go on later, which takes `resume_s` longer; with `checkpoint_every_s`
    what is done is also kept every so many seconds (0: never), as often as progress is reported at most.
    """

    host_memory_gb: float = 512.0
    disk_gb: float = 2_000.0
    fetch_gb_per_s: float = 1.0
    memory_share: float = 0.15
    load_spread: float = 0.2
    step_spread: float = 0.02
    dispatch_s: float = 0.02
    finish_s: float = 0.4
    stop_s: float = 0.5
    boot_s: float = 90.0
    can_resume: bool = True
    resume_s: float = 0.2
    checkpoint_every_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoints:
    """`count` models `NAME-01`, `NAME-02`, ... that are all like `base`, asked for as a production service's were."""

    base: str
    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError("needs count of at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    """The policies of one run.

    With `forecasts` models stay loaded as long as a forecast of the demand says it pays; a `fleet_policy` that sets
    `idle_ttl_s` turns that off, as the setting of that name does. With `capacity` GPUs that are not reserved are bought
    and given back by the capacity plan; without, the fleet holds whatever the market has.
    """

    name: str = "default"
    forecasts: bool = True
    capacity: CapacityPolicy | None = None
    scheduler: SchedulerPolicy = field(default_factory=lambda: SchedulerPolicy(**SIMULATED_BOUNDS))
    fleet: FleetPolicy = field(default_factory=FleetPolicy)


SIMULATED_BOUNDS: Mapping[str, Any] = {
    "pending_max": 1_000_000,
    "pending_max_per_tenant": 1_000_000,
    "post_processing_max": 100_000,
    "preview_every": 0,
}
"""A laptop's bounds are not those of a fleet; a scenario that is about bounds sets its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything a simulation needs, the trace files aside.

    `targets` maps `image` and `video` to seconds from submission to delivery per tier; a tier without one is on time
    whenever it is delivered. `target_stretch` times what a request takes alone on the fastest GPU, its model loaded, is
    added to its target. With `deadlines` the target is also the job's deadline, after which production expires it.
    `profile_error` is how wrong production's prior knowledge of run and load times is: each model's true times lie up
    to this share above or below what the catalogue says. `tick_s` is the longest time between two looks of the fleet
    plan while jobs wait, `quiet_tick_s` while none do. `step_reports_s`: a running job reports its progress at most
    this often. What arrives in the first `warm_up_s` is served and paid for, and not judged.
    """

    name: str
    description: str = ""
    duration_s: float
    warm_up_s: float = 0.0
    start_s: float = 0.0
    seed: int = 1
    fleet: tuple[GpuGroup, ...]
    gpu_classes: Mapping[str, GpuClass] = field(default_factory=dict[str, GpuClass])
    machine: Machine = field(default_factory=Machine)
    checkpoints: Mapping[str, Checkpoints] = field(default_factory=dict[str, Checkpoints])
    workload: tuple[Workload, ...]
    spot: Mapping[str, SpotSource] = field(default_factory=dict[str, SpotSource])
    faults: Faults = field(default_factory=Faults)
    incident: tuple[Incident, ...] = ()
    targets: Mapping[str, Mapping[Tier, float]] = field(default_factory=dict[str, Mapping[Tier, float]])
    target_stretch: float = 0.0
    deadlines: bool = False
    profile_error: float = 0.0
    tick_s: float = 1.0
    quiet_tick_s: float = 10.0
    step_reports_s: float = 5.0

    def __post_init__(self) -> None:
        if self.duration_s <= 0 or self.tick_s <= 0 or self.quiet_tick_s < self.tick_s:
            raise ValueError("needs duration_s and tick_s above 0, and quiet_tick_s of at least tick_s")
        if not self.fleet or not self.workload:
            raise ValueError("needs at least one fleet entry and one workload")
        if not 0 <= self.profile_error < 1:
            raise ValueError("needs profile_error from 0 to below 1")
        unknown = sorted({g.availability for g in self.fleet if g.availability is not None} - set(self.spot))
        if unknown:
            raise ValueError(f"has no spot entry called {unknown[0]}")
        known_classes = {**GPU_CLASSES, **self.gpu_classes}
        for group in self.fleet:
            if group.gpu not in known_classes:
                raise ValueError(f"names GPU class {group.gpu}; describe it in gpu_classes")

    def gpu_class(self, name: str) -> GpuClass:
        """Memory and speed of a class, the scenario's own figures first."""
        return self.gpu_classes.get(name) or GPU_CLASSES[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioFile:
    """A scenario as read: with the models it adds or changes and the policies it names."""

    scenario: Scenario
    models: CatalogueFile
    policies: Mapping[str, PolicySet]

    def catalogue(self, shipped: CatalogueFile) -> Catalogue:
        """The shipped cards, changed as the scenario says, with its checkpoints, all of them runnable."""
        plain = merge(shipped, self.models)
        cards = dict(plain.cards)
        for name, checkpoints in self.scenario.checkpoints.items():
            base = plain.resolve(checkpoints.base)
            if base is None:
                raise wrong(
                    self.models.origin, f"checkpoints.{name}.base", f"names {checkpoints.base}, which is unknown"
                )
            for model_id in checkpoint_ids(name, checkpoints.count):
                cards[model_id] = replace(base, model_id=model_id, name=model_id, alternatives=())
        return Catalogue(
            cards={model_id: replace(card, engine=EngineKind.FAKE) for model_id, card in cards.items()},
            aliases=plain.aliases,
        )


def checkpoint_ids(name: str, count: int) -> tuple[Any, ...]:
    """Their model ids, the most asked-for first."""
    return tuple(f"{name}-{number:02d}" for number in range(1, count + 1))


POLICY_TABLES = ("scheduler", "fleet_policy", "capacity")


def parse_scenario(text: str, *, origin: str) -> ScenarioFile:
    """Read a scenario file. Raises `InvalidRequest` naming file and field."""
    document = dict(_toml(text, origin))
    models = read_catalogue_tables({"models": document.pop("models", {})}, origin=origin)
    policies = {
        "default": _policy_set(
            "default",
            {key: document.pop(key, {}) for key in POLICY_TABLES},
            PolicySet(),
            origin=origin,
            path="",
        )
    }
    named = document.pop("policies", {})
    if not isinstance(named, Mapping):
        raise wrong(origin, "policies", "must be a table")
    for name, table in cast(Table, named).items():
        policies[name] = _policy_set(name, table, policies["default"], origin=origin, path=f"policies.{name}")
    return ScenarioFile(scenario=read_table(Scenario, document, origin=origin), models=models, policies=policies)


def parse_policy(text: str, *, base: PolicySet, origin: str) -> PolicySet:
    """A policy file: the tables `scheduler`, `fleet_policy` and `capacity`, over `base`."""
    return _policy_set(origin, _toml(text, origin), base, origin=origin, path="")


def _policy_set(name: str, table: object, base: PolicySet, *, origin: str, path: str) -> PolicySet:
    if not isinstance(table, Mapping):
        raise wrong(origin, path, "must be a table")
    tables = cast(Table, table)
    for key in tables:
        if key not in POLICY_TABLES:
            known = ", ".join(POLICY_TABLES)
            raise wrong(origin, f"{path}.{key}".lstrip("."), f"is not known; a policy has {known}")
    prefix = f"{path}." if path else ""
    capacity = base.capacity
    if tables.get("capacity"):
        capacity = read_table(CapacityPolicy, tables["capacity"], origin=origin, path=f"{prefix}capacity")
    fleet_table = tables.get("fleet_policy", {})
    has_ttl = isinstance(fleet_table, dict) and "idle_ttl_s" in cast(Table, fleet_table)
    return PolicySet(
        name=name,
        forecasts=base.forecasts and not has_ttl,
        capacity=capacity,
        scheduler=_over(base.scheduler, tables.get("scheduler", {}), origin=origin, path=f"{prefix}scheduler"),
        fleet=_over(base.fleet, cast(object, fleet_table), origin=origin, path=f"{prefix}fleet_policy"),
    )


def _over(base: _Policy, table: object, *, origin: str, path: str) -> _Policy:
    """`base` with the fields that the table names."""
    read = read_table(type(base), table, origin=origin, path=path)
    named = cast(Table, table)
    changes = {each.name: getattr(read, each.name) for each in fields(cast(Any, base)) if each.name in named}
    return replace(cast(Any, base), **changes)


def _toml(text: str, origin: str) -> Table:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise wrong(origin, "", f"is not valid TOML: {error}") from error
