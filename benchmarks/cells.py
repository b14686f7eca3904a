"""What each part of the cell is worth: the same task, data, loss and number of batches for every variant, three seeds.

Moving MNIST, two digits, 3 frames to see and 5 to forecast in free rollout; the loss is the binary cross-entropy above
its floor; scored on test digits that were never seen. By hand, about 45 minutes on one core; a run that is
interrupted carries on:

    python benchmarks/cells.py docs/results/cells.csv [--steps 240] [--seeds 3]
"""

import argparse
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch

from nowcastlib.datasets import MovingMNIST
from nowcastlib.film_scores import film_scores
from nowcastlib.models import ModelConfig, build
from nowcastlib.training import TrainConfig, fit

BASE = {"hidden": (48,), "kernel": (5,), "stride": 1, "patch": 4}
VARIANTS = {
    "ConvLSTM, 1 layer, kernel 5": {},
    "kernel 1 from state to state": {"state_kernel": 1},
    "kernel 3": {"kernel": (3,)},
    "no peepholes": {"peephole": False},
    "ConvGRU": {"cell": "convgru"},
    "2 layers": {"hidden": (48, 48), "kernel": (5, 5)},
    "3 layers": {"hidden": (48, 48, 48), "kernel": (5, 5, 5)},
    "no skip from the last frame": {"skip": False},
    "encoder-forecaster": {"kind": "forecaster"},
    "FC-LSTM": {"kind": "fclstm", "hidden": (512,), "size": 64},
}


def run(name: str, seed: int, steps: int) -> dict:
    """Train and score one variant."""
    config = TrainConfig(
        ModelConfig(**(BASE | VARIANTS[name])), n_in=3, n_out=5, curriculum=(1, 1, 3, 5, 5, 5), crop=0,
        epochs=6, steps=steps // 6, batch=16, lr=3e-3, loss="bce", precision="bf16", seed=seed,
    )  # fmt: skip
    data = {split: MovingMNIST(split, n, 8) for split, n in {"train": 100_000, "validation": 64, "test": 256}.items()}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        model, _ = fit(config, data["train"], data["validation"], Path(folder) / "run", progress=False)
    seconds = time.monotonic() - began
    films = torch.stack([data["test"][i] for i in range(256)])
    with torch.inference_mode():
        forecast = torch.sigmoid(model(films[:, :3], 5))
    scores = film_scores(forecast, films[:, 3:])
    weights = sum(p.numel() for p in build(config.model).parameters())
    leads = {f"mse_lead_{k + 1}": mse for k, mse in enumerate(scores.mse)}
    return {"variant": name, "seed": seed, "steps": steps, "weights": weights, "seconds": seconds,
            **scores.mean().to_dict(), **leads}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    done = pd.read_csv(options.out).to_dict("records") if options.out.exists() else []
    for seed in range(options.seeds):
        for name in VARIANTS:
            if not any((d["variant"], d["seed"], d["steps"]) == (name, seed, options.steps) for d in done):
                done.append(run(name, seed, options.steps))
                print(pd.Series(done[-1]).to_string(), flush=True)
                pd.DataFrame(done).round(5).to_csv(options.out, index=False)


if __name__ == "__main__":
    main()
