# make run | test | lint, each from a bare machine with Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

export UV_PYTHON_DOWNLOADS := never
export UV_SYSTEM_CERTS := true

.PHONY: run test matrix lint format bench docs messages screenshots lock clean
.DELETE_ON_ERROR:

run: $(INSTALLED)
	@exec $(BIN)/python -m project.run

test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

# The suite again, with the other supported Django, on PostgreSQL and Redis, where the machine has them.
matrix: $(INSTALLED)
	$(BIN)/nox

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry ai_models
	$(BIN)/deptry project tests benchmarks --ignore DEP002,DEP004

format: $(INSTALLED)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Measures beside others, and writes docs/benchmarks.md: about a quarter of an hour. ONLY=facade,rest measures those alone and
# writes nothing; OPTIONS="--rounds 1 --seconds 2" is quicker.
bench: $(INSTALLED)
	$(BIN)/python -m benchmarks --only "$(ONLY)" $(OPTIONS)

# Writes what the docs derive from the code; a test tells when that is due.
docs: $(INSTALLED)
	$(BIN)/python -m tests.documented

# Brings the catalogues of ai_models/locale up to date with the code, and compiles them; wants GNU gettext.
messages: $(INSTALLED)
	cd ai_models && ../$(BIN)/django-admin makemessages --all --no-wrap --no-location --no-obsolete
	cd ai_models && ../$(BIN)/django-admin compilemessages

# Takes the pictures of the admin anew; wants Chromium.
screenshots: $(INSTALLED)
	$(BIN)/python -m tests.browser.gallery

# Takes up what changed in pyproject.toml and keeps the other versions; make lock OPTIONS=--upgrade renews them all.
# The second is the part of it that the Dockerfile installs.
lock: $(BIN)/uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--all-extras --group host --group weights --group dev --custom-compile-command 'make lock' $(OPTIONS) \
		pyproject.toml --output-file requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--extra local --extra postgres --extra redis --extra video --extra websocket --group host --group weights \
		--constraint requirements.lock --custom-compile-command 'make lock' \
		pyproject.toml --output-file requirements-server.lock

clean:
	rm -rf $(VENV) .nox dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(INSTALLED): pyproject.toml requirements.lock | $(BIN)/uv
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --no-build requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# The installer is pinned where everything else is.
$(BIN)/uv: | $(BIN)/python
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/installer.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement $(VENV)/installer.lock

# Debian keeps the parts of Python that make a virtual environment in a package of their own.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed. Name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -qq --yes python3-venv; \
		else echo "Python's venv module is missing. As root: apt-get install python3-venv" >&2; exit 1; fi
	$(PYTHON) -m venv $(VENV)
