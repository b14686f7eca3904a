"""Motion of rain on tensors: found, followed, and rain carried along it. Displacements are (B, 2, H, W) in px, to the
right first, then downwards; fields are (B, C, H, W)."""

import torch
from torch import Tensor
from torch.nn import functional as F


def flow(frames: Tensor, window: int = 64, reach: int = 24, smooth: float = 20.0) -> Tensor:
    """Motion (B, 2, H, W) in px per step of the rain in frames (B, T, H, W), T of 2 or more, in model units.

    First, windows of ``window`` px are compared with themselves a step later, moved by up to ``reach`` px (TREC:
    Rinehart and Garvey 1978), the evidence of all steps and of neighbouring windows added up: fast rain is found. Then
    least squares, weighted by a Gaussian of ``smooth`` px (Lucas and Kanade 1981), refine it below a pixel. Where
    nothing moves, or nothing is, it is 0 or what the neighbours do.
    """
    velocity = blur(_correlated(frames, window, reach), 8.0)
    sharp = blur(frames, 1.5)
    now, later = (
        part.flatten(0, 1)[:, None] for part in (sharp[:, :-1], sharp[:, 1:])
    )  # (B·(T-1), 1, H, W)
    for _ in range(3):
        half = velocity.repeat_interleave(frames.shape[1] - 1, 0) / 2
        a, b = sample(now, -half), sample(later, half)
        right, down = (torch.gradient((a + b) / 2, dim=d)[0] for d in (3, 2))
        rise = b - a
        products = [right * right, right * down, down * down, right * rise, down * rise]
        products = torch.cat(products, 1).unflatten(0, (len(frames), -1)).mean(1)  # (B, 5, H, W)
        xx, xy, yy, xt, yt = blur(products, smooth).unbind(1)
        xx, yy = xx + 2e-4, yy + 2e-4  # where nothing is seen, nothing is changed
        step = torch.stack([xy * yt - yy * xt, xy * xt - xx * yt], 1) / (xx * yy - xy * xy)[:, None]
        velocity = velocity + step.clamp(-3, 3)
    return velocity


def _correlated(frames: Tensor, window: int, reach: int) -> Tensor:
    """The displacement by which windows of a frame are most like the next frame's; first guess of ``flow``."""
    hop, size = window // 2, frames.shape[-2:]
    hann = torch.hann_window(window, periodic=False).to(frames)
    weight = hann[:, None] * hann
    parts = (
        F.pad(frames, (hop,) * 4).unfold(2, window, hop).unfold(3, window, hop)
    )  # (B, T, rows, columns, n, n)
    parts = (parts - (parts * weight).sum((-2, -1), keepdim=True) / weight.sum()) * weight
    waves = torch.fft.rfft2(parts, s=(2 * window,) * 2)
    alike = torch.fft.irfft2((waves[:, :-1].conj() * waves[:, 1:]).sum(1), s=(2 * window,) * 2)
    k = 2 * reach + 1
    alike = alike.roll((reach, reach), (-2, -1))[..., :k, :k]  # (B, rows, columns, k, k)
    rows, columns = alike.shape[1:3]
    alike = blur(alike.permute(0, 3, 4, 1, 2).reshape(-1, k * k, rows, columns), 1.0)
    off = torch.arange(-reach, reach + 1).to(frames) ** 2
    best = (alike - 1e-6 * (off[:, None] + off).view(1, -1, 1, 1)).argmax(
        1
    )  # what is dry stands still
    found = torch.stack([best % k, best // k], 1).to(frames) - reach
    y, x = (torch.arange(n).to(frames) / hop for n in size)  # in windows
    at = torch.stack(
        torch.meshgrid(
            2 * x / max(columns - 1, 1) - 1, 2 * y / max(rows - 1, 1) - 1, indexing="xy"
        ),
        -1,
    )
    at = at.expand(len(frames), -1, -1, -1)
    return F.grid_sample(found, at, padding_mode="border", align_corners=True)


def follow(velocity: Tensor, steps: int) -> Tensor:
    """Where the rain comes from: what is at p in k steps is now at p + result[:, k - 1]; (B, steps, 2, H, W).

    Backward semi-Lagrangian with the motion at the middle of each step (Germann and Zawadzki 2002).
    """
    travelled, found = torch.zeros_like(velocity), []
    for _ in range(steps):
        step = velocity
        for _ in range(2):
            step = sample(velocity, travelled - step / 2)
        travelled = travelled - step
        found.append(travelled)
    return torch.stack(found, 1)


def sample(fields: Tensor, displacement: Tensor, beyond: str = "border") -> Tensor:
    """Fields (B, C, H, W) at each pixel plus its displacement, bilinear.

    ``beyond`` the edge they are as at the border, "zeros", or "wrap" around.
    """
    height, width = fields.shape[-2:]
    y, x = torch.meshgrid(
        *(torch.arange(n).to(displacement) for n in (height, width)), indexing="ij"
    )
    x, y = x + displacement[:, 0], y + displacement[:, 1]
    if beyond == "wrap":
        fields, x, y = F.pad(fields, (0, 1, 0, 1), "circular"), x % width, y % height
        height, width, beyond = height + 1, width + 1, "border"
    at = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], -1)
    return F.grid_sample(fields, at, padding_mode=beyond, align_corners=True)


def outside(displacement: Tensor) -> Tensor:
    """How far, in px, each pixel plus its displacement (…, 2, H, W) lies beyond the edge: (…, 1, H, W), 0 within."""
    found = []
    for part, dim in zip(displacement.unbind(-3), (-1, -2), strict=True):  # to the right, downwards
        size = part.shape[dim]
        at = torch.arange(size).to(part).view(-1, *[1] * (-1 - dim)) + part
        found.append((at - at.clamp(0, size - 1)) ** 2)
    return sum(found).sqrt().unsqueeze(-3)


def blur(fields: Tensor, sigma: float) -> Tensor:
    """Fields (B, C, H, W) under a Gaussian of ``sigma`` px, cut at 3 sigma; the border goes on for ever."""
    reach = int(3 * sigma)
    kernel = torch.exp(-(torch.arange(-reach, reach + 1).to(fields) ** 2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(fields.shape[1], 1, -1)
    fields = F.conv2d(
        F.pad(fields, (reach, reach, 0, 0), "replicate"), kernel[:, :, None], groups=fields.shape[1]
    )
    fields = F.pad(fields, (0, 0, reach, reach), "replicate")
    return F.conv2d(fields, kernel[..., None], groups=fields.shape[1])
