# One word per chore; `make help` lists them. ARGS passes flags on: make run ARGS="--port 8000".

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PARITY := .venv-parity
OUTSIDERS := .venv-outsiders
OPENAI1 := .venv-openai1
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PINS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup run test lint fix bench bench-server bench-long bench-fleet bench-soak bench-paraformer \
	bench-paraformer-gpu docs clean test-system test-faults test-parity test-outsiders bench-edge bench-storm bench-realtime

help: ## list the chores
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-21s %s\n", $$1, $$2 }' Makefile
	@echo 'PYTHON=python3.12 chooses the Python of a new .venv; ARGS="..." passes flags on.'

setup: $(VENV)/.lint ## install everything that working on voxfleet needs into .venv

run: $(VENV)/.base ## install what serving needs and serve on http://127.0.0.1:7860
	@exec $(BIN)/voxfleet serve $(ARGS)

test: $(VENV)/.test ## run the tests
	@exec $(BIN)/python -m pytest --ignore=tests/system --ignore=tests/faults --ignore=tests/parity --ignore=tests/outsiders $(ARGS)

test-system: $(VENV)/.test ## run whole servers and commands, as their users do
	@exec $(BIN)/python -m pytest tests/system $(ARGS)

test-faults: $(VENV)/.test ## kill, stop, starve and confuse real processes, and count the answers
	@exec $(BIN)/python -m pytest tests/faults $(ARGS)

test-outsiders: $(OUTSIDERS)/.installed $(OPENAI1)/.installed ## let strangers try the HTTP surface: openai, schemathesis, curl, fuzz
	@exec $(OUTSIDERS)/bin/python -m pytest tests/outsiders $(ARGS)

lint: $(VENV)/.lint ## check style, types, layers, layout and documents
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --quiet tests/test_layout.py tests/test_docs.py

fix: $(VENV)/.lint ## repair what lint can repair by itself
	$(BIN)/python -m ruff check --fix
	$(BIN)/python -m ruff format

bench: $(VENV)/.test ## measure decoding and speech detection, per core
	@exec $(BIN)/python bench/audio_speed.py $(ARGS)

bench-server: $(VENV)/.test ## measure a running server: speed, /health meanwhile, memory
	@PYTHONPATH=. exec $(BIN)/python bench/server_load.py $(ARGS)

bench-long: $(VENV)/.test ## measure a 10-hour recording: memory, and the wait of a short one
	@exec $(BIN)/python bench/long_recording.py $(ARGS)

bench-fleet: $(VENV)/.test ## measure the fleet: cost of a request, batches, overload, live speech beside long files
	@PYTHONPATH=. exec $(BIN)/python bench/fleet.py $(ARGS)

bench-soak: $(VENV)/.test ## load a server with everything for half an hour and see what grows
	@PYTHONPATH=. exec $(BIN)/python bench/fleet_soak.py $(ARGS)

bench-edge: $(VENV)/.test ## measure small requests, with a key and without, beside another tree (needs wrk)
	@PYTHONPATH=. exec $(BIN)/python bench/edge_cost.py $(ARGS)

bench-realtime: $(VENV)/.test ## measure realtime sessions: ends, final texts, first words, memory of idle ones
	@PYTHONPATH=. exec $(BIN)/python bench/realtime.py $(ARGS)

bench-storm: $(VENV)/.test ## measure /health while a crowd is refused and asks again at once (needs wrk)
	@PYTHONPATH=. exec $(BIN)/python bench/health_in_storm.py $(ARGS)

bench-paraformer: $(PARITY)/.installed ## measure Paraformer beside FunASR, same weights and recordings
	@PYTHONPATH=. exec $(PARITY)/bin/python bench/paraformer_speed.py $(ARGS)

bench-paraformer-gpu: $(VENV)/.test ## measure Paraformer on an NVIDIA GPU, as a share of its matrix rate
	@PYTHONPATH=. exec $(BIN)/python bench/paraformer_gpu.py $(ARGS)

docs: $(VENV)/.base ## write the generated parts of docs/ anew
	@PYTHONPATH=. exec $(BIN)/python scripts/make_docs.py

ifeq ($(wildcard tests/parity/test_*.py),)
test-parity:
	@echo 'tests/parity holds no test yet; nothing is installed for it'
else
test-parity: $(PARITY)/.installed ## compare with FunASR itself, in an environment of its own
	@exec $(PARITY)/bin/python -m pytest tests/parity $(ARGS)
endif

clean: ## remove the environments, caches and build products
	rm -rf $(VENV) $(PARITY) $(OUTSIDERS) $(OPENAI1) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .hypothesis
	find src tests bench scripts -name __pycache__ -prune -exec rm -rf {} +

# A stamp is written last, so that an installation that broke off is done again.

# a PYTHON named now that is not the one .venv was made with: make it again
ifneq ($(origin PYTHON),file)
ifneq ($(shell cat $(VENV)/.created 2>/dev/null),$(PYTHON))
.PHONY: $(VENV)/.created
endif
endif

$(VENV)/.created:
	@sh scripts/make_venv.sh $(PYTHON) $(VENV)
	@echo $(PYTHON) > $@

$(VENV)/.base: $(VENV)/.created $(PINS)
	@echo 'Installing voxfleet into $(VENV), once; this takes about a minute.'
	@$(BIN)/python $(PIP_INSTALL) --editable .
	@touch $@

# torch first and alone: a CPU build that pip is told of (find-links, an extra index) then wins
$(VENV)/.test: $(VENV)/.created $(PINS)
	@echo 'Installing voxfleet and its tests into $(VENV), once; torch is large.'
	@$(BIN)/python $(PIP_INSTALL) torch==2.13.0
	@$(BIN)/python $(PIP_INSTALL) --editable '.[test]'
	@touch $(VENV)/.base $@

$(VENV)/.lint: $(VENV)/.test
	@$(BIN)/python $(PIP_INSTALL) --editable '.[test,lint]'
	@touch $@

# torchaudio must never come in: its published build needs CUDA, and FunASR dies importing it
$(PARITY)/.installed: $(PINS)
	@sh scripts/make_venv.sh $(PYTHON) $(PARITY)
	@echo 'Installing FunASR into $(PARITY), once.'
	@$(PARITY)/bin/python $(PIP_INSTALL) torch==2.13.0
	@$(PARITY)/bin/python $(PIP_INSTALL) --editable '.[test,parity]'
	@touch $@

$(OUTSIDERS)/.installed: $(PINS)
	@sh scripts/make_venv.sh $(PYTHON) $(OUTSIDERS)
	@echo 'Installing the strangers that try the HTTP surface into $(OUTSIDERS), once.'
	@$(OUTSIDERS)/bin/python $(PIP_INSTALL) torch==2.13.0
	@$(OUTSIDERS)/bin/python $(PIP_INSTALL) --editable '.[outsiders]'
	@touch $@

# the older major version of OpenAI's client, which the pins know nothing of
$(OPENAI1)/.installed: $(PINS)
	@sh scripts/make_venv.sh $(PYTHON) $(OPENAI1)
	@grep -v -e '^openai==' -e '^websockets==' constraints.txt > $(OPENAI1)/constraints.txt
	@$(OPENAI1)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint $(OPENAI1)/constraints.txt 'openai[realtime]==1.109.1'
	@touch $@
