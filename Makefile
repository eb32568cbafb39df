# SPDX-License-Identifier: Apache-2.0
# The verbs of the project; CI runs the same ones.
#   make demo        set up, make a full-size phantom patient, run the shipped bundle on it
#   make test        set up everything, run the whole suite
#   make examples    packages of the JavaScript examples, where there is npm
#   make check       format, lint, types, layers
#   make fuzz        ten minutes of bytes that reach ever more code, none of which may crash a reader
#   make benchmark   time and memory beside the alternatives, and the gate on both and on the answers
#   make standalone  a folder that runs where there is no Python, and the proof that it does
#   make test-lowest the runtime's tests with the oldest releases that pyproject.toml admits
#   make sbom        what the wheel needs at run time, as a bill of materials in CycloneDX
#   make licences    docs/licences.md anew from what is installed, and refuse what is not allowed
#   make benchmark-scaling  time and memory against the size of the task, as curves
#   make benchmark-selftest  the gate on builds that are worse on purpose: for an idle machine
#   make reference   the source report's study on phantoms: two hours, and goes on where it was
#   make benchmark-smoke  the gate on a small phantom with wide limits, as CI runs it

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SEED ?= 7
DEMO := demo
DEMO_PATIENT := $(DEMO)/p$(shell printf '%07d' $$(( $(SEED) * 100000 )))
WHEEL_VENV := .venv-wheel
STANDALONE_VENV := .venv-standalone
LOWEST_VENV := .venv-lowest
SBOM_VENV := .venv-sbom
TOOLS_VENV := .venv-tools
QUIETLY := -m pip --disable-pip-version-check --quiet install
FOR_THE_RUNTIME := pytest hypothesis jsonschema nibabel

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-quick test-wheel test-wheel-twice check format fuzz benchmark
.PHONY: benchmark-smoke examples clean standalone test-lowest sbom licences check-licences
.PHONY: benchmark-selftest benchmark-scaling reference

help:
	@sed -n 's/^#   //p' $(firstword $(MAKEFILE_LIST))

# --- environments: a stamp file says what is installed, so that a verb sets up only once

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	@echo "setting up the demo (half a minute)"
	$(PIP) install --editable '.[phantom]'
	@touch $@

$(TOOLS_VENV)/.done: release/requirements.txt
	$(PYTHON) -m venv $(TOOLS_VENV)
	$(TOOLS_VENV)/bin/python $(QUIETLY) --requirement $<
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "setting up everything, PyTorch too (some minutes, 7 GB)"
	$(PIP) install --editable '.[dev]'
	@touch $@ $(VENV)/.demo

setup: $(VENV)/.dev

# --- what people run

demo: $(VENV)/.demo
	$(BIN)/aminet-phantom $(DEMO) --patients 1 --seed $(SEED)
	$(BIN)/aminet-run $(DEMO_PATIENT) --output $(DEMO)/results
	@$(BIN)/aminet-phantom $(DEMO) --patients 1 --seed $(SEED) --truth

# small arrays: threads of PyTorch that wait for each other on a busy machine take ten times as long
test test-quick test-wheel test-lowest standalone: export OMP_NUM_THREADS = 1

test: $(VENV)/.dev examples
	$(BIN)/python -m pytest

# what package-lock.json names and no more; scripts would fetch libraries for GPUs
JS_EXAMPLES := examples/node examples/web
NPM := $(shell command -v npm)

examples: $(if $(NPM),$(JS_EXAMPLES:%=%/node_modules/.package-lock.json),no-npm)

%/node_modules/.package-lock.json: %/package-lock.json
	@cd $* && $(NPM) ci --ignore-scripts --no-audit --no-fund && touch node_modules/.package-lock.json \
		|| echo "npm could not install the packages of $*: its tests will be skipped"

.PHONY: no-npm
no-npm:
	@echo "there is no npm: the tests of examples/node and examples/web will be skipped"

