#!/usr/bin/env bash
# Run ingest, table or evaluate on many processes: one dask scheduler, and a worker for each further task.
#   sbatch --ntasks 65 docs/slurm/workers.sh evaluate --data season.zarr --counts counts --json scores.json
# The files must lie on a file system that all nodes share. Killed at its time limit, the job is put back
# into the queue and carries on (evaluate: with --counts).
#SBATCH --job-name=nowcast
#SBATCH --ntasks=17
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=4G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
set -euo pipefail
: "${1:?name the command: ingest, table or evaluate}"
trap 'scontrol requeue "$SLURM_JOB_ID"' USR1

# by dask's default workers return freed memory at once, which takes half of their time
export MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=134217728
export OMP_NUM_THREADS=1 SCHEDULER=$PWD/scheduler-$SLURM_JOB_ID.json
trap 'rm -f "$SCHEDULER"' EXIT
rm -f "$SCHEDULER"  # of the same job before it was put back into the queue
srun --ntasks=1 --exact .venv/bin/dask scheduler --scheduler-file "$SCHEDULER" --no-dashboard &
while [ ! -s "$SCHEDULER" ]; do sleep 1; done
srun --ntasks=$((SLURM_NTASKS - 1)) --exact .venv/bin/dask worker --scheduler-file "$SCHEDULER" \
    --nthreads 1 --no-dashboard --local-directory "${TMPDIR:-/tmp}" &

.venv/bin/python -m nowcastlib "$@" --scheduler "$SCHEDULER" &
wait $!
