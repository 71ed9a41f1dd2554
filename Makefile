# Each target sets up what it needs: Python 3.11, git and make are enough.

PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: help demo test lint bench clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: $(VENV)/.container ## sort a simulated recording through an S3 server on this machine
	$(RUN) examples/demo.py

test: $(VENV)/.test ## every test; Kilosort4 included, on the CPU
	$(RUN) -m pytest

lint: $(VENV)/.test ## ruff and mypy
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

bench: $(VENV)/.bench ## speed and memory beside s5cmd, boto3 and the bare parts
	$(RUN) benchmarks/run.py

clean: ## remove what the other targets made
	rm -rf $(VENV) demo-results .pytest_cache .mypy_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# the demo serves S3 by itself, besides what the container needs
$(VENV)/.container: requirements.txt requirements/demo.txt | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet -r requirements/demo.txt
	touch $@

$(VENV)/.test: requirements.txt $(wildcard requirements/*.txt) | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet -r requirements/test.txt
	touch $@ $(VENV)/.container

$(VENV)/.bench: $(VENV)/.test
	$(VENV)/bin/pip install --quiet -r requirements/bench.txt
	touch $@
