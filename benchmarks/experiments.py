"""What a part of a network, or of its training, is worth: several seeds, unseen data.

    python benchmarks/experiments.py GROUP docs/results/GROUP.csv [--steps 240] [--seeds 3]

Within a group only the named part differs. A group takes 15 to 45 minutes on one core
(OMP_NUM_THREADS=1); an interrupted run continues when it is started again. The groups:

- ``cells``: parts of the cell (notebook 04);
- ``sampling``: what is fed back while forecasting: the network's own frames (off), the true frames
  (teacher forcing), single pixels by a mask that each batch darkens (a new one in each epoch), or
  scheduled sampling with three decays;
- ``mask``: the network of Zampar 2025 at a small size, with his mask on the observed frames, with
  scheduled sampling by fresh draws, and without either; see ``zampar_mask``;
- ``curriculum``: one length after the other, of the forecast only or also of the input;
- ``layers``: layer normalisation, LeakyReLU, max pooling instead of stride, kernel 3, in an
  encoder-decoder;
- ``losses``: on synthetic rain, judged by CSI and by how much fine structure is left.

All but the last use Moving MNIST: two digits, 3 frames in, 5 out, each forecast fed back; the loss
is the binary cross-entropy above its lowest possible value, on 256 films of test digits. ``mask``
takes 48 px, 4 frames in and 4 out. The last uses 6 storms for training and 4 others for the scores,
64 km wide, 4 frames in and 6 out.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
from pysteps.utils.spectral import rapsd
from zampar_mask import MaskedTraining

from nowcastlib.data import grid, ingest, store
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.data.moving_mnist import DigitScene, MovingMNIST
from nowcastlib.data.window_options import TrainingStores
from nowcastlib.data.windows import training_data
from nowcastlib.forecasting import Network, forecast
from nowcastlib.networks import SEED, ConvEDLSTMConfig, EncoderForecasterConfig, FCLSTMConfig
from nowcastlib.training import FitOptions, TrainConfig, fit, load, loop, schedules
from nowcastlib.verification import (
    EvaluationOptions,
    evaluate,
    issue_times,
    mean_csi,
    score,
    score_films,
)

QUIET = FitOptions(progress=False)
STACK = {"hidden": (48,), "kernel": (5,), "stride": 1, "patch": 4}
PYRAMID = {"hidden": (24, 48, 48, 24), "kernel": (5, 5, 5, 5), "stride": 2, "patch": 2}
DIGITS = TrainConfig().changed(
    model=ConvEDLSTMConfig(**STACK), n_in=3, n_out=5, curriculum=(1, 1, 3, 5, 5, 5), crop=0,
    epochs=6, batch=16, lr=3e-3, loss="kl", precision="bf16",
)  # fmt: skip
ZAMPAR = DIGITS.changed(
    model=replace(SEED, hidden=(16, 8, 8, 16), size=48), n_in=4, n_out=4, curriculum=(),
    batch=8, lr=0.01, schedule="constant", loss="bce", clip=0.0, precision="no",
)  # fmt: skip
RAIN = DIGITS.changed(n_in=4, n_out=6, curriculum=(1, 1, 3, 6, 6, 6), crop=64, lr=2e-3)
MODELS = {
    "cells": {
        "ConvLSTM, 1 layer, kernel 5": {},
        "kernel 1 from state to state": {"state_kernel": 1},
        "kernel 3": {"kernel": (3,)},
        "no peepholes": {"peephole": False},
        "ConvGRU": {"cell": "convgru"},
        "2 layers": {"hidden": (48, 48), "kernel": (5, 5)},
        "3 layers": {"hidden": (48, 48, 48), "kernel": (5, 5, 5)},
        "no skip from the last frame": {"skip": False},
        "encoder-forecaster": {"model": EncoderForecasterConfig((48,), (5,), patch=4)},
        "FC-LSTM": {"model": FCLSTMConfig(hidden=(512,), size=64)},
    },
    "layers": {
        "stride 2, kernel 5": PYRAMID,
        "kernel 3": PYRAMID | {"kernel": (3, 3, 3, 3)},
        "max pooling": PYRAMID | {"max_pool": True},
        "layer norm": PYRAMID | {"norm": "layer"},
        "LeakyReLU 0.2": PYRAMID | {"leaky_slope": 0.2},
    },
}
VARIANTS = MODELS | {
    "sampling": {
        "off: its own frames": {},
        "teacher forcing": {"sampling": 1.0},
        "pixels by one mask an epoch": {"sampling": 1.0},
        "linear decay": {"sampling": 0.8},
        "exponential decay": {"sampling": 0.8, "decay": "exponential"},
        "inverse sigmoid decay": {"sampling": 0.8, "decay": "inverse-sigmoid"},
    },
    "mask": {
        "off: its own frames": {},
        "fresh draws, forecast frames": {"sampling": 0.8},
        "Zampar's mask, observed frames": {"sampling": 0.8},
    },
    "curriculum": {
        "off": {"curriculum": ()},
        "frames to forecast": {},
        "frames to see, too": {"curriculum": (2, 2, 3, 5, 5, 5), "curriculum_in": True},
    },
    "losses": {loss: {"loss": loss} for loss in ("kl", "mse", "mae", "ssim_mse", "balanced")},
}
BATCHES = loop.batches


BASES = {"losses": RAIN, "mask": ZAMPAR}


def forced(config, *args) -> Iterator:
    """Batches in which every input is true, to the end."""
    for when, frames, _ in BATCHES(config, *args):
        yield when, frames, torch.ones(len(frames), config.windows.n_out - 1, dtype=bool)


def darkened(config, *args) -> Iterator:
    """Batches with a mask of pixels of the forecast frames, darkened until the epoch ends."""
    rng = torch.Generator().manual_seed(config.run.seed)
    mask = torch.tensor(True)
    for when, frames, _ in BATCHES(config, *args):
        size = [s // config.model.patch for s in frames.shape[3:]]
        shape = (len(frames), config.windows.n_out - 1, config.model.patch**2, *size)
        numbers = torch.rand(shape, generator=rng)
        mask = mask & (numbers < schedules.truth_probability(config, when))
        yield when, frames, mask


def on_digits(config: TrainConfig, out: Path) -> dict:
    """Train, and score on unseen digits."""
    n_in, n_out = config.windows.n_in, config.windows.n_out
    scene = DigitScene(size=getattr(config.model, "size", 0) or 64)
    data = {
        split: MovingMNIST(split, n, n_in + n_out, scene=scene)
        for split, n in {"train": 100_000, "validation": 64, "test": 256}.items()
    }
    model, _ = fit(config, data["train"], data["validation"], out, QUIET)
    films = torch.stack([data["test"][i] for i in range(256)])
    with torch.inference_mode():
        forecast = torch.cat(
            [torch.sigmoid(model(part[:, :n_in], n_out)) for part in films.split(32)]
        )
    scores = score_films(forecast, films[:, n_in:])
    return scores.mean().to_dict() | {f"mse_lead_{k}": mse for k, mse in scores.mse.items()}


def on_rain(config: TrainConfig, out: Path) -> dict:
    """Train, and score on unseen storms: mean CSI, frequency bias, power left at 4 to 8 km."""
    paths = [out.parent / f"{name}.zarr" for name in ("known", "unseen")]
    for path, feed in zip(paths, (Demo(6, size=64), Demo(4, size=64, seed=1)), strict=True):
        ingest(feed, path)
    train, validation, _ = training_data(TrainingStores(paths[:1]), config.windows)
    fit(config, train, validation, out, QUIET)
    run, frames = Network.load(out), grid.centre(store.open_frames(paths[1]), 64)
    options = EvaluationOptions(leads=6, size=0, margin=8, every=3)
    counts = evaluate(frames, {"run": run}, options, progress=False).sum("case")
    found = {
        f"csi_{t:g}": csi for t, csi in mean_csi(counts).sel(forecaster="run").to_series().items()
    }
    bias = score(counts, "bias").sel(forecaster="run", lead_time=30).to_series()
    found |= {f"bias_{t:g}": value for t, value in bias.items()}
    power = np.zeros((2, 32))
    for at in issue_times(frames, config.windows.n_in, 6, 3):
        last = forecast(run, frames, at, 6)[-1]
        for row, field in zip(power, (last, frames.sel(time=last.valid_time)), strict=True):
            row += rapsd(np.log(np.nan_to_num(field) + 0.1), fft_method=np.fft)
    fine = slice(64 // 8, 64 // 4 + 1)  # waves in 64 km
    return found | {"power_4_to_8_km": power[0, fine].sum() / power[1, fine].sum()}


def run(group: str, name: str, seed: int, steps: int) -> dict:
    """Train and score one variant."""
    job = on_rain if group == "losses" else on_digits
    config = BASES.get(group, DIGITS).changed(**VARIANTS[group][name], steps=steps // 6, seed=seed)
    batches = {"teacher forcing": forced, "pixels by one mask an epoch": darkened}
    masked = (
        MaskedTraining(config, is_active=name.startswith("Zampar")) if group == "mask" else None
    )
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(mock.patch.object(loop, "batches", batches.get(name, BATCHES)))
        if masked:
            stack.enter_context(masked)
        found = job(config, Path(folder) / "run")
        weights = sum(p.numel() for p in load(Path(folder) / "run")[0].parameters())
    about = {"variant": name, "seed": seed, "steps": steps, "weights": weights}
    return about | found | (masked.table() if masked else {})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("group", choices=VARIANTS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    done = pd.read_csv(options.out).to_dict("records") if options.out.exists() else []
    for seed in range(options.seeds):
        for name in VARIANTS[options.group]:
            if not any(
                (d["variant"], d["seed"], d["steps"]) == (name, seed, options.steps) for d in done
            ):
                done.append(run(options.group, name, seed, options.steps))
                print(pd.Series(done[-1]).to_string(), flush=True)
                pd.DataFrame(done).round(5).to_csv(options.out, index=False)


if __name__ == "__main__":
    main()
