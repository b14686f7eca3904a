#!/usr/bin/env bash
# Train on all GPUs of several nodes:   sbatch --nodes 4 docs/slurm/several_nodes.sh RUN FRAMES.zarr [more stores] [--config.… …]
# The folder must lie on a file system that all nodes share. Each device takes `config.batch` windows of a batch.
#SBATCH --job-name=nowcast
#SBATCH --nodes=2
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

resume=
if [ -e "$run/last.pt" ]; then resume=--resume; fi
export OMP_NUM_THREADS=4 MASTER=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export PROCESSES=$((SLURM_NNODES * SLURM_GPUS_ON_NODE)) RUN=$run RESUME=$resume
srun bash -c '.venv/bin/accelerate launch --multi_gpu --num_machines "$SLURM_NNODES" --machine_rank "$SLURM_NODEID" \
    --num_processes "$PROCESSES" --main_process_ip "$MASTER" --main_process_port 29500 --rdzv_backend static -m nowcastlib \
    train --out "$RUN" $RESUME --workers 4 --config.precision bf16 --data "$@"' bash "$@" &
wait $!
