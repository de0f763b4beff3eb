# What this project can be asked to do. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help setup run test faults check bench install uninstall clean
SHELL := /bin/sh

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Stamps: a step is done again when what it was made from has changed.
READY := $(VENV)/.ready

help: ## list what can be made
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do \
		printf '  make %-10s %s\n' "$$name" "$$what"; done

setup: $(READY) ## make the environment in .venv from the locked requirements
$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Install what is missing first: apt install git make python3-venv"; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

run: $(READY) ## show it working: an emulated building, a broker, the agent, readings as they arrive (SECONDS=20 ends by itself)
	@PYTHON=$(PYTHON) sh tests/demo/broker.sh $(BROKER)
	@$(BIN)/python -m tests.demo $(if $(SECONDS),--seconds $(SECONDS)) $(if $(BROKER),--broker $(BROKER))

test: $(READY) ## run all quick tests (under ten minutes)
	@sh tests/mosquitto.sh
	@$(BIN)/python -m pytest $(TESTS)

faults: $(READY) ## run the long fault tests: kills, cuts, full disks
	@sh tests/mosquitto.sh
	@$(BIN)/python -m pytest -m faults $(TESTS)

check: $(READY) ## lint, formatting and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(READY) ## print speed and size, each beside a floor measured in the same run
	@sh tests/mosquitto.sh
	@$(BIN)/python -m tests.benchmarks

install: ## install the agent as a systemd service (DESTDIR= to stage; see systemd/install.sh)
	@sh systemd/install.sh install

uninstall: ## remove the service; configuration and buffer stay (PURGE=1 removes them too)
	@sh systemd/install.sh uninstall

clean: ## remove everything that was made here
	@rm -rf $(VENV) .venv-demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
