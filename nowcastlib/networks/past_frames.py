"""Past frames moved to where their rain is now, and how long each scale of it has lasted."""

import torch
from torch import Tensor

from nowcastlib.networks import motion
from nowcastlib.networks import scales as rain_scales


def persistence(now: Tensor, earlier: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Intercept and decay of each scale; see ``scales.persistence_of_scales``.

    ``now`` are the scales (B, scale, H, W) of the last frame. The earlier frames (B, 2, H, W), the
    newest first, are those of ``advect_to_last``. Only one of them is divided into scales at a
    time.
    """
    correlations = []
    for frame in earlier:
        observed = (frame[:, 1:] > 0.99).to(frame.dtype)
        past = rain_scales.decompose(frame[:, :1])
        correlations.append(rain_scales.correlation(now, past, observed))
    return rain_scales.fit_persistence(torch.stack(correlations, 1))


def advect_to_last(x: Tensor, path: Tensor) -> list[Tensor]:
    """Frames (B, T, 1, H, W) at the places where their rain is in the last frame.

    A list of T tensors (B, 2, H, W): the rain, and a mask that is 1 where it was observed.
    """
    frames = []
    for age in range(x.shape[1] - 1, 0, -1):
        frame = x[:, -1 - age]
        frames.append(motion.sample(_with_mask(frame), path[:, age - 1], "zeros"))
    frames.append(_with_mask(x[:, -1]))
    return frames


def _with_mask(frame: Tensor) -> Tensor:
    """(B, 1, H, W) with NaN → (B, 2, H, W): the rain, 0 where not observed, and the mask."""
    observed = torch.isfinite(frame)
    return torch.cat([torch.nan_to_num(frame), observed], 1).float()
