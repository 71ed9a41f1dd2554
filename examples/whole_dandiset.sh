#!/bin/sh
# Sort every recording of a dandiset: one array job, a folder of its own for each recording.
#
#   pip install -r requirements/submit-dandi.txt
#   examples/whole_dandiset.sh 000003 s3://my-lab-results/000003
#
# Run it again when the array has ended: what has succeeded is left out, the rest tried once more.
set -eu
[ $# -eq 2 ] || { echo "usage: $0 DANDISET TARGET" >&2; exit 2; }
dandiset=$1 target=$2

# without --yes a terminal shows the list and its total size, and asks
array=$(python submit_job.py --dandiset "$dandiset" --glob 'sub-*/*_ecephys.nwb' \
    --sorters kilosort4 --target "$target" --timeout 12h --skip-completed --yes)
[ -n "$array" ] || exit 0 # all of them have succeeded already

python submit_job.py status "$array"
echo "python submit_job.py logs $array:0 --follow    # of the first recording"
