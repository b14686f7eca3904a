"""Radar pictures: from colours back to rain rates, for feeds that publish nothing better.

A picture shows rain only in classes, and its colours are chosen for the eye. Converted to grey,
they are not even in order: pale cyan (drizzle) is brighter than the dry background, and dark green
(heavier rain) is darker. Each pixel therefore gets the class whose colour is nearest.
"""

import io
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage

from nowcastlib.data.feeds.pictures import open_picture
from nowcastlib.errors import NowcastError

OUTSIDE = 0  # class of a pixel that is not observed
NO_RAIN = 1  # class of an observed pixel without rain; the classes of rain are 2, 3, …
UNSURE = 255  # mark of a pixel whose colour belongs to no class

SURE_RATIO = 0.6  # the nearest colour is closer than this fraction of the distance to the second
SURE_DISTANCE = 60  # and closer than this distance, in RGB of 0 to 255
MOST_UNSURE = 0.25  # a picture with a larger fraction of unsure pixels has another palette


@dataclass(frozen=True)
class Palette:
    """The colours of a product's pictures.

    Parameters
    ----------
    rain
        (Lower edge in mm/h, colour) of each class of rain, from weak to strong.
    dry
        Colour of observed pixels without rain.
    outside
        Colour of pixels that are not observed. Transparent pixels are not observed either.
    """

    rain: tuple[tuple[float, str], ...]
    dry: str = "#7a7a7a"
    outside: str = "#ffffff"

    @cached_property
    def edges(self) -> np.ndarray:
        """Lower edge of each class of rain in mm/h: (classes of rain,) float64."""
        return np.array([edge for edge, _ in self.rain])

    @cached_property
    def colours(self) -> np.ndarray:
        """Colour of each class, (class, RGB) uint8: outside, dry, then the classes of rain."""
        colours = [self.outside, self.dry, *(colour for _, colour in self.rain)]
        return np.array([list(bytes.fromhex(colour[1:])) for colour in colours], "u1")

    @cached_property
    def rates(self) -> np.ndarray:
        """Rain rate of each class in mm/h, (256,) float32; NaN for outside and for unused numbers.

        The rate of a class is the geometric mean of its edges. The strongest class has no upper
        edge: it is taken to be as wide as the class below it, on a logarithmic scale.
        """
        highest = self.edges[-1] ** 2 / self.edges[-2]
        edges = np.append(self.edges, highest)

        rates = np.full(256, np.nan, "f4")
        rates[NO_RAIN] = 0
        rates[NO_RAIN + 1 : NO_RAIN + len(edges)] = np.sqrt(edges[1:] * edges[:-1])
        return rates

    @cached_property
    def class_of_colour(self) -> np.ndarray:
        """Class of each packed colour, (65536,) uint8: 5 bits each for R, G, B; top bit opaque."""
        colours = np.indices((32, 32, 32)).reshape(3, -1).T * 8 + 4  # (32768, RGB)
        opaque = self.nearest(colours)
        transparent = np.full_like(opaque, OUTSIDE)
        return np.concatenate([transparent, opaque])

    def nearest(self, colours: np.ndarray) -> np.ndarray:
        """Class whose colour is nearest.

        Parameters
        ----------
        colours
            (n, RGB), 0 to 255.

        Returns
        -------
        numpy.ndarray
            (n,) uint8. UNSURE where no class is near, or where a second class is nearly as near.
        """
        # (n, 1, RGB) - (class, RGB) -> (n, class)
        distance = np.linalg.norm(colours[:, None].astype("f4") - self.colours, axis=-1)
        first, second = np.sort(distance, axis=1)[:, :2].T
        is_sure = (first < SURE_RATIO * second) & (first < SURE_DISTANCE)
        return np.where(is_sure, distance.argmin(axis=1), UNSURE).astype("u1")


# The colours of the Protezione Civile FVG as they are described: grey where dry, then light cyan,
# blue, green, yellow and red. The feed publishes no table of rates, so these edges are our choice.
# Its HDF5 files hold physical values and are preferred.
SRI = Palette(
    (
        (0.1, "#a0f0ff"),
        (0.5, "#5ac8ff"),
        (1.0, "#0a96ff"),
        (2.0, "#0050dc"),
        (5.0, "#00c850"),
        (10.0, "#008c28"),
        (20.0, "#ffe600"),
        (50.0, "#ff7800"),
        (100.0, "#dc0000"),
    )
)


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
        classes = _classes_of_rgba(picture, palette)

    unsure = classes == UNSURE
    if not unsure.any():
        return classes
    if unsure.mean() > MOST_UNSURE:
        commonest = _commonest_colour(picture, unsure)
        raise NowcastError(
            f"{unsure.mean():.0%} of {name} has colours that are not in the palette, most often "
            f"{commonest}: give the palette of this product"
        )

    return classes[_nearest_outside(unsure)]


def draw(rate: np.ndarray, palette: Palette = SRI) -> bytes:
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
        table[transparency] = OUTSIDE
    else:
        opacity = np.frombuffer(transparency, "u1")
        table[np.flatnonzero(opacity < 128)] = OUTSIDE
    return table


def _classes_of_rgba(picture: Image.Image, palette: Palette) -> np.ndarray:
    """Class of each pixel of a picture of any other mode."""
    rgba = np.asarray(picture if picture.mode == "RGBA" else picture.convert("RGBA"))

    # 5 bits for each channel, and the top bit, which is set unless the pixel is fully transparent
    packed = cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGR555).view("u2")[..., 0]  # (y, x)
    classes = palette.class_of_colour.take(packed)

    opacity = cv2.extractChannel(rgba, 3)
    if opacity.min() < 128:
        classes[opacity < 128] = OUTSIDE
    return classes


def _nearest_outside(mask: np.ndarray) -> tuple[np.ndarray, ...]:
    """Row and column of the nearest pixel outside the mask, for each pixel."""
    indices = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
    return tuple(indices)  # (2, y, x)


def _commonest_colour(picture: Image.Image, mask: np.ndarray) -> str:
    """The most frequent colour of the pixels in `mask`, such as #12f0a0."""
    rgb = np.asarray(picture.convert("RGB"))[mask]  # (n, RGB)
    colours, counts = np.unique(rgb, axis=0, return_counts=True)
    return "#" + bytes(colours[counts.argmax()]).hex()
