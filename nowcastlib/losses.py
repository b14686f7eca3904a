"""What a forecast is trained to make small. Each: logits and target of one shape → mean over the observed pixels.

Targets are in model units; NaN = not observed, which counts for nothing.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .units import RainScale

# weights of Shi et al. 2017 (arXiv 1706.03458): rain below 2, 5, 10, 30 mm/h, and above
BALANCED_RATES, BALANCED_WEIGHTS = (2.0, 5.0, 10.0, 30.0), (1.0, 2.0, 5.0, 10.0, 30.0)


def bce(logits: Tensor, target: Tensor, scale: RainScale) -> Tensor:
    """Binary cross-entropy per pixel, less the entropy of the soft target: 0 for a perfect forecast."""
    p = _known(target, logits).clamp(0, 1)
    entropy = -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p))
    return _mean(F.binary_cross_entropy_with_logits(logits, p, reduction="none") - entropy, target)


def mse(logits: Tensor, target: Tensor, scale: RainScale) -> Tensor:
    """Mean squared error, model units squared."""
    return _mean((torch.sigmoid(logits) - _known(target, logits)) ** 2, target)


def mae(logits: Tensor, target: Tensor, scale: RainScale) -> Tensor:
    """Mean absolute error, model units."""
    return _mean((torch.sigmoid(logits) - _known(target, logits)).abs(), target)


def balanced(logits: Tensor, target: Tensor, scale: RainScale) -> Tensor:
    """MSE + MAE, heavy rain weighted up to 30-fold (Shi et al. 2017, section 3.3): it is rare, and what matters."""
    edges = torch.tensor(scale.to_model(np.array(BALANCED_RATES)), dtype=logits.dtype, device=logits.device)
    weights = torch.tensor(BALANCED_WEIGHTS, dtype=logits.dtype, device=logits.device)
    known = _known(target, logits)
    error = torch.sigmoid(logits) - known
    return _mean(weights[torch.bucketize(known, edges, right=True)] * (error**2 + error.abs()), target)


def _known(target: Tensor, logits: Tensor) -> Tensor:
    return torch.nan_to_num(target, nan=0.0).to(logits.dtype)


def _mean(error: Tensor, target: Tensor) -> Tensor:
    observed = torch.isfinite(target)
    return (error * observed).sum() / observed.sum().clamp(min=1)


LOSSES = {f.__name__: f for f in (bce, mse, mae, balanced)}
