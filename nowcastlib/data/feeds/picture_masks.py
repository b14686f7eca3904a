"""Masks of pictures: a picture that is white where pixels are observed, and black elsewhere."""

import zlib
from pathlib import Path

import numpy as np

from nowcastlib.data.feeds.brightness import brightness
from nowcastlib.data.feeds.picture_files import decode
from nowcastlib.errors import NowcastError

BRIGHT = 0.5  # of white; brighter pixels of a mask are observed


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask.

    Parameters
    ----------
    path
        A picture of the size of the frames: white where pixels are observed; black or transparent
        where they are not, such as below a legend or a logo.

    Returns
    -------
    numpy.ndarray
        (y, x) bool: True where observed.

    Raises
    ------
    NowcastError
        If the picture cannot be read, or if it has no white pixel.
    """
    try:
        picture = next(decode(Path(path)))
    except NowcastError as error:
        raise NowcastError(f"the mask {path} {error}") from error
    except Exception as error:  # Pillow raises errors of its own
        reason = str(error).partition("\n")[0]
        raise NowcastError(
            f"the mask {path} cannot be read ({reason}): give a picture, white where pixels are "
            "observed"
        ) from error
    observed = brightness(picture) > BRIGHT  # False for NaN: transparent
    if not observed.any():
        raise NowcastError(
            f"the mask {path} has no white pixel, so that nothing would be observed: white is "
            "observed, black is not"
        )
    return observed


def masked(values: np.ndarray, mask: np.ndarray, path: str, picture: str) -> np.ndarray:
    """Values of a picture, NaN where its mask is black.

    Parameters
    ----------
    values
        (…, y, x) float32.
    mask
        (y, x) bool: True where observed.
    path, picture
        Names of the mask and of the picture, for the message.

    Raises
    ------
    NowcastError
        If the mask has another size than the picture.
    """
    if mask.shape != values.shape[-2:]:
        of_mask, of_picture = (
            "×".join(map(str, shape)) for shape in (mask.shape, values.shape[-2:])
        )
        raise NowcastError(
            f"the mask {path} has {of_mask} px, but {picture} has {of_picture} px: draw it in the "
            "size of the pictures"
        )
    return np.where(mask, values, np.float32(np.nan))


def checksum(mask: np.ndarray) -> str:
    """A short text that differs for masks that differ."""
    return f"{zlib.crc32(np.packbits(mask).tobytes(), mask.shape[1]):08x}"
