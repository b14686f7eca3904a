"""Rain on finer and coarser grids and between two times, for ``rescaling``.

Fields are rain rates (y, x) in mm/h, NaN where not observed. A factor is the number of fine pixels
along a coarse one, (in y, in x).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nowcastlib.networks import motion
from nowcastlib.units import DRY

Factor = tuple[int, int]

SMOOTH_CORRECTIONS = 3  # smooth corrections of the block means, before the exact one
LARGEST_CORRECTION = 4.0  # factor of one of them
LARGEST_CONTRAST = 8.0  # a fine pixel has at most this multiple of the smooth field


def block_mean(field: np.ndarray, factor: Factor) -> np.ndarray:
    """Mean of the observed pixels of each block; NaN where none is observed.

    Blocks at the lower and the right edge may be incomplete.
    """
    if factor == (1, 1):
        return field
    height, width = field.shape
    rows, columns = (-(-n // k) for n, k in zip(field.shape, factor, strict=True))  # rounded up
    padding = ((0, rows * factor[0] - height), (0, columns * factor[1] - width))
    blocks = np.pad(field, padding, constant_values=np.nan)
    blocks = blocks.reshape(rows, factor[0], columns, factor[1])

    known = np.isfinite(blocks)
    number = known.sum((1, 3))
    amount = np.where(known, blocks, 0).sum((1, 3))
    return np.divide(amount, number, out=np.full((rows, columns), np.nan), where=number > 0)


def bilinear(field: np.ndarray, factor: Factor, shape: tuple[int, int]) -> np.ndarray:
    """A field on a grid with pixels ``factor`` times as fine, of which ``shape`` is kept."""
    if factor == (1, 1):
        return field
    coarse = torch.from_numpy(np.ascontiguousarray(field))[None, None]
    size = (field.shape[0] * factor[0], field.shape[1] * factor[1])
    fine = F.interpolate(coarse, size, mode="bilinear", align_corners=False)[0, 0].numpy()
    return fine[: shape[0], : shape[1]]


def refine(
    means: np.ndarray, factor: Factor, known: np.ndarray, pattern: np.ndarray | float = 1.0
) -> np.ndarray:
    """A smooth fine field whose block means are those of a coarse one.

    Parameters
    ----------
    means : np.ndarray
        Coarse field; NaN counts as dry.
    factor : tuple of int
        Fine pixels along a coarse one.
    known : np.ndarray of bool
        Fine pixels (y, x) that get a value; the others become NaN and have no share in the means.
    pattern : np.ndarray or float
        Factors above 0 (y, x): the detail, relative to the smooth field.
    """
    if factor == (1, 1):
        return np.where(known, means, np.nan)
    means = np.nan_to_num(means)
    fine = np.where(known, bilinear(means, factor, known.shape) * pattern, np.nan)

    for _ in range(SMOOTH_CORRECTIONS):
        correction = _missing_factor(means, fine, factor).clip(0, LARGEST_CORRECTION)
        fine = fine * bilinear(correction, factor, known.shape)
    exact = _missing_factor(means, fine, factor)
    exact = exact.repeat(factor[0], 0).repeat(factor[1], 1)
    return fine * exact[: known.shape[0], : known.shape[1]]


def _missing_factor(means: np.ndarray, fine: np.ndarray, factor: Factor) -> np.ndarray:
    """What the blocks of a fine field must be multiplied with to get these means; 1 if dry."""
    present = block_mean(fine, factor)
    return np.divide(means, present, out=np.ones_like(means), where=present > 0)


def detail(fine: np.ndarray, factor: Factor) -> np.ndarray:
    """Ratio (y, x) of a fine field, all of it known, to its smooth version; 1 where it is dry."""
    smooth = bilinear(block_mean(fine, factor), factor, fine.shape)
    return ((fine + DRY) / (smooth + DRY)).clip(0, LARGEST_CONTRAST)


def advect(field: np.ndarray, displacement: Tensor) -> np.ndarray:
    """A field at each pixel plus its displacement (2, y, x) in px; NaN counts as dry."""
    rate = torch.from_numpy(np.nan_to_num(field).astype("f4"))[None, None]
    return motion.sample(rate, displacement[None])[0, 0].numpy()


def between(values: np.ndarray, positions: Sequence[float]) -> np.ndarray:
    """Values (T, …) at positions between them, from 0 to T - 1, interpolated linearly."""
    at = np.asarray(positions)
    below = np.floor(at).astype(int)
    above = np.minimum(below + 1, len(values) - 1)
    share = (at - below).reshape(-1, *[1] * (values.ndim - 1))
    return (1 - share) * values[below] + share * values[above]


def at_position(fields: np.ndarray, velocity: Tensor, position: float) -> np.ndarray:
    """Field between two others, interpolated along the motion.

    Parameters
    ----------
    fields : np.ndarray
        Fields (T, y, x). Where only one of the two is known, it decides.
    velocity : Tensor
        Motion (T - 1, 2, y, x) in px from each field to the next.
    position : float
        From 0, the first field, to T - 1, the last.
    """
    k = int(position)
    share = position - k
    if share == 0:
        return fields[k]

    amount, weight = torch.zeros(2, *fields.shape[1:])
    sides = ((fields[k], 1 - share, -share), (fields[k + 1], share, 1 - share))
    for field, part, way in sides:
        known = np.isfinite(field)
        rate_and_mask = torch.from_numpy(np.stack([np.where(known, field, 0), known]).astype("f4"))
        rate, mask = motion.sample(rate_and_mask[None], way * velocity[k, None], "zeros")[0]
        amount += part * rate
        weight += part * mask
    is_known = weight > min(share, 1 - share) / 2
    return torch.where(is_known, amount / weight, torch.nan).numpy()
