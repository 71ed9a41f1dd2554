#!/bin/sh
# Try a sorter on the first ten seconds of an NWB file on DANDI, which are streamed, not downloaded.
#
#   examples/dandi_asset.sh dandi://dandi/000006@draft/sub-1/a.nwb s3://my-lab-results/trial
#
# The asset may be named by its page, its API address or the URL of its blob as well.
set -eu
[ $# -eq 2 ] || { echo "usage: $0 ASSET TARGET" >&2; exit 2; }
asset=$1 target=$2

job=$(python submit_job.py --source "$asset" --sorters kilosort4 \
    --sorters-kwargs '{"kilosort4": {"nblocks": 0}}' \
    --env TEST_WITH_SUB_RECORDING=true --target "$target" --timeout 1h)

python submit_job.py wait "$job"
python submit_job.py status "$job"
