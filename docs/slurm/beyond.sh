#!/usr/bin/env bash
# Forecast beyond the end of each video of a folder, one job a video:
#   sbatch --array=1-$(ls hidden/*.mp4 | wc -l) docs/slurm/beyond.sh hidden run future 11
# Videos that are done are left out when it is submitted again.
#SBATCH --job-name=beyond
#SBATCH --ntasks=1
#SBATCH --gpus=1
#SBATCH --cpus-per-task=4
#SBATCH --time=00:30:00
#SBATCH --requeue
#SBATCH --output=%x-%A-%a.log
#SBATCH --open-mode=append
set -euo pipefail
videos=${1:?name the folder of videos} run=${2:?name the folder of the run}
out=${3:?name the folder to write} leads=${4:?give the number of frames to forecast}
shift 4

export OMP_NUM_THREADS=4
.venv/bin/python -m nowcastlib forecast --beyond --data "$videos" --weights "$run" --out "$out" \
    --leads "$leads" --job "$SLURM_ARRAY_TASK_ID" "$@"
