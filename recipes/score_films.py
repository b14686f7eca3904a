"""Scores of a network on films of unseen digits, 10 → 10 or what it was trained for.

python recipes/score_films.py RUN FILMS      writes RUN/scores.json
"""

import json
import sys
from pathlib import Path

import torch

from nowcastlib.data import MovingMNIST
from nowcastlib.devices import resolve_device
from nowcastlib.files import write_atomically
from nowcastlib.training import load
from nowcastlib.verification import score_films


@torch.inference_mode()
def main(run: Path, films: int) -> None:
    """Score a run, and write the means over all leads and films."""
    device = resolve_device()
    model, config = load(run, device.type)
    n_in, n_out = config.windows.n_in, config.windows.n_out

    truth = torch.stack(list(MovingMNIST("test", films, n_in + n_out)))  # (B, T, 1, H, W)
    batches = truth[:, :n_in].split(50)
    forecast = torch.cat([torch.sigmoid(model(x.to(device), n_out)).cpu() for x in batches])
    scores = score_films(forecast, truth[:, n_in:])
    results = {"films": films, f"{n_in} to {n_out}": scores.mean().round(4).to_dict()}
    write_atomically(run / "scores.json", json.dumps(results, indent=1).encode())
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
