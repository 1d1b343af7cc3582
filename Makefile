# make demo | test | check | bench | chaos | screenshots | lock | translations. Arguments go through ARGS, as in: make demo ARGS=--once
# All is kept inside the checkout: packages under .venv/, data and logs under var/. Offline from the second run on.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
# pip asks rustc for its version, and where that is rustup's, it would make itself a home in an empty one.
NO_RUSTUP := $(if $(wildcard $(HOME)/.rustup),,RUSTUP_HOME=$(CURDIR)/var/rustup)
PIP := $(NO_RUSTUP) $(BIN)/python -m pip --no-cache-dir --disable-pip-version-check

.PHONY: demo test check bench chaos screenshots lock translations
.DELETE_ON_ERROR:

demo: $(READY)
	@$(BIN)/python manage.py demo $(ARGS)

test: $(READY)
	@$(BIN)/python -m tests $(ARGS)

# Imports beside the database's limit and what others do, or the desk beside the plain admin, at full size:
# make bench ARGS="imports --rows 1000000" | ARGS=desk
bench: $(READY)
	@$(BIN)/python -m tests.bench $(ARGS)

# Everything breaks at full speed, and nothing may be lost: make chaos ARGS="--seed 42 --messages 20000"
chaos: $(READY)
	@$(BIN)/python -m tests.chaos $(ARGS)

# The pictures of docs/screenshots.
screenshots: $(READY)
	@$(BIN)/python manage.py shell -v0 -c 'from tests.screenshots import main; raise SystemExit(main())'

# The deploy check wants settings as in production.
check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/bandit -q -c pyproject.toml -r evncare sms billing outages
	$(BIN)/python -m tests.advisories
	$(BIN)/python manage.py makemigrations --check --dry-run
	ALLOWED_HOSTS=evncare.example SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))') \
		$(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file var/schema.yml

# Resolves the .in files anew and writes the exact versions down.
PINS := import json, sys; found = [p["metadata"] for p in json.load(sys.stdin)["install"]]; \
	pins = sorted((p["name"].lower().replace("_", "-"), p["version"]) for p in found); \
	print(*map("==".join, pins), sep="\n")
lock: $(READY)
	for name in requirements requirements-dev; do \
		$(PIP) install --dry-run --ignore-installed --quiet --report var/lock.json -r $$name.in && \
		$(BIN)/python -c '$(PINS)' < var/lock.json > var/lock.txt && mv var/lock.txt $$name.txt || exit 1; \
	done

translations: $(READY)
	@command -v xgettext > /dev/null || { echo "evncare: xgettext is missing: install gettext" >&2; exit 1; }
	$(BIN)/python manage.py makemessages --locale vi --no-location --no-obsolete --no-wrap --ignore var --ignore tests
	$(BIN)/python manage.py compilemessages --locale vi --ignore $(VENV)

# The stamp is written last, so an interrupted installation is taken up again.
$(READY): requirements.txt requirements-dev.txt
	@command -v $(PYTHON) > /dev/null || { echo "evncare: $(PYTHON) is missing: install Python 3.11 or later" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "evncare: $(PYTHON) is too old: install Python 3.11 or later, or set PYTHON" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2> /dev/null \
		|| { echo "evncare: $(PYTHON) lacks venv or pip: install python3-venv" >&2; exit 1; }
	$(NO_RUSTUP) $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -r requirements.txt -r requirements-dev.txt \
		|| { echo "evncare: the packages could not be installed: the first run needs a package index" >&2; exit 1; }
	@touch $(READY)
