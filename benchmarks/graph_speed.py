"""Milliseconds of a training step: reference, ours, ours as one CUDA graph, convolutions alone.

The networks are those of ``train_speed.py``: hidden [64, 32, 32, 16], kernel 5, 64 × 64 px,
5 frames in and 5 out. Each number is the best of several steps (at most 90 s in all on a GPU):

    python benchmarks/graph_speed.py [--csv FILE] [--tiny]

Without a GPU the graph is not there, and its row repeats the steps without it. --tiny takes two
films of four frames and two steps each.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
import train_speed
from torch import Tensor

from nowcastlib.data import MovingMNIST
from nowcastlib.devices import wait_for
from nowcastlib.networks import NetworkConfig
from nowcastlib.training import TrainConfig, keep_memory
from nowcastlib.training.loop import initial_state
from nowcastlib.training.processes import accelerator_on
from nowcastlib.training.step import make_step

LONGEST = 8.0  # seconds for one number


def ours(network: NetworkConfig, graph: bool) -> Callable[[Tensor, int], Tensor]:
    """A training step of ``fit``: films (B, T, 1, H, W) and the number of input frames → loss."""
    keep_memory()
    accelerator = accelerator_on()
    precision = "bf16" if accelerator.device.type == "cuda" else "no"
    config = TrainConfig().changed(model=network, loss="bce", precision=precision, crop=0)
    state = initial_state(config, None, accelerator.device)
    step = make_step(config, state, state.model, accelerator, graph)
    return lambda films, n: step(films[:, :n], films[:, n:], None, 0.0)


STRIDE = replace(train_speed.MODEL, max_pool=False)
PARTS: dict[str, Callable] = {
    "reference, float32": lambda: train_speed.trainer(None),
    "ours": lambda: ours(train_speed.MODEL, graph=False),
    "ours, as a graph": lambda: ours(train_speed.MODEL, graph=True),
    "ours with stride": lambda: ours(STRIDE, graph=False),
    "ours with stride, as a graph": lambda: ours(STRIDE, graph=True),
    "convolutions alone": train_speed.convolutions,
}


def milliseconds(part: str, batch: int, frames: int, rounds: int) -> float:
    """The best time of a step with ``frames`` in and out."""
    data = MovingMNIST(n_frames=2 * frames)
    films = torch.stack([data[i] for i in range(batch)]).to(train_speed.DEVICE)
    step = PARTS[part]()
    best, end = float("inf"), time.perf_counter() + LONGEST
    for _ in range(rounds):
        began = time.perf_counter()
        step(films, frames)
        wait_for(train_speed.DEVICE)
        best = min(best, time.perf_counter() - began)
        if time.perf_counter() > end:
            break
    return round(1e3 * best, 1)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    batches, frames, rounds = ((2,), 2, 2) if options.tiny else ((16, 64), 5, 14)

    is_cuda = train_speed.DEVICE.type == "cuda"
    print(torch.cuda.get_device_name() if is_cuda else "CPU", f"PyTorch {torch.__version__}")
    table = pd.DataFrame(
        {
            f"batch {batch}": {part: milliseconds(part, batch, frames, rounds) for part in PARTS}
            for batch in batches
        }
    )
    print("milliseconds of a training step\n" + table.to_string())
    if options.csv:
        table.to_csv(options.csv, index_label="step")


if __name__ == "__main__":
    main()
