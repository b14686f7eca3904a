"""Rain divided into scales, and the persistence of each scale: the idea of S-PROG, on tensors.

References
----------
Seed 2003, "A dynamic and spatial scaling approach to advection forecasting", J. Appl. Meteorol. 42.
"""

from itertools import pairwise

import torch
from torch import Tensor

from nowcastlib.networks.smoothing import blur, numbers

SIGMAS = (1.5, 3.0, 6.0, 12.0, 24.0)  # px; each scale lies between two neighbouring blurs
N_SCALES = len(SIGMAS) + 1
WIDEST_AVERAGE = 24.0  # px


def decompose(fields: Tensor) -> Tensor:
    """Divide fields into scales that add up to them.

    Parameters
    ----------
    fields : Tensor
        (B, 1, H, W).

    Returns
    -------
    Tensor
        (B, N_SCALES, H, W), the finest scale first.
    """
    blurred = [fields, *(blur(fields, sigma) for sigma in SIGMAS)]
    bands = [finer - coarser for finer, coarser in pairwise(blurred)]
    return torch.cat([*bands, blurred[-1]], 1)


def persistence_of_scales(now: Tensor, past: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """Measure how long each scale of this very rain lasts.

    The share of a scale that is left after k steps is ``intercept * decay ** k``. A line is fitted
    by least squares to the logarithms of the correlations between the last frame and the frames
    before it. The intercept captures measurement noise. The coarsest scale does not decay.

    Parameters
    ----------
    now : Tensor
        Scales of the last frame, (B, scale, H, W).
    past : Tensor
        Scales of the frames before it, the newest first, advected to its time,
        (B, T, scale, H, W).
    observed : Tensor
        1 where a past frame is known after advection, else 0, (B, T, 1, H, W).

    Returns
    -------
    intercept, decay : Tensor
        Both (B, scale, 1, 1), between 0 and 1.
    """
    frames = zip(past.unbind(1), observed.unbind(1), strict=True)
    return fit_persistence(torch.stack([correlation(now, *frame) for frame in frames], 1))


def correlation(now: Tensor, past: Tensor, observed: Tensor) -> Tensor:
    """Correlation (B, scale) of the scales of a past frame with those of the last frame.

    Parameters
    ----------
    now, past : Tensor
        Scales (B, scale, H, W).
    observed : Tensor
        1 where both are known, else 0, (B, 1, H, W).
    """
    now = now * observed
    covariance = (now * past).mean((-2, -1))
    variance_now = (now * now).mean((-2, -1))
    variance_past = (past * observed * past).mean((-2, -1))
    return covariance / (variance_now * variance_past + 1e-12).sqrt()


def fit_persistence(correlation: Tensor) -> tuple[Tensor, Tensor]:
    """Intercept and decay of each scale, both (B, scale, 1, 1), from correlations (B, T, scale).

    The correlation at k is that of the last frame with the frame k + 1 steps before it. See
    ``persistence_of_scales``.
    """
    log_correlation = correlation.clamp(0.05, 0.999).log()

    # Regression line through the T points (lag, log correlation): both (B, scale)
    lag = numbers(1, log_correlation.shape[1] + 1, log_correlation)[:, None]
    deviation = lag - lag.mean()
    mean = log_correlation.mean(1)
    products = (deviation * (log_correlation - mean[:, None])).sum(1)
    slope = (products / (deviation**2).sum().clamp(min=1)).clamp(max=0)
    start = (mean - slope * lag.mean()).clamp(max=0)

    decays = numbers(0, N_SCALES, log_correlation) < N_SCALES - 1
    intercept = (start * decays).exp()[..., None, None]
    decay = (slope * decays).exp()[..., None, None]
    return intercept, decay


def of_waves(values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Numbers of the scales as numbers of the waves of a field.

    A wave belongs to the scales in the shares in which ``decompose`` divides it.

    Parameters
    ----------
    values : Tensor
        One number for each scale, (scale,), the finest first.
    shape : tuple of int
        Height and width of the field in px.

    Returns
    -------
    Tensor
        (H, W // 2 + 1), in the order of ``torch.fft.rfft2``.
    """
    height, width = shape
    down = torch.fft.fftfreq(height).to(values)[:, None]  # cycles per px
    across = torch.fft.rfftfreq(width).to(values)
    squares = down**2 + across**2
    passed = [torch.ones_like(squares)]  # share of a wave that each blur leaves
    passed += [torch.exp(-2 * (torch.pi * sigma) ** 2 * squares) for sigma in SIGMAS]
    shares = [finer - coarser for finer, coarser in pairwise(passed)] + passed[-1:]
    return torch.einsum("s,s...->...", values, torch.stack(shares))


def local_energy(scales: Tensor) -> Tensor:
    """Squares of scales (B, scale, H, W), averaged over twice the scale's own width."""
    widths = [min(2 * sigma, WIDEST_AVERAGE) for sigma in (*SIGMAS, SIGMAS[-1])]  # px
    bands = scales.split(1, 1)
    return torch.cat([blur(band**2, w) for band, w in zip(bands, widths, strict=True)], 1)
