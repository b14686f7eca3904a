"""The disc that a single radar observes, and the largest square within it."""

import numpy as np
from scipy import ndimage

from nowcastlib.errors import NowcastError


def disc(seen: np.ndarray) -> tuple[float, float, float]:
    """Find the circle that a radar observes.

    Parameters
    ----------
    seen : array of bool (y, x)
        Observed pixels.

    Returns
    -------
    x, y, radius : float
        In px; pixel centres are whole numbers. The circle has the area and the centre of the
        largest connected part of ``seen``, with its holes filled.

    Raises
    ------
    NowcastError
        If nothing is observed, or if the observed part is not a disc.
    """
    parts, n = ndimage.label(seen)
    if not n:
        raise NowcastError("no pixel is observed: there is no disc")

    largest = 1 + np.bincount(parts.ravel())[1:].argmax()
    part = ndimage.binary_fill_holes(parts == largest)
    y, x = (float(indices.mean()) for indices in np.nonzero(part))
    radius = float(np.sqrt(part.sum() / np.pi))

    rows, columns = np.ogrid[: seen.shape[0], : seen.shape[1]]
    circle = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    if (circle & part).sum() < 0.95 * (circle | part).sum():
        raise NowcastError(
            "the observed part is not a disc (the coverage of a single radar): "
            "give the crop in numbers"
        )
    return x, y, radius


def inscribed_square(seen: np.ndarray) -> tuple[int, int, int, int]:
    """Find the largest square whose pixel centres all lie in the disc that a radar observes.

    Parameters
    ----------
    seen : array of bool (y, x)
        Observed pixels.

    Returns
    -------
    x, y, width, height : int
        In px from the upper left, such as (73, 73, 354, 354) for a disc of 250 px in a picture of
        500×500 px.

    Raises
    ------
    NowcastError
        If nothing is observed, or if the observed part is not a disc.
    """
    x, y, radius = disc(seen)
    half = radius / np.sqrt(2)  # side
    left, top = int(np.ceil(x - half)), int(np.ceil(y - half))
    right, bottom = int(np.floor(x + half)), int(np.floor(y + half))
    size = min(right - left, bottom - top) + 1
    return left, top, size, size
