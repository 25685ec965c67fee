# Glasscase: `make demo` shows it working, `make test` tests it, `make help` lists the rest.
# Needs Python 3.11 or newer, make and a package index. Everything goes into .venv and var.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# Glasscase and its tests start dozens of processes; where nothing compiled is kept, each compiles the libraries again.
unexport PYTHONDONTWRITEBYTECODE

# The first interpreter that is new enough; `make PYTHON=/path/to/python3.12 …` chooses another.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 /usr/local/bin/python3 /usr/bin/python3; do \
	"$$p" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; exit; }; done)
BIN := .venv/bin
MANAGE := $(BIN)/python manage.py

# Real portraits and a small model pack for tests and benchmarks, where somebody has put them beside the clone.
ifndef GLASSCASE_FACES
ifneq ($(wildcard ../shared/faces/.),)
export GLASSCASE_FACES := $(abspath ../shared/faces)
endif
endif

.PHONY: help setup demo serve test test-slow check fix bench docs verifier witness secrets stop clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 — \2/p' $(firstword $(MAKEFILE_LIST))

setup: .venv/.ready ## install what is needed into .venv

.venv/.ready: requirements/development.txt requirements/uv.txt requirements/second_verifier.txt scripts/set_up.sh
	@PYTHON='$(PYTHON)' sh scripts/set_up.sh

demo: .venv/.ready ## the whole story on generated people, in a few minutes
	@$(MANAGE) demo

serve: .venv/.ready ## web, worker, schedules, sequencer and signer on 127.0.0.1:8000
	@$(MANAGE) serve

test: .venv/.ready ## all tests but the long ones
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" $(ARGS)

test-slow: .venv/.ready ## the long tests
	@$(BIN)/python -m pytest -n 2 -m slow $(ARGS)

check: .venv/.ready ## lint, types, migrations, drift: reports everything, changes nothing
	@$(BIN)/python scripts/check.py

fix: .venv/.ready ## let ruff repair what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: .venv/.ready ## benchmarks
	@$(BIN)/python -m bench $(ARGS)

docs: .venv/.ready ## write the generated pages of docs/ again
	@$(BIN)/python scripts/generated.py --write

verifier: .venv/.ready ## write glasscase-verify into var, as one file and for pip, and print what belongs on paper
	@$(MANAGE) verifier var/glasscase-verify.pyz

witness: .venv/.ready ## write glasscase-witness.pyz, the oversight board's witness as one file, into var
	@$(MANAGE) witness var/glasscase-witness.pyz

secrets: ## make the password files that docker-compose.yml reads; with SHARDS=north also those of a shard
	@sh scripts/make_secrets.sh $(SHARDS)

stop: ## stop the embedded database
	@test ! -e .venv/.ready || $(MANAGE) stop_database

clean: stop ## remove .venv and caches (var, which holds your data, stays)
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis staticfiles
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
