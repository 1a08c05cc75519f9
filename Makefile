# Everything a newcomer needs: `make demo`, `make test`. Only Python 3.11+ and make are assumed.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
BENCH_OUT ?= docs/benchmarks/latest
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: help demo test check docs bench format clean
.DEFAULT_GOAL := help

help:  ## Show what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "SqueezeCT needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable '.[train]'
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable '.[dev,docs]'
	@touch $@ $(VENV)/.run

demo: $(VENV)/.run  ## Run the whole line on synthetic chest CTs (6 to 10 minutes on two cores)
	$(BIN)/squeezect demo --out demo

test: $(VENV)/.dev  ## Run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4

check: $(VENV)/.dev  ## Lint, types, floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev  ## Build the guide into site/
	$(BIN)/mkdocs build --strict --quiet

.venv-bench/.made: pyproject.toml constraints.txt benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip --quiet --disable-pip-version-check install \
	  --constraint constraints.txt --editable '.[dev]' --requirement benchmarks/requirements.txt
	@touch $@

bench: .venv-bench/.made  ## Measure speed against peers, in an environment of its own
	.venv-bench/bin/python -m benchmarks --out $(BENCH_OUT)

format: $(VENV)/.dev  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## Delete what was made here
	rm -rf $(VENV) .venv-bench build dist site .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
