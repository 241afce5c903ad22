# make study   an illustrated answer about the packaged agent, from nothing
# make test    the whole test suite          make check   format, lint, types
# make bench   every speed claim, measured   make clean   remove the environments
# make page    the page of `goalscope app` from app/ (needs npm; what it builds is committed)
# make docs    the documentation as a site in site/, its examples run
# make mutants break the code in one place at a time and expect a test to go red (half an hour)
#
# VENV and PYTHON can be overridden: `make study VENV=/tmp/env PYTHON=python3.12`.

PYTHON ?= python3
VENV ?= .venv
# The study runs in an environment without any extra, as a user has it; the tests need every extra.
TEST_VENV ?= $(VENV)-test
PYTEST_ARGS ?=
STUDY_ARGS ?=
# Names of patches in tests/mutants; empty is all of them.
MUTANTS ?=
OUT ?= runs/maze-$(shell date +%Y%m%d-%H%M%S)

.PHONY: study test check bench mutants page docs clean
.DELETE_ON_ERROR:

study: $(VENV)/.installed
	$(VENV)/bin/goalscope study maze --out "$(OUT)" $(STUDY_ARGS)

# One thread: the networks are small, and two that wait for each other on a busy core take minutes for seconds.
# The page is tried in a browser: where there is none, and it may, this installs Debian's; else those tests are skipped.
test: $(TEST_VENV)/.installed
	@if ! command -v chromium >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "no chromium: apt-get install chromium, for the tests of the page"; \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive timeout 300 apt-get -qq install -y --no-install-recommends chromium; } \
			>/dev/null 2>&1 || echo "it could not be installed: the tests in a browser are skipped"; \
	fi
	OMP_NUM_THREADS=1 $(TEST_VENV)/bin/python -m pytest $(PYTEST_ARGS)

check: $(TEST_VENV)/.installed
	$(TEST_VENV)/bin/ruff format --check src tests benchmarks
	$(TEST_VENV)/bin/ruff check src tests benchmarks
	$(TEST_VENV)/bin/pyright --pythonpath $(TEST_VENV)/bin/python

bench: $(TEST_VENV)/.installed
	@rm -f $(TEST_VENV)/.ratios; failed=""; \
	for file in benchmarks/*.py; do \
		echo "== $$file"; \
		$(TEST_VENV)/bin/python "$$file" > $(TEST_VENV)/.bench || failed="$$failed $$file"; \
		cat $(TEST_VENV)/.bench; \
		grep '^RATIO ' $(TEST_VENV)/.bench >> $(TEST_VENV)/.ratios || failed="$$failed $$file(no-RATIO-line)"; \
	done; \
	echo "== all"; cat $(TEST_VENV)/.ratios; \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

mutants: $(TEST_VENV)/.installed
	$(TEST_VENV)/bin/python tests/mutants/run.py $(MUTANTS)

page:
	cd app && npm ci --no-audit --no-fund && npm run build

docs: $(TEST_VENV)/.installed
	OMP_NUM_THREADS=1 NO_MKDOCS_2_WARNING=1 $(TEST_VENV)/bin/python -m mkdocs build --strict

# A stamp per environment: made again when what is to be installed changed, otherwise nothing happens.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --no-compile --constraint constraints.txt --editable .
	@touch $@

$(TEST_VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(TEST_VENV)
	$(TEST_VENV)/bin/python -m pip install --quiet --no-compile --constraint constraints.txt \
		--editable ".[chess,procgen,sb3,minigrid,app,ray,docs,test,dev]"
	@touch $@

clean:
	rm -rf $(VENV) $(TEST_VENV)
