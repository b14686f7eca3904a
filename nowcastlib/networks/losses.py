"""What a forecast is trained to make small. Each: logits and target of one shape → mean over the observed pixels.

Targets are in model units; NaN = not observed, which counts for nothing.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.image import structural_similarity_index_measure

from nowcastlib.units import RATES, RainScale

# weights of Shi et al. 2017 (arXiv 1706.03458): rain below 2, 5, 10, 30 mm/h, and above
BALANCED_RATES, BALANCED_WEIGHTS = (2.0, 5.0, 10.0, 30.0), (1.0, 2.0, 5.0, 10.0, 30.0)


def bce(logits: Tensor, target: Tensor, scale: RainScale) -> Tensor:
    """Binary cross-entropy per pixel, nats. It cannot fall below the entropy of a soft target: see ``kl``."""
    p = _known(target, logits).clamp(0, 1)
    return _mean(F.binary_cross_entropy_with_logits(logits, p, reduction="none"), target)


def kl(logits: Tensor, target: Tensor, scale: RainScale) -> Tensor:
    """Binary cross-entropy less the entropy of the target (Kullback-Leibler divergence): 0 for a perfect forecast."""
    p = _known(target, logits).clamp(0, 1)
    return bce(logits, target, scale) + _mean(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p), target)


def mse(logits: Tensor, target: Tensor, scale: RainScale) -> Tensor:
    """Mean squared error, model units squared."""
    return _mean((torch.sigmoid(logits) - _known(target, logits)) ** 2, target)


def mae(logits: Tensor, target: Tensor, scale: RainScale) -> Tensor:
    """Mean absolute error, model units."""
    return _mean((torch.sigmoid(logits) - _known(target, logits)).abs(), target)


def ssim_mse(logits: Tensor, target: Tensor, scale: RainScale, alpha: float = 0.5) -> Tensor:
    """alpha · MSE + (1 - alpha) · (1 - SSIM), Gaussian windows of 11 px (Wang et al. 2004; as a loss: Zampar 2025).

    Frames are (B, T, C, H, W); a window sees unobserved pixels as equal in both. ValueError below 11 px.
    """
    if min(logits.shape[-2:]) < 11:
        raise ValueError(
            f"SSIM looks through windows of 11 px, frames of {tuple(logits.shape[-2:])} px are smaller"
        )
    known = _known(target, logits)
    seen = torch.where(torch.isfinite(target), torch.sigmoid(logits), known)
    images = (x.flatten(0, -4) for x in (seen, known))  # (B·T, C, H, W)
    _, ssim = structural_similarity_index_measure(*images, data_range=1.0, return_full_image=True)
    return alpha * mse(logits, target, scale) + (1 - alpha) * _mean(
        1 - ssim.view_as(target), target
    )


def balanced(logits: Tensor, target: Tensor, scale: RainScale) -> Tensor:
    """MSE + MAE, heavy rain weighted up to 30-fold (Shi et al. 2017, section 3.3): it is rare, and what matters."""
    edges = torch.tensor(
        scale.to_model(np.array(BALANCED_RATES)), dtype=logits.dtype, device=logits.device
    )
    weights = torch.tensor(BALANCED_WEIGHTS, dtype=logits.dtype, device=logits.device)
    known = _known(target, logits)
    error = torch.sigmoid(logits) - known
    return _mean(
        weights[torch.bucketize(known, edges, right=True)] * (error**2 + error.abs()), target
    )


def exceedance(logits: Tensor, target: Tensor, scale: RainScale, balance: bool = True) -> Tensor:
    """Binary cross-entropy of "more than each of ``RATES``": logits (B, T, rate, H, W), target (B, T, 1, H, W).

    With ``balance`` each window and rate is divided by what it would cost to know no more than how often that rate is
    exceeded in the first frame (its entropy, nats): rare rates and windows with little rain weigh as much as others.
    Honest probabilities make it smallest, as nearly as that first frame is known when the forecast is made.
    """
    rates = torch.tensor(RATES, device=logits.device).view(-1, 1, 1)
    event = (_known(target, logits) > scale.to_model(rates)).to(logits.dtype)
    cost = F.binary_cross_entropy_with_logits(logits, event, reduction="none")
    if balance:
        share = event[:, :1].mean((-2, -1), keepdim=True)  # (B, 1, rate, 1, 1)
        entropy = -torch.xlogy(share, share) - torch.xlogy(1 - share, 1 - share)
        cost = cost / (entropy + 0.03)
    return _mean(cost.mean(-3, keepdim=True), target)


def _known(target: Tensor, logits: Tensor) -> Tensor:
    return torch.nan_to_num(target, nan=0.0).to(logits.dtype)


def _mean(error: Tensor, target: Tensor) -> Tensor:
    observed = torch.isfinite(target)
    return (error * observed).sum() / observed.sum().clamp(min=1)


def exceedance_alike(logits: Tensor, target: Tensor, scale: RainScale) -> Tensor:
    """``exceedance`` without its balance, to see what that is worth; nats."""
    return exceedance(logits, target, scale, balance=False)


LOSSES = {
    f.__name__: f for f in (bce, kl, mse, mae, ssim_mse, balanced, exceedance, exceedance_alike)
}
