"""Films of Moving MNIST per second (20 frames of 64 px): in one process and by a DataLoader.

    python benchmarks/moving_mnist_speed.py [--films 6000] [--json]

Nothing else should run meanwhile. The last line, with --json, is one JSON object.
"""

import argparse
import json
import time

import torch
from torch.utils.data import DataLoader

from nowcastlib.data.moving_mnist import MovingMNIST


def films_a_second(films, n: int) -> float:
    """The best of three runs, starting the workers left out."""
    best = float("inf")
    for _ in range(3):
        rows = iter(films)
        next(rows)
        start = time.perf_counter()
        sum(1 for _ in rows)
        best = min(best, time.perf_counter() - start)
    return n / best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=int, default=6000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data, result = MovingMNIST(n_samples=options.films), {}
    result["one_process"] = films_a_second(data, len(data) - 1)
    for workers in (1, 2):
        batches = DataLoader(data, batch_size=16, num_workers=workers)
        result[f"workers_{workers}"] = films_a_second(batches, len(data) - 16)
    result = {name: round(speed) for name, speed in result.items()}
    for name, speed in result.items():
        print(f"{name}: {speed} films a second")
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
