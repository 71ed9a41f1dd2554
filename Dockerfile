# The job, with the sorters that run on the CPU. `make image` builds it; see "Images" in README.md.

# what the job runs on: Debian, or a SpikeInterface image with a compiled sorter
ARG BASE=debian:bookworm-slim

# ----- the Python packages: pip and its caches stay behind in this stage --------------------------
FROM debian:bookworm-slim AS packages

RUN apt-get update && apt-get install --yes --no-install-recommends \
        # ca-certificates: pip checks the servers that it downloads from
        ca-certificates \
        # binutils: strips the debugging symbols of the packages that come with theirs
        binutils \
        # python3.11-venv: Python, and the pip that fills the environment
        python3.11-venv \
    && python3.11 -m venv /opt/pip \
    && python3.11 -m venv --without-pip /opt/venv

COPY requirements.txt /tmp/
COPY requirements/constraints.txt /tmp/requirements/
# the secrets are those of a network that has an index or a certificate authority of its own
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=ca --mount=type=secret,id=index \
    if [ -f /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    if [ -f /run/secrets/index ]; then PIP_INDEX_URL=$(cat /run/secrets/index); export PIP_INDEX_URL; fi; \
    /opt/pip/bin/pip --python /opt/venv/bin/python install \
        --no-compile --disable-pip-version-check --root-user-action=ignore \
        --requirement /tmp/requirements.txt \
    # the checker of BIDS data sets that dandi brings: a browser's engine of 120 MB, and no BIDS here
    && /opt/pip/bin/pip --python /opt/venv/bin/python uninstall --yes bids-validator-deno deno \
    # the packages' own tests are not run here, nor are their debugging symbols read
    && find /opt/venv -type d -name tests -prune -exec rm -r {} + \
    && find /opt/venv/lib/python3.11/site-packages/hdbscan \
        /opt/venv/lib/python3.11/site-packages/hdf5plugin \
        /opt/venv/lib/python3.11/site-packages/numcodecs \
        /opt/venv/lib/python3.11/site-packages/pyedflib -name '*.so' -exec strip --strip-debug {} + \
    # compiled now, as the user of the job cannot write here
    && python3.11 -m compileall -q -j 0 /opt/venv

# ----- the image -----------------------------------------------------------------------------------
FROM ${BASE}

# whoever a base leaves in charge
USER root
RUN apt-get update && apt-get install --yes --no-install-recommends \
        # ca-certificates: the transfers trust the system's authorities
        ca-certificates \
        # python3.11: runs the job
        python3.11 \
        # tini: passes SIGTERM on to the job, and reaps the processes that its sorters leave
        tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \
    # /home/spikeinterface: caches of whichever user runs the job; /results, /scratch: the volumes
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
COPY container/entrypoint /usr/local/bin/as-owner-of-results
WORKDIR /opt/spikeinterface-cloud
COPY spikeinterface_cloud spikeinterface_cloud
COPY run_script.py .
RUN python -m compileall -q .

# -s: it reaps as well where an engine's own init is the first process
ENTRYPOINT ["tini", "-s", "--", "as-owner-of-results"]
CMD ["python", "run_script.py"]

ARG VERSION=unknown
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="SpikeInterface Cloud" \
      org.opencontainers.image.description="Sorts one extracellular recording: from S3 or DANDI to S3" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT"
