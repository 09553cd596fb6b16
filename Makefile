# Needs make, git and python3 >= 3.11 with venv; uses uv when it is there. `make help` lists the targets.

PY    := .venv/bin/python
STAMP := .venv/.made

# Two cores are what a laptop has to spare; `make JOBS=8 test` takes more.
JOBS   ?= 2
SPREAD := -n $(JOBS) --dist worksteal

SUPPLY_PY    := .venv-supply/bin/python
SUPPLY_STAMP := .venv-supply/.made

.DEFAULT_GOAL := help
.PHONY: help demo test test-ci nightly coverage bench lint dist reproducible sbom audit workflows clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##/\1 \t/p' $(MAKEFILE_LIST) | expand -t 12

$(STAMP): pyproject.toml uv.lock scripts/make-env scripts/requirements.py
	@sh scripts/make-env .venv
	@touch $@

$(SUPPLY_STAMP): pyproject.toml uv.lock scripts/make-env scripts/requirements.py
	@sh scripts/make-env .venv-supply supply
	@touch $@

demo: $(STAMP)  ## the bulk job of examples/ against the embedded model server, with live progress
	@$(PY) -m ratelimit_client demo

test: $(STAMP)  ## every test, at sizes that end within five minutes
	@RLC_SIZE=test $(PY) -m pytest $(SPREAD)

test-ci: $(STAMP)  ## the same tests at ten times the size
	@RLC_SIZE=ci $(PY) -m pytest $(SPREAD) -o faulthandler_timeout=600

nightly: $(STAMP)  ## the same tests at a thousand times the size of `make test`, with fresh seeds
	@RLC_SIZE=nightly $(PY) -m pytest $(SPREAD) -o faulthandler_timeout=0

coverage: $(STAMP)  ## branch coverage of the core by its own tests, which has to be whole
	@$(PY) -m coverage run -m pytest -q tests/core
	@$(PY) -m coverage report --include='*/ratelimit_client/core/*' --fail-under=100

bench: $(STAMP)  ## the measurements that README and docs quote
	@$(PY) -m benchmarks

lint: $(STAMP)  ## ruff and mypy --strict
	@$(PY) -m ruff check .
	@$(PY) -m mypy

dist: $(STAMP)  ## sdist and wheel into dist/, built twice with equal hashes or not at all
	@sh scripts/dist dist

reproducible: $(STAMP)  ## only the check: two builds in different circumstances, equal hashes
	@folder=$$(mktemp -d) && sh scripts/dist "$$folder"; code=$$?; rm -rf "$$folder"; exit $$code

sbom: $(SUPPLY_STAMP)  ## the CycloneDX bill of materials into build/sbom.cdx.json
	@$(SUPPLY_PY) scripts/sbom.py build/sbom.cdx.json

audit: $(SUPPLY_STAMP)  ## known vulnerabilities in what uv.lock names; "Error 75" when nobody could be asked
	@sh scripts/audit

workflows: $(SUPPLY_STAMP)  ## zizmor over .github/workflows
	@.venv-supply/bin/zizmor --offline --pedantic --quiet .github/workflows

clean:  ## remove the environment, the caches and what the demo wrote
	rm -rf .venv .venv-supply build dist out htmlcov .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
