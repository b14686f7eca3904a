"""Tiny networks with random weights, and tiny runs of training on synthetic rain."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset

from nowcastlib.data import as_frames, storms
from nowcastlib.data.windows import Augmentation, RadarWindows
from nowcastlib.networks import ConvEDLSTMConfig
from nowcastlib.training import FitOptions, TrainConfig, fit

CONFIG = TrainConfig().changed(
    model=ConvEDLSTMConfig(hidden=(4, 4), kernel=(3, 3)), n_in=2, n_out=3, crop=16,
    curriculum=(1, 3), sampling=1.0, loss="mse", epochs=4, steps=2, batch=2, precision="no",
)  # fmt: skip


def seeded(build, peepholes=True, dtype=torch.float64):
    """A network with random weights, its peepholes (which start at 0) too."""
    torch.manual_seed(0)
    module = build().to(dtype)
    if peepholes:
        for name, parameter in module.named_parameters():
            if "peephole" in name:
                torch.nn.init.normal_(parameter, std=0.3)
    return module


def windows(random=True, crop=16, seed=5) -> RadarWindows:
    frames = as_frames(storms.rain(storms.Storm(seed=seed, size=24, wet_fraction=0.5), 9))
    rows = np.arange(5)[:, None] + np.arange(5)
    return RadarWindows(frames, rows, crop, Augmentation() if random else None)


def train(out: Path, config=CONFIG, **options):
    parts = ConcatDataset([windows(), windows()])
    return fit(config, parts, windows(random=False), out, quiet(**options))


def quiet(**options) -> FitOptions:
    """Options of a training without a progress bar."""
    return FitOptions(progress=False, **options)


def weights(model) -> dict[str, torch.Tensor]:
    return {name: w.clone() for name, w in model.state_dict().items()}


def same(a, b) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


class Clock(Dataset):
    """Samples of 5 frames, or more; frame t is t/10 everywhere."""

    def __init__(self, frames=5, size=8):
        self.sample = (torch.arange(frames) / 10)[:, None, None, None].expand(frames, 1, size, size)

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> torch.Tensor:
        return self.sample


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks this small are slower on two."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
