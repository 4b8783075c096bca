# Every target does its own set-up. Long output goes to build/logs/; a failing stage prints the end of its own.
# PYTHON makes the virtual environment; ansible-core 2.19 needs CPython >= 3.11.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3.11 /usr/bin/python3.12 /usr/bin/python3.13) python3)
SHELL := /bin/bash
# A variable, since $(call) would split it at its comma.
WITH_CPU := .[control,cpu]
VENV := .venv
BIN := $(VENV)/bin
LOGS := build/logs
# Most tests wait for hosts and processes most of the time: more at once than there are cores. A file's tests stay together,
# and the longest files, which are the lab's, come early: the many short ones fill what is left.
SIDE_BY_SIDE := --numprocesses $(shell echo $$(( $$(nproc) + 1 ))) --dist loadfile --no-loadscope-reorder
AS_ROOT := $(filter 0,$(shell id -u))

PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/pip install --quiet

# $(call stage,NAME,COMMAND): print the name, run the command into its log, print how long it took.
define stage
	@mkdir -p $(LOGS); printf '%-14s ' '$(1)'; start=$$SECONDS; \
	if { $(2); } >$(LOGS)/$(1).log 2>&1; then echo "ok ($$((SECONDS - start)) s)"; \
	else echo "FAILED, $(LOGS)/$(1).log ends with:"; tail -n 60 $(LOGS)/$(1).log; exit 1; fi
endef

.PHONY: help requirements venv lint check test chaos-table fleet-upgrade lab lab-down demo clean

## make help       this list
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make demo       two bare servers on this machine -> site.yml -> finetune (KEEP=1 leaves the servers up);
##                 without root, a finetune on this machine alone
demo: requirements venv $(if $(AS_ROOT),,$(VENV)/.stamp-cpu)
	@$(BIN)/python -m demo $(if $(KEEP),--keep)

## make check      lint, types, and the tests that need no root and are no long proof
check: lint
	@$(BIN)/pytest -q $(SIDE_BY_SIDE) -m 'not lab and not cpu and not proof' tests/unit tests/contract

## make test       everything CI runs
test: requirements venv lint
	$(call stage,lab-cache,$(if $(AS_ROOT),$(BIN)/python -m lab cache,echo 'not root: no lab'))
	@$(BIN)/pytest -q $(SIDE_BY_SIDE) $(if $(AS_ROOT),,-m 'not lab and not cpu')

## make chaos-table the tests of what breaks jobs, and their records into docs/reliability.md
chaos-table: requirements venv
	@rm -rf build/chaos; CHAOS_CYCLES=20 $(BIN)/pytest -q tests/lab/test_chaos.py
	@$(BIN)/python -m tests.lab.chaos_table

## make fleet-upgrade  the rehearsal of a fleet upgrade with faults (HOSTS=200; CI has 10)
fleet-upgrade: requirements venv
	@FLEET_HOSTS=$(or $(HOSTS),50) $(BIN)/pytest -q tests/lab/test_fleet_upgrade_scale.py

## make lab        two bare servers on this machine, named in an inventory (HOSTS=n for more, LIGHT=1 for dozens)
lab: requirements venv
	@$(BIN)/python -m lab up $(if $(HOSTS),--hosts $(HOSTS)) $(if $(LIGHT),--light)

## make lab-down   their complete removal
lab-down:
	@python3 -m lab down

## make lint       ruff, mypy, import-linter, yamllint, ansible-lint
lint: venv
	$(call stage,ruff,$(BIN)/ruff check . && $(BIN)/ruff format --check .)
	$(call stage,mypy,$(BIN)/mypy)
	$(call stage,import-linter,$(BIN)/lint-imports)
	$(call stage,yamllint,$(BIN)/yamllint --strict .)
	$(call stage,ansible-lint,PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/ansible-lint --strict --offline)

## make venv       .venv with the control side and the developers' tools (CPU=1 adds MindSpore for CPU)
venv: $(VENV)/.stamp $(if $(CPU),$(VENV)/.stamp-cpu)

# What this machine lacks of what the lab and the virtual environment need; Debian's and Ubuntu's names.
requirements:
ifneq ($(AS_ROOT),)
	$(call stage,requirements,missing=$$($(PYTHON) -m lab requirements --missing); \
	  [ -z "$$missing" ] || { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$missing; })
endif

$(VENV)/.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo 'PYTHON=$(PYTHON) can make no virtual environment for ansible-core 2.19, which needs CPython >= 3.11 with ensurepip:'; \
	  echo 'install python3.11, 3.12 or 3.13 and its -venv package, or name one: make PYTHON=/path/to/python3.12'; exit 1; }
	$(call stage,venv,$(PYTHON) -m venv $(VENV) && $(PIP) 'pip>=25.1' && $(PIP) --editable '.[control]' --group dev)
	@touch $@

$(VENV)/.stamp-cpu: $(VENV)/.stamp
	$(call stage,venv-cpu,$(PIP) --editable '$(WITH_CPU)')
	@touch $@

## make clean      remove what make made in this checkout (caches stay: see docs/architecture.md)
clean:
	@rm -rf $(VENV) build
