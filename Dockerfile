# The job with the CPU sorters. `make image` builds it; see docs/how-to/images.md.

# base of the image: Debian, or a SpikeInterface image with a compiled sorter
ARG BASE=debian:bookworm-slim

# ----- the Python packages: pip and its caches stay in this stage ---------------------------------
FROM debian:bookworm-slim AS packages

RUN apt-get update && apt-get install --yes --no-install-recommends \
        # ca-certificates: pip verifies the servers it downloads from
        ca-certificates \
        # binutils: strips debugging symbols of packages
        binutils \
        # python3.11-venv: Python, and pip to install into the environment
        python3.11-venv \
        # gcc: compiles wavpack-numcodecs
        gcc \
        # libc6-dev: C headers of that compilation
        libc6-dev \
        # libwavpack-dev: the library that it links to
        libwavpack-dev \
        # python3.11-dev: Python's headers
        python3.11-dev \
        # wavpack: by this program its build recognizes that the library is installed
        wavpack \
    && python3.11 -m venv /opt/pip \
    && python3.11 -m venv --without-pip /opt/venv

COPY requirements.txt /tmp/
COPY requirements/constraints.txt requirements/wavpack.txt /tmp/requirements/
# secrets: a private package index and certificate authority, if any
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=ca --mount=type=secret,id=index \
    if [ -f /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    if [ -f /run/secrets/index ]; then PIP_INDEX_URL=$(cat /run/secrets/index); export PIP_INDEX_URL; fi; \
    /opt/pip/bin/pip --python /opt/venv/bin/python install \
        --no-compile --disable-pip-version-check --root-user-action=ignore \
        --requirement /tmp/requirements.txt --requirement /tmp/requirements/wavpack.txt \
    # dandi's BIDS validator is a JavaScript engine of 120 MB, and the job reads no BIDS
    && /opt/pip/bin/pip --python /opt/venv/bin/python uninstall --yes bids-validator-deno deno \
    # remove the libraries of WavPack for other systems, the packages' tests and debugging symbols
    && rm -r /opt/venv/lib/python3.11/site-packages/wavpack_numcodecs/libraries \
    && find /opt/venv -type d -name tests -prune -exec rm -r {} + \
    && find /opt/venv/lib/python3.11/site-packages/hdbscan \
        /opt/venv/lib/python3.11/site-packages/hdf5plugin \
        /opt/venv/lib/python3.11/site-packages/numcodecs \
        /opt/venv/lib/python3.11/site-packages/pyedflib -name '*.so' -exec strip --strip-debug {} + \
    # compile now, because the job's user cannot write here
    && python3.11 -m compileall -q -j 0 /opt/venv

# ----- what Numba compiles: every job would compile it for itself -----------------------------------
FROM packages AS compiled

WORKDIR /opt/spikeinterface-cloud
COPY spikeinterface_cloud spikeinterface_cloud
COPY run_script.py container/fill_numba_cache.py ./
RUN /opt/venv/bin/python fill_numba_cache.py /opt/numba-cache

# ----- the image -----------------------------------------------------------------------------------
FROM ${BASE}

# the base may have set another user
USER root
RUN apt-get update && apt-get install --yes --no-install-recommends \
        # ca-certificates: transfers trust the system's authorities
        ca-certificates \
        # python3.11: runs the job
        python3.11 \
        # libwavpack1: decompresses recordings in Zarr, by wavpack-numcodecs
        libwavpack1 \
        # tini: forwards SIGTERM to the job and reaps orphaned processes of sorters
        tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \
    # /home/spikeinterface: caches of the user who runs the job; /results, /scratch: volumes
    && useradd --uid 1000 --no-log-init --no-create-home --home-dir /home/spikeinterface spikeinterface \
    && install --directory --owner=spikeinterface --group=spikeinterface /results \
    && install --directory --mode=1777 /home/spikeinterface /scratch

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    USER=spikeinterface \
    HOME=/home/spikeinterface \
    XDG_CACHE_HOME=/home/spikeinterface/.cache \
    NUMBA_CACHE_DIR=/home/spikeinterface/.cache/numba \
    MPLCONFIGDIR=/home/spikeinterface/.cache/matplotlib \
    TORCH_HOME=/home/spikeinterface/.cache/torch

COPY --from=packages /opt/venv /opt/venv
COPY --from=compiled /opt/numba-cache /opt/numba-cache
COPY container/entrypoint /usr/local/bin/as-owner-of-results
WORKDIR /opt/spikeinterface-cloud
COPY spikeinterface_cloud spikeinterface_cloud
COPY run_script.py .
RUN python -m compileall -q .

# -s: reap processes even if the engine's own init is process 1
ENTRYPOINT ["tini", "-s", "--", "as-owner-of-results"]
CMD ["python", "run_script.py"]

ARG VERSION=unknown
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="SpikeInterface Cloud" \
      org.opencontainers.image.description="Sorts one extracellular recording: from S3 or DANDI to S3" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT"
