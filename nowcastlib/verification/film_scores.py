"""Scores by which papers on Moving MNIST compare films, each exactly as the paper defines it."""

import numpy as np
import pandas as pd
import torch
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from nowcastlib.errors import NowcastError

MIN_SIDE = 7  # px; the window of the structural similarity


def score_films(forecast: Tensor | np.ndarray, truth: Tensor | np.ndarray) -> pd.DataFrame:
    """Scores of films by lead, each a mean over the films.

    ``mse``, ``mae``, ``ssim`` and ``psnr`` follow OpenSTL (Tan et al. 2023), which reports
    ``score_films(…).mean()``. The mean over parts of equal size is the score of the whole.

    Parameters
    ----------
    forecast, truth : Tensor | np.ndarray
        Films (B, T, C, H, W) with values from 0 to 1.

    Returns
    -------
    pd.DataFrame
        One row for each lead, from 1, with the columns

        - ``bce``: binary cross-entropy -(p ln q + (1 - p) ln(1 - q)) of truth p and forecast q in
          nats, mean over the pixels. A logarithm below -100 counts as -100, as in torch;
          otherwise one wrong 0 or 1 would make it infinite.
        - ``cross_entropy``: the same, summed over the pixels of a frame. Its sum over the leads is
          the cross-entropy of a sequence (Shi et al. 2015).
        - ``mse``, ``mae``: squared and absolute error, summed over the pixels of a frame.
        - ``ssim``: structural similarity of a frame, in flat windows of 7×7 px and for a data
          range of 2. Wang et al. (2004) use Gaussian windows; the films' own range of 1 gives
          lower scores. These are the defaults of scikit-image up to 0.19.3, which OpenSTL uses.
        - ``psnr``: peak signal-to-noise ratio of a frame in dB, peak 1; infinite for a frame
          without error. Early versions of OpenSTL computed it from uint8, whose differences wrap
          around: scores of that time cannot be compared.

    Raises
    ------
    NowcastError
        If the shapes differ, are not those of films, or have frames below 7 px, and if a value is
        not within 0 to 1 (NaN included).

    References
    ----------
    Shi, X., et al. (2015): Convolutional LSTM network: a machine learning approach for
    precipitation nowcasting. NeurIPS. arXiv 1506.04214, section 4.1.

    Tan, C., et al. (2023): OpenSTL: a comprehensive benchmark of spatio-temporal predictive
    learning. NeurIPS. arXiv 2306.11249; ``openstl/core/metrics.py``.
    """
    forecast = torch.as_tensor(forecast).detach().cpu()
    truth = torch.as_tensor(truth).detach().cpu()
    check_shapes(forecast, truth)
    check_range("forecast", forecast)
    check_range("truth", truth)

    # one lead at a time, to save memory
    leads = zip(forecast.unbind(1), truth.unbind(1), strict=True)
    rows = [_scores_of_lead(q.double(), p.double()) for q, p in leads]
    return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="lead"), dtype=float)


def check_shapes(forecast: Tensor, truth: Tensor) -> None:
    """Raise NowcastError unless both are films (B, T, C, H, W) of the same shape."""
    if forecast.shape != truth.shape:
        raise NowcastError(
            f"forecast {tuple(forecast.shape)} and truth {tuple(truth.shape)} differ in shape: "
            "cut one of them"
        )
    if truth.ndim != 5 or not truth.numel() or min(truth.shape[3:]) < MIN_SIDE:
        raise NowcastError(
            f"{tuple(truth.shape)} is not the shape (B, T, C, H, W) of films with frames of "
            f"{MIN_SIDE} px or more: reshape them"
        )


def check_range(name: str, films: Tensor) -> None:
    """Raise NowcastError if a value is not within 0 to 1."""
    low, high = films.aminmax()
    if not (low >= 0 and high <= 1):  # also false for NaN
        raise NowcastError(
            f"the {name} ranges from {low:g} to {high:g}, not within 0 to 1: scale it, and replace "
            "any NaN"
        )


def _scores_of_lead(q: Tensor, p: Tensor) -> dict:
    """Scores of forecast ``q`` and truth ``p``, (B, C, H, W), by their names."""
    entropy = binary_cross_entropy(q, p, reduction="none")
    error = (q - p).flatten(1)  # (B, C·H·W)
    frames = (films.flatten(0, 1).numpy() for films in (q, p))  # (B·C, H, W)
    return {
        "bce": entropy.mean(),
        "cross_entropy": entropy.flatten(1).sum(1).mean(),
        "mse": (error**2).sum(1).mean(),
        "mae": error.abs().sum(1).mean(),
        "ssim": structural_similarity(*frames, channel_axis=0, data_range=2.0),
        "psnr": -10 * (error**2).mean(1).log10().mean(),
    }
