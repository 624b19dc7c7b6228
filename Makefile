# Everything runs in .venv, which the first target that needs it creates. Only make and Python 3.11
# or newer have to be installed.

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
ARGS ?=

# Linters and the type checker load the example's settings, which need SECRET_KEY or DEBUG.
lint types imports docs check: export DEBUG = 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-product lint format types imports migrations messages docs bench check dist clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.demo-ready  ## Set up the example project and serve it on 127.0.0.1:8000
	$(BIN)/python manage.py demo $(ARGS)

test: .venv/.dev-ready  ## Run the tests that need no server; ARGS="-k name" goes to pytest
	@$(BIN)/python -m tests.jobs quick $(ARGS)

test-all: .venv/.dev-ready  ## Run those and all other tests, on every database and Redis server found
	@$(BIN)/python -m tests.jobs all $(ARGS)

test-product: .venv/.dev-ready  ## Run every test with every database and user model; takes hours
	@$(BIN)/python -m tests.jobs product $(ARGS)

lint: .venv/.dev-ready  ## Check style, format, spelling and prose
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/python .ci/prose.py jwt_auth docs README.md CHANGELOG.md

format: .venv/.dev-ready  ## Correct style and format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

types: .venv/.dev-ready  ## Check the types
	$(BIN)/mypy

imports: .venv/.dev-ready  ## Check that each layer imports only from the layers below it
	$(BIN)/lint-imports

migrations: .venv/.dev-ready  ## Check that no migration is missing
	@$(BIN)/python -m tests.migrations

messages: .venv/.dev-ready  ## Extract the texts for translation and compile the catalogs
	@$(BIN)/python -m tests.messages

docs: .venv/.dev-ready  ## Build the documentation in docs/_build/html
	$(BIN)/sphinx-build -W -n -E --keep-going -q docs docs/_build/html

bench: .venv/.dev-ready  ## Measure side by side with other packages
	$(BIN)/python -m benchmarks $(ARGS)

check: lint types imports migrations docs  ## Run all checks above except the tests

dist: .venv/.dev-ready  ## Build the sdist and the wheel
	rm -rf dist
	$(BIN)/python -m build

clean:  ## Delete everything that was generated, including .venv and .demo
	rm -rf .venv .tox .demo .test-results .coverage .coverage.* htmlcov build dist docs/_build \
		.hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@test -w . || { echo "This folder can't be written to: clone the repository into one that can." >&2; exit 1; }
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
# The pip that came with Python may be too old to read dependency groups.
	@$(BIN)/pip install -qq --upgrade 'pip>=25.1'

.venv/.demo-ready: pyproject.toml | .venv/bin/python
	@echo "Installing what the demo needs into .venv ..."
	@$(BIN)/pip install -qq --editable '.[example,redis]'
	@touch $@

# mysqlclient is compiled here. Without a compiler or the client library's headers, everything else
# still works, and the tests report that they run without MariaDB.
.venv/.dev-ready: pyproject.toml | .venv/bin/python
	@echo "Installing what the tests and tools need into .venv ..."
	@$(BIN)/pip install -qq --editable '.[argon2,aws,azure,example,postgres,redis,vault]' --group dev
	@$(BIN)/pip install -qq --editable '.[mysql]' >.venv/mysqlclient.log 2>&1 \
		|| echo "mysqlclient can't be built here (see .venv/mysqlclient.log): going on without it."
	@touch $@ .venv/.demo-ready
