# Everything runs in the project's own virtual environment, .venv; the system's Python is untouched.
# A file that marks it as made: it is made again when what it is made from changes.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
INTEROP := .venv-interop
FOREIGN := $(INTEROP)/.ready
ARGS ?=
# Many tests wait for something, so two processes more than there are cores are not too many.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)
SEEDS ?= 20
HOURS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo serve test test-deps sim crash fuzz fuzz-api lint types conformance interop bench format clean

help:  ## Show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */  make \1\t/'

$(READY): pyproject.toml constraints.txt tools/environment.sh
	@sh tools/environment.sh $(VENV)
	@touch $(READY)

$(FOREIGN): $(READY) tests/interop/requirements.txt tools/interop.sh
	@sh tools/interop.sh $(INTEROP)
	@touch $(FOREIGN)

demo: $(READY)  ## Run a central system with six simulated chargers (ARGS="--seconds 30 --output json")
	@exec $(BIN)/csms demo $(ARGS)

test: $(READY)  ## Run the whole test suite (ARGS="-k name")
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(ARGS)

test-deps:  ## Install the servers that tests use, as root (Debian, Ubuntu): PostgreSQL, Mosquitto, HAProxy
	@sh tools/test-deps.sh

fuzz: $(READY)  ## Send everything a station could send, on all versions (ARGS="--seconds 600 --seed 7")
	$(BIN)/python -m tests.fuzz $(ARGS)

sim: $(READY)  ## Live a whole network in virtual time, seed by seed (SEEDS=200 HOURS=2)
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --hours $(HOURS) $(ARGS)

crash: $(READY)  ## Kill the system 20 times while 50 chargers charge, and count what is left
	CSMS_CRASH_ROUNDS=20 $(BIN)/python -m pytest tests/e2e/test_crash.py $(ARGS)

lint: $(READY)  ## Check style, formatting and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(READY)  ## Check types
	$(BIN)/mypy

format: $(READY)  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

conformance: $(READY)  ## Run the official cases and write docs/conformance.md (ARGS="-k E_03")
	$(BIN)/python -m tests.conformance $(ARGS)

interop: $(FOREIGN)  ## Talk OCPI with a network that others wrote (ARGS="-k bill")
	$(BIN)/python -m pytest tests/interop $(ARGS)

fuzz-api: $(READY)  ## Try the API against its own description, at length (ARGS="-k stations")
	CSMS_FUZZ_EXAMPLES=500 $(BIN)/python -m pytest tests/api/test_description.py $(ARGS)

bench: $(READY)  ## Measure against the floor; writes docs/benchmarks (ARGS="--seconds 10")
	$(BIN)/python -m tests.benchmarks $(ARGS)

clean:  ## Remove what was made
	rm -rf $(VENV) $(INTEROP) .pytest_cache .mypy_cache .ruff_cache .hypothesis .fuzz build *.egg-info
