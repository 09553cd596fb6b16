# Needs make, git and python3 >= 3.11 with venv; uses uv when it is there. `make help` lists the targets.

PY    := .venv/bin/python
STAMP := .venv/.made

.DEFAULT_GOAL := help
.PHONY: help demo test test-ci nightly coverage bench lint clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##/\1 \t/p' $(MAKEFILE_LIST) | expand -t 12

$(STAMP): pyproject.toml uv.lock scripts/make-env
	@sh scripts/make-env .venv
	@touch $@

demo: $(STAMP)  ## the bulk job of examples/ against the embedded model server, with live progress
	@$(PY) -m ratelimit_client demo

test: $(STAMP)  ## every test, at sizes that end within five minutes
	@RLC_SIZE=test $(PY) -m pytest

test-ci: $(STAMP)  ## the same tests at ten times the size
	@RLC_SIZE=ci $(PY) -m pytest -o faulthandler_timeout=600

nightly: $(STAMP)  ## the same tests at a thousand times the size of `make test`, with fresh seeds
	@RLC_SIZE=nightly $(PY) -m pytest -o faulthandler_timeout=0

coverage: $(STAMP)  ## branch coverage of the core by its own tests, which has to be whole
	@$(PY) -m coverage run -m pytest -q tests/core
	@$(PY) -m coverage report --include='*/ratelimit_client/core/*' --fail-under=100

bench: $(STAMP)  ## the measurements that README and docs quote
	@$(PY) -m benchmarks

lint: $(STAMP)  ## ruff and mypy --strict
	@$(PY) -m ruff check .
	@$(PY) -m mypy

clean:  ## remove the environment, the caches and what the demo wrote
	rm -rf .venv build dist out htmlcov .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
