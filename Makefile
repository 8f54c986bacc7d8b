# `make run` and `make test` set up all that they need in .venv; nothing else has to be installed first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
EXTENSIONS := $(shell find src -name '*.pyx' -o -name '*.pxd')

# Most tests wait for something, so that several processes run them, in the order of their names, by which those come
# first that take long. A machine that is busy may be late: what fails side by side is tried again alone. The others have
# the machine for themselves from the beginning.
ALONE := tests/attacks tests/chaos tests/durability
PROCESSES := 3

SDK := sdk/node_modules/.ready

.PHONY: help setup demo run browser screenshots test api sdk sdkfuzz attacks conformance simulate durability chaos cluster twins fuzz sanitize packages docs lint bench clean monitoring

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

# The TypeScript packages' tools, as the lock file has them.
$(SDK): sdk/package-lock.json
	cd sdk && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

sdk: $(SDK)  ## the TypeScript packages and the dashboard, built
	cd sdk && npm run --silent build

sdkfuzz: setup $(SDK)  ## thousands of steps of the TypeScript client's documents against a gateway
	cd sdk/packages/client && FUZZ_STEPS=$${FUZZ_STEPS:-5000} FUZZ_SEED=$${FUZZ_SEED:-$$(date +%s)} npx vitest run fuzz

