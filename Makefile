# Each target installs what it needs into a virtual environment; Python 3.11, git and make suffice,
# and WavPack's library for the tests.

PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin/python
# environment of the laptop's side, one for each Python
LAPTOP := $(VENV)-laptop-$(notdir $(PYTHON))

# the first Docker client on the PATH that supports BuildKit
DOCKER ?= $(firstword $(foreach client,docker /usr/bin/docker,\
	$(shell DOCKER_BUILDKIT=1 $(client) build --help >/dev/null 2>&1 && echo $(client))) docker)
export DOCKER
# else every process that the tests start compiles what it imports, eight seconds of a job
unexport PYTHONDONTWRITEBYTECODE
IMAGE ?= spikeinterface-cloud
# how much `make accuracy` sorts
SIZE ?= default
# which of the images: latest or gpu
VARIANT ?= latest
# base of the image; see docs/how-to/images.md
BASE ?= debian:bookworm-slim
# index that the GPU image takes torch from; PyPI if empty
TORCH_INDEX ?=
# which part of the zoo, of how many
PART ?= 1/4
# CA certificates of a proxy that intercepts TLS
CA ?= $(PIP_CERT)
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' spikeinterface_cloud/__init__.py)
COMMIT := $(shell git describe --always --abbrev=40 --exclude='*' --dirty=-modified 2>/dev/null || echo unknown)

.PHONY: help demo test test-unit test-integration test-e2e test-laptop test-gpu lint docs reference audit constraints bench bench-gpu accuracy zoo \
	image image-gpu push wheel sbom release-image release-notes clean

help: ## list these targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: $(VENV)/.container ## sort a simulated recording through an S3 server on this machine
	$(RUN) examples/demo.py

# files run in the order of the folders: end_to_end has the slow ones and comes first, so no worker
# idles at the end. Three workers on the two cores of CI, because many tests mostly wait; threads of
# the linear algebra would only wait for each other
PYTEST = OMP_NUM_THREADS=1 $(RUN) -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

test: $(VENV)/.test ## run every test, also Kilosort4 on the CPU, and the images if Docker is here
	$(PYTEST)

test-unit: $(VENV)/.test ## run the tests of single modules, in less than a minute
	$(PYTEST) tests/unit spikeinterface_cloud

test-integration: $(VENV)/.test ## run the tests against local servers, real files and single sorters
	$(PYTEST) tests/integration

test-e2e: $(VENV)/.test ## run the tests of whole jobs and of the images
	$(PYTEST) tests/end_to_end

test-laptop: $(LAPTOP)/.laptop ## run the tests of the commands on any PYTHON from 3.11
	$(LAPTOP)/bin/python -m pytest --numprocesses 2 tests/unit/aws $(LAPTOP_CONFIG)

test-gpu: $(VENV)/.gpu ## check Kilosort4 on a CUDA device, against known units and run_kilosort
	$(RUN) benchmarks/gpu.py --checks-only

