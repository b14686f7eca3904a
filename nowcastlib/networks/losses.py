"""Losses: logits and target → mean over the observed pixels.

Targets are (B, T, C, H, W) in model units; NaN = not observed, which has no weight. Logits have the
same shape, except those of ``exceedance``. ``scale`` converts rain rates to model units.
"""

import functools
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.image import structural_similarity_index_measure

from nowcastlib.networks.config import SSIM_WINDOW
from nowcastlib.units import RATES, ModelScale

# Weights of Shi et al. 2017 (arXiv 1706.03458) for rain below 2, 5, 10, 30 mm/h, and above
BALANCED_RATES = (2.0, 5.0, 10.0, 30.0)
BALANCED_WEIGHTS = (1.0, 2.0, 5.0, 10.0, 30.0)
AREA = 16  # px; side of the squares in which areas of rain are compared
LEAST_AREA = 1e-4  # mean of the squared shares; below, differences between areas hardly count


def bce(logits: Tensor, target: Tensor, scale: ModelScale) -> Tensor:
    """Binary cross-entropy per pixel, nats; at least the entropy of the target (see ``kl``)."""
    p = _without_nan(target, logits).clamp(0, 1)
    return _mean(F.binary_cross_entropy_with_logits(logits, p, reduction="none"), target)


def kl(logits: Tensor, target: Tensor, scale: ModelScale) -> Tensor:
    """Kullback-Leibler divergence, nats: cross-entropy minus the entropy of the target.

    It is 0 for a perfect forecast.
    """
    p = _without_nan(target, logits).clamp(0, 1)
    negative_entropy = torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)
    return bce(logits, target, scale) + _mean(negative_entropy, target)


def mse(logits: Tensor, target: Tensor, scale: ModelScale) -> Tensor:
    """Mean squared error, model units squared."""
    return _mean((torch.sigmoid(logits) - _without_nan(target, logits)) ** 2, target)


def mae(logits: Tensor, target: Tensor, scale: ModelScale) -> Tensor:
    """Mean absolute error, model units."""
    return _mean((torch.sigmoid(logits) - _without_nan(target, logits)).abs(), target)


def ssim_mse(logits: Tensor, target: Tensor, scale: ModelScale, alpha: float = 0.5) -> Tensor:
    """alpha · MSE + (1 - alpha) · (1 - SSIM), with Gaussian windows of 11 px.

    A window sees unobserved pixels as equal in forecast and target.

    Raises
    ------
    ValueError
        For frames smaller than a window.

    References
    ----------
    Wang et al. 2004, IEEE Trans. Image Process. 13 (SSIM). Zampar 2025 (as a loss).
    """
    if min(logits.shape[-2:]) < SSIM_WINDOW:
        raise ValueError(
            f"SSIM needs windows of {SSIM_WINDOW} px: frames of {tuple(logits.shape[-2:])} px are "
            "too small"
        )
    target_values = _without_nan(target, logits)
    forecast = torch.where(torch.isfinite(target), torch.sigmoid(logits), target_values)
    images = forecast.flatten(0, -4), target_values.flatten(0, -4)  # each (B·T, C, H, W)
    _, ssim = structural_similarity_index_measure(
        images[0], images[1], data_range=1.0, return_full_image=True
    )

    dissimilarity = _mean(1 - ssim.view_as(target), target)
    return alpha * mse(logits, target, scale) + (1 - alpha) * dissimilarity


def balanced(logits: Tensor, target: Tensor, scale: ModelScale) -> Tensor:
    """MSE + MAE with weights of up to 30 for heavy rain, which is rare.

    References
    ----------
    Shi et al. 2017, arXiv 1706.03458, section 3.3.
    """
    target_values = _without_nan(target, logits)
    weight = torch.full_like(target_values, BALANCED_WEIGHTS[0])
    for edge, (below, above) in zip(
        _levels(BALANCED_RATES, scale), pairwise(BALANCED_WEIGHTS), strict=True
    ):
        weight = weight + (above - below) * (target_values >= edge)

    error = torch.sigmoid(logits) - target_values
    return _mean(weight * (error**2 + error.abs()), target)


