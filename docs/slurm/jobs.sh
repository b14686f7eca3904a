#!/usr/bin/env bash
# Train the networks of a text file, one for each GPU:
#   sbatch --array=1-$(grep -cvE '^[[:space:]]*(#|$)' jobs.txt) docs/slurm/jobs.sh jobs.txt
# Killed at its time limit, a job is put back into the queue and carries on after its last whole epoch.
#SBATCH --job-name=nowcast
#SBATCH --ntasks=1
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --output=%x-%A-%a.log
#SBATCH --open-mode=append
set -euo pipefail
jobs=${1:?name the file of jobs}
trap 'scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"' USR1

export OMP_NUM_THREADS=4
.venv/bin/python -m nowcastlib train --jobs "$jobs" --job "$SLURM_ARRAY_TASK_ID" &
wait $!
