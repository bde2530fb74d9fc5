# make demo    a question through every stage, without keys or network
# make chaos   things break one after another, and the bot answers
# make soak    questions for MINUTES: does anything grow?
# make test    all tests
# make check   what must be green before a commit
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
PIP_VERSION := 26.3
# PyPI's torch for Linux brings 3 GB of CUDA; PyTorch's own index has the CPU build. Where wheels are
# offered locally (PIP_FIND_LINKS), that index is not waited for.
TORCH_INDEX := $(if $(PIP_FIND_LINKS),,--index-url https://download.pytorch.org/whl/cpu)

export Q

.PHONY: install demo chaos soak test e2e-slack check format clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install pip==$(PIP_VERSION)
	$(PIP) install --constraint constraints.txt --no-deps $(TORCH_INDEX) torch
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m bot prepare
	touch $@

demo: $(INSTALLED)
	@$(BIN)/python -m bot demo $${Q:+"$$Q"}

chaos: $(INSTALLED)
	@$(BIN)/python -m benchmarks.chaos

MINUTES ?= 2

soak: $(INSTALLED)
	$(BIN)/python -m benchmarks.soak $(MINUTES)

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2

# The whole bot against local-slack, a Slack that this project did not write; in a network namespace of its own.
LOCAL_SLACK := .cache/local-slack/node_modules/local-slack-linux-x64/bin/local-slack

$(LOCAL_SLACK):
	npm install --silent --no-audit --no-fund --prefix .cache/local-slack local-slack-linux-x64@0.1.8

e2e-slack: $(INSTALLED) $(LOCAL_SLACK)
	unshare --net --map-root-user tests/e2e/local_slack.sh $(LOCAL_SLACK) $(BIN)/python

check: $(INSTALLED)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

format: $(INSTALLED)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf $(VENV)
