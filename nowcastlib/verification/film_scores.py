"""How good films are, in the scores by which papers on Moving MNIST are compared: each exactly as theirs.

``cross_entropy`` is that of Shi et al. 2015 (arXiv 1506.04214, section 4.1); ``mse``, ``mae``, ``ssim`` and ``psnr``
are OpenSTL's (Tan et al. 2023, arXiv 2306.11249; ``openstl/core/metrics.py``), oddities included.
"""

import pandas as pd
import torch
from skimage.metrics import structural_similarity
from torch.nn.functional import binary_cross_entropy

from nowcastlib.errors import NowcastError


def film_scores(forecast, truth) -> pd.DataFrame:
    """Scores of films (B, T, C, H, W) in 0…1, NumPy arrays or torch tensors: a row a lead (from 1), each a mean over B.

    - ``bce``: binary cross-entropy -(p ln q + (1 - p) ln(1 - q)) of truth p and forecast q, mean over the pixels, nats.
      A logarithm below -100 counts as -100 (as in torch's ``BCELoss``), else one wrong 0 or 1 would make it infinite.
    - ``cross_entropy``: the same, summed over the pixels of the frame. Its *sum* over leads is Shi's cross-entropy a
      sequence.
    - ``mse``, ``mae``: squared and absolute error, summed over the pixels of the frame.
    - ``ssim``: structural similarity of each frame by scikit-image's defaults: flat windows of 7×7 px, not the Gaussian
      ones of Wang et al. 2004. OpenSTL asks for scikit-image up to 0.19.3, which takes floats to range over -1…1: the
      data range is 2, and the score higher than with the films' own range of 1.
    - ``psnr``: -10 log10 of each frame's mean squared error (dB, peak 1); a frame without error makes it infinite.
      Early versions of OpenSTL took it from uint8, whose differences wrap around: numbers of that time do not compare.

    ``film_scores(…).mean()`` is what OpenSTL reports and, of ``bce``, the mean over everything. Of parts of one size,
    the mean of their scores is the score of the whole.

    Raises NowcastError if the two differ in shape, are no such films or smaller than 7 px, or leave 0…1 (NaN included).
    """
    forecast, truth = (torch.as_tensor(films).detach().cpu() for films in (forecast, truth))
    if forecast.shape != truth.shape:
        raise NowcastError(
            f"forecast {tuple(forecast.shape)} and truth {tuple(truth.shape)} differ in shape: cut one"
        )
    if truth.ndim != 5 or not truth.numel() or min(truth.shape[3:]) < 7:
        raise NowcastError(
            f"{tuple(truth.shape)} is no (B, T, C, H, W) with frames of 7 px or more: reshape the films"
        )
    for name, films in (("forecast", forecast), ("truth", truth)):
        low, high = films.aminmax()
        if not (low >= 0 and high <= 1):  # of NaN nothing is true
            raise NowcastError(
                f"the {name} ranges over {low:g}…{high:g}, not within 0…1: scale it, and mend any NaN"
            )
    rows = []
    for q, p in zip(
        forecast.unbind(1), truth.unbind(1), strict=True
    ):  # a lead at a time, to save memory
        q, p = q.double(), p.double()
        entropy = binary_cross_entropy(q, p, reduction="none")
        error = (q - p).flatten(1)
        frames = (films.flatten(0, 1).numpy() for films in (q, p))
        rows.append({
            "bce": entropy.mean(),
            "cross_entropy": entropy.flatten(1).sum(1).mean(),
            "mse": (error**2).sum(1).mean(),
            "mae": error.abs().sum(1).mean(),
            "ssim": structural_similarity(*frames, channel_axis=0, data_range=2.0),
            "psnr": -10 * (error**2).mean(1).log10().mean(),
        })  # fmt: skip
    return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="lead"), dtype=float)
