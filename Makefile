# `make` alone lists the targets. Everything is installed into .venv, nothing into the system but
# the database servers of the tests.

PYTHON ?= python3
PYTEST_ARGS ?=
TREE ?=
BENCH_ARGS ?=
FIGURES ?=
# Without them each worker that a test starts compiles the package anew.
unexport PYTHONDONTWRITEBYTECODE
# More than the cores: the end-to-end tests mostly wait for leases to end.
PROCESSES ?= 3

BIN := .venv/bin
FAULTS = rm -f .faults; $(BIN)/python -m pytest tests/faults tests/e2e/test_survival.py \
	--numprocesses $(PROCESSES) --dist loadgroup --faults-notes .faults $(FAULTS_ARGS) $(PYTEST_ARGS)
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# What .venv holds: the package alone, or all that is needed to work on it.
PACKAGE := .venv/.package
DEVELOPMENT := .venv/.development

.DEFAULT_GOAL := help
.PHONY: help demo install servers test test-sqlite faults faults-full lint format sql bench bench-plots dashboard-plot bench-peers audit man build ci clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(PACKAGE) ## Run the demonstration (TREE=folder to look through)
	$(BIN)/python -m examples.demo $(if $(TREE),"$(TREE)")

install: $(DEVELOPMENT) ## Create .venv with the package and the tools (PYTHON=python3.13)

servers: ## Install PostgreSQL and MariaDB for the tests, if they are missing; starts nothing
	@tests/install_servers.sh

test: $(DEVELOPMENT) servers ## Run all tests on PostgreSQL, MariaDB and SQLite (PYTEST_ARGS='-k ...')
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadgroup $(PYTEST_ARGS)

test-sqlite: $(DEVELOPMENT) ## Run the tests that need no database server
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadgroup --db sqlite $(PYTEST_ARGS)

faults: $(DEVELOPMENT) servers ## Break workers, networks and servers; write docs/reliability.md
	$(FAULTS)
	$(BIN)/python -m tests.faults.scoreboard .faults docs/reliability.md

faults-full: FAULTS_ARGS := --faults full -o faulthandler_timeout=3600
faults-full: faults ## The same with far more of everything: some forty minutes

lint: $(DEVELOPMENT) ## Check style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEVELOPMENT) ## Repair what ruff can repair
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

sql: $(DEVELOPMENT) ## Write every compiled statement to tests/store/sql, to be read and compared
	$(BIN)/python -m tests.store.write_sql

bench: $(DEVELOPMENT) servers ## Measure, on private servers (BENCH_ARGS='--all --json FILE')
	$(PIP) install --group bench
	$(BIN)/python -m bench $(BENCH_ARGS)

bench-plots: $(DEVELOPMENT) ## Draw docs/plots (FIGURES='FILE ...' that bench --json wrote)
	$(PIP) install --group bench
	$(BIN)/python -m bench.plots $(FIGURES)

dashboard-plot: $(DEVELOPMENT) servers ## Draw the dashboard of a real worker into docs/plots
	$(PIP) install --group bench
	$(BIN)/python -m bench.dashboard

bench-peers: $(DEVELOPMENT) servers ## Measure other queues beside ours, installed in .bench-peers
	$(BIN)/python -m bench.peers

audit: $(DEVELOPMENT) ## Look for known holes in what we depend on; asks the network
	$(PIP) install --group audit
	$(BIN)/pip-audit --skip-editable --progress-spinner off

man: $(PACKAGE) ## Write the manual pages into build/man
	$(BIN)/celers man build/man

build: $(DEVELOPMENT) ## Build the wheel into dist
	$(PIP) install --group build
	$(BIN)/python -m build --wheel

ci: lint test ## What CI runs

clean: ## Delete .venv and everything that was built or cached
	rm -rf .venv .bench-peers build dist
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo "$(PYTHON) -m venv failed. On Debian and Ubuntu: apt-get install python3-venv" >&2; \
		exit 1; }

$(PACKAGE): pyproject.toml | $(BIN)/python
	$(PIP) install --editable .
	@touch $@

$(DEVELOPMENT): pyproject.toml | $(BIN)/python
	$(PIP) install --upgrade 'pip>=25.1'  # the first that knows --group
	$(PIP) install --editable '.[mysql,top,tracing]' --group test --group lint
	@touch $(PACKAGE) $@
