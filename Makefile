# Every target sets itself up: a fresh Debian machine with python3, git and make is enough.
# Options for the command go into ARGS, e.g.  make serve ARGS="--public-url https://voice.example.com"

BIN := .venv/bin
ARGS ?=

.PHONY: help setup call serve test lint audit bench-recognition bench-intents

help:
	@echo "make call    a simulated customer calls the bundled agent on this machine"
	@echo "make serve   start the server, and say which address to give Twilio"
	@echo "make test    run the tests, whole calls in real time among them"
	@echo "make lint    ruff, mypy, import-linter, bandit"
	@echo "make audit   look for published vulnerabilities in the locked packages"
	@echo "make bench-recognition | bench-intents   reproduce the published figures"

setup:
	@scripts/setup

call: setup
	@$(BIN)/talkspurt call --serve --scenario order-enquiry --voice rms $(ARGS)

serve: setup
	@$(BIN)/talkspurt serve $(ARGS)

test: setup
	$(BIN)/pytest $(ARGS)

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit -r src -q -c pyproject.toml

audit: setup
	$(BIN)/python scripts/audit.py

bench-recognition: setup
	$(BIN)/python benchmarks/recognition.py $(ARGS)

bench-intents: setup
	$(BIN)/python benchmarks/intents.py $(ARGS)
