"""Motion of rain by correlation: a first guess, which also finds fast rain.

The rain in windows of a frame is compared with the next frame at many displacements. Each
correlation is normalised by the pixels that both frames show at that displacement. Pixels beyond
the edge and pixels that were not observed therefore count neither as rain nor as dry, and rain
that leaves the frame does not pull the motion towards 0.

References
----------
Padfield 2012, IEEE Trans. Image Process. 21 (masked normalised correlation). Rinehart and Garvey
1978, Nature 273 (TREC).
"""

import functools
import logging
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from nowcastlib.networks.smoothing import numbers

REACH = 48  # px per step; displacements up to it are compared by default
LARGEST_SHARE = 2 / 3  # of the longer side; displacements are not larger in small frames
SPACING = 32  # px between windows
WIDTH = 24.0  # px; standard deviation of the Gaussian weights of a window
SEEN = 6.0  # standard deviations; beyond them a weight is below the precision of float32
WINDOWS_AT_ONCE = 8  # neighbours that are summed together
SMALLEST_OVERLAP = 0.3  # share of a window's weight that both frames must show
NO_RAIN = 1e-5  # squared model units; windows with a smaller variance tell nothing
LITTLE_RAIN = 2e-3  # squared model units; windows with a smaller variance count less
PREFERENCE = 1e-5  # of the smaller of two displacements that fit equally well
REGION = 1.5  # windows; width of the region whose correlation supports that of a window
OUTLIER = 8.0  # px; windows that differ more from their neighbours count little
POOR = 0.3  # correlation; windows of real rain within reach are above it
ENOUGH = 1.5  # rainy windows; fewer do not show whether rain moves beyond reach
BEYOND_REACH = 0.4  # share of rainy windows that fit poorly, or best at the largest displacement
NEIGHBOURS = ((0.7, 1.0), (2.0, 1e-2), (6.0, 1e-4))  # widths (windows) and weights

log = logging.getLogger("nowcastlib")


class Match(NamedTuple):
    """The displacement at which each window correlates best."""

    displacement: Tensor  # (B, 2, rows, columns), px per step
    correlation: Tensor  # (B, 1, rows, columns), at most 1
    variance: Tensor  # (B, 1, rows, columns), squared model units, the smaller of both frames
    at_border: Tensor  # (B, 1, rows, columns), bool: no larger displacement was compared


def correlation_motion(frames: Tensor, shown: Tensor, reach: int = REACH) -> Tensor:
    """Displacement per step (B, 2, H, W), px, that correlates successive frames best.

    Parameters
    ----------
    frames : Tensor
        (B, T, H, W) in model units.
    shown : Tensor
        (B, T, H, W), 1 where observed, else 0.
    reach : int
        Largest displacement that is compared, px per step.
    """
    size = frames.shape[-2:]
    factor = _block_size(size)
    rain, weight = _coarse(frames, shown, factor)
    lags = int(min(reach, max(size) * LARGEST_SHARE)) // factor
    match = _best_match(_window_sums(rain, weight, lags, factor), lags, factor)
    # A CUDA graph cannot wait for the answer; the steps before it is recorded have asked.
    can_ask = not (rain.is_cuda and torch.cuda.is_current_stream_capturing())
    if lags and can_ask and _is_beyond_reach(match):
        warn_beyond_reach(lags * factor)
    return F.interpolate(_smooth(match), size, mode="bilinear")


def _is_beyond_reach(match: Match) -> bool:
    """Whether rain seems to move farther than the largest displacement."""
    rainy = _rainy(match)
    beyond = rainy * (match.at_border | (match.correlation < POOR))
    return bool((rainy.sum() > ENOUGH) & (beyond.sum() > BEYOND_REACH * rainy.sum()))


@functools.cache
def warn_beyond_reach(reach: int) -> None:
    """Warn once, not for every batch."""
    log.warning(
        "the rain seems to move more than %d px from one frame to the next, or to change "
        "completely: its estimated motion is probably wrong. Use a coarser grid (--regrid) or "
        "shorter steps",
        reach,
    )


def _block_size(size: torch.Size) -> int:
    """Side of the blocks, px, that are averaged before frames are compared."""
    side = min(size)
    return 4 if side >= 96 else 2 if side >= 48 else 1


