#!/usr/bin/env bash
# Trains the shipped weights `mnist`, scores them and draws an example. Training took five minutes on
# one H200 (bf16), beside other work; scoring takes a minute of one CPU core.
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

.venv/bin/python - docs/results/mnist.json docs/mnist.png <<'PYTHON'
import json
import sys

import torch

from nowcastlib.data import MovingMNIST
from nowcastlib.display import plots
from nowcastlib.forecasting import WEIGHTS
from nowcastlib.training import load
from nowcastlib.verification import score_films

model, config = load(WEIGHTS / "mnist")
results = {
    "films": 64,
    "data": "MovingMNIST('test', 64, seed=0): digits not seen in training, forecasts fed back",
}
for n in (6, 8, 10):  # input frames, and forecast frames
    films = torch.stack([film for film in MovingMNIST("test", 64, 2 * n)])  # (B, T, 1, H, W)
    with torch.inference_mode():
        batches = films[:, :n].split(32)
        forecast = torch.cat([torch.sigmoid(model(batch, n)) for batch in batches])

    scores = score_films(forecast, films[:, n:])
    by_lead = {"mse_by_lead": scores.mse.round(2).tolist()}
    results[f"{n} to {n}"] = scores.mean().round(4).to_dict() | by_lead
    print(n, results[f"{n} to {n}"])

with open(sys.argv[1], "w") as file:
    json.dump(results, file, indent=1)

films_shown = {"truth": films[0, 10:, 0], "forecast": forecast[0, :, 0]}
leads = [f"lead {k}" for k in range(1, 11)]
plots.show_strip(films_shown, leads, rain=False).savefig(sys.argv[2], dpi=80)
PYTHON