# The dashboard that `fastcollab demo` serves and the page of the operations port become parts of the Python package.
DASHBOARD := src/fastcollab/demo/web/index.html
OPERATIONS_PAGE := src/fastcollab/server/admin/web/index.html
$(DASHBOARD): $(SDK) $(shell find sdk/packages/*/src $(foreach page,demo admin,$(addprefix sdk/$(page)/,src index.html vite.config.ts)) -type f)
	cd sdk && npm run --silent build
$(OPERATIONS_PAGE): $(DASHBOARD)

demo: $(DASHBOARD) $(OPERATIONS_PAGE)  ## the dashboard and the page for operators, built into the Python package

run: setup demo  ## the dashboard, on a gateway with embedded engines
	$(BIN)/fastcollab demo

# The tests drive a browser that the system has. Debian's is installed where that is possible.
browser:  ## a Chromium, unless there is one
	@for name in chromium chromium-browser google-chrome; do command -v $$name > /dev/null && exit; done; \
	if command -v apt-get > /dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && apt-get install -qq --yes --no-install-recommends chromium; \
	else \
		echo "The tests need a browser: install Chromium (on Debian: apt-get install chromium)." >&2; exit 1; \
	fi

screenshots: setup browser demo  ## the dashboard in pictures, in build/screenshots
	$(BIN)/python -m tests.browser.screenshots

test: setup browser lint sdk  ## lint, then all tests
	cd sdk && npm run --silent package && npm test --silent
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadscope --no-loadscope-reorder $(addprefix --ignore=,$(ALONE)) || \
		$(BIN)/python -m pytest --last-failed --last-failed-no-failures none $(addprefix --ignore=,$(ALONE))
	$(BIN)/python -m pytest $(ALONE)

conformance: setup  ## Autobahn's WebSocket cases against the listener
	$(BIN)/python -m tests.conformance

# Begins behind the seeds of `make test`.
simulate: setup  ## schedules of simulated gateways, clients and stores, for ten minutes
	$(BIN)/python -m tests.simulation --first $${SIMULATION_FIRST:-4000} --seeds $${SIMULATION_SEEDS:-1000000000} \
		--seconds $${SIMULATION_SECONDS:-600}

attacks: setup  ## every attack of the threat model, and what others notice of it
	ATTACK_SECONDS=$${ATTACK_SECONDS:-2} $(BIN)/python -m pytest -s tests/attacks

durability: setup  ## a gateway on a file, killed a hundred times while people write
	DURABILITY_KILLS=$${DURABILITY_KILLS:-100} $(BIN)/python -m pytest -s tests/durability

api: setup  ## the admin API against its description, for some minutes
	API_EXAMPLES=$${API_EXAMPLES:-200} API_PHASES=examples,coverage,fuzzing,stateful $(BIN)/python -m pytest -s tests/server/test_admin_schema.py

# CHAOS_SEEDS="1 2 3", and CHAOS_SCENARIOS for those that have one of these in their name: "killed,full".
chaos: setup  ## three gateways and a Redis under every fault, with several seeds
	$(BIN)/python -m tests.chaos

cluster: setup  ## clients spread over gateways, on every kind of Redis server
	CLUSTER_KINDS=redis-6,redis-7,sentinel,cluster $(BIN)/python -m pytest tests/cluster

# Needs Debian's package prometheus, or another that has the programs prometheus and promtool.
monitoring: setup  ## a real Prometheus, asked all that dashboard and alerts ask
	prometheus --version
	$(BIN)/python -m pytest tests/monitoring

twins: setup  ## 200,000 cases a document type against the published packages
	FASTCOLLAB_TWIN_CASES=$${FASTCOLLAB_TWIN_CASES:-200000} $(BIN)/python -m pytest tests/twins

fuzz: setup  ## each fuzz target for a minute, on extensions with sanitizers
	$(BIN)/python -m pip install --quiet --group fuzz
	$(BIN)/python -m fuzz

# A build of its own, from scratch. What the sanitizers find goes to the log, since a test may swallow what is printed.
SANITIZED := build/sanitize
SANITIZED_TESTS := tests/unit/test_binary.py tests/unit/test_bundle.py tests/unit/test_json_depth.py tests/unit/ot tests/unit/server tests/property \
	tests/server/test_fanout.py tests/server/test_cork.py tests/server/test_gateway.py tests/server/test_heartbeat.py \
	tests/server/test_compression.py tests/server/test_compressed_sending.py tests/server/test_throttle.py \
	$(wildcard tests/server/test_hostile_*.py)
sanitize: export FASTCOLLAB_SANITIZE := address,undefined
sanitize:  ## tests of what is compiled, with checks of every memory access and of undefined behaviour
	rm -rf $(SANITIZED)
	mkdir -p $(SANITIZED)/log
	cp -r pyproject.toml setup.py MANIFEST.in README.md LICENSE docs src tests benchmarks $(SANITIZED)
	find $(SANITIZED)/src '(' -name '*.so' -o -name '*.c' ')' -delete
	$(PYTHON) -m venv $(SANITIZED)/$(VENV)
	$(SANITIZED)/$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	cd $(SANITIZED) && $(BIN)/python -m pip install --quiet --group test --editable .
	cd $(SANITIZED) && PYTHONMALLOC=malloc \
		LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
		ASAN_OPTIONS="detect_leaks=0:log_path=$$PWD/log/found" \
		UBSAN_OPTIONS="print_stacktrace=1:log_path=$$PWD/log/found" \
		$(BIN)/python -m pytest -p no:cacheprovider $(SANITIZED_TESTS)
	@cat $(SANITIZED)/log/* 2>/dev/null && exit 1 || echo "The sanitizers found nothing."

# The sdist of this folder, the wheel of that sdist; on Linux with the tag of the oldest system that it runs on.
packages: setup demo  ## sdist and wheel in dist/, installed where there is nothing else
	$(BIN)/python -m pip install --quiet --group packages
	rm -rf dist
	$(BIN)/python -m build
	if [ "$$(uname)" = Linux ]; then \
		PATH="$(CURDIR)/$(BIN):$$PATH" auditwheel repair --strip --wheel-dir dist dist/*-linux_*.whl && rm dist/*-linux_*.whl; fi
	$(BIN)/twine check --strict dist/*
	FASTCOLLAB_DIST=dist $(BIN)/python -m pytest tests/packages

# Where Material's own warning is of MkDocs to come, which is not what is installed.
docs: export NO_MKDOCS_2_WARNING := 1
docs: setup  ## the documentation as a site, in build/site
	$(BIN)/python docs/site/configuration.py
	$(BIN)/mkdocs build

lint: setup $(SDK)  ## formatting, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint src
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd sdk && npm run --silent lint

bench: setup browser sdk  ## the figures in the README, measured anew
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m benchmarks.fanout
	$(BIN)/python -m benchmarks.compression
	$(BIN)/python -m benchmarks.ot
	$(BIN)/python -m benchmarks.documents
	$(BIN)/python -m benchmarks.cluster
	$(BIN)/python -m benchmarks.sizing
	$(BIN)/python -m benchmarks.metrics
	$(BIN)/python -m benchmarks.browser
	$(BIN)/fastcollab load --idle 5000

clean:  ## removes what the other targets made
	rm -rf $(VENV) build dist src/*.egg-info sdk/node_modules sdk/packages/*/dist src/fastcollab/demo/web src/fastcollab/server/admin/web
	find src -name '*.so' -delete -o -name '*.c' -delete
