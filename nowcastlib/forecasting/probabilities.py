"""One forecast of the rain from forecast probabilities; ``ensembles`` makes several.

A network that forecasts probabilities returns logits (…, rate, H, W): for each of ``RATES`` the
logit of the probability that the rain rate is higher. Rain rates are (…, H, W) in mm/h.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nowcastlib.data import Window
from nowcastlib.units import RATES, ModelScale, exceeds

MIN_PROBABILITY_LOGIT = -2.9444  # logit of 0.05; a less probable rate is never forecast
BINS = 256  # of probabilities
HEAVIEST = 50.0  # mm/h; end of the class of rates above the last of RATES
BEYOND = 1.001  # a rate that just exceeds the lower end of its class, over that end


def quantile(logits: Tensor, threshold: Tensor, scale: ModelScale) -> Tensor:
    """Rain rate that is exceeded with the probability whose logit is ``threshold``.

    Between two of ``RATES`` the logit is interpolated linearly in model units. Above the last
    rate it is extrapolated, to about four times that rate. Below the first it is dry.
    Probabilities that rise with the rate are lowered first.

    Parameters
    ----------
    logits : Tensor
        Logits (…, rate, H, W) of exceeding each rate.
    threshold : Tensor
        Logit for each rate (…, rate, 1, 1) or for each pixel (…, 1, H, W).
    scale : ModelScale
        Model units of the network.

    Returns
    -------
    Tensor
        Rain rate (…, H, W) in mm/h.
    """
    over = _falling(logits - threshold)
    levels = scale.to_model(torch.tensor(RATES, dtype=over.dtype, device=over.device))

    # the two rates between which the logit crosses the threshold
    exceeded = (over > 0).sum(-3, keepdim=True)  # number of rates: (…, 1, H, W)
    upper = exceeded.clamp(1, len(RATES) - 1)
    lower = torch.minimum((exceeded - 1).clamp(0), upper - 1)

    logit_below, logit_above = over.gather(-3, lower), over.gather(-3, upper)
    # Interpolate; above the highest rate extrapolate, by at most twice the distance of the last two
    # rates, because the logits say nothing about rain so heavy.
    share = (logit_below / (logit_below - logit_above).clamp(min=1e-3)).clamp(max=3)
    rate = scale.from_model(levels[lower] + (levels[upper] - levels[lower]) * share)
    return torch.where(exceeded > 0, rate, 0.0)[..., 0, :, :]


def expected_within_class(logits: Tensor, threshold: Tensor, scale: ModelScale) -> Tensor:
    """Rain rate nearest to the expected one that exceeds the same of ``RATES`` as ``quantile``.

    Thresholds decide where each of ``RATES`` is exceeded. Between two of them the expected rain
    has the lowest squared error. Above the last rate it is the quantile, weighted by the
    probability of such rain, because on real rain the quantile itself is often too high there.

    Parameters
    ----------
    logits, threshold, scale
        As for ``quantile``.

    Returns
    -------
    Tensor
        Rain rate (…, H, W) in mm/h.
    """
    highest = quantile(logits, threshold, scale)
    exceeded = (_falling(logits - threshold) > 0).sum(-3)  # number of rates: (…, H, W)
    edges = torch.tensor((*RATES, HEAVIEST), dtype=logits.dtype, device=logits.device)
    probability = torch.sigmoid(_falling(logits))  # (…, rate, H, W)

    middles = (edges[:-1] * edges[1:]).sqrt()
    growth = middles.diff(prepend=middles.new_zeros(1))  # by which a class is above the one below
    expected = torch.einsum("...rhw,r->...hw", probability, growth)

    lower, upper = edges[(exceeded - 1).clamp(min=0)], edges[exceeded]
    within = torch.minimum(torch.maximum(expected, lower * BEYOND), upper)
    above_all = lower + (highest - lower).clamp(min=0) * probability[..., -1, :, :]
    rate = torch.where(exceeded < len(RATES), within, torch.maximum(above_all, lower * BEYOND))
    return torch.where(exceeded > 0, rate, 0.0)


def matched_threshold(logits: Tensor, now: Tensor) -> Tensor:
    """Threshold that gives each rate its target area of rain.

    The target is the geometric mean of the area in the last frame and the area with the highest
    expected CSI, see ``area_of_best_csi``. So the forecast keeps a realistic rain area (probability
    matching: Ebert 2001, here to an expectation of the forecast itself). The threshold is never
    below ``MIN_PROBABILITY_LOGIT``.

    Parameters
    ----------
    logits : Tensor
        Logits (…, rate, H, W) of exceeding each rate.
    now : Tensor
        Rain rate (H, W) of the last frame in mm/h, as observed: on the way through model units a
        rate of 1 mm/h may become one above it.

    Returns
    -------
    Tensor
        Logit (…, rate, 1, 1) above which a rate is forecast.

    References
    ----------
    Ebert, E. E. (2001): Ability of a poor man's ensemble to predict the probability and
    distribution of precipitation. Mon. Wea. Rev. 129, 2461-2480.
    """
    by_pixel = _falling(logits).flatten(-2)  # (…, rate, H·W)

    above = torch.stack([exceeds(now, rate) for rate in RATES])  # (rate, H, W)
    area_now = above.sum((-2, -1)).to(by_pixel)[:, None]  # px: (rate, 1)
    area = (area_now * area_of_best_csi(by_pixel)).sqrt().round().long()  # px: (…, rate, 1)

    # In descending order, the value at position `area` (from 0) is exceeded by the `area` values
    # before it: as a threshold it leaves exactly this number of pixels (ties apart).
    threshold = _at_position(by_pixel, area.clamp(max=by_pixel.shape[-1] - 1))
    return threshold.clamp(min=MIN_PROBABILITY_LOGIT)[..., None]


def area_of_best_csi(logits: Tensor) -> Tensor:
    """Number of pixels whose forecast as rain gives the highest expected CSI.

    If the n most probable of all pixels are forecast, the expected hits are the sum of their
    probabilities. The expected area of the rain is the sum of all probabilities. Expected CSI is
    the hits over the union of both areas. Where the places of the rain are uncertain, it is highest
    for an area other than that of the rain.

    Parameters
    ----------
    logits : Tensor
        Logits (…, pixel) of rain.

    Returns
    -------
    Tensor
        Area (…, 1) in px; to the next of ``BINS`` steps of probability.
    """
    centres = ((torch.arange(BINS, device=logits.device) + 0.5) / BINS).flip(0)
    areas = []
    for row in logits.flatten(0, -2):
        bins = (torch.sigmoid(row) * BINS).long().clamp(max=BINS - 1)
        pixels = torch.bincount(bins, minlength=BINS).flip(0)  # the most probable first
        area, hits = pixels.cumsum(0), (pixels * centres).cumsum(0)
        csi = hits / (area + hits[-1] - hits)
        areas.append(area[csi.argmax()])
    return torch.stack(areas).reshape(*logits.shape[:-1], 1).to(logits)


def _falling(logits: Tensor) -> Tensor:
    """Logits (…, rate, H, W) that do not rise with the rate: each is at most the one before it.

    It is what ``torch.cummin`` returns, which is ten times as slow.
    """
    falling = [logits.select(-3, 0)]
    for rate in range(1, logits.shape[-3]):
        falling.append(torch.minimum(falling[-1], logits.select(-3, rate)))
    return torch.stack(falling, -3)


def _at_position(values: Tensor, position: Tensor) -> Tensor:
    """The value of each row at a position (…, 1), from 0, in descending order: (…, N) → (…, 1).

    On a CPU only this one value is put in its place, because a whole order takes ten times as
    long; a GPU orders fast, and would have to wait for the positions.
    """
    if not values.is_cpu:
        return values.sort(-1, descending=True).values.gather(-1, position)
    rows = values.flatten(0, -2).numpy()
    ranks = values.shape[-1] - 1 - position.flatten()  # in ascending order
    found = [np.partition(row, rank)[rank] for row, rank in zip(rows, ranks.tolist(), strict=True)]
    return torch.tensor(found, dtype=values.dtype).reshape(position.shape)


def chances(logits: Tensor, windows: Sequence[Window]) -> np.ndarray:
    """Probabilities of more rain than each of ``RATES`` at some places.

    It is the mean over the pixels of a place of the probability that the pixel has more rain.
    Probabilities that rise with the rate are lowered first, so that more rain is never more
    probable than less.

    Parameters
    ----------
    logits : Tensor
        Logits (rate, H, W) of exceeding each rate.
    windows : sequence of Window
        Pixels of each place.

    Returns
    -------
    array (place, rate)
        Probabilities, 0 to 1.
    """
    inside = [torch.sigmoid(_falling(logits[..., w.y, w.x])).mean((-2, -1)) for w in windows]
    return torch.stack(inside).cpu().numpy()


def share_above(field: np.ndarray, window: Window) -> np.ndarray:
    """Share of the known pixels of a place that have more rain than each of ``RATES``.

    Parameters
    ----------
    field : array (…, y, x)
        Rain rate in mm/h, NaN where not known.
    window : Window
        Pixels of the place.

    Returns
    -------
    array (…, rate)
        Shares, 0 to 1; NaN where no pixel is known.
    """
    inside = field[..., window.y, window.x]
    number = np.isfinite(inside).sum((-2, -1))
    above = np.stack([exceeds(inside, rate).sum((-2, -1)) for rate in RATES], -1)
    known = np.maximum(number, 1)[..., None]
    return np.where(number[..., None] > 0, above / known, np.nan)
