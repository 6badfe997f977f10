# `make help` tells what there is; every target works from a fresh clone and a second time.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install
install: $(VENV)/installed ## the virtual environment with everything in it (.venv)

$(VENV)/installed: requirements/bootstrap.lock requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("customerOS needs Python 3.11 or newer, this is %d.%d: make PYTHON=/path/to/python3.11" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (about 500 MB the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip sync --quiet --require-hashes requirements/bootstrap.lock requirements/dev.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: demo
demo: install ## real customers' events the whole way, in its own folder (.customeros-demo), then stop
	@customeros demo

.PHONY: up
up: install ## start everything and leave it running; the URLs are printed
	@customeros up --detach

.PHONY: down
down: install ## stop what `make up` started; the data stays
	@customeros down

.PHONY: check
check: install ## formatter, linter, types, import rules
	@ruff format --check .
	@ruff check .
	@mypy
	@lint-imports

.PHONY: fix
fix: install ## let the formatter and the linter mend what they can
	@ruff check --fix .
	@ruff format .

.PHONY: test
test: check test-deps ## everything that must hold before a change lands
	@pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

.PHONY: chaos
chaos: install ## faults at random moments on real Kafka and ClickHouse: SEEDS=1-100 JOBS=2 KEEP=1
	@PYTHONPATH=tests python -m support.chaos --seeds $(or $(SEEDS),1-5) --jobs $(or $(JOBS),1) $(if $(KEEP),--keep docs/chaos.md)

.PHONY: test-deps
test-deps: install
	@tests/install-browser

.PHONY: lock
lock: install ## resolve the dependencies anew into requirements/*.lock
	@set -e; for l in "run --extra all" "dev --extra all --group dev"; do set -- $$l; n=$$1; shift; \
	uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header -p 3.11 "$$@" pyproject.toml -o requirements/$$n.lock; done

.PHONY: bench
bench: install .venv-quix/installed .venv-bytewax/installed ## measure everything on this machine; docs/benchmarks.md says it (40 minutes)
	@python -m benchmarks all --keep

.PHONY: bench-identity
bench-identity: .venv-bench/installed ## our suggestions beside splink and dedupe on public data sets
	@PYTHONPATH=.:processors:schemas .venv-bench/bin/python -m benchmarks.identity

.PHONY: bench-engine
bench-engine: install .venv-quix/installed .venv-bytewax/installed ## our runtime beside Kafka Streams, Flink, Bytewax, Quix Streams and plain Faust
	@python -m benchmarks engine engine-killed --keep

.venv-bench/installed: benchmarks/identity/requirements.lock
.venv-quix/installed: benchmarks/engine/quix.lock
.venv-bytewax/installed: benchmarks/engine/bytewax.lock
.venv-%/installed:
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
