"""Gaussian smoothing of fields on tensors."""

import torch
from torch import Tensor
from torch.nn import functional as F


def numbers(first: int, end: int, like: Tensor) -> Tensor:
    """The numbers ``first`` … ``end`` - 1 with the type of ``like``, made on its device.

    Numbers that are made on the CPU and moved would let it wait for the GPU.
    """
    return torch.arange(first, end, dtype=like.dtype, device=like.device)


def blur(fields: Tensor, sigma: float) -> Tensor:
    """Fields (B, C, H, W) smoothed by a Gaussian of ``sigma`` px, cut at 3 sigma.

    Beyond the edge, the values of the border continue.
    """
    channels = fields.shape[1]
    reach = int(3 * sigma)
    x = numbers(-reach, reach + 1, fields)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(channels, 1, -1)  # (C, 1, 2·reach + 1)

    fields = F.pad(fields, (reach, reach, 0, 0), "replicate")
    fields = F.conv2d(fields, kernel[:, :, None], groups=channels)
    fields = F.pad(fields, (0, 0, reach, reach), "replicate")
    return F.conv2d(fields, kernel[..., None], groups=channels)


def blur_observed(fields: Tensor, weight: Tensor, sigma: float) -> Tensor:
    """Weighted average of fields (B, C, H, W) in a Gaussian neighbourhood of ``sigma`` px.

    Parameters
    ----------
    fields : Tensor
        (B, C, H, W).
    weight : Tensor
        (B, C or 1, H, W), 0 where a value must not count. Where nothing counts, the result is 0.
    sigma : float
        Standard deviation of the Gaussian, px.
    """
    return blur(fields * weight, sigma) / blur(weight, sigma).clamp(min=1e-12)
