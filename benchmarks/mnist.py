"""Scores of the shipped weights `mnist` on films of digits that they have not seen.

    OMP_NUM_THREADS=1 python benchmarks/mnist.py [--films 1000]

Writes docs/results/mnist.json: 6 → 6, 8 → 8 and 10 → 10 frames, forecasts fed back, means of the
scores of ``nowcastlib.verification.score_films``; with --picture also docs/mnist.png. About a
second of one core for a film.
"""

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from nowcastlib.data import MovingMNIST
from nowcastlib.display import plots
from nowcastlib.files import write_atomically
from nowcastlib.forecasting import WEIGHTS
from nowcastlib.networks import ForecastNetwork
from nowcastlib.training import load
from nowcastlib.verification import score_films

LENGTHS = (6, 8, 10)  # input frames, and forecast frames
DOCS = Path("docs")


@torch.inference_mode()
def forecast_of(network: ForecastNetwork, films: Tensor, length: int) -> Tensor:
    """Forecast frames (film, T, 1, H, W) from as many frames."""
    batches = films[:, :length].split(32)
    return torch.cat([torch.sigmoid(network(batch, length)) for batch in batches])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=int, default=1000)
    parser.add_argument("--picture", action="store_true")
    options = parser.parse_args()

    network, _ = load(WEIGHTS / "mnist")
    results = {
        "films": options.films,
        "data": f"MovingMNIST('test', {options.films}, seed=0): digits not seen in training, "
        "forecasts fed back",
    }
    for length in LENGTHS:
        films = torch.stack(list(MovingMNIST("test", options.films, 2 * length)))
        forecast = forecast_of(network, films, length)
        scores = score_films(forecast, films[:, length:])
        by_lead = {"mse_by_lead": scores.mse.round(2).tolist()}
        results[f"{length} to {length}"] = scores.mean().round(4).to_dict() | by_lead
        print(length, results[f"{length} to {length}"], flush=True)
    write_atomically(DOCS / "results" / "mnist.json", json.dumps(results, indent=1).encode())

    if options.picture:  # of the last length
        shown = {"truth": films[0, length:, 0], "forecast": forecast[0, :, 0]}
        leads = [f"lead {k}" for k in range(1, length + 1)]
        plots.show_strip(shown, leads, rain=False).savefig(DOCS / "mnist.png", dpi=80)


if __name__ == "__main__":
    main()
