"""Colour scales of radar pictures: which class of rain a colour stands for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import KDTree

OUTSIDE = 0  # class of a pixel that is not observed
NO_RAIN = 1  # class of an observed pixel without rain; the classes of rain are 2, 3, …
UNSURE = 255  # mark of a pixel whose colour belongs to no class

# A pixel has the nearest colour of the palette if that is nearer than SURE_DISTANCE (in RGB of 0 to
# 255) and nearer than SURE_RATIO of the distance to the second: a mixture of two colours, as on
# antialiased edges, may lie near a third. On a fine scale the second colour is a neighbour with
# nearly the same rate: there it is enough to be within SAME_COLOUR.
SURE_RATIO = 0.6
SURE_DISTANCE = 60
SAME_COLOUR = 10


class Palette:
    """The colours of a product's pictures: the class of a pixel, and the rain rate of a class.

    Attributes
    ----------
    colours
        Colour of each class, (class, RGB) uint8, in the order of the rates.
    rates
        Rain rate of each class in mm/h, (256,) float32; NaN where not observed.
    transparent
        Class of a transparent pixel.
    """

    colours: np.ndarray
    rates: np.ndarray
    transparent: int

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.colours)

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
        distance, number = self._tree.query(colours, k=[1, 2])  # (n, 2); inf without a second
        first, second = distance.T
        is_sure = first < SURE_RATIO * second

        # neighbours on the scale: both rain or dry, or both not observed
        here, there = number.clip(max=len(self.colours) - 1).T
        is_same_kind = np.isnan(self.rates[here]) == np.isnan(self.rates[there])
        is_sure |= (first < SAME_COLOUR) & (np.abs(here - there) == 1) & is_same_kind
        return np.where(is_sure & (first < SURE_DISTANCE), here, UNSURE).astype("u1")


@dataclass(frozen=True)
class ClassPalette(Palette):
    """A palette of classes between edges, as the pictures of a radar have it.

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

    transparent = OUTSIDE

    @cached_property
    def edges(self) -> np.ndarray:
        """Lower edge of each class of rain in mm/h: (classes of rain,) float64."""
        return np.array([edge for edge, _ in self.rain])

    @cached_property
    def colours(self) -> np.ndarray:  # type: ignore[override]
        """Colour of each class, (class, RGB) uint8: outside, dry, then the classes of rain."""
        return as_rgb([self.outside, self.dry, *(colour for _, colour in self.rain)])

    @cached_property
    def rates(self) -> np.ndarray:  # type: ignore[override]
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


def as_rgb(colours: Sequence[str]) -> np.ndarray:
    """Colours such as #12f0a0 as (n, RGB) uint8."""
    return np.array([list(bytes.fromhex(colour[1:])) for colour in colours], "u1")


# The colours of the Protezione Civile FVG as they are described: grey where dry, then light cyan,
# blue, green, yellow and red. The feed publishes no table of rates, so these edges are our choice.
# Its HDF5 files hold physical values and are preferred.
SRI = ClassPalette(
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
