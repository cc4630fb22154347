# Everything here starts from nothing: it needs make, a shell and Python 3.11 or newer.
# What is installed comes from the lock files, hashes checked. Repeated calls install nothing.
# The locks name every package, so pip resolves nothing (--no-deps): a resolver looks for extras
# that a lock does not spell out, and finds releases without a hash. `pip check` replaces it.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CODE := actors web store tests bench
# The 9xx are opt-in. 114: it wants a list of names. 124: handlers are async because Quart calls
# them so. 127: httpx is chosen.
ASYNC_RULES := --select=ASYNC1,ASYNC2 --extend-ignore=ASYNC114,ASYNC124,ASYNC127
ARGS ?=
PYTHON ?=

.PHONY: help serve test test-fast soak check bench lock clean

help:
	@echo 'make serve   run the server in the foreground; ARGS="--config trouper.toml" for options'
	@echo 'make test    all tests: the fast ones, then those on real sockets and processes'
	@echo 'make test-fast  only the fast tests, in memory'
	@echo 'make soak    all tests at full size: the counts and durations that "make test" shortens'
	@echo 'make check   linters, formatting, types'
	@echo 'make bench   compare with a bare relay, on this machine'
	@echo 'make lock    choose dependencies anew and write the lock files'
	@echo 'make clean   remove the environment and everything that was generated'

serve: $(VENV)/.runtime
	@exec $(BIN)/trouper serve $(ARGS)

# Real servers mostly wait, so there may be more of them than cores; but for the tests that measure.
test: test-fast
	$(BIN)/python -m pytest --numprocesses 5 --no-loadscope-reorder -m 'not alone' tests/live $(ARGS)
	$(BIN)/python -m pytest -m alone tests/live $(ARGS)

test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal --ignore=tests/live $(ARGS)

soak: export TROUPER_LIVE_FULL := 1
soak: test

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m flake8 --isolated $(ASYNC_RULES) actors web store
	$(BIN)/mypy
	$(BIN)/towncrier build --draft --version next > $(VENV)/changelog-draft.md

bench: $(VENV)/.dev
	$(BIN)/python -m bench.run $(ARGS)

lock: | $(BIN)/python
	$(BIN)/python .ci/lock.py $(VENV)/lock

clean:
	rm -rf $(VENV) build dist bench/results .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find $(CODE) -type d -name __pycache__ -prune -exec rm -rf {} +

# The stamps are written last: an interrupted installation is done again.

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(PIP) install --require-hashes --no-deps -r requirements-dev.lock
	$(PIP) check
	@touch $@

$(VENV)/.runtime: requirements.lock requirements-build.lock pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes --no-deps -r requirements.lock -r requirements-build.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	$(PIP) check
	@touch $@

$(BIN)/python:
	@PYTHON="$(PYTHON)" sh .ci/venv $(VENV)
