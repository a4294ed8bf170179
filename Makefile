# One command file, the same for people and for CI. Every target sets up what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV   := .venv
PYTHON := $(VENV)/bin/python
STAMPS := $(VENV)/stamps
ENGINES := .venv-engines
PAGE   := src/heliograph/gateway/page/index.html
PROMPT ?= a lone tree in the desert at sunset
PYTEST_ARGS ?=
SEEDS  ?= 10
SCALE  ?= 10,20,40
DAYS   ?= 0:7
JOBS   ?= 1000
SEED   ?= 1
EXAMPLES ?= 2000
STORE  ?= sqlite
PICTURES ?= disk
TORCH  ?= 2.13.0

.PHONY: help demo test test-engines check fix bench bench-model bench-gates bench-delivery bench-filter bench-policies sim-faults chaos fuzz web lock clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(STAMPS)/core  ## One real prompt through the whole pipeline, with the picture forming in the terminal
	@$(VENV)/bin/heliograph generate "$(PROMPT)" --data-dir build/demo/data --out build/demo

test: $(STAMPS)/dev web chromium nginx prometheus  ## Set up everything and run all tests
	@$(PYTHON) -m pytest $(PYTEST_ARGS)

test-engines: $(ENGINES)/stamps/engines  ## Every engine test, on tiny diffusers pipelines, in an environment of its own with torch
	@$(ENGINES)/bin/python -m pytest --confcutdir=tests/engines tests/engines $(PYTEST_ARGS)

check: $(STAMPS)/dev  ## Lint, formatting and types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/basedpyright

fix: $(STAMPS)/dev  ## Mend what the linter and the formatter can
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

bench: $(STAMPS)/dev  ## Measure what the README promises; ratios within one run
	@$(PYTHON) -m benchmarks

bench-model: $(STAMPS)/dev  ## Measure the built-in models: adherence, judge, times, determinism, sizes
	@$(PYTHON) -m benchmarks.model

bench-gates: $(STAMPS)/dev  ## Measure the quality gates: what they catch, how often they cry wolf
	@$(PYTHON) -m benchmarks.gates

bench-delivery: $(STAMPS)/dev  ## Measure delivery: time beside the bare codecs, bytes beside JPEG, signatures, storing
	@$(PYTHON) -m benchmarks.delivery
	@$(PYTHON) -m benchmarks.killed_deliveries

bench-filter: $(STAMPS)/dev  ## Measure the prompt filter; ROWS=FILE.jsonl for labelled prompts, DOCS=--docs to write the page
	@$(PYTHON) -m benchmarks.prompt_filter $(if $(ROWS),--rows $(ROWS)) $(DOCS)

bench-policies: $(STAMPS)/dev  ## Our policies against the literature's, simulated; GENTD26=FILE SPOT_DIR=DIR for real traces
	@$(PYTHON) -m benchmarks.policies --seeds $(SEEDS) --scale $(SCALE) --days $(DAYS) --json build/policies.json --docs \
	  $(if $(GENTD26),--gentd26 $(GENTD26)) $(if $(SPOT_DIR),--spot-dir $(SPOT_DIR))

sim-faults: SEEDS = 10000
sim-faults: $(STAMPS)/dev  ## Thousands of simulated worlds full of faults; goes on where it stopped
	@$(PYTHON) -m benchmarks.sim_faults --seeds $(SEEDS)

chaos: $(STAMPS)/dev  ## A real server under kills, freezes and full disks: JOBS=1000 SEED=1 STORE=sqlite PICTURES=disk
	@$(PYTHON) -m tests.chaos --jobs $(JOBS) --seed $(SEED) --store $(STORE) --pictures $(PICTURES)

fuzz: $(STAMPS)/dev  ## Thousands of odd prompts, pictures and forms against a real server: EXAMPLES=2000
	@FUZZ_EXAMPLES=$(EXAMPLES) $(PYTHON) -m pytest -q tests/e2e/test_fuzz_intake.py

web:  ## Build the page; without Node everything else works and / says what to do
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(PAGE); \
	else echo "make web: Node.js is not installed, so the page is not built (apt install nodejs npm)"; fi

$(PAGE): $(shell find web -type f -not -path '*/node_modules/*' 2>/dev/null)
	cd web && npm ci --no-audit --no-fund --loglevel=error && npm run build
	@touch $@

lock: | $(PYTHON)  ## Pin every dependency anew
	@$(PYTHON) -m pip install --quiet uv
	@for extra in core dev; do \
	  flag=""; [ $$extra = core ] || flag="--extra $$extra"; \
	  $(VENV)/bin/uv pip compile pyproject.toml $$flag --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --quiet --custom-compile-command "make lock" -o requirements/$$extra.lock; \
	done
	@$(VENV)/bin/uv pip compile pyproject.toml requirements/engine-tests.in --extra diffusers --universal \
	  --override requirements/without-torch.txt --constraint requirements/dev.lock --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --quiet --custom-compile-command "make lock" \
	  -o requirements/engines.lock

clean:  ## Remove everything that was built
	rm -rf $(VENV) $(ENGINES) build dist web/node_modules src/heliograph/gateway/page

# --- set-up ----------------------------------------------------------------------------------------------------------

$(PYTHON):
	@tools/make_venv.sh $(VENV)
	@mkdir -p $(STAMPS)

$(STAMPS)/core: requirements/core.lock pyproject.toml | $(PYTHON)
	@echo "setting up: installing the dependencies"
	@$(PYTHON) -m pip install --quiet --require-hashes -r requirements/core.lock
	@$(PYTHON) -m pip install --quiet --no-deps -e .
	@touch $@

$(STAMPS)/dev: requirements/dev.lock pyproject.toml | $(PYTHON)
	@echo "setting up: installing the dependencies and the tools of the tests"
	@$(PYTHON) -m pip install --quiet --require-hashes -r requirements/dev.lock
	@$(PYTHON) -m pip install --quiet --no-deps -e .
	@touch $@ $(STAMPS)/core

# Which build of torch suits a machine is the machine's business: the lock leaves it out, and pip takes the one that it
# is set up for. What torch itself needs comes with it.
$(ENGINES)/stamps/engines: requirements/engines.lock pyproject.toml
	@tools/make_venv.sh $(ENGINES) && mkdir -p $(ENGINES)/stamps
	@echo "setting up: installing torch and what the tests of the engines need"
	@$(ENGINES)/bin/python -m pip install --quiet "torch==$(TORCH)"
	@$(ENGINES)/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements/engines.lock
	@$(ENGINES)/bin/python -m pip install --quiet --no-deps -e .
	@touch $@

.PHONY: chromium nginx prometheus
nginx:
	@tools/install_nginx.sh

chromium:
	@tools/install_chromium.sh

prometheus:
	@tools/install_prometheus.sh
