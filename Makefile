# Every target sets up .venv by itself. Needed: Python 3.11 or later, make, a C compiler.
.DEFAULT_GOAL := test
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed
# Tests start many interpreters: what one of them translated, the next one reads.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-full kernels coverage lint bench clean

# Of 120 packages little is ever imported, and that is translated when it is.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile -c constraints.txt -e '.[dev]'
	touch $@

# From the tuned rule of a shop to a decision that is served, logged and replayed; about 3 minutes.
demo: $(INSTALLED)
	$(BIN)/compagnon demo

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# The quick tests. Each process takes tests that stand together: what they share is made once.
# What takes long is named at the end: it may belong in the full tier.
test: $(INSTALLED)
	$(MAKE) --jobs=2 lint kernels
	$(BIN)/pytest -n 2 --dist worksteal --durations=10 --durations-min=2

# Two processes that test would each compile them: here each is compiled once, and then loaded.
kernels: kernels-dispatch kernels-others

kernels-%: $(INSTALLED)
	$(BIN)/python -m tests.kernels $*

# With those that prove the details; the slow ones alone are left out.
test-full: lint
	$(BIN)/pytest -n 2 --dist worksteal -m 'not slow'

# What the quick tests reach, by lines and branches; compiled functions aside.
coverage: $(INSTALLED)
	$(BIN)/pytest -n 2 --dist worksteal --cov --cov-report=term

# Speed against the targets; on a machine that does nothing else. benchmarks/README.md explains.
bench: $(INSTALLED)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/workshop_env.py
	$(BIN)/python benchmarks/masked_ppo.py
	$(BIN)/python benchmarks/control.py update

# Runs and .venv stay: they take long to make again.
clean:
	rm -rf build dist .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info $(INSTALLED)
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
