"""Rain divided into scales, and how long each of them lasts: the idea of S-PROG (Seed 2003), on tensors."""

from itertools import pairwise

import torch
from torch import Tensor

from nowcastlib.networks.motion import blur

SIGMAS = (1.5, 3.0, 6.0, 12.0, 24.0)  # px; between them lie the scales
SCALES = len(SIGMAS) + 1


def divide(fields: Tensor) -> Tensor:
    """Fields (B, 1, H, W) as a sum of ``SCALES`` fields (B, scale, H, W), the finest first."""
    smooth = [fields, *(blur(fields, sigma) for sigma in SIGMAS)]
    return torch.cat([a - b for a, b in pairwise(smooth)] + smooth[-1:], 1)


def memory(now: Tensor, past: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """How much of each scale is left after k steps, as ``at_once · each_step ** k``; both (B, scale, 1, 1).

    ``now`` (B, scale, H, W) are the scales of the last frame; ``past`` (B, T, scale, H, W) those of the frames before,
    the newest first, laid over it along the motion, where ``known`` (B, T, 1, H, W; 0 or 1). The correlations with
    them are fitted by least squares of their logarithms; what is noise or badly measured is lost at once. The
    coarsest stays as it is.
    """
    now = now[:, None] * known
    both, own, other = (
        (a * b).mean((-2, -1)) for a, b in ((now, past), (now, now), (past * known, past))
    )
    alike = (both / (own * other + 1e-12).sqrt()).clamp(0.05, 0.999).log()  # (B, T, scale)
    lag = torch.arange(1.0, alike.shape[1] + 1).to(alike)[:, None]
    away, middle = lag - lag.mean(), alike.mean(1)
    slope = ((away * (alike - middle[:, None])).sum(1) / (away**2).sum().clamp(min=1)).clamp(max=0)
    start = (middle - slope * lag.mean()).clamp(max=0)
    lasting = torch.arange(SCALES).to(alike) < SCALES - 1
    return tuple((x * lasting).exp()[..., None, None] for x in (start, slope))


def energy(scales: Tensor) -> Tensor:
    """Squares of scales (B, scale, H, W), each averaged over twice its own width (at most 24 px)."""
    widths = [min(2 * sigma, 24.0) for sigma in (*SIGMAS, SIGMAS[-1])]
    return torch.cat(
        [blur(part**2, width) for part, width in zip(scales.split(1, 1), widths, strict=True)], 1
    )
