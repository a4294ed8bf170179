"""The documentation says what the code says: tables, links, commands and examples."""

import ast
import json
import re
import sqlite3
import subprocess
import tomllib
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import typer.main
from docs import tables

import heliograph
from heliograph.cli import cli
from heliograph.domain.errors import EngineErrorKind, HeliographError
from heliograph.domain.events import LossReason
from heliograph.domain.job import AttemptOutcome, JobState
from heliograph.domain.moderation import CaseState
from heliograph.domain.pictures import Decision
from heliograph.domain.request import OutputFormat
from heliograph.domain.tiers import Tier
from heliograph.domain.views import Phase, ReplicaState
from heliograph.prompts.presets import parse_presets
from heliograph.routing.catalogue import merge, parse_catalogue
from heliograph.settings import Settings
from heliograph.storage.schema import ensure_sqlite_schema
from tests.gateway.conftest import Gateway

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "heliograph"
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "web/README.md",
    ROOT / "training/README.md",
    *tables.pages(),
]
REFERENCE = ROOT / "docs" / "reference"

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def shell_lines() -> Iterator[tuple[str, str]]:
    """Every command in a shell block with the page it is on; a backslash at the end joins lines."""
    for page in PAGES:
        for block in blocks(text_of(page), "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                command = re.sub(r"^(?:[A-Z_]+=(?:'[^']*'|\S*) )*", "", line.partition(" # ")[0].strip())
                if command:
                    yield str(page.relative_to(ROOT)), command


# --- made from the code ----------------------------------------------------------------------------------------------


def test_every_made_table_is_shown_somewhere() -> None:
    shown = [name for page in tables.pages() for name in tables.names_in(text_of(page))]
    assert sorted(shown) == sorted(tables.TABLES)


@pytest.mark.parametrize("page", tables.pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_made_tables_are_in_step_with_the_code(page: Path) -> None:
    assert text_of(page) == tables.renewed(text_of(page)), "run: python -m docs.tables"


def test_the_diagram_has_every_state_and_no_illegal_move() -> None:
    diagram = blocks(text_of(ROOT / "docs/architecture.md"), "mermaid")[0]
    moves = re.findall(r"^ +(\S+) --> (\S+)$", diagram, re.MULTILINE)
    assert {state for move in moves for state in move} == {"[*]", *JobState}
    assert ("pending", "completed") not in moves
    assert ("running", "post_processing") in moves


# --- complete ---------------------------------------------------------------------------------------------------------


def codes_in_the_code() -> set[str]:
    """Every literal error code below `src`, except those of the examples in the machine-readable description."""
    codes: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name == "openapi.py":
            continue
        for node in ast.walk(ast.parse(text_of(path))):
            match node:
                case ast.keyword(arg="code", value=ast.Constant(value=str(code))):
                    codes.add(code)
                case ast.Assign(targets=[ast.Name(id="default_code")], value=ast.Constant(value=str(code))):
                    codes.add(code)
                case _:
                    pass
    return codes


def words_of_the_scheduler() -> set[str]:
    """Every string in the scheduler that looks like a code: the causes, and the codes of its refusals."""
    tree = ast.parse(text_of(PACKAGE / "scheduling/scheduler.py"))
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    words = {string for string in strings if re.fullmatch(r"[a-z]+(_[a-z]+)*", string)}
    return words - {"unknown"}  # the worker and GPU of an attempt that ended with the server


def test_every_error_code_is_documented() -> None:
    errors, causes = text_of(REFERENCE / "errors.md"), text_of(REFERENCE / "events.md")
    codes = codes_in_the_code() | {HeliographError.default_code}
    assert {"invalid_json", "storage_full", "link_not_valid", "queue_full"} <= codes, "the search finds them"
    assert sorted(code for code in codes if f"`{code}`" not in errors + causes) == []


def test_every_cause_is_documented() -> None:
    known = text_of(REFERENCE / "events.md") + text_of(REFERENCE / "errors.md")
    words = words_of_the_scheduler() | {f"engine_{kind}" for kind in EngineErrorKind}
    assert {"submitted", "worker_lost", "gate_regenerate", "deadline_exceeded"} <= words, "the search finds them"
    assert sorted(word for word in words if f"`{word}`" not in known) == []


def test_no_cause_or_code_is_documented_that_does_not_exist() -> None:
    existing = codes_in_the_code() | words_of_the_scheduler() | {f"engine_{kind}" for kind in EngineErrorKind}
    existing |= {"engine_error", "invalid_steps", "invalid_size", "invalid_seed"}
    causes = text_of(REFERENCE / "events.md").partition("## Causes")[2]
    codes = text_of(REFERENCE / "errors.md").partition("## Codes")[2]
    listed = re.findall(r"^\| `([a-z_]+)` ", causes + codes, re.MULTILINE)
    assert len(listed) > 50
    assert sorted(set(listed) - existing) == []


@pytest.mark.parametrize("label", ["state", "outcome", "reason", "format", "verdict", "tier"])
def test_label_values_are_those_of_the_code(label: str) -> None:
    rows = re.findall(rf"^\| `{label}` +\|[^|]*\| (.*) \|$", text_of(REFERENCE / "metrics.md"), re.MULTILINE)
    listed = set(re.findall(r"`(\w+)`", " ".join(rows)))
    delivered = {Decision.ACCEPT, Decision.FLAG}
    values = {
        "state": {*JobState, *ReplicaState, *(state for state in CaseState if state.is_waiting)},
        "outcome": set(AttemptOutcome),
        "reason": set(LossReason),
        "format": set(OutputFormat),
        "verdict": delivered,
        "tier": set(Tier),
    }
    assert listed == values[label]


def test_metrics_in_queries_exist() -> None:
    known = set(re.findall(r"`(heliograph_\w+)`", tables.metric_table()))
    known |= {f"{name}_{part}" for name in known for part in ("bucket", "sum", "count")}
    used = {name for page in PAGES for name in re.findall(r"heliograph_[a-z]\w+", text_of(page))}
    assert used <= known, sorted(used - known)


def routes() -> set[str]:
    """`METHOD /path` for every route of the described API, ids written as `{id}`."""
    app = Gateway().app()
    found = {
        f"{method.upper()} {re.sub(r'{[^}]*}', '{id}', path)}"
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    return found | {"GET /", "GET /docs", "GET /openapi.json"}


def test_every_endpoint_is_documented() -> None:
    api = text_of(REFERENCE / "api.md")
    paths = {re.sub(r"{[^}]*}", "{id}", path) for path in re.findall(r"`(?:[A-Z]+ )?(/[^`?]*)(?:\?[^`]*)?`", api)}
    missing = sorted(route for route in routes() if route != "GET /" and route.split()[1] not in paths)
    assert missing == []


def test_every_state_and_phase_is_in_the_api_reference() -> None:
    api = text_of(REFERENCE / "api.md")
    assert f'"status": "{" | ".join(JobState)}"' in api
    assert f'"phase": "{" | ".join(Phase)}"' in api


def test_every_package_is_in_the_readme() -> None:
    listed = set(re.findall(r"^\| `([\w.]+)` ", text_of(ROOT / "README.md"), re.MULTILINE))
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {"data"}
    assert listed == packages | {"pipeline.py"}


def test_the_counts_of_models_are_right() -> None:
    """The README and the changelog say how many models are known and how many, tools aside, have no engine."""
    shipped = PACKAGE / "data" / "catalogue.toml"
    cards = merge(parse_catalogue(text_of(shipped), origin="shipped")).cards.values()
    without_engine = sum(card.engine is None and card.weights is None for card in cards)
    assert f"{without_engine} real models" in text_of(ROOT / "README.md")
    assert f"{len(cards)} models, {without_engine} of them" in text_of(ROOT / "CHANGELOG.md")


def test_the_changelog_has_this_version() -> None:
    assert f"## {heliograph.__version__}" in text_of(ROOT / "CHANGELOG.md")


def test_the_query_of_the_ledger_runs(tmp_path: Path) -> None:
    query = re.search(r'"(SELECT account.*?)"', text_of(ROOT / "docs/how-to/operate.md"))
    assert query is not None
    database = tmp_path / "heliograph.sqlite"
    ensure_sqlite_schema(database)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute(query[1]).fetchall() == []


# --- links -----------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """What the headings of a page can be reached by, as GitHub makes it from their words."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", without_blocks(text_of(page)), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        kept = "".join(letter for letter in plain if letter in " -_" or unicodedata.category(letter)[0] in "LN")
        found.add(kept.replace(" ", "-"))
    return found


@each_page
def test_relative_links_and_pictures_resolve(page: Path) -> None:
    broken: list[str] = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_blocks(text_of(page))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        is_there = file.exists() and (not anchor or anchor in anchors(file))
        if not is_there:
            broken.append(target)
    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    to_visit = [ROOT / "README.md"]
    while to_visit:
        page = to_visit.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        links = re.findall(r"\]\(([^)#\s]+)", without_blocks(text_of(page)))
        to_visit += [(page.parent / link).resolve() for link in links if not re.match(r"[a-z]+:", link)]
    assert sorted(set(PAGES) - reached) == []


@each_page
def test_named_source_files_exist(page: Path) -> None:
    """`storage/queries.py` is looked for in the package and from the root."""
    named = set(re.findall(r"`([\w./-]+\.(?:py|mjs|ts|svelte))`", without_blocks(text_of(page))))
    places = (ROOT, PACKAGE, page.parent)
    lost = {name for name in named if not any((place / name).exists() for place in places)}
    assert sorted(name for name in lost if not any((page.parent / "src").rglob(name))) == []


# --- examples --------------------------------------------------------------------------------------------------------


def test_make_targets_in_the_docs_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", text_of(ROOT / "Makefile"), re.MULTILINE))
    asked = {target for _, line in shell_lines() for target in re.findall(r"^make ([a-z-]+)", line)}
    assert {"demo", "test"} <= asked <= targets, sorted(asked - targets)
    in_develop = blocks(text_of(ROOT / "docs/how-to/develop.md"), "sh")[0]
    assert set(re.findall(r"^make ([a-z-]+)", in_develop, re.MULTILINE)) == targets - {"help"}


def test_heliograph_commands_in_the_docs_exist() -> None:
    """Each subcommand and option that a shell block uses is one of the command line's."""
    asked = 0
    for page, line in shell_lines():
        words = line.split()
        if Path(words[0]).name != "heliograph":
            continue
        asked += 1
        command = typer.main.get_command(cli)
        rest = words[1:]
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]
        known = {option for param in command.params for option in param.opts} | {"--help"}
        used = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert used <= known, f"{page}: {line}"
        assert not getattr(command, "commands", {}) or not rest or rest[0].startswith("--"), f"{page}: {line}"
    assert asked > 10


def test_paths_that_curl_asks_for_exist() -> None:
    known = {route.split()[1] for route in routes()}
    lines = [line for _, line in shell_lines() if line.startswith("curl")]
    urls = [url for line in lines for url in re.findall(r"http://127\.0\.0\.1:8000\S+", line)]
    assert len(urls) > 5
    for url in urls:
        path = url.strip("'\"").partition("127.0.0.1:8000")[2].partition("?")[0]
        assert re.sub(r"[A-Z]+_ID", "{id}", path) in known, url


@each_page
def test_python_and_json_examples_are_well_formed(page: Path) -> None:
    text = text_of(page)
    for block in blocks(text, "python"):
        ast.parse(block)
    for block in blocks(text, "json"):
        json.loads(block if block.startswith("{") else f"{{{block}}}")


@each_page
def test_toml_examples_are_what_heliograph_reads(page: Path) -> None:
    shipped = parse_catalogue(text_of(PACKAGE / "data/catalogue.toml"), origin="shipped")
    for block in blocks(text_of(page), "toml"):
        table = tomllib.loads(block)
        if "models" in table or "aliases" in table:
            assert merge(shipped, parse_catalogue(block, origin="example"))
        elif "styles" in table:
            assert parse_presets(block, origin="example")
        else:
            assert Settings(**table)


@each_page
def test_settings_named_in_the_docs_exist(page: Path) -> None:
    """`fleet.idle_ttl_s` in code type is a setting; so is what an environment variable names."""
    sections = {name: field.annotation for name, field in Settings.model_fields.items() if name != "data_dir"}
    names = {f"{section}.{field}" for section, kind in sections.items() for field in kind.model_fields}
    text = text_of(page)
    dotted = set(re.findall(rf"`((?:{'|'.join(sections)})\.[a-z_]+)`", text))
    variables = {f"HELIOGRAPH_{name.replace('.', '__').upper()}" for name in names}
    variables |= {"HELIOGRAPH_DATA_DIR", "HELIOGRAPH_CONFIG", "HELIOGRAPH_API_KEY"}
    if "web" not in page.parts:  # the page's own development server has variables of its own
        assert set(re.findall(r"HELIOGRAPH_[A-Z_]+[A-Z]", text)) <= variables
    assert {name for name in dotted if not name.endswith(".py")} <= names


# --- what a public repository must not hold ---------------------------------------------------------------------------


def test_no_machine_of_ours_is_named_in_any_file() -> None:
    """No paths of the machine it was written on, no addresses of private networks, no other package index."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    paths = r"(?<![\w.~-])/(?:work|root|home)/\w"
    indexes = r'index-url[= ]+\S*://|"resolved": "https?://(?!registry\.npmjs\.org/)'
    addresses = r"\b(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}\b"
    found: list[str] = []
    for name in filter(None, done.stdout.decode().split("\0")):
        # Tests of what a server binds to need addresses, and this one needs the patterns.
        unwanted = paths if name.startswith("tests/") else f"{paths}|{indexes}|{addresses}"
        path = ROOT / name
        if path.is_file():
            text = path.read_bytes().decode(errors="ignore")
            found += [f"{name}: {match[0]}" for match in re.finditer(unwanted, text)]
    assert found == []
