"""Radar pictures: from colours back to rain rates, for feeds that publish nothing better.

A picture shows rain only in classes, and its colours are chosen for the eye. Converted to grey,
they are not even in order: pale cyan (drizzle) is brighter than the dry background, and dark green
(heavier rain) is darker. Each pixel therefore gets the class whose colour is nearest.
"""

import io
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from nowcastlib.data.feeds.colour_scales import (
    NO_RAIN,
    OUTSIDE,
    SRI,
    UNSURE,
    ClassPalette,
    Palette,
)
from nowcastlib.data.feeds.pictures import open_picture
from nowcastlib.errors import NowcastError

MOST_UNSURE = 0.25  # a picture with a larger fraction of unsure pixels has another palette


def decode(content: bytes, palette: Palette = SRI, name: str = "the picture") -> np.ndarray:
    """Rain rate of each pixel of a picture.

    Parameters
    ----------
    content
        The picture's file: PNG, JPEG or another format that Pillow reads.
    palette
        The colours of the product.
    name
        What error messages call the picture.

    Returns
    -------
    numpy.ndarray
        (y, x) float32 in mm/h: the geometric mean of the class's edges, 0 where dry, NaN where not
        observed.

    Raises
    ------
    NowcastError
        If the picture cannot be read or has another palette, as `classify` says.
    """
    return cv2.LUT(classify(content, palette, name), palette.rates)


def classify(content: bytes, palette: Palette = SRI, name: str = "the picture") -> np.ndarray:
    """Class of each pixel of a picture.

    Colours between two classes (antialiased edges) and colours outside the palette (lines of a map)
    take the class of the nearest pixel that is sure.

    Parameters
    ----------
    content, palette, name
        As for `decode`.

    Returns
    -------
    numpy.ndarray
        (y, x) uint8: 0 not observed, 1 dry, 2 the weakest class of rain, and so on.

    Raises
    ------
    NowcastError
        If the file is no picture that can be read, or if more than a quarter of the picture has
        colours outside the palette. The message names the picture.
    """
    picture = _open(content, name)
    if picture.mode == "P":
        classes = _classes_of_indexed(picture, palette)
    else:
        classes = _classes_of_pixels(np.asarray(picture.convert("RGBA")), palette)
    return _filled(classes, lambda: np.asarray(picture.convert("RGB")), name)[0]


def rates_of_pixels(
    pixels: np.ndarray, palette: Palette, name: str = "the picture"
) -> tuple[np.ndarray, float]:
    """Rain rate of each pixel of a decoded picture.

    Parameters
    ----------
    pixels
        (y, x, RGB or RGBA) uint8.
    palette, name
        As for `decode`.

    Returns
    -------
    rate : numpy.ndarray
        (y, x) float32 in mm/h.
    unsure : float
        Fraction of the pixels that had no colour of the palette, and the rate of the nearest one.

    Raises
    ------
    NowcastError
        If more than a quarter of the picture has colours outside the palette.
    """
    classes, unsure = _filled(_classes_of_pixels(pixels, palette), lambda: pixels[..., :3], name)
    return cv2.LUT(classes, palette.rates), unsure


def draw(rate: np.ndarray, palette: ClassPalette = SRI) -> bytes:
    """Draw rain rates as a PNG, the inverse of `decode` up to the width of a class.

    Parameters
    ----------
    rate
        (y, x) in mm/h; NaN where not observed.
    palette
        The colours of the product.

    Returns
    -------
    bytes
        The content of a PNG file with indexed colours.
    """
    classes = np.digitize(rate, palette.edges).astype("u1") + NO_RAIN
    classes[np.isnan(rate)] = OUTSIDE

    picture = Image.fromarray(classes, "P")
    picture.putpalette(palette.colours.tobytes())
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def _open(content: bytes, name: str) -> Image.Image:
    """The picture, read completely."""
    try:
        picture = open_picture(content)
        picture.load()
    except NowcastError as error:
        raise NowcastError(f"{name} {error}") from error
    except Exception as error:  # each of Pillow's formats raises errors of its own
        raise NowcastError(
            f"{name} cannot be read as a picture ({error}): fetch it again"
        ) from error
    return picture


def _classes_of_indexed(picture: Image.Image, palette: Palette) -> np.ndarray:
    """Class of each pixel of a picture with at most 256 indexed colours; fast."""
    assert picture.palette is not None
    transparency = picture.info.get("transparency", b"")
    table = _class_of_index(palette, picture.palette.mode, picture.palette.tobytes(), transparency)
    return cv2.LUT(np.asarray(picture), table)


@lru_cache(maxsize=8)
def _class_of_index(
    palette: Palette, mode: str, colours: bytes, transparency: int | bytes
) -> np.ndarray:
    """Class of each of 256 indexed colours, (256,) uint8.

    `transparency` is the index of the transparent colour, or the opacity of each colour.
    """
    rgb = np.frombuffer(colours, "u1").reshape(-1, len(mode))[:, :3]
    table = np.full(256, UNSURE, "u1")
    table[: len(rgb)] = palette.nearest(rgb)

    if isinstance(transparency, int):
        table[transparency] = palette.transparent
    else:
        opacity = np.frombuffer(transparency, "u1")
        table[np.flatnonzero(opacity < 128)] = palette.transparent
    return table


def _classes_of_pixels(pixels: np.ndarray, palette: Palette) -> np.ndarray:
    """Class of each pixel (y, x, RGB or RGBA), before unsure ones are filled."""
    red, green, blue = (pixels[..., k].astype("u4") for k in range(3))
    packed = red << 16 | green << 8 | blue  # (y, x)
    codes, colours = pd.factorize(packed.ravel())  # each colour once: there are far fewer
    rgb = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1)  # (n, RGB)
    classes = palette.nearest(rgb)[codes].reshape(packed.shape)

    if pixels.shape[-1] == 4:
        classes[pixels[..., 3] < 128] = palette.transparent
    return classes


def _filled(
    classes: np.ndarray, rgb: Callable[[], np.ndarray], name: str
) -> tuple[np.ndarray, float]:
    """Classes (y, x) with unsure pixels filled from the nearest sure one, and their fraction."""
    unsure = classes == UNSURE
    fraction = float(unsure.mean())
    if not fraction:
        return classes, 0.0
    if fraction > MOST_UNSURE:
        raise NowcastError(
            f"{fraction:.0%} of {name} has colours that are not in the palette, most often "
            f"{_commonest_colour(rgb()[unsure])}: give the palette of this product"
        )
    return classes[_nearest_outside(unsure)], fraction


def _nearest_outside(mask: np.ndarray) -> tuple[np.ndarray, ...]:
    """Row and column of the nearest pixel outside the mask, for each pixel."""
    indices = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
    return tuple(indices)  # (2, y, x)


def _commonest_colour(rgb: np.ndarray) -> str:
    """The most frequent of the colours (n, RGB), such as #12f0a0."""
    colours, counts = np.unique(rgb, axis=0, return_counts=True)
    return "#" + bytes(colours[counts.argmax()]).hex()
