# The whole developer interface. Everything lives in .venv; nothing else on the machine is changed,
# except that a browser is installed where there is none, and on Debian what tests need
# (tests/programs.sh).
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n 6 --dist loadgroup

# Modules are compiled once, not at every start of one of our commands.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all test-quick lint bench schema reference images clean

demo: .venv/ready
	@$(BIN)/fleet demo

# Every check at its smallest size: ten minutes on two quiet cores. The slowest twenty are named at the end.
test: .venv/ready-for-development lint
	@$(PYTEST) -m "not full" --durations 20

# The rest: the same checks over the cases and at the sizes that `make test` leaves out.
test-all: .venv/ready-for-development
	@$(PYTEST) -m full --durations 20

# The inner loop: what needs neither a browser nor Ansible.
test-quick: .venv/ready-for-development
	@$(PYTEST) -m "not full" tests/unit tests/contract/test_structure.py

lint: .venv/ready-for-development
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/codespell
	@PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/ansible-lint --offline -q playbooks roles
	@shellcheck .ci/run tests/node.sh tests/programs.sh

bench: .venv/ready-for-development
	@$(BIN)/python -m bench

# What is published of the code is made from the code; tests hold them together.
schema: .venv/ready
	@$(BIN)/fleet services schema > docs/recipe.schema.json

reference: .venv/ready
	@$(BIN)/python -m docs.reference

# The pictures of README.md, made anew from a rehearsal.
images: .venv/ready
	@$(BIN)/python -m docs.images

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@$(PYTHON) -m venv .venv || { \
		echo "$(PYTHON) cannot make an environment; install its venv module (Debian: apt install python3-venv)" >&2; exit 2; }

.venv/ready: .venv/bin/pip pyproject.toml
	@echo "Installing into .venv ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@$(BIN)/fleet browser install
	@touch $@

.venv/ready-for-development: .venv/ready
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@sh tests/programs.sh
	@touch $@

clean:
	@rm -rf .venv dist build
