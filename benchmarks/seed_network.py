"""Zampar's network and that of the weights `mnist`, trained on the same films.

    OMP_NUM_THREADS=1 python benchmarks/seed_network.py docs/results/seed_network.csv
                                     [--films 1200 --seeds 1 --batch 8 --test 200]

Both see the same number of films of Moving MNIST, in the same order: 6 frames in, 6 out, each with
its own optimisation: Zampar (2025) uses Adam with a learning rate of 0.01, binary cross-entropy
and no clipping, the recipe of `mnist` AdamW with 0.002 and a warm-up. Both then forecast unseen
digits, 6 → 6, 8 → 8 and 10 → 10 frames in free rollout. A row is one network, seed and length:
means over all films and leads of the scores of `nowcastlib.verification.score_films`. Takes about
an hour of one core; an interrupted run continues when it is started again.
"""

import argparse
import tempfile
from pathlib import Path

import pandas as pd
import torch

from nowcastlib.data import MovingMNIST
from nowcastlib.files import write_atomically
from nowcastlib.networks import SEED, ConvEDLSTMConfig, ForecastNetwork
from nowcastlib.training import FitOptions, TrainConfig, fit
from nowcastlib.verification import score_films

LENGTHS = (6, 8, 10)  # frames in, and out
COMMON = TrainConfig().changed(n_in=6, n_out=6, crop=0, keep="last", precision="no", epochs=4)
CONFIGS = {
    "Zampar": COMMON.changed(model=SEED, lr=0.01, schedule="constant", loss="bce", clip=0.0),
    "mnist": COMMON.changed(
        model=ConvEDLSTMConfig((96, 96, 96), (5, 5, 5), patch=4, stride=1, norm="group"),
        lr=2e-3, weight_decay=1e-4, warmup=0.05, loss="kl",
    ),
}  # fmt: skip


def train(name: str, seed: int, films: int, batch: int) -> ForecastNetwork:
    """Train one of the networks on a number of films, seen once."""
    config = CONFIGS[name].changed(seed=seed, batch=batch, steps=films // batch // 4)
    data = MovingMNIST("train", films, 12, seed=seed)
    validation = MovingMNIST("validation", 8, 12)
    with tempfile.TemporaryDirectory() as folder:
        network, _ = fit(config, data, validation, Path(folder) / "run", FitOptions(progress=False))
    return network


@torch.inference_mode()
def scores_at(network: ForecastNetwork, length: int, films: int) -> dict[str, float]:
    """Mean scores of forecasts of ``length`` frames from as many."""
    truth = torch.stack(list(MovingMNIST("test", films, 2 * length)))  # (B, T, 1, H, W)
    batches = truth[:, :length].split(20)
    forecast = torch.cat([torch.sigmoid(network(batch, length)) for batch in batches])
    return score_films(forecast, truth[:, length:]).mean().round(4).to_dict()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--films", type=int, default=1200, help="films for the training")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--test", type=int, default=200, help="films for the scores")
    options = parser.parse_args()

    done = pd.read_csv(options.out) if options.out.exists() else pd.DataFrame()
    for seed in range(options.seeds):
        for name in CONFIGS:
            if len(done) and ((done.network == name) & (done.seed == seed)).any():
                continue
            network = train(name, seed, options.films, options.batch)
            weights = sum(parameter.numel() for parameter in network.parameters())
            about = {"network": name, "weights": weights, "seed": seed, "films": options.films}
            rows = [
                about | {"frames": length} | scores_at(network, length, options.test)
                for length in LENGTHS
            ]
            done = pd.concat([done, pd.DataFrame(rows)], ignore_index=True)
            write_atomically(options.out, done.to_csv(index=False).encode())
            print(done.tail(len(rows)).to_string(), flush=True)


if __name__ == "__main__":
    main()
