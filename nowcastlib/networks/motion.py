"""Motion of rain on tensors: estimation, trajectories and advection.

Velocities and displacements are (B, 2, H, W) in px: to the right first, then downwards. Fields are
(B, C, H, W).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from nowcastlib.networks.correlation import REACH, correlation_motion
from nowcastlib.networks.smoothing import blur, blur_observed, numbers

REFINEMENTS = 3  # iterations of least squares
LARGEST_CORRECTION = 3.0  # px, of one iteration
DAMPING = 4e-5  # squared gradient; without rain the correction is 0
BLOCK = 4  # px; products of gradients are averaged over blocks before they are smoothed


def flow(
    frames: Tensor, observed: Tensor | None = None, reach: int = REACH, smooth: float = 16.0
) -> Tensor:
    """Estimate the motion of rain.

    First, windows of a frame are correlated with the next frame, which finds fast rain. Then
    weighted least squares (Lucas-Kanade) refine the motion below one pixel. Where nothing rains,
    the motion is that of the neighbourhood. It is 0 if no rain is seen in two successive frames.

    Parameters
    ----------
    frames : Tensor
        (B, T, H, W) with T of 2 or more, in model units; any values where not observed.
    observed : Tensor | None
        (B, T, H, W), bool: which pixels were observed; None if all were. Pixels that were not
        count neither as rain nor as dry. A frame may be missing altogether.
    reach : int
        Largest displacement at which windows are compared, px per step; less in small frames.
    smooth : float
        Standard deviation of the Gaussian weights of least squares, px.

    Returns
    -------
    Tensor
        (B, 2, H, W), px per step.

    References
    ----------
    Padfield 2012, IEEE Trans. Image Process. 21 (masked correlation). Lucas and Kanade 1981, IJCAI.
    """
    shown = torch.ones_like(frames) if observed is None else observed.to(frames)
    frames = frames.where(shown > 0, torch.zeros_like(frames))
    velocity = correlation_motion(frames, shown, reach)

    sharp = blur_observed(frames, shown, 1.5)
    lost = F.pad(1 - shown, (1, 1, 1, 1), value=1.0)
    complete = 1 - F.max_pool2d(lost, 3, 1)  # 1 where all neighbours were observed, too
    with_mask = torch.stack([sharp, complete], 2)  # (B, T, 2, H, W)
    earlier = with_mask[:, :-1].flatten(0, 1)  # (B·(T-1), 2, H, W)
    later = with_mask[:, 1:].flatten(0, 1)

    for _ in range(REFINEMENTS):
        correction = _least_squares_correction(earlier, later, velocity, smooth)
        velocity = velocity + correction.clamp(-LARGEST_CORRECTION, LARGEST_CORRECTION)
    return velocity


def _least_squares_correction(
    earlier: Tensor, later: Tensor, velocity: Tensor, smooth: float
) -> Tensor:
    """Change (B, 2, H, W) of a velocity that makes pairs of frames agree better.

    The frames (B·(T-1), 2, H, W) hold the rain and its mask, which is 1 where a pixel and its
    neighbours were observed.
    """
    pairs = len(earlier) // len(velocity)
    dx, dy, dt = _gradients(earlier, later, velocity.repeat_interleave(pairs, 0))

    # Sums over all pairs and over the neighbourhood: (B, 5, H, W)
    products = torch.cat([dx * dx, dx * dy, dy * dy, dx * dt, dy * dt], 1)
    products = products.unflatten(0, (len(velocity), -1)).sum(1)
    blocks = F.avg_pool2d(products, BLOCK, ceil_mode=True)
    xx, xy, yy, xt, yt = blur(blocks, smooth / BLOCK).unbind(1)  # each (B, H/4, W/4)
    xx = xx + DAMPING
    yy = yy + DAMPING

    # Cramer's rule
    numerator = torch.stack([xy * yt - yy * xt, xy * xt - xx * yt], 1)
    correction = numerator / (xx * yy - xy * xy)[:, None]
    return F.interpolate(correction, velocity.shape[-2:], mode="bilinear")


def _gradients(earlier: Tensor, later: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives (B·(T-1), 1, H, W) by x, y and time, 0 where they touch unobserved pixels."""
    # Both frames are advected to the time halfway between them.
    a, a_complete = sample(earlier, -velocity / 2, "zeros").split(1, 1)
    b, b_complete = sample(later, velocity / 2, "zeros").split(1, 1)
    complete = torch.minimum(a_complete, b_complete) > 0.999

    mean = F.pad((a + b) / 2, (1, 1, 1, 1), "replicate")
    dx = (mean[..., 1:-1, 2:] - mean[..., 1:-1, :-2]) / 2 * complete
    dy = (mean[..., 2:, 1:-1] - mean[..., :-2, 1:-1]) / 2 * complete
    return dx, dy, b - a


