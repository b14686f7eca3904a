"""Motion of rain on tensors: estimation, trajectories and advection.

Velocities and displacements are (B, 2, H, W) in px: to the right first, then downwards. Fields are
(B, C, H, W).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

REFINEMENTS = 3  # iterations of least squares
LARGEST_CORRECTION = 3.0  # px, of one iteration
DAMPING = 2e-4  # squared gradient; without rain the correction is 0


def flow(frames: Tensor, window: int = 64, reach: int = 24, smooth: float = 20.0) -> Tensor:
    """Estimate the motion of rain.

    First, windows of a frame are correlated with those of the next frame (TREC), which finds fast
    rain. Then weighted least squares (Lucas-Kanade) refine the motion below one pixel. Where
    nothing rains, the motion is that of the neighbourhood, or 0.

    Parameters
    ----------
    frames : Tensor
        (B, T, H, W) with T of 2 or more, in model units.
    window : int
        Size of the correlated windows, px.
    reach : int
        Largest displacement that the correlation can find, px per step.
    smooth : float
        Standard deviation of the Gaussian weights of least squares, px.

    Returns
    -------
    Tensor
        (B, 2, H, W), px per step.

    References
    ----------
    Rinehart and Garvey 1978, Nature 273 (TREC). Lucas and Kanade 1981, IJCAI.
    """
    velocity = blur(_correlation_motion(frames, window, reach), 8.0)

    sharp = blur(frames, 1.5)
    earlier = sharp[:, :-1].flatten(0, 1)[:, None]  # (B·(T-1), 1, H, W)
    later = sharp[:, 1:].flatten(0, 1)[:, None]

    for _ in range(REFINEMENTS):
        correction = _least_squares_correction(earlier, later, velocity, smooth)
        velocity = velocity + correction.clamp(-LARGEST_CORRECTION, LARGEST_CORRECTION)
    return velocity


def _least_squares_correction(
    earlier: Tensor, later: Tensor, velocity: Tensor, smooth: float
) -> Tensor:
    """Change (B, 2, H, W) of a velocity that makes frames (B·(T-1), 1, H, W) agree better."""
    pairs = len(earlier) // len(velocity)

    # Both frames are advected to the time halfway between them.
    half = velocity.repeat_interleave(pairs, 0) / 2
    a = sample(earlier, -half)
    b = sample(later, half)
    mean = (a + b) / 2
    dx = torch.gradient(mean, dim=3)[0]
    dy = torch.gradient(mean, dim=2)[0]
    dt = b - a

    # Sums over all pairs and over the neighbourhood: (B, 5, H, W)
    products = torch.cat([dx * dx, dx * dy, dy * dy, dx * dt, dy * dt], 1)
    products = products.unflatten(0, (len(velocity), -1)).mean(1)
    xx, xy, yy, xt, yt = blur(products, smooth).unbind(1)  # each (B, H, W)
    xx = xx + DAMPING
    yy = yy + DAMPING

    # Cramer's rule
    numerator = torch.stack([xy * yt - yy * xt, xy * xt - xx * yt], 1)
    return numerator / (xx * yy - xy * xy)[:, None]


def _correlation_motion(frames: Tensor, window: int, reach: int) -> Tensor:
    """The displacement (B, 2, H, W) that correlates the windows of successive frames best."""
    hop = window // 2
    correlation = _window_correlation(frames, window)  # (B, rows, columns, 2·window, 2·window)

    # Displacements of up to reach px: (B, k·k, rows, columns), averaged over neighbouring windows
    k = 2 * reach + 1
    correlation = correlation.roll((reach, reach), (-2, -1))[..., :k, :k]
    rows, columns = correlation.shape[1:3]
    correlation = correlation.permute(0, 3, 4, 1, 2).reshape(-1, k * k, rows, columns)
    correlation = blur(correlation, 1.0)

    # A faint preference for small displacements: without rain the motion is 0
    squares = torch.arange(-reach, reach + 1).to(frames) ** 2
    distance = (squares[:, None] + squares).view(1, -1, 1, 1)
    best = (correlation - 1e-6 * distance).argmax(1)  # (B, rows, columns)
    displacement = torch.stack([best % k, best // k], 1).to(frames) - reach

    return _interpolate_windows(displacement, frames.shape[-2:], hop)


def _window_correlation(frames: Tensor, window: int) -> Tensor:
    """Cross-correlation of the windows of successive frames (B, T, H, W), summed over time."""
    hop = window // 2
    hann = torch.hann_window(window, periodic=False).to(frames)
    weight = hann[:, None] * hann

    # (B, T, rows, columns, window, window), each window without its mean
    windows = F.pad(frames, (hop,) * 4).unfold(2, window, hop).unfold(3, window, hop)
    mean = (windows * weight).sum((-2, -1), keepdim=True) / weight.sum()
    windows = (windows - mean) * weight

    spectrum = torch.fft.rfft2(windows, s=(2 * window,) * 2)
    product = (spectrum[:, :-1].conj() * spectrum[:, 1:]).sum(1)
    return torch.fft.irfft2(product, s=(2 * window,) * 2)


def _interpolate_windows(values: Tensor, size: torch.Size, hop: int) -> Tensor:
    """Values of windows (B, 2, rows, columns) at each pixel: (B, 2, H, W), bilinear."""
    rows, columns = values.shape[-2:]
    y = torch.arange(size[0]).to(values) / hop  # in windows
    x = torch.arange(size[1]).to(values) / hop
    x = 2 * x / max(columns - 1, 1) - 1  # -1…1, as grid_sample counts
    y = 2 * y / max(rows - 1, 1) - 1
    positions = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)  # (H, W, 2)
    positions = positions.expand(len(values), -1, -1, -1)
    return F.grid_sample(values, positions, padding_mode="border", align_corners=True)


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
    rows = torch.arange(height).to(displacement)
    columns = torch.arange(width).to(displacement)
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


def distance_outside(displacement: Tensor) -> Tensor:
    """Distance beyond the edge, px, of each pixel plus its displacement; 0 inside.

    (…, 2, H, W) → (…, 1, H, W).
    """
    to_the_right, downwards = displacement.unbind(-3)  # each (…, H, W)
    height, width = displacement.shape[-2:]
    x = torch.arange(width).to(displacement) + to_the_right
    y = torch.arange(height).to(displacement)[:, None] + downwards

    outside_x = x - x.clamp(0, width - 1)
    outside_y = y - y.clamp(0, height - 1)
    return (outside_x**2 + outside_y**2).sqrt().unsqueeze(-3)


def blur(fields: Tensor, sigma: float) -> Tensor:
    """Fields (B, C, H, W) smoothed by a Gaussian of ``sigma`` px, cut at 3 sigma.

    Beyond the edge, the values of the border continue.
    """
    channels = fields.shape[1]
    reach = int(3 * sigma)
    x = torch.arange(-reach, reach + 1).to(fields)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(channels, 1, -1)  # (C, 1, 2·reach + 1)

    fields = F.pad(fields, (reach, reach, 0, 0), "replicate")
    fields = F.conv2d(fields, kernel[:, :, None], groups=channels)
    fields = F.pad(fields, (0, 0, reach, reach), "replicate")
    return F.conv2d(fields, kernel[..., None], groups=channels)
