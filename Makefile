# Two commands need nothing before them: `make book` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help book test test-fast test-light test-book formal ledger lint lock figure bench clean distclean
.DEFAULT_GOAL := help

help:
	@echo "make book        build the book; prints the path of its first page"
	@echo "make test        run the test suite"
	@echo "make test-fast   run what is not slow, properties with few examples"
	@echo "make test-light  run every experiment at its small size"
	@echo "make test-book   read the built book in a browser (needs chromium)"
	@echo "make formal      check the proofs for all sizes (needs Coq with MathComp)"
	@echo "make bench       time the exact gradient and positional attention against the usual"
	@echo "make ledger      every statement with its checks, run now"
	@echo "make figure      draw the figure of the README"
	@echo "make lint        ruff, mypy and import-linter"
	@echo "make lock        bring requirements.lock to the newest versions"
	@echo "make clean       remove built files (make distclean: the environment too)"

$(READY): pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

book: $(READY)
	$(BIN)/python book/build.py

# One worker a core, each on one thread.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "not book and not light"

test-fast: $(READY)
	HYPOTHESIS_PROFILE=fast OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto \
		-m "not book and not light and not slow and not formal"

test-light: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m light tests/test_light.py

test-book: $(READY)
	$(BIN)/python -m pytest -m book

formal: $(READY)
	$(BIN)/python -m theory.formal

ledger: $(READY)
	$(BIN)/python -m theory ledger

# One file for every platform and Python version, by markers.
lock: $(READY)
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--extra book --extra test --extra dev --no-annotate --custom-compile-command 'make lock' \
		--output-file requirements.lock pyproject.toml

figure: $(READY)
	$(BIN)/python book/overview.py

bench: $(READY)
	$(BIN)/python benchmarks/gradient.py
	$(BIN)/python -m numerics run attention-cost --out build/bench

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --python-version 3.11
	$(BIN)/mypy --python-version 3.13
	$(BIN)/lint-imports

clean:
	rm -rf book/_build build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find theory numerics tests book -name __pycache__ -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
