# Everything a person needs, from a fresh clone: `make demo` and `make test` want Python 3.11 to 3.13 and nothing else.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Tests wait for servers more than they compute, so twice as many files at once as there usually are processors.
TESTS_AT_ONCE ?= 4

.PHONY: help demo demo-check test coverage check format bench actors docs reference lock sbom clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none was found (set PYTHON=...)" >&2; exit 1; }
	@echo "preparing $(VENV) (about a minute, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)  ## a link shortener of three actors on http://127.0.0.1:8080, until Ctrl-C
	@$(BIN)/python scripts/demo.py

demo-check: $(READY)  ## the same, ended when it has answered
	@$(BIN)/python scripts/demo.py --once

test: $(READY)  ## the tests; what needs a server that is not here is skipped and says so
	@$(BIN)/python -m pytest -n $(TESTS_AT_ONCE) --dist loadfile

coverage: $(READY)  ## every branch of lattice/security is taken by its tests, or this fails
	@$(BIN)/python -m coverage run --branch --source=lattice/security -m pytest -q tests/security
	@$(BIN)/python -m coverage report --show-missing --fail-under=100

check: $(READY)  ## types, style, committed digests
	$(BIN)/mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python scripts/build_actors.py --check
	$(BIN)/python scripts/build_components.py --check

format: $(READY)  ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## the figures, measured in one run (wants wrk; extism and workerd for their rows)
	@$(BIN)/python tests/benchmarks/run.py
	@$(BIN)/python tests/benchmarks/authoring.py

actors: $(READY)  ## build every actor from source (wants ziglang from PyPI and asc from npm; says how to get them)
	$(BIN)/python scripts/build_actors.py

docs: $(READY)  ## check that the documentation says what the code does
	$(BIN)/python -m pytest -q tests/test_docs.py tests/test_reference.py tests/test_architecture.py

reference: $(READY)  ## write docs/reference from the code
	$(BIN)/python scripts/reference.py

lock: $(READY)  ## renew requirements.lock
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		--all-extras --group dev --upgrade pyproject.toml -o requirements.lock

sbom: $(READY)  ## build the wheel and its bill of materials, into dist/
	@$(BIN)/python scripts/sbom.py

clean:  ## remove what was made here
	rm -rf $(VENV) .lattice dist .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
