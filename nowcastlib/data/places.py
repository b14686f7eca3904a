"""Places that a user names, such as a town: where they lie in frames, and the pixels around."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr

from nowcastlib.data.grid import pixel_size
from nowcastlib.data.place import degrees, pixels
from nowcastlib.errors import NowcastError, printable

LONGEST_NAME = 40  # characters
NOT_IN_NAMES = "<>/\\"  # of markup and of paths
AROUND_KM = 1.5  # km; pixels whose centres are this near, in x and in y, belong to a place
HOW = "write LATITUDE,LONGITUDE[,NAME] in degrees, such as 46.07,13.24,Udine"


@dataclass(frozen=True)
class Place:
    """A place on the Earth.

    Parameters
    ----------
    latitude, longitude : float
        In degrees; south and west are negative. Longitudes may also run to 360.
    name : str
        What it is called, at most 40 characters; "" for its latitude and longitude.

    Raises
    ------
    NowcastError
        If a number is out of range, or if the name is too long or could be markup or a path.

    Examples
    --------
    >>> Place(46.07, 13.24).label
    '46.07 N, 13.24 E'
    """

    latitude: float
    longitude: float
    name: str = ""

    def __post_init__(self) -> None:
        if not -90 <= self.latitude <= 90:
            raise NowcastError(f"the latitude {self.latitude:g} is not between -90 and 90: {HOW}")
        if not -180 <= self.longitude <= 360:
            raise NowcastError(
                f"the longitude {self.longitude:g} is not between -180 and 180: {HOW}"
            )
        _check_name(self.name)

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Read a place from text such as "46.07,13.24,Udine"; the name may be left out.

        Raises
        ------
        NowcastError
            If it is not two numbers and a name.
        """
        parts = [part.strip() for part in text.split(",", 2)]
        try:
            latitude, longitude = (float(part) for part in parts[:2])
        except ValueError as error:
            raise NowcastError(f"{printable(text)!r} is not a place: {HOW}") from error
        return cls(latitude, longitude, *parts[2:])

    @property
    def label(self) -> str:
        """Its name or, without one, latitude and longitude."""
        if self.name:
            return self.name
        north, east = "S" if self.latitude < 0 else "N", "W" if self.longitude < 0 else "E"
        return f"{abs(self.latitude):.2f} {north}, {abs(self.longitude):.2f} {east}"


class Window(NamedTuple):
    """Rows and columns of some pixels."""

    y: slice
    x: slice

    def mean(self, field: np.ndarray) -> np.ndarray:
        """Mean of a field (…, y, x) over the pixels that are known.

        Returns
        -------
        array (…)
            NaN where more than half of the pixels are NaN.
        """
        inside = field[..., self.y, self.x]
        known = np.isfinite(inside)
        amount = np.where(known, inside, 0).sum((-2, -1), dtype="f8")
        enough = known.mean((-2, -1)) >= 0.5
        return np.where(enough, amount / np.maximum(known.sum((-2, -1)), 1), np.nan)


def parse_places(texts: Sequence[str]) -> tuple[Place, ...]:
    """Read places from text, see ``Place.parse``.

    Raises
    ------
    NowcastError
        If one is not a place, or if two have the same name.
    """
    places = tuple(Place.parse(text) for text in texts)
    labels = [place.label for place in places]
    for label in labels:
        if labels.count(label) > 1:
            raise NowcastError(f"two places are named {label!r}: give each a name of its own")
    return places


def pixel_of(frames: xr.DataArray, place: Place) -> tuple[float, float]:
    """Where a place lies in frames.

    Parameters
    ----------
    frames : xarray.DataArray, dimensions (…, y, x)
        Frames with coordinates in degrees, or in metres with the attribute ``crs``.
    place : Place
        The place.

    Returns
    -------
    x, y : float
        In px; pixel centres are whole numbers.

    Raises
    ------
    NowcastError
        If the place lies outside the frames, or if the frames have no known projection.
    """
    corners = degrees(frames)
    if corners is None or not np.isfinite(corners).any():
        raise NowcastError(
            f"{place.label} cannot be found: the frames do not say where on the Earth they lie. "
            "Give latitudes and longitudes, or x and y in m with the map projection as a CF "
            "grid_mapping"
        )
    x, y = pixels(frames, np.array([place.longitude]), np.array([place.latitude]))[0]
    inside = -0.5 <= x < frames.sizes["x"] - 0.5 and -0.5 <= y < frames.sizes["y"] - 0.5
    if not inside:
        raise NowcastError(
            f"{place.label} (latitude {place.latitude:g}, longitude {place.longitude:g}) lies "
            f"outside the grid, which spans {_bounds(corners)}: the latitude comes first; name a "
            "place inside, or take a larger part of the frames"
        )
    return float(x), float(y)


def window_around(frames: xr.DataArray, place: Place) -> Window:
    """The pixels whose centres lie at most ``AROUND_KM`` from that of the place, in y and in x.

    Parameters
    ----------
    frames : xarray.DataArray, dimensions (…, y, x)
        Frames.
    place : Place
        The place; its own pixel always belongs to it.

    Raises
    ------
    NowcastError
        See ``pixel_of``.
    """
    x, y = (round(value) for value in pixel_of(frames, place))
    size = pixel_size(frames)
    rows, columns = (math.floor(AROUND_KM / side + 1e-3) for side in size) if size else (0, 0)
    return Window(
        slice(max(0, y - rows), y + rows + 1), slice(max(0, x - columns), x + columns + 1)
    )


def _check_name(name: str) -> None:
    """NowcastError for a name that is too long, or that holds what no name of a place has."""
    if len(name) > LONGEST_NAME:
        raise NowcastError(
            f"the name {printable(name, 20)!r} of a place has {len(name)} characters: give at "
            f"most {LONGEST_NAME}"
        )
    if not name.isprintable() or any(letter in NOT_IN_NAMES for letter in name):
        raise NowcastError(
            f"the name {printable(name)!r} of a place holds a control character or one of "
            f"{' '.join(NOT_IN_NAMES)}: leave it out"
        )
    if name and not any(letter.isalpha() for letter in name):
        raise NowcastError(f"the name {name!r} of a place has no letter: {HOW}")


def _bounds(corners: np.ndarray) -> str:
    """South, north, west and east of longitudes and latitudes (2, n, n), in words."""
    lon, lat = corners
    middle = lon[len(lon) // 2, len(lon) // 2]
    lon = middle + (lon - middle + 180) % 360 - 180  # without a jump at 180°
    south, north, west, east = np.nanmin(lat), np.nanmax(lat), np.nanmin(lon), np.nanmax(lon)
    return f"latitudes {south:.2f} to {north:.2f} and longitudes {west:.2f} to {east:.2f}"
