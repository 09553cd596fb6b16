# Needs make, git and python3 >= 3.11 with venv; uses uv when it is there. `make help` lists the targets.

PY    := .venv/bin/python
STAMP := .venv/.made

# Two cores are what a laptop has to spare; `make JOBS=8 test` takes more.
JOBS   ?= 2
SPREAD := -n $(JOBS) --dist worksteal

BENCH_PY    := .venv-bench/bin/python
BENCH_STAMP := .venv-bench/.made

SUPPLY_PY    := .venv-supply/bin/python
SUPPLY_STAMP := .venv-supply/.made

# What reads and writes the files of a bulk job. `make coverage` wants them there: none drops out by another name.
JOURNAL := $(patsubst %,src/ratelimit_client/bulk/%.py, \
	disk fingerprints journal jsonl ledger lines manifest mended output scan sharded skim)

# $(call whole,TESTS,WHAT): all branches of WHAT are met by TESTS, which run in several processes.
define whole
@$(PY) -m coverage erase
@$(PY) -m coverage run -m pytest -q $(SPREAD) $(1)
@$(PY) -m coverage combine -q
@$(PY) -m coverage report --fail-under=100 $(2)
endef

# Where Python was told to write no bytecode, each of the many processes of a run would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-ci valkey nightly coverage compat bench bench-full gate lint dist reproducible sbom audit workflows clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##/\1 \t/p' $(MAKEFILE_LIST) | expand -t 12

$(STAMP): pyproject.toml uv.lock scripts/make-env scripts/requirements.py
	@sh scripts/make-env .venv
	@touch $@

$(BENCH_STAMP): pyproject.toml uv.lock scripts/make-env scripts/requirements.py
	@EXTRAS="cli fast" sh scripts/make-env .venv-bench
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

# Cluster and Sentinel fail over at the size of CI only, and take half a minute.
valkey: $(STAMP)  ## the tests of the shared store against a Valkey, which is fetched when there is none
	@server=$$(sh scripts/valkey) && export RLC_REDIS_SERVER="$$server" && \
		RLC_SIZE=test $(PY) -m pytest $(SPREAD) tests/adapters/redis && \
		RLC_SIZE=ci $(PY) -m pytest $(SPREAD) tests/adapters/redis/test_failing_over.py

nightly: $(STAMP)  ## the same tests at a thousand times the size of `make test`, with fresh seeds
	@RLC_SIZE=nightly $(PY) -m pytest $(SPREAD) -o faulthandler_timeout=0

# The crowds of test_admissions.py take long and meet no branch that the other tests of the core do not.
coverage: $(STAMP) $(JOURNAL)  ## branch coverage of core, dialects and journal: each is whole by its own tests
	$(call whole,tests/core --ignore=tests/core/test_admissions.py,--include='*/ratelimit_client/core/*')
	$(call whole,tests/dialects,--include='*/ratelimit_client/dialects/*')
	$(call whole,tests/bulk,$(JOURNAL))

compat: $(STAMP)  ## the examples of examples/frameworks, each with its framework installed; writes docs/compatibility.md
	@$(PY) scripts/compat.py --write docs/compatibility.md

bench: $(BENCH_STAMP)  ## the measurements that README and docs quote
	@$(BENCH_PY) -m benchmarks

bench-full: bench  ## the same, a job of ten million rows, one on Ray, and the race against the peers, each installed in an environment of its own: hours
	@$(BENCH_PY) -m benchmarks growth-full
	@$(BENCH_PY) -m benchmarks ray
	@$(BENCH_PY) -m benchmarks race-peers

gate: $(STAMP)  ## has anything grown more costly than benchmarks/gate/baseline.json? Counts instructions; needs valgrind
	@$(PY) -m benchmarks.gate

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
	rm -rf .venv .venv-bench .venv-supply build dist out htmlcov .coverage .coverage.*
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
