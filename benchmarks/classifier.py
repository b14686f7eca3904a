"""Will it pour? A classifier of clips and its baselines on unseen synthetic and real rain.

The question: within 30 to 60 minutes, does at least 1 % of the middle 32 × 32 km of a tile of
128 × 128 km have more than 5 mm/h? For each of two kinds of rain a network is trained on some
events, and scored on others, together with three baselines that are calibrated on the training
clips. Writes docs/results/classifier.csv.

    python benchmarks/classifier.py --train FILE.zarr … --test FILE.zarr …

The real rain of the table: Italian Civil Protection (DPC), northern Italy, 10-minute steps; trained
on February, southern Italy and 15 to 17 March 2025, scored on 9 to 12 March 2025.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch.utils.data import ConcatDataset, Subset

from nowcastlib.data import (
    Augmentation,
    LabelledClips,
    RadarWindows,
    find_windows,
    frames_table,
    ingest,
    labels_of,
    open_frames,
    time_step,
)
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import answers, calibrated, wettest_extrapolated, wettest_now
from nowcastlib.networks import ClassifierConfig
from nowcastlib.training import FitOptions, TrainConfig, default_config, fit
from nowcastlib.verification import classification_table

TABLE = Path(__file__).parents[1] / "docs" / "results" / "classifier.csv"
TILE = 128  # px of 1 km
MOST = 160  # test clips: extrapolation takes most of the time
CALIBRATION = 80  # training clips on which the baselines are calibrated
NETWORK = ClassifierConfig(hidden=(12, 16), kernel=(3, 3), patch=4)


def question(step: float) -> TrainConfig:
    """30 minutes of input, and the question about 30 to 60 minutes, at a time step in minutes."""
    return default_config("classifier").changed(
        model=NETWORK, n_in=round(30 / step), n_out=round(60 / step),
        first_lead=round(30 / step), crop=0, epochs=4, steps=60, batch=8, lr=4e-3, warmup=0.1,
        oversample=False, keep="last", precision="no",
    )  # fmt: skip


def tiles(frames: xr.DataArray, config: TrainConfig, varied: bool) -> list[LabelledClips]:
    """Clips of the square tiles into which the frames divide; turned and mirrored if varied."""
    table, length = frames_table(frames), config.windows.n_frames
    try:
        rows = find_windows(table, length, time_step(frames))
    except NowcastError:  # too many frames of this event are lost
        return []
    augmentation = Augmentation(shift=False) if varied else None
    parts = []
    for y in range(0, frames.sizes["y"] - TILE + 1, TILE):
        for x in range(0, frames.sizes["x"] - TILE + 1, TILE):
            tile = frames.isel(y=slice(y, y + TILE), x=slice(x, x + TILE)).load()
            windows = RadarWindows(tile, rows, 0, augmentation, config.scale)
            parts.append(LabelledClips(windows, config.windows.n_in, config.clips))
    return [part for part in parts if len(part)]


def evenly(clips: ConcatDataset, number: int) -> Subset:
    """At most a number of clips, evenly spread."""
    return Subset(clips, range(0, len(clips), max(1, -(-len(clips) // number))))


def scores(train: list[list[LabelledClips]], test: list[list[LabelledClips]], config: TrainConfig):
    """Table of the network and the baselines; the lists hold the tiles of each event."""
    test = [event for event in test if event]
    training = ConcatDataset([part for event in train for part in event])
    testing = ConcatDataset([part for event in test for part in event])
    event_of = np.repeat(np.arange(len(test)), [sum(map(len, event)) for event in test])
    chosen, some = evenly(testing, MOST), evenly(training, CALIBRATION)
    events, labels = event_of[chosen.indices], labels_of(testing)[chosen.indices]
    known = labels_of(training)
    print(f"{len(training)} training clips ({known.mean():.3f}), {len(labels)} of {len(testing)}")

    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        quiet = FitOptions(progress=False, device="cpu")
        network, history = fit(config, training, evenly(testing, 64), Path(folder) / "run", quiet)
    print(history[["epoch", "train"]].to_string(), f"{time.process_time() - began:.0f} s")

    forecasts = {"network": answers(network, chosen)}
    forecasts["base rate"] = np.full(len(labels), known.mean())
    rules = {"wettest pixel now": wettest_now, "extrapolation": wettest_extrapolated}
    for name, rule in rules.items():
        before = rule(some, config), known[some.indices]
        forecasts[name] = calibrated(*before, rule(chosen, config))
    return classification_table(forecasts, labels, events)


def synthetic() -> pd.DataFrame:
    """Synthetic storms: 14 to train on, 8 others to score."""
    config, sets = question(5.0), []
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in ((14, 2), (8, 3)):
            path = ingest(Demo(number, size=TILE, seed=seed), Path(folder) / f"{seed}.zarr")
            frames = open_frames(path)
            starts = np.flatnonzero(np.diff(frames.time.values) > np.timedelta64(1, "h")) + 1
            blocks = np.split(np.arange(len(frames)), starts)
            sets.append([tiles(frames.isel(time=block), config, seed == 2) for block in blocks])
    return scores(*sets, config)


def real(train: list[str], test: list[str]) -> pd.DataFrame:
    """Stores of real rain; each is an event."""
    config = question(time_step(open_frames(train[0])))
    sets = [[tiles(open_frames(p), config, k == 0) for p in s] for k, s in enumerate((train, test))]
    return scores(*sets, config)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", nargs="*", default=[], help="stores of real rain to train on")
    parser.add_argument("--test", nargs="*", default=[], help="other stores, to be scored")
    given = parser.parse_args()
    torch.set_num_threads(1)
    kinds = {"synthetic": synthetic}
    if given.train and given.test:
        kinds = {"DPC, 9 to 12 March 2025": lambda: real(given.train, given.test)} | kinds
    tables = {}
    for kind, make in kinds.items():
        tables[kind] = make()
        table = pd.concat(tables, names=["rain"]).round(4)
        table.to_csv(TABLE)  # after each kind: an interruption loses little
    print(table.to_string())
