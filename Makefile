# Each target sets up what it needs; a second run finds it there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=

.PHONY: help demo test check bench mutants clean
.DEFAULT_GOAL := help

help:
	@echo "make demo     a FastAPI application behind uvicorn grants, counts down and refuses"
	@echo "make test     every test, with coverage; PYTEST_ARGS='-k lease' for a part"
	@echo "make check    format, lint, import floors, types, sizes, docs and their examples"
	@echo "make bench    how long it takes, beside other limiters"
	@echo "make mutants  takes the rules of admission away, one by one, and expects a test to fail"

$(VENV)/.ready:
	@$(PYTHON) -c 'import sys; sys.exit("zae-limiter needs Python 3.11 or later: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@touch $@

$(VENV)/.group-%: pyproject.toml $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --editable ".[all]" --group $*
	@touch $@

demo: $(VENV)/.group-demo
	$(BIN)/python example_apps/fastapi_llm_proxy/demo.py

# A part of the tests says nothing about coverage, so it is measured for the whole alone.
test: $(VENV)/.group-test
ifeq ($(strip $(PYTEST_ARGS)),)
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto --dist worksteal
	@$(BIN)/coverage combine --quiet && mkdir -p build && $(BIN)/coverage report > build/coverage.txt; \
	status=$$?; grep "^TOTAL" build/coverage.txt; exit $$status
else
	$(BIN)/python -m pytest $(PYTEST_ARGS)
endif

check: $(VENV)/.group-check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build
	$(BIN)/python -m pytest -q tests/test_house.py tests/test_docs.py

bench: $(VENV)/.group-bench
	$(BIN)/python -m benchmarks

mutants: $(VENV)/.group-test
	$(BIN)/python -m tests.mutants

clean:
	rm -rf $(VENV) build dist docs/_build .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
