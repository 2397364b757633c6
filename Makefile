# Every target sets itself up: a fresh Debian machine with python3, git and make is enough.
# Options for the command go into ARGS, e.g.  make serve ARGS="--public-url https://voice.example.com"

BIN := .venv/bin
ARGS ?=
CALLER ?= rms

.PHONY: wheel test-wheel bench-inference help setup call serve test lint audit bench-recognition bench-intents bench-turns bench-turn-detection \
	bench-line-evidence bench-latency bench-normalisation bench-retail-tasks bench-effects bench-faults bench-capacity \
	mutants guards

help:
	@echo "make call    a simulated customer calls the bundled agent on this machine"
	@echo "make serve   start the server, and say which address to give Twilio"
	@echo "make test    run the tests, whole calls in real time among them"
	@echo "make wheel   build the wheel for servers into dist/, its media path compiled: needs gcc, two minutes"
	@echo "make test-wheel"
	@echo "             run the tests of what is compiled against that wheel"
	@echo "make lint    ruff, mypy, import-linter, bandit"
	@echo "make audit   look for published vulnerabilities in the locked packages"
	@echo "make guards  take the guards of effects away one by one, and see that a test notices"
	@echo "make mutants [QUICK=1] [FRESH=1]"
	@echo "             plant small faults in the conversation core, and count those that its tests notice"
	@echo "make bench-inference"
	@echo "             what calls with local speech wait, and how late the worker's clock ticks, in threads and in a process"
	@echo "make bench-recognition | bench-intents | bench-turn-detection | bench-line-evidence"
	@echo "             reproduce the published figures"
	@echo "make bench-normalisation"
	@echo "             how much of written text is said right, and of said text understood, by kind"
	@echo "make bench-retail-tasks [VOICE=1]"
	@echo "             tau2-bench's 74 retail tasks with a scripted oracle in place of the model; VOICE=1 also places 23 of"
	@echo "             them by voice, which takes a quarter of an hour"
	@echo "make bench-faults [QUICK=1]"
	@echo "             a call for every fault of every stage: what its caller heard; 25 minutes"
	@echo "make bench-latency"
	@echo "             what our own code adds from a decided turn to the first sample of its answer; two idle cores, three minutes"
	@echo "make bench-turns [QUICK=1] [FRESH=1] [ONLY=\"distraction entity\"]"
	@echo "             reproduce the figures of turn-taking: an hour of calls in real time, taken up again where"
	@echo "             they were broken off; QUICK=1 places a few calls of each kind, FRESH=1 starts anew"
	@echo "make bench-capacity [QUICK=1] [PURE=1]"
	@echo "             how many calls one core holds, of this server's and of Pipecat's and LiveKit Agents' (in"
	@echo "             environments of their own, made if need be); needs two idle cores for half an hour;"
	@echo "             PURE=1 measures the sources as they are, and not the wheel"
	@echo "make bench-effects [QUICK=1] [FRESH=1]"
	@echo "             ten thousand calls in which everything goes wrong, hundreds of them with a kill -9 or racing"
	@echo "             another one, and what became of the effects; needs Debian's postgresql; taken up again where"
	@echo "             it was broken off"

setup:
	@scripts/setup

call: setup
	@$(BIN)/talkspurt call --serve --scenario order-enquiry --voice $(CALLER) $(ARGS)

serve: setup
	@$(BIN)/talkspurt serve $(ARGS)

test: setup
	@scripts/test $(ARGS)

# What goes onto servers: the wheel whose media path is machine code, for this Python and this platform.
wheel:
	@scripts/setup compiler
	@$(BIN)/python -m benchmarks.compiled

COMPILED_TESTS := tests/core tests/media tests/wire tests/transports tests/session tests/speech/test_energy_gate.py \
	tests/speech/test_voice_activity.py tests/contracts/test_voice_activity.py

# What is compiled, tested as the wheel has it. The tests that reach into it by replacing parts of it are left out.
test-wheel: wheel
	PYTHONPATH=$(CURDIR)/build/compiled $(BIN)/pytest -n 2 --dist loadfile -m "not e2e and not interpreted" $(or $(ARGS),$(COMPILED_TESTS))

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit -r src -q -c pyproject.toml

audit: setup
	$(BIN)/python scripts/audit.py

bench-inference: setup
	$(BIN)/python -m benchmarks.inference $(ARGS)

bench-recognition: setup
	$(BIN)/python benchmarks/recognition.py $(ARGS)

bench-intents: setup
	$(BIN)/python benchmarks/intents.py $(ARGS)

# The report is made whether or not all calls succeeded; fails when a goal is missed, or a call. It listens in a process
# for each core, so that matrix products on several threads would only be in each other's way.
bench-turns: export QUICK := $(QUICK)
bench-turns: export FRESH := $(FRESH)
bench-turns: export ONLY := $(ONLY)
bench-turns: setup
	@placed=0; $(BIN)/python -m benchmarks.turns || placed=1; \
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.turns.report $(if $(filter 1,$(QUICK)),--quick) $(ARGS); reached=$$?; \
	$(BIN)/python -m benchmarks.turns.picture build/bench/turns/distraction-000 --to 30 --out build/bench/turns.svg; \
	test $$reached = 0 && test $$placed = 0

# In copies of the tree, and resumable; ARGS="--number 300 --seed 2" for another sample, "--help" for the rest.
mutants: export QUICK := $(QUICK)
mutants: export FRESH := $(FRESH)
mutants: setup
	@$(BIN)/python -m benchmarks.mutants $(ARGS)

# Fails when a goal is missed, or calls are missing: then run it again.
bench-effects: export QUICK := $(QUICK)
bench-effects: export FRESH := $(FRESH)
bench-effects: setup
	@$(BIN)/python -m benchmarks.effects

# Fails when something could not be measured; ARGS="--systems talkspurt_scripted --calls 100,200" for a part.
bench-capacity: $(if $(filter 1,$(PURE)),setup,wheel)
	-@benchmarks/peers/setup
	$(BIN)/python -m benchmarks.capacity $(if $(filter 1,$(PURE)),,--wheel) $(if $(filter 1,$(QUICK)),--quick) $(ARGS)

bench-turn-detection: setup
	$(BIN)/python benchmarks/turn_detection.py $(ARGS)

bench-line-evidence: setup
	@status=0; $(BIN)/python benchmarks/line_evidence.py || status=$$?; \
	$(BIN)/python -m benchmarks.side_talk $(ARGS) || status=$$?; exit $$status

# Fails when a goal is missed.
bench-normalisation: setup
	@$(BIN)/python -m benchmarks.normalisation

bench-retail-tasks: export VOICE := $(VOICE)
bench-retail-tasks: setup
	$(BIN)/python -m benchmarks.retail_tasks $(ARGS)

bench-faults: export QUICK := $(QUICK)
bench-faults: setup
	$(BIN)/python -m benchmarks.faults $(ARGS)

# Fails when a goal is missed.
bench-latency: setup
	@$(BIN)/python -m benchmarks.own_latency $(ARGS)

guards: setup
	@$(BIN)/python -m benchmarks.guards $(ARGS)
