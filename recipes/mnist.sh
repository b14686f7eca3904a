#!/usr/bin/env bash
# Trains the shipped weights `mnist`, scores them and draws an example. Training took five minutes on
# one H200 (bf16), beside other work; scoring takes a quarter of an hour of one CPU core.
#   bash recipes/mnist.sh      (run from the root of the repository)
# Training uses 4,000 handwritten digits, the choice of the best epoch 500 others, and the scores
# 500 more. After an interruption, run it again: it resumes.
set -euo pipefail
run=data/mnist/run
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

if [ -e $run/last.pt ]; then resume=--resume; else resume=; fi
.venv/bin/python -m nowcastlib train --data moving-mnist --out $run $resume \
    --config.model.hidden 96 96 96 --config.model.kernel 5 5 5 --config.model.stride 1 \
    --config.model.patch 4 --config.model.norm group --config.n-in 6 --config.n-out 10 \
    --config.crop 0 --config.curriculum 2 4 6 8 10 10 10 10 10 10 \
    --config.epochs 25 --config.steps 100 --config.batch 64 --config.lr 2e-3 \
    --config.weight-decay 1e-4 --config.warmup 0.02 --config.loss kl --config.precision bf16 \
    --config.compile
mkdir -p nowcastlib/weights/mnist docs/results
cp $run/{config.json,history.csv} nowcastlib/weights/mnist/
# The weights as 16-bit numbers: half the size, and the same scores
.venv/bin/python - $run/model.safetensors nowcastlib/weights/mnist/model.safetensors <<'PYTHON'
import sys

from safetensors.torch import load_file, save_file

save_file({name: weight.half() for name, weight in load_file(sys.argv[1]).items()}, sys.argv[2])
PYTHON

.venv/bin/python benchmarks/mnist.py --picture
