"""Brightness of pictures that are grey, or whose maker says that brighter is more."""

from pathlib import Path

import numpy as np

from nowcastlib.data.feeds.picture_colours import scaled
from nowcastlib.data.feeds.protocol import WrongSettings

COLOURED = 8  # levels of 255 by which the channels differ; compression with loss leaves grey below


def brightness(picture: np.ndarray) -> np.ndarray:
    """Brightness of each pixel.

    Parameters
    ----------
    picture
        Grey (y, x) uint8 or uint16, or colour (y, x, RGB or RGBA) uint8.

    Returns
    -------
    numpy.ndarray
        (y, x) float32 from 0 to 1; NaN where transparent.
    """
    values, opaque = scaled(picture)
    if values.ndim == 2:
        return values
    return np.where(opaque, values.mean(axis=-1), np.nan)


def has_colours(picture: np.ndarray) -> bool:
    """Whether a picture, as for `brightness`, shows a colour that is not grey."""
    if picture.ndim == 2:
        return False
    red, green, blue = (picture[..., k] for k in range(3))
    highest = np.maximum(np.maximum(red, green), blue)
    lowest = np.minimum(np.minimum(red, green), blue)
    is_coloured = highest - lowest > COLOURED
    if picture.shape[-1] == 4:
        is_coloured &= picture[..., 3] > 0
    return bool(is_coloured.any())


def colours_without_palette(path: str | Path) -> WrongSettings:
    """The error for a picture with colours whose meaning is not known."""
    return WrongSettings(
        f"{path} has colours, and their brightness is no measure of rain: give the rain rate of "
        "each colour with --palette FILE (palette=…), or --brightness (brightness=True) if "
        "brighter means more, or --colours (colours=True) for films that are not rain"
    )
