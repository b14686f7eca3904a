"""Gaussian smoothing of fields on tensors."""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 128  # px; rows that are smoothed by one product of matrices


def numbers(first: int, end: int, like: Tensor) -> Tensor:
    """The numbers ``first`` … ``end`` - 1 with the type of ``like``, made on its device.

    Numbers that are made on the CPU and moved would let it wait for the GPU.
    """
    return torch.arange(first, end, dtype=like.dtype, device=like.device)


def blur(fields: Tensor, sigma: float) -> Tensor:
    """Fields (B, C, H, W) smoothed by a Gaussian of ``sigma`` px, cut at 3 sigma.

    Beyond the edge, the values of the border continue.
    """
    height, width = fields.shape[-2:]
    down = [
        weights @ fields[..., first:last, :]
        for first, last, weights in _blocks(height, sigma, fields)
    ]
    fields = torch.cat(down, -2)
    across = [
        fields[..., first:last] @ weights.mT
        for first, last, weights in _blocks(width, sigma, fields)
    ]
    return torch.cat(across, -1)


def _blocks(size: int, sigma: float, like: Tensor) -> Iterator[tuple[int, int, Tensor]]:
    """Smoothing along an axis of ``size`` px as products of matrices, ``BLOCK`` px at a time.

    Yields the first pixel and the end of those that a block needs, and the weights (px of the
    block, px that it needs). A product of matrices is several times as fast as a convolution with
    the same wide kernel, whose 145 weights for the widest scale it holds beside zeros.
    """
    reach = int(3 * sigma)
    offset = numbers(-reach, reach + 1, like)
    kernel = torch.exp(-(offset**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()

    for start in range(0, size, BLOCK):
        end = min(start + BLOCK, size)
        first, last = max(start - reach, 0), min(end + reach, size)

        place = torch.arange(start, end, device=like.device)[:, None] + offset.long()
        inside = place.clamp(0, size - 1) - first  # beyond the edge: the pixel of the border
        weights = like.new_zeros(end - start, last - first)
        yield first, last, weights.scatter_add_(1, inside, kernel.expand(len(weights), -1))


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
