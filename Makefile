# The few names everyone knows.  Everything works from a fresh clone with Python 3.11+ (Node only for the JupyterLab panel).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Existing clients of the field, in an environment of their own; the tests in tests/foreign run them as programs.
CLIENTS := .venv-clients
RUN := $(BIN)/python -m
# Most tests wait for processes: four at a time keep two cores busy.
PARALLEL := -n 4 --dist loadscope

.PHONY: help demo serve test test-all campaign lint format generate coverage-table bench clean

help:
	@echo "make demo      set everything up and run a queue of real plans, end to end"
	@echo "make serve     the same server, left running; its URL is printed"
	@echo "make test      set everything up, lint, and run the tests"
	@echo "make test-all  the long ones too"
	@echo "make campaign  random faults against a real server: SEED= FAULTS=300 (minutes)"
	@echo "make lint      ruff, pyright, import contracts, generated files"
	@echo "make format    let ruff format the code"
	@echo "make generate  write the generated files again"
	@echo "make coverage-table  run the conversations and write down which of them shows what"
	@echo "make bench     measure speed and memory (minutes)"
	@echo "make clean     remove the virtual environment and caches"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.x ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.data: pyproject.toml | $(BIN)/python
	$(RUN) pip install --quiet --disable-pip-version-check --editable '.[data]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/.data
	$(RUN) pip install --quiet --disable-pip-version-check --editable '.[data,test]'
	@touch $@

$(CLIENTS)/.installed: tests/foreign/requirements.txt
	rm -rf $(CLIENTS)
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

demo: $(VENV)/.data
	@$(BIN)/python examples/demo.py

serve: $(VENV)/.data
	@$(RUN) jupyter_queueserver server

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(RUN) jupyter_queueserver.api.generate --check
	$(BIN)/pyright

format: $(VENV)/.test
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

generate: $(VENV)/.test
	$(RUN) jupyter_queueserver.api.generate
	$(RUN) jupyter_queueserver qserver-list-plans-devices --startup-dir jupyter_queueserver/sim_profile --file-dir jupyter_queueserver/sim_profile

test test-all: export FOREIGN_CLIENTS := required

test: lint $(CLIENTS)/.installed
	$(RUN) pytest $(PARALLEL) -m "not long"

test-all: lint $(CLIENTS)/.installed
	$(RUN) pytest $(PARALLEL) --hypothesis-profile explore

campaign: $(VENV)/.test
	@PYTHONPATH=tests:tests/system $(RUN) campaign

# What is not loaded by a test as a module is not found by name: hence the path.
coverage-table: $(VENV)/.test
	PYTHONPATH=tests/conversations $(RUN) pytest -p shown tests/conversations -q --deselect tests/conversations/test_coverage_page.py

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks --write

clean:
	rm -rf $(VENV) $(CLIENTS) demo-output .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
