"""Levels: rain rates as one byte a pixel, the form in which players send frames.

Level 0 is dry, each class of the rain scale has STEPS levels, and NOT_KNOWN is not observed or
not forecast. A rate has a level above k if and only if it exceeds EDGES[k], so that the browser
counts rain above a threshold exactly as verification does: as float32.
"""

from itertools import pairwise

import numpy as np

from nowcastlib.display.rain_scale import LEVELS
from nowcastlib.units import exceeds

STEPS = 24
NOT_KNOWN = 255
MOST = 254  # shade of the share 1
HIGHEST = 1000.0  # mm/h; upper end of the last class

# Lower edges of the levels from 1 on, in mm/h: STEPS in each class, evenly spaced in log(rate).
EDGES = np.concatenate(
    [np.geomspace(low, high, STEPS, endpoint=False) for low, high in pairwise([*LEVELS, HIGHEST])]
)
# Rates in mm/h that stand for the levels: 0, and the geometric mean of both edges.
VALUES = np.concatenate([[0.0], np.sqrt(EDGES * [*EDGES[1:], HIGHEST])])


def rain_levels(rate: np.ndarray) -> np.ndarray:
    """Return the levels of rain rates.

    Parameters
    ----------
    rate : array
        Rain rate in mm/h; NaN is not known.

    Returns
    -------
    array of uint8, same shape
    """
    levels = np.digitize(np.asarray(rate, "f4"), EDGES.astype("f4"), right=True)
    return np.where(np.isnan(rate), NOT_KNOWN, levels).astype("u1")


def quantile_levels(
    members: np.ndarray, shares: tuple[float, ...] = (0.1, 0.9)
) -> list[np.ndarray]:
    """Return the levels of an ensemble's quantiles.

    Parameters
    ----------
    members : array, shape (member, …)
        Rain rate in mm/h. Unknown members count as the wettest.
    shares : tuple of float
        Quantiles, in 0…1.

    Returns
    -------
    list of array of uint8, shape (…)
    """
    ordered = np.sort(rain_levels(members), axis=0, kind="stable")
    return [ordered[round(share * (len(ordered) - 1))] for share in shares]


def share_levels(members: np.ndarray, rate: float) -> np.ndarray:
    """Return the share of the members above a rain rate, as shades.

    Parameters
    ----------
    members : array, shape (member, …)
        Rain rate in mm/h; NaN is not known.
    rate : float
        Rain rate in mm/h.

    Returns
    -------
    array of uint8, shape (…)
        The share among the members that know the pixel, from 0 to MOST; else NOT_KNOWN.
    """
    is_known = np.isfinite(members).sum(axis=0)
    above = exceeds(members, rate).sum(axis=0)
    share = above / np.maximum(is_known, 1)
    return np.where(is_known > 0, np.rint(MOST * share), NOT_KNOWN).astype("u1")
