# `make help` lists what there is. Everything is installed inside the checkout (.venv, node_modules), except system packages.
.DEFAULT_GOAL := help
.PHONY: help demo test test-faults bench lint format js setup setup-demo setup-nodes setup-system setup-node clean

PORT ?= 8000
PYTEST_ARGS ?=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

ifdef NODES
demo: setup-demo setup-nodes
	@.venv/bin/python -m examples.cluster --nodes $(NODES) --port $(PORT)
else
demo: setup-demo ## run the examples on http://127.0.0.1:8000 (PORT= chooses another port; NODES=3: on 3 nodes behind nginx)
	@cd examples && ../.venv/bin/multitransport run app:app --host 127.0.0.1 --port $(PORT)
endif

test: setup-system setup setup-node ## install what the tests need, then run every check and the tests (CHROMIUM= names a browser)
	@checks=0; .venv/bin/python scripts/check.py || checks=1; \
	.venv/bin/python -m pytest -n 3 -m "not faults" $(PYTEST_ARGS) || exit 1; \
	[ $$checks -eq 0 ] || { echo "The tests passed, but checks above failed."; exit 1; }

# What loads the whole machine, or measures it, runs by itself. 5 says that PYTEST_ARGS leave nothing to run there.
test-faults: setup-system setup ## run the long tests under faults and load; takes up to half an hour
	@failed=0; \
	run() { .venv/bin/python -m pytest -v --timeout=900 "$$@" $(PYTEST_ARGS) || [ $$? -eq 5 ] || failed=1; }; \
	run -n 3 -m "faults and not alone"; \
	run -m "faults and alone"; \
	exit $$failed

bench: setup ## measure against a bare ASGI handler on the same server
	@.venv/bin/python -m benchmarks

lint: setup setup-node ## run the checks that need no server: types, style, layers, coverage of the core, browser client
	@.venv/bin/python scripts/check.py

format: setup ## format the Python code and apply the safe fixes
	@.venv/bin/python -m ruff check --fix-only --quiet .
	@.venv/bin/python -m ruff format .

js: setup-node ## build the browser client into multitransport/static
	@cd multitransport/js && npm run --silent build

setup: ## install the Python packages into .venv
	@scripts/venv dev

setup-demo:
	@scripts/venv demo

setup-nodes:
	@scripts/system nginx redis-server

setup-system:
	@scripts/system

# Wherever Node itself gets installed, that comes first.
setup-node: setup-system
	@scripts/node

clean: ## remove caches and build output; keeps .venv and node_modules
	@rm -rf build dist .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find multitransport tests examples scripts -name __pycache__ -not -path '*/node_modules/*' -prune -exec rm -rf {} +
