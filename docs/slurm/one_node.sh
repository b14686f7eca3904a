#!/usr/bin/env bash
# Train on all GPUs of one node:   sbatch docs/slurm/one_node.sh RUN FRAMES.zarr [more stores] [--config.… …]
# Killed at its time limit, it is put back into the queue and carries on after its last whole epoch.
#SBATCH --job-name=nowcast
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
set -euo pipefail
run=${1:?name the folder of the run} && shift
trap 'scontrol requeue "$SLURM_JOB_ID"' USR1

resume=()
if [ -e "$run/last.pt" ]; then resume=(--resume); fi
export OMP_NUM_THREADS=4
.venv/bin/accelerate launch --multi_gpu --num_processes "$SLURM_GPUS_ON_NODE" -m nowcastlib \
    train --out "$run" "${resume[@]}" --workers 4 --config.precision bf16 --data "$@" &
wait $!