test-quick: $(VENV)/.dev
	$(BIN)/python -m pytest -m 'not slow'

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# the wheel without extras in an empty environment: nothing heavy, and the runtime's tests pass
test-wheel: $(VENV)/.dev
	rm -rf dist $(WHEEL_VENV)
	$(BIN)/python -m build --wheel --outdir dist .
	$(PYTHON) -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python $(QUIETLY) dist/*.whl
	$(WHEEL_VENV)/bin/python tests/architecture/empty_environment.py
	$(WHEEL_VENV)/bin/python $(QUIETLY) $(FOR_THE_RUNTIME) mypy
	$(WHEEL_VENV)/bin/python -m mypy --strict --config-file= tests/architecture/typed_host.py
	$(WHEEL_VENV)/bin/python -m pytest tests/runtime

# the oldest releases that pyproject.toml admits, of what it names; of all else the newest
test-lowest: $(VENV)/.dev $(TOOLS_VENV)/.done
	rm -rf dist $(LOWEST_VENV)
	$(BIN)/python -m build --wheel --outdir dist .
	$(PYTHON) -m venv $(LOWEST_VENV)
	$(TOOLS_VENV)/bin/uv pip install --python $(LOWEST_VENV)/bin/python \
		--resolution lowest-direct --requirement pyproject.toml --extra onnxruntime
	$(LOWEST_VENV)/bin/python $(QUIETLY) --no-deps dist/*.whl
	$(LOWEST_VENV)/bin/python $(QUIETLY) $(FOR_THE_RUNTIME) onnx
	$(LOWEST_VENV)/bin/python -m pytest tests/runtime

# two builds must give the same bytes, so that a wheel can be traced to its commit
test-wheel-twice: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist/first .
	$(BIN)/python -m build --wheel --outdir dist/second .
	cd dist/first && sha256sum *.whl | (cd ../second && sha256sum --check)

# --- what a release holds beside the wheel

# from the wheel alone, so that nothing comes along that the runtime does not ask for
standalone: $(VENV)/.dev
	rm -rf dist build/standalone $(STANDALONE_VENV)
	$(BIN)/python -m build --wheel --outdir dist .
	$(PYTHON) -m venv $(STANDALONE_VENV)
	$(STANDALONE_VENV)/bin/python $(QUIETLY) dist/*.whl --requirement release/pyinstaller.txt
	$(STANDALONE_VENV)/bin/pyinstaller --noconfirm --log-level WARN \
		--distpath dist --workpath build release/standalone.spec
	$(BIN)/aminet-phantom $(DEMO) --patients 1 --seed $(SEED)
	$(STANDALONE_VENV)/bin/python $(QUIETLY) $(FOR_THE_RUNTIME)
	AMINET_STANDALONE=dist/aminet AMINET_PATIENT=$(DEMO_PATIENT) \
		$(STANDALONE_VENV)/bin/python -m pytest tests/runtime/test_standalone.py

# reproducible: from an environment with the wheel and nothing else, not even pip
sbom: $(VENV)/.dev $(TOOLS_VENV)/.done
	rm -rf dist $(SBOM_VENV)
	$(BIN)/python -m build --wheel --outdir dist .
	$(PYTHON) -m venv --without-pip $(SBOM_VENV)
	$(PIP) --python $(SBOM_VENV)/bin/python install dist/*.whl
	mkdir -p build
	sed "s/^dynamic = .*/version = \"$$($(SBOM_VENV)/bin/python -c \
		'import aminet_runtime; print(aminet_runtime.__version__)')\"/" \
		pyproject.toml > build/pyproject.toml
	$(TOOLS_VENV)/bin/cyclonedx-py environment --output-reproducible --mc-type library \
		--pyproject build/pyproject.toml --output-file dist/sbom.cdx.json $(SBOM_VENV)

licences: $(VENV)/.dev
	$(BIN)/python release/licences.py

check-licences: $(VENV)/.dev
	$(BIN)/python release/licences.py --check

FUZZ_SECONDS ?= 600
fuzz: $(VENV)/.dev
	$(PIP) install atheris
	$(BIN)/python tests/fuzz.py $(FUZZ_SECONDS)

RESULTS ?= benchmark-results
ROUNDS ?= 3
SHIPPED := runtime/aminet_runtime/bundles/mobilenetv2-int8
UNTRAINED := $(DEMO)/mobilenetv2-untrained-int8 $(DEMO)/efficientformerv2-untrained-int8

# never trained: for their speed alone, with one phase as in the source report
$(UNTRAINED): $(DEMO)/%-untrained-int8: | $(VENV)/.dev
	$(BIN)/aminet-benchmark untrained --model $* -o $@

benchmark: $(VENV)/.dev $(UNTRAINED)
	$(BIN)/aminet-phantom $(DEMO) --patients 1 --seed $(SEED)
	$(BIN)/aminet-benchmark compare --patient $(DEMO_PATIENT) --bundle $(SHIPPED) $(UNTRAINED) \
		--isa native avx2 --rounds $(ROUNDS) -o $(RESULTS)
	$(BIN)/aminet-benchmark gate --patient $(DEMO_PATIENT) -o $(RESULTS)

benchmark-scaling: $(VENV)/.dev
	$(BIN)/aminet-phantom $(DEMO) --patients 1 --seed $(SEED)
	$(BIN)/aminet-benchmark scaling --patient $(DEMO_PATIENT) -o $(RESULTS)

GOOD ?= 5
benchmark-selftest: $(VENV)/.dev
	$(BIN)/aminet-phantom $(DEMO) --patients 1 --seed $(SEED)
	$(BIN)/aminet-benchmark selftest --patient $(DEMO_PATIENT) --good $(GOOD) -o $(RESULTS)

REFERENCE ?= reference-results
REFERENCE_OPTIONS ?=
reference: $(VENV)/.dev
	$(BIN)/aminet-benchmark reference -o $(REFERENCE) $(REFERENCE_OPTIONS)

benchmark-smoke: $(VENV)/.dev
	$(BIN)/aminet-benchmark gate --smoke

clean:
	rm -rf $(VENV) $(WHEEL_VENV) $(STANDALONE_VENV) $(LOWEST_VENV) $(SBOM_VENV) $(TOOLS_VENV) dist build demo
