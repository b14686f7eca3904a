"""Members of an ensemble, from forecast probabilities and noise that looks like rain."""

from collections.abc import Iterator

import torch
from torch import Tensor

from nowcastlib.forecasting.probabilities import quantile
from nowcastlib.networks import motion, scales
from nowcastlib.units import ModelScale

LONGEST_MEMORY = 0.99  # correlation of the noise of a scale with the noise one step earlier


def correlated_noise(
    like: Tensor, path: Tensor, members: int, memory: Tensor, seed: int = 0
) -> Tensor:
    """Standard normal noise that has the texture of the rain, moves with it and lasts as long.

    Members of an ensemble get rain where their noise is high, as in STEPS (Bowler et al. 2006).

    Parameters
    ----------
    like : Tensor
        Field (H, W) whose power spectrum the noise gets.
    path : Tensor
        Displacement (T, 2, H, W) in px to where the rain comes from, see ``motion.follow``.
    members : int
        Number of members.
    memory : Tensor
        Correlation of the noise of each scale with the noise one step earlier, (scale,); see
        ``scales.persistence_of_scales``. At most ``LONGEST_MEMORY`` is used.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    Tensor
        Noise (member, T, H, W).

    References
    ----------
    Bowler, N. E., C. E. Pierce, and A. W. Seed (2006): STEPS: A probabilistic
    precipitation forecasting scheme which merges an extrapolation nowcast with downscaled NWP.
    Q. J. R. Meteorol. Soc. 132, 2127-2155.
    """
    height, width = like.shape
    kept = scales.of_waves(memory.clamp(max=LONGEST_MEMORY), (height, width))
    news = (1 - kept**2).sqrt()
    fresh_noise = _waves_like(like, members, seed)

    waves = next(fresh_noise)  # (member, H, W // 2 + 1)
    moved = []
    for step in range(len(path)):
        if step:
            waves = kept * waves + news * next(fresh_noise)
        noise = torch.fft.irfft2(waves, s=like.shape)
        noise = motion.sample(noise[None], path[step : step + 1], "wrap")[0]
        moved.append(noise / noise.std((-2, -1), keepdim=True))
    return torch.stack(moved, 1)


def _waves_like(like: Tensor, members: int, seed: int) -> Iterator[Tensor]:
    """Waves (member, H, W // 2 + 1) of noise with the power spectrum of ``like``, ever new."""
    height, width = like.shape
    window = torch.hann_window(height)[:, None] * torch.hann_window(width)
    amplitude = torch.fft.rfft2((like - like.mean()) * window.to(like)).abs() + 1e-6

    generator = torch.Generator().manual_seed(seed)
    while True:
        white = torch.randn(members, height, width, generator=generator).to(like)
        yield torch.fft.rfft2(white) * amplitude


def ensemble(logits: Tensor, noise: Tensor, scale: ModelScale) -> Tensor:
    """Members that together have the forecast probabilities at each pixel.

    The noise is mapped to a percentile by the normal distribution; the member is that percentile
    of the forecast.

    Parameters
    ----------
    logits : Tensor
        Logits (T, rate, H, W) of exceeding each rate.
    noise : Tensor
        Standard normal noise (member, T, H, W).
    scale : ModelScale
        Model units of the network.

    Returns
    -------
    Tensor
        Rain rate (member, T, H, W) in mm/h.
    """
    # logit of the probability that standard normal noise is higher
    thresholds = torch.special.log_ndtr(-noise) - torch.special.log_ndtr(noise)
    members = [quantile(logits, threshold[:, None], scale) for threshold in thresholds]
    return torch.stack(members)
