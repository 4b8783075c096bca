# Every target does its own set-up. PYTHON makes the virtual environment; it needs CPython >= 3.11.
PYTHON ?= $(shell command -v /usr/bin/python3.11 /usr/bin/python3.12 /usr/bin/python3 python3 | head -n 1)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help venv

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make venv       .venv with the control side and the tools of the developers (CPU=1 adds MindSpore for CPU)
venv: $(VENV)/.stamp$(if $(CPU),-cpu)

$(VENV)/.stamp: pyproject.toml
	@$(PYTHON) -m venv $(VENV)
	@# --group came with pip 25.1
	@$(BIN)/pip install --quiet --disable-pip-version-check 'pip>=25.1'
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[control]' --group dev
	@touch $@

$(VENV)/.stamp-cpu: $(VENV)/.stamp
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[control,cpu]'
	@touch $@