lint: $(VENV)/.test ## run ruff and mypy, check what GitHub reads, and build the documentation
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(SCHEMA) vendor.github-workflows .github/workflows/*.yml
	$(SCHEMA) custom.github-workflows-require-timeout .github/workflows/*.yml
	$(SCHEMA) vendor.dependabot .github/dependabot.yml
	$(SCHEMA) vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml
	$(SCHEMA) vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(SCHEMA) vendor.citation-file-format CITATION.cff
	$(VENV)/bin/zizmor --quiet --offline --persona auditor .github
	$(SITE)

docs: $(VENV)/.docs ## build the documentation as a site in site/
	$(SITE)

reference: $(VENV)/.test ## write the tables of docs/reference and the picture of the rooms
	$(RUN) -m tools.write_reference

# --strict: fail if a package cannot be looked up
audit: $(VENV)/.test $(VENV)-audit/.audit ## look up known vulnerabilities of every pinned package on PyPI
	$(RUN) -m pip check
	$(VENV)-audit/bin/pip-audit --strict --path $(VENV)/lib/python3.11/site-packages $(EXPLAINED)

# without torch and its libraries, which depend on the index that torch comes from (TORCH_INDEX)
constraints: $(VENV)-audit/.audit ## pin the dependencies of the listed packages
	: >requirements/constraints.txt
	$(VENV)-audit/bin/uv pip compile --quiet --universal --python-version 3.11 \
		--custom-compile-command 'make constraints' \
		$(addprefix --no-emit-package ,torch triton $(CUDA)) \
		--output-file requirements/constraints.txt requirements/bench.txt

bench: $(VENV)/.bench ## measure speed and memory against s5cmd, boto3 and bare SpikeInterface
	$(RUN) benchmarks/run.py

accuracy: $(VENV)/.test ## sort simulated recordings with whole jobs and bare sorters; SIZE=small, default or full
	$(RUN) benchmarks/accuracy.py --size $(SIZE)

bench-gpu: $(VENV)/.gpu ## measure Kilosort4 on a CUDA device, and a whole job of 384 channels, in eight minutes
	$(RUN) benchmarks/gpu.py

# PART: 1/1 is all of it, which takes two cores an hour
zoo: $(VENV)/.test ## sort whole and broken recordings of every layout, and write a page about how the jobs ended
	$(RUN) -m tools.zoo --part $(PART) --page docs/reference/broken-inputs.md

image: ## build the image with the CPU sorters and print its size
	$(BUILD) --tag $(IMAGE) --file Dockerfile .
	@$(SIZES) $(IMAGE)

image-gpu: ## build the image with Kilosort4 and CUDA and print its size
	$(BUILD) --build-arg TORCH_INDEX=$(TORCH_INDEX) --tag $(IMAGE):gpu --file Dockerfile.gpu .
	@$(SIZES) $(IMAGE):gpu

push: $(VENV)/.submit ## push the images built here to ECR; PUSH=--dry-run only prints the commands
	$(RUN) -m container.push --image $(IMAGE) --version $(VERSION) $(PUSH)

wheel: $(VENV)/.release ## build the wheel in dist/
	rm -rf build # an earlier build's files would get into the wheel
	$(RUN) -m build --wheel --outdir dist

sbom: $(VENV)/.release ## list the packages in an image (VARIANT: latest or gpu) in dist/
	$(RUN) -m container.sbom $(IMAGE):$(VARIANT) dist/$(IMAGE)-$(VARIANT).cdx.json

release-image: $(VENV)/.release ## push an image (VARIANT) to the public REPOSITORY, and print its digest
	mkdir -p dist
	$(RUN) -m container.release --image $(IMAGE) --variant $(VARIANT) --version $(VERSION) \
		--repository $(REPOSITORY) >dist/$(IMAGE)-$(VARIANT).txt
	@cat dist/$(IMAGE)-$(VARIANT).txt

release-notes: ## write the changelog's section about the version that TAG names into dist/
	mkdir -p dist
	$(PYTHON) -m tools.release_notes $(TAG) >dist/release-notes.md

clean: ## remove what the other targets created
	rm -rf $(VENV) $(VENV)-* demo-results accuracy-results gpu-results site build dist .pytest_cache .mypy_cache .ruff_cache

# always for x86-64, the architecture of AWS's GPU instances. Secrets exist during the build only
BUILD = DOCKER_BUILDKIT=1 $(DOCKER) build --platform linux/amd64 --build-arg BASE=$(BASE) \
	--build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) \
	$(if $(CA),--secret id=ca$(comma)src=$(CA)) \
	$(if $(PIP_INDEX_URL),--secret id=index$(comma)env=PIP_INDEX_URL)
# known vulnerabilities that do not concern this program
EXPLAINED = $(addprefix --ignore-vuln ,$(shell sed 's/\#.*//' requirements/audit-findings.txt))
# the variable silences an advertisement of the theme
SITE = NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict
# validates files against a schema that the tool brings
SCHEMA = $(VENV)/bin/check-jsonschema --quiet --builtin-schema
SIZES = container/sizes $(DOCKER)
# tests of the settings that do not compare with what the container has
LAPTOP_CONFIG = $(addprefix tests/unit/config/test_,dandi_urls.py dotenv.py locations.py manifest.py)
# torch's CUDA libraries
CUDA = cuda-bindings cuda-pathfinder cuda-toolkit $(addprefix nvidia-,cublas cuda-cupti cuda-nvrtc \
	cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 nccl-cu13 \
	nvjitlink nvshmem-cu13 nvtx)
comma := ,

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# what the container needs, and an S3 server for the demo
$(VENV)/.container: requirements.txt requirements/demo.txt requirements/constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet -r requirements/demo.txt
	touch $@

# what the GPU image has
$(VENV)/.gpu: requirements.txt requirements/gpu.txt requirements/constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet -r requirements/gpu.txt
	touch $@

# --no-compile: Python compiles what is imported, a small part of the packages
$(VENV)/.test: requirements.txt $(wildcard requirements/*.txt) | $(VENV)/bin/python
	@command -v wavpack >/dev/null || { echo "the tests compile wavpack-numcodecs; first:" \
		"apt-get install wavpack libwavpack-dev gcc python3.11-dev" >&2; exit 1; }
	$(VENV)/bin/pip install --quiet --no-compile -r requirements/test.txt
	touch $@ $(VENV)/.container $(VENV)/.gpu $(VENV)/.submit $(VENV)/.docs $(VENV)/.release

$(VENV)/.submit: requirements/submit.txt requirements/constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet -r requirements/submit.txt
	touch $@

$(VENV)/.docs: requirements/docs.txt requirements/constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet -r requirements/docs.txt
	touch $@

$(VENV)/.release: requirements/release.txt requirements/constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet -r requirements/release.txt
	touch $@

$(LAPTOP)/.laptop: requirements/test-laptop.txt requirements/submit.txt requirements/constraints.txt
	$(PYTHON) -m venv $(LAPTOP)
	$(LAPTOP)/bin/pip install --quiet -r requirements/test-laptop.txt
	touch $@

$(VENV)-audit/.audit: requirements/audit.txt
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/pip install --quiet -r requirements/audit.txt
	touch $@

$(VENV)/.bench: $(VENV)/.test
	$(VENV)/bin/pip install --quiet -r requirements/bench.txt
	touch $@
