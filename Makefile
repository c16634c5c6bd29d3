# SPDX-License-Identifier: Apache-2.0
# Everything a fresh clone needs: Python 3.11 or later with venv, g++ and make.

PYTHON   ?= python3
GEOMETRY ?= 3x3x8x32
JOBS     ?= 2

# PyTorch on PyPI brings CUDA (gigabytes) on x86 Linux, and nothing here needs it. This index has the
# small CPU build; where it does not answer, PyPI's is taken. For PyPI's in any case: TORCH_INDEX=
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

VENV  := .venv
BIN   := $(VENV)/bin
READY := $(VENV)/.ready
PIP   := $(BIN)/python -m pip --disable-pip-version-check install -q --no-warn-script-location

BOARDS   ?= ulx3s-85f tangnano20k ulx3s-25f icebreaker
SMALLEST := 2x1x2x64,activation_depth=64,weight_bus=16,weight_depth=1024,accumulator_depth=4,layer_depth=4,scale_depth=8,pool_depth=2,max_lanes=1,accumulator_width=12,scale_width=1,mlp,cw_last=0..3,out_word_last=0..3,tile_last=0..31,unit_last=0..3,word_last=0..7

# Every test process gets one core.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.PHONY: help setup sim test test-all formal lint format verilog bitstreams bitstream-smallest clean

help:
	@echo "make sim        set up, then classify real images on the simulated array"
	@echo "make test       set up, lint, then the tests"
	@echo "make test-all   the slow tests too"
	@echo "make formal     proofs about the small blocks"
	@echo "make verilog    write the accelerator of GEOMETRY ($(GEOMETRY)) to build/"
	@echo "make bitstreams rebuild bitstreams/ for all boards of BOARDS ($(BOARDS)), JOBS at a time"
	@echo "make lint       ruff and mypy;  make format rewrites the layout"
	@echo "make setup      only the set-up: $(BIN)/xnorflow is then the command line"
	@echo "make clean      remove what make and the tools wrote, the set-up included"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "xnorflow needs Python 3.11 or later; name one with PYTHON=..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	    { rm -rf $(VENV); echo "No virtual environment; on Debian: apt install python3-venv"; exit 1; }
	@echo "Installing PyTorch (once) ..."
	@index="$(TORCH_INDEX)"; \
	if [ -n "$$index" ] && $(BIN)/python -c 'import sys, urllib.request as u; \
	    u.urlopen(sys.argv[1] + "/torch/", timeout=5)' "$$index" 2>/dev/null; \
	then extra="--extra-index-url $$index"; else extra=; fi; \
	$(PIP) torch -c constraints.txt $$extra
	@echo "Installing xnorflow and its tools (once) ..."
	@$(PIP) -e '.[dev]' -c constraints.txt
	@touch $@

sim: $(READY)
	@$(BIN)/xnorflow sim --geometry $(GEOMETRY)

test: lint
	@$(ONE_THREAD) $(BIN)/pytest -q -n $(JOBS) -m "not slow"

test-all: lint
	@$(ONE_THREAD) $(BIN)/pytest -q -n $(JOBS)

formal: $(READY)
	@$(PIP) -e '.[formal]' -c constraints.txt
	@$(ONE_THREAD) $(BIN)/python -m xnorflow.formal

# hw/ and sim/ talk to Amaranth, which has no types; sw/ is checked strictly.
lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q .
	@$(BIN)/mypy --strict --follow-imports=silent sw/xnorflow
	@$(BIN)/mypy hw/xnorflow sim/xnorflow

format: $(READY)
	@$(BIN)/ruff check --fix-only -q .
	@$(BIN)/ruff format -q .

verilog: $(READY)
	@$(BIN)/xnorflow verilog --geometry $(GEOMETRY) -o build/xnorflow-$(GEOMETRY).v

# The tools of the FPGAs are an extra, which nothing else needs.
$(VENV)/.fpga: $(READY)
	@$(PIP) -e '.[dev,fpga]' -c constraints.txt
	@touch $@

# JOBS boards at a time; what each says comes when it ends, and meanwhile goes to build/BOARD.log.
bitstreams: $(VENV)/.fpga
	@mkdir -p build
	@printf '%s\n' $(BOARDS) | xargs -n 1 -P $(JOBS) sh -c \
	    'echo "$$0: begun, see build/$$0.log"; \
	     $(BIN)/xnorflow build --board $$0 -o bitstreams/$$0 > build/$$0.log 2>&1; \
	     failed=$$?; cat build/$$0.log; exit $$failed'
	@$(BIN)/python -m xnorflow.boards.document

# For continuous integration: an array of two columns, in minutes.
bitstream-smallest: $(VENV)/.fpga
	@$(BIN)/xnorflow build --board icebreaker --geometry $(SMALLEST) --clock 24 -o build/smallest

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find hw sw sim tests -name __pycache__ -type d -prune -exec rm -rf {} +
