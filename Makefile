# The doors of this repository. They need make and Python 3.11 or newer, and nothing else installed by hand.
#
#   make demo ARGS=--tour         words for the command behind a door
#   make demo PYTHON=python3.12   a certain Python, instead of the first one that is new enough
#   make lock UPGRADE=1           the newest versions, instead of the ones already locked

.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:
.PHONY: help demo test crash soak bench lint format readme pictures advisories lock clean FORCE

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
CANDIDATES := $(if $(PYTHON),"$(PYTHON)",python3 python3.14 python3.13 python3.12 python3.11)

# A .venv whose Python has gone, or which was moved or copied here with the folder, is made anew.
STALE := $(shell { [ ! -e $(VENV)/.place ] || [ "$$(cat $(VENV)/.place)" = "$$(pwd -P)" ]; } \
	&& $(BIN)/python -c 'import pip' 2>/dev/null || echo stale)

help: ## say what can be made
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1 \2/p' Makefile | while read -r door does; do printf '  make %-8s %s\n' "$$door" "$$does"; done

demo: $(VENV)/.runtime ## show the bot at work: a local Slack and simulated clouds, nothing to set up
	@echo "==> ota-bot demo $(ARGS)"
	@$(BIN)/ota-bot demo $(ARGS)

# Six workers on two cores: the tests wait (for sockets, browsers, rate limits) more than they work.
test: lint ## run everything that must hold: lint, types, rooms, tests
	@echo "==> Tests"
	$(BIN)/python -m pytest --numprocesses 6 --dist loadfile $(ARGS)

crash: $(VENV)/.test ## kill the bot at every point of a life, and at random moments of a batch (five minutes)
	$(BIN)/python -m tests.crash points $(ARGS)

soak: $(VENV)/.test ## half an hour of orders, faults and kills, and then compare (ARGS="--minutes 10 --seed 7")
	$(BIN)/python -m tests.crash soak $(ARGS)

lint: $(VENV)/.test ## check the style, the types and the imports between the rooms
	@echo "==> Style, types and rooms"
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml bot

format: $(VENV)/.test ## put the code into the house's format
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: $(VENV)/.bench ## measure what the notes and the README quote: start, memory, acknowledgements, pace, costs
	$(BIN)/python -m benchmarks.slack
	$(BIN)/python -m benchmarks.clouds
	$(BIN)/python -m benchmarks.ledger

readme: $(VENV)/.test ## write the README's help texts and command table anew from the code
	$(BIN)/python -m tests.house.readme

pictures: $(VENV)/.test ## take the pictures in docs/pictures anew, with the machine's Chromium or Chrome
	$(BIN)/python -m tests.browser.pictures

advisories: $(VENV)/.place ## ask the advisory service of PyPI for known holes in what is locked
	@[ -x $(BIN)/pip-audit ] || { echo "==> Installing pip-audit"; $(PIP) install --quiet pip-audit; }
	$(BIN)/pip-audit --strict --require-hashes --disable-pip --requirement requirements.lock

lock: $(VENV)/.place ## pin the dependencies of pyproject.toml, with hashes (UPGRADE=1 for the newest)
	@command -v uv >/dev/null || [ -x $(BIN)/uv ] || { echo "==> Installing uv, which resolves"; $(PIP) install --quiet uv; }
	@echo "==> Locking"
	@$(BUILD_REQUIRES) | $(COMPILE) --output-file requirements.lock pyproject.toml -
	@$(BUILD_REQUIRES) | $(COMPILE) --output-file requirements-test.lock --extra test --constraint requirements.lock pyproject.toml -
	@$(COMPILE) --output-file requirements-bench.lock --extra bench --constraint requirements.lock pyproject.toml

clean: ## remove everything that was made
	rm -rf $(VENV) dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find bot tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The build backend is locked too, and `editables`, which it asks for when the project is installed in place.
BUILD_REQUIRES = $(BIN)/python -c 'import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], "editables", sep="\n")'
COMPILE = PATH="$$PATH:$(BIN)" uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

# Stamps. The test dependencies hold the runtime ones, so `demo` after `test` installs nothing.
$(VENV)/.runtime: $(VENV)/.place requirements.lock pyproject.toml
	@echo "==> Installing the locked dependencies (half a minute, the first time)"
	@$(PIP) install --quiet --require-hashes --requirement requirements.lock
	@$(PIP) install --quiet --no-index --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.place requirements.lock requirements-test.lock pyproject.toml
	@echo "==> Installing the locked dependencies and those of the tests (a minute, the first time)"
	@$(PIP) install --quiet --require-hashes --requirement requirements-test.lock
	@$(PIP) install --quiet --no-index --no-deps --no-build-isolation --editable .
	@touch $(VENV)/.runtime $@

$(VENV)/.bench: $(VENV)/.test requirements-bench.lock
	@echo "==> Installing what the benchmarks compare with"
	@$(PIP) install --quiet --require-hashes --requirement requirements-bench.lock
	@touch $@

$(VENV)/.place: $(if $(STALE),FORCE)
ifneq ($(STALE),)
	@python=; tried=; \
	for candidate in $(CANDIDATES); do \
		version=$$("$$candidate" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || version=missing; \
		if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
		tried="$$tried $$candidate ($$version)"; \
	done; \
	if [ -z "$$python" ]; then \
		echo "ota-bot needs Python 3.11 or newer. Looked for:$$tried." >&2; \
		echo "Install one, or name it: make $(or $(firstword $(MAKECMDGOALS)),demo) PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi; \
	echo "==> Making $(VENV) with $$python ($$version)"; \
	if "$$python" -c 'import ensurepip' 2>/dev/null; then \
		"$$python" -m venv --clear $(VENV); \
	else \
		echo "==> This Python has no ensurepip (on Debian it is in python3-venv): fetching the locked pip"; \
		"$$python" -m venv --clear --without-pip $(VENV) && $(BIN)/python .ci/bootstrap_pip.py requirements.lock; \
	fi
endif
	@pwd -P > $@
