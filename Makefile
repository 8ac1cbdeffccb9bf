# Each target installs what it needs: `make demo` on a machine with python3, make and git is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := $(addprefix tests/unit/test_,model_networks.py model_modules.py model_keras_classes.py model_keras_inputs.py model_mlflow.py data_digest.py autolog.py samplers.py)
# Processes start by the hundred here: what they import is compiled once, whatever the machine is set to.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: install install-bench install-extras demo test test-extras check format bench clean

install: $(VENV)/.installed

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"hpo needs Python 3.11 to 3.13, and $(PYTHON) is {v[0]}.{v[1]}: call make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# What is optional and large: PyTorch, Keras, polars. Their tests skip without.
install-extras: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/extras.txt

install-bench: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/bench.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/peers.txt

demo: install
	$(BIN)/python -m studies.demo

test: install
	$(BIN)/python -m pytest -n 4 --dist loadfile --max-worker-restart 0

# After `test`: a process that has imported PyTorch makes every Ray start after it slower.
test-extras: install-extras
	$(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 0 $(EXTRAS)

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install-bench
	$(BIN)/python -m benchmarks.throughput --quick
	$(BIN)/python -m benchmarks.utilisation --quick
	$(BIN)/python -m benchmarks.suggest --quick
	$(BIN)/python -m benchmarks.tracking --quick
	$(BIN)/python -m benchmarks.digests --quick

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache
