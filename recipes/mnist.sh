#!/usr/bin/env bash
# How the shipped weights `mnist`, their scores and picture were made; an hour and forty minutes on one core (bf16).
#   bash recipes/mnist.sh      (from the repository's root; run again, it carries on)
# Trained on films of 4,000 training digits, the best epoch chosen on films of 500 others, scored on 500 more.
set -euo pipefail
run=data/mnist/run
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

if [ -e $run/last.pt ]; then resume=--resume; else resume=; fi
.venv/bin/python -m nowcastlib train --data moving-mnist --out $run $resume \
    --config.model.hidden 64 64 64 --config.model.kernel 5 5 5 --config.model.stride 1 --config.model.patch 4 \
    --config.model.norm group --config.n-in 8 --config.n-out 8 --config.curriculum 2 2 3 3 4 6 6 8 \
    --config.curriculum-in --config.epochs 24 --config.steps 400 --config.batch 8 --config.lr 3e-3 \
    --config.warmup 0.01 --config.loss kl --config.precision bf16 --config.crop 0
mkdir -p nowcastlib/weights/mnist docs/results
cp $run/{model.safetensors,config.json,history.csv} nowcastlib/weights/mnist/

.venv/bin/python - docs/results/mnist.json docs/mnist.png <<'PYTHON'
import json
import sys

import torch

from nowcastlib.display import plots
from nowcastlib.data.windows import MovingMNIST
from nowcastlib.verification.film_scores import film_scores
from nowcastlib.forecasting.nowcast import WEIGHTS
from nowcastlib.training.loop import load

model, config = load(WEIGHTS / "mnist")
found = {"films": 1000, "data": "MovingMNIST('test', 1000, seed=0): digits that were never seen, free rollout"}
for n in (6, 8, 10):
    films = torch.stack([film for film in MovingMNIST("test", 1000, 2 * n)])
    with torch.inference_mode():
        forecast = torch.cat([torch.sigmoid(model(part[:, :n], n)) for part in films[:, :n].split(50)])
    scores = film_scores(forecast, films[:, n:])
    found[f"{n} to {n}"] = scores.mean().round(4).to_dict() | {"mse_by_lead": scores.mse.round(2).tolist()}
    print(n, found[f"{n} to {n}"])
with open(sys.argv[1], "w") as file:
    json.dump(found, file, indent=1)
shown = {"truth": films[0, 10:, 0], "forecast": forecast[0, :, 0]}
plots.show_strip(shown, [f"lead {k}" for k in range(1, 11)], rain=False).savefig(sys.argv[2], dpi=80)
PYTHON
