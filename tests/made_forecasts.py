"""Moving rain, and forecasters for it: the baselines and an untrained network."""

import numpy as np
import torch
import xarray as xr

from nowcastlib.data import as_frames, storms
from nowcastlib.forecasting import Network
from nowcastlib.forecasting.baselines import BASELINES
from nowcastlib.networks import ConvEDLSTMConfig
from nowcastlib.networks.conv_ed_lstm import ConvEDLSTM
from nowcastlib.training import TrainConfig
from nowcastlib.verification import count, score


def moving_rain() -> xr.DataArray:
    """12 frames of 64 px of synthetic rain that moves 2 px east and 1 px south in a step."""
    rain = storms.rain(storms.Storm(seed=3, size=64, wet_fraction=0.5, lifetime=600), 12)
    return as_frames(rain)


def network(n_in=4) -> Network:
    """An untrained network as a forecaster, without its files."""
    torch.manual_seed(0)
    config = TrainConfig().changed(model=ConvEDLSTMConfig((4, 4), (3, 3)), n_in=n_in)
    return Network(ConvEDLSTM(config.model), config)


RUNS = BASELINES | {"network": network()}


def log_correlation(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Correlation of log rain rate (mm/h) where there is a forecast (…, y, x)."""
    available = np.isfinite(predicted)
    return np.corrcoef(np.log10(predicted[available] + 0.1), np.log10(truth[available] + 0.1))[0, 1]


def without_drizzle(rate: np.ndarray) -> np.ndarray:
    """Rain rates (mm/h) with 0 in place of rates up to 0.1 mm/h, as forecasters give them."""
    return np.where(rate <= 0.1, 0.0, rate)


def one_row(*values: float) -> np.ndarray:
    """Rain rates (mm/h) as a field of one lead and one row: (1, 1, x)."""
    return np.array(values, "f8").reshape(1, 1, -1)


def pooled_score(pair, name: str, threshold: float = 0.5, **options) -> xr.DataArray:
    """Score by lead of one pair (forecast, observation) at one threshold (mm/h)."""
    return score(count([pair], [threshold], **options).sum("case").squeeze("threshold"), name)
