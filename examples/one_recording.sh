#!/bin/sh
# Sort one SpikeGLX recording from S3, watch its log to the end, and fetch what it found.
#
#   examples/one_recording.sh s3://my-lab-data/raw/session1 s3://my-lab-results/session1 results
#
# Queue and job definition are those of the stack of `infra up`, unless the environment or .env names
# SPIKEINTERFACE_CLOUD_STACK, or SPIKEINTERFACE_CLOUD_JOB_QUEUE and SPIKEINTERFACE_CLOUD_JOB_DEFINITION.
set -eu
[ $# -eq 3 ] || { echo "usage: $0 SOURCE TARGET FOLDER" >&2; exit 2; }
source=$1 target=$2 folder=$3

# the id is all that goes to standard output; the log is shown meanwhile, and a job that fails
# ends this script with the exit code of its container
job=$(python submit_job.py --source "$source" --data-type spikeglx \
    --sorters kilosort4,spykingcircus2 --target "$target" --timeout 12h --follow)

python submit_job.py results "$job" --download "$folder"
