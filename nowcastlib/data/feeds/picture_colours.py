"""Colours of pictures as they are, for films that are not rain."""

import numpy as np


def colours(picture: np.ndarray) -> np.ndarray:
    """Red, green and blue of each pixel.

    Parameters
    ----------
    picture
        Grey (y, x) uint8 or uint16, or colour (y, x, RGB or RGBA) uint8.

    Returns
    -------
    numpy.ndarray
        (channel, y, x) float32 from 0 to 1; NaN where transparent. Grey pixels have three equal
        channels.
    """
    values, opaque = scaled(picture)
    if values.ndim == 2:
        return np.stack([values] * 3)

    rgb = np.where(opaque[..., None], values, np.float32(np.nan))
    return np.moveaxis(rgb, -1, 0)  # (y, x, RGB) -> (channel, y, x)


def scaled(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values from 0 to 1, (y, x) or (y, x, RGB) float32, and which pixels (y, x) are opaque."""
    values = picture / np.float32(np.iinfo(picture.dtype).max)
    if values.ndim == 2:
        return values, np.ones(values.shape, bool)
    return values[..., :3], np.all(values[..., 3:] > 0, axis=-1)