def _coarse(frames: Tensor, shown: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Average of the observed pixels of each block, and the share that was observed."""
    height, width = frames.shape[-2:]
    down, right = -height % factor, -width % factor
    margins = (right // 2, right - right // 2, down // 2, down - down // 2)
    weight = F.avg_pool2d(F.pad(shown, margins), factor)
    rain = F.avg_pool2d(F.pad(frames * shown, margins), factor)
    return rain / weight.clamp(min=1e-6), weight


def _window_sums(rain: Tensor, weight: Tensor, reach: int, factor: int) -> Tensor:
    """Weighted sums of 1, b, b², a, a·b and a² in each window for each displacement.

    (B, T, H, W) → (B, 6, rows, columns, k, k), with k = 2 · reach + 1 displacements down and to the
    right. a is the earlier rain, b the later. A window stays in the middle between both.
    """
    height, width = rain.shape[-2:]
    lags = numbers(-reach, reach + 1, rain)
    k = len(lags)
    across = _window_weights(width, lags, factor)  # (k, columns, W)
    down = _window_weights(height, lags, factor)  # (k, rows, H)

    powers = torch.stack([weight, weight * rain, weight * rain**2], 2)  # (B, T, 3, H, W)
    earlier = powers[:, :-1].permute(2, 0, 4, 3, 1)[:, :, :, None]  # (3, B, W, 1, H, T-1)
    later = F.pad(powers[:, 1:], (reach,) * 4).unfold(-1, k, 1)
    later = later.permute(0, 4, 3, 1, 2, 5).flatten(-2)  # (B, W, H + 2·reach, T-1, 3·k)

    # One tensor for all: results that are kept between large ones that are not scatter the memory.
    sums = rain.new_empty(len(rain), 6, down.shape[1], across.shape[1], k, k)
    for row in range(k):
        for windows, seen in _bands(height, down.shape[1], (row - reach) / 2, factor):
            weights = down[row, windows, seen, None]  # (windows, h, 1)
            weighted = (earlier[..., seen, :] * weights).flatten(-2)  # (3, B, W, windows, h·(T-1))
            moved = later[:, :, row + seen.start : row + seen.stop].flatten(2, 3)
            columns = torch.cat(  # (B, W, windows, 6·k)
                [
                    weighted[0] @ moved,  # moved is (B, W, h·(T-1), 3·k)
                    weighted[1] @ moved[..., : 2 * k],
                    weighted[2] @ moved[..., :k],
                ],
                -1,
            ).unflatten(-1, (-1, k))  # (B, W, windows, 6, k)
            part = torch.einsum("bwrmk,kcw->bmrck", columns, across)
            sums[:, :, windows, :, row] = part
    return sums


def _bands(size: int, n: int, shift: float, factor: int) -> Iterator[tuple[slice, slice]]:
    """Neighbouring windows of ``n``, and the pixels along the axis that have a weight in them.

    ``shift`` is that of the windows, px. On a large grid most pixels have none.
    """
    reach = SEEN * WIDTH / factor
    for first in range(0, n, WINDOWS_AT_ONCE):
        last = min(first + WINDOWS_AT_ONCE, n)
        begin, end = ((k + 0.5) * size / n + shift for k in (first, last - 1))
        seen = slice(max(math.floor(begin - reach), 0), min(math.ceil(end + reach), size))
        yield slice(first, last), seen


def _window_weights(size: int, lags: Tensor, factor: int) -> Tensor:
    """Gaussian weights (lag, window, size) along one side, about the middle of each lag."""
    windows = max(round(size * factor / SPACING), 1)
    centres = (numbers(0, windows, lags) + 0.5) * size / windows - 0.5
    middle = numbers(0, size, lags) + lags[:, None, None] / 2  # (lag, 1, size)
    return torch.exp(-((middle - centres[:, None]) ** 2) / (2 * (WIDTH / factor) ** 2))


def _correlation(sums: Tensor) -> tuple[Tensor, Tensor]:
    """Correlation and the smaller variance, both (B, rows, columns, k, k), from sums."""
    b, bb, a, ab, aa = (sums[:, 1:] / sums[:, :1].clamp(min=1e-6)).unbind(1)
    variance_a = (aa - a * a).clamp(min=0)
    variance_b = (bb - b * b).clamp(min=0)
    product = (variance_a + LITTLE_RAIN) * (variance_b + LITTLE_RAIN)
    return (ab - a * b) / product.sqrt(), torch.minimum(variance_a, variance_b)


def _best_match(sums: Tensor, reach: int, factor: int) -> Match:
    """The best displacement of each window, with a fraction of a lag."""
    k = 2 * reach + 1
    correlation, variance = _correlation(sums)
    score = (correlation + _correlation(_blur_windows(sums, REGION))[0]) / 2

    lags = numbers(-reach, reach + 1, score)
    score = score - PREFERENCE * (lags[:, None] ** 2 + lags**2)
    overlap = sums[:, 0].flatten(-2)  # (B, rows, columns, k·k)
    enough = overlap >= SMALLEST_OVERLAP * overlap.amax(-1, keepdim=True)
    score = score.flatten(-2).masked_fill(~enough, -1.0)

    best = score.argmax(-1, keepdim=True)  # (B, rows, columns, 1)
    y, x = best // k, best % k
    at_border = (x == 0) | (x == k - 1) | (y == 0) | (y == k - 1)
    fraction = _vertex(score, best, k).masked_fill(at_border, 0.0)

    displacement = (torch.cat([x, y], -1) - reach + fraction) * factor
    return Match(
        displacement.permute(0, 3, 1, 2),
        correlation.flatten(-2).gather(-1, best).permute(0, 3, 1, 2),
        variance.flatten(-2).gather(-1, best).permute(0, 3, 1, 2),
        at_border.permute(0, 3, 1, 2),
    )


def _vertex(score: Tensor, best: Tensor, k: int) -> Tensor:
    """Distance, at most half a lag, from the best score to the vertex of a paraboloid.

    (B, rows, columns, k·k), (B, rows, columns, 1) → (B, rows, columns, 2). The paraboloid goes
    through the best score and its neighbours.
    """
    last = score.shape[-1] - 1

    def near(down: int, right: int) -> Tensor:
        return score.gather(-1, (best + down * k + right).clamp(0, last))

    peak = near(0, 0)
    x = (near(0, 1) - near(0, -1)) / 2
    y = (near(1, 0) - near(-1, 0)) / 2
    xx = (near(0, 1) + near(0, -1) - 2 * peak).clamp(max=-1e-6)
    yy = (near(1, 0) + near(-1, 0) - 2 * peak).clamp(max=-1e-6)
    xy = (near(1, 1) + near(-1, -1) - near(1, -1) - near(-1, 1)) / 4

    determinant = (xx * yy - xy * xy).clamp(min=1e-12)
    vertex = torch.cat([xy * y - yy * x, xy * x - xx * y], -1) / determinant
    return vertex.clamp(-0.5, 0.5)


def _rainy(match: Match) -> Tensor:
    """Weight (B, 1, rows, columns), 0 to 1, of each window: how much rain it shows."""
    share = match.variance / (match.variance + LITTLE_RAIN)
    return share * (match.variance > NO_RAIN)


def _smooth(match: Match) -> Tensor:
    """Displacements (B, 2, rows, columns), averaged over neighbouring windows.

    Windows with a poor correlation or little rain count less, and so do those that differ from
    their neighbours. Where no window tells anything, the displacement is 0.
    """
    trust = match.correlation.clamp(min=0) ** 4 * _rainy(match)

    average = _average(match.displacement, trust)
    squared = ((match.displacement - average) ** 2).sum(1, keepdim=True)
    likely = torch.exp(-squared / (2 * OUTLIER**2)) + 1e-6
    return _average(match.displacement, trust * likely)


def _average(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted average of neighbouring windows, of distant ones where no near one has a weight."""
    total = torch.zeros_like(values)
    weights = torch.zeros_like(weight)
    for width, share in NEIGHBOURS:
        total = total + share * _blur_windows(values * weight, width)
        weights = weights + share * _blur_windows(weight, width)
    return total / weights.clamp(min=1e-12)


def _blur_windows(maps: Tensor, width: float) -> Tensor:
    """Maps (B, C, rows, columns, …) smoothed by a Gaussian; beyond the edge they are 0."""
    for side in (2, 3):
        place = numbers(0, maps.shape[side], maps)
        weights = torch.exp(-((place[:, None] - place) ** 2) / (2 * width**2))
        weights = weights / (width * (2 * torch.pi) ** 0.5)
        maps = torch.tensordot(weights, maps, ([1], [side])).movedim(0, side)
    return maps
