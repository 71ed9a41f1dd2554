# Each target sets up what it needs: Python 3.11, git and make are enough.

PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin/python

# the first client on the PATH that has BuildKit
DOCKER ?= $(firstword $(foreach client,docker /usr/bin/docker,\
	$(shell DOCKER_BUILDKIT=1 $(client) build --help >/dev/null 2>&1 && echo $(client))) docker)
export DOCKER
IMAGE ?= spikeinterface-cloud
# what the image is built on; see "Images" in README.md
BASE ?= debian:bookworm-slim
# where the GPU image's torch comes from, if not from PyPI
TORCH_INDEX ?=
# the certificates of a network that looks into TLS
CA ?= $(PIP_CERT)
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' spikeinterface_cloud/__init__.py)
COMMIT := $(shell git describe --always --abbrev=40 --exclude='*' --dirty=-modified 2>/dev/null || echo unknown)

.PHONY: help demo test test-gpu lint audit constraints bench image image-gpu push clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: $(VENV)/.container ## sort a simulated recording through an S3 server on this machine
	$(RUN) examples/demo.py

# in the order of the folders: the long ones first, so that no worker waits for the others in the
# end; three on the two cores that CI has, as half of the time of many tests is waiting
test: $(VENV)/.test ## every test; Kilosort4 on the CPU, and the image, where there is an engine
	$(RUN) -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

test-gpu: $(VENV)/.test ## Kilosort4 in the GPU image, on a machine with a CUDA device
	$(RUN) -m pytest -m gpu

lint: $(VENV)/.test ## ruff and mypy
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

# a package that could not be looked up is a failure, as nothing is known of it then
audit: $(VENV)/.test $(VENV)-audit/.audit ## known vulnerabilities of every pinned package; asks PyPI
	$(RUN) -m pip check
	$(VENV)-audit/bin/pip-audit --strict --path $(VENV)/lib/python3.11/site-packages $(EXPLAINED)

# torch and its libraries are left out: which they are depends on where it comes from (TORCH_INDEX)
constraints: $(VENV)-audit/.audit ## pin anew what the pinned packages bring along
	: >requirements/constraints.txt
	$(VENV)-audit/bin/uv pip compile --quiet --universal --python-version 3.11 \
		--custom-compile-command 'make constraints' \
		$(addprefix --no-emit-package ,torch triton $(CUDA)) \
		--output-file requirements/constraints.txt requirements/bench.txt

bench: $(VENV)/.bench ## speed and memory beside s5cmd, boto3 and the bare parts
	$(RUN) benchmarks/run.py

image: ## build the image with the CPU sorters, and print its size
	$(BUILD) --tag $(IMAGE) --file Dockerfile .
	@$(SIZES) $(IMAGE)

image-gpu: ## build the image with Kilosort4 and CUDA, and print its size
	$(BUILD) --build-arg TORCH_INDEX=$(TORCH_INDEX) --tag $(IMAGE):gpu --file Dockerfile.gpu .
	@$(SIZES) $(IMAGE):gpu

push: $(VENV)/.submit ## push the images that are here to ECR; PUSH=--dry-run only tells
	$(RUN) container/push.py --image $(IMAGE) --version $(VERSION) $(PUSH)

clean: ## remove what the other targets made
	rm -rf $(VENV) $(VENV)-audit demo-results .pytest_cache .mypy_cache .ruff_cache

# the secrets are there in a build and nowhere in what it makes
# for x86-64, as the GPU machines of AWS are, on whatever machine it is built
BUILD = DOCKER_BUILDKIT=1 $(DOCKER) build --platform linux/amd64 --build-arg BASE=$(BASE) \
	--build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) \
	$(if $(CA),--secret id=ca$(comma)src=$(CA)) \
	$(if $(PIP_INDEX_URL),--secret id=index$(comma)env=PIP_INDEX_URL)
# what is known and explained
EXPLAINED = $(addprefix --ignore-vuln ,$(shell sed 's/\#.*//' requirements/audit-findings.txt))
SIZES = container/sizes $(DOCKER)
# what torch brings along for a GPU
CUDA = cuda-bindings cuda-pathfinder cuda-toolkit $(addprefix nvidia-,cublas cuda-cupti cuda-nvrtc \
	cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 nccl-cu13 \
	nvjitlink nvshmem-cu13 nvtx)
comma := ,

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# the demo serves S3 by itself, besides what the container needs
$(VENV)/.container: requirements.txt requirements/demo.txt requirements/constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet -r requirements/demo.txt
	touch $@

$(VENV)/.test: requirements.txt $(wildcard requirements/*.txt) | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet -r requirements/test.txt
	touch $@ $(VENV)/.container $(VENV)/.submit

$(VENV)/.submit: requirements/submit.txt requirements/constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet -r requirements/submit.txt
	touch $@

$(VENV)-audit/.audit: requirements/audit.txt
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/pip install --quiet -r requirements/audit.txt
	touch $@

$(VENV)/.bench: $(VENV)/.test
	$(VENV)/bin/pip install --quiet -r requirements/bench.txt
	touch $@
