"""The grid of an HDF5 file: from ODIM's `where`, from latitudes and longitudes, or as asked."""

import h5py
import numpy as np
import pyproj
import xarray as xr

from nowcastlib.data.coordinates import (
    DEGREES,
    from_two_dimensional,
    has_known_units,
    in_direction,
)
from nowcastlib.data.feeds.odim_fields import (
    LATITUDES,
    LONGITUDES,
    Attributes,
    RainField,
    numbers,
)
from nowcastlib.data.grid import frame
from nowcastlib.errors import NowcastError


def placed(
    rate: np.ndarray, field: RainField, pixel: float | None, is_turned: bool
) -> xr.DataArray:
    """Give a field of rain its coordinates.

    Parameters
    ----------
    rate
        Rain rate, (y, x) in mm/h, north up.
    field
        The field of the file.
    pixel
        Width of a pixel in metres, if the file does not describe its grid.
    is_turned
        Whether the rows of `rate` are in another order than in the file.

    Returns
    -------
    xarray.DataArray
        (y, x) in mm/h, north up, in metres or degrees.

    Raises
    ------
    NowcastError
        If the file does not describe its grid, or contradicts itself.
    """
    attributes = field.attributes
    rows, columns = rate.shape
    _check_size(rows, columns, attributes)
    needed = ("projdef", "LL_lon", "LL_lat", "xscale", "yscale")
    missing = [key for key in needed if key.lower() not in attributes]
    units = {"y": "m", "x": "m"}
    has_corners = {"ll_lon", "ll_lat", "ur_lon", "ur_lat"} <= attributes.keys()

    if not missing or ("projdef" in attributes and has_corners):
        crs = str(attributes["projdef"])
        west, south, dx, dy = _extent(rows, columns, attributes, crs)
        units = DEGREES if _is_in_degrees(crs) else units
    elif degrees := _latitudes_and_longitudes(field):
        if is_turned:
            degrees = [values[::-1] for values in degrees]
        return _by_degrees(rate, *degrees)
    elif pixel is not None:
        crs, dx, dy = "", pixel, pixel
        west, south = -columns * pixel / 2, -rows * pixel / 2
    else:
        raise NowcastError(
            f"does not describe its grid (no {', '.join(missing)}): give --pixel-km, the width of "
            "a pixel"
        )

    x = west + dx * (np.arange(columns) + 0.5)
    y = south + dy * (rows - 0.5 - np.arange(rows))
    return _in_degrees(frame(rate, x, y)) if units is DEGREES else frame(rate, x, y, crs)


def _in_degrees(placed: xr.DataArray) -> xr.DataArray:
    """A frame whose coordinates are latitudes and longitudes."""
    for axis, unit in DEGREES.items():
        placed[axis].attrs = {"units": unit}
    return placed


def _is_in_degrees(crs: str) -> bool:
    """Whether the coordinates of a projection are latitudes and longitudes of the Earth.

    A rotated pole has degrees, too, but others.
    """
    described = pyproj.CRS(crs)
    return described.is_geographic and not described.is_derived


def _latitudes_and_longitudes(field: RainField) -> list[np.ndarray]:
    """Two-dimensional latitudes and longitudes (y, x) of the file; empty if it has none."""
    shape = field.data.shape[-2:]
    found: dict[str, np.ndarray] = {}

    def collect(name: str, item: h5py.HLObject) -> None:
        word = name.rsplit("/")[-1].lower()
        for axis, words in (("y", LATITUDES), ("x", LONGITUDES)):
            if word in words and isinstance(item, h5py.Dataset) and item.shape == shape:
                found.setdefault(axis, np.asarray(item[()], "f8"))

    field.data.file.visititems(collect)
    return [found["y"], found["x"]] if len(found) == 2 else []


def _by_degrees(rate: np.ndarray, latitude: np.ndarray, longitude: np.ndarray) -> xr.DataArray:
    """A frame whose coordinates follow from two-dimensional latitudes and longitudes."""
    dims = ("y", "x")
    bare = xr.DataArray(rate, dims=dims)
    degrees = (xr.DataArray(values, dims=dims) for values in (latitude, longitude))
    with_axes = from_two_dimensional(bare, *degrees)
    if not has_known_units(with_axes):
        raise NowcastError("has latitudes and longitudes that do not vary: give --pixel-km")

    for axis in dims:
        with_axes = in_direction(with_axes, axis, f"has a coordinate {axis}")
    result = frame(with_axes.values, with_axes.x.values, with_axes.y.values)
    for axis in dims:
        result[axis].attrs = dict(with_axes[axis].attrs)
    return result


def _check_size(rows: int, columns: int, attributes: Attributes) -> None:
    """Compare the data's shape with that in the attributes."""
    if not {"xsize", "ysize"} <= attributes.keys():
        return
    if numbers(attributes, "ysize", "xsize") != [rows, columns]:
        raise NowcastError(
            f"says {attributes['ysize']}×{attributes['xsize']} px, but holds {rows}×{columns}: "
            "ask its publisher"
        )


def _extent(
    rows: int, columns: int, attributes: Attributes, crs: str
) -> tuple[float, float, float, float]:
    """West and south edge, width and height of a pixel, from ODIM's `where`.

    All are in metres, or in degrees where the grid is one of latitudes and longitudes. ODIM's
    corners are those of the outermost pixels, not their centres.
    """
    unit = pyproj.CRS(crs).axis_info[0].unit_name
    if unit != "metre" and not _is_in_degrees(crs):
        raise NowcastError(
            f"has a grid in {unit}s ({crs}): warp it to a projection in metres, for example by "
            "gdalwarp to GeoTIFF, and read that as product geotiff"
        )

    project = pyproj.Proj(crs)
    lon, lat = numbers(attributes, "ll_lon", "ll_lat")
    west, south = project(lon, lat)
    scale = numbers(attributes, "xscale", "yscale")
    if "ur_lon" in attributes:
        lon, lat = numbers(attributes, "ur_lon", "ur_lat")
        east, north = project(lon, lat)
        if _is_in_degrees(crs) and east <= west:  # across the dateline
            east += 360
        dx, dy = scale if len(scale) == 2 else ((east - west) / columns, (north - south) / rows)
    else:
        dx, dy = scale
        east, north = west + columns * dx, south + rows * dy
    width, height = columns * dx, rows * dy

    fits = np.allclose([east - west, north - south], [width, height], rtol=0.1)
    if not (dx > 0 and dy > 0 and fits):
        raise NowcastError(
            "has corners that contradict its projdef, xscale and yscale: ask its publisher"
        )
    return west, south, dx, dy
