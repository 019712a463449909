# Each target makes the virtual environment it needs; the plain commands are in the README.
PYTHON ?= python3
DEMO := .venv-demo
TEST := .venv-test
SOURCES := $(shell find src -name '*.py')

.PHONY: demo test lint long format clean
.DELETE_ON_ERROR:

demo: $(DEMO)/ready
	$(DEMO)/bin/python -m subscription_lifecycle demo

# mypy, pyright and the import contracts are tests: tests/typing, tests/architecture
test: $(TEST)/ready
	$(TEST)/bin/ruff check
	$(TEST)/bin/ruff format --check
	$(TEST)/bin/python -m pytest -n 2

lint: $(TEST)/ready
	$(TEST)/bin/ruff check
	$(TEST)/bin/ruff format --check
	$(TEST)/bin/mypy
	$(TEST)/bin/pyright --pythonpath $(TEST)/bin/python
	$(TEST)/bin/lint-imports --no-logo

long: $(TEST)/ready
	HYPOTHESIS_PROFILE=long $(TEST)/bin/python -m pytest -n 2 -m "long or not long"

format: $(TEST)/ready
	$(TEST)/bin/ruff check --fix
	$(TEST)/bin/ruff format

clean:
	rm -rf $(DEMO) $(TEST) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(DEMO)/ready: pyproject.toml $(SOURCES)
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(DEMO)/bin/python -m pip install --quiet ".[cli]"
	touch $@

$(TEST)/ready: pyproject.toml
	$(PYTHON) -m venv $(TEST)
	$(TEST)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(TEST)/bin/python -m pip install --quiet --editable . --group dev
	touch $@
