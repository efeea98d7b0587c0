# EXAI in eight verbs. Each one sets up what it needs; a machine needs Python 3.11 or later and nothing
# else; compose-test needs Docker.

PYTHON := .venv/bin/python

.PHONY: run test compose-test check bench soak pictures lock
.DELETE_ON_ERROR:

# Start the service. Without a provider's key it starts simulators and spends nothing.
run: .venv/run.locked
	@exec .venv/bin/exai serve

# Run every test.
test: .venv/dev.locked
	@$(PYTHON) -m tests.equipping || true # what could not be got fails its own tests, which name the remedy
	@$(PYTHON) -m pytest

# Build the image, run docker-compose.yml, call it, kill it, look at what is left, and take it down.
compose-test: .venv/dev.locked
	@tests/compose/run

# Judge the code without running it: style, format, types, imports.
check: .venv/dev.locked
	@$(PYTHON) -m ruff check
	@$(PYTHON) -m ruff format --check
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports --no-logo

# Measure a tool call against a bare relay; the ledger's appends, latency, growth and verification against bare loops.
bench: .venv/dev.locked
	@$(PYTHON) -m tests.bench.calls
	@$(PYTHON) -m tests.bench.ledger_appends
	@$(PYTHON) -m tests.bench.ledger_latency
	@$(PYTHON) -m tests.bench.ledger_verify
	@$(PYTHON) -m tests.bench.ledger_growth

# Kill the service and cut its power many times, run thousands of seeded worlds and calls, and compare the books.
soak: .venv/dev.locked
	@EXAI_SEEDS=10000 EXAI_BOUND_CALLS=10000 $(PYTHON) -m pytest tests/simulation tests/ledger/test_machine.py \
	    tests/journeys/test_bounds.py --timeout 7200
	@EXAI_MIXED_CALLS=10000 $(PYTHON) -m pytest tests/journeys/test_mixed_calls.py --timeout 3600
	@EXAI_KILLS=300 EXAI_POWER_CUTS=1000 $(PYTHON) -m pytest tests/faults -k "kill or power_cut" --timeout 7200 -rP

# Take the pictures of the README anew: the demo, as a browser shows it.
pictures: .venv/dev.locked
	@$(PYTHON) -m tests.pictures

# Write requirements/*.txt anew from pyproject.toml; what is pinned stays unless it must move.
lock: LOCK := .venv/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-header --no-annotate --system-certs pyproject.toml
lock: .venv/bin/python
	@$(PYTHON) -m pip install --quiet uv
	@$(LOCK) --group build --output-file requirements/run.txt
	@$(LOCK) --group build --group test --group check --output-file requirements/dev.txt

# A stamp is as new as the lock that was installed last.
.venv/%.locked: requirements/%.txt | .venv/bin/python
	@echo "Installing requirements/$*.txt into .venv (again only when it changes)"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# A name on the PATH may not run (version switchers leave such stubs), so each candidate is tried.
.venv/bin/python:
	@for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	    $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
	        echo "$$python has no venv module. On Debian or Ubuntu: apt install python3-venv" >&2; exit 1; \
	    fi; \
	    echo "Making .venv with $$($$python --version)"; \
	    $$python -m venv --clear .venv || { rm -rf .venv; exit 1; }; \
	    exit 0; \
	done; \
	echo "No Python 3.11 or later found. On Debian or Ubuntu: apt install python3 python3-venv" >&2; exit 1