def exceedance(logits: Tensor, target: Tensor, scale: ModelScale, balance: bool = True) -> Tensor:
    """Binary cross-entropy of the events "more than each of ``RATES``".

    With ``balance``, the cost of each window and rate is divided by the entropy of the share of
    pixels that exceed this rate in the first frame of the target. Rare rates and windows with
    little rain then weigh as much as others. Honest probabilities minimise the loss, except for
    what is unknown about this first frame when the forecast is made.

    Parameters
    ----------
    logits : Tensor
        (B, T, rate, H, W).
    target : Tensor
        (B, T, 1, H, W), model units.
    scale : ModelScale
    balance : bool
        Divide by the entropy.
    """
    target_values = _without_nan(target, logits)
    events = [target_values > level for level in _levels(RATES, scale)]
    event = torch.cat(events, -3).to(logits.dtype)  # (B, T, rate, H, W)
    cost = F.binary_cross_entropy_with_logits(logits, event, reduction="none")  # (B, T, rate, H, W)
    if balance:
        share = event[:, :1].mean((-2, -1), keepdim=True)  # (B, 1, rate, 1, 1)
        entropy = -torch.xlogy(share, share) - torch.xlogy(1 - share, 1 - share)
        cost = cost / (entropy + 0.03)
    return _mean(cost.mean(-3, keepdim=True), target)


def exceedance_unbalanced(logits: Tensor, target: Tensor, scale: ModelScale) -> Tensor:
    """``exceedance`` without its balance, to measure what the balance is worth; nats."""
    return exceedance(logits, target, scale, balance=False)


def exceedance_areas(logits: Tensor, target: Tensor, scale: ModelScale) -> Tensor:
    """``exceedance`` plus one minus the fractions skill score in squares of ``AREA`` px.

    The second part compares areas of rain, not pixels: rain that is forecast a few pixels beside
    its place costs little, rain that should have grown or decayed costs much.

    Raises
    ------
    ValueError
        For frames smaller than a square.

    References
    ----------
    Roberts and Lean 2008, Mon. Weather Rev. 136 (fractions skill score). Ebert-Uphoff et al. 2021,
    arXiv 2106.09757 (as a loss).
    """
    if min(logits.shape[-2:]) < AREA:
        raise ValueError(
            f"the loss exceedance_areas needs squares of {AREA} px: frames of "
            f"{tuple(logits.shape[-2:])} px are too small"
        )
    observed = torch.isfinite(target).to(logits.dtype)  # (B, T, 1, H, W)
    target_values = _without_nan(target, logits)
    event = torch.cat([target_values > level for level in _levels(RATES, scale)], -3)

    forecast, truth = (
        F.avg_pool2d((field * observed).flatten(0, 1), AREA).unflatten(0, logits.shape[:2])
        for field in (torch.sigmoid(logits), event.to(logits.dtype))
    )  # shares of each square, (B, T, rate, H/AREA, W/AREA)
    error = ((forecast - truth) ** 2).mean((-2, -1))
    largest = (forecast**2 + truth**2).mean((-2, -1))
    # Where a rate is neither forecast nor observed, the score is undefined: no cost
    return exceedance(logits, target, scale) + (error / (largest + LEAST_AREA)).mean()


def label_bce(logits: Tensor, target: Tensor, scale: ModelScale, pos_weight: float = 1.0) -> Tensor:
    """Binary cross-entropy of the answers for clips, nats.

    Parameters
    ----------
    logits : Tensor
        (B, 1), of a classifier.
    target : Tensor
        Labels (B, 1): 1 (yes) or 0 (no).
    scale : ModelScale
    pos_weight : float
        Weight of the clips with the label 1. A weight other than 1 makes the probabilities too
        high or too low; it does not change their order.
    """
    label = _without_nan(target, logits)
    weight = 1 + (pos_weight - 1) * label
    cost = F.binary_cross_entropy_with_logits(logits, label, reduction="none")
    return _mean(weight * cost, target)


LOSSES = {
    loss.__name__: loss
    for loss in (
        balanced, bce, kl, mse, mae, ssim_mse,
        exceedance, exceedance_unbalanced, exceedance_areas, label_bce,
    )
}  # fmt: skip


@functools.cache
def _levels(rates: tuple[float, ...], scale: ModelScale) -> list[float]:
    """Rain rates (mm/h) in model units of float32, as numbers: no tensor has to reach the GPU."""
    return scale.to_model(torch.tensor(rates)).tolist()


def _without_nan(target: Tensor, logits: Tensor) -> Tensor:
    """The target with 0 where not observed, of the logits' type."""
    return torch.nan_to_num(target, nan=0.0).to(logits.dtype)


def _mean(error: Tensor, target: Tensor) -> Tensor:
    """Mean over the observed pixels."""
    observed = torch.isfinite(target)
    return (error * observed).sum() / observed.sum().clamp(min=1)
