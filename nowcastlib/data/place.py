"""The place of frames on the Earth: longitudes and latitudes of pixels, pixels of places."""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    import pyproj


def degrees(frames: xr.DataArray, n: int = 17) -> np.ndarray | None:
    """Return longitudes and latitudes of some pixels, evenly spaced from corner to corner.

    Parameters
    ----------
    frames : xarray.DataArray, dimensions (…, y, x)
        Frames with coordinates in degrees, or in metres or degrees of a rotated pole with the
        attribute ``crs``.
    n : int
        Number of pixels along each axis.

    Returns
    -------
    array, shape (2, n, n), or None
        Longitude and latitude in degrees; None if the place of the frames is unknown.
    """
    if min(frames.sizes["y"], frames.sizes["x"]) < 2:
        return None
    along = {axis: np.linspace(0, frames.sizes[axis] - 1, n) for axis in ("x", "y")}
    x, y = np.meshgrid(*(at_index(frames[axis].values, k) for axis, k in along.items()))  # (n, n)

    if in_degrees(frames) and not is_rotated(frames):
        return np.stack([(x + 180) % 360 - 180, y])
    crs = frames.attrs.get("crs")
    if crs and (is_rotated(frames) or frames.y.attrs.get("units") == "m"):
        return np.stack(projection(crs).transform(x, y, direction="INVERSE"))
    return None


def pixels(frames: xr.DataArray, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Place points of the Earth in the pixels of frames.

    Coordinates need not be evenly spaced, as latitudes of a Mercator map are not. Beyond the first
    and the last pixel they continue with the spacing there.

    Parameters
    ----------
    frames : xarray.DataArray, dimensions (…, y, x)
        Frames whose place is known (``degrees`` is not None).
    lon, lat : arrays, shape (n,)
        Points in degrees. Longitudes count from any meridian.

    Returns
    -------
    array, shape (n, 2)
        x and y in px; pixel centres are whole numbers.
    """
    if in_degrees(frames) and not is_rotated(frames):
        x, y = lon, lat
    else:
        x, y = projection(frames.attrs["crs"]).transform(lon, lat)
    if in_degrees(frames):
        middle = float(frames.x[frames.sizes["x"] // 2])  # x may run to 360° or more
        x = middle + (x - middle + 180) % 360 - 180
    return np.stack([_index(frames.x.values, x), _index(frames.y.values, y)], axis=1)


def in_degrees(frames: xr.DataArray) -> bool:
    """Whether the coordinates are degrees, of the Earth or of a rotated pole."""
    return str(frames.y.attrs.get("units", "")).startswith("degree")


def is_rotated(frames: xr.DataArray) -> bool:
    """Whether the coordinates are degrees of a rotated pole, not those of the Earth."""
    is_named_so = str(frames.y.attrs.get("standard_name", "")).startswith("grid_")
    is_derived = "DERIVINGCONVERSION" in frames.attrs.get("crs", "")  # WKT of a rotated pole
    return in_degrees(frames) and (is_named_so or is_derived)


def with_rotated_units(frames: xr.DataArray) -> xr.DataArray:
    """Frames whose degrees have the unit "degrees" where they are those of a rotated pole.

    The unit "degrees_north" is that of latitudes of the Earth.
    """
    if is_rotated(frames):
        for axis in ("y", "x"):
            frames[axis].attrs["units"] = "degrees"
    return frames


@lru_cache(8)
def projection(crs: str) -> "pyproj.Transformer":
    """Transformer from longitude and latitude (degrees) to x and y (m) of a map projection."""
    import pyproj

    return pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)


def at_index(coordinate: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The coordinate at fractions of an index, from the first pixel to the last."""
    return np.interp(index, np.arange(len(coordinate)), coordinate)


def _index(coordinate: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where values lie along a rising or falling coordinate, in px, also beyond its ends."""
    sign = np.sign(coordinate[-1] - coordinate[0])
    rising, values = sign * coordinate, sign * values
    before = np.clip(np.searchsorted(rising, values) - 1, 0, len(rising) - 2)
    return before + (values - rising[before]) / (rising[before + 1] - rising[before])
