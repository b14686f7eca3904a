"""Radar pictures: colours back to rain rates, where a feed offers nothing better.

A picture holds the rain only in classes, and its colours are for eyes: turned grey they are not even in order (pale
cyan, drizzle, is brighter than the dry background; dark green, heavier, is darker). So every pixel gets the class
whose colour is nearest.
"""

import io
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage

from nowcastlib.errors import NowcastError

OUTSIDE, DRY = (
    0,
    1,
)  # classes of a pixel that is not observed, and of one without rain; rain is 2, 3, …
UNSURE = 255  # no class, yet


@dataclass(frozen=True)
class Palette:
    """The colours of a product's pictures; rain from weak to strong."""

    rain: tuple[tuple[float, str], ...]  # (lower edge in mm/h, colour) of each class
    dry: str = "#7a7a7a"  # observed, no rain
    outside: str = "#ffffff"  # not observed (transparent pixels are not, either)

    @cached_property
    def colours(self) -> np.ndarray:
        """(class, RGB), uint8: outside, dry, then the rain."""
        colours = (self.outside, self.dry, *(colour for _, colour in self.rain))
        return np.array([list(bytes.fromhex(c[1:])) for c in colours], "u1")

    @cached_property
    def rates(self) -> np.ndarray:
        """mm/h of each class, (256,) float32: NaN, 0, then the geometric middle of the class (the last as wide as the
        one before), NaN where there is no class."""
        edges = np.array([e for e, _ in self.rain])
        edges = np.append(edges, edges[-1] ** 2 / edges[-2])
        rates = np.full(256, np.nan, "f4")
        rates[DRY : len(edges) + DRY] = [0, *np.sqrt(edges[1:] * edges[:-1])]
        return rates

    @cached_property
    def _cube(self) -> np.ndarray:
        """Class of each colour, 5 bits a channel and above them one for opaque: (65536,) uint8."""
        opaque = self._nearest(np.indices((32, 32, 32)).reshape(3, -1).T * 8 + 4)
        return np.concatenate([np.full_like(opaque, OUTSIDE), opaque])

    def _nearest(self, colours: np.ndarray) -> np.ndarray:
        """Class of each of ``colours`` (n, RGB); UNSURE where a second class is nearly as near, or none is near."""
        distance = np.linalg.norm(colours[:, None].astype("f4") - self.colours, axis=-1)
        first, second = np.sort(distance, axis=1)[:, :2].T
        return np.where(
            (first < 0.6 * second) & (first < 60), distance.argmin(axis=1), UNSURE
        ).astype("u1")


# After the pictures of the Protezione Civile FVG as they are described (grey where dry, light cyan over blue and green
# to yellow and red). The feed publishes no table of its rates; these edges are ours. Its HDF5 files hold physical
# values and are preferred.
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


def classes(content: bytes, palette: Palette = SRI, name: str = "the picture") -> np.ndarray:
    """The class of each pixel of a picture (PNG, JPEG, …): (y, x) uint8, 0 not observed, 1 dry, 2 weakest rain, ….

    Colours between two classes (antialiased edges) and colours that the palette lacks (lines of a map) take the class
    of the nearest pixel that is sure. Raises NowcastError, naming the picture, if it cannot be read, or if more than a
    quarter of it has colours that the palette lacks.
    """
    try:
        picture = Image.open(io.BytesIO(content))
        picture.load()
    except Exception as error:  # each of Pillow's formats has errors of its own
        raise NowcastError(
            f"{name} cannot be read as a picture ({error}): fetch it again"
        ) from error
    if picture.mode == "P":  # the usual case, and fast: at most 256 colours to look up
        clear = picture.info.get("transparency", b"")
        table = _table(palette, picture.palette.mode, picture.palette.tobytes(), clear)
        found = cv2.LUT(np.asarray(picture), table)
    else:
        rgba = np.asarray(picture if picture.mode == "RGBA" else picture.convert("RGBA"))
        packed = cv2.cvtColor(
            rgba, cv2.COLOR_RGBA2BGR555
        )  # 5 bits a channel, and one that is set unless clear
        found = palette._cube.take(packed.view("u2")[..., 0])
        if (alpha := cv2.extractChannel(rgba, 3)).min() < 128:
            found[alpha < 128] = OUTSIDE
    if found.max() < UNSURE:
        return found
    unsure = found == UNSURE
    if unsure.mean() > 0.25:
        colours, counts = np.unique(
            np.asarray(picture.convert("RGB"))[unsure], axis=0, return_counts=True
        )
        common = "#" + bytes(colours[counts.argmax()]).hex()
        raise NowcastError(
            f"{unsure.mean():.0%} of {name} has colours that the palette lacks, most often {common}: "
            "give the palette of this product"
        )
    return found[
        tuple(ndimage.distance_transform_edt(unsure, return_distances=False, return_indices=True))
    ]


@lru_cache(maxsize=8)
def _table(palette: Palette, mode: str, colours: bytes, clear: int | bytes) -> np.ndarray:
    """The class of each of 256 indexed colours, uint8; ``clear`` is the transparent one, or the opacity of each."""
    rgb = np.frombuffer(colours, "u1").reshape(-1, len(mode))[:, :3]
    table = np.full(256, UNSURE, "u1")
    table[: len(rgb)] = palette._nearest(rgb)
    table[
        [clear] if isinstance(clear, int) else np.flatnonzero(np.frombuffer(clear, "u1") < 128)
    ] = OUTSIDE
    return table


def decode(content: bytes, palette: Palette = SRI, name: str = "the picture") -> np.ndarray:
    """The rain rate of each pixel of a picture: (y, x) in mm/h, float32; raises what ``classes`` raises."""
    return cv2.LUT(classes(content, palette, name), palette.rates)


def draw(rate: np.ndarray, palette: Palette = SRI) -> bytes:
    """Rain rates (y, x) in mm/h as a PNG in the colours of ``palette``: what ``decode`` undoes, but for the classes."""
    found = np.digitize(rate, [e for e, _ in palette.rain]).astype("u1") + DRY
    found[np.isnan(rate)] = OUTSIDE
    picture, content = Image.fromarray(found, "P"), io.BytesIO()
    picture.putpalette(palette.colours.tobytes())
    picture.save(content, "PNG")
    return content.getvalue()
