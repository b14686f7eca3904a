"""Pixels that some frames of a sequence show and others do not: a frame or a part of it is lost."""

import torch
from torch import Tensor

from nowcastlib.networks import motion
from nowcastlib.networks.config import NetworkConfig

WHOLLY_OBSERVED = 0.99  # interpolated mask above which all four neighbours are observed


def network_input(frames: Tensor, config: NetworkConfig) -> Tensor:
    """Observed frames as a network gets them, in training and in a forecast.

    Parameters
    ----------
    frames : Tensor
        (B, T, 1, H, W) in model units, NaN where not observed; or colours (B, T, 3, H, W).
    config : NetworkConfig
        Configuration of the network.

    Returns
    -------
    Tensor
        Frames of the same shape. ``fill_unobserved`` fills lost pixels, one channel at a time;
        pixels that no frame of the sequence shows stay NaN if the network takes them so, else they
        are 0 (dry).
    """
    if frames.shape[2] > 1:
        by_channel = [network_input(c, config) for c in frames.split(1, dim=2)]  # (B, T, 1, H, W)
        return torch.cat(by_channel, dim=2)
    filled = fill_unobserved(frames.flatten(1, 2))  # (B, T, H, W)
    if not config.takes_unobserved:
        filled = torch.nan_to_num(filled)
    return filled.unflatten(1, frames.shape[1:3])


@torch.no_grad()
def fill_unobserved(frames: Tensor) -> Tensor:
    """Fill pixels that are lost in some of the frames from the other frames.

    A lost pixel gets the rain of the nearest frame in time, moved along the motion of the rain; of
    two equally near frames, before and after it, the mean. Where that rain would come over the
    edge, the pixel gets what it shows itself in the nearest frame. A pixel that no frame shows,
    such as one beyond the range of the radar, stays NaN.

    Parameters
    ----------
    frames : Tensor
        (B, T, H, W) in model units, NaN where not observed.

    Returns
    -------
    Tensor
        (B, T, H, W); ``frames`` itself if nothing is lost. Observed pixels do not change.
    """
    observed = torch.isfinite(frames)
    lost = ~observed & observed.any(1, keepdim=True)
    has_lost = lost.flatten(1).any(1)  # (B,)
    if not has_lost.any():
        return frames

    filled = frames.clone()
    for sample in has_lost.nonzero()[:, 0].tolist():
        filled[sample] = _fill(frames[sample], observed[sample], lost[sample])
    return filled


def _fill(frames: Tensor, observed: Tensor, lost: Tensor) -> Tensor:
    """Frames (T, H, W) with their lost pixels filled."""
    values = torch.nan_to_num(frames)
    layers = torch.stack([values, observed.to(values)], 1)  # (T, 2, H, W): rain and mask
    velocity = _velocity(values, observed)
    steps = len(frames) - 1
    later = motion.follow(velocity, steps)[0]  # (steps, 2, H, W): to where the rain was before
    earlier = motion.follow(-velocity, steps)[0]

    filled = frames.clone()
    for t in lost.flatten(1).any(1).nonzero()[:, 0].tolist():
        for paths in ((later, earlier), (None, None)):  # along the motion, then in place
            for distance in range(1, steps + 1):
                rain = _mean_of_both(layers, t, distance, paths)
                use = lost[t] & torch.isnan(filled[t])
                filled[t] = torch.where(use, rain, filled[t])
    return filled


def _mean_of_both(
    layers: Tensor, t: int, distance: int, paths: tuple[Tensor | None, Tensor | None]
) -> Tensor:
    """Mean rain (H, W) of the frames before and after ``t``; NaN where neither shows it."""
    total = torch.zeros_like(layers[0])  # (2, H, W): rain and number of frames
    for source, path in zip((t - distance, t + distance), paths, strict=True):
        if not 0 <= source < len(layers):
            continue
        moved = layers[source]
        if path is not None:
            moved = motion.sample(moved[None], path[None, distance - 1], "zeros")[0]
        shows = (moved[1] > WHOLLY_OBSERVED).to(moved)
        total += torch.stack([moved[0] * shows, shows])
    return total[0] / total[1]  # 0 / 0 = NaN


def _velocity(values: Tensor, observed: Tensor) -> Tensor:
    """Motion (1, 2, H, W), px per step, of the rain in frames (T, H, W) with gaps.

    If no two successive frames show anything, it is measured between frames farther apart.
    """
    shown = observed.flatten(1).any(1)  # (T,)
    for gap in range(1, len(values)):
        if (shown[gap:] & shown[:-gap]).any():
            break
    else:
        return torch.zeros_like(values[:1])[:, None].repeat(1, 2, 1, 1)

    if gap == 1:
        return motion.flow(values[None], observed=observed[None])
    last = int((shown[gap:] & shown[:-gap]).nonzero().max()) + gap
    pair = [last - gap, last]
    return motion.flow(values[None, pair], observed=observed[None, pair]) / gap
