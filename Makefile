# `make run` and `make test` set up all that they need in .venv; nothing else has to be installed first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
EXTENSIONS := $(shell find src -name '*.pyx' -o -name '*.pxd')

.PHONY: help setup run test twins fuzz lint bench clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

# The package in editable form, its extensions compiled, with all that tests and linters need.
$(VENV)/.ready: $(BIN)/python pyproject.toml setup.py $(EXTENSIONS)
	$(BIN)/python -m pip install --quiet --group test --group lint --editable .
	@touch $@

setup: $(VENV)/.ready  ## a virtual environment with the package built in it

run: setup  ## the gateway with its demo, on embedded engines
	$(BIN)/fastcollab demo

test: setup lint  ## lint, then all tests
	$(BIN)/python -m pytest

twins: setup  ## 200,000 cases a document type against the published packages
	FASTCOLLAB_TWIN_CASES=$${FASTCOLLAB_TWIN_CASES:-200000} $(BIN)/python -m pytest tests/twins

fuzz: setup  ## each fuzz target for a minute, on extensions with sanitizers
	$(BIN)/python -m pip install --quiet --group fuzz
	$(BIN)/python -m fuzz

lint: setup  ## formatting, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint src
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## the figures in the README, measured anew
	$(BIN)/python -m benchmarks.fanout
	$(BIN)/python -m benchmarks.ot

clean:  ## removes what the other targets made
	rm -rf $(VENV) build dist src/*.egg-info
	find src -name '*.so' -delete -o -name '*.c' -delete
