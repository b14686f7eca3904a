"""From probabilities of more than each of ``RATES`` to one forecast, or to an ensemble of them.

Logits are (…, rate, H, W), of the probability that it rains more than each of the rates; results (…, H, W) in mm/h.
"""

import torch
from torch import Tensor

from nowcastlib.networks import motion
from nowcastlib.units import RATES, RainScale

LEAST = -2.4423  # logit of 0.08
MEMORY = 0.9  # correlation of the noise with itself a step later


def quantile(logits: Tensor, cut: Tensor, scale: RainScale) -> Tensor:
    """The rain rate (…, H, W; mm/h) that is exceeded with the probability whose logit is ``cut``.

    ``cut`` is one for each rate (…, rate, 1, 1) or pixel (…, 1, H, W). Between the rates the logit is taken to be
    straight in model units; above the last it goes on as it did, to about four times as much; below the first it is
    dry. Probabilities that rise with the rate are lowered first.
    """
    over = (logits - cut).cummin(-3).values
    levels = scale.to_model(torch.tensor(RATES, dtype=over.dtype, device=over.device))
    n = (over > 0).sum(-3, keepdim=True)  # rates that are exceeded
    low, high = (n - 1).clamp(0), n.clamp(1, len(RATES) - 1)
    low = torch.minimum(low, high - 1)
    a, b = over.gather(-3, low), over.gather(-3, high)
    share = (a / (a - b).clamp(min=1e-3)).clamp(max=3)
    rate = scale.from_model(levels[low] + (levels[high] - levels[low]) * share)
    return torch.where(n > 0, rate, 0.0)[..., 0, :, :]


def matched(logits: Tensor, now: Tensor) -> Tensor:
    """The cut (…, rate, 1, 1) for which as many pixels exceed each rate as seems right: neither blurred nor overdone.

    Right is the geometric mean of how many do in the last frame ``now`` (H, W; mm/h) and how many are expected to, the
    sum of the probabilities: rain keeps its area unless there is reason to think otherwise. So a forecast rains as
    widely and as strongly as it should (probability matching: Ebert 2001, here to the forecast's own expectation). What
    is less probable than ``LEAST`` is not forecast.
    """
    flat = logits.cummin(-3).values.flatten(-2)
    area = (now > torch.tensor(RATES).to(now).view(-1, 1, 1)).sum((-2, -1)).to(flat)  # px
    area = (area[:, None] * torch.sigmoid(flat).sum(-1, keepdim=True)).sqrt().round().long()
    ordered = flat.sort(-1, descending=True).values
    return ordered.gather(-1, area.clamp(max=flat.shape[-1] - 1)).clamp(min=LEAST)[..., None]


def noise(like: Tensor, path: Tensor, members: int, seed: int = 0) -> Tensor:
    """Standard normal noise (members, T, H, W) with the spectrum of the field ``like`` (H, W), carried along.

    ``path`` (T, 2, H, W) is that of ``motion.follow``; from one step to the next it keeps ``MEMORY`` of itself. So a
    member has rain where its noise is high, in patches that look like the rain and move with it (as in STEPS: Bowler
    et al. 2006).
    """
    lot = torch.Generator().manual_seed(seed)
    steps, (height, width) = len(path), like.shape
    window = torch.hann_window(height)[:, None] * torch.hann_window(width)
    spectrum = torch.fft.rfft2((like - like.mean()) * window.to(like)).abs() + 1e-6
    white = torch.randn(members, steps, height, width, generator=lot).to(like)
    fresh = torch.fft.irfft2(torch.fft.rfft2(white) * spectrum, s=(height, width))
    fresh = fresh / fresh.std((-2, -1), keepdim=True)
    now, found = fresh[:, 0], []
    for k in range(steps):
        now = now if not k else MEMORY * now + (1 - MEMORY**2) ** 0.5 * fresh[:, k]
        there = motion.sample(now[None], path[k : k + 1], "wrap")[0]
        found.append(there / there.std((-2, -1), keepdim=True))
    return torch.stack(found, 1)


def ensemble(logits: Tensor, noise: Tensor, scale: RainScale) -> Tensor:
    """Members (member, T, H, W; mm/h): each the quantile of the forecast that its noise is of the normal distribution.

    So at each pixel all members together have the probabilities of ``logits`` (T, rate, H, W).
    """
    cut = torch.special.log_ndtr(-noise) - torch.special.log_ndtr(
        noise
    )  # logit of the probability of being above
    return torch.stack([quantile(logits, of_it[:, None], scale) for of_it in cut])
