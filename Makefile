# Everything runs in .venv, made here with hash-locked packages; nothing is installed by hand.
PYTHON ?= python3
BIN := .venv/bin
LOCKS := requirements/stack.txt requirements/test.txt requirements/bench.txt requirements/build.txt
STAMP := .venv/installed

# Compiled once, not by each of the hundreds of interpreters that the tests start: half a second of CPU each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test campaign simulate chaos fuzz check format plant bench lock clean

run: $(STAMP)  ## a trading day through the whole pipeline on the local stack, reconciled
	$(BIN)/folio demo

test: $(STAMP)  ## every test, on a stack of its own
	$(BIN)/python -m pytest --numprocesses=4 --dist=worksteal $(TESTARGS)

campaign: $(STAMP)  ## the tests that have a longer form, in it: 10,000 histories, a minute of workers that come and go
	FOLIO_TEST_HISTORIES=10000 FOLIO_TEST_CHURN_SECONDS=60 FOLIO_TEST_MONTHS=30 FOLIO_TEST_REPLICA_ROUNDS=10 \
	  FOLIO_TEST_EXAMPLES=5000 FOLIO_TEST_ATTEMPTS=100000 FOLIO_TEST_DRIFTS=1000/100/50 FOLIO_TEST_REBUILD_RATE=2000 \
	  $(BIN)/python -m pytest --numprocesses=2 --timeout=1800 tests/batchers/test_histories.py \
	  tests/acceptance/test_churn.py tests/oracle/test_agrees_with_codec.py tests/oracle/test_agrees_on_corrections.py \
	  tests/oracle/test_agrees_on_encodings.py tests/oracle/test_content_hash.py tests/sql/test_tenants.py \
	  tests/maintenance/partitions/test_through_time.py tests/replicas/test_faults.py \
	  tests/consistency/test_repair.py tests/acceptance/test_rebuild_under_load.py tests/api/test_isolation.py

simulate: $(STAMP)  ## the worker on a virtual clock, against servers in memory, with faults at every await; SEEDS=100000
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),2000) $(SIMARGS)

chaos: $(STAMP)  ## real servers and workers, struck by every kind of fault under load; QUICK=1 for a quarter of an hour, SEED=7 SEEDS=5
	$(BIN)/python -m tests.chaos --seed $(or $(SEED),1) --rounds $(or $(SEEDS),$(if $(QUICK),1,5)) $(if $(QUICK),--quick) --report results/chaos.md $(CHAOSARGS)

fuzz: $(STAMP)  ## records that nobody would write, judged by both decoders; MESSAGES=1000000
	$(BIN)/python -m tests.fuzzing --messages $(or $(MESSAGES),100000) $(FUZZARGS)

check: $(STAMP)  ## format, lint, types, import contracts, known vulnerabilities of what is locked
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python requirements/audit.py

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

plant: $(STAMP)  ## break the code on purpose, many times, and see a test go red each time
	$(BIN)/python -m tests.planting

bench: $(STAMP)  ## every scenario in its short form, and each target: met or not; BENCHARGS="drain --full" for one of them
	$(BIN)/python -m bench $(BENCHARGS)

lock:  ## remake requirements/*.txt (needs uv)
	requirements/lock.sh

clean:
	rm -rf .venv

$(STAMP): pyproject.toml $(LOCKS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes $(addprefix -r ,$(LOCKS))
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@