def follow(velocity: Tensor, steps: int) -> Tensor:
    """Backward trajectories: where the rain at each pixel comes from.

    The scheme is semi-Lagrangian, with the velocity at the middle of each step.

    Parameters
    ----------
    velocity : Tensor
        (B, 2, H, W), px per step.
    steps : int
        Number of steps.

    Returns
    -------
    Tensor
        Displacements (B, steps, 2, H, W) in px: the rain at pixel p in k steps is now at
        p + result[:, k - 1].

    References
    ----------
    Germann and Zawadzki 2002, Mon. Weather Rev. 130.
    """
    travelled = torch.zeros_like(velocity)
    displacements = []
    for _ in range(steps):
        step = velocity
        for _ in range(2):
            step = sample(velocity, travelled - step / 2)
        travelled = travelled - step
        displacements.append(travelled)
    return torch.stack(displacements, 1)


def sample(fields: Tensor, displacement: Tensor, beyond: str = "border") -> Tensor:
    """Fields at each pixel plus its displacement, bilinear.

    Parameters
    ----------
    fields : Tensor
        (B, C, H, W).
    displacement : Tensor
        (B, 2, H, W), px.
    beyond : str
        Values beyond the edge: those of the "border", "zeros", or "wrap" around.

    Returns
    -------
    Tensor
        (B, C, H, W).
    """
    height, width = fields.shape[-2:]
    rows = numbers(0, height, displacement)
    columns = numbers(0, width, displacement)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    x = x + displacement[:, 0]
    y = y + displacement[:, 1]

    if beyond == "wrap":
        fields = F.pad(fields, (0, 1, 0, 1), "circular")
        x = x % width
        y = y % height
        height, width = height + 1, width + 1
        beyond = "border"

    x = 2 * x / max(width - 1, 1) - 1  # -1…1, as grid_sample counts
    y = 2 * y / max(height - 1, 1) - 1
    positions = torch.stack([x, y], -1)  # (B, H, W, 2)
    return F.grid_sample(fields, positions, padding_mode=beyond, align_corners=True)


def convergence(velocity: Tensor) -> Tensor:
    """Convergence of a motion, the negative of its divergence: (B, 2, H, W) → (B, 1, H, W).

    In px per step and px, that is 1 per step; 0.1 makes a column of air a tenth narrower in a step.
    """
    padded = F.pad(velocity, (1, 1, 1, 1), "replicate")
    by_x = (padded[:, :1, 1:-1, 2:] - padded[:, :1, 1:-1, :-2]) / 2
    by_y = (padded[:, 1:, 2:, 1:-1] - padded[:, 1:, :-2, 1:-1]) / 2
    return -(by_x + by_y)


def distance_outside(displacement: Tensor) -> Tensor:
    """Distance beyond the edge, px, of each pixel plus its displacement; 0 inside.

    (…, 2, H, W) → (…, 1, H, W).
    """
    to_the_right, downwards = displacement.unbind(-3)  # each (…, H, W)
    height, width = displacement.shape[-2:]
    x = numbers(0, width, displacement) + to_the_right
    y = numbers(0, height, displacement)[:, None] + downwards

    outside_x = x - x.clamp(0, width - 1)
    outside_y = y - y.clamp(0, height - 1)
    return (outside_x**2 + outside_y**2).sqrt().unsqueeze(-3)
