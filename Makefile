# Every target sets up .venv by itself. Needed: Python 3.11 or later, make, a C compiler.
.DEFAULT_GOAL := test
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo test lint bench clean

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# A policy that learns from the shop's rule, then does better than it, in minutes.
demo: $(INSTALLED)
	$(BIN)/compagnon learn workshop-tight --out runs/demo --budget 5m
	$(BIN)/compagnon evaluate expert:workshop-v2 expert:workshop-base-stock:tight runs/demo \
	    --env-args demand=tight reward=profit --report runs/demo/report.html

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

test: lint
	$(BIN)/pytest

bench: $(INSTALLED)
	for script in $(wildcard benchmarks/bench_*.py); do $(BIN)/python $$script || exit 1; done

# Runs and .venv stay: they take long to make again.
clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info $(INSTALLED)
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
