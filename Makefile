# The commands of README.md. They write to .venv and .sluice here, and to the user's cache (Kafka's jars).

VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough; PYTHON=/path/to/python chooses another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
# Processes of `make test`. Tests mostly wait, so on two cores, two processes are nearly twice as fast as one.
WORKERS ?= 2
# More options of `sluice up` for `make run`, as UP='--port 8081'.
UP ?=
BENCHES := ingress runtime verdict orders recovery delivery isolation inventory noisy

.DEFAULT_GOAL := help
.PHONY: help setup compiled interpreted run test lint format bench races torture histories poison drills release-schemas clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

setup: $(VENV)/.installed $(VENV)/.jars  ## make .venv and fetch the embedded Kafka's jars, unless both are there

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Sluice needs Python 3.11 or newer. On Debian or Ubuntu: apt install python3 python3-venv" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "No virtual environment could be made. On Debian or Ubuntu: apt install python3-venv" >&2; exit 2; }

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing packages into $(VENV), some minutes the first time ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,bench,examples]'
	@touch $@

# A stamp only: the jars are in the user's cache, and `sluice up` fetches them again when they are gone.
$(VENV)/.jars: sluice/dev/local/pom.xml sluice/dev/local/class_archive.py $(VENV)/.installed
	@SLUICE_COMPILED=0 $(BIN)/python -m sluice.dev.local.class_archive
	@touch $@

compiled: setup  ## compile the hot modules, some minutes (needs a C compiler); run, test and bench use them from then on
	@SLUICE_COMPILED=0 $(BIN)/python -m sluice.dev.compiled.build

interpreted:  ## remove the compiled modules: the sources are run as they are
	@rm -rf .compiled .compiled-*

run: setup  ## run Kafka, all roles, sandboxes of both sides and demo traffic; Ctrl-C ends it
	@exec $(BIN)/sluice up --demo $(UP)

test: setup  ## run all tests, on a real Kafka that they start
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: setup  ## check with ruff, mypy --strict and import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict
	@$(BIN)/lint-imports

format: setup  ## format the code with ruff
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup  ## run all benchmarks
	@failed=0; for name in $(BENCHES); do $(BIN)/sluice bench $$name || failed=1; done; exit $$failed

release-schemas: setup  ## release the present schemas of facts: readers may rely on them
	@$(BIN)/python -m topics.documents.schemas release

races: setup  ## walk every interleaving of small stories of an order, some minutes; `make test` has a share of it
	@$(BIN)/python -m tests.exhaustive

torture: setup  ## send 200,000 deliveries to a misbehaving receiver and kill workers meanwhile; `make test` has a share
	@$(BIN)/python -m tests.torture

histories: setup  ## run 200 stories of stock, 20,000 updates each, with crashes at any step; `make test` has a share
	@$(BIN)/python -m tests.histories

poison: setup  ## put 100,000 records that nobody should send on all topics that Sluice reads, and garble its tables; `make test` has a share
	@$(BIN)/python -m tests.poison
	@SLUICE_GARBLE_SEEDS=2000 $(BIN)/python -m pytest -q -n 2 tests/properties/delivery/test_garbled_tables.py tests/properties/order/test_garbled_state.py
	@SLUICE_VALUES_TRIED=20000 $(BIN)/python -m pytest -q -n 2 --timeout 1800 tests/properties/values

drills: setup  ## make faults on a whole Sluice and see that a real Prometheus fires and its runbooks end them, half an hour (needs Debian's prometheus)
	@$(BIN)/python -m tests.drills

clean:  ## remove .venv, tool caches and the data of `make run`
	@rm -rf $(VENV) .sluice .compiled .compiled-* build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
