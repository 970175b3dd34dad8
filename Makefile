# The commands of the house. `make help` lists them; every one works from a fresh clone.
# Each target states what it needs; .venv is made once and again when pyproject.toml changes.

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
# The first Python that fits; say `make PYTHON=...` to choose.
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3; do \
	if command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; \
	then echo $$name; break; fi; done)
APP ?= docs/examples/shop
FUZZ_SECONDS ?= 60
SOAK_SECONDS ?= 1800
ROUNDS ?= 300
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help run test lint docs services bench shelf soak crash fuzz determinism conformance clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(PY):
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11, 3.12 or 3.13 found; install one, or say make PYTHON=/path/to/python" >&2; exit 1; }
	@# Where the system split ensurepip off, the system's own pip fills the new environment.
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	else $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --quiet --python $(VENV) install pip; fi

$(RUN_STAMP): pyproject.toml | $(PY)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(DEV_STAMP): pyproject.toml | $(PY)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(RUN_STAMP)

run: $(RUN_STAMP) ## serve the demo app (APP=docs/examples/shop) on embedded defaults
	@cd $(APP) && exec $(CURDIR)/$(PY) -m wippy_trio run

test: lint docs services ## lint, build the docs strictly, run the tests
	$(PY) -m pytest --quiet

lint: $(DEV_STAMP) ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: $(DEV_STAMP) ## build the documentation into site/, warnings are errors
	$(BIN)/mkdocs --quiet build --strict

services: $(DEV_STAMP) ## find or build, once, the servers that tests talk to (Temporal: four minutes, with Go)
	$(PY) -m tests.services.temporal

bench: $(DEV_STAMP) ## measure; the machine should be quiet
	$(PY) tests/benchmarks/run.py

shelf: $(DEV_STAMP) ## simulate the shelf of seeded bugs: all found, no fixed twin flagged
	$(PY) -m tests.simulation.shelf

fuzz: $(DEV_STAMP) ## programs of actors, and inputs for all that parses, for FUZZ_SECONDS; says what it covered
	@$(PY) -c 'import atheris' 2>/dev/null || $(PY) -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]' \
		|| echo "atheris cannot be installed here: inputs are damaged without guidance"
	$(PY) fuzz/run.py --seconds $(FUZZ_SECONDS)

soak: $(DEV_STAMP) ## random lives and kills for SOAK_SECONDS; what is left behind must not grow
	$(PY) tests/soak/run.py --seconds $(SOAK_SECONDS)

crash: $(DEV_STAMP) ## kill a node with workflows under load, ROUNDS times on SQLite, PostgreSQL and two nodes; fail every write
	$(PY) tests/crash/run.py --rounds $(ROUNDS)
	$(PY) tests/crash/run.py --faults

determinism: $(DEV_STAMP) ## 50 seeds of three apps in Python 3.11, 3.12 and 3.13: one seed, one life
	$(PY) tests/simulation/run.py

conformance: $(DEV_STAMP) ## run the reference's own test app; needs WIPPY_REFERENCE=<checkout of the reference>
	@if [ -z "$(WIPPY_REFERENCE)" ]; then \
		echo "Say where a checkout of the reference runtime is:"; \
		echo "  make conformance WIPPY_REFERENCE=<path>"; \
		echo "Its test app (tests/app) is then run unchanged, and its own verdicts are printed."; \
		exit 2; fi
	rm -rf build/conformance && mkdir -p build && cp -R "$(WIPPY_REFERENCE)/tests/app" build/conformance
	cd build/conformance && exec $(CURDIR)/$(PY) -m wippy_trio run -c -s test

clean: ## remove what was built; .venv stays
	rm -rf site build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
